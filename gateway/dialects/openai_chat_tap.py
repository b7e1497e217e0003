"""Beside a Chat stream that passes through: read what the gateway must know, forward the rest as it is.

Rule 1: only whole frames go on; the unfinished one at the end waits. So an error frame is never half forwarded, and an error
of our own never lands in the middle of a line. When a piece ends with a frame, as nearly all do, it goes on as it came.
Rule 2: nearly all frames of a stream are one shape around a different text. The shape is learnt from the frames that are
parsed; a frame that begins and ends like it is only compared. Every other frame is parsed, and one that is no JSON is a failure.
Rule 3: `output_bytes` is never below the truth: what is taken off a frame are its own bytes before and behind its text.
"""

from __future__ import annotations

from typing import Any

import msgspec

from gateway.core.sse import frames_of, last_end
from gateway.dialects.openai_chat_frames import (
    DATA,
    DONE,
    ERROR_EVENT,
    Shape,
    learn,
    without_null_usage,
)
from gateway.dialects.openai_faults import failed_of
from gateway.dialects.openai_usage import usage_of
from gateway.types import Failed, Usage

MAX_FRAME_BYTES = 16 * 1024 * 1024

_SAID = ("content", "tool_calls", "function_call", "refusal", "reasoning_content", "reasoning", "audio")


class ChatTap:
    """See types.Tap."""

    __slots__ = ("_around", "_cr", "_head", "_held", "_shape", "_swallow", "_tail", "content", "ended", "failed", "finish", "output_bytes", "usage")  # fmt: skip

    def __init__(self, swallow_usage: bool) -> None:
        self.content = False
        self.usage: Usage | None = None
        self.finish: str | None = None
        self.failed: Failed | None = None
        self.ended = False
        self.output_bytes = 0
        self._swallow = swallow_usage
        self._held = b""  # an unfinished frame
        self._cr = False  # lines end with CR, alone or before LF: an LF does not tell frames apart
        self._shape = Shape(b"", b"", b"", False)
        self._head = self._tail = (
            b""  # of a shape that has nothing but a text between them: most of a stream takes one look
        )
        self._around = 0  # bytes of both

    def feed(self, data: bytes) -> bytes:
        """What of `data` is to be forwarded now: after an error or the end, nothing."""
        head = self._head
        if (
            head
            and not self._held
            and data.startswith(head)
            and data.endswith(self._tail)
            and data.find(b"\n", len(head)) == len(data) - 2
            and (text_bytes := len(data) - self._around) >= 0
        ):
            self.output_bytes += text_bytes
            return data
        if self.ended or self.failed is not None:
            return b""
        if self._held or not data.endswith(b"\n\n"):
            data = self._whole_frames(data)
        shape = self._shape
        alone = (
            shape.head
            and not self._cr
            and data.startswith(shape.head)
            and data.find(b"\n", len(shape.head)) == len(data) - 2
        )
        out = self._frame(data) if alone else b"".join(self._each(data))
        if self._cr or self.ended or self.failed is not None:
            self._head = b""
        return data if out == data else out

    def eof(self) -> bytes:
        """Chat marks its end; what is held is half a frame, and the rest of it never comes."""
        return b""

    def _whole_frames(self, data: bytes) -> bytes:
        """Take what was held and `data`; give the whole frames and hold the rest."""
        seen = max(len(self._held) - 3, 0)
        data = self._held + data
        end = last_end(data, seen)
        self._cr = self._cr or b"\r" in data
        self._held = data[end:]
        if DONE.match(self._held):
            # The sender's last line: whether its empty line still comes, or comes in pieces, does not matter.
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
        """One frame as it goes on: compared with the shape, else parsed."""
        shape = self._shape
        if shape.head and frame.startswith(shape.head) and (text_bytes := shape.text_bytes(frame)) >= 0:
            self.output_bytes += text_bytes
            return frame if not shape.null_usage else without_null_usage(frame)
        return self._parse(frame)

    def _parse(self, frame: bytes) -> bytes:
        lines = DATA.findall(frame)
        if not lines or lines[0].startswith(b"[DONE]"):
            self.ended = bool(lines)
            return frame
        chunk = _parsed(b"\n".join(lines))
        if chunk is None:  # its client could not read it either
            self.failed = Failed("bad_reply", "a frame that is no JSON")
            return b""
        if chunk.get("error") or ERROR_EVENT.search(frame):
            self.failed = failed_of(chunk.get("error") or chunk)
            return b""
        found = chunk.get("choices")
        choices = [choice for choice in found if isinstance(choice, dict)] if isinstance(found, list) else []
        self._read(choices, frame)
        return self._read_usage(chunk, choices, frame)

    def _read(self, choices: list[dict[str, Any]], frame: bytes) -> None:
        if any(map(_says, choices)):
            self.content = True
            learnt = learn(frame, self._swallow)
            if learnt is not None:
                self._shape = learnt
                plain = not (learnt.middle or learnt.null_usage or self._cr)
                self._head, self._tail = (learnt.head, learnt.end) if plain else (b"", b"")
                self._around = len(self._head) + len(self._tail)
            self.output_bytes += learnt.text_bytes(frame) if learnt else len(frame)
        for choice in choices:
            reason = choice.get("finish_reason")
            if isinstance(reason, str):
                self.finish = reason
                self.content = self.content or reason != "stop"

    def _read_usage(self, chunk: dict[str, Any], choices: list[dict[str, Any]], frame: bytes) -> bytes:
        usage = usage_of(chunk.get("usage"))
        self.usage = usage or self.usage
        if not self._swallow or "usage" not in chunk:
            return frame
        return b"" if usage is not None and not choices else without_null_usage(frame)


def _says(choice: dict[str, Any]) -> bool:
    delta = choice.get("delta")
    return isinstance(delta, dict) and any(delta.get(field) for field in _SAID)


def _parsed(data: bytes) -> dict[str, Any] | None:
    """The chunk, {} for any other value, None for what is no JSON."""
    try:
        chunk = msgspec.json.decode(data) if data.strip() else {}
    except (ValueError, RecursionError):
        return None
    return chunk if isinstance(chunk, dict) else {}
