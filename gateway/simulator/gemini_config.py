"""Generation settings and tools as Gemini checks them."""

from __future__ import annotations

import re
from typing import Any

from gateway.simulator.gemini_errors import refused
from gateway.simulator.gemini_models import Rules
from gateway.simulator.gemini_proto import snake
from gateway.simulator.model import Choice, Spec
from gateway.simulator.replies import Refused
from gateway.simulator.schemas import problem

NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_.:-]{0,127}\Z")
REQUEST = "* GenerateContentRequest."
RANGES = {"temperature": (0, 2), "topP": (0, 1), "logprobs": (0, 20)}


def field_error(path: str, why: str) -> Refused:
    """A violation as Gemini's own validation (not the JSON reader) words it."""
    return refused(f"{REQUEST}{path}: {why}\n")


def check_config(config: dict[str, Any], model: str, rules: Rules) -> None:
    """Ranges, and what this model does not take. Raises Refused."""
    for name, (low, high) in RANGES.items():
        if name in config and not low <= config[name] <= high:
            raise field_error(f"generation_config.{snake(name)}", f"must be in the range [{low:.1f}, {high:.1f}].")
    if config.get("maxOutputTokens", 1) <= 0:
        raise refused("max_output_tokens must be positive.")
    if len(config.get("stopSequences", [])) > 5:
        raise field_error("generation_config.stop_sequences", "at most 5 stop sequences are allowed.")
    if config.get("candidateCount", 1) < 1:
        raise refused("candidate_count must be positive.")
    if config.get("candidateCount", 1) > rules.candidates:
        raise refused(f"Multiple candidates is not enabled for models/{model}")
    if not rules.penalties and any(config.get(name) for name in ("presencePenalty", "frequencyPenalty")):
        raise refused(f"Penalty is not enabled for models/{model}")
    if config.get("responseLogprobs"):
        raise refused(f"Logprobs is not enabled for models/{model}")
    if "AUDIO" in config.get("responseModalities", []) or "IMAGE" in config.get("responseModalities", []):
        raise refused(
            f"Model does not support the requested response modalities: {','.join(config['responseModalities'])}"
        )
    _check_format(config)
    _check_thinking(config.get("thinkingConfig") or {}, model, rules)


def _check_format(config: dict[str, Any]) -> None:
    mime = config.get("responseMimeType", "text/plain")
    if mime not in ("text/plain", "application/json", "text/x.enum"):
        raise field_error(
            "generation_config.response_mime_type",
            "allowed mimetypes are `text/plain`, `application/json`, `application/xml`, `application/yaml` and `text/x.enum`.",
        )
    if "responseSchema" in config and "responseJsonSchema" in config:
        raise refused("Only one of response_schema and response_json_schema may be set.")
    schema = config.get("responseSchema", config.get("responseJsonSchema"))
    if schema is not None and mime == "text/plain":
        raise refused("Response schema is only supported with response mime type `application/json` or `text/x.enum`.")
    if "responseSchema" in config:
        check_schema(config["responseSchema"], "generation_config.response_schema")
    _check_json_schema(config.get("responseJsonSchema", {}), "generation_config.response_json_schema")


def _check_thinking(thinking: dict[str, Any], model: str, rules: Rules) -> None:
    level, budget = thinking.get("thinkingLevel"), thinking.get("thinkingBudget")
    if level is not None and budget is not None:
        raise refused("You can only set only one of thinking budget and thinking level.")
    if level is not None and not rules.levels:
        raise refused("Thinking level is not supported for this model.")
    if level is not None and level not in rules.levels:
        raise refused(
            f"Thinking level {level} is not supported for this model. Please retry with other thinking level."
        )
    if budget == 0 and rules.always_thinks:
        raise refused("Budget 0 is invalid. This model only works in thinking mode.")
    if budget is not None and not -1 <= budget <= 32768:
        raise refused(f"The thinking budget {budget} is invalid. Please choose a value between 512 and 24576.")
    if thinking and not rules.thinks and "2.5" not in model:
        raise refused("Thinking is not enabled for this model.")


