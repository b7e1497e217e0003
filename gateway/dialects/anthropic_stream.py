"""A stream of Anthropic's, read: SSE bytes in, events out. Hot: one typed decode for each frame.

Rule 1: blocks come by an index of their own; tool calls are counted anew, densely. Rule 2: usage is cumulative: message_start
is the baseline, message_delta replaces. Rule 3: only message_stop is a clean end. Rule 4: event types, block types and delta
types that are not known are ignored. Sources: anthropic types raw_*_event.py; docs "Streaming messages".
"""

from __future__ import annotations

from typing import Any

import msgspec
from msgspec import Struct

from gateway.core.sse import Frame, LineTooLong, Splitter
from gateway.core.usage import summed
from gateway.dialects.anthropic_open import Answer, Delta, OpenBlock, open_block
from gateway.dialects.anthropic_pause import go_on, paused, sendable
from gateway.dialects.anthropic_text import sink_for
from gateway.dialects.anthropic_undo import Undo
from gateway.dialects.anthropic_wire import (
    NO_USAGE,
    StopDetails,
    WireError,
    WireUsage,
    failed_of,
    finish_reason,
    read_error,
    read_usage,
    refusal_text,
    usage_fields,
)
from gateway.errors import FaultKind
from gateway.types import (
    Annotated,
    Ended,
    Event,
    Failed,
    Finished,
    Paused,
    RefusalDelta,
    Start,
    Usage,
    UsageSeen,
)


class _Stop(Struct):
    stop_reason: str | None = None
    stop_sequence: str | None = None
    stop_details: StopDetails | None = None


class _Started(Struct):
    id: str = ""
    model: str = ""
    usage: msgspec.Raw = NO_USAGE


class _BlockDelta(Struct, tag_field="type", tag="content_block_delta"):
    delta: Delta
    index: int = 0


class _BlockStart(Struct, tag_field="type", tag="content_block_start"):
    content_block: dict[str, Any]
    index: int = 0


class _BlockStop(Struct, tag_field="type", tag="content_block_stop"):
    index: int = 0


class _MessageStart(Struct, tag_field="type", tag="message_start"):
    message: _Started


class _MessageDelta(Struct, tag_field="type", tag="message_delta"):
    delta: _Stop
    usage: msgspec.Raw = NO_USAGE


class _MessageStop(Struct, tag_field="type", tag="message_stop"):
    pass


class _Error(Struct, tag_field="type", tag="error"):
    error: WireError


class _Typed(Struct):
    type: str
    delta: Any = None


_KNOWN = _BlockDelta | _BlockStart | _BlockStop | _MessageStart | _MessageDelta | _MessageStop | _Error
_FRAME = msgspec.json.Decoder(_KNOWN)
_TYPED = msgspec.json.Decoder(_Typed)
_TAGS = frozenset(
    struct.__struct_config__.tag
    for struct in (_BlockDelta, _BlockStart, _BlockStop, _MessageStart, _MessageDelta, _MessageStop, _Error)
)


_DELTAS = frozenset(
    {"text_delta", "input_json_delta", "thinking_delta", "signature_delta", "citations_delta", "compaction_delta"}
)


