"""What the simulator tests share: credentials, smallest requests, a real picture, two tools."""

from __future__ import annotations

import struct
import zlib
from base64 import b64encode
from collections.abc import Awaitable, Callable
from typing import Any

CREDENTIALS = {
    "openai": {"authorization": "Bearer sk-test"},
    "anthropic": {"x-api-key": "sk-ant-test", "anthropic-version": "2023-06-01"},
    "gemini": {"x-goog-api-key": "AIza-test"},
}
HELLO: dict[str, tuple[str, dict[str, Any]]] = {
    "openai": ("/chat/completions", {"model": "gpt-5.4", "messages": [{"role": "user", "content": "hello"}]}),
    "anthropic": (
        "/v1/messages",
        {"model": "claude-sonnet-4-6", "max_tokens": 500, "messages": [{"role": "user", "content": "hello"}]},
    ),
    "gemini": (
        "/v1beta/models/gemini-2.5-flash:generateContent",
        {"contents": [{"role": "user", "parts": [{"text": "hello"}]}]},
    ),
}
STREAMED_GEMINI = "/v1beta/models/gemini-2.5-flash:streamGenerateContent"

Post = Callable[..., Awaitable[tuple[int, Any]]]


def png(width: int = 2, height: int = 2) -> str:
    """A real PNG of one colour, as base64."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    pixels = zlib.compress((b"\0" + b"\x20\x40\x60" * width) * height)
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b64encode(
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", pixels) + chunk(b"IEND", b"")
    ).decode()


WEATHER = {
    "type": "object",
    "properties": {"city": {"type": "string"}, "unit": {"type": "string", "enum": ["celsius", "fahrenheit"]}},
    "required": ["city"],
}
TIME = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
QUESTION = "What is the weather in Paris and the time in Rome?"


MISSING = object()


def changed(provider: str, change: dict[str, Any]) -> dict[str, Any]:
    body = {**HELLO[provider][1], **change}
    return {name: value for name, value in body.items() if value is not MISSING}


def say(*turns: tuple[str, Any], **more: Any) -> dict[str, Any]:
    return {"messages": [{"role": role, "content": content} for role, content in turns], **more}
