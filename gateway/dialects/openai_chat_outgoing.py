"""`types.Request` into a Chat body, for clients of another dialect.

A function of the request and the target alone; keys in a fixed order. What the target's model does not take is left out and
noted. Usage is always asked for in streams, because it is settled against. Source: completion_create_params.py of
openai-python; the model's limits are data (config/models.yaml).
"""

from __future__ import annotations

from typing import Any

import msgspec
from msgspec import structs

from gateway.dialects.openai_cache import Marks
from gateway.dialects.openai_chat_turns import write_messages
from gateway.dialects.openai_effort import effort_of, takes_sampling
from gateway.dialects.openai_undo import Undo, legal_name
from gateway.types import (
    Abilities,
    Message,
    Notes,
    Part,
    Request,
    ResponseFormat,
    Target,
    Tool,
    ToolCall,
    ToolChoice,
    Unsupported,
    Written,
)

Wire = dict[str, Any]

MAX_STOPS = 4
_INPUT: Wire = {
    "type": "object",
    "properties": {"input": {"type": "string"}},
    "required": ["input"],
    "additionalProperties": False,
}
# The fields of the Chat API that have no place in Request; others in `extra` belong to another dialect.
_PASSED = (
    "modalities", "audio", "prediction", "store", "prompt_cache_key", "prompt_cache_retention", "prompt_cache_options",
    "web_search_options", "moderation",
)  # fmt: skip
_HINTS = ("cache_control",)  # OpenAI caches by itself


def write_request(request: Request, target: Target, notes: Notes) -> Written:
    """The body for POST /chat/completions. Raises Unsupported for what must not be dropped."""
    spelled, marks = (
        _spelled(request.messages, target.abilities),
        Marks() if target.abilities.cache_breakpoints else None,
    )
    wire: Wire = {
        "model": target.model,
        "messages": write_messages(spelled, target.translation.repair_history, notes, marks),
    }
    _write_tools(wire, request, target.abilities, notes)
    effort = effort_of(request, target.abilities, notes)
    _write_limits(wire, request, target.abilities, notes)
    watched = _write_stops(wire, request, target.abilities, notes) if request.stop else ()
    _write_sampling(wire, request, target.abilities, effort, notes)
    _write_output(wire, request, effort)
    _write_extra(wire, request, notes)
    if request.stream:
        wire["stream"] = True
        wire["stream_options"] = {"include_usage": True}
    names = {legal: tool.name for tool in request.tools if (legal := legal_name(tool.name)) != tool.name}
    return Written(msgspec.json.encode(wire), undo=Undo(names, watched) if names or watched else None)


def _spelled(messages: list[Message], abilities: Abilities) -> list[Message]:
    """Calls of free-form tools as the functions that stand for them, where the server knows no others."""
    if abilities.custom_tools or not any(_is_custom(part) for message in messages for part in message.parts):
        return messages
    return [structs.replace(message, parts=[_as_function(part) for part in message.parts]) for message in messages]


def _is_custom(part: Part) -> bool:
    return isinstance(part, ToolCall) and part.custom


def _as_function(part: Part) -> Part:
    if not isinstance(part, ToolCall) or not part.custom:
        return part
    return structs.replace(part, custom=False, arguments=msgspec.json.encode({"input": part.arguments}).decode())


def _function_for(tool: Tool, notes: Notes) -> Tool:
    """A function of one string in place of a free-form tool; a grammar cannot be enforced, so the model is told what it is."""
    notes.warn("custom_tool_emulated")
    grammar = tool.grammar or {}
    rule = f"The input must match this {grammar.get('syntax', 'text')} grammar:\n{grammar.get('definition')}"
    about = [tool.description, "Give the raw text, without fences."] + ([rule] if grammar.get("definition") else [])
    return structs.replace(
        tool, custom=False, grammar=None, parameters=_INPUT, description="\n\n".join(filter(None, about))
    )


def _write_tools(wire: Wire, request: Request, abilities: Abilities, notes: Notes) -> None:
    offered = [
        _function_for(tool, notes) if tool.custom and not abilities.custom_tools else tool for tool in request.tools
    ]
    forced = request.tool_choice is not None and request.tool_choice.mode not in ("auto", "none")
    written = [_tool(tool, f"tools[{place}]", forced, notes) for place, tool in enumerate(offered)]
    tools = [tool for tool in written if tool is not None]
    if not tools:
        return
    wire["tools"] = tools
    if request.tool_choice is not None:
        custom = {tool.name for tool in offered if tool.custom}
        wire["tool_choice"] = _tool_choice(request.tool_choice, custom)
    if request.parallel_tool_calls is not None:
        wire["parallel_tool_calls"] = request.parallel_tool_calls


