"""Responses bodies that pass through: change what must be changed, and read usage out of whole answers."""

from __future__ import annotations

from typing import Any

import msgspec

from gateway.core.splice import set_members
from gateway.dialects.openai_responses_sift import SEALED
from gateway.dialects.openai_responses_usage import usage_of
from gateway.dialects.openai_top import decode_top
from gateway.types import BadReply, Change, Glance, Peek

_WAITING = ("queued", "in_progress")  # background work: no answer yet, and none is due


def change(body: bytes, peek: Peek, change: Change) -> bytes:
    """`body` with the named places changed; the very same object when nothing changes."""
    members: dict[str, bytes] = {}
    if change.model is not None and change.model != peek.model:
        members["model"] = msgspec.json.encode(change.model)
    if change.max_tokens is not None and peek.max_tokens is None:
        members["max_output_tokens"] = b"%d" % change.max_tokens
    if change.temperature is not None and not peek.has_temperature:
        members["temperature"] = msgspec.json.encode(change.temperature)
    fields = decode_top(body) if members or peek.foreign else {}
    if peek.foreign and (native := _without_sealed(fields.get("input"))) is not None:
        members["input"] = native
    return set_members(body, fields, members) if members else body


class _Item(msgspec.Struct):
    type: str | None = None
    encrypted_content: str | None = None


_decode_items = msgspec.json.Decoder(list[msgspec.Raw]).decode
_decode_item = msgspec.json.Decoder(_Item).decode


def _without_sealed(given: msgspec.Raw | None) -> bytes | None:
    """The input without thoughts of other vendors, which OpenAI refuses; None when there are none."""
    try:
        items = _decode_items(given) if given is not None else []
    except ValueError:
        return None  # one text
    kept = [item for item in items if not _is_sealed(item)]
    return msgspec.json.encode(kept) if len(kept) < len(items) else None


def _is_sealed(item: msgspec.Raw) -> bool:
    if SEALED not in bytes(item):
        return False
    try:
        found = _decode_item(item)
    except ValueError:
        return False
    return found.type == "reasoning" and (found.encrypted_content or "").startswith("gw1.")


class _Answer(msgspec.Struct):
    status: str | None = None
    output: list[msgspec.Raw] | None = None
    usage: dict[str, Any] | None = None
    error: Any = None
    incomplete_details: Any = None


_decode_answer = msgspec.json.Decoder(_Answer).decode


def glance(body: bytes) -> Glance:
    """Read usage, emptiness and how it ended. Raises BadReply for what is no answer, a failed response included."""
    try:
        answer = _decode_answer(body)
    except (ValueError, RecursionError) as error:
        raise BadReply(f"the answer is no response object: {error}") from None
    if answer.error or answer.status in ("failed", "cancelled") or answer.output is None:
        raise BadReply("the answer holds an error, or no output")
    empty = not answer.output and answer.status not in (*_WAITING, "incomplete")
    return Glance(usage_of(answer.usage), empty, finish_word(answer.status, answer.incomplete_details))


def finish_word(status: str | None, details: object) -> str | None:
    """Why an answer is not whole, in OpenAI's word; "stop" for one that is."""
    if status == "incomplete":
        reason = details.get("reason") if isinstance(details, dict) else None
        return reason if isinstance(reason, str) else "incomplete"
    return "stop" if status == "completed" else None
