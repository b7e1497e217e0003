"""What the client tests share: a model of each provider, a question that needs two tools, a real picture."""

from __future__ import annotations

import struct
import zlib
from base64 import b64encode
from typing import Any

from pydantic import BaseModel

BASE = "/api/v1/acme/ai"
MODELS = {"openai": "gpt-5.4", "anthropic": "claude-sonnet-4-6", "gemini": "gemini-3.8-flash"}
PROVIDERS = list(MODELS)

QUESTION = "What is the weather in Paris and the time in Rome?"
CITY = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
TOOLS: list[Any] = [
    {"type": "function", "function": {"name": name, "description": f"Tells the {what} of a city.", "parameters": CITY}}
    for name, what in (("get_weather", "weather"), ("get_time", "time"))
]
RESULTS = {"get_weather": "21 degrees", "get_time": "noon"}


class Person(BaseModel):
    """What structured output is asked for."""

    name: str
    tags: list[str]
    born: int | None


def user(content: Any) -> list[Any]:
    return [{"role": "user", "content": content}]


def answer_of(provider: str, said: str) -> str:
    """What the simulator of `provider` answers to `said`."""
    return f"[simulated {MODELS[provider]}] You said: {said}"


def png(width: int, height: int) -> str:
    """A real PNG of one colour, as base64."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    pixels = zlib.compress((b"\0" + b"\x20\x40\x60" * width) * height)
    head = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    picture = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", pixels) + chunk(b"IEND", b"")
    return b64encode(picture).decode()
