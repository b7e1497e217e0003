"""Tools, the choice among them and the output format as the Responses API has them: flat, and strict unless told otherwise.

Source: OpenAI's guides "Migrate to the Responses API" and "Function calling" (strict mode), and the SDK's param types.
"""

from __future__ import annotations

from typing import Any

import orjson
from msgspec import Struct, field

from gateway.simulator.model import Choice, Spec
from gateway.simulator.openai_errors import refused
from gateway.simulator.openai_fields import missing, wrong_type, wrong_value
from gateway.simulator.openai_schema import check_name, check_strict, json_schema, only, read_function
from gateway.simulator.replies import Refused

FUNCTION = frozenset(
    {
        *("type", "name", "description", "parameters", "strict"),
        *("defer_loading", "output_schema", "allowed_callers", "async"),
    }
)
CUSTOM = frozenset({"type", "name", "description", "format", "defer_loading", "allowed_callers", "async"})
NAMESPACE = frozenset({"type", "name", "description", "tools"})
# Tools that OpenAI runs itself or that have their own items: accepted, never used. What each of them cannot do without.
HOSTED: dict[str, tuple[str, ...]] = {
    "web_search": (),
    "web_search_2025_08_26": (),
    "web_search_preview": (),
    "web_search_preview_2025_03_11": (),
    "file_search": ("vector_store_ids",),
    "code_interpreter": ("container",),
    "image_generation": (),
    "mcp": ("server_label",),
    "computer": (),
    "computer_use_preview": (),
    "local_shell": (),
    "shell": (),
    "apply_patch": (),
    "tool_search": (),
    "programmatic_tool_calling": (),
}
KINDS = ("function", "custom", "namespace", *HOSTED)


class Offer(Struct):
    """The tools on offer. `namespaces`: where a tool belongs, by its name. `echo`: as the response object shows them."""

    specs: list[Spec] = field(default_factory=list)
    namespaces: dict[str, str] = field(default_factory=dict)
    echo: list[Any] = field(default_factory=list)


def read_tools(tools: list[Any]) -> Offer:
    """The tools, checked. Raises Refused."""
    offer = Offer()
    for place, tool in enumerate(tools):
        offer.echo.append(_tool(tool, f"tools[{place}]", offer))
    return offer


def _tool(tool: Any, param: str, offer: Offer) -> Any:
    if not isinstance(tool, dict):
        raise wrong_type(param, tool, dict)
    match tool.get("type"):
        case None:
            raise missing(f"{param}.type")
        case "function":
            return _function(tool, param, offer)
        case "custom":
            only(tool, CUSTOM, param)
            offer.specs.append(Spec(check_name(tool.get("name"), f"{param}.name"), free=True))
            _check_custom(tool.get("format"), f"{param}.format")
            return {"format": {"type": "text"}, **tool}
        case "namespace":
            return _namespace(tool, param, offer)
        case kind if isinstance(kind, str) and kind in HOSTED:
            for name in HOSTED[kind]:
                if tool.get(name) is None:
                    raise missing(f"{param}.{name}")
            return tool
        case other:
            raise wrong_value(f"{param}.type", other, KINDS)


def _function(tool: dict[str, Any], param: str, offer: Offer) -> dict[str, Any]:
    check_name(tool.get("name"), f"{param}.name")  # first: Chat's nested shape is told that the name is missing
    only(tool, FUNCTION, param)
    spec = read_function(tool, param)
    strict = tool.get("strict")
    schema = spec.schema
    if strict is None and schema:
        schema, strict = _normalised(schema)
    offer.specs.append(Spec(spec.name, schema))
    return {"description": None, **tool, "parameters": schema, "strict": bool(strict)}


def _normalised(schema: dict[str, Any]) -> tuple[dict[str, Any], bool]:
    """The schema made strict, when all it takes is closing its objects; else as it is, and not strict."""
    copy = orjson.loads(orjson.dumps(schema))
    _close(copy)
    try:
        check_strict(copy, "", "", "")
    except Refused:
        return schema, False
    return copy, True


