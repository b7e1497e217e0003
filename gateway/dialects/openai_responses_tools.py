"""A client's `tools` and `tool_choice`, for models that may know only functions.

Rule 1: namespaces become flat names, shells and patches become functions with a fixed schema; openai_responses_asked.py says how
their calls are spelled in the answer. Rule 2: OpenAI's hosted tools run nowhere else. Clients offer them by default, so they
are left out and noted; a choice that forces one is refused. Web search has counterparts: it goes on, and may be left out.
Source: openai-python, types/responses/tool_param.py, tool_choice_*_param.py.
"""

from __future__ import annotations

from typing import Any, Literal, cast

from msgspec import Struct, field

from gateway.dialects.openai_checks import (
    missing,
    name,
    not_among,
    objects,
    one_of,
    optional_bool,
    optional_object,
    optional_text,
    text,
    wrong_type,
)
from gateway.dialects.openai_media import read_cache
from gateway.dialects.openai_responses_asked import Kind, Spelled, flat_name
from gateway.types import BadRequest, Tool, ToolChoice

_HOSTED = (
    "tool_search", "mcp", "file_search", "code_interpreter", "image_generation", "computer", "computer_use",
    "computer_use_preview", "programmatic_tool_calling",
)  # fmt: skip
_SEARCHES = ("web_search", "web_search_2025_08_26", "web_search_preview", "web_search_preview_2025_03_11")
SEARCH = "web_search"
_KINDS = ("function", "custom", "namespace", "local_shell", "shell", "apply_patch", *_SEARCHES, *_HOSTED)
_TEXTS = {"type": "array", "items": {"type": "string"}}
_TYPED: dict[str, tuple[str, dict[str, Any], list[str]]] = {
    "local_shell": (
        "Runs a command on the local machine.",
        {
            "command": _TEXTS,
            "working_directory": {"type": "string"},
            "timeout_ms": {"type": "integer"},
            "env": {"type": "object", "additionalProperties": {"type": "string"}},
        },
        ["command"],
    ),
    "shell": (
        "Runs shell commands.",
        {"commands": _TEXTS, "timeout_ms": {"type": "integer"}, "max_output_length": {"type": "integer"}},
        ["commands"],
    ),
    "apply_patch": (
        "Creates, updates or deletes one file. `diff` is a diff in the V4A format; it is not needed to delete.",
        {
            "type": {"type": "string", "enum": ["create_file", "update_file", "delete_file"]},
            "path": {"type": "string"},
            "diff": {"type": "string"},
        },
        ["type", "path"],
    ),
}


class Offered(Struct):
    """The tools that go on, how their calls are spelled, and the types of those that were left out."""

    tools: list[Tool] = field(default_factory=list)
    spelled: dict[str, Spelled] = field(default_factory=dict)
    left_out: list[str] = field(default_factory=list)


def read_tools(value: object, more: list[tuple[dict[str, Any], str]]) -> Offered:
    """`tools`, and `more` of them with their places in the request. Raises BadRequest."""
    given = [(tool, f"tools[{at}]") for at, tool in enumerate(objects(value, "tools") if value is not None else [])]
    offered = Offered()
    for tool, param in given + more:
        _add(tool, param, "", offered)
    return offered


def read_choice(value: object, offered: Offered) -> ToolChoice | None:
    """`tool_choice`. Raises BadRequest for tools that are not offered, and for hosted ones that cannot be forced."""
    if value is None:
        return None
    choice = _choice(value, offered)
    if choice.mode in ("auto", "none"):
        return choice if offered.tools else None
    if not offered.tools:
        raise _not_here(offered.left_out[0]) if offered.left_out else _without_tools()
    return choice


def keep_search(offered: Offered, choice: ToolChoice | None) -> None:
    """A search may be left out unless it is what the client forces."""
    forced = choice is not None and (choice.mode == "named" or choice.mode == "required")
    for tool in offered.tools:
        if tool.native is not None:
            only = len(offered.tools) == 1 or (choice is not None and choice.names == [tool.name])
            tool.optional = not (forced and only)


def _add(tool: dict[str, Any], param: str, namespace: str, offered: Offered) -> None:
    kind = one_of(tool.get("type"), f"{param}.type", ("function", "custom") if namespace else _KINDS)
    if kind == "function":
        _put(_function(tool, param, namespace), Spelled("function", tool["name"], namespace), param, offered)
    elif kind == "custom":
        _put(_custom(tool, param, namespace), Spelled("custom", tool["name"], namespace), param, offered)
    elif kind == "namespace":
        inner = name(tool.get("name"), f"{param}.name")
        for at, member in enumerate(objects(tool.get("tools"), f"{param}.tools")):
            _add(member, f"{param}.tools[{at}]", inner, offered)
    elif kind in _TYPED:
        about, properties, required = _TYPED[kind]
        schema = {"type": "object", "properties": properties, "required": required, "additionalProperties": False}
        _put(Tool(kind, about, schema), Spelled(cast(Kind, kind), kind), param, offered)
    elif kind in _SEARCHES:
        if all(known.name != SEARCH for known in offered.tools):
            offered.tools.append(Tool(SEARCH, native={**tool, "type": SEARCH}))
    elif kind not in offered.left_out:
        offered.left_out.append(kind)


