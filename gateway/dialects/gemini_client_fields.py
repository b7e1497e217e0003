"""What a value in a Gemini client's body must be, and how it may be spelled.

Rule 1: proto JSON takes every field in camelCase and in snake_case, whole numbers as strings, enums as words or numbers, and
one item where a list is wanted; so does this. Rule 2: only fields of messages are respelled, never the keys of a client's own
objects (arguments, results, the names of properties). Rule 3: an error names the place in camelCase, as Google does.
Source: https://protobuf.dev/programming-guides/json/, google-genai's and google-generativeai's requests.
"""

from __future__ import annotations

import binascii
import re
from collections.abc import Mapping
from typing import Any

from gateway.types import BadRequest

Fields = dict[str, Any]

_WHOLE = re.compile(r"-?[0-9]{1,20}")
_DECIMAL = re.compile(r"-?[0-9]{1,20}(\.[0-9]{1,30})?([eE][+-]?[0-9]{1,2})?")
_SPACE = re.compile(r"\s+")
_URL_SAFE = str.maketrans("-_", "+/")
_KINDS: dict[type, str] = {
    bool: "a boolean",
    int: "a whole number",
    float: "a number",
    str: "a string",
    list: "a list",
    dict: "an object",
}


def wrong_type(where: str, expected: str, value: object) -> BadRequest:
    got = _KINDS.get(type(value), "null")
    return BadRequest(
        f"Invalid JSON payload received. Invalid value at '{where}': expected {expected}, but got {got}.", where
    )


def missing(where: str) -> BadRequest:
    return BadRequest(f"Invalid value at '{where}': the field is required and not specified.", where)


def invalid(where: str, message: str) -> BadRequest:
    return BadRequest(f"Invalid value at '{where}': {message}", where)


def inside(where: str, name: str) -> str:
    """The place of a field of the message at `where`, "" being the top."""
    return f"{where}.{name}" if where else name


def camel(name: str) -> str:
    """`max_output_tokens` as `maxOutputTokens`; a name without underscores as it is."""
    if "_" not in name:
        return name
    first, *others = name.lstrip("_").split("_")
    return first + "".join(word[:1].upper() + word[1:] for word in others)


def members(value: object, where: str) -> Fields:
    """The fields of a message under their camelCase names; one given in both spellings is refused."""
    given = object_(value, where or "the request")
    if not any("_" in name for name in given):
        return given
    fields: Fields = {}
    for name, item in given.items():
        known = camel(name)
        if known in fields:
            raise invalid(inside(where, known), "the field is given twice.")
        fields[known] = item
    return fields


def object_(value: object, where: str) -> Fields:
    if isinstance(value, dict):
        return value
    raise missing(where) if value is None else wrong_type(where, "an object", value)


def optional_object(value: object, where: str) -> Fields | None:
    return None if value is None else object_(value, where)


def repeated(value: object) -> list[Any]:
    """A repeated field: a list, nothing, or one item by itself."""
    if isinstance(value, list):
        return value
    return [] if value is None else [value]


def text(value: object, where: str) -> str:
    if isinstance(value, str):
        return value
    raise missing(where) if value is None else wrong_type(where, "a string", value)


def optional_text(value: object, where: str) -> str:
    """A string, "" when there is none: proto JSON does not tell the two apart."""
    return "" if value is None else text(value, where)


def name(value: object, where: str) -> str:
    """A string that must say something."""
    return optional_text(value, where) or _refuse_empty(where)


def _refuse_empty(where: str) -> str:
    raise missing(where)


def optional_bool(value: object, where: str) -> bool | None:
    if value is None or isinstance(value, bool):
        return value
    raise wrong_type(where, "a boolean", value)


def optional_whole(value: object, where: str, low: int, high: int) -> int | None:
    """A whole number, written as one, as a string, or with `.0` behind it."""
    if value is None:
        return None
    if (isinstance(value, str) and _WHOLE.fullmatch(value)) or (isinstance(value, float) and value.is_integer()):
        value = int(value)
    if isinstance(value, bool) or not isinstance(value, int):
        raise wrong_type(where, "a whole number", value)
    if not low <= value <= high:
        raise invalid(where, f"the value must be from {low} to {high}.")
    return value


def optional_number(value: object, where: str, low: float, high: float) -> float | None:
    if value is None:
        return None
    if isinstance(value, str) and _DECIMAL.fullmatch(value):
        value = float(value)
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise wrong_type(where, "a number", value)
    if not low <= value <= high:
        raise invalid(where, f"the value must be from {low} to {high}.")
    return value


def word(value: object, where: str, numbered: Mapping[int, str]) -> str:
    """An enum's word in capitals, "" when there is none. Clients built on protos send its number instead."""
    if isinstance(value, int) and not isinstance(value, bool):
        if value not in numbered:
            raise invalid(where, "the enum has no such value.")
        return numbered[value]
    return optional_text(value, where).upper()


def base64_text(value: object, where: str) -> str:
    """Base64 of either alphabet, padded or not, as standard padded base64 that is proven to be some."""
    given = optional_text(value, where)
    plain = _SPACE.sub("", given).translate(_URL_SAFE).rstrip("=") if _unusual(given) else given
    padded = plain if len(plain) % 4 == 0 else plain + "=" * (-len(plain) % 4)
    try:
        if padded and binascii.a2b_base64(padded, strict_mode=True):
            return padded
    except ValueError:  # binascii.Error, and text beyond ASCII
        pass
    raise invalid(where, "expected bytes as base64.")


def _unusual(given: str) -> bool:
    return len(given) % 4 != 0 or "-" in given or "_" in given or _SPACE.search(given) is not None
