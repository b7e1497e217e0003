"""countTokens, as a client and as a provider speaks it.

A bare `contents` counts only that; with `generateContentRequest` the system instruction and the tools count too, so requests
are always written in that form. Source: https://ai.google.dev/api/tokens
"""

from __future__ import annotations

import msgspec
from msgspec import Raw, Struct

from gateway.dialects.gemini_client_fields import members
from gateway.dialects.gemini_client_request import read_fields, read_object
from gateway.dialects.gemini_request import write_request
from gateway.types import BadReply, Notes, Request, Target

WHOLE = "generateContentRequest"
COUNTED = ("contents", "systemInstruction", "tools", "toolConfig")
_decode_top = msgspec.json.Decoder(dict[str, Raw]).decode


class _Count(Struct, rename="camel"):
    total_tokens: int


def read_count_request(body: bytes) -> Request:
    """What is to be counted, in either form. Raises BadRequest, never anything else."""
    fields = read_object(body)
    return read_fields(members(fields[WHOLE], WHOLE) if fields.get(WHOLE) is not None else fields)


def write_count(total: int) -> bytes:
    return msgspec.json.encode({"totalTokens": total})


def write_count_request(request: Request, target: Target, notes: Notes) -> bytes:
    """The body for :countTokens. Raises Unsupported like a chat request."""
    body = _decode_top(write_request(request, target, notes).body)
    counted = {name: body[name] for name in COUNTED if name in body}
    model = "models/" + target.model.removeprefix("models/")
    return msgspec.json.encode({WHOLE: {"model": model, **counted}})


def read_count(body: bytes) -> int:
    """The number of tokens in an answer. Raises BadReply."""
    try:
        return msgspec.json.decode(body, type=_Count).total_tokens
    except (ValueError, RecursionError) as error:
        raise BadReply(f"no countTokens answer: {error}") from None
