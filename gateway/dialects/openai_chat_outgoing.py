"""`types.Request` into a Chat body, for clients of another dialect.

A function of the request and the target alone; keys in a fixed order. What the target's model does not take is left out and
noted. Usage is always asked for in streams, because it is settled against. Source: completion_create_params.py of
openai-python; the model's limits are data (config/models.yaml).
"""

from __future__ import annotations

from typing import Any

import msgspec

from gateway.dialects.openai_chat_turns import write_messages
from gateway.types import Abilities, Notes, Request, ResponseFormat, Target, Tool, ToolChoice, Unsupported, Written

Wire = dict[str, Any]

EFFORTS = ("none", "minimal", "low", "medium", "high", "xhigh", "max")
MAX_STOPS = 4
# The fields of the Chat API that have no place in Request; others in `extra` belong to another dialect.
_PASSED = (
    "modalities", "audio", "prediction", "store", "prompt_cache_key", "prompt_cache_retention", "prompt_cache_options",
    "web_search_options", "moderation",
)  # fmt: skip
_HINTS = ("cache_control",)  # OpenAI caches by itself
# Anthropic's thinking budgets as efforts: below, the word.
_BUDGETS = ((2048, "low"), (12_000, "medium"), (28_000, "high"))


def write_request(request: Request, target: Target, notes: Notes) -> Written:
    """The body for POST /chat/completions. Raises Unsupported for what must not be dropped."""
    wire: Wire = {
        "model": target.model,
        "messages": write_messages(request.messages, target.translation.repair_history, notes),
    }
    _write_tools(wire, request, notes)
    effort = _effort(request, target.abilities, notes)
    _write_limits(wire, request, target.abilities, notes)
    _write_sampling(wire, request, target.abilities, effort, notes)
    _write_output(wire, request, effort)
    _write_extra(wire, request, notes)
    if request.stream:
        wire["stream"] = True
        wire["stream_options"] = {"include_usage": True}
    return Written(msgspec.json.encode(wire))


def _write_tools(wire: Wire, request: Request, notes: Notes) -> None:
    if not request.tools:
        return
    forced = request.tool_choice is not None and request.tool_choice.mode not in ("auto", "none")
    written = [_tool(tool, f"tools[{place}]", forced, notes) for place, tool in enumerate(request.tools)]
    wire["tools"] = [tool for tool in written if tool is not None]
    if not wire["tools"]:
        del wire["tools"]
        return
    if request.tool_choice is not None:
        custom = {tool.name for tool in request.tools if tool.custom}
        wire["tool_choice"] = _tool_choice(request.tool_choice, custom)
    if request.parallel_tool_calls is not None:
        wire["parallel_tool_calls"] = request.parallel_tool_calls


def _tool(tool: Tool, param: str, forced: bool, notes: Notes) -> Wire | None:
    """None for a vendor's own tool that is left out: the model is free to do without."""
    if tool.native is not None and tool.parameters is None:
        if forced or tool.name.startswith("web_search"):  # a search that is asked for is meant
            raise Unsupported(param, f"the tool '{tool.name[:64]}' belongs to another provider")
        notes.drop(f"tools.{tool.name[:64]}", "server_tool_unsupported")
        return None
    if tool.native is not None:
        notes.warn("builtin_tool_emulated")
    given: Wire = {"name": tool.name}
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
    return {"type": kind, kind: {"name": name}}


def _effort(request: Request, abilities: Abilities, notes: Notes) -> str | None:
    """What reasoning effort is sent: the client's, or what its `thinking` object amounts to, as the model takes it."""
    wanted = request.effort if request.thinking is None else _thinking_effort(request.thinking, request.effort)
    if wanted is None:
        return None
    levels = [level for level in EFFORTS if level in (abilities.effort_levels or EFFORTS)]
    if wanted in levels and abilities.reasoning:
        return wanted
    thinking_levels = [level for level in levels if level != "none"]
    if not abilities.reasoning or wanted not in EFFORTS or not thinking_levels:
        notes.drop("reasoning_effort" if request.thinking is None else "thinking", "reasoning_unsupported")
        return None
    notes.warn("reasoning_cannot_be_disabled" if wanted == "none" else "reasoning_effort_clamped")
    below = [level for level in thinking_levels if EFFORTS.index(level) < EFFORTS.index(wanted)]
    return below[-1] if below else thinking_levels[0]


def _thinking_effort(thinking: dict[str, Any], effort: str | None) -> str | None:
    if thinking.get("type") in ("disabled", "between_tools"):
        return "none"
    if effort is not None:
        return effort
    budget = thinking.get("budget_tokens")
    if type(budget) is not int:
        return None
    return next((word for limit, word in _BUDGETS if budget < limit), "xhigh")


def _write_limits(wire: Wire, request: Request, abilities: Abilities, notes: Notes) -> None:
    if request.max_tokens is not None:
        wire[abilities.output_cap] = request.max_tokens
        if abilities.max_output is not None and request.max_tokens > abilities.max_output:
            notes.warn("max_tokens_clamped")
            wire[abilities.output_cap] = abilities.max_output
    if request.n != 1:
        wire["n"] = request.n
    if request.stop:
        if len(request.stop) > MAX_STOPS:
            notes.drop("stop", "stop_sequences_cut")
        wire["stop"] = request.stop[:MAX_STOPS]


def _write_sampling(wire: Wire, request: Request, abilities: Abilities, effort: str | None, notes: Notes) -> None:
    takes = abilities.sampling in ("ok", "ignored") or (abilities.sampling_at_effort_none and effort == "none")
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
