"""The top level of a Chat request, read once per call and no deeper: this is the hot path.

Rule 1: nested values stay bytes (`msgspec.Raw`); one decode of the top level, then a few looks into its fields.
Rule 2: what is admitted under a model's name is sent under it: a body in which `model` could be read in two ways (given
twice, or spelled with escapes) is refused, because upstreams differ in which of the two they take.
"""

from __future__ import annotations

import msgspec
from msgspec import Raw, Struct

from gateway.core.splice import places
from gateway.dialects.openai_checks import check_range, missing, wrong_type
from gateway.types import BadRequest, Peek

MAX_CHOICES = 128
MAX_MODEL_CHARS = 256
MAX_OUTPUT = 2**31 - 1  # tokens: more than any model will write, and still a number that can be reckoned with

_decode_top = msgspec.json.Decoder(dict[str, Raw]).decode
_decode_text = msgspec.json.Decoder(str).decode
_decode_whole = msgspec.json.Decoder(int).decode


class _StreamOptions(Struct):
    include_usage: bool | None = None


class _Plain(Struct):
    """The members that matter, when each is of its right type."""

    messages: Raw
    model: str | None = None
    stream: bool | None = None
    max_tokens: int | None = None
    max_completion_tokens: int | None = None
    n: int | None = None
    stream_options: _StreamOptions | None = None
    temperature: float | None = None


_decode_plain = msgspec.json.Decoder(_Plain).decode


def peek(body: bytes) -> Peek:
    """Read what admission needs. Raises BadRequest, in OpenAI's words.

    Nearly every body is plain and takes one typed decode; what is not is looked at member by member, to say what is wrong.
    """
    try:
        top = _decode_plain(body)
        if not body.isascii():
            body.decode()  # what is left as bytes has not been looked into
    except (ValueError, RecursionError):
        return _peek_closely(body)
    cap = top.max_tokens if top.max_completion_tokens is None else top.max_completion_tokens
    many = 1 if top.n is None else top.n
    name = top.model or ""
    odd = (
        (b"\\" in body and b"\\u" in body)
        or body.count(b'"model"') > 1
        or not 1 <= many <= MAX_CHOICES
        or len(name) > MAX_MODEL_CHARS
    )
    if odd or (cap is not None and not 1 <= cap <= MAX_OUTPUT):
        return _peek_closely(body)
    if bytes(memoryview(top.messages)[:2]) != b"[{" or (top.max_tokens is not None and top.max_tokens < 1):
        return _peek_closely(body)
    options = top.stream_options
    asked = options is not None and options.include_usage is True
    old = top.max_tokens is not None and top.max_completion_tokens is None
    return Peek(name, top.stream is True, cap, many, asked, top.temperature is not None, old_cap=old)


def _peek_closely(body: bytes) -> Peek:
    fields = _top(body)
    model = fields.get("model")
    name = "" if model is None else _model(model)
    if body.count(b'"model"') > 1 or (b"\\" in body and b"\\u" in body):
        _refuse_two_readings(body, fields)
    _check_messages(fields.get("messages"))
    stream = "stream" in fields and _boolean(fields["stream"], "stream")
    found = Peek(name, stream)
    if "max_tokens" in fields or "max_completion_tokens" in fields:
        found.max_tokens = _cap(fields)
    if "n" in fields:
        found.n = _whole(fields["n"], "n", MAX_CHOICES) or 1
    if "stream_options" in fields:
        found.include_usage = _include_usage(fields["stream_options"])
    if "temperature" in fields:
        found.has_temperature = bytes(fields["temperature"]) != b"null"
    found.old_cap = found.max_tokens is not None and bytes(fields.get("max_completion_tokens", b"null")) == b"null"
    return found


def _top(body: bytes) -> dict[str, Raw]:
    try:
        body.decode()
        return _decode_top(body)
    except msgspec.ValidationError:
        raise BadRequest("The body of your request must be a JSON object.", code="invalid_json") from None
    except RecursionError:
        raise BadRequest("The JSON body of your request is nested too deeply.", code="invalid_json") from None
    except ValueError as error:
        raise BadRequest(f"We could not parse the JSON body of your request: {error}.", code="invalid_json") from None


def _model(raw: Raw) -> str:
    try:
        name = _decode_text(raw)
    except ValueError:
        if bytes(raw) == b"null":
            return ""
        raise wrong_type("model", "a string", _value(raw)) from None
    if len(name) > MAX_MODEL_CHARS:  # nobody's name, and it would stand in logs and memories
        raise BadRequest(f"Invalid 'model': expected at most {MAX_MODEL_CHARS} characters.", "model")
    return name


def _refuse_two_readings(body: bytes, fields: dict[str, Raw]) -> None:
    if places(body, fields) is None:
        message = "The JSON body of your request gives a top-level parameter twice, or spells its name with escapes."
        raise BadRequest(message, code="invalid_json")


def _check_messages(raw: Raw | None) -> None:
    if raw is None:
        raise missing("messages")
    head = bytes(memoryview(raw)[:2])
    if head == b"[{":
        return
    if head[:1] != b"[":
        raise wrong_type("messages", "an array of objects", _value(raw))
    if bytes(raw)[1:].lstrip()[:1] == b"]":
        message = (
            "Invalid 'messages': empty array. Expected an array with minimum length 1, but got an empty array instead."
        )
        raise BadRequest(message, "messages")


def _cap(fields: dict[str, Raw]) -> int | None:
    """The first of the two spellings that says something; both are checked."""
    caps = [_whole(fields[key], key, MAX_OUTPUT) for key in ("max_completion_tokens", "max_tokens") if key in fields]
    return next((cap for cap in caps if cap is not None), None)


def _whole(raw: Raw, param: str, high: int | None = None) -> int | None:
    try:
        number = _decode_whole(raw)
    except ValueError:
        if bytes(raw) == b"null":
            return None
        raise wrong_type(param, "an integer", _value(raw)) from None
    check_range(number, param, 1, high)
    return number


def _boolean(raw: Raw, param: str) -> bool:
    spelled = bytes(raw)
    if spelled == b"true":
        return True
    if spelled in (b"false", b"null"):
        return False
    raise wrong_type(param, "a boolean", _value(raw))


def _include_usage(raw: Raw) -> bool:
    if bytes(raw) == b"null":
        return False
    try:
        options = _decode_top(raw)
    except ValueError:
        raise wrong_type("stream_options", "an object", _value(raw)) from None
    asked = options.get("include_usage")
    return asked is not None and _boolean(asked, "stream_options.include_usage")


def _value(raw: Raw) -> object:
    """An example of what stands there, for an error text; the kind shows in its first byte."""
    first = bytes(memoryview(raw)[:1])
    if first in b"-0123456789":
        return 0 if bytes(raw).lstrip(b"-").isdigit() else 0.5
    return {b'"': "", b"{": {}, b"[": [], b"t": True, b"f": False}.get(first)
