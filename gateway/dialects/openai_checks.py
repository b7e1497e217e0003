"""What a value in a client's request to either of OpenAI's dialects must be, and OpenAI's words when it is not.

Every check takes the value and its place as OpenAI names it (`messages[2].content[0].image_url`), gives the value back with
its type, or raises BadRequest with that place as `param`.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from gateway.types import BadRequest

_KINDS: dict[type, str] = {
    bool: "a boolean",
    int: "an integer",
    float: "a decimal",
    str: "a string",
    list: "an array",
    dict: "an object",
}


def kind_of(value: object) -> str:
    return _KINDS.get(type(value), "null")


def wrong_type(param: str, expected: str, value: object) -> BadRequest:
    return BadRequest(f"Invalid type for '{param}': expected {expected}, but got {kind_of(value)} instead.", param)


def missing(param: str) -> BadRequest:
    return BadRequest(f"Missing required parameter: '{param}'.", param)


def not_among(param: str, value: str, allowed: Iterable[str]) -> BadRequest:
    choices = ", ".join(f"'{choice}'" for choice in allowed)
    return BadRequest(f"Invalid value: '{value[:100]}'. Supported values are: {choices}.", param)


def text(value: object, param: str) -> str:
    """A string that must be there."""
    if isinstance(value, str):
        return value
    raise missing(param) if value is None else wrong_type(param, "a string", value)


def name(value: object, param: str) -> str:
    """A string that must be there and say something."""
    found = text(value, param)
    if not found:
        raise BadRequest(f"Invalid '{param}': empty string. Expected a string with minimum length 1.", param)
    return found


def optional_text(value: object, param: str) -> str | None:
    if value is None or isinstance(value, str):
        return value
    raise wrong_type(param, "a string", value)


def optional_bool(value: object, param: str) -> bool | None:
    if value is None or isinstance(value, bool):
        return value
    raise wrong_type(param, "a boolean", value)


def one_of(value: object, param: str, allowed: Iterable[str]) -> str:
    found = text(value, param)
    if found not in allowed:
        raise not_among(param, found, allowed)
    return found


def optional_int(value: object, param: str, low: int | None = None, high: int | None = None) -> int | None:
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int):
        raise wrong_type(param, "an integer", value)
    if (low is not None and value < low) or (high is not None and value > high):
        check_range(value, param, low, high)
    return value


def optional_number(value: object, param: str, low: float, high: float) -> float | None:
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise wrong_type(param, "a decimal", value)
    check_range(value, param, low, high)
    return value


def check_range(value: float, param: str, low: float | None, high: float | None) -> None:
    kind = "integer" if isinstance(value, int) else "decimal"
    if low is not None and value < low:
        raise BadRequest(
            f"Invalid '{param}': {kind} below minimum value. Expected a value >= {low}, but got {_short(value)} instead.",
            param,
        )
    if high is not None and value > high:
        raise BadRequest(
            f"Invalid '{param}': {kind} above maximum value. Expected a value <= {high}, but got {_short(value)} instead.",
            param,
        )


def object_(value: object, param: str) -> dict[str, Any]:
    if isinstance(value, dict):
        return value
    raise missing(param) if value is None else wrong_type(param, "an object", value)


def optional_object(value: object, param: str) -> dict[str, Any] | None:
    if value is None or isinstance(value, dict):
        return value
    raise wrong_type(param, "an object", value)


def array(value: object, param: str) -> list[Any]:
    if isinstance(value, list):
        return value
    raise missing(param) if value is None else wrong_type(param, "an array", value)


def objects(value: object, param: str) -> list[dict[str, Any]]:
    """An array of objects."""
    found = value if isinstance(value, list) else array(value, param)
    for place, item in enumerate(found):
        if not isinstance(item, dict):
            object_(item, f"{param}[{place}]")  # says what is wrong
    return found


def _short(number: float) -> str:
    try:
        return f"{number:.6g}" if abs(number) >= 1e15 else str(number)
    except OverflowError:
        return "a number of more than 300 digits"
