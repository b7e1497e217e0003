"""What answers of other vendors left in a conversation that goes on to OpenAI: members of messages that only we, and some compatible
servers, know, and for which OpenAI refuses the whole request.

They are taken out one by one; every other byte of a message stays.
Source of the members: openai_chat_reply. OpenAI says "Unknown parameter: 'messages[1].reasoning_content'".
"""

from __future__ import annotations

import re

import msgspec
from msgspec import Raw

from gateway.core.splice import set_members
from gateway.dialects.openai_top import decode_top

MEMBERS = ("reasoning_content", "thinking_blocks", "extra_content", "images", "stop_sequence")
_SIGNS = re.compile(rb'"(?:%b)"' % "|".join(MEMBERS).encode())  # half as long as a search for each
_ANSWERED = b'"assistant"'
_CALLS = "tool_calls"
_EXTRA = "extra_content"

_decode_messages = msgspec.json.Decoder(list[dict[str, Raw]]).decode


def has_foreign(body: bytes) -> bool:
    """Whether there may be any: a text about them counts too. A conversation that begins is not searched."""
    return _ANSWERED in body and _SIGNS.search(body) is not None


def without_foreign(body: bytes) -> bytes:
    """The body without them; the very same object when there are none."""
    fields = decode_top(body)
    try:
        messages = _decode_messages(fields["messages"])
    except (KeyError, ValueError, RecursionError):
        return body  # the upstream says what is wrong with it
    kept = [_own(message) for message in messages]
    if all(new is old for new, old in zip(kept, messages, strict=True)):
        return body
    return set_members(body, fields, {"messages": msgspec.json.encode(kept)})


def _own(message: dict[str, Raw]) -> dict[str, Raw]:
    calls = message.get(_CALLS)
    signed = calls is not None and b'"extra_content"' in bytes(calls)
    if not signed and message.keys().isdisjoint(MEMBERS):
        return message
    own = {name: value for name, value in message.items() if name not in MEMBERS}
    if signed and calls is not None:
        own[_CALLS] = _unsigned(calls)
    return own


def _unsigned(calls: Raw) -> Raw:
    try:
        found = _decode_messages(calls)
    except ValueError:
        return calls
    kept = [{name: value for name, value in call.items() if name != _EXTRA} for call in found]
    return Raw(msgspec.json.encode(kept)) if kept != found else calls
