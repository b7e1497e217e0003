"""Events into the event stream that Anthropic's clients accept.

Rule 1: message_start once and first, message_delta and message_stop once and last; a broken stream ends with `error` instead.
Rule 2: one block is open at a time, their indexes count from 0, and a delta is of its block's kind: a block is opened by the
first payload of its kind, never on speculation, and the payload goes into it. Rule 3: calls whose pieces come interleaved are
written one after the other: a call closes when its arguments are a whole JSON value, and what comes before that for later
calls, or as text, waits. Rule 4: message_delta waits for the end, because usage often follows the finish reason.
A text frame is a prepared head, the text, and a fixed tail: this runs once per token.
Sources: anthropic lib/streaming/_messages.py (accumulate_event), _streaming.py (frames without an event name are skipped).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec
from msgspec import Struct, field

from gateway.dialects.anthropic_client_reply import (
    Block,
    call_id,
    citations,
    error_object,
    kept,
    message_object,
    native,
    sealed,
    stop_details,
    stop_reason,
    unshown,
    usage_object,
)
from gateway.types import (
    Annotated,
    BlockDone,
    ClientError,
    Echo,
    Ended,
    Event,
    Failed,
    Finished,
    ImageDone,
    Opaque,
    Paused,
    ReasoningDelta,
    ReasoningDone,
    RefusalDelta,
    Start,
    TextDelta,
    ToolDelta,
    ToolStart,
    Usage,
    UsageSeen,
)

PING = b'event: ping\ndata: {"type":"ping"}\n\n'

_encode = msgspec.json.encode
_is_json = msgspec.json.Decoder(msgspec.Raw).decode
_TAIL = b"}}\n\n"
SIGNED = "signed"  # the kind of an open text to which nothing is added but what it cites
_DELTAS = {
    "text": b'"type":"text_delta","text":',
    "thinking": b'"type":"thinking_delta","thinking":',
    "tool_use": b'"type":"input_json_delta","partial_json":',
}


class _Call(Struct):
    """A tool call until it is closed: `pieces` are its arguments so far, `written` how many of the pieces are out."""

    block: Block
    custom: bool
    opaque: Opaque | None
    pieces: list[str] = field(default_factory=list)
    written: int = 0
    closed: bool = False

    def whole(self) -> bool:
        """Whether no more can come: the arguments are one JSON value already. Of free text that is never known."""
        if self.custom or not self.pieces or not self.pieces[-1].rstrip().endswith("}"):
            return False
        try:
            _is_json("".join(self.pieces))
        except (ValueError, RecursionError):
            return False
        return True


class Writer:
    """See types.StreamWriter."""

    __slots__ = (
        "_behind",
        "_call",
        "_calls",
        "_echo",
        "_finish",
        "_head",
        "_held",
        "_id",
        "_index",
        "_kind",
        "_over",
        "_refusal",
        "_started",
        "_thought",
        "_usage",
        "_waiting",
        "_writers",
    )

    def __init__(self, echo: Echo) -> None:
        self._echo = echo
        self._id = ""  # the upstream's
        self._started = False
        self._over = False
        self._index = -1  # of the last block
        self._kind = ""  # of the open block, "" when none is open
        self._head = b""  # what a delta of the open block begins with
        self._call: _Call | None = None  # the open one
        self._calls: dict[int, _Call] = {}
        self._waiting: list[_Call] = []
        self._held: list[Event] = []  # what was said while a call was not whole
        self._behind: list[Block] = []  # what is kept behind a text, until there is another block
        self._thought = False  # words of a thought are out whose end is not
        self._refusal = ""
        self._finish = Finished("stop")
        self._usage: Usage | None = None
        self._writers: dict[type, Callable[[Any], bytes]] = {
            Start: self._start,
            TextDelta: self._text,
            ReasoningDelta: self._thinking,
            ReasoningDone: self._thinking_done,
            RefusalDelta: self._refused,
            ToolStart: self._tool_start,
            ToolDelta: self._tool_delta,
            ImageDone: self._picture,
            BlockDone: self._nothing,
            Annotated: self._annotated,
            Finished: self._finished,
            UsageSeen: self._usage_seen,
            Paused: self._nothing,
            Failed: self._nothing,
            Ended: self._ended,
        }

    def write(self, events: list[Event]) -> bytes:
        """The frames of `events`; b"" when they say nothing to a client, and after the end."""
        if self._over:
            return b""
        writers = self._writers
        if len(events) == 1:
            return writers[type(events[0])](events[0])
        return b"".join([writers[type(event)](event) for event in events])

    def error(self, error: ClientError) -> bytes:
        """The error frame that replaces the tail."""
        self._over = True
        return _frame("error", error_object(error))

    def ping(self) -> bytes:
        """A sign of life for a stream in which nothing is said; b"" after the end."""
        return b"" if self._over else self._opening() + PING

    # ------------------------------------------------------------ blocks

    def _opening(self) -> bytes:
        """message_start, once."""
        if self._started:
            return b""
        self._started = True
        message = {**message_object(self._id, self._echo), "usage": usage_object(self._usage, "standard")}
        return _frame("message_start", {"type": "message_start", "message": message})

    def _open(self, block: Block) -> bytes:
        """Open a block; the one before is closed."""
        out = self._close()
        if self._behind:
            behind, self._behind = self._behind, []
            out += self._alone(behind)
        self._index += 1
        self._kind = block["type"]
        delta = _DELTAS.get(self._kind, b"")
        self._head = b'event: content_block_delta\ndata: {"type":"content_block_delta","index":%d,"delta":{%b' % (
            self._index,
            delta,
        )
        start = {"type": "content_block_start", "index": self._index, "content_block": block}
        return out + _frame("content_block_start", start)

    def _close(self) -> bytes:
        """Close the open block, if there is one, with what its kind needs before."""
        out = self._opening()
        if not self._kind:
            return out
        if self._call is not None:
            out += self._end_call(self._call)
        if self._kind == "thinking":
            out += self._sign("")
        self._kind = ""
        return out + _frame("content_block_stop", {"type": "content_block_stop", "index": self._index})

    def _delta(self, text: str) -> bytes:
        return self._head + _encode(text) + _TAIL

    def _alone(self, blocks: list[Block]) -> bytes:
        """Blocks that are whole from their start."""
        return b"".join([self._open(block) + self._close() for block in blocks])

    def _must_wait(self, event: Event) -> bool:
        """Whether something else than a call comes too early: a call that is not whole would be cut off by it."""
        if self._call is None or (not self._held and all(call.whole() for call in (self._call, *self._waiting))):
            return False
        self._held.append(event)
        return True

    # ------------------------------------------------------------ what is said

    def _nothing(self, event: Event) -> bytes:
        return b""

    def _start(self, event: Start) -> bytes:
        self._id = event.id
        return b""

    def _text(self, event: TextDelta) -> bytes:
        if event.choice or not event.text:
            return b""
        if self._kind == "text":
            return self._head + _encode(event.text) + _TAIL
        if self._must_wait(event):
            return b""
        return self._settle() + self._open({"type": "text", "text": ""}) + self._delta(event.text)

    def _picture(self, event: ImageDone) -> bytes:
        return self._text(TextDelta(unshown(event.image), event.choice))

    def _annotated(self, event: Annotated) -> bytes:
        """What an open text cites. Where the text is over already nothing can be added to it."""
        if event.choice or self._kind not in ("text", SIGNED) or self._held:
            return b""
        deltas = [{"type": "citations_delta", "citation": found} for found in citations(event.annotations)]
        frames = [{"type": "content_block_delta", "index": self._index, "delta": delta} for delta in deltas]
        return b"".join([_frame("content_block_delta", frame) for frame in frames])

    def _refused(self, event: RefusalDelta) -> bytes:
        if event.choice:
            return b""
        self._refusal += event.text
        return self._text(TextDelta(event.text))

    def _thinking(self, event: ReasoningDelta) -> bytes:
        if event.choice or not event.text or not self._echo.expose_reasoning:
            return b""
        if self._must_wait(event):
            return b""
        self._thought = True
        out = b"" if self._kind == "thinking" else self._open_thought()
        return out + self._delta(event.text)

    def _open_thought(self) -> bytes:
        return self._settle() + self._open({"type": "thinking", "thinking": "", "signature": ""})

    def _thinking_done(self, event: ReasoningDone) -> bytes:
        """A thought ends: its signature goes into the open block, else it is kept in one of its own."""
        if event.choice or self._must_wait(event):
            return b""
        part, echo = event.part, self._echo
        own = native(part.opaque)
        said, self._thought = self._thought, False
        if not echo.expose_reasoning:
            return self._keep(part.opaque)
        if own is not None and own.get("type") == "redacted_thinking":
            return self._settle() + self._alone([own])
        signature = own.get("signature") if own is not None else sealed(part.opaque, echo)
        signature = signature if isinstance(signature, str) else ""
        if self._kind == "thinking":
            return self._end_thought(signature)
        if said or not (part.text or own):  # its words are out already, or there are none
            return self._keep(part.opaque)
        words = self._open_thought()
        return words + (self._delta(part.text) if part.text else b"") + self._end_thought(signature)

    def _keep(self, opaque: Opaque | None) -> bytes:
        blocks = kept(opaque, self._echo)
        if blocks and self._kind == "text":
            # Never last: Claude Code takes what the last block says for the answer.
            self._behind, self._kind = blocks, SIGNED
            return b""
        return self._settle() + self._alone(blocks) if blocks else b""

    def _end_thought(self, signature: str) -> bytes:
        out = self._sign(signature)
        self._kind = ""
        return out + _frame("content_block_stop", {"type": "content_block_stop", "index": self._index})

    def _sign(self, signature: str) -> bytes:
        delta = {"type": "signature_delta", "signature": signature}
        return _frame("content_block_delta", {"type": "content_block_delta", "index": self._index, "delta": delta})

    # ------------------------------------------------------------ calls

    def _tool_start(self, event: ToolStart) -> bytes:
        if event.choice or event.index in self._calls:
            return b""
        id_ = call_id(event.id, self._id or self._echo.id, event.index)
        block: Block = {"type": "tool_use", "id": id_, "name": event.name, "input": {}}
        call = self._calls[event.index] = _Call(block, event.custom, event.opaque)
        self._waiting.append(call)
        return self._flush()

    def _tool_delta(self, event: ToolDelta) -> bytes:
        call = self._calls.get(event.index)
        if event.choice or call is None or call.closed or not event.arguments:
            return b""
        call.pieces.append(event.arguments)
        out = self._say(call) if call is self._call else b""
        if self._waiting:
            out += self._flush()
        return out + self._release() if self._held else out

    def _say(self, call: _Call) -> bytes:
        """What is new of the open call's arguments; a free-form tool's text becomes an object when it is whole."""
        if call.custom:
            return b""
        new = call.pieces[call.written :]
        call.written = len(call.pieces)
        return b"".join([self._delta(piece) for piece in new])

    def _flush(self) -> bytes:
        """Go on to the calls that wait, as far as the open one lets them."""
        out = b""
        while self._waiting and (self._call is None or self._call.whole()):
            out += self._next_call()
        return out

    def _next_call(self) -> bytes:
        call = self._waiting.pop(0)
        out = self._close() + self._alone(kept(call.opaque, self._echo)) + self._open(call.block)
        self._call = call
        return out + self._say(call)

    def _settle(self) -> bytes:
        """Write and close all calls: nothing more comes for them."""
        out = b""
        while self._waiting:
            out += self._next_call()
        return out + self._close() if self._call is not None else out

    def _release(self) -> bytes:
        """What was held back, if the calls are whole now."""
        held, self._held = self._held, []
        if self._call is not None and not all(call.whole() for call in (self._call, *self._waiting)):
            self._held = held
            return b""
        return self.write(held)

    def _end_call(self, call: _Call) -> bytes:
        """The rest of a call's arguments: clients parse them, so that none are {}."""
        self._call, call.closed = None, True
        said = "".join(call.pieces)
        if call.custom:
            return self._delta(_encode({"input": said}).decode())
        return b"" if said.strip() else self._delta("{}")

    # ------------------------------------------------------------ the end

    def _finished(self, event: Finished) -> bytes:
        if not event.choice:
            self._finish = event
        return b""

    def _usage_seen(self, event: UsageSeen) -> bytes:
        self._usage = event.usage
        return b""

    def _ended(self, event: Ended) -> bytes:
        out = self._settle()
        held, self._held = self._held, []
        out += self.write(held) + self._close()
        finish = self._finish
        reason = stop_reason(finish.reason, bool(self._calls), finish.stop_sequence, bool(self._refusal))
        delta = {
            "stop_reason": reason,
            "stop_sequence": finish.stop_sequence if reason == "stop_sequence" else None,
            "stop_details": stop_details(reason, self._refusal),
        }
        last = {"type": "message_delta", "delta": delta, "usage": usage_object(self._usage, "")}
        self._over = True
        return out + _frame("message_delta", last) + _frame("message_stop", {"type": "message_stop"})


def _frame(event: str, value: Block) -> bytes:
    return b"event: " + event.encode() + b"\ndata: " + _encode(value) + b"\n\n"
