"""The top level of a Chat request, read once per call and no deeper: this is the hot path.

Rule 1: nested values stay bytes (`msgspec.Raw`); one decode of the top level, then a few looks into its fields.
Rule 2: what is admitted is what is sent: a body in which `model` or a cap could be read in two ways (given twice, or spelled with
escapes) is refused, because upstreams differ in which of the two they take.
"""

from __future__ import annotations

import msgspec
from msgspec import Raw, Struct

from gateway.core.sifting import LONG, mark
from gateway.core.splice import around
from gateway.dialects.openai_chat_foreign import has_foreign
from gateway.dialects.openai_chat_sift import sift_chat
from gateway.dialects.openai_checks import missing, wrong_type
from gateway.dialects.openai_top import (
    MAX_MODEL_CHARS,
    MAX_OUTPUT,
    boolean,
    decode_top,
    example,
    model_name,
    refuse_two_readings,
    top_level,
    whole,
)
from gateway.types import BadRequest, Peek

MAX_CHOICES = 128


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
    rest = body if len(body) < LONG else around(body, "messages", top.messages)
    odd = (
        (b"\\" in rest and b"\\u" in rest)
        or rest.count(b'"model"') > 1
        or rest.count(b'"n"') > 1
        or not 1 <= many <= MAX_CHOICES
        or len(name) > MAX_MODEL_CHARS
    )
    if odd or (cap is not None and not 1 <= cap <= MAX_OUTPUT):
        return _peek_closely(body)
    if cap is not None and rest.count(b'_tokens"') > 1:  # two caps, perhaps one of them twice
        return _peek_closely(body)
    if bytes(memoryview(top.messages)[:2]) != b"[{" or (top.max_tokens is not None and top.max_tokens < 1):
        return _peek_closely(body)
    options = top.stream_options
    asked = options is not None and options.include_usage is True
    old = top.max_tokens is not None and top.max_completion_tokens is None
    found = Peek(name, top.stream is True, cap, many, asked, top.temperature is not None, old_cap=old)
    if len(body) >= LONG:
        return mark(found, body, rest, top.messages, sift_chat, has_foreign)
    if has_foreign(body):
        found.foreign = True
    return found


def _peek_closely(body: bytes) -> Peek:
    fields = top_level(body)
    model = fields.get("model")
    name = "" if model is None else model_name(model)
    refuse_two_readings(body, fields)
    _check_messages(fields.get("messages"))
    stream = "stream" in fields and boolean(fields["stream"], "stream")
    found = Peek(name, stream, foreign=has_foreign(body))
    if "max_tokens" in fields or "max_completion_tokens" in fields:
        found.max_tokens = _cap(fields)
    if "n" in fields:
        found.n = whole(fields["n"], "n", MAX_CHOICES) or 1
    if "stream_options" in fields:
        found.include_usage = _include_usage(fields["stream_options"])
    if "temperature" in fields:
        found.has_temperature = bytes(fields["temperature"]) != b"null"
    found.old_cap = found.max_tokens is not None and bytes(fields.get("max_completion_tokens", b"null")) == b"null"
    return found


def _check_messages(raw: Raw | None) -> None:
    if raw is None:
        raise missing("messages")
    head = bytes(memoryview(raw)[:2])
    if head == b"[{":
        return
    if head[:1] != b"[":
        raise wrong_type("messages", "an array of objects", example(raw))
    if bytes(raw)[1:].lstrip()[:1] == b"]":
        message = (
            "Invalid 'messages': empty array. Expected an array with minimum length 1, but got an empty array instead."
        )
        raise BadRequest(message, "messages")


def _cap(fields: dict[str, Raw]) -> int | None:
    """The first of the two spellings that says something; both are checked."""
    caps = [whole(fields[key], key, MAX_OUTPUT) for key in ("max_completion_tokens", "max_tokens") if key in fields]
    return next((cap for cap in caps if cap is not None), None)


def _include_usage(raw: Raw) -> bool:
    if bytes(raw) == b"null":
        return False
    try:
        options = decode_top(raw)
    except ValueError:
        raise wrong_type("stream_options", "an object", example(raw)) from None
    asked = options.get("include_usage")
    return asked is not None and boolean(asked, "stream_options.include_usage")
