"""JSON Schema to the subset of OpenAPI's schema that Gemini before 2.5 takes, and the shape of a function's parameters.

Newer models read JSON Schema as it is (`parametersJsonSchema`, `responseJsonSchema`); for them only `object_root` is used.

Rule 1: keywords are looked at in schema positions only. A property that happens to be named `default` or `not` survives.
Rule 2: the client's schema is never changed; every node is built anew.
Rule 3: what cannot be said in the subset is described in words where that helps the model, and left out where it does not.
Source: https://ai.google.dev/api/caching#Schema and the refusals that its servers send.
"""

from __future__ import annotations

from typing import Any

import msgspec

from gateway.types import Notes, Unsupported

Node = dict[str, Any]

MAX_RECURSION = 5  # how often one definition is written inside itself
MAX_NODES = 4000
MAX_DEPTH = 64
ANY: Node = {"type": "STRING", "description": "JSON value, encoded"}
TOO_LARGE = "The JSON schema is too deep or too large for this model; simplify it."
ENCODED_OBJECT = "JSON object, encoded"
CUT: Node = {"type": "object"}  # compared by identity: where a recursive definition stops

KEPT = ("title", "description", "default", "nullable", "minItems", "maxItems", "minLength", "maxLength")
KEPT_TOO = ("pattern", "minimum", "maximum", "minProperties", "maxProperties")
FORMATS = {"STRING": ("enum", "date-time"), "INTEGER": ("int32", "int64"), "NUMBER": ("float", "double")}
CONTENT = ("properties", "additionalProperties", "patternProperties", "allOf", "anyOf", "oneOf", "$ref")
SHAPES = ("type", "properties", "items", "enum", "const", "anyOf", "oneOf", "allOf", "$ref")
TYPE_NAMES = {bool: "BOOLEAN", int: "INTEGER", float: "NUMBER", str: "STRING", dict: "OBJECT", list: "ARRAY"}


def object_root(schema: Node | None) -> tuple[Node | None, bool]:
    """A function's parameters with an object at the root, and whether they had to be wrapped as its property `value`.

    None stands for a function without parameters: Gemini wants the field left out then.
    """
    if not schema:
        return None, False
    schema = _inlined(schema)
    kind = schema.get("type")
    if kind == "object" or (isinstance(kind, list) and "object" in kind) or _looks_like_object(schema):
        return ({**schema, "type": "object"} if any(schema.get(key) for key in CONTENT) else None), False
    definitions: Node = {key: schema[key] for key in ("$defs", "definitions") if key in schema}
    inner = {key: value for key, value in schema.items() if key not in definitions}
    return {"type": "object", "properties": {"value": inner}, "required": ["value"], **definitions}, True


def to_openapi(schema: Node, notes: Notes, *, param: str, ordered: bool = False, defaults: bool = True) -> Node | None:
    """`schema` in the subset; None for an object without properties, which a function leaves out.

    `ordered` adds propertyOrdering (answers follow it). Without `defaults` they are left out (function parameters).
    Raises Unsupported for a schema that grows beyond what any model takes.
    """
    converter = _Converter(schema, notes, param, ordered, defaults)
    try:
        opened, _ = converter.open(schema, ())
        return None if _is_bare_object(opened) else converter.node(schema, ())
    except RecursionError:
        raise Unsupported(param, TOO_LARGE) from None


