"""Tools, tool choice and output schemas as Anthropic checks them."""

from __future__ import annotations

import re
from typing import Any

from gateway.simulator.anthropic_errors import refused
from gateway.simulator.anthropic_fields import missing, only, thinking_type, typed
from gateway.simulator.anthropic_models import Rules
from gateway.simulator.model import Choice, Spec
from gateway.simulator.schemas import problem

NAME = re.compile(r"[a-zA-Z0-9_-]{1,128}\Z")
VENDOR_TOOL = re.compile(r"[a-z_]+_\d{8}\Z")
TOOL_KEYS = frozenset(
    {
        "type",
        "name",
        "description",
        "input_schema",
        "strict",
        "cache_control",
        "allowed_callers",
        "defer_loading",
        "eager_input_streaming",
        "input_examples",
    }
)
CHOICE_KEYS = {
    "auto": frozenset({"type", "disable_parallel_tool_use"}),
    "any": frozenset({"type", "disable_parallel_tool_use"}),
    "tool": frozenset({"type", "name", "disable_parallel_tool_use"}),
    "none": frozenset({"type"}),
}
# What structured outputs understand; the rest is refused by name.
UNSUPPORTED = {
    "string": ("minLength", "maxLength", "pattern"),
    "integer": ("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf"),
    "number": ("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf"),
    "array": ("maxItems", "uniqueItems", "prefixItems", "contains"),
    "object": ("patternProperties", "propertyNames", "minProperties", "maxProperties"),
}
STRING_FORMATS = ("date-time", "time", "date", "duration", "email", "hostname", "uri", "ipv4", "ipv6", "uuid")


def read_tools(body: dict[str, Any], rules: Rules) -> list[Spec]:
    """The tools the model may call, checked. Anthropic's own server tools are accepted and never called."""
    specs: list[Spec] = []
    names: set[str] = set()
    for place, tool in enumerate(body.get("tools") or []):
        spec = _tool(typed(tool, dict, f"tools.{place}"), f"tools.{place}", rules)
        if spec is None:
            continue
        if spec.name in names:
            raise refused("tools: Tool names must be unique.")
        names.add(spec.name)
        specs.append(spec)
    return specs


def _tool(tool: dict[str, Any], path: str, rules: Rules) -> Spec | None:
    kind = tool.get("type")
    if kind not in (None, "custom"):
        if not isinstance(kind, str) or not VENDOR_TOOL.match(kind):
            raise refused(f"{path}: Input tag '{kind}' found using 'type' does not match any of the expected tags")
        return None
    path = f"{path}.custom"
    only(tool, TOOL_KEYS, path)
    for name in ("name", "input_schema"):
        if name not in tool:
            raise missing(f"{path}.{name}")
    if not isinstance(tool["name"], str) or not NAME.match(tool["name"]):
        raise refused(f"{path}.name: String should match pattern '^[a-zA-Z0-9_-]{{1,128}}$'")
    schema = typed(tool["input_schema"], dict, f"{path}.input_schema")
    _check_input_schema(schema, f"{path}.input_schema")
    _check_valid(schema, f"{path}.input_schema")
    if tool.get("strict"):
        if not rules.structured:
            raise refused("strict tools are not supported on this model")
        check_schema(schema, f"{path}.input_schema")
    return Spec(tool["name"], schema)


def _check_input_schema(schema: dict[str, Any], path: str) -> None:
    if "type" not in schema:
        raise missing(f"{path}.type")
    if schema["type"] != "object":
        raise refused(f"{path}.type: Input should be 'object'")
    if any(word in schema for word in ("oneOf", "allOf", "anyOf")):
        raise refused(f"{path}: input_schema does not support oneOf, allOf, or anyOf at the top level")


def _check_valid(schema: dict[str, Any], path: str) -> None:
    wrong = problem(schema)
    if wrong is not None:
        raise refused(f"{path}: JSON schema is invalid. It must match JSON Schema draft 2020-12 ({wrong})")


