"""A Gemini client's tools and the choice among them.

A function's parameters come as OpenAPI's subset (`parameters`) or as JSON Schema (`parametersJsonSchema`); Gemini's own tools
stay as they are, for whoever can judge them. Source: https://ai.google.dev/api/caching#Tool
"""

from __future__ import annotations

from typing import Any

from gateway.dialects.gemini_client_fields import (
    Fields,
    inside,
    invalid,
    members,
    name,
    optional_object,
    optional_text,
    repeated,
    text,
    word,
)
from gateway.dialects.gemini_client_schema import to_json_schema
from gateway.types import Tool, ToolChoice

DECLARATIONS = "functionDeclarations"
CALLING = "toolConfig.functionCallingConfig"
MODES = {0: "MODE_UNSPECIFIED", 1: "AUTO", 2: "ANY", 3: "NONE", 4: "VALIDATED"}
KNOWN_MODES = ("", *MODES.values())


def read_tools(value: object) -> list[Tool]:
    """All functions and built-in tools in their order. Raises BadRequest naming tools[i]…"""
    tools: list[Tool] = []
    for at, item in enumerate(repeated(value)):
        where = f"tools[{at}]"
        for key, given in members(item, where).items():
            if key == DECLARATIONS:
                tools += _functions(given, inside(where, key))
            elif given is not None:
                tools.append(Tool(key, native={key: given}))
    _refuse_duplicates(tools)
    return tools


def _functions(value: object, where: str) -> list[Tool]:
    return [_function(item, f"{where}[{at}]") for at, item in enumerate(repeated(value))]


def _function(value: object, where: str) -> Tool:
    given = members(value, where)
    return Tool(
        name(given.get("name"), inside(where, "name")),
        optional_text(given.get("description"), inside(where, "description")),
        _parameters(given, where),
    )


def _parameters(given: Fields, where: str) -> dict[str, Any] | None:
    """JSON Schema wins; Gemini takes only one of the two."""
    schema = optional_object(given.get("parametersJsonSchema"), inside(where, "parametersJsonSchema"))
    if schema is not None:
        return schema
    if given.get("parameters") is None:
        return None
    return to_json_schema(given["parameters"], inside(where, "parameters"))


def _refuse_duplicates(tools: list[Tool]) -> None:
    seen: set[str] = set()
    for tool in tools:
        if tool.native is None and tool.name in seen:
            raise invalid("tools", f"Duplicate function declaration found: {tool.name[:64]}")
        seen.add(tool.name)


def read_choice(value: object, tools: list[Tool]) -> ToolChoice | None:
    """`toolConfig` as a choice; None when the model is free to choose, as it is without one."""
    if value is None:
        return None
    config = members(value, "toolConfig")
    if config.get("functionCallingConfig") is None:
        return None
    calling = members(config["functionCallingConfig"], CALLING)
    mode = word(calling.get("mode"), f"{CALLING}.mode", MODES)
    if mode not in KNOWN_MODES:
        raise invalid(f"{CALLING}.mode", f"'{mode[:64]}' is not one of AUTO, ANY, NONE, VALIDATED.")
    names = _names(calling.get("allowedFunctionNames"), tools)
    if not any(tool.native is None for tool in tools):
        if mode == "ANY":
            raise invalid("toolConfig", "Function calling config is set without function_declarations.")
        return None
    return _choice(mode, names)


def _names(value: object, tools: list[Tool]) -> list[str]:
    where = f"{CALLING}.allowedFunctionNames"
    known = {tool.name for tool in tools if tool.native is None}
    names = [text(item, f"{where}[{at}]") for at, item in enumerate(repeated(value))]
    for at, wanted in enumerate(names):
        if wanted not in known:
            raise invalid(f"{where}[{at}]", f"'{wanted[:64]}' is not among the functions of this request.")
    return names


def _choice(mode: str, names: list[str]) -> ToolChoice | None:
    if mode == "NONE":
        return ToolChoice("none")
    if mode == "ANY":
        if len(names) == 1:
            return ToolChoice("named", names)
        return ToolChoice("allowed_required", names) if names else ToolChoice("required")
    if names:
        return ToolChoice("allowed_auto", names)
    # VALIDATED without names is AUTO whose arguments follow the schema, which the other vendors promise no less loosely.
    return ToolChoice("auto") if mode in ("AUTO", "VALIDATED") else None
