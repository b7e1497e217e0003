"""What a value in a client's Messages request must be, and Anthropic's words when it is not.

Places are spelled as Anthropic spells them: `messages.2.content.0.text`. Every check gives the value back with its type, or
raises BadRequest with the place as `param` and at the beginning of the message, where Anthropic's clients look for it.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from gateway.core.jsontext import NotJson, decode
from gateway.types import BadRequest

MAX_SHOWN = 100  # characters of a client's own text that an error repeats


def bad(param: str, what: str, code: str = "invalid_request") -> BadRequest:
    return BadRequest(f"{param}: {what}", param, code)


def fields_of(body: bytes) -> dict[str, Any]:
    """The body's top level, whole and checked to be JSON. Raises BadRequest with code invalid_json."""
    try:
        fields = decode(body)
    except NotJson as error:
        raise BadRequest(f"The request body is not valid JSON: {error}", code="invalid_json") from None
    if not isinstance(fields, dict):
        raise BadRequest("The request body must be a JSON object.", code="invalid_json")
    return fields


def text(value: object, param: str) -> str:
    """A string that must be there."""
    if isinstance(value, str):
        return value
    raise bad(param, "Field required" if value is None else "Input should be a valid string")


def name(value: object, param: str) -> str:
    """A string that must be there and say something."""
    found = text(value, param)
    if not found:
        raise bad(param, "String should have at least 1 character")
    return found


def optional_text(value: object, param: str) -> str | None:
    return None if value is None else text(value, param)


def optional_bool(value: object, param: str) -> bool | None:
    if value is None or isinstance(value, bool):
        return value
    raise bad(param, "Input should be a valid boolean")


def one_of(value: object, param: str, allowed: Iterable[str]) -> str:
    found = text(value, param)
    if found not in allowed:
        choices = ", ".join(f"'{choice}'" for choice in allowed)
        raise bad(param, f"Input should be one of {choices}, got '{found[:MAX_SHOWN]}'")
    return found


def optional_int(value: object, param: str, low: int, high: int) -> int | None:
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int):
        raise bad(param, "Input should be a valid integer")
    _check_range(value, param, low, high)
    return value


def optional_number(value: object, param: str, low: float, high: float) -> float | None:
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise bad(param, "Input should be a valid number")
    _check_range(value, param, low, high)
    return value


def _check_range(value: float, param: str, low: float, high: float) -> None:
    if value < low:
        raise bad(param, f"Input should be greater than or equal to {low}")
    if value > high:
        raise bad(param, f"Input should be less than or equal to {high}")


def object_(value: object, param: str) -> dict[str, Any]:
    if isinstance(value, dict):
        return value
    raise bad(param, "Field required" if value is None else "Input should be an object")


def optional_object(value: object, param: str) -> dict[str, Any] | None:
    return None if value is None else object_(value, param)


def objects(value: object, param: str) -> list[dict[str, Any]]:
    """An array of objects that must be there."""
    if not isinstance(value, list):
        raise bad(param, "Field required" if value is None else "Input should be a valid array")
    return [object_(item, f"{param}.{place}") for place, item in enumerate(value)]
