"""The top level of a Responses request as OpenAI checks it. It says "Unknown parameter" where Chat says "Unrecognized"."""

from __future__ import annotations

from typing import Any

from gateway.simulator.openai_errors import refused
from gateway.simulator.openai_fields import (
    ARRAY,
    FLAG,
    OBJECT,
    TEXT,
    Field,
    check_sampling,
    check_value,
    missing,
    unsupported,
    wrong_type,
    wrong_value,
)
from gateway.simulator.openai_models import Rules

CHOICE = Field((str, dict))
FIELDS: dict[str, Field] = {
    "access_programs": OBJECT,
    "background": FLAG,
    "background_options": OBJECT,
    "client_metadata": OBJECT,  # undocumented; Codex sends it and is answered
    "context_management": ARRAY,
    "conversation": CHOICE,
    "image": OBJECT,
    "include": ARRAY,
    "input": Field((str, list)),
    "instructions": TEXT,
    "max_output_tokens": Field((int,), 16),
    "max_tool_calls": Field((int,), 1),
    "metadata": OBJECT,
    "model": Field((str,), nullable=False),
    "moderation": OBJECT,
    "parallel_tool_calls": FLAG,
    "previous_response_id": TEXT,
    "prompt": OBJECT,
    "prompt_cache_key": TEXT,
    "prompt_cache_options": OBJECT,
    "prompt_cache_retention": Field((str,), choices=("in_memory", "24h")),
    "reasoning": OBJECT,
    "safety_identifier": TEXT,
    "service_tier": Field((str,), choices=("auto", "default", "flex", "scale", "priority", "fast", "ultrafast")),
    "store": FLAG,
    "stream": FLAG,
    "stream_options": OBJECT,
    "temperature": Field((float,), 0, 2),
    "text": OBJECT,
    "tool_choice": CHOICE,
    "tools": Field((list,), most=128),
    "top_logprobs": Field((int,), 0, 20),
    "top_p": Field((float,), 0, 1),
    "truncation": Field((str,), choices=("auto", "disabled")),
    "user": TEXT,
}
COUNTED: dict[str, Field] = {
    **{name: FIELDS[name] for name in ("conversation", "input", "instructions", "model", "parallel_tool_calls")},
    **{
        name: FIELDS[name]
        for name in ("previous_response_id", "reasoning", "text", "tool_choice", "tools", "truncation")
    },
    "personality": TEXT,
}
EFFORTS = ("none", "minimal", "low", "medium", "high", "xhigh", "max")
SUMMARY = Field((str,), choices=("auto", "concise", "detailed"))
INNER: dict[str, dict[str, Field]] = {
    "reasoning": {
        "effort": Field((str,), choices=EFFORTS),
        "summary": SUMMARY,
        "generate_summary": SUMMARY,
        "context": Field((str,), choices=("auto", "current_turn", "all_turns")),
        "mode": TEXT,
    },
    "text": {"format": OBJECT, "verbosity": Field((str,), choices=("low", "medium", "high"))},
    "stream_options": {"include_obfuscation": FLAG},
}
INCLUDABLE = (
    "file_search_call.results",
    "web_search_call.results",
    "web_search_call.action.sources",
    "message.input_image.image_url",
    "computer_call_output.output.image_url",
    "code_interpreter_call.outputs",
    "reasoning.encrypted_content",
    "message.output_text.logprobs",
)
# Where Chat's fields went; OpenAI tells those who confuse its APIs.
MOVED = {
    "messages": "input",
    "max_tokens": "max_output_tokens",
    "max_completion_tokens": "max_output_tokens",
    "response_format": "text.format",
    "reasoning_effort": "reasoning.effort",
    "verbosity": "text.verbosity",
    "functions": "tools",
    "function_call": "tool_choice",
}


def check_fields(body: dict[str, Any], fields: dict[str, Field]) -> None:
    """Names, types and ranges, one level into reasoning, text and stream_options. Raises Refused for the first wrong thing."""
    if not body.get("model"):
        raise missing("model")
    for name, value in body.items():
        _check(name, value, fields)
        inner = INNER.get(name)
        if inner is not None and value is not None:
            for key, deeper in value.items():
                if key not in inner:
                    raise _unknown(f"{name}.{key}")
                check_value(f"{name}.{key}", deeper, inner[key])
    _check_include(body.get("include") or [])
    for key, value in (body.get("metadata") or {}).items():
        if not isinstance(value, str):
            raise wrong_type(f"metadata.{key}", value, str)


def _check(name: str, value: Any, fields: dict[str, Field]) -> None:
    if name in fields:
        check_value(name, value, fields[name])
    elif name in MOVED:
        raise refused(
            f"Unsupported parameter: '{name}'. In the Responses API, this parameter has moved to '{MOVED[name]}'. Try again with "
            "the new parameter. See the API documentation for more information: "
            "https://platform.openai.com/docs/api-reference/responses/create.",
            name,
            "unsupported_parameter",
        )
    else:
        raise _unknown(name)


def _unknown(param: str) -> Exception:
    return refused(f"Unknown parameter: '{param}'.", param, "unknown_parameter")


def _check_include(include: list[Any]) -> None:
    for place, wanted in enumerate(include):
        if wanted not in INCLUDABLE:
            raise wrong_value(f"include[{place}]", wanted, INCLUDABLE)


def check_together(body: dict[str, Any], limits: Rules) -> None:
    """What is only allowed with something else, what this model does not take, and what is not simulated."""
    if body.get("stream_options") is not None and not body.get("stream"):
        raise refused("The 'stream_options' parameter is only allowed when 'stream' is enabled.", "stream_options")
    if body.get("conversation") is not None:
        if body.get("previous_response_id") is not None:
            raise refused(
                "Mutually exclusive parameters: 'previous_response_id' and 'conversation'. Ensure you are only providing one of them.",
                "previous_response_id",
                "mutually_exclusive_parameters",
            )
        wanted = body["conversation"]
        id = wanted.get("id") if isinstance(wanted, dict) else wanted
        raise refused(f"Conversation with id '{id}' not found.", "conversation", status=404)
    if body.get("prompt") is not None:
        raise refused(f"Prompt with id '{body['prompt'].get('id')}' not found.", "prompt", status=404)
    if body.get("background"):
        raise refused("Background mode is not simulated.", "background", "unsupported_parameter")
    if body.get("input") is None and body.get("previous_response_id") is None:
        raise refused(
            "One of \"input\" or \"previous_response_id\" or 'prompt' or 'conversation_id' must be provided.",
            "input",
            "missing_required_parameter",
        )
    _check_effort(body, limits)
    check_sampling(body, limits, effort(body))


def effort(body: dict[str, Any]) -> str | None:
    """The effort asked for."""
    wanted = (body.get("reasoning") or {}).get("effort")
    return None if wanted is None else str(wanted)


def _check_effort(body: dict[str, Any], limits: Rules) -> None:
    wanted = effort(body)
    if not limits.efforts:
        for name in ("effort", "summary", "generate_summary"):
            if (body.get("reasoning") or {}).get(name) is not None:
                raise unsupported(f"reasoning.{name}")
    elif wanted is not None and wanted not in limits.efforts:
        listed = ", ".join(f"'{choice}'" for choice in limits.efforts)
        raise refused(
            f"Unsupported value: '{wanted}' is not supported with the '{body['model']}' model. Supported values are: {listed}.",
            "reasoning.effort",
            "unsupported_value",
        )
