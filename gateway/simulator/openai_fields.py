"""The top level of a chat completion request as OpenAI checks it: names, types, ranges, and what belongs together."""

from __future__ import annotations

from typing import Any

from msgspec import Struct

from gateway.simulator.openai_errors import refused
from gateway.simulator.openai_models import Rules, rules
from gateway.simulator.replies import Refused

SAID = {
    str: "a string",
    bool: "a boolean",
    int: "an integer",
    float: "a decimal",
    dict: "an object",
    list: "an array",
    type(None): "null",
}


class Field(Struct, frozen=True):
    """What a field may be. `low` and `high` bound numbers; `choices` strings; `most` lengths."""

    kinds: tuple[type, ...]
    low: float | None = None
    high: float | None = None
    choices: tuple[str, ...] = ()
    most: int | None = None
    nullable: bool = True


TEXT, NUMBER, WHOLE = Field((str,)), Field((float,)), Field((int,))
FLAG, OBJECT, ARRAY = Field((bool,)), Field((dict,)), Field((list,))

FIELDS: dict[str, Field] = {
    "messages": Field((list,), nullable=False),
    "model": Field((str,), nullable=False),
    "audio": OBJECT,
    "frequency_penalty": Field((float,), -2, 2),
    "function_call": Field((str, dict)),
    "functions": ARRAY,
    "logit_bias": OBJECT,
    "logprobs": FLAG,
    "max_completion_tokens": Field((int,), 1),
    "max_tokens": Field((int,), 1),
    "metadata": OBJECT,
    "modalities": ARRAY,
    "moderation": OBJECT,
    "n": Field((int,), 1, 128),
    "parallel_tool_calls": FLAG,
    "prediction": OBJECT,
    "presence_penalty": Field((float,), -2, 2),
    "prompt_cache_key": TEXT,
    "prompt_cache_options": OBJECT,
    "prompt_cache_retention": Field((str,), choices=("in_memory", "24h")),
    "reasoning_effort": Field((str,), choices=("none", "minimal", "low", "medium", "high", "xhigh", "max")),
    "response_format": OBJECT,
    "safety_identifier": TEXT,
    "seed": WHOLE,
    "service_tier": Field((str,), choices=("auto", "default", "flex", "scale", "priority", "fast")),
    "stop": Field((str, list), most=4),
    "store": FLAG,
    "stream": FLAG,
    "stream_options": OBJECT,
    "temperature": Field((float,), 0, 2),
    "tool_choice": Field((str, dict)),
    "tools": Field((list,), most=128),
    "top_logprobs": Field((int,), 0, 20),
    "top_p": Field((float,), 0, 1),
    "user": TEXT,
    "verbosity": Field((str,), choices=("low", "medium", "high")),
    "web_search_options": OBJECT,
}


def check_fields(body: dict[str, Any]) -> None:
    """Names, types and ranges. Raises Refused for the first thing that is wrong."""
    unknown = [name for name in body if name not in FIELDS]
    if unknown:
        plural = "s" if len(unknown) > 1 else ""
        raise refused(f"Unrecognized request argument{plural} supplied: {', '.join(unknown)}")
    if not body.get("model"):
        raise refused("you must provide a model parameter")
    if "messages" not in body:
        raise missing("messages")
    for name, value in body.items():
        check_value(name, value, FIELDS[name])


def check_value(name: str, value: Any, field: Field) -> None:
    """One value against its field. Raises Refused."""
    if value is None and field.nullable:
        return
    if not any(is_a(value, kind) for kind in field.kinds):
        raise wrong_type(name, value, *field.kinds)
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        _check_range(name, value, field)
    if field.choices and value not in field.choices:
        raise wrong_value(name, value, field.choices)
    if field.most is not None and isinstance(value, list) and len(value) > field.most:
        raise refused(
            f"Invalid '{name}': array too long. Expected an array with maximum length {field.most}, but got an array with length {len(value)} instead.",
            name,
            "array_above_max_length",
        )


def is_a(value: Any, kind: type) -> bool:
    """JSON's idea of types: true is no number, a whole number is a decimal too."""
    if isinstance(value, bool):
        return kind is bool
    return isinstance(value, (int, float)) if kind is float else isinstance(value, kind)


def missing(param: str) -> Refused:
    """Something that must be there is not."""
    return refused(f"Missing required parameter: '{param}'.", param, "missing_required_parameter")


