"""JSON Schema as Anthropic's structured outputs and strict tools take it.

Mirrors the transformer of Anthropic's own SDK (anthropic/lib/_parse/_transform.py): what the grammar cannot enforce moves into
the description, where the model still reads it. Rule 1: the client's schema is never changed, the result is built anew.
Rule 2: what would come out meaning something else is `Unrepresentable`; the caller then asks in words instead.
"""

from __future__ import annotations

import json
from typing import Any

MAX_DEPTH = 40
FORMATS = frozenset({"date-time", "time", "date", "duration", "email", "hostname", "uri", "ipv4", "ipv6", "uuid"})
TYPES = frozenset({"object", "array", "string", "integer", "number", "boolean", "null"})
SILENT = frozenset({"$schema", "$id", "$comment", "definitions", "$defs"})  # say nothing about the value
_COMBINED = (("anyOf", "anyOf"), ("oneOf", "anyOf"), ("allOf", "allOf"))

Schema = dict[str, Any]


class Unrepresentable(ValueError):
    """The schema says something that the grammar has no words for: open maps, tuples, recursion, nodes without a type."""


def transform(schema: Schema, prefix: str = "") -> Schema:
    """The schema in Anthropic's subset; raises Unrepresentable. `prefix` goes before the names of definitions."""
    walk = _Walk(prefix)
    definitions = {**_definitions(schema, "definitions"), **_definitions(schema, "$defs")}
    made = {prefix + name: walk.definition(prefix + name, node) for name, node in definitions.items()}
    root = walk.node(schema, 0)
    walk.check()
    return {"$defs": made, **root} if made else root


def _definitions(schema: Schema, key: str) -> Schema:
    found = schema.get(key, {})
    if not isinstance(found, dict):
        raise Unrepresentable(f"{key} is no mapping")
    return found


class _Walk:
    """One pass over one schema; remembers which definition refers to which, because recursion has no grammar."""

    def __init__(self, prefix: str) -> None:
        self._prefix = prefix
        self._inside = ""
        self._refers: dict[str, set[str]] = {"": set()}

    def definition(self, name: str, node: Any) -> Schema:
        self._inside = name
        self._refers[name] = set()
        made = self.node(node, 1)
        self._inside = ""
        return made

    def check(self) -> None:
        """Raises Unrepresentable when a definition is missing or refers to itself, also in a roundabout way."""
        done: set[str] = set()
        for name in self._refers:
            self._follow(name, (), done)

    def _follow(self, name: str, path: tuple[str, ...], done: set[str]) -> None:
        if name in path or name not in self._refers or len(path) > MAX_DEPTH:
            raise Unrepresentable(f"definition {name!r} is recursive or missing")
        if name in done:
            return
        for other in self._refers[name]:
            self._follow(other, (*path, name), done)
        done.add(name)

    def node(self, schema: Any, depth: int) -> Schema:
        """One place of the schema, with everything below it."""
        if not isinstance(schema, dict) or depth > MAX_DEPTH:
            raise Unrepresentable("a place is no schema object or nested too deeply")
        if "$ref" in schema:
            return {"$ref": self._reference(schema["$ref"])}  # the grammar takes no siblings beside a reference
        kind = schema.get("type")
        if isinstance(kind, list) and "enum" not in schema:
            return self._nullable(schema, kind, depth)
        return self._plain(schema, _type_of(schema), depth)

    def _reference(self, ref: Any) -> str:
        for start in ("#/$defs/", "#/definitions/"):
            if isinstance(ref, str) and ref.startswith(start) and "/" not in ref[len(start) :]:
                name = self._prefix + ref[len(start) :]
                self._refers[self._inside].add(name)
                return "#/$defs/" + name
        raise Unrepresentable(f"reference {ref!r} leads out of the schema")

    def _nullable(self, schema: Schema, kinds: list[Any], depth: int) -> Schema:
        others = [kind for kind in kinds if kind != "null"]
        if len(others) != 1:
            raise Unrepresentable(f"type {kinds} is a choice of several")
        inner = self.node({**schema, "type": others[0]}, depth)
        if len(kinds) == 1:
            return inner
        outer: Schema = {key: inner.pop(key) for key in ("description", "title") if key in inner}
        return {"anyOf": [inner, {"type": "null"}], **outer}

    def _plain(self, schema: Schema, kind: str | None, depth: int) -> Schema:
        rest = {key: value for key, value in schema.items() if key not in SILENT and key != "type"}
        made = _literals(rest)
        literal = bool(made)
        made.update(self._combined(rest, depth))
        if not made:
            if kind is None:
                raise Unrepresentable("a place has no type")
            made["type"] = kind
        for key in ("description", "title"):
            if key in rest:
                made[key] = rest.pop(key)
        if not literal:
            self._typed(kind, rest, made, depth)
        return _described(made, rest)

    def _combined(self, rest: Schema, depth: int) -> Schema:
        for key, name in _COMBINED:
            if isinstance(rest.get(key), list):
                return {name: [self.node(variant, depth + 1) for variant in rest.pop(key)]}
        return {}

    def _typed(self, kind: str | None, rest: Schema, made: Schema, depth: int) -> None:
        if kind == "object":
            self._object(rest, made, depth)
        elif kind == "array":
            self._array(rest, made, depth)
        elif kind == "string" and isinstance(rest.get("format"), str) and rest["format"] in FORMATS:
            made["format"] = rest.pop("format")

    def _object(self, rest: Schema, made: Schema, depth: int) -> None:
        # An object without named properties is an open map, and a closed grammar would only take the empty one.
        if "properties" not in rest and rest.get("additionalProperties") is not False:
            raise Unrepresentable("an open map")
        properties = rest.pop("properties", {})
        if not isinstance(properties, dict) or (not properties and rest.get("additionalProperties")):
            raise Unrepresentable("an open map")
        rest.pop("additionalProperties", None)
        made["properties"] = {name: self.node(value, depth + 1) for name, value in properties.items()}
        made["additionalProperties"] = False
        if isinstance(rest.get("required"), list):
            made["required"] = rest.pop("required")

    def _array(self, rest: Schema, made: Schema, depth: int) -> None:
        if "prefixItems" in rest or isinstance(rest.get("items"), list):
            raise Unrepresentable("a tuple")
        if "items" in rest:
            made["items"] = self.node(rest.pop("items"), depth + 1)
        if rest.get("minItems") in (0, 1):
            made["minItems"] = rest.pop("minItems")


def _type_of(schema: Schema) -> str | None:
    """The type, or the one that the other keys let no doubt about."""
    kind = schema.get("type")
    if kind is None and "properties" in schema:
        return "object"
    if kind is None and "items" in schema:
        return "array"
    return kind if isinstance(kind, str) and kind in TYPES else None


def _literals(rest: Schema) -> Schema:
    """`enum` and `const` of plain values, which need no type beside them."""
    made: Schema = {}
    enum = rest.get("enum")
    if isinstance(enum, list) and enum and all(_is_plain(value) for value in enum):
        made["enum"] = rest.pop("enum")
    if "const" in rest and _is_plain(rest["const"]):
        made["const"] = rest.pop("const")
    return made


def _is_plain(value: Any) -> bool:
    return value is None or isinstance(value, str | int | float | bool)


def _described(made: Schema, rest: Schema) -> Schema:
    """Put what is left into the description, as Anthropic's SDK does."""
    if not rest:
        return made
    words = "{" + ", ".join(f"{key}: {_words(value)}" for key, value in rest.items()) + "}"
    described = made.get("description")
    made["description"] = f"{described}\n\n{words}" if described else words
    return made


def _words(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