class _Converter:
    def __init__(self, root: Node, notes: Notes, param: str, ordered: bool, defaults: bool) -> None:
        self._root = root
        self._notes = notes
        self._param = param
        self._ordered = ordered
        self._kept = tuple(key for key in KEPT if defaults or key != "default") + KEPT_TOO
        self._nodes = 0

    def node(self, schema: Any, refs: tuple[str, ...], depth: int = 0) -> Node:
        self._nodes += 1
        if self._nodes > MAX_NODES or depth > MAX_DEPTH:
            raise Unsupported(self._param, TOO_LARGE)
        if not isinstance(schema, dict) or not schema:
            return dict(ANY)
        schema, refs = self.open(schema, refs)
        if schema is CUT:
            return {"type": "OBJECT"}
        branches = schema.get("anyOf") or schema.get("oneOf")
        if isinstance(branches, list) and branches and not _only_constrains(schema, branches):
            return self._union(schema, branches, refs, depth)
        if isinstance(schema.get("type"), list):
            return self._several_types(schema, refs, depth)
        return self._plain(schema, refs, depth)

    def open(self, schema: Node, refs: tuple[str, ...]) -> tuple[Node, tuple[str, ...]]:
        """`schema` with its own $ref followed and allOf merged, and the references passed on the way."""
        while isinstance(schema.get("$ref"), str):
            ref = schema["$ref"]
            if refs.count(ref) >= MAX_RECURSION:
                return CUT, refs
            refs = (*refs, ref)
            beside = {key: value for key, value in schema.items() if key != "$ref"}
            schema = {**self._definition(ref), **beside}
        if isinstance(schema.get("allOf"), list):
            merged = {key: value for key, value in schema.items() if key != "allOf"}
            for branch in schema["allOf"]:
                opened, refs = self.open(branch, refs) if isinstance(branch, dict) else ({}, refs)
                self._merge(merged, opened)
            schema = merged
        return schema, refs

    def _definition(self, ref: str) -> Node:
        found: Any = self._root
        for step in ref.removeprefix("#").split("/")[1:]:
            found = found.get(step.replace("~1", "/").replace("~0", "~")) if isinstance(found, dict) else None
        if isinstance(found, dict) and ref.startswith("#"):
            return found
        self._notes.warn("schema_ref_unresolved")
        return {}

    def _merge(self, into: Node, branch: Node) -> None:
        for key, value in branch.items():
            mine = into.get(key)
            if key == "properties" and isinstance(mine, dict) and isinstance(value, dict):
                into[key] = {**mine, **{name: value[name] for name in value if name not in mine}}
            elif key == "required" and isinstance(mine, list) and isinstance(value, list):
                into[key] = mine + [name for name in value if name not in mine]
            elif key in into and into[key] != value and key not in ("title", "description"):
                self._notes.warn("schema_conflict")  # the first one wins
            else:
                into.setdefault(key, value)

    def _union(self, schema: Node, branches: list[Any], refs: tuple[str, ...], depth: int) -> Node:
        others = [branch for branch in branches if not _is_null(branch)]
        beside: Node = {
            key: schema[key] for key in ("title", "description", "default") if key in schema and key in self._kept
        }
        nodes = [self.node(branch, refs, depth + 1) for branch in others]
        if len(others) < len(branches):
            nodes = [{**node, "nullable": True} for node in nodes]
        if len(nodes) == 1:
            return {**nodes[0], **beside}
        if not nodes:
            return {"type": "STRING", "nullable": True, **beside}
        # Servers refuse any field beside anyOf ("it must be the only field set"): what it says moves into the branches.
        said = {"description": schema["description"]} if "description" in beside else {}
        return {"anyOf": [{**said, **node} for node in nodes]}

    def _several_types(self, schema: Node, refs: tuple[str, ...], depth: int) -> Node:
        kinds = [kind for kind in schema["type"] if kind != "null"]
        if len(kinds) <= 1:
            single = {**schema, "type": kinds[0] if kinds else "string"}
            node = self.node(single, refs, depth + 1)
        else:
            node = self._union(schema, [{**schema, "type": kind} for kind in kinds], refs, depth)
        if "null" not in schema["type"]:
            return node
        if "anyOf" in node:
            return {"anyOf": [{**branch, "nullable": True} for branch in node["anyOf"]]}
        return {**node, "nullable": True}

    def _plain(self, schema: Node, refs: tuple[str, ...], depth: int) -> Node:
        kind = _type_of(schema)
        if _is_bare_object(schema):
            return {**self._words(schema), "type": "STRING", "description": _joined(schema, ENCODED_OBJECT)}
        node: Node = {"type": kind, **{key: schema[key] for key in self._kept if key in schema}}
        if schema.get("format") in FORMATS.get(kind, ()):
            node["format"] = schema["format"]
        if kind == "INTEGER":
            _close_bounds(schema, node)
        _enumerate(schema, node)
        if kind == "OBJECT":
            self._object(schema, node, refs, depth)
        elif kind == "ARRAY":
            node["items"] = self._items(schema, refs, depth)
        return node

    def _words(self, schema: Node) -> Node:
        return {key: schema[key] for key in ("title", "nullable") if key in schema}

    def _object(self, schema: Node, node: Node, refs: tuple[str, ...], depth: int) -> None:
        properties = {name: self.node(inner, refs, depth + 1) for name, inner in _properties(schema).items()}
        node["properties"] = properties
        required = schema.get("required")
        wanted = required if isinstance(required, list) else []
        names = [name for name in wanted if isinstance(name, str) and name in properties]
        if names:
            node["required"] = names
        if self._ordered:
            node["propertyOrdering"] = list(properties)

    def _items(self, schema: Node, refs: tuple[str, ...], depth: int) -> Node:
        items = schema.get("prefixItems") or schema.get("items")
        if isinstance(items, dict) and items:
            return self.node(items, refs, depth + 1)
        if not isinstance(items, list):
            return {"type": "STRING"}
        nodes: list[Node] = []
        for inner in items:
            node = self.node(inner, refs, depth + 1)
            if node not in nodes:
                nodes.append(node)
        return nodes[0] if len(nodes) == 1 else {"anyOf": nodes}


