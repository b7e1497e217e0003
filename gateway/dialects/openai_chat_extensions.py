"""What an answer of ours has beside OpenAI's own fields, in a conversation that goes on to OpenAI.

Clients send messages back as they came, with the thoughts and signatures of whoever answered (openai_chat_reply). OpenAI refuses
fields that it does not know; servers that imitate it may want theirs back, so only OpenAI's own bodies lose them.
"""

from __future__ import annotations

from typing import Any

import msgspec
from msgspec import Raw

from gateway.core.splice import set_members

_OF_A_MESSAGE = ("reasoning_content", "thinking_blocks", "extra_content", "images", "stop_sequence")
_OF_A_CALL = ("extra_content",)
_decode_top = msgspec.json.Decoder(dict[str, Raw]).decode
_decode_list = msgspec.json.Decoder(list[dict[str, Raw]]).decode


def has_extensions(body: bytes) -> bool:
    """Whether one may be in a body. Inside a string its quotes would be escaped."""
    return (
        b'"reasoning_content"' in body
        or b'"thinking_blocks"' in body
        or b'"extra_content"' in body
        or b'"stop_sequence"' in body
        or b'"images"' in body
    )


def without_extensions(body: bytes) -> bytes:
    """`body` without them in its assistant messages, every other byte as it was; the very same object when there are none."""
    try:
        fields = _decode_top(body)
        messages = _decode_list(fields["messages"])
        kept = [_without(message) for message in messages]
    except (ValueError, RecursionError):
        return body  # the upstream says what is wrong with it
    if all(new is old for new, old in zip(kept, messages, strict=True)):
        return body
    return set_members(body, fields, {"messages": msgspec.json.encode(kept)})


def _without(message: dict[str, Raw]) -> dict[str, Raw]:
    if bytes(message.get("role", b"")) != b'"assistant"':
        return message
    kept = _less(message, _OF_A_MESSAGE)
    calls = bytes(kept.get("tool_calls", b""))
    if b'"extra_content"' not in calls:
        return kept
    plain: Any = [_less(call, _OF_A_CALL) for call in _decode_list(calls)]
    return {**kept, "tool_calls": Raw(msgspec.json.encode(plain))}


def _less(members: dict[str, Raw], names: tuple[str, ...]) -> dict[str, Raw]:
    if not any(name in members for name in names):
        return members
    return {name: value for name, value in members.items() if name not in names}
