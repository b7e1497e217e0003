"""Beside a Messages stream that passes through: read what the gateway must know, forward the rest as it is.

Rule 1: only whole frames go on; the unfinished one at the end waits. So an error frame is never half forwarded, and an error
of our own never lands in the middle of a line. When a piece ends with a frame, as nearly all do, it goes on as it came.
Rule 2: the deltas of one block begin alike. What a parsed delta begins with is remembered, and a frame that begins so is not
parsed. Rule 3: `output_bytes` is never below the truth: of a delta it counts from its payload to the last quote.
Rule 4: usage is cumulative: message_start is the baseline, message_delta replaces.
"""

from __future__ import annotations

import re

import msgspec
from msgspec import Raw, Struct

from gateway.core.sse import frames_of, last_end
from gateway.dialects.anthropic_wire import NO_USAGE, WireError, WireUsage, failed_of, finish_reason, read_usage
from gateway.types import Failed, Usage

MAX_FRAME_BYTES = 16 * 1024 * 1024

_DATA = re.compile(rb"(?:^|[\r\n])data: ?([^\r\n]*)")
_CONTENT = re.compile(rb"(?:^|[\r\n])event: ?(?:content_block|message)_")
_ERROR_EVENT = re.compile(rb"(?:^|[\r\n])event: ?error")
# Up to the payload of a delta. What follows on the same line is the payload and, in some streams, padding with spaces.
_HEAD = re.compile(
    rb'event: ?content_block_delta\r?\ndata: ?\{\s*"type":\s?"content_block_delta",\s?"index":\s?\d+,\s?"delta":\s?\{'
    rb'\s*"type":\s?"(?:text_delta",\s?"text|input_json_delta",\s?"partial_json|thinking_delta",\s?"thinking)":\s?"(?=[^"])'
)
_LAST = re.compile(rb'event: ?message_stop(?:\r\n|\n|\r)data: ?\{[^\r\n]*"message_stop"[^\r\n]*\}[\r\n]*')


class _Start(Struct):
    usage: Raw = NO_USAGE


class _Delta(Struct):
    type: str = ""
    text: str = ""
    partial_json: str = ""
    thinking: str = ""
    signature: str = ""
    stop_reason: str | None = None


class _Block(Struct):
    type: str = ""
    text: str = ""


class _Frame(Struct):
    """Any frame of the stream; types to come have none of these."""

    type: str = ""
    message: _Start | None = None
    content_block: _Block | None = None
    delta: _Delta | None = None
    usage: Raw = NO_USAGE
    error: WireError | None = None


class _Typed(Struct):
    type: str


_LINE_END = b"\r\n"
_decode = msgspec.json.Decoder(_Frame).decode
_decode_type = msgspec.json.Decoder(_Typed).decode


