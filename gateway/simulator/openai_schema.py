"""Tools and output schemas as OpenAI checks them, the rules of strict mode among them.

Source: OpenAI's structured outputs guide, "Supported schemas".
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

from gateway.simulator.model import Spec
from gateway.simulator.openai_errors import refused
from gateway.simulator.openai_fields import missing, wrong_type, wrong_value
from gateway.simulator.schemas import problem

NAME = re.compile(r"[a-zA-Z0-9_-]+\Z")
MAX_NAME = 64


def check_name(name: Any, param: str) -> str:
    """A function's name. Raises Refused."""
    if not isinstance(name, str):
        raise missing(param) if name is None else wrong_type(param, name, str)
    if not NAME.match(name):
        raise refused(
            f"Invalid '{param}': string does not match pattern. Expected a string that matches the pattern '^[a-zA-Z0-9_-]+$'.",
            param,
            "invalid_value",
        )
    if len(name) > MAX_NAME:
        raise refused(
            f"Invalid '{param}': string too long. Expected a string with maximum length {MAX_NAME}, but got a string with length {len(name)} instead.",
            param,
            "string_above_max_length",
        )
    return name


def read_tools(body: dict[str, Any]) -> list[Spec]:
    """The tools on offer, checked, the deprecated `functions` included."""
    specs = [_tool(tool, f"tools[{place}]") for place, tool in enumerate(body.get("tools") or [])]
    specs += [_function(tool, f"functions[{place}]") for place, tool in enumerate(body.get("functions") or [])]
    if body.get("tools") == []:
        raise refused(
            "Invalid 'tools': empty array. Expected an array with minimum length 1, but got an empty array instead.",
            "tools",
            "empty_array",
        )
    return specs


def _tool(tool: Any, param: str) -> Spec:
    if not isinstance(tool, dict):
        raise wrong_type(param, tool, dict)
    match tool.get("type"):
        case "function":
            if not isinstance(tool.get("function"), dict):
                raise missing(f"{param}.function")
            only(tool, ("type", "function"), param)
            return _function(tool["function"], f"{param}.function")
        case "custom":
            custom = tool.get("custom")
            if not isinstance(custom, dict):
                raise missing(f"{param}.custom")
            return Spec(check_name(custom.get("name"), f"{param}.custom.name"), free=True)
        case None:
            raise missing(f"{param}.type")
        case other:
            raise wrong_value(f"{param}.type", other, ("function", "custom"))


def _function(function: dict[str, Any], param: str) -> Spec:
    only(function, ("name", "description", "parameters", "strict"), param)
    return read_function(function, param)


def read_function(function: dict[str, Any], param: str) -> Spec:
    """Name and parameters of a function. Raises Refused for what is no schema, or not strict where it says so."""
    name = check_name(function.get("name"), f"{param}.name")
    schema = function.get("parameters")
    if schema is not None and not isinstance(schema, dict):
        raise wrong_type(f"{param}.parameters", schema, dict)
    wrong = problem(schema or {})
    if wrong is not None:
        raise refused(
            f"Invalid schema for function '{name}': {wrong}.", f"{param}.parameters", "invalid_function_parameters"
        )
    if schema and schema.get("type") != "object":
        got = schema.get("type")
        said = "None" if got is None else got
        raise refused(
            f"Invalid schema for function '{name}': schema must be a JSON Schema of 'type: \"object\"', got 'type: \"{said}\"'.",
            f"{param}.parameters",
            "invalid_function_parameters",
        )
    if schema and function.get("strict"):
        check_strict(
            schema, f"Invalid schema for function '{name}'", f"{param}.parameters", "invalid_function_parameters"
        )
    return Spec(name, schema)


def only(value: dict[str, Any], allowed: Iterable[str], param: str) -> None:
    """Refuse the first key that is not allowed."""
    for name in value:
        if name not in allowed:
            raise refused(f"Unknown parameter: '{param}.{name}'.", f"{param}.{name}", "unknown_parameter")


def check_strict(schema: Any, who: str, param: str, code: str, path: tuple[str, ...] = ()) -> None:
    """Strict mode: every object closed, every property required. Raises Refused naming the place."""
    if isinstance(schema, list):
        for place, item in enumerate(schema):
            check_strict(item, who, param, code, (*path, str(place)))
    if not isinstance(schema, dict):
        return
    if schema.get("type") == "object" or "properties" in schema:
        _closed(schema, f"{who}: In context={path!r}", param, code)
    for word in ("anyOf", "items", "prefixItems", "allOf"):
        check_strict(schema.get(word), who, param, code, (*path, word))
    for word in ("properties", "$defs", "definitions"):
        for name, inner in (schema.get(word) or {}).items():
            check_strict(inner, who, param, code, (*path, word, name))


def _closed(schema: dict[str, Any], where: str, param: str, code: str) -> None:
    if schema.get("additionalProperties") is not False:
        raise refused(f"{where}, 'additionalProperties' is required to be supplied and to be false.", param, code)
    properties, required = schema.get("properties") or {}, schema.get("required") or []
    missing = next((name for name in properties if name not in required), None)
    if missing is not None:
        raise refused(
            f"{where}, 'required' is required to be supplied and to be an array including every key in properties. Missing '{missing}'.",
            param,
            code,
        )


def read_format(body: dict[str, Any]) -> tuple[Any, bool]:
    """The schema to answer with, and whether any JSON object will do."""
    format = body.get("response_format") or {"type": "text"}
    match format.get("type"):
        case "text":
            return None, False
        case "json_object":
            return None, True
        case "json_schema":
            return json_schema(format.get("json_schema")), False
        case None:
            raise missing("response_format.type")
        case other:
            raise wrong_value("response_format.type", other, ("json_object", "json_schema", "text"))


def json_schema(wanted: Any, at: str = "response_format.json_schema", blamed: str = "response_format") -> Any:
    """The schema of an output format that stands at `at`; what is wrong with the schema itself is said of `blamed`."""
    if not isinstance(wanted, dict):
        raise missing(at)
    name = check_name(wanted.get("name"), f"{at}.name")
    schema = wanted.get("schema")
    if not isinstance(schema, dict):
        raise missing(f"{at}.schema")
    who = f"Invalid schema for response_format '{name}'"
    wrong = problem(schema)
    if wrong is not None:
        raise refused(f"{who}: {wrong}.", blamed, "invalid_json_schema")
    if wanted.get("strict"):
        if schema.get("type") != "object":
            raise refused(
                f"{who}: schema must be a JSON Schema of 'type: \"object\"', got 'type: \"{schema.get('type')}\"'.",
                blamed,
                "invalid_json_schema",
            )
        check_strict(schema, who, blamed, "invalid_json_schema")
    return schema
