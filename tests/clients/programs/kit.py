"""The protocol between the rig and a client program in Python, and what all programs ask for.

The rig starts a program with GATEWAY_BASE and GATEWAY_TOKEN in its environment and writes one job a line to its stdin,
{"feature": "text", "model": "…"}. The program writes one line for each: what its client gave it. It judges nothing.
"""

from __future__ import annotations

import contextlib
import json
import os
import sys
from base64 import b64encode
from collections.abc import Callable, Iterator
from typing import Any

BASE = os.environ["GATEWAY_BASE"]
TOKEN = os.environ["GATEWAY_TOKEN"]
PICTURE = bytes.fromhex(os.environ["GATEWAY_PICTURE"])  # a PNG
PICTURE_URL = "data:image/png;base64," + b64encode(PICTURE).decode()

HELLO = "Hello there"
LOOK = "What is it?"
QUESTION = "What is the weather in Paris and the time in Rome?"
ABOUT = "Tell me about Ada Lovelace."
RESULTS = {"get_weather": "21 degrees", "get_time": "noon"}
CITY = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"], "additionalProperties": False}  # fmt: skip
PERSON = {
    "type": "object",
    "properties": {"name": {"type": "string"}, "tags": {"type": "array", "items": {"type": "string"}}},
    "required": ["name", "tags"],
    "additionalProperties": False,
}

Feature = Callable[[str], dict[str, Any]]  # the model -> what the client gave


class Calls:
    """The two tools as functions, for clients that call them by themselves; `made` is what they were called with."""

    def __init__(self) -> None:
        self.made: list[Any] = []

    def get_weather(self, city: str) -> str:
        """Tells the weather of a city."""
        self.made.append(["get_weather", {"city": city}])
        return RESULTS["get_weather"]

    def get_time(self, city: str) -> str:
        """Tells the time of a city."""
        self.made.append(["get_time", {"city": city}])
        return RESULTS["get_time"]


def streamed(pieces: Any) -> dict[str, Any]:
    """What a stream of texts gave."""
    texts = [piece for piece in pieces if piece]
    return {"text": "".join(texts), "pieces": len(texts)}


def serve(**features: Feature) -> None:
    """Do jobs until stdin ends. Whatever the client prints goes to stderr."""
    for line in sys.stdin:
        job = json.loads(line)
        with contextlib.redirect_stdout(sys.stderr):
            told = _told(features.get(job["feature"]), job["model"])
        print(json.dumps(told), flush=True)


def _told(feature: Feature | None, model: str) -> dict[str, Any]:
    if feature is None:
        return {"not_offered": True}
    try:
        return feature(model)
    except Exception as error:  # a client's own exceptions are what it is asked about
        return {"error": {"class": type(error).__name__, "status": _status(error), "text": str(error)}}


def _status(error: BaseException) -> int | None:
    """The HTTP status that an exception, or one that led to it, carries."""
    for one in _chain(error):
        for name in ("status_code", "code", "status"):
            status = getattr(one, name, None)
            if isinstance(status, int):
                return int(status)
    return None


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__