def _tool(tool: Tool, param: str, forced: bool, notes: Notes) -> Wire | None:
    """None for a vendor's own tool that is left out: the model is free to do without."""
    if tool.native is not None and tool.parameters is None:
        # A search that is asked for is meant, unless its client offers one with every request.
        if not tool.optional and (forced or tool.name.startswith("web_search")):
            raise Unsupported(param, f"the tool '{tool.name[:64]}' belongs to another provider")
        notes.drop(f"tools.{tool.name[:64]}", "server_tool_unsupported")
        return None
    if tool.native is not None:
        notes.warn("builtin_tool_emulated")
    given: Wire = {"name": legal_name(tool.name)}
    if tool.description:
        given["description"] = tool.description
    if tool.custom:
        if tool.grammar is not None:
            given["format"] = {"type": "grammar", "grammar": tool.grammar}
        return {"type": "custom", "custom": given}
    if tool.parameters is not None:
        given["parameters"] = tool.parameters
    if tool.strict is not None:
        given["strict"] = tool.strict
    return {"type": "function", "function": given}


def _tool_choice(choice: ToolChoice, custom: set[str]) -> str | Wire:
    if choice.mode in ("auto", "none", "required"):
        return choice.mode
    names = [_reference(name, custom) for name in choice.names]
    if choice.mode == "named":
        return names[0]
    mode = "auto" if choice.mode == "allowed_auto" else "required"
    return {"type": "allowed_tools", "allowed_tools": {"mode": mode, "tools": names}}


def _reference(name: str, custom: set[str]) -> Wire:
    kind = "custom" if name in custom else "function"
    return {"type": kind, kind: {"name": legal_name(name)}}


def _write_limits(wire: Wire, request: Request, abilities: Abilities, notes: Notes) -> None:
    if request.max_tokens is not None:
        wire[abilities.output_cap] = request.max_tokens
        if abilities.max_output is not None and request.max_tokens > abilities.max_output:
            notes.warn("max_tokens_clamped")
            wire[abilities.output_cap] = abilities.max_output
    if request.n != 1:
        wire["n"] = request.n


def _write_stops(wire: Wire, request: Request, abilities: Abilities, notes: Notes) -> tuple[str, ...]:
    """What stops the answer. Gives those that have to be watched for in it: models that reason refuse the field, and none takes
    more than four. Of several answers at once nobody watches the stops.
    """
    stops = [stop for stop in request.stop if stop]
    watched = bool(stops) and request.n == 1 and (abilities.reasoning or len(stops) > MAX_STOPS)
    if watched:
        notes.warn("stop_emulated")
    elif len(stops) > MAX_STOPS:
        notes.drop("stop", "stop_sequences_cut")
    if stops and not (watched and abilities.reasoning):
        wire["stop"] = stops[:MAX_STOPS]
    return tuple(stops) if watched else ()


def _write_sampling(wire: Wire, request: Request, abilities: Abilities, effort: str | None, notes: Notes) -> None:
    takes = takes_sampling(abilities, effort)
    for name, value in (("temperature", request.temperature), ("top_p", request.top_p)):
        if value is None:
            continue
        if takes:
            wire[name] = value
        elif value != 1:  # the default says nothing: it is left out without a note
            notes.drop(name, "sampling_unsupported")
    if request.top_k is not None:
        notes.drop("top_k", "sampling_unsupported")
    for name, value in (
        ("presence_penalty", request.presence_penalty),
        ("frequency_penalty", request.frequency_penalty),
    ):
        if value is None:
            continue
        if takes and abilities.penalties:
            wire[name] = value
        elif value != 0:
            notes.drop(name, "sampling_unsupported")
    _write_exact(wire, request, takes, notes)


def _write_exact(wire: Wire, request: Request, takes: bool, notes: Notes) -> None:
    """What a caller counts on getting: a model without sampling has no log probabilities either."""
    for name, value in (("seed", request.seed), ("logit_bias", request.logit_bias)):
        if value is not None:
            wire[name] = value
    for name, asked in (("logprobs", request.logprobs), ("top_logprobs", request.top_logprobs)):
        if asked is None:
            continue
        if takes:
            wire[name] = asked
        elif asked:
            raise Unsupported(name, f"{name} is not supported by the model chosen for this request")


def _write_output(wire: Wire, request: Request, effort: str | None) -> None:
    if request.format is not None:
        wire["response_format"] = _format(request.format)
    fields = {
        "reasoning_effort": effort,
        "verbosity": request.verbosity,
        "user": request.user,
        "safety_identifier": request.safety_identifier,
        "metadata": request.metadata,
        "service_tier": request.service_tier,
    }
    wire.update({name: value for name, value in fields.items() if value is not None})


def _format(wanted: ResponseFormat) -> Wire:
    if wanted.kind != "json_schema":
        return {"type": wanted.kind}
    schema: Wire = {"name": wanted.name or "output"}
    if wanted.description:
        schema["description"] = wanted.description
    if wanted.schema is not None:
        schema["schema"] = wanted.schema
    if wanted.strict is not None:
        schema["strict"] = wanted.strict
    return {"type": "json_schema", "json_schema": schema}


def _write_extra(wire: Wire, request: Request, notes: Notes) -> None:
    for name in _PASSED:
        if name in request.extra:
            wire[name] = request.extra[name]
    for name in request.extra:
        if name not in _PASSED and name not in _HINTS:
            notes.drop(name, "unknown_field")
