"""Tools and tool_choice for Anthropic, with what the models take and what has to be emulated.

Rule 1: tools keep their order and stay in the request whatever the choice is; taking them out would change the prefix that
caches and replayed thinking depend on. Rule 2: names are made legal the same way in tools, choice and history, and undone in
the answer. Rule 3: a forced tool that the model refuses becomes structured output whose text is the call's arguments.
Sources: anthropic types tool_param.py, tool_choice_*_param.py; platform.claude.com what's new in Opus 5.5 (forced tool use).
"""

from __future__ import annotations

import hashlib
import re
from typing import Any

from gateway.dialects.anthropic_schema import Schema, Unrepresentable, transform
from gateway.dialects.anthropic_search import NAME, counterpart
from gateway.dialects.anthropic_undo import Called, Shape
from gateway.types import Abilities, Notes, Request, Tool, Unsupported

MAX_EMULATED_TOOLS = 20
MAX_NAME_CHARS = 128
_ILLEGAL = re.compile(r"[^a-zA-Z0-9_-]")
_NATIVE_TYPE = re.compile(r"[a-z][a-z0-9_]*_20\d{6}")  # web_search_20260318, bash_20250124, computer_toolset_20260801
_CUSTOM_INPUT: Schema = {"type": "object", "properties": {"input": {"type": "string"}}, "required": ["input"]}


def legal_name(name: str) -> str:
    """`name` with everything Anthropic refuses replaced by an underscore."""
    return _ILLEGAL.sub("_", name)[:MAX_NAME_CHARS] or "_"


class Toolbox:
    """The tools of one request as Anthropic gets them: `wire` in order, and who is who.

    Raises Unsupported for two tools of one name and for other vendors' built-in tools.
    """

    def __init__(self, request: Request, abilities: Abilities, notes: Notes) -> None:
        self.wire: list[dict[str, Any]] = []
        self._aliases: dict[str, str] = {}
        self._called: dict[str, Called] = {}  # by alias
        self._schemas: dict[str, Schema] = {}  # by alias
        self._native: set[str] = set()
        if not request.tools:
            return
        self._native = {tool.name for tool in request.tools if tool.native is not None}
        names = {tool.name for tool in request.tools if tool.native is None}
        for index, tool in enumerate(request.tools):
            if tool.native is not None:
                self.wire += _native(tool, tool.native, index, names, notes)
            else:
                self._add(tool, index, names, abilities, notes)

    def _add(self, tool: Tool, index: int, names: set[str], abilities: Abilities, notes: Notes) -> None:
        if tool.name in self._aliases:
            message = f"tool names must be unique: {tool.name!r} is given twice"
            raise Unsupported(f"tools[{index}]", message, "invalid_request")
        alias = self._alias(tool.name, names)
        schema, shape = input_schema(tool)
        self._aliases[tool.name] = alias
        self._called[alias] = Called(tool.name, shape)
        self._schemas[alias] = schema
        self.wire.append(_wire(tool, alias, schema, abilities, notes))

    def _alias(self, name: str, names: set[str]) -> str:
        alias = legal_name(name)
        if alias != name and (alias in names or alias in self._called):
            tail = "_" + hashlib.sha256(name.encode("utf-8", "replace")).hexdigest()[:8]
            alias = alias[: MAX_NAME_CHARS - len(tail)] + tail
        return alias

    def alias(self, name: str) -> str:
        """The upstream's name; also for calls in the history whose tool is no longer offered."""
        return self._aliases.get(name) or legal_name(name)

    def offers(self, name: str) -> bool:
        """Whether the client offered a tool of this name, of its own or Anthropic's built-in one."""
        return name in self._aliases or name in self._native

    def shape(self, name: str) -> Shape:
        """How the input of the client's tool `name` is dressed."""
        called = self._called.get(self._aliases.get(name, ""))
        return called.shape if called else "plain"

    def changed(self) -> dict[str, Called]:
        """By the upstream's name: the tools whose name or input differs from the client's."""
        if not self._called:
            return {}
        return {alias: called for alias, called in self._called.items() if called != Called(alias)}

    def callable(self, names: list[str]) -> dict[str, Called]:
        """By the upstream's name: the client's tools, all of them or those in `names`."""
        return {alias: called for alias, called in self._called.items() if not names or called.name in names}

    def answer_schema(self, tools: dict[str, Called]) -> Schema:
        """The structured output that stands for a call of one of `tools`; raises Unrepresentable."""
        if len(tools) == 1:
            return transform(self._schemas[next(iter(tools))])
        if len(tools) > MAX_EMULATED_TOOLS:
            raise Unrepresentable("too many tools for one schema")
        definitions: Schema = {}
        variants = []
        for position, alias in enumerate(tools):
            arguments = transform(self._schemas[alias], prefix=f"t{position}_")
            definitions.update(arguments.pop("$defs", {}))
            variants.append(_closed({"tool": {"const": alias}, "arguments": arguments}))
        root = _closed({"call": {"anyOf": variants}})
        return {"$defs": definitions, **root} if definitions else root