def wrong_type(param: str, value: Any, *kinds: type) -> Refused:
    """A value of the wrong type."""
    wanted = "one of " + " or ".join(SAID[kind] for kind in kinds) if len(kinds) > 1 else SAID[kinds[0]]
    got = SAID.get(type(value), "something else")
    return refused(f"Invalid type for '{param}': expected {wanted}, but got {got} instead.", param, "invalid_type")


def wrong_value(param: str, value: Any, choices: tuple[str, ...]) -> Refused:
    """A string that is none of the choices."""
    listed = ", ".join(f"'{choice}'" for choice in choices[:-1]) + f", and '{choices[-1]}'"
    return refused(f"Invalid value: '{value}'. Supported values are: {listed}.", param, "invalid_value")


def _check_range(name: str, value: float, field: Field) -> None:
    noun = "integer" if int in field.kinds else "decimal"
    if field.low is not None and value < field.low:
        raise refused(
            f"Invalid '{name}': {noun} below minimum value. Expected a value >= {field.low:g}, but got {value:g} instead.",
            name,
            f"{noun}_below_min_value",
        )
    if field.high is not None and value > field.high:
        raise refused(
            f"Invalid '{name}': {noun} above maximum value. Expected a value <= {field.high:g}, but got {value:g} instead.",
            name,
            f"{noun}_above_max_value",
        )


def check_together(body: dict[str, Any]) -> None:
    """What is only allowed with something else, and what this model does not take."""
    if body.get("stream_options") is not None and not body.get("stream"):
        raise refused("The 'stream_options' parameter is only allowed when 'stream' is enabled.", "stream_options")
    if body.get("top_logprobs") is not None and not body.get("logprobs"):
        raise refused("'top_logprobs' is only allowed when 'logprobs' is enabled.", "top_logprobs")
    if body.get("audio") is not None or "audio" in (body.get("modalities") or []):
        raise refused("This model does not support audio output.", "modalities", "unsupported_value")
    if body.get("max_tokens") is not None and body.get("max_completion_tokens") is not None:
        raise refused(
            "Setting 'max_tokens' and 'max_completion_tokens' at the same time is not supported.",
            code="invalid_parameter_combination",
        )
    limits = rules(body["model"])
    _check_model(body, limits)
    check_sampling(body, limits, body.get("reasoning_effort"))


def _check_model(body: dict[str, Any], limits: Rules) -> None:
    effort = body.get("reasoning_effort")
    if effort is not None and not limits.efforts:
        raise refused("Unrecognized request argument supplied: reasoning_effort")
    if effort is not None and effort not in limits.efforts:
        listed = ", ".join(f"'{choice}'" for choice in limits.efforts)
        raise refused(
            f"Unsupported value: 'reasoning_effort' does not support '{effort}' with this model. Supported values are: {listed}.",
            "reasoning_effort",
            "unsupported_value",
        )
    if body.get("max_tokens") is not None and not limits.legacy_limit:
        raise unsupported("max_tokens", " Use 'max_completion_tokens' instead.")
    if body.get("stop") and not limits.stop:
        raise unsupported("stop")
    if body.get("tools") and _tools_refused(limits, effort):
        raise refused(
            f"Function tools with reasoning_effort are not supported for {body['model']} in /v1/chat/completions. Please use /v1/responses instead.",
            "reasoning_effort",
        )


def unsupported(name: str, more: str = "") -> Refused:
    """A parameter that this model does not take."""
    return refused(
        f"Unsupported parameter: '{name}' is not supported with this model.{more}", name, "unsupported_parameter"
    )


def _tools_refused(limits: Rules, effort: str | None) -> bool:
    match limits.chat_tools:
        case "never":
            return True
        case "none":
            return effort != "none"
        case "unless":
            return effort not in (None, "none")
        case _:
            return False


def check_sampling(body: dict[str, Any], limits: Rules, effort: str | None) -> None:
    """Reasoning models take no sampling parameters but their defaults while they reason."""
    reasoning = (effort or limits.default_effort) != "none"
    if limits.sampling == "ok" or (limits.sampling == "unless" and not reasoning):
        return
    defaults = {"temperature": 1, "top_p": 1, "presence_penalty": 0, "frequency_penalty": 0}
    for name, default in defaults.items():
        value = body.get(name)
        if value is not None and value != default:
            raise refused(
                f"Unsupported value: '{name}' does not support {value:g} with this model. Only the default ({default}) value is supported.",
                name,
                "unsupported_value",
            )
    for name in ("logprobs", "logit_bias", "top_logprobs"):
        if body.get(name):
            raise unsupported(name)
