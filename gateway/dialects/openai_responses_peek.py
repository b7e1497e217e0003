"""The top level of a Responses request, read once per call and no deeper: what admission needs, and nothing nested."""

from __future__ import annotations

import msgspec
from msgspec import Raw, Struct

from gateway.core.sifting import LONG, mark
from gateway.core.splice import around
from gateway.dialects.openai_responses_sift import has_foreign, sift_responses
from gateway.dialects.openai_top import MAX_MODEL_CHARS, MAX_OUTPUT, boolean, model_name, refuse_two_readings, top_level
from gateway.dialects.openai_top import whole as whole_number
from gateway.types import Peek


class _Plain(Struct):
    """The members that matter, when each is of its right type."""

    model: str | None = None
    stream: bool | None = None
    max_output_tokens: int | None = None
    temperature: float | None = None
    input: Raw = Raw()


_decode_plain = msgspec.json.Decoder(_Plain).decode


def peek(body: bytes) -> Peek:
    """Read what admission needs. Raises BadRequest, in OpenAI's words.

    Usage always stands in a Responses stream, so `include_usage` is always set.
    """
    try:
        top = _decode_plain(body)
        if not body.isascii():
            body.decode()
    except (ValueError, RecursionError):
        return _peek_closely(body)
    cap, name = top.max_output_tokens, top.model or ""
    rest = body if len(body) < LONG or not top.input else around(body, "input", top.input)
    escaped = b"\\" in rest and b"\\u" in rest
    odd = escaped or rest.count(b'"model"') > 1 or rest.count(b'"max_output_tokens"') > 1 or len(name) > MAX_MODEL_CHARS
    if odd or (cap is not None and not 1 <= cap <= MAX_OUTPUT):
        return _peek_closely(body)
    found = Peek(name, top.stream is True, cap, 1, True, top.temperature is not None)
    return mark(found, body, rest, top.input, sift_responses, has_foreign)


def _peek_closely(body: bytes) -> Peek:
    fields: dict[str, Raw] = top_level(body)
    model = fields.get("model")
    name = "" if model is None else model_name(model)
    refuse_two_readings(body, fields)
    stream = "stream" in fields and boolean(fields["stream"], "stream")
    found = Peek(name, stream, include_usage=True, foreign=has_foreign(body))
    if "max_output_tokens" in fields:
        found.max_tokens = whole_number(fields["max_output_tokens"], "max_output_tokens", MAX_OUTPUT)
    found.has_temperature = bytes(fields.get("temperature", b"null")) != b"null"
    return found