def _close(schema: Any) -> None:
    if isinstance(schema, list):
        for item in schema:
            _close(item)
    if not isinstance(schema, dict):
        return
    if schema.get("type") == "object" or "properties" in schema:
        schema.setdefault("additionalProperties", False)
        schema["required"] = list(schema.get("properties") or {})
    for word in ("anyOf", "items", "prefixItems", "allOf"):
        _close(schema.get(word))
    for word in ("properties", "$defs", "definitions"):
        for inner in (schema.get(word) or {}).values():
            _close(inner)


def _check_custom(format: Any, param: str) -> None:
    match format:
        case None | {"type": "text"} | {"type": "grammar", "syntax": "lark" | "regex", "definition": str()}:
            return
        case dict():
            raise refused(f"Invalid value for '{param}'.", param, "invalid_value")
    raise wrong_type(param, format, dict)


def _namespace(tool: dict[str, Any], param: str, offer: Offer) -> dict[str, Any]:
    only(tool, NAMESPACE, param)
    name = check_name(tool.get("name"), f"{param}.name")
    inside = tool.get("tools")
    if not isinstance(inside, list):
        raise missing(f"{param}.tools") if inside is None else wrong_type(f"{param}.tools", inside, list)
    echo = []
    for place, member in enumerate(inside):
        at = f"{param}.tools[{place}]"
        if not isinstance(member, dict):
            raise wrong_type(at, member, dict)
        if member.get("type") not in ("function", "custom"):
            raise wrong_value(f"{at}.type", member.get("type"), ("function", "custom"))
        echo.append(_tool(member, at, offer))
        offer.namespaces.setdefault(member["name"], name)
    return {**tool, "tools": echo}


def read_choice(wanted: Any, offer: Offer) -> tuple[Choice, list[str]]:
    """Which tools must or may be called: the mode, and the names it is limited to. Raises Refused."""
    if wanted is None or wanted == "auto":
        return ("auto" if offer.specs else "none"), []
    if wanted == "none":
        return "none", []
    if not offer.echo:
        raise refused("Tool choice must be specified with 'tools' parameter.", "tool_choice")
    match wanted:
        case "required":
            return ("any" if offer.specs else "none"), []
        case {"type": "function" | "custom"}:
            return "any", [_offered(wanted.get("name"), "tool_choice.name", offer)]
        case {"type": "allowed_tools", "mode": "auto" | "required" as mode, "tools": [*allowed]}:
            names = [_allowed(tool, offer) for tool in allowed]
            return "any" if mode == "required" else "auto", [name for name in names if name]
        case {"type": str(kind)} if kind in HOSTED:
            return "none", []  # forced, but never used here
    raise refused(
        f"Invalid value: '{wanted}'. Supported values are: 'none', 'auto', and 'required'.",
        "tool_choice",
        "invalid_value",
    )


def _allowed(tool: Any, offer: Offer) -> str:
    """The name of an allowed tool, "" for one that has none."""
    match tool:
        case {"type": "function" | "custom"}:
            return _offered(tool.get("name"), "tool_choice.tools", offer)
        case {"type": str(kind)} if kind in HOSTED:
            return ""
    raise refused("Invalid value for 'tool_choice.tools'.", "tool_choice.tools", "invalid_value")


def _offered(name: Any, param: str, offer: Offer) -> str:
    if name is None:
        raise missing(param)
    if not isinstance(name, str):
        raise wrong_type(param, name, str)
    if all(spec.name != name for spec in offer.specs):
        raise refused(f"Tool choice '{name}' not found in 'tools' parameter.", "tool_choice")
    return name


def read_format(format: dict[str, Any]) -> tuple[Any, bool]:
    """The schema to answer with, and whether any JSON object will do. Raises Refused."""
    match format.get("type"):
        case "text":
            return None, False
        case "json_object":
            return None, True
        case "json_schema":
            only(format, ("type", "name", "schema", "strict", "description"), "text.format")
            return json_schema(format, "text.format", "text.format.schema"), False
        case None:
            raise missing("text.format.type")
        case other:
            raise wrong_value("text.format.type", other, ("json_object", "json_schema", "text"))
