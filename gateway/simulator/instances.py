"""A value for a JSON Schema: what a model with structured output, or one that fills in a tool's arguments, would write.

Objects get all their properties (recursive ones only what is required), unions their first branch that is not null,
strings and integers are taken from the prompt where they fit. Reads JSON Schema and Google's Schema (upper-case types).
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from typing import Any

DEEP = 6  # from here on only what must be there, so that recursive schemas come to an end
BOTTOM = 24  # a schema that never ends (required recursion) is cut here

FORMATS = {
    "date-time": "2026-11-23T12:00:00Z",
    "date": "2026-11-23",
    "time": "12:00:00Z",
    "duration": "PT1H",
    "email": "simulated@example.com",
    "hostname": "simulated.example.com",
    "uri": "https://example.com/simulated",
    "url": "https://example.com/simulated",
    "ipv4": "192.0.2.1",
    "ipv6": "2001:db8::1",
    "uuid": "51000000-0000-4000-8000-000000000000",
}
# Tried in turn for a `pattern`; a pattern that none of them matches gets the first.
SAMPLES = (
    "simulated",
    "Simulated",
    "SIMULATED",
    "a",
    "A",
    "1",
    "42",
    "1.5",
    "ABC-123",
    "AB12",
    "12345",
    "+15550100",
    "#5170af",
    *FORMATS.values(),
)


class Hints:
    """Words and numbers of the prompt, handed out one after the other; words start again at the end."""

    def __init__(self, words: list[str], numbers: list[int]) -> None:
        self.words = words
        self.numbers = iter(numbers)
        self._next = 0

    def word(self) -> str | None:
        if not self.words:
            return None
        word = self.words[self._next % len(self.words)]
        self._next += 1
        return word

    def number(self) -> int | None:
        return next(self.numbers, None)


class Filler:
    """Fills one schema; `root` is where $ref points into."""

    def __init__(self, root: Any, hints: Hints) -> None:
        self.root = root
        self.hints = hints

    def fill(self, schema: Any, depth: int = 0) -> Any:
        """A value valid against `schema`."""
        if not isinstance(schema, dict) or depth > BOTTOM:
            return None if depth > BOTTOM else "simulated"
        schema = self.resolve(schema)
        if "const" in schema:
            return schema["const"]
        if schema.get("enum"):
            return schema["enum"][0]
        branches = schema.get("anyOf") or schema.get("oneOf")
        if branches:
            return self.fill(self._branch(schema, branches, depth), depth + 1)
        return self._typed(schema, self._type(schema, depth), depth)

    def resolve(self, schema: dict[str, Any]) -> dict[str, Any]:
        """The schema with its $ref followed and its allOf merged."""
        for _ in range(BOTTOM):
            if not isinstance(schema.get("$ref"), str):
                break
            schema = {**self._target(schema["$ref"]), **{key: value for key, value in schema.items() if key != "$ref"}}
        if isinstance(schema.get("allOf"), list):
            merged = {key: value for key, value in schema.items() if key != "allOf"}
            for part in schema["allOf"]:
                merged = _merge(merged, self.resolve(part))
            schema = merged
        return schema

    def _target(self, ref: str) -> dict[str, Any]:
        node: Any = self.root
        for step in ref.lstrip("#").strip("/").split("/") if ref.strip("#/") else []:
            node = node.get(step.replace("~1", "/").replace("~0", "~"), {}) if isinstance(node, dict) else {}
        return node if isinstance(node, dict) else {}

    def _branch(self, schema: dict[str, Any], branches: list[Any], depth: int) -> Any:
        nulls = [branch for branch in branches if isinstance(branch, dict) and branch.get("type") in ("null", "NULL")]
        if nulls and depth >= DEEP:
            return nulls[0]
        branch = next((branch for branch in branches if branch not in nulls), branches[0])
        rest = {
            key: value
            for key, value in schema.items()
            if key not in ("anyOf", "oneOf", "title", "description", "default")
        }
        return _merge(rest, self.resolve(branch)) if isinstance(branch, dict) else branch

    def _type(self, schema: dict[str, Any], depth: int) -> str:
        kind = schema.get("type")
        if isinstance(kind, list):
            kinds = [str(name) for name in kind]
            if "null" in kinds and depth >= DEEP:
                return "null"
            kind = next((name for name in kinds if name != "null"), "null")
        if isinstance(kind, str):
            return kind.lower()
        return "object" if "properties" in schema else "array" if "items" in schema else "string"

    def _typed(self, schema: dict[str, Any], kind: str, depth: int) -> Any:
        match kind:
            case "object":
                return self._object(schema, depth)
            case "array":
                return list(self._items(schema, depth))
            case "integer":
                return int(self._number(schema, whole=True))
            case "number":
                return self._number(schema, whole=False)
            case "boolean":
                return True
            case "null":
                return None
            case _:
                return self._string(schema)

    def _object(self, schema: dict[str, Any], depth: int) -> dict[str, Any]:
        properties = schema.get("properties") or {}
        required = [name for name in schema.get("required") or [] if isinstance(name, str)]
        names = [name for name in properties if depth < DEEP or name in required]
        # A name may be required without a schema of its own.
        names += [name for name in required if name not in properties]
        return {name: self.fill(properties.get(name, {"type": "string"}), depth + 1) for name in names}

    def _items(self, schema: dict[str, Any], depth: int) -> Iterator[Any]:
        least, most = int(schema.get("minItems") or 0), schema.get("maxItems")
        prefix = schema.get("prefixItems") or []
        wanted = max(least, len(prefix), 0 if depth >= DEEP else 1)
        for place in range(wanted if most is None else min(wanted, int(most))):
            yield self.fill(
                prefix[place] if place < len(prefix) else schema.get("items", {"type": "string"}), depth + 1
            )

    def _string(self, schema: dict[str, Any]) -> str:
        if schema.get("format") in FORMATS:
            return FORMATS[schema["format"]]
        word = self.hints.word() or "simulated"
        if isinstance(schema.get("pattern"), str):
            word = _matching(schema["pattern"], word)
        least, most = int(schema.get("minLength") or 0), schema.get("maxLength")
        word = word.ljust(least, ".")
        return word if most is None else word[: int(most)]

    def _number(self, schema: dict[str, Any], whole: bool) -> float:
        low, high = _bounds(schema, 1 if whole else 1e-6)
        step = schema.get("multipleOf") or (1 if whole else None)
        hint = self.hints.number()
        wanted: float = hint if hint is not None else 1
        value = min(max(wanted, low), high)
        if step:
            value = math.ceil(value / step) * step
            value = value - step if value > high else value
        return value


def _bounds(schema: dict[str, Any], gap: float) -> tuple[float, float]:
    low = float(schema.get("minimum", -math.inf))
    high = float(schema.get("maximum", math.inf))
    above, below = schema.get("exclusiveMinimum"), schema.get("exclusiveMaximum")
    if isinstance(above, (int, float)) and not isinstance(above, bool):
        low = max(low, above + gap)
    if isinstance(below, (int, float)) and not isinstance(below, bool):
        high = min(high, below - gap)
    return low, high


def _merge(base: dict[str, Any], more: dict[str, Any]) -> dict[str, Any]:
    merged = {**base, **more}
    if "properties" in base and "properties" in more:
        merged["properties"] = {**base["properties"], **more["properties"]}
    if "required" in base and "required" in more:
        merged["required"] = [*base["required"], *(name for name in more["required"] if name not in base["required"])]
    return merged


def _matching(pattern: str, word: str) -> str:
    try:
        rule = re.compile(pattern)
    except re.error:
        return word
    return next((sample for sample in (word, *SAMPLES) if rule.search(sample)), word)


def instance(schema: Any, hints: Hints) -> Any:
    """A value valid against `schema`, filled from `hints`."""
    return Filler(schema, hints).fill(schema)
