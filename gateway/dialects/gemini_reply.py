"""A whole answer of Gemini as a Reply."""

from __future__ import annotations

from typing import Any

import msgspec
from msgspec import Struct, field

from gateway.core.usage import summed
from gateway.dialects.gemini_annotations import read_logprobs, url_citations, web_searches
from gateway.dialects.gemini_pause import go_on, paused
from gateway.dialects.gemini_tools import Undo
from gateway.dialects.gemini_wire import (
    RESTRICTED,
    UNBLOCKED,
    Answer,
    Candidate,
    Part,
    block_of,
    broken,
    finish_of,
    picture,
    read_rejection,
    read_usage,
    signature_of,
    tool_call,
)
from gateway.types import BadReply, Choice, FinishReason, Reasoning, Refusal, Reply, Text, ToolCall
from gateway.types import Part as Piece

_ANSWER = msgspec.json.Decoder(Answer)


def read_reply(body: bytes, undo: Undo | None) -> Reply:
    """Raises BadReply for what is no answer: other JSON, an error in a 200, no candidates, a broken call and nothing else."""
    try:
        answer = _ANSWER.decode(body)
    except (ValueError, RecursionError) as error:
        raise BadReply(f"no generateContent answer: {error}") from None
    rejection = read_rejection(answer.error) if answer.error else None
    if rejection is not None:
        raise BadReply(f"an error in a 200: {rejection.status} {rejection.code}")
    before = undo.so_far if undo is not None else None
    state: _SoFar = before.state if before is not None else _SoFar(answer.response_id or "", answer.model_version or "")
    usage = read_usage(answer.usage_metadata)
    if before is not None:
        usage = summed(before.usage, usage)
    candidates = answer.candidates or []
    choices = [_choice(candidate, state, undo) for candidate in candidates] or [_blocked(answer)]
    again = None
    token = candidates[0].continuation_token if len(candidates) == 1 else None
    if token and paused(candidates[0].finish_reason or "", token, undo):
        state.parts, state.searches = list(choices[0].parts), choices[0].searches
        again = go_on(undo, token, usage, state)
    return Reply(state.id, state.model, choices, usage, again=again)


class _SoFar(Struct):
    """Whose answer it is, and the parts and searches that earlier answers of a chain gave."""

    id: str
    model: str
    parts: list[Piece] = field(default_factory=list)
    searches: list[str] = field(default_factory=list)


def _blocked(answer: Answer) -> Choice:
    """Gemini refused the prompt: an answer like any other refusal, not an error."""
    reason = answer.prompt_feedback.block_reason if answer.prompt_feedback else None
    if reason is None or reason in UNBLOCKED:
        raise BadReply("an answer without candidates")
    return Choice([Refusal(f"Prompt blocked: {reason}")], "content_filter")


def _choice(candidate: Candidate, state: _SoFar, undo: Undo | None) -> Choice:
    index = candidate.index or 0
    wire = (candidate.content.parts if candidate.content else None) or []
    parts = list(state.parts)
    said = sum(len(part.text) for part in parts if isinstance(part, Text)) if parts else 0
    for part in wire:
        _append(parts, part, state.id, index, undo)
    reason = candidate.finish_reason or ""
    if reason == "STOP" and len(parts) == 1 and type(parts[0]) is Text:
        finish: FinishReason | None = "stop"
    else:
        finish = finish_of(reason, any(isinstance(part, ToolCall) for part in parts), bool(parts))
    if reason == RESTRICTED or finish is None:
        raise BadReply(f"an answer that ended with {reason}: {candidate.finish_message or ''}", broken(reason))
    if finish == "content_filter" and candidate.finish_message:
        parts.append(Refusal(candidate.finish_message))
    searches = state.searches
    if candidate.grounding_metadata or candidate.citation_metadata:
        _annotate(parts, candidate, wire, said)
        searches = list(dict.fromkeys([*searches, *web_searches(candidate.grounding_metadata)]))
    logprobs = read_logprobs(candidate.logprobs_result) if candidate.logprobs_result else None
    return Choice(parts, finish if reason else None, index, logprobs=logprobs, searches=searches)


def _append(parts: list[Piece], part: Part, response_id: str, index: int, undo: Undo | None) -> None:
    """Add what `part` holds. Neighbours of a kind become one, but never across a signature: it belongs to its own part."""
    signature = signature_of(part) if part.thought_signature else None
    media = part.function_call or part.inline_data
    if part.text and not parts and not part.thought and media is None and signature is None:
        parts.append(Text(part.text))  # nearly every answer
    elif part.function_call is not None:
        ordinal = sum(isinstance(earlier, ToolCall) for earlier in parts)
        parts.append(tool_call(part, part.function_call, ordinal, response_id, index, undo))
    elif part.inline_data is not None:
        image = picture(part)
        parts += [image] if image is not None else []
        parts += [Reasoning("", signature)] if signature is not None else []
    elif part.text or (signature is not None and block_of(part) is None):
        kind = Reasoning if part.thought or not part.text else Text
        last = parts[-1] if parts else None
        if isinstance(last, kind) and last.opaque is None and signature is None:
            last.text += part.text or ""
        else:
            parts.append(kind(text=part.text or "", opaque=signature))
    elif (block := block_of(part)) is not None:
        parts.append(block)


def _annotate(parts: list[Piece], candidate: Candidate, wire: list[Part], before: int) -> None:
    last = next((part for part in reversed(parts) if isinstance(part, Text)), None)
    if last is not None:
        texts: list[Any] = [("" if part.thought else part.text) or "" for part in wire]
        found = url_citations(candidate.grounding_metadata, candidate.citation_metadata, texts, before)
        last.annotations = [*(last.annotations or ()), *found] or None
