"""Mending a request that a vendor refused because of what our translation made of it. Pure.

`repaired` gives the request for the one retry, `learned` what the refusal teaches about the model, so that the next request is
right at once. A request is mended at most once an attempt; what comes back then is the client's own affair.
Rule 1: nothing is left out that the caller's result depends on (n, log probabilities, stop sequences, formats).
Rule 2: never mutates its input; what changes is built anew.
Callers with `x-gateway-strict: 1` want no parameter left out: for them a refused parameter is not mended.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from msgspec import structs

from gateway.errors import Fault
from gateway.types import Abilities, Message, Opaque, Part, Reasoning, Request, Text, ToolCall, ToolChoice

# What Google documents for calls that its models did not make; gemini_contents writes the same for models known to ask for it.
SKIP_SIGNATURE = Opaque("google", "thought_signature", "skip_thought_signature_validator")

# Our fields, by the name under which a vendor or its provider file (Fault.param) speaks of them, and what they become.
FIELDS: dict[str, dict[str, Any]] = {
    "temperature": {"temperature": None},
    "top_p": {"top_p": None},
    "top_k": {"top_k": None},
    "presence_penalty": {"presence_penalty": None, "frequency_penalty": None},
    "frequency_penalty": {"presence_penalty": None, "frequency_penalty": None},
    "seed": {"seed": None},
    "logit_bias": {"logit_bias": None},
    "verbosity": {"verbosity": None},
    "text.verbosity": {"verbosity": None},
    "service_tier": {"service_tier": None},
    "speed": {"service_tier": None},
    "metadata": {"metadata": None, "user": None, "safety_identifier": None},
    "user": {"user": None},
    "safety_identifier": {"safety_identifier": None},
    "parallel_tool_calls": {"parallel_tool_calls": None},
    "reasoning.summary": {"show_thoughts": False},  # OpenAI shows thoughts to verified organizations only
    "thinking": {"thinking": None, "effort": None},
    "output_config": {"thinking": None, "effort": None},
}
EFFORTS = ("reasoning_effort", "reasoning.effort", "reasoning")
UNTHINKING = ("none", "minimal")  # efforts that some models only know as "low"


def repaired(request: Request, fault: Fault) -> Request | None:
    """The request to send once more, or None when this refusal is not ours to mend (or nothing would change)."""
    match fault.kind:
        case "replay_mismatch":
            mended = _without(request, _is_thought)
        case "signature_missing":
            mended = _vouched_for(request)
        case "wrong_endpoint":
            # For callers that cannot go to the other endpoint: Chat takes tools where thinking is off.
            mended = structs.replace(request, effort="none", thinking=None) if request.tools else request
        case "parameter_refused":
            mended = _without_parameter(request, fault.param or "")
        case _:
            return None
    return _noting(mended, fault) if mended != request else None


def _noting(mended: Request, fault: Fault) -> Request:
    """The mended request, saying what it lost: its client is told as of any other parameter."""
    match fault.kind:
        case "parameter_refused":
            lost = (fault.param or "", "parameter_refused")
        case "replay_mismatch":
            lost = ("", "reasoning_not_replayed")
        case _:
            return mended
    return structs.replace(mended, left_out=[*mended.left_out, lost])


def learned(abilities: Abilities, fault: Fault) -> Abilities:
    """What the model can do after all, `abilities` itself when the refusal teaches nothing."""
    if fault.kind == "signature_missing":
        return structs.replace(abilities, requires_signature=True)
    if fault.kind != "parameter_refused":
        return abilities
    match fault.param:
        case "temperature" | "top_p" | "top_k":
            return structs.replace(abilities, sampling="reject")
        case "presence_penalty" | "frequency_penalty":
            return structs.replace(abilities, penalties=False)
        case "tool_choice":
            return structs.replace(abilities, forced_tool_choice=False)
        case "reasoning.summary":
            return structs.replace(abilities, reasoning_summaries=False)
        case "max_tokens":
            return structs.replace(abilities, output_cap="max_completion_tokens")
        case "max_completion_tokens":
            return structs.replace(abilities, output_cap="max_tokens")
    return abilities


def _without_parameter(request: Request, param: str) -> Request:
    if param in EFFORTS:
        lowest = "low" if request.effort in UNTHINKING else None
        return structs.replace(request, effort=lowest, thinking=None)
    if param == "tool_choice":
        # Named or required calls cannot be forced there; asked for by `learned` abilities they are emulated instead.
        forced = request.tool_choice is not None and request.tool_choice.mode not in ("auto", "none")
        return structs.replace(request, tool_choice=ToolChoice("auto")) if forced else request
    return structs.replace(request, **FIELDS.get(param, {}))


def _is_thought(part: Part) -> bool:
    return isinstance(part, Reasoning)


def _without(request: Request, unwanted: Callable[[Part], bool]) -> Request:
    messages = [
        _message(message, [part for part in message.parts if not unwanted(part)]) for message in request.messages
    ]
    return structs.replace(request, messages=messages)


def _message(message: Message, parts: list[Part]) -> Message:
    return structs.replace(message, parts=parts) if len(parts) != len(message.parts) else message


def _vouched_for(request: Request) -> Request:
    """With Google's own word for "not from here" on the first call of each step since the user spoke, other signatures gone."""
    start = max((at for at, message in enumerate(request.messages) if _speaks(message)), default=0)
    current = [_signed(message) if message.role == "assistant" else message for message in request.messages[start:]]
    return structs.replace(request, messages=[*request.messages[:start], *current])


def _speaks(message: Message) -> bool:
    return message.role == "user" and any(isinstance(part, Text) for part in message.parts)


def _signed(message: Message) -> Message:
    first = True
    parts: list[Part] = []
    for part in message.parts:
        if isinstance(part, ToolCall):
            parts.append(structs.replace(part, opaque=SKIP_SIGNATURE if first else None))
            first = False
        elif isinstance(part, Text):
            parts.append(structs.replace(part, opaque=None) if part.opaque is not None else part)
        elif not _is_thought(part):
            parts.append(part)
    return structs.replace(message, parts=parts)
