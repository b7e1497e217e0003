"""The top level of a Messages request, read once per call and no deeper: this is the hot path.

Rule 1: nested values stay bytes (`msgspec.Raw`); one typed decode of the top level. Rule 2: what is admitted under a model's
name is sent under it: a body in which `model` could be read in two ways (given twice, or spelled with escapes) is refused,
because parsers differ in which of the two they take. The same reading serves count_tokens, which has no `max_tokens`.
"""

from __future__ import annotations

import msgspec
from msgspec import Raw, Struct

from gateway.core.sifting import LONG, mark
from gateway.core.splice import around, places
from gateway.dialects.anthropic_client_checks import bad, optional_bool, optional_int, optional_text
from gateway.dialects.anthropic_client_foreign import has_foreign
from gateway.dialects.anthropic_client_sift import sift_anthropic
from gateway.types import BadRequest, Peek

MAX_MODEL_CHARS = 256
MAX_OUTPUT = 2**31 - 1  # tokens: more than any model will write, and still a number that can be reckoned with


class _Plain(Struct):
    """The members that matter, when each is of its right type."""

    messages: Raw
    model: str | None = None
    stream: bool | None = None
    max_tokens: int | None = None
    temperature: float | None = None


_decode_plain = msgspec.json.Decoder(_Plain).decode
_decode_top = msgspec.json.Decoder(dict[str, Raw]).decode


def peek(body: bytes) -> Peek:
    """Read what admission needs. Raises BadRequest. Usage always comes in an Anthropic stream: include_usage is True."""
    try:
        top = _decode_plain(body)
        if not body.isascii():
            body.decode()  # what is left as bytes has not been looked into
    except (ValueError, RecursionError):
        return _peek_closely(body)
    cap, model = top.max_tokens, top.model or ""
    rest = body if len(body) < LONG else around(body, "messages", top.messages)
    odd = (
        (b"\\" in rest and b"\\u" in rest)
        or rest.count(b'"model"') > 1
        or rest.count(b'"max_tokens"') > 1
        or len(model) > MAX_MODEL_CHARS
        or bytes(memoryview(top.messages)[:2]) != b"[{"
    )
    if odd or (cap is not None and not 0 <= cap <= MAX_OUTPUT):
        return _peek_closely(body)
    warm = top.temperature is not None
    found = Peek(model, top.stream is True, cap, include_usage=True, has_temperature=warm, warms=cap == 0)
    return mark(found, body, rest, top.messages, sift_anthropic, has_foreign)


def _peek_closely(body: bytes) -> Peek:
    """Member by member, to say what is wrong with a body that is odd in some way."""
    fields = _top(body)
    twice = body.count(b'"model"') > 1 or body.count(b'"max_tokens"') > 1
    if (twice or b"\\u" in body) and places(body, fields) is None:
        message = "The request body gives a top-level field twice, or spells its name with escapes."
        raise BadRequest(message, code="invalid_json")
    model = optional_text(_value(fields, "model"), "model") or ""
    if len(model) > MAX_MODEL_CHARS:  # nobody's name, and it would stand in logs and memories
        raise bad("model", f"String should have at most {MAX_MODEL_CHARS} characters")
    _check_messages(fields.get("messages"))
    cap = optional_int(_value(fields, "max_tokens"), "max_tokens", 0, MAX_OUTPUT)
    return Peek(
        model,
        optional_bool(_value(fields, "stream"), "stream") or False,
        cap,
        include_usage=True,
        has_temperature=_value(fields, "temperature") is not None,
        foreign=has_foreign(body),
        warms=cap == 0,
    )


def _top(body: bytes) -> dict[str, Raw]:
    try:
        body.decode()
        return _decode_top(body)
    except msgspec.ValidationError:
        raise BadRequest("The request body must be a JSON object.", code="invalid_json") from None
    except RecursionError:
        raise BadRequest("The request body is nested too deeply.", code="invalid_json") from None
    except ValueError as error:
        raise BadRequest(f"The request body is not valid JSON: {error}", code="invalid_json") from None


def _value(fields: dict[str, Raw], key: str) -> object:
    """A member decoded, None when it is missing. What cannot be decoded is of no type at all."""
    raw = fields.get(key)
    if raw is None:
        return None
    try:
        return msgspec.json.decode(raw)
    except (ValueError, RecursionError):
        raise bad(key, "Input is not valid JSON") from None


def _check_messages(raw: Raw | None) -> None:
    if raw is None:
        raise bad("messages", "Field required")
    spelled = memoryview(raw)
    if bytes(spelled[:1]) != b"[":
        raise bad("messages", "Input should be a valid array")
    first = bytes(spelled[1:64]).lstrip()[:1]
    if first == b"]":
        raise bad("messages", "at least one message is required")