def _inlined(schema: Node) -> Node:
    """A root that is only a reference, opened by one level, with the definitions kept."""
    ref = schema.get("$ref")
    if not isinstance(ref, str):
        return schema
    place, _, name = ref.removeprefix("#/").partition("/")
    definition = schema.get(place)
    target = definition.get(name) if isinstance(definition, dict) else None
    if not isinstance(target, dict):
        return schema
    return {**target, **{key: value for key, value in schema.items() if key != "$ref"}}


def _looks_like_object(schema: Node) -> bool:
    return "type" not in schema and (
        isinstance(schema.get("properties"), dict) or not any(key in schema for key in SHAPES if key != "allOf")
    )


def _is_bare_object(schema: Node) -> bool:
    return _type_of(schema) == "OBJECT" and not (_properties(schema) or schema.get("anyOf") or schema.get("oneOf"))


def _properties(schema: Node) -> Node:
    properties = schema.get("properties")
    return properties if isinstance(properties, dict) else {}


def _is_null(branch: Any) -> bool:
    return isinstance(branch, dict) and branch.get("type") == "null"


def _only_constrains(schema: Node, branches: list[Any]) -> bool:
    """Whether the branches only narrow an object that is described beside them, as {"required": [...]} does."""
    shapeless = all(isinstance(branch, dict) and not any(key in branch for key in SHAPES) for branch in branches)
    return shapeless and bool(_properties(schema))


def _type_of(schema: Node) -> str:
    kind = schema.get("type")
    if isinstance(kind, str):
        return kind.upper() if kind != "null" else "STRING"
    if isinstance(kind, list):
        return next((name.upper() for name in kind if isinstance(name, str) and name != "null"), "STRING")
    if "properties" in schema or "additionalProperties" in schema:
        return "OBJECT"
    if "items" in schema or "prefixItems" in schema:
        return "ARRAY"
    values = schema.get("enum") or [schema.get("const")]
    kinds = {type(value) for value in values if value is not None} if isinstance(values, list) else set()
    return TYPE_NAMES.get(kinds.pop(), "STRING") if len(kinds) == 1 else "STRING"


def _close_bounds(schema: Node, node: Node) -> None:
    """Whole numbers above 3 are those from 4 on; the subset has no exclusive bounds."""
    for exclusive, inclusive, step in (("exclusiveMinimum", "minimum", 1), ("exclusiveMaximum", "maximum", -1)):
        bound = schema.get(exclusive)
        if bound is True:  # the spelling of draft 4: a flag beside the bound
            bound = schema.get(inclusive)
        if isinstance(bound, int) and not isinstance(bound, bool):
            node[inclusive] = bound + step


def _enumerate(schema: Node, node: Node) -> None:
    """Strings stay an enum; other values are told in words, because the subset has enums of strings only."""
    values = [schema["const"]] if "const" in schema else schema.get("enum")
    if not isinstance(values, list):
        return
    if None in values:
        node["nullable"] = True
    values = [value for value in values if value is not None]
    if all(isinstance(value, str) for value in values):
        named = [value for value in values if value]  # an empty member is refused
        if named:
            node["enum"] = named
        return
    listed = ", ".join(msgspec.json.encode(value).decode() for value in values)
    node["description"] = _joined(node, f"Must be {listed}" if "const" in schema else f"One of: {listed}")


def _joined(node: Node, more: str) -> str:
    said = node.get("description")
    return f"{said} ({more})" if said else more
