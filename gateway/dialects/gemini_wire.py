"""Gemini's answers on the wire: one shape for a whole answer and for each piece of a stream, and what its words mean.

Rule 1: what only decorates an answer (usage, grounding, log probabilities) stays bytes here and is read leniently: a field of
the wrong type there never costs the client its answer.
Rule 2: arguments stay the model's own JSON text; only the line breaks of pretty-printed answers go.
Source: https://ai.google.dev/api/generate-content#v1beta.GenerateContentResponse, google-genai's types.
"""

from __future__ import annotations

import hashlib
from contextlib import suppress
from typing import Any, TypeVar

import msgspec
from msgspec import Raw, Struct

from gateway.dialects.gemini_parts import GOOGLE, SIGNATURE
from gateway.dialects.gemini_tools import Undo, read_call
from gateway.errors import FaultKind
from gateway.types import Count, FinishReason, Image, Modalities, Opaque, ToolCall, Usage, VendorBlock

Decoded = TypeVar("Decoded")


class FunctionCall(Struct, rename="camel"):
    name: str = ""
    id: str | None = None
    args: Raw = Raw()


class Blob(Struct, rename="camel"):
    mime_type: str = ""
    data: str = ""


class Part(Struct, rename="camel"):
    text: str | None = None
    thought: bool | None = None
    thought_signature: str | None = None
    function_call: FunctionCall | None = None
    inline_data: Blob | None = None
    executable_code: Raw = Raw()
    code_execution_result: Raw = Raw()
    tool_call: Raw = Raw()
    tool_response: Raw = Raw()


class Content(Struct):
    parts: list[Part] | None = None


class Candidate(Struct, rename="camel"):
    content: Content | None = None
    finish_reason: str | None = None
    finish_message: str | None = None
    index: int | None = None
    continuation_token: str | None = None
    grounding_metadata: Raw = Raw()
    citation_metadata: Raw = Raw()
    logprobs_result: Raw = Raw()


class Feedback(Struct, rename="camel"):
    block_reason: str | None = None


class Answer(Struct, rename="camel"):
    candidates: list[Candidate] | None = None
    usage_metadata: Raw = Raw()
    model_version: str | None = None
    response_id: str | None = None
    prompt_feedback: Feedback | None = None
    error: Raw = Raw()


class Counts(Struct, rename="camel"):
    prompt_token_count: Count | None = None
    candidates_token_count: Count | None = None
    thoughts_token_count: Count | None = None
    tool_use_prompt_token_count: Count | None = None
    cached_content_token_count: Count | None = None
    total_token_count: Count | None = None
    prompt_tokens_details: Raw = Raw()
    cache_tokens_details: Raw = Raw()
    candidates_tokens_details: Raw = Raw()


class OfModality(Struct, rename="camel"):
    modality: str = ""
    token_count: Count = 0


class Rejection(Struct):
    """The error object inside a 200: code is an HTTP status, status one of google.rpc's words."""

    code: int | None = None
    message: str | None = None
    status: str | None = None


class Enclosed(Struct):
    error: Rejection


FINISHES: dict[str, FinishReason] = {
    "STOP": "stop",
    "MAX_TOKENS": "length",
    "CONTINUATION": "length",
    **dict.fromkeys(
        (
            "SAFETY",
            "RECITATION",
            "BLOCKLIST",
            "PROHIBITED_CONTENT",
            "SPII",
            "IMAGE_SAFETY",
            "IMAGE_PROHIBITED_CONTENT",
            "IMAGE_RECITATION",
            "LANGUAGE",
            "MODEL_ARMOR",
            "ESCALATION",
        ),
        "content_filter",
    ),
}
UNSIGNED = "MISSING_THOUGHT_SIGNATURE"  # a call of the history lacks its signature: what we sent was wrong
# With nothing usable beside them these are no answers: an empty "stop" would silently end an agent's loop.
BROKEN = frozenset(
    {
        "MALFORMED_FUNCTION_CALL",
        "UNEXPECTED_TOOL_CALL",
        "MALFORMED_RESPONSE",
        "TOO_MANY_TOOL_CALLS",
        "NO_IMAGE",
        "IMAGE_OTHER",
        "OTHER",
        "FINISH_REASON_UNSPECIFIED",
        UNSIGNED,
    }
)
RESTRICTED = "PUP_LIMITED_DISABLED"  # the operator's account may not use the model: no completion at all
UNBLOCKED = ("BLOCKED_REASON_UNSPECIFIED", "")

KINDS: dict[str, FaultKind] = {
    "INVALID_ARGUMENT": "bad_request",
    "OUT_OF_RANGE": "bad_request",
    "FAILED_PRECONDITION": "auth",  # region or free tier: the operator's account
    "UNAUTHENTICATED": "auth",
    "PERMISSION_DENIED": "auth",
    "NOT_FOUND": "model_missing",
    "RESOURCE_EXHAUSTED": "rate_limited",
    "UNAVAILABLE": "overloaded",
}
KINDS_BY_CODE: dict[int, FaultKind] = {
    400: "bad_request",
    401: "auth",
    403: "auth",
    404: "model_missing",
    429: "rate_limited",
    503: "overloaded",
}
BLOCKS = {
    "executable_code": "executableCode",
    "code_execution_result": "codeExecutionResult",
    "tool_call": "toolCall",
    "tool_response": "toolResponse",
}

