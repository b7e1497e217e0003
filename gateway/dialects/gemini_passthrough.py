"""generateContent bodies that pass through: add what must be added, and read usage out of whole answers.

The model stands in the URL, so most bodies go on as the very same bytes.
"""

from __future__ import annotations

import msgspec
from msgspec import Raw

from gateway.core.splice import set_members
from gateway.dialects.gemini_foreign import without_foreign
from gateway.dialects.gemini_wire import (
    BROKEN,
    RESTRICTED,
    UNBLOCKED,
    Answer,
    Candidate,
    Part,
    broken,
    finish_of,
    read_rejection,
    read_usage,
)
from gateway.types import BadReply, Change, Glance, Peek

CONFIG = ("generationConfig", "generation_config")
CAPS = ("maxOutputTokens", "max_output_tokens")

_decode_top = msgspec.json.Decoder(dict[str, Raw]).decode
_decode_answer = msgspec.json.Decoder(Answer).decode


def change(body: bytes, peek: Peek, change: Change) -> bytes:
    """`body` with an output cap or a temperature added to its generationConfig, and without other vendors' envelopes; the very
    same object when there is nothing to add and none of them."""
    if peek.foreign:
        body = without_foreign(body, change.model or peek.model)
    members: dict[str, bytes] = {}
    if change.max_tokens is not None and peek.max_tokens is None:
        members[CAPS[0]] = b"%d" % change.max_tokens
    if change.temperature is not None and not peek.has_temperature:
        members["temperature"] = msgspec.json.encode(change.temperature)
    if not members:
        return body
    fields = _decode_top(body)
    name = next((spelled for spelled in CONFIG if spelled in fields), CONFIG[0])
    return set_members(body, fields, {name: _added(fields.get(name), members)})


def _added(config: Raw | None, members: dict[str, bytes]) -> bytes:
    spelled = b"null" if config is None else bytes(config)
    if spelled == b"null":
        spelled = b"{}"
    fields = _decode_top(spelled)
    if CAPS[0] in members and CAPS[1] in fields:  # it is null, and one field must not stand there in two spellings
        members = {CAPS[1] if name == CAPS[0] else name: value for name, value in members.items()}
    return set_members(spelled, fields, members)


def glance(body: bytes) -> Glance:
    """Read usage, emptiness and the first finish reason, as our word. Raises BadReply for what is no answer."""
    try:
        answer = _decode_answer(body)
    except (ValueError, RecursionError) as error:
        raise BadReply(f"no generateContent answer: {error}") from None
    if read_rejection(answer.error) is not None:
        raise BadReply("an error in a 200")
    usage = read_usage(answer.usage_metadata)
    if not answer.candidates:
        if not is_blocked(answer):
            raise BadReply("an answer without candidates")
        return Glance(usage, False, "content_filter")
    first = answer.candidates[0]
    if any(candidate.finish_reason == RESTRICTED for candidate in answer.candidates):
        raise BadReply(f"an answer that ended with {RESTRICTED}", broken(RESTRICTED))
    empty = not any(map(says, answer.candidates))
    return Glance(usage, empty, finish_of(first.finish_reason or "", _calls(first), usable=True))


def is_blocked(answer: Answer) -> bool:
    """Whether Gemini refused the prompt, which is an answer like any other refusal."""
    reason = answer.prompt_feedback.block_reason if answer.prompt_feedback else None
    return reason is not None and reason not in UNBLOCKED


def says(candidate: Candidate) -> bool:
    """Whether a candidate tells a client something: content, or why there is none."""
    if any(map(shows, (candidate.content.parts if candidate.content else None) or ())):
        return True
    reason = candidate.finish_reason
    return bool(reason) and reason != "STOP" and reason not in BROKEN and reason != RESTRICTED


def shows(part: Part) -> bool:
    """Whether a part is content; a signature alone is none."""
    if part.text or part.function_call is not None or part.inline_data is not None:
        return True
    return bool(part.executable_code or part.code_execution_result or part.tool_call or part.tool_response)


def _calls(candidate: Candidate) -> bool:
    parts = (candidate.content.parts if candidate.content else None) or ()
    return any(part.function_call is not None for part in parts)
