"""Whether a value is a JSON Schema at all: the keywords that the simulators read, and their types.

Source: JSON Schema draft 2020-12, the meta-schema, as far as vendors look.
"""

from __future__ import annotations

from typing import Any

MAPS = ("properties", "$defs", "definitions")
LISTS = ("anyOf", "oneOf", "allOf", "prefixItems")
NUMBERS = ("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf")
SIZES = ("minItems", "maxItems", "minLength", "maxLength")
TEXTS = ("pattern", "format", "$ref", "description")


def problem(schema: Any) -> str | None:
    """What is wrong with the first broken keyword, or None: "5 is not of type 'array'"."""
    if isinstance(schema, bool):
        return None
    if not isinstance(schema, dict):
        return _not(schema, "'object', 'boolean'")
    return _own(schema) or next(filter(None, map(problem, _inner(schema))), None)


def _not(value: Any, kind: str) -> str:
    return f"{value!r} is not of type {kind}"


def _own(schema: dict[str, Any]) -> str | None:
    wrong = [_not(schema[word], "'object'") for word in MAPS if not isinstance(schema.get(word, {}), dict)]
    wrong += [
        _not(schema[word], "'array'")
        for word in (*LISTS, "enum", "required")
        if not isinstance(schema.get(word, []), list)
    ]
    wrong += [_not(schema[word], "'number'") for word in NUMBERS if not _is(schema.get(word, 1), int, float)]
    wrong += [
        _not(schema[word], "'integer'")
        for word in SIZES
        if not (_is(schema.get(word, 1), int) and schema.get(word, 1) >= 0)
    ]
    wrong += [_not(schema[word], "'string'") for word in TEXTS if not isinstance(schema.get(word, ""), str)]
    kinds = schema.get("type", "object")
    if not all(isinstance(kind, str) for kind in (kinds if isinstance(kinds, list) and kinds else [kinds])):
        wrong.append(f"{kinds!r} is not valid under any of the given schemas")
    if not wrong and not all(isinstance(name, str) for name in schema.get("required", [])):
        wrong.append(_not(schema["required"], "'array' of 'string'"))
    if not wrong and schema.get("multipleOf", 1) <= 0:
        wrong.append(f"{schema['multipleOf']} is less than or equal to the minimum of 0")
    return wrong[0] if wrong else None


def _is(value: Any, *kinds: type) -> bool:
    return isinstance(value, kinds) and not isinstance(value, bool)


def _inner(schema: dict[str, Any]) -> list[Any]:
    inner = [item for word in MAPS for item in schema.get(word, {}).values()]
    inner += [item for word in LISTS for item in schema.get(word, [])]
    return inner + [schema[word] for word in ("items", "additionalProperties") if word in schema]