def thinks(config: dict[str, Any], rules: Rules) -> bool:
    """Whether the model reasons on this request."""
    budget = (config.get("thinkingConfig") or {}).get("thinkingBudget")
    return rules.thinks if budget is None else budget != 0


# ---------------------------------------------------------------- tools


def read_tools(body: dict[str, Any], rules: Rules) -> list[Spec]:
    """The functions on offer, checked."""
    tools = body.get("tools", [])
    if sum("functionDeclarations" in tool for tool in tools) > 1:
        raise refused("Multiple tools are supported only when they are all search tools.")
    specs: list[Spec] = []
    for place, tool in enumerate(tools):
        for number, declared in enumerate(tool.get("functionDeclarations", [])):
            spec = _declared(declared, f"tools[{place}].function_declarations[{number}]")
            if any(other.name == spec.name for other in specs):
                raise refused(f"Duplicate function declaration found: {spec.name}")
            specs.append(spec)
    mime = (body.get("generationConfig") or {}).get("responseMimeType", "text/plain")
    if specs and mime != "text/plain" and not rules.json_with_tools:
        raise refused(f"Function calling with a response mime type: '{mime}' is unsupported")
    return specs


def _declared(declared: dict[str, Any], path: str) -> Spec:
    name = declared.get("name", "")
    if not NAME.match(name):
        raise field_error(
            f"{path}.name",
            "Invalid function name. Must start with a letter or an underscore. Must be alphanumeric (a-z, A-Z, 0-9), underscores (_), "
            "dots (.), colons (:), or dashes (-), with a maximum length of 128.",
        )
    if "parameters" in declared and "parametersJsonSchema" in declared:
        raise refused(f"{path}: only one of parameters and parameters_json_schema may be set.")
    if "parameters" in declared:
        check_schema(declared["parameters"], f"{path}.parameters")
    _check_json_schema(declared.get("parametersJsonSchema", {}), f"{path}.parameters_json_schema")
    return Spec(name, declared.get("parameters", declared.get("parametersJsonSchema")))


def check_schema(schema: dict[str, Any], path: str) -> None:
    """The rules of Google's Schema message beyond its field names."""
    kind = schema.get("type")
    if kind == "OBJECT" and not schema.get("properties"):
        raise field_error(f"{path}.properties", "should be non-empty for OBJECT type")
    if kind == "ARRAY" and "items" not in schema:
        raise field_error(f"{path}.items", "missing field.")
    if "enum" in schema and kind != "STRING":
        raise field_error(f"{path}.enum", "only allowed for STRING type")
    for place, member in enumerate(schema.get("enum", [])):
        if not member:
            raise field_error(f"{path}.enum[{place}]", "cannot be empty")
    for place, name in enumerate(schema.get("required", [])):
        if name not in schema.get("properties", {}):
            raise field_error(f"{path}.required[{place}]", "property is not defined")
    for name, inner in schema.get("properties", {}).items():
        check_schema(inner, f"{path}.properties[{name}]")
    for place, inner in enumerate(schema.get("anyOf", [])):
        check_schema(inner, f"{path}.any_of[{place}]")
    if "items" in schema:
        check_schema(schema["items"], f"{path}.items")


def _check_json_schema(schema: Any, path: str) -> None:
    wrong = problem(schema)
    if wrong is not None:
        raise field_error(path, f"invalid JSON Schema: {wrong}")


def read_choice(body: dict[str, Any], tools: list[Spec]) -> tuple[Choice, list[str]]:
    """The mode of function calling and the functions it is limited to."""
    config = (body.get("toolConfig") or {}).get("functionCallingConfig") or {}
    mode, names = config.get("mode", "AUTO"), config.get("allowedFunctionNames", [])
    if config and not tools and mode not in ("NONE", "AUTO", "MODE_UNSPECIFIED"):
        raise refused("Function calling config is set without function_declarations.")
    if names and mode not in ("ANY", "VALIDATED"):
        raise refused("Allowed function names should only be set when function calling mode is ANY or VALIDATED.")
    for name in names:
        if all(tool.name != name for tool in tools):
            raise refused(f"Allowed function name '{name}' is not found in the function declarations.")
    match mode:
        case "ANY":
            return "any", names
        case "NONE":
            return "none", []
        case _:
            return "auto", names
