"""A native chat request: its top level for admission, and all of it."""

from __future__ import annotations

from typing import Literal

import msgspec
from msgspec import Raw, Struct

from gateway.core.jsontext import NotJson, decode
from gateway.types import BadRequest, Message, Part, Peek, Request, Text

_KNOWN = frozenset(
    {"messages", "temperature", "maxTokens", "sessionId", "model", "stream", "preferredProvider", "requestId"}
)

MAX_MODEL_CHARS = 256

_decode_top = msgspec.json.Decoder(dict[str, Raw]).decode


class _Part(Struct):
    type: Literal["text"]
    text: str


class _Message(Struct):
    role: Literal["system", "developer", "user", "assistant"]
    content: str | list[_Part]


class _Head(Struct, rename="camel"):
    """All but the messages. Numbers are checked by `_check`, whose words name the range."""

    model: str | None = None
    stream: bool | None = None
    temperature: float | None = None
    max_tokens: int | None = None
    session_id: str | None = None
    preferred_provider: str | None = None


_decode_head = msgspec.json.Decoder(_Head).decode


def peek(body: bytes) -> Peek:
    """Read the top level. Raises BadRequest."""
    try:
        fields, head = _decode_top(body), _decode_head(body)
    except msgspec.ValidationError as error:
        raise _invalid(error) from None
    except (ValueError, RecursionError) as error:
        raise _no_json(str(error)) from None
    _check(head)
    messages = fields.get("messages")
    if messages is None or bytes(messages)[:1] != b"[" or bytes(messages)[1:].lstrip()[:1] == b"]":
        raise BadRequest("'messages' must be an array of at least one message.", "messages")
    return Peek(
        model=head.model or "",
        stream=head.stream or False,
        max_tokens=head.max_tokens,
        include_usage=True,
        has_temperature=head.temperature is not None,
        preferred=head.preferred_provider or "",
        session=head.session_id or "",
    )


def read_request(body: bytes) -> Request:
    """Read all of it; members that the API does not know go to `extra`. Raises BadRequest."""
    try:
        given = decode(body)
    except NotJson as error:
        raise _no_json(str(error)) from None
    try:
        head = msgspec.convert(given, _Head)
    except msgspec.ValidationError as error:
        raise _invalid(error) from None
    _check(head)
    return Request(
        model=head.model or "",
        messages=_messages(given.get("messages")),
        temperature=head.temperature,
        max_tokens=head.max_tokens,
        stream=head.stream or False,
        include_usage=True,
        extra={key: value for key, value in given.items() if key not in _KNOWN},
    )


def _messages(value: object) -> list[Message]:
    if not isinstance(value, list) or not value:
        raise BadRequest("'messages' must be an array of at least one message.", "messages")
    return [_message(item, f"messages[{place}]") for place, item in enumerate(value)]


def _message(item: object, param: str) -> Message:
    try:
        message = msgspec.convert(item, _Message)
    except msgspec.ValidationError as error:
        raise _invalid(error, param) from None
    return Message(message.role, _parts(message.content))


def _parts(content: str | list[_Part]) -> list[Part]:
    return [Text(content)] if isinstance(content, str) else [Text(part.text) for part in content]


def _check(head: _Head) -> None:
    if head.max_tokens is not None and not 1 <= head.max_tokens < 2**31:
        raise BadRequest("'maxTokens' must be a whole number between 1 and 2147483647.", "maxTokens")
    if len(head.model or "") > MAX_MODEL_CHARS:
        raise BadRequest(f"'model' must be a name of at most {MAX_MODEL_CHARS} characters.", "model")
    if head.temperature is not None and not 0 <= head.temperature <= 2:
        raise BadRequest("'temperature' must be a number between 0 and 2.", "temperature")


def _no_json(why: str) -> BadRequest:
    return BadRequest(f"We could not parse the JSON body of your request: {why}.", code="invalid_json")


def _invalid(error: msgspec.ValidationError, inside: str = "") -> BadRequest:
    """msgspec ends its text with the place: "Expected `str`, got `int` - at `$.content`"."""
    said, _, place = str(error).partition(" - at ")
    param = (inside + place.strip("`").removeprefix("$")).removeprefix(".")
    if not param:
        return BadRequest("The body of your request must be a JSON object.", code="invalid_json")
    return BadRequest(f"Invalid '{param}': {said[:1].lower()}{said[1:]}.", param)