def _closed(properties: Schema) -> Schema:
    return {"type": "object", "properties": properties, "required": list(properties), "additionalProperties": False}


def _native(tool: Tool, native: dict[str, Any], index: int, names: set[str], notes: Notes) -> list[dict[str, Any]]:
    """Anthropic's own tool as it is, another vendor's search as Anthropic's; what need not be there is left out."""
    kind = native.get("type")
    if isinstance(kind, str) and _NATIVE_TYPE.fullmatch(kind):
        return [dict(native)]
    search = counterpart(native) if NAME not in names else None
    if search is not None:
        notes.warn("web_search_emulated")
        return [search]
    if tool.optional:
        notes.drop(f"tools.{kind}", "server_tool_unsupported")
        return []
    raise Unsupported(f"tools[{index}]", f"the built-in tool {kind or next(iter(native), '')!r} is another vendor's")


def _wire(tool: Tool, alias: str, schema: Schema, abilities: Abilities, notes: Notes) -> dict[str, Any]:
    made: dict[str, Any] = {"name": alias}
    description = _description(tool)
    if description:
        made["description"] = description
    made["input_schema"] = schema
    if tool.strict and not tool.custom:
        strict = _strict(schema, abilities)
        if strict is None:
            notes.drop("tools.strict", "strict_unsupported")
        else:
            made["input_schema"], made["strict"] = strict, True
    if tool.cache is not None:
        made["cache_control"] = tool.cache
    return made


def _description(tool: Tool) -> str:
    """A grammar cannot be enforced; the model is told what it is."""
    grammar = (tool.grammar or {}).get("grammar", tool.grammar or {})
    definition = grammar.get("definition") if isinstance(grammar, dict) else None
    if not isinstance(definition, str):
        return tool.description
    syntax = grammar.get("syntax") or "grammar"
    return f"{tool.description}\n\nThe input must match this {syntax} grammar:\n{definition}".lstrip()


def _strict(schema: Schema, abilities: Abilities) -> Schema | None:
    if not abilities.structured_outputs:
        return None
    try:
        return transform(schema)
    except Unrepresentable:
        return None


def input_schema(tool: Tool) -> tuple[Schema, Shape]:
    """An object schema for the tool's input, and how the arguments are dressed in it."""
    if tool.custom:
        return _CUSTOM_INPUT, "custom"
    schema = _inlined(tool.parameters or {})
    if not schema:
        return {"type": "object", "properties": {}}, "plain"
    kind = schema.get("type")
    if kind == ["object", "null"] or (kind is None and not _says_something_else(schema)):
        return {**schema, "type": "object"}, "plain"
    if kind == "object" and not _is_combined(schema):
        return schema, "plain"
    return _wrapped(schema), "value"


def _is_combined(schema: Schema) -> bool:
    # Anthropic refuses these at the top of an input_schema, with or without a type beside them.
    return any(key in schema for key in ("anyOf", "oneOf", "allOf"))


def _says_something_else(schema: Schema) -> bool:
    return _is_combined(schema) or any(key in schema for key in ("$ref", "enum", "const", "items"))


def _inlined(schema: Schema) -> Schema:
    """A root that is only a reference becomes what it refers to, with the definitions beside it."""
    ref = schema.get("$ref")
    for key in ("$defs", "definitions"):
        definitions = schema.get(key)
        if isinstance(ref, str) and isinstance(definitions, dict) and ref.startswith(f"#/{key}/"):
            target = definitions.get(ref[len(key) + 3 :])
            if isinstance(target, dict):
                return {**target, key: definitions}
    return schema


def _wrapped(schema: Schema) -> Schema:
    definitions: Schema = {key: schema[key] for key in ("$defs", "definitions") if key in schema}
    value = {key: child for key, child in schema.items() if key not in definitions}
    return {"type": "object", "properties": {"value": value}, "required": ["value"], **definitions}