_ANY = msgspec.json.Decoder()
_COUNTS = msgspec.json.Decoder(Counts)
_MODALITIES = msgspec.json.Decoder(list[OfModality] | None)
_ERRORS = msgspec.json.Decoder(Enclosed | list[Enclosed])
_REJECTION = msgspec.json.Decoder(Rejection)


def lenient(decoder: msgspec.json.Decoder[Decoded], raw: Raw | bytes) -> Decoded | None:
    """What `raw` says, None when it says nothing or something else."""
    try:
        return decoder.decode(raw) if raw else None
    except (ValueError, RecursionError):
        return None


def read_usage(raw: Raw) -> Usage | None:
    """Thoughts count as output, the prompts of Gemini's own tools as input; cached tokens are part of the prompt already."""
    counts = lenient(_COUNTS, raw)
    if counts is None:
        return None
    given = (counts.prompt_token_count or 0) + (counts.tool_use_prompt_token_count or 0)
    thoughts = counts.thoughts_token_count or 0
    made = (counts.candidates_token_count or 0) + thoughts
    return Usage(
        given,
        made,
        counts.cached_content_token_count or 0,
        0,
        thoughts,
        counts.total_token_count or given + made,
        0,
        _by_modality(counts.prompt_tokens_details) if counts.prompt_tokens_details else None,
        _by_modality(counts.cache_tokens_details) if counts.cache_tokens_details else None,
        _by_modality(counts.candidates_tokens_details) if counts.candidates_tokens_details else None,
    )


def _by_modality(raw: Raw) -> Modalities | None:
    """Tokens by modality; those of documents and videos are what they cost as, and have no name at OpenAI."""
    found = lenient(_MODALITIES, raw)
    if not found:
        return None
    sums = {"TEXT": 0, "IMAGE": 0, "AUDIO": 0}
    for entry in found:
        if entry.modality in sums:
            sums[entry.modality] += entry.token_count
    return Modalities(sums["TEXT"], sums["IMAGE"], sums["AUDIO"])


def read_error(body: bytes) -> Rejection | None:
    """The error that `body` is: an object with `error`, or a list of one of these. None for anything else."""
    found = lenient(_ERRORS, body)
    if isinstance(found, list):
        return found[0].error if found else None
    return found.error if found is not None else None


def read_rejection(raw: Raw) -> Rejection | None:
    """The value of an `error` field; one of an unknown shape is an error all the same."""
    if _is_absent(raw):
        return None
    return lenient(_REJECTION, raw) or Rejection()


def kind_of(error: Rejection) -> FaultKind:
    """What kind of fault an error is, by its word, else by its code."""
    known = KINDS.get(error.status or "")
    if known is None and error.code is not None:
        known = KINDS_BY_CODE.get(error.code, "server_error")
    return known or "error_event"


def finish_of(reason: str, calls: bool, usable: bool) -> FinishReason | None:
    """Our word for Gemini's; None when it means that there is no answer. `usable`: something came that a client can use."""
    if reason in BROKEN and not usable:
        return None
    finish = FINISHES.get(reason, "stop")
    return "tool_calls" if calls and finish == "stop" else finish


def broken(reason: str) -> FaultKind:
    """What kind of fault a finish reason is that means that there is no answer."""
    return {RESTRICTED: "forbidden", UNSIGNED: "signature_missing"}.get(reason, "bad_reply")  # type: ignore[return-value]


def picture(part: Part) -> Image | None:
    """A picture of the answer; those that the model drew while thinking are drafts."""
    if part.inline_data is None or part.thought:
        return None
    return Image(media_type=part.inline_data.mime_type, data=part.inline_data.data)


def signature_of(part: Part) -> Opaque | None:
    return Opaque(GOOGLE, SIGNATURE, part.thought_signature) if part.thought_signature else None


def block_of(part: Part) -> VendorBlock | None:
    """Code that Gemini ran, or calls of its own tools: hidden from others, replayed to it verbatim."""
    for field, name in BLOCKS.items():
        raw: Raw = getattr(part, field)
        if not _is_absent(raw):
            wire: dict[str, Any] = {name: lenient(_ANY, raw)}
            if part.thought_signature:
                wire["thoughtSignature"] = part.thought_signature
            return VendorBlock(Opaque(GOOGLE, "server_block", wire))
    return None


def tool_call(
    part: Part, call: FunctionCall, ordinal: int, response_id: str, choice: int, undo: Undo | None
) -> ToolCall:
    """A functionCall in the client's terms; `ordinal` counts the calls of this choice from 0."""
    arguments = _arguments(call.args)
    name, text, custom = read_call(call.name, arguments, undo)
    call_id = call.id or _derived_id(response_id, choice, ordinal, call.name, arguments)
    return ToolCall(call_id, name, text, custom, signature_of(part))


def _arguments(raw: Raw) -> str:
    if _is_absent(raw):
        return "{}"
    text = bytes(raw)
    if b"\n" in text:
        with suppress(ValueError):  # no JSON after all: the client sees what came
            text = msgspec.json.format(text, indent=-1)
    return text.decode(errors="replace")


def _is_absent(raw: Raw) -> bool:
    return not raw or bytes(raw) == b"null"


def _derived_id(response_id: str, *place: object) -> str:
    """An id for a call that came without one: the same whenever the same answer is read."""
    seed = "\0".join([response_id, *map(str, place)])
    return "call_" + hashlib.sha256(seed.encode()).hexdigest()[:24]
