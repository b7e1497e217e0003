"""The top level of a body of either of OpenAI's dialects, read member by member: to say what is wrong, or where shapes are odd.

Nested values stay bytes (`msgspec.Raw`). Rule: what is admitted under a model's name is sent under it.
"""

from __future__ import annotations

import msgspec
from msgspec import Raw

from gateway.core.splice import places
from gateway.dialects.openai_checks import check_range, wrong_type
from gateway.types import BadRequest

MAX_MODEL_CHARS = 256
MAX_OUTPUT = 2**31 - 1  # tokens: more than any model will write, and still a number that can be reckoned with

decode_top = msgspec.json.Decoder(dict[str, Raw]).decode
_decode_text = msgspec.json.Decoder(str).decode
# Members that decide what a call may cost.
DECISIVE = (b'"model"', b'"max_tokens"', b'"max_completion_tokens"', b'"max_output_tokens"', b'"n"', b'"best_of"')

_decode_whole = msgspec.json.Decoder(int).decode


def top_level(body: bytes) -> dict[str, Raw]:
    """The members, their values still bytes. Raises BadRequest when the body is no JSON object."""
    try:
        body.decode()
        return decode_top(body)
    except msgspec.ValidationError:
        raise BadRequest("The body of your request must be a JSON object.", code="invalid_json") from None
    except RecursionError:
        raise BadRequest("The JSON body of your request is nested too deeply.", code="invalid_json") from None
    except ValueError as error:
        raise BadRequest(f"We could not parse the JSON body of your request: {error}.", code="invalid_json") from None


def model_name(raw: Raw) -> str:
    """A model's name, "" for null."""
    try:
        name = _decode_text(raw)
    except ValueError:
        if bytes(raw) == b"null":
            return ""
        raise wrong_type("model", "a string", example(raw)) from None
    if len(name) > MAX_MODEL_CHARS:  # nobody's name, and it would stand in logs and memories
        raise BadRequest(f"Invalid 'model': expected at most {MAX_MODEL_CHARS} characters.", "model")
    return name


def refuse_two_readings(body: bytes, fields: dict[str, Raw]) -> None:
    """Refuse a body whose members could be read in two ways: upstreams differ in which of the two they take.

    What is admitted is what is sent, so it matters where a model or a cap could be meant: one of DECISIVE twice, or escapes.
    """
    suspicious = (b"\\" in body and b"\\u" in body) or any(body.count(name) > 1 for name in DECISIVE)
    if suspicious and places(body, fields) is None:
        message = "The JSON body of your request gives a top-level parameter twice, or spells its name with escapes."
        raise BadRequest(message, code="invalid_json")


def whole(raw: Raw, param: str, high: int | None = None) -> int | None:
    """A whole number of at least 1, None for null."""
    try:
        number = _decode_whole(raw)
    except ValueError:
        if bytes(raw) == b"null":
            return None
        raise wrong_type(param, "an integer", example(raw)) from None
    check_range(number, param, 1, high)
    return number


def boolean(raw: Raw, param: str) -> bool:
    """true or false; null is false."""
    spelled = bytes(raw)
    if spelled == b"true":
        return True
    if spelled in (b"false", b"null"):
        return False
    raise wrong_type(param, "a boolean", example(raw))


def example(raw: Raw) -> object:
    """An example of what stands there, for an error text; the kind shows in its first byte."""
    first = bytes(memoryview(raw)[:1])
    if first in b"-0123456789":
        return 0 if bytes(raw).lstrip(b"-").isdigit() else 0.5
    return {b'"': "", b"{": {}, b"[": [], b"t": True, b"f": False}.get(first)
