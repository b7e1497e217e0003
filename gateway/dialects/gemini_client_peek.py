"""The top level of a generateContent request, read once per call and no deeper: this is the hot path.

The model and whether to stream stand in the URL; they are left empty here.
Rule 1: contents stay bytes; one typed decode of the top and of generationConfig.
Rule 2: what is admitted is sent: a body whose output cap or number of candidates could be read in two ways (given twice, in
both spellings, or with escapes in its name) is refused, because the upstream may read the other one.
"""

from __future__ import annotations

import msgspec
from msgspec import Raw, Struct, field

from gateway.core.jsontext import NotJson, decode
from gateway.core.sifting import LONG, mark
from gateway.core.splice import around, places
from gateway.dialects.gemini_client_fields import Fields, inside, invalid, members, missing, optional_whole
from gateway.dialects.gemini_client_sift import sift_gemini
from gateway.dialects.gemini_foreign import has_foreign
from gateway.types import BadRequest, Peek

MAX_CANDIDATES = 8
MAX_OUTPUT = 2**31 - 1  # tokens: more than any model will write, and what the wire's int32 holds
CONFIG = "generationConfig"

_SPELLED = b'"generation'  # how the name of generationConfig begins in either spelling
_INNER = (b'"maxOutputTokens"', b'"max_output_tokens"', b'"candidateCount"', b'"candidate_count"')
_decode_top = msgspec.json.Decoder(dict[str, Raw]).decode


class _Config(Struct):
    max_tokens: int | None = field(default=None, name="maxOutputTokens")
    max_tokens_snake: int | None = field(default=None, name="max_output_tokens")
    candidates: int | None = field(default=None, name="candidateCount")
    candidates_snake: int | None = field(default=None, name="candidate_count")
    temperature: float | None = None


class _Plain(Struct):
    """The members that matter, when each is of its right type."""

    contents: Raw
    config: Raw = field(default=Raw(), name="generationConfig")
    config_snake: Raw = field(default=Raw(), name="generation_config")


_decode_plain = msgspec.json.Decoder(_Plain).decode
_decode_config = msgspec.json.Decoder(_Config | None).decode


def peek(body: bytes) -> Peek:
    """Read what admission needs. Raises BadRequest, in Google's words.

    Nearly every body is plain and takes one typed decode; what is not is looked at member by member, to say what is wrong.
    """
    try:
        top = _decode_plain(body)
        raw = bytes(top.config or top.config_snake or b"null")
        config = _decode_config(raw) or _Config()
        if not body.isascii():
            body.decode()  # what is left as bytes has not been looked into
    except (ValueError, RecursionError):
        return _peek_closely(body)
    cap = config.max_tokens if config.max_tokens_snake is None else config.max_tokens_snake
    many = config.candidates if config.candidates_snake is None else config.candidates_snake
    rest = body if len(body) < LONG else around(body, "contents", top.contents)
    odd = (
        (b"\\" in rest and b"\\u" in rest)
        or rest.count(_SPELLED) > 1
        or sum(map(raw.count, _INNER[:2])) > 1
        or sum(map(raw.count, _INNER[2:])) > 1
    )
    if odd or not (cap is None or 1 <= cap <= MAX_OUTPUT) or not (many is None or 1 <= many <= MAX_CANDIDATES):
        return _peek_closely(body)
    if bytes(memoryview(top.contents)[:2]) != b"[{":
        return _peek_closely(body)
    found = Peek("", False, cap, many or 1, has_temperature=config.temperature is not None)
    return mark(found, body, rest, top.contents, sift_gemini, has_foreign)


def _peek_closely(body: bytes) -> Peek:
    fields = _top(body)
    if places(body, fields) is None and (body.count(_SPELLED) > 1 or b"\\u" in body):
        message = "Invalid JSON payload received. A field is given twice, or its name is spelled with escapes."
        raise BadRequest(message, code="invalid_json")
    top = members(dict(fields), "")
    _check_contents(top.get("contents"))
    raw = top.get(CONFIG)
    found = Peek("", False, foreign=has_foreign(body))
    return with_config(found, _config(bytes(raw)) if raw is not None else {})


def with_config(peek: Peek, config: Fields) -> Peek:
    """`peek` with what `config`, a generationConfig under its camelCase names, says. Raises BadRequest."""
    peek.max_tokens = optional_whole(config.get("maxOutputTokens"), inside(CONFIG, "maxOutputTokens"), 1, MAX_OUTPUT)
    peek.n = optional_whole(config.get("candidateCount"), inside(CONFIG, "candidateCount"), 1, MAX_CANDIDATES) or 1
    peek.has_temperature = config.get("temperature") is not None
    return peek


def _top(body: bytes) -> dict[str, Raw]:
    try:
        body.decode()
        return _decode_top(body)
    except msgspec.ValidationError:
        raise BadRequest(
            "Invalid JSON payload received. The body must be a JSON object.", code="invalid_json"
        ) from None
    except RecursionError:
        raise BadRequest("Invalid JSON payload received. It is nested too deeply.", code="invalid_json") from None
    except ValueError as error:
        raise BadRequest(f"Invalid JSON payload received. {error}", code="invalid_json") from None


def _config(raw: bytes) -> Fields:
    """generationConfig under its camelCase names; each only once."""
    if raw == b"null":
        return {}
    try:
        config = decode(raw)
        given = members(config, CONFIG)
        if places(raw, _decode_top(raw)) is None:
            raise BadRequest("Invalid JSON payload received. A field is given twice.", CONFIG, "invalid_json")
    except NotJson as error:
        raise BadRequest(f"Invalid JSON payload received. {error}", code="invalid_json") from None
    return given


def _check_contents(raw: Raw | None) -> None:
    if raw is None or bytes(memoryview(raw)[:1]) == b"n":
        raise missing("contents")
    first = bytes(memoryview(raw)[:1])
    if first not in (b"[", b"{", b'"'):
        raise invalid("contents", "expected a list of contents.")
    if first == b"[" and bytes(raw)[1:].lstrip()[:1] == b"]":
        raise missing("contents")