def _put(tool: Tool, spelled: Spelled, param: str, offered: Offered) -> None:
    if any(known.name == tool.name for known in offered.tools):
        raise BadRequest(f"Invalid '{param}': the tool name '{tool.name[:64]}' is given twice.", f"{param}.name")
    offered.tools.append(tool)
    offered.spelled[tool.name] = spelled


def _function(tool: dict[str, Any], param: str, namespace: str) -> Tool:
    return Tool(
        name=flat_name(namespace, name(tool.get("name"), f"{param}.name")),
        description=optional_text(tool.get("description"), f"{param}.description") or "",
        parameters=optional_object(tool.get("parameters"), f"{param}.parameters"),
        strict=optional_bool(tool.get("strict"), f"{param}.strict"),
        cache=read_cache(tool, param),
    )


def _custom(tool: dict[str, Any], param: str, namespace: str) -> Tool:
    form = optional_object(tool.get("format"), f"{param}.format") or {"type": "text"}
    kind = one_of(form.get("type"), f"{param}.format.type", ("text", "grammar"))
    grammar = None
    if kind == "grammar":
        place = f"{param}.format"
        grammar = {
            "syntax": one_of(form.get("syntax"), f"{place}.syntax", ("lark", "regex")),
            "definition": name(form.get("definition"), f"{place}.definition"),
        }
    return Tool(
        name=flat_name(namespace, name(tool.get("name"), f"{param}.name")),
        description=optional_text(tool.get("description"), f"{param}.description") or "",
        custom=True,
        grammar=grammar,
        cache=read_cache(tool, param),
    )


def _choice(value: object, offered: Offered) -> ToolChoice:
    if isinstance(value, str):
        mode = one_of(value, "tool_choice", ("none", "auto", "required"))
        return ToolChoice(cast(Literal["none", "auto", "required"], mode))
    if not isinstance(value, dict):
        raise wrong_type("tool_choice", "one of a string or object", value)
    if value.get("type") != "allowed_tools":
        return ToolChoice("named", [_named(value, "tool_choice", offered)])
    mode = one_of(value.get("mode"), "tool_choice.mode", ("auto", "required"))
    given = objects(value.get("tools"), "tool_choice.tools")
    if not given:
        raise missing("tool_choice.tools")
    allowed = [(tool, f"tool_choice.tools[{at}]") for at, tool in enumerate(given)]
    # A hosted tool that is merely allowed is left out like one that is merely offered.
    names = [_named(tool, param, offered) for tool, param in allowed if tool.get("type") not in _HOSTED]
    if not names:
        if mode == "required":
            raise _not_here(str(given[0].get("type")))
        return ToolChoice("none")
    return ToolChoice("allowed_auto" if mode == "auto" else "allowed_required", names)


def _named(value: dict[str, Any], param: str, offered: Offered) -> str:
    """The flat name of the tool that `value` points at."""
    kind = text(value.get("type"), f"{param}.type")
    if kind in _HOSTED:
        raise _not_here(kind)
    if kind in _TYPED or kind in _SEARCHES:
        wanted = SEARCH if kind in _SEARCHES else kind
    elif kind in ("function", "custom"):
        wanted = _flat(value, param, offered)
    else:
        raise not_among(f"{param}.type", kind, ("function", "custom", "allowed_tools", *_TYPED, SEARCH))
    if all(tool.name != wanted for tool in offered.tools):
        raise BadRequest(f"Invalid value for '{param}': '{wanted[:64]}' is not among the tools of this request.", param)
    return wanted


def _flat(value: dict[str, Any], param: str, offered: Offered) -> str:
    given = name(value.get("name"), f"{param}.name")
    namespace = optional_text(value.get("namespace"), f"{param}.namespace")
    if namespace or given in offered.spelled:
        return flat_name(namespace or "", given)
    short = [flat for flat, spelled in offered.spelled.items() if spelled.name == given]
    return short[0] if len(short) == 1 else given


def _not_here(kind: str) -> BadRequest:
    message = f"The tool '{kind}' runs at OpenAI only, and cannot be forced on the provider chosen for this request."
    return BadRequest(message, "tool_choice", "unsupported_parameter")


def _without_tools() -> BadRequest:
    return BadRequest(
        "Invalid value for 'tool_choice': 'tool_choice' is only allowed when 'tools' are specified.", "tool_choice"
    )