def read_choice(body: dict[str, Any], tools: list[Spec], rules: Rules) -> tuple[Choice, list[str], bool]:
    """The mode, the tool it is limited to, and whether several calls may be made at once."""
    choice = body.get("tool_choice")
    if choice is None:
        return "auto", [], True
    kind = choice.get("type")
    if not isinstance(kind, str) or kind not in CHOICE_KEYS:
        raise refused(
            f"tool_choice: Input tag '{kind}' found using 'type' does not match any of the expected tags: 'auto', 'any', 'tool', 'none'"
        )
    only(choice, CHOICE_KEYS[kind], f"tool_choice.{kind}")
    if kind != "none" and not body.get("tools"):
        raise refused("tool_choice may only be specified while providing tools")
    if kind in ("any", "tool"):
        _check_forced(body, kind, choice, tools, rules)
    parallel = not choice.get("disable_parallel_tool_use")
    match kind:
        case "none":
            return "none", [], parallel
        case "auto":
            return "auto", [], parallel
        case "any":
            return "any", [], parallel
        case _:
            return "any", [choice["name"]], parallel


def _check_forced(body: dict[str, Any], kind: str, choice: dict[str, Any], tools: list[Spec], rules: Rules) -> None:
    if not rules.forced:
        raise refused(f'tool_choice.type: "{kind}" is not supported for this model. Use "auto" or "none".')
    if thinking_type(body) in ("enabled", "adaptive"):
        raise refused("Thinking may not be enabled when tool_choice forces tool use.")
    if kind == "tool":
        if "name" not in choice:
            raise missing("tool_choice.tool.name")
        if all(tool.name != choice["name"] for tool in tools):
            raise refused(f"Tool '{choice['name']}' not found in provided tools")


def read_format(body: dict[str, Any], rules: Rules) -> Any:
    """The schema to answer with, or None."""
    format = (body.get("output_config") or {}).get("format")
    if format is None:
        return None
    typed(format, dict, "output_config.format")
    if not rules.structured:
        raise refused("output_config.format: structured outputs are not supported on this model")
    if format.get("type") != "json_schema":
        raise refused("output_config.format.type: Input should be 'json_schema'")
    if "schema" not in format:
        raise missing("output_config.format.schema")
    only(format, frozenset({"type", "schema"}), "output_config.format")
    schema = typed(format["schema"], dict, "output_config.format.schema")
    _check_valid(schema, "output_config.format.schema")
    check_schema(schema, "output_config.format.schema")
    return schema


def check_schema(schema: Any, path: str) -> None:
    """What structured outputs refuse: open objects and constraints that the grammar cannot hold."""
    if isinstance(schema, list):
        for item in schema:
            check_schema(item, path)
    if not isinstance(schema, dict):
        return
    kind = schema.get("type")
    if kind == "object" and schema.get("additionalProperties") is not False:
        raise refused(f"{path}: For 'object' type, 'additionalProperties' must be explicitly set to false")
    _check_words(schema, kind, path)
    for word in ("anyOf", "allOf", "items"):
        check_schema(schema.get(word), path)
    for word in ("properties", "$defs", "definitions"):
        for inner in (schema.get(word) or {}).values():
            check_schema(inner, path)


def _check_words(schema: dict[str, Any], kind: Any, path: str) -> None:
    if isinstance(kind, str):
        found = [word for word in UNSUPPORTED.get(kind, ()) if word in schema]
        if found:
            raise refused(f"{path}: For '{kind}' type, properties {', '.join(found)} are not supported")
    if "oneOf" in schema:
        raise refused(f"{path}: Schema type 'oneOf' is not supported")
    if kind == "array" and schema.get("minItems", 0) not in (0, 1):
        raise refused(f"{path}: For 'array' type, 'minItems' values other than 0 or 1 are not supported")
    if kind == "string" and schema.get("format") not in (None, *STRING_FORMATS):
        raise refused(f"{path}: For 'string' type, '{schema['format']}' format is not supported")
