"""Tools and tool_choice of a client's Messages request.

Tools of Anthropic's own that the client runs itself (a shell, an editor, a memory) have schemas that its models know by heart;
other models are told them. Tools that Anthropic runs have no counterpart but a search. Sources: anthropic types tool_*_param.py;
platform.claude.com: bash, text editor, memory and computer use tools (their input parameters).
"""

from __future__ import annotations

from typing import Any

from gateway.dialects.anthropic_client_checks import (
    MAX_SHOWN,
    bad,
    name,
    object_,
    objects,
    one_of,
    optional_bool,
    optional_text,
)
from gateway.dialects.anthropic_client_content import read_cache
from gateway.types import Tool, ToolChoice

_STRING = {"type": "string"}
_INTEGER = {"type": "integer"}
_POINT = {"type": "array", "items": _INTEGER}
_EDITS = {
    "path": _STRING,
    "view_range": {**_POINT, "description": "First and last line to view; -1 is the end."},
    "file_text": _STRING,
    "old_str": _STRING,
    "new_str": _STRING,
    "insert_line": _INTEGER,
    "insert_text": _STRING,
}

# Beginning of the type -> what it is for, its properties, those that must be given.
_KNOWN: dict[str, tuple[str, dict[str, Any], list[str]]] = {
    "bash_": (
        "Run a command in a persistent bash session. Give `command`, or `restart` to begin a new session.",
        {"command": _STRING, "restart": {"type": "boolean"}},
        [],
    ),
    "text_editor_": (
        "View, create and edit files.",
        {"command": {**_STRING, "enum": ["view", "create", "str_replace", "insert"]}, **_EDITS},
        ["command", "path"],
    ),
    "memory_": (
        "Keep files under /memories from one conversation to the next.",
        {
            "command": {**_STRING, "enum": ["view", "create", "str_replace", "insert", "delete", "rename"]},
            **_EDITS,
            "old_path": _STRING,
            "new_path": _STRING,
        },
        ["command"],
    ),
    "computer_2": (
        "Use a computer's screen, mouse and keyboard; `screenshot` shows the screen. Coordinates are [x, y] in pixels.",
        {
            "action": _STRING,
            "coordinate": _POINT,
            "start_coordinate": _POINT,
            "text": {**_STRING, "description": "What to type, or the keys to press or hold."},
            "scroll_direction": {**_STRING, "enum": ["up", "down", "left", "right"]},
            "scroll_amount": _INTEGER,
            "duration": {"type": "number", "description": "Seconds."},
            "region": _POINT,
        },
        ["action"],
    ),
}


def read_tools(value: object) -> list[Tool]:
    """Raises BadRequest, also for two tools of one name."""
    if value is None:
        return []
    tools: list[Tool] = []
    names: set[str] = set()
    for place, given in enumerate(objects(value, "tools")):
        tool = _tool(given, f"tools.{place}")
        if tool.name in names:
            raise bad("tools", f"Tool names must be unique: '{tool.name[:MAX_SHOWN]}' is given twice.")
        names.add(tool.name)
        tools.append(tool)
    return tools


def _tool(given: dict[str, Any], param: str) -> Tool:
    kind = optional_text(given.get("type"), f"{param}.type")
    if kind is not None and kind != "custom":
        return _native(given, kind, param)
    return Tool(
        name(given.get("name"), f"{param}.name"),
        optional_text(given.get("description"), f"{param}.description") or "",
        object_(given.get("input_schema"), f"{param}.input_schema"),
        optional_bool(given.get("strict"), f"{param}.strict"),
        cache=read_cache(given, param),
    )


def _native(given: dict[str, Any], kind: str, param: str) -> Tool:
    """A tool of Anthropic's. With parameters where others can offer it as a function."""
    tool = Tool(optional_text(given.get("name"), f"{param}.name") or kind, native=given, cache=read_cache(given, param))
    known = next((known for start, known in _KNOWN.items() if kind.startswith(start)), None)
    if known is not None:
        tool.description, properties, required = known
        tool.parameters = {"type": "object", "properties": properties, "required": required}
    return tool


def read_tool_choice(value: object, tools: list[Tool]) -> tuple[ToolChoice | None, bool | None]:
    """The choice, and what it says about parallel calls: False when they are forbidden, None when nothing is said."""
    if value is None:
        return None, None
    given = object_(value, "tool_choice")
    kind = one_of(given.get("type"), "tool_choice.type", ("auto", "any", "tool", "none"))
    alone = optional_bool(given.get("disable_parallel_tool_use"), "tool_choice.disable_parallel_tool_use")
    if not tools:
        if kind in ("auto", "none"):
            return None, None
        raise bad("tool_choice", "may only be specified while providing `tools`")
    parallel = False if alone and kind != "none" else None
    if kind != "tool":
        return ToolChoice({"auto": "auto", "any": "required", "none": "none"}[kind]), parallel  # type: ignore[arg-type]
    wanted = name(given.get("name"), "tool_choice.name")
    if all(tool.name != wanted for tool in tools):
        raise bad("tool_choice.name", f"Tool '{wanted[:MAX_SHOWN]}' not found in provided tools")
    return ToolChoice("named", [wanted]), parallel
