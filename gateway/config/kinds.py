"""The types of `gateway.settings` as data, and how they read in English.

Everything here follows from the type hints: a new setting is read, explained, documented and put into the JSON Schema without
another word in this package, but for its meaning (`gateway.config.meanings`).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import cast

from msgspec import NODEFAULT, inspect

from gateway.settings import MOST_USD, Config

ROOT = cast(inspect.StructType, inspect.type_info(Config))

PATTERNS = {"^[0-9a-f]{64}$": "64 lower-case hexadecimal digits"}


def unwrapped(kind: inspect.Type) -> tuple[inspect.Type, bool]:
    """The type below its metadata, and whether it is private: not to be quoted anywhere."""
    if isinstance(kind, inspect.Metadata):
        return kind.type, bool((kind.extra or {}).get("private"))
    return kind, isinstance(kind, inspect.CustomType)


def members(kind: inspect.Type) -> list[inspect.Type]:
    """The types a value may have, without null: the parts of a union, else the type itself."""
    parts = kind.types if isinstance(kind, inspect.UnionType) else (kind,)
    return [part for part in parts if not isinstance(part, inspect.NoneType)]


def nullable(kind: inspect.Type) -> bool:
    """Whether null is a value of this type."""
    return isinstance(kind, inspect.UnionType) and any(isinstance(part, inspect.NoneType) for part in kind.types)


def default_of(field: inspect.Field) -> object:
    """The field's default; NODEFAULT when it must be written."""
    return field.default if field.default_factory is NODEFAULT else field.default_factory()


def described(kind: inspect.Type) -> str:
    """The type as an English noun phrase: `a whole number from 0 to 65535`."""
    return " or ".join(_described(part) for part in members(kind))


def _described(kind: inspect.Type) -> str:
    match unwrapped(kind)[0]:
        case inspect.BoolType():
            return "true or false"
        case inspect.IntType() as number:
            return "a whole number" + _bounds(number)
        case inspect.FloatType() as number:
            return "a number" + _bounds(number)
        case inspect.DecimalType():
            return f"US dollars from 0 to {MOST_USD} with at most 6 decimals"
        case inspect.LiteralType(values=values):
            return _choice([str(value) for value in values])
        case inspect.StrType(pattern=str() as pattern):
            return PATTERNS.get(pattern, f"a text like {pattern}")
        case inspect.ListType(item_type=item):
            return f"a list of {plural(item)}"
        case inspect.DictType() | inspect.StructType():
            return "a mapping"
        case _:
            return "a text"


def plural(kind: inspect.Type) -> str:
    """The type in the plural, for lists: `texts`."""
    match unwrapped(kind)[0]:
        case inspect.StructType() | inspect.DictType():
            return "mappings"
        case inspect.IntType() as number:
            return "whole numbers" + _bounds(number)
        case inspect.LiteralType(values=values):
            return _choice([str(value) for value in values])
        case _:
            return "texts"


def _choice(values: list[str]) -> str:
    return values[0] if len(values) == 1 else "one of " + ", ".join(values)


def _bounds(number: inspect.IntType | inspect.FloatType) -> str:
    low = f"{number.ge:g}" if number.ge is not None else ""
    if low and number.le is not None:
        return f" from {low} to {number.le:g}"
    if number.gt is not None:
        low = f"above {number.gt:g}"
        return f" {low} and at most {number.le:g}" if number.le is not None else f" {low}"
    return f" of at least {low}" if low else ""


def _words(kind: inspect.Type) -> Iterator[str]:
    match unwrapped(kind)[0]:
        case inspect.UnionType(types=parts):
            for part in parts:
                yield from _words(part)
        case inspect.ListType(item_type=item) | inspect.DictType(value_type=item):
            yield from _words(item)
        case inspect.StructType(fields=fields):
            for field in fields:
                yield field.name
                yield from _words(field.type)
        case inspect.LiteralType(values=values):
            yield from (str(value) for value in values)


WORDS = frozenset(_words(ROOT)) | {"true", "false", "null", "-", "default"}
