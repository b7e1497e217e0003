"""Messages bodies that pass through: the model's name changed and nothing else, and usage read out of whole answers.

Rule 1: Anthropic checks replayed thoughts against all that came before them, so not a byte may change that need not. Thoughts
of other vendors must go, though: it refuses a request that holds one.
Rule 2: a default temperature is never added: models and versions since 2026-10-21 refuse the field even with its default value.
"""

from __future__ import annotations

import msgspec
from msgspec import Raw, Struct

from gateway.core.splice import set_members
from gateway.dialects.anthropic_client_foreign import without_foreign
from gateway.dialects.anthropic_wire import NO_USAGE, finish_reason, read_usage
from gateway.types import BadReply, Change, Glance, Peek

_decode_top = msgspec.json.Decoder(dict[str, Raw]).decode


def change(body: bytes, peek: Peek, change: Change) -> bytes:
    """`body` with another model, with an output cap where the client gave none, without other vendors' thoughts.

    The very same object when nothing changes.
    """
    members: dict[str, bytes] = {}
    if change.model is not None and change.model != peek.model:
        members["model"] = msgspec.json.encode(change.model)
    if change.max_tokens is not None and peek.max_tokens is None:
        members["max_tokens"] = b"%d" % change.max_tokens
    fields = _decode_top(body) if members or peek.foreign else {}
    if peek.foreign and (native := without_foreign(fields["messages"])) is not None:
        members["messages"] = native
    return set_members(body, fields, members) if members else body


class _Block(Struct):
    type: str = ""
    text: str | None = None
    thinking: str | None = None
    signature: str | None = None

    def says(self) -> bool:
        """Text and thoughts can be empty; any other block is something."""
        if self.type == "text":
            return bool(self.text)
        return bool(self.thinking or self.signature) if self.type == "thinking" else True


class _Answer(Struct):
    type: str
    content: list[_Block]
    stop_reason: str | None = None
    usage: Raw = NO_USAGE


_decode_answer = msgspec.json.Decoder(_Answer).decode


def glance(body: bytes) -> Glance:
    """Read usage, emptiness and the finish, in types.FinishReason's words. Raises BadReply for what is no message."""
    try:
        answer = _decode_answer(body)
    except (ValueError, RecursionError) as error:
        raise BadReply(f"not an answer of the Messages API: {error}") from None
    if answer.type != "message":
        raise BadReply(f"expected a message, got {answer.type[:40]!r}")
    usage = read_usage(answer.usage)
    calls = any(block.type == "tool_use" for block in answer.content)
    empty = not any(block.says() for block in answer.content) and answer.stop_reason in (None, "end_turn")
    finish = finish_reason(answer.stop_reason, calls) if answer.stop_reason is not None else None
    return Glance(usage.plain() if usage is not None else None, empty, finish)
