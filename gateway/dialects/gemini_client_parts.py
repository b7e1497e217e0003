"""One part of a Gemini client's content. Calls and results are matched with each other in gemini_client_contents.py.

Source: https://ai.google.dev/api/caching#Part, …/gemini-api/docs/thought-signatures
"""

from __future__ import annotations

from typing import Any

import msgspec

from gateway.dialects.gemini_client_fields import (
    Fields,
    inside,
    members,
    name,
    optional_bool,
    optional_object,
    optional_text,
    repeated,
    text,
)
from gateway.dialects.gemini_client_media import read_media, read_signature
from gateway.dialects.gemini_parts import GOOGLE
from gateway.types import BadRequest, Opaque, Part, Reasoning, Text, ToolCall, ToolResult, VendorBlock

BLOCKS = ("executableCode", "codeExecutionResult", "toolCall", "toolResponse")
KINDS = ("text", "inlineData", "fileData", "functionCall", "functionResponse", "thoughtSignature", *BLOCKS)


def read_part(part: Fields, where: str) -> Part:
    """Text, thought, bytes, file, or a block of Google's own; `part` has its camelCase names. Raises BadRequest."""
    signature = read_signature(part, where)
    media = read_media(part, where)
    if media is not None:
        return media
    for kind in BLOCKS:
        if part.get(kind) is not None:
            block = {key: part[key] for key in (kind, "thoughtSignature") if part.get(key) is not None}
            return VendorBlock(Opaque(GOOGLE, "server_block", block))
    if part.get("text") is None and signature is None:
        raise BadRequest(
            f"Invalid value at '{where}': required oneof field 'data' must have one initialized field.", where
        )
    said = "" if part.get("text") is None else text(part["text"], inside(where, "text"))
    if optional_bool(part.get("thought"), inside(where, "thought")) or (signature is not None and not said):
        return Reasoning(said, signature)
    return Text(said, opaque=signature)


def read_call(part: Fields, where: str, derived_id: str) -> ToolCall:
    """A functionCall; `derived_id` stands for the id that it may lack."""
    place = inside(where, "functionCall")
    given = members(part["functionCall"], place)
    args = optional_object(given.get("args"), inside(place, "args"))
    return ToolCall(
        optional_text(given.get("id"), inside(place, "id")) or derived_id,
        name(given.get("name"), inside(place, "name")),
        _json(args or {}),
        opaque=read_signature(part, where),
    )


def read_result(given: Fields, place: str, call: ToolCall) -> ToolResult:
    """A functionResponse to `call`: the keys `output` and `error` alone stand for what they hold."""
    response = optional_object(given.get("response"), inside(place, "response")) or {}
    body: Any = response
    is_error = response.keys() == {"error"}
    if is_error or response.keys() == {"output"}:
        body = next(iter(response.values()))
    parts: list[Part] = [Text(body if isinstance(body, str) else _json(body))]
    for at, item in enumerate(repeated(given.get("parts"))):
        where = f"{place}.parts[{at}]"
        media = read_media(members(item, where), where)
        if media is None:
            raise BadRequest(f"Invalid value at '{where}': expected inlineData or fileData.", where)
        parts.append(media)
    return ToolResult(call.id, parts, name=call.name, is_error=is_error)


def _json(value: Any) -> str:
    return msgspec.json.encode(value).decode()
