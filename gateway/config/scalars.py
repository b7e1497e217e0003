"""What a scalar means where its type is known.

Plain scalars follow the core schema of YAML 1.2 (section 10.3.2): true and false are the only booleans, `yes` and `on` are
texts, `0o17` and `0x1f` are numbers, `1_000` and `010:30` are not. Quoted scalars are texts. What came from the environment
or a file is a text too, and is read as if it had been written plain: "9" where a whole number is needed is 9.
Rule: a message quotes what stands in the file, never what came from elsewhere, and nothing of a private field.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from difflib import get_close_matches
from typing import Literal

from msgspec import inspect

from gateway.config.kinds import described, unwrapped
from gateway.config.masking import plausible
from gateway.settings import MOST_USD, Secret

NULL = frozenset({"", "~", "null", "Null", "NULL"})
BOOLEANS = {"true": True, "True": True, "TRUE": True, "false": False, "False": False, "FALSE": False}
MEANT_AS_BOOLEAN = {
    "yes": "true",
    "on": "true",
    "y": "true",
    "1": "true",
    "no": "false",
    "off": "false",
    "n": "false",
    "0": "false",
}
DECIMAL = re.compile(r"[-+]?[0-9]+\Z")
OCTAL = re.compile(r"0o[0-7]+\Z")
HEXADECIMAL = re.compile(r"0x[0-9a-fA-F]+\Z")
FLOAT = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?\Z")
NOT_FINITE = re.compile(r"[-+]?\.(inf|Inf|INF)\Z|\.(nan|NaN|NAN)\Z")
SEPARATED = re.compile(r"[-+]?[0-9]{1,3}([_, '][0-9]{3})+\Z")

MAX_DIGITS = 40  # of a number; longer ones are not even converted
SMALLEST = Decimal("0.000001")  # of a dollar: micro-USD are the smallest money there is
LARGEST = 2**53  # whole numbers above are not exact in JSON readers, Lua and SQLite's arithmetic

Tag = Literal["null", "bool", "int", "float", "str"]
TAGS = {"null": "nothing", "bool": "true or false", "int": "a number", "float": "a number", "str": "a text"}


@dataclass(frozen=True, slots=True)
class Value:
    """A scalar after substitution. `sources`: the variables and files in it; then `text` is theirs and is not shown."""

    text: str
    plain: bool
    sources: tuple[str, ...] = ()

    @property
    def loose(self) -> bool:
        """Whether the text is read as if written plain."""
        return self.plain or bool(self.sources)

    @property
    def is_null(self) -> bool:
        return (
            self.text.strip() in NULL
            if self.plain and not self.sources
            else bool(self.sources) and not self.text.strip()
        )


class Wrong(Exception):
    """A value that its type does not allow."""

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint


def tag_of(text: str) -> Tag:
    """What a plain scalar is by the core schema."""
    if text in NULL:
        return "null"
    if text in BOOLEANS:
        return "bool"
    if DECIMAL.match(text) or OCTAL.match(text) or HEXADECIMAL.match(text):
        return "int"
    return "float" if FLOAT.match(text) or NOT_FINITE.match(text) else "str"


def convert(value: Value, kinds: list[inspect.Type], private: bool) -> object:
    """The value as the first of `kinds` that takes it. Raises Wrong."""
    problems: list[Wrong] = []
    for kind in sorted(kinds, key=lambda kind: not isinstance(kind, inspect.LiteralType)):
        try:
            return _convert(value, unwrapped(kind)[0], private)
        except Wrong as wrong:
            problems.append(wrong)
    if len(problems) == 1:
        raise problems[0]
    raise _expected(value, " or ".join(described(kind) for kind in kinds), private)


def _convert(value: Value, kind: inspect.Type, private: bool) -> object:
    match kind:
        case inspect.BoolType():
            return _boolean(value, private)
        case inspect.IntType():
            return _in_range(_whole(value, kind, private), kind, value, private)
        case inspect.FloatType():
            return _in_range(_number(value, kind, private), kind, value, private)
        case inspect.DecimalType():
            return _dollars(value, kind, private)
        case inspect.LiteralType(values=values):
            return _literal(value, [str(each) for each in values], private)
        case inspect.CustomType(cls=cls) if cls is Secret:
            return Secret(_text(value, 1, True))
        case inspect.StrType(min_length=length, pattern=pattern):
            # A pattern says all; a hash of digits alone is no number.
            return _matching(value, kind, pattern, private) if pattern else _text(value, length or 0, private)
        case _:
            raise _expected(value, described(kind), private)


def _matching(value: Value, kind: inspect.Type, pattern: str, private: bool) -> str:
    if not re.search(pattern.replace("$", r"\Z"), value.text):
        raise _expected(value, described(kind), private)
    return value.text


def _boolean(value: Value, private: bool) -> bool:
    text = value.text.strip()
    if value.loose and text in BOOLEANS:
        return BOOLEANS[text]
    meant = MEANT_AS_BOOLEAN.get(text.lower(), "")
    raise _expected(value, "true or false", private, f"Write {meant}" if meant else _unquote(value, text in BOOLEANS))


def _whole(value: Value, kind: inspect.Type, private: bool) -> int:
    text = value.text.strip()
    if value.loose and len(text) <= MAX_DIGITS:
        if DECIMAL.match(text):
            return int(text)
        if OCTAL.match(text) or HEXADECIMAL.match(text):
            return int(text, 0)
    raise _expected(value, described(kind), private, _digits(value, text))


def _number(value: Value, kind: inspect.Type, private: bool) -> float:
    text = value.text.strip()
    if value.loose and len(text) <= MAX_DIGITS and FLOAT.match(text):
        return int(text) if DECIMAL.match(text) else float(text)
    raise _expected(value, described(kind), private, _digits(value, text))


def _dollars(value: Value, kind: inspect.Type, private: bool) -> Decimal:
    """Money is read digit by digit: no binary fraction ever stands between the file and the micro-USD."""
    text = value.text.strip()
    if value.loose and len(text) <= MAX_DIGITS and FLOAT.match(text):
        try:
            amount = Decimal(text)
        except InvalidOperation:  # an exponent beyond all measure
            amount = Decimal(-1)
        if 0 <= amount <= MOST_USD and amount == amount.quantize(SMALLEST):
            return amount
    raise _expected(value, described(kind), private, _digits(value, text))


def _digits(value: Value, text: str) -> str:
    if SEPARATED.match(text):
        return "Write the digits without separators"
    return _unquote(value, tag_of(text) in ("int", "float"))


def _unquote(value: Value, fits: bool) -> str:
    return "Remove the quotes" if fits and not value.loose else ""


def _in_range(
    number: float, kind: inspect.IntType | inspect.FloatType, value: Value, private: bool
) -> float:  # an int stays an int
    low = kind.ge is None or number >= kind.ge
    above = kind.gt is None or number > kind.gt
    high = kind.le is None or number <= kind.le
    if not (low and above and high):
        raise _expected(value, described(kind), private)
    if abs(number) > LARGEST or not math.isfinite(number):
        raise Wrong(f"the number is too large, at most {LARGEST} is kept exactly")
    return number


def _literal(value: Value, choices: list[str], private: bool) -> str:
    if value.text in choices:
        return value.text
    near = [] if value.sources else get_close_matches(value.text[:64].lower(), choices, n=1)
    raise _expected(
        value, described(inspect.LiteralType(tuple(choices))), private, f"Did you mean '{near[0]}'?" if near else ""
    )


def _text(value: Value, min_length: int, private: bool) -> str:
    if value.plain and not value.sources:
        tag = tag_of(value.text)
        if tag == "null":
            raise Wrong("this is empty; a text is needed")
        if tag != "str":
            raise _expected(value, "a text", private, "Put it in quotes")
    if len(value.text) < min_length:
        raise Wrong(_empty(value))
    return value.text


def _empty(value: Value) -> str:
    return (
        f"{' and '.join(value.sources)} is empty; a text is needed"
        if value.sources
        else "this is empty; a text is needed"
    )


def _expected(value: Value, what: str, private: bool, hint: str = "") -> Wrong:
    if value.sources:
        return Wrong(f"expected {what}, but {' and '.join(value.sources)} gives something else", hint)
    return Wrong(f"expected {what}, not {_found(value, private)}", hint)


def _found(value: Value, private: bool) -> str:
    tag: Tag = tag_of(value.text) if value.plain else "str"
    if tag == "null":
        return "nothing"
    if private or not (tag != "str" or shows(value.text)):
        return "this " + TAGS[tag].removeprefix("a ")
    return f"{value.text[:MAX_DIGITS]}" if tag != "str" else f"'{value.text}'"


def shows(text: str) -> bool:
    """Whether a text may be quoted in a message: short, and of the form of a name or a number."""
    return plausible(text) or (len(text) <= MAX_DIGITS and bool(re.match(r"[-+0-9][0-9_,.:'a-z]*\Z", text)))
