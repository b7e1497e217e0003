"""The error object of OpenAI's dialects. Source: openai-python, types/shared/error_object.py."""

from __future__ import annotations

from typing import Any

import msgspec

from gateway.types import ClientError


def write_error(error: ClientError) -> bytes:
    """The body of an error answer: all four keys, and `attempts` after all candidates failed."""
    return msgspec.json.encode({"error": error_object(error)})


def error_object(error: ClientError) -> dict[str, Any]:
    """What stands under `error`."""
    written: dict[str, Any] = {"message": error.message, "type": error.type, "param": error.param, "code": error.code}
    if error.attempts is not None:
        written["attempts"] = error.attempts
    return written