class MessagesTap:
    """See types.Tap. `finish` is in types.FinishReason's words."""

    __slots__ = (
        "_calls",
        "_cr",
        "_head",
        "_held",
        "_seen",
        "content",
        "ended",
        "failed",
        "finish",
        "output_bytes",
        "usage",
    )

    def __init__(self) -> None:
        self.content = False
        self.usage: Usage | None = None
        self.finish: str | None = None
        self.failed: Failed | None = None
        self.ended = False
        self.output_bytes = 0
        self._seen: WireUsage | None = None
        self._calls = False
        self._head = b""
        self._held = b""  # an unfinished frame
        self._cr = False  # lines end with CR, alone or before LF: an LF does not tell frames apart

    def feed(self, data: bytes) -> bytes:
        """What of `data` is to be forwarded now: after an error or the end, nothing."""
        if self.ended or self.failed is not None:
            return b""
        if self._held or not data.endswith(b"\n\n"):
            data = self._whole_frames(data)
        head = self._head
        if head and not self._cr and data.startswith(head) and data.find(b"\n", len(head)) == len(data) - 2:
            self.output_bytes += data.rfind(b'"') - len(head)
            return data
        out = b"".join(self._each(data))
        return data if out == data else out

    def eof(self) -> bytes:
        """Anthropic marks its end; what is held is half a frame, and the rest of it never comes."""
        return b""

    def _whole_frames(self, data: bytes) -> bytes:
        """Take what was held and `data`; give the whole frames and hold the rest."""
        seen = max(len(self._held) - 3, 0)
        data = self._held + data
        end = last_end(data, seen)
        self._cr = self._cr or b"\r" in data
        self._held = data[end:]
        if self._held.startswith(b"event") and _LAST.fullmatch(self._held):
            # The sender's last words: whether their empty line still comes, or comes in pieces, does not matter.
            self._held = b""
            return data.rstrip(b"\r\n") + b"\n\n"
        if len(self._held) > MAX_FRAME_BYTES:
            self.failed = Failed("bad_reply", f"a frame of more than {MAX_FRAME_BYTES} bytes")
        return data[:end]

    def _each(self, data: bytes) -> list[bytes]:
        """The frames of `data` as they go on, up to an error or the end."""
        kept: list[bytes] = []
        for frame in frames_of(data):
            if self.ended or self.failed is not None:
                break
            kept.append(self._frame(frame))
        return kept

    def _frame(self, frame: bytes) -> bytes:
        """One frame as it goes on: compared with what deltas begin with, else parsed."""
        if frame[0] in _LINE_END:  # empty lines before it, which say nothing and are not counted
            bare = frame.lstrip(b"\r\n")
            return frame if not bare or self._frame(bare) else b""
        head = self._head
        if head and not self._cr and frame.startswith(head) and frame.find(b"\n", len(head)) == len(frame) - 2:
            self.output_bytes += frame.rfind(b'"') - len(head)
            return frame
        lines = _DATA.findall(frame)
        if not lines:
            return frame
        data = b"\n".join(lines)
        try:
            read = _decode(data)
        except (ValueError, RecursionError):
            if _CONTENT.search(frame) and not _is_json(data):  # its client could not read it either
                self.failed = Failed("bad_reply", "a frame that is no JSON")
                return b""
            read = _Frame(_type_of(data))
            self.output_bytes += len(frame)  # whatever it is
        if read.type == "error" or _ERROR_EVENT.search(frame):
            self.failed = failed_of(read.error or WireError())
            return b""
        self._read(read, frame)
        return frame

    def _read(self, read: _Frame, frame: bytes) -> None:
        match read.type:
            case "content_block_delta" if read.delta is not None:
                self._delta(read.delta, frame)
            case "content_block_start" if read.content_block is not None:
                block = read.content_block
                self._calls = self._calls or block.type == "tool_use"
                if block.text or block.type not in ("text", "thinking"):
                    self._count(frame)
            case "message_start" if read.message is not None:
                self._usage(read.message.usage)
            case "message_delta":
                self._usage(read.usage)
                self._stopped(read.delta)
            case "message_stop":
                self.ended = True

    def _delta(self, delta: _Delta, frame: bytes) -> None:
        if not (delta.text or delta.partial_json or delta.thinking or delta.signature):
            self.content = self.content or delta.type == "citations_delta"
            return
        head = _HEAD.match(frame)
        if head is None:
            self._count(frame)
            return
        self.content = True
        self._head = head.group()
        self.output_bytes += frame.rfind(b'"') - head.end()

    def _count(self, frame: bytes) -> None:
        """Content of any other kind counts whole."""
        self.content = True
        self.output_bytes += len(frame)

    def _stopped(self, delta: _Delta | None) -> None:
        if delta is not None and delta.stop_reason is not None:
            self.finish = finish_reason(delta.stop_reason, self._calls)
            self.content = self.content or self.finish != "stop"

    def _usage(self, raw: Raw) -> None:
        seen = read_usage(raw)
        if seen is not None:
            self._seen = seen.over(self._seen)
            self.usage = self._seen.plain()


def _is_json(data: bytes) -> bool:
    try:
        msgspec.json.decode(data)
    except (ValueError, RecursionError):
        return not data.strip()
    return True


def _type_of(data: bytes) -> str:
    """The type of a frame that has something wrong in it, "" when not even that can be read."""
    try:
        return _decode_type(data).type
    except (ValueError, RecursionError):
        return ""