class Reader:
    """One stream. After Ended or Failed nothing more comes."""

    def __init__(self, undo: Undo) -> None:
        self._frames = Splitter()
        self._before = undo.so_far
        self._answer = Answer(undo, sink_for(undo, "")) if undo.so_far is None else undo.so_far.state
        self._undo = undo
        self._blocks: dict[int, OpenBlock] = {}
        self._stop = _Stop()
        self._usage: WireUsage | None = None
        self._own: dict[str, Any] = {}  # the same as Anthropic spells it
        self._over = False

    def feed(self, data: bytes) -> list[Event]:
        if self._over:
            return []
        try:
            frames = self._frames.feed(data)
        except LineTooLong as error:
            return self._fail("bad_reply", str(error))
        return self._events(frames)

    def eof(self) -> list[Event]:
        """What the last frame says, and Failed unless the end was said."""
        if self._over:
            return []
        events = self._events(self._frames.eof())
        if not self._over:
            events += self._cut_off()
        return events

    def _events(self, frames: list[Frame]) -> list[Event]:
        events: list[Event] = []
        for _, data in frames:
            try:
                frame = _FRAME.decode(data)
            except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
                events += self._odd(data, error)
            else:
                if type(frame) is _BlockDelta:  # nearly all are
                    block = self._blocks.get(frame.index)
                    if block is not None:
                        events += block.delta(frame.delta)
                    continue
                events += self._frame(frame)
            if self._over:
                break
        return events

    def _frame(self, frame: _KNOWN) -> list[Event]:
        match frame:
            case _BlockStart():
                return self._block_start(frame)
            case _BlockStop():
                return self._block_stop(frame.index)
            case _MessageStart(message=message):
                return self._message_start(message)
            case _MessageDelta():
                self._stop = frame.delta
                return self._usage_seen(frame.usage)
            case _MessageStop():
                return self._message_stop()
            case _Error(error=error):
                return self._error(error)
        return []

    def _message_start(self, message: _Started) -> list[Event]:
        if self._before is not None:  # the rest of an answer that has begun
            return self._usage_seen(message.usage)
        self._answer.sink = sink_for(self._undo, message.id)
        return [Start(message.id, message.model), *self._usage_seen(message.usage)]

    def _usage_seen(self, raw: msgspec.Raw) -> list[Event]:
        seen = read_usage(raw)
        if seen is None:
            return []
        self._usage = seen.over(self._usage)
        self._own.update(usage_fields(raw))
        usage = self._usages()
        return [UsageSeen(usage)] if usage is not None else []

    def _usages(self) -> Usage | None:
        """Of this request, and of those before it for the same answer."""
        now = self._usage.plain(dict(self._own)) if self._usage is not None else None
        return now if self._before is None else summed(self._before.usage, now)

    def _block_start(self, frame: _BlockStart) -> list[Event]:
        block = open_block(frame.content_block, self._answer)
        self._blocks[frame.index] = block
        return block.start()

    def _block_stop(self, index: int) -> list[Event]:
        block = self._blocks.pop(index, None)
        if block is None:
            return []
        events = block.stop()
        if self._undo.sent is not None:
            whole = sendable(block.whole())
            self._answer.blocks += [whole] if whole is not None else []
        return events

    def _message_stop(self) -> list[Event]:
        events = [event for index in sorted(self._blocks) for event in self._block_stop(index)]
        answer = self._answer
        if paused(self._stop.stop_reason, self._undo, answer.blocks):
            self._over = True
            return [*events, Paused(go_on(self._undo, answer.blocks, self._usages(), answer))]
        events += answer.sink.end()
        if answer.annotations:
            events.append(Annotated(answer.annotations))
        refusal = refusal_text(self._stop.stop_reason, self._stop.stop_details)
        if refusal is not None:
            events.append(RefusalDelta(refusal))
        reason = finish_reason(self._stop.stop_reason, answer.calls > 0 or answer.sink.calls)
        self._over = True
        return [*events, Finished(reason, stop_sequence=self._stop.stop_sequence), Ended()]

    def _error(self, error: WireError) -> list[Event]:
        self._over = True
        return [failed_of(error)]

    def _odd(self, data: bytes, error: Exception) -> list[Event]:
        """A frame that does not decode: of a type to come it is ignored, of a known one it breaks the stream."""
        if _is_new(data):
            return []
        found = read_error(data)
        return self._error(found) if found else self._fail("bad_reply", str(error))

    def _cut_off(self) -> list[Event]:
        """Closed without message_stop. Some servers write an error as plain JSON into a stream."""
        found = read_error(b"\n".join(self._frames.stray)) if self._frames.stray else None
        return self._error(found) if found else self._fail("truncated")

    def _fail(self, kind: FaultKind, message: str = "", status: int | None = None) -> list[Event]:
        self._over = True
        return [Failed(kind, message, status)]


def _is_new(data: bytes) -> bool:
    """Whether a frame that does not decode is of a type, or holds a delta of a type, that did not exist yet."""
    try:
        frame = _TYPED.decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return False
    if frame.type not in _TAGS:
        return True
    kind = frame.delta.get("type") if isinstance(frame.delta, dict) and frame.type == "content_block_delta" else None
    return isinstance(kind, str) and kind not in _DELTAS
