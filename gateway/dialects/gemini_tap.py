"""Beside a Gemini stream that passes through: read what the gateway must know, forward the rest as it is.

Rule 1: only whole frames go on; the unfinished one at the end waits. So an error is never half forwarded, and one of our own
never lands in the middle of a line. Rule 2: nothing marks the end but the end of the bytes: `eof` decides. Where a candidate
has no finish reason the answer was cut off, however politely the connection closed. Rule 3: errors come as a frame, as a list
of one, or as bare JSON lines that are no frame at all; none of them goes on: the pipeline writes its own.
Rule 4: `output_bytes` is never below the truth.
"""

from __future__ import annotations

import msgspec
from msgspec import Raw

from gateway.core.sse import BOM, Splitter, frames_of, last_end
from gateway.dialects.gemini_passthrough import is_blocked, says
from gateway.dialects.gemini_wire import (
    BROKEN,
    RESTRICTED,
    Answer,
    Candidate,
    Part,
    Rejection,
    finish_of,
    kind_of,
    read_error,
    read_rejection,
    read_usage,
)
from gateway.types import Failed, Usage

MAX_FRAME_BYTES = 16 * 1024 * 1024

_DATA = b"data: "
_FRAGMENT = msgspec.json.Decoder(Answer)


class GeminiTap:
    """See types.Tap. Gemini always reports usage and its clients always get it."""

    __slots__ = (
        "_blocked", "_calls", "_counts", "_finishes", "_held", "_splitter", "_usable", "content", "ended", "failed",
        "finish", "output_bytes", "usage",
    )  # fmt: skip

    def __init__(self) -> None:
        self.content = False
        self.usage: Usage | None = None
        self.finish: str | None = None  # how the first candidate ended, in our word
        self.failed: Failed | None = None
        self.ended = False
        self.output_bytes = 0
        self._held = b""  # an unfinished frame
        self._splitter = Splitter()
        self._finishes: dict[int, str] = {}  # how each candidate ended, "" while it has not
        self._calls = False
        self._usable = False
        self._blocked = False
        self._counts = b""

    def feed(self, data: bytes) -> bytes:
        """What of `data` is to be forwarded now: after an error, nothing."""
        if self.failed is not None or self.ended:
            return b""
        if self._held or not data.endswith(b"\n\n") or b"\r" in data:
            data = self._whole_frames(data)
        elif data.startswith(_DATA) and data.find(b"\n") == len(data) - 2:  # one frame, as nearly always
            self._fragment(data[6:-2])
            return data if self.failed is None else b""
        return self._each(data)

    def eof(self) -> bytes:
        """The last frame, where its sender closed on it; and whether that was the end of the answer or of the connection."""
        if self.failed is not None or self.ended:
            return b""
        rest, self._held = self._held, b""
        out = self._each(rest, last=True) if rest else b""
        if self.failed is None:
            self._conclude()
        elif self.failed.kind == "bad_reply":
            self.failed = Failed("truncated", "the stream ended inside a fragment")
        return out if self.ended else b""

    def _whole_frames(self, data: bytes) -> bytes:
        seen = max(len(self._held) - 3, 0)
        data = self._held + data
        end = last_end(data, seen)
        self._held = data[end:]
        if len(self._held) > MAX_FRAME_BYTES:
            self.failed = Failed("bad_reply", f"a frame of more than {MAX_FRAME_BYTES} bytes")
        return data[:end]

    def _each(self, data: bytes, last: bool = False) -> bytes:
        """The frames of `data` as they go on, up to an error."""
        frames = [data] if last else frames_of(data)
        kept: list[bytes] = []
        for frame in frames:
            if self.failed is None and self._goes_on(frame, last):
                kept.append(frame)
        return data if len(kept) == len(frames) else b"".join(kept)

    def _goes_on(self, frame: bytes, last: bool) -> bool:
        """Read one frame; whether it is for the client. Comments are; what is no event is an error, or nonsense."""
        plain = frame.removeprefix(BOM)
        before = len(self._splitter.stray)
        found = self._splitter.feed(plain) + (self._splitter.eof() if last else [])
        for _, data in found:
            if self.failed is None:
                self._fragment(data)
        strays = self._splitter.stray
        if len(strays) > before and self.failed is None:
            error = read_error(b"\n".join(strays))
            if error is not None:
                self._reject(error)
            return self.failed is None and bool(found)
        return self.failed is None

    def _fragment(self, data: bytes) -> None:
        try:
            answer = _FRAGMENT.decode(data)
        except (ValueError, RecursionError) as problem:
            error = read_error(data)
            if error is not None:
                self._reject(error)
            elif data != b"[DONE]":
                self.failed = Failed("bad_reply", str(problem))
            return
        error = read_rejection(answer.error)
        if error is not None:
            self._reject(error)
            return
        for candidate in answer.candidates or ():
            self._candidate(candidate)
        if not answer.candidates and is_blocked(answer):
            self._blocked = self.content = True
            self.finish = "content_filter"
        if answer.usage_metadata:
            self._count(answer.usage_metadata)

    def _count(self, raw: Raw) -> None:
        """The last one wins: counts are totals so far and come with every fragment."""
        counts = bytes(raw)
        if counts != self._counts:
            self._counts = counts
            self.usage = read_usage(raw) or self.usage

    def _candidate(self, candidate: Candidate) -> None:
        index = candidate.index or 0
        self._finishes[index] = candidate.finish_reason or self._finishes.get(index, "")
        for part in (candidate.content.parts if candidate.content else None) or ():
            self._part(part)
        self.content = self.content or says(candidate)
        first = next(iter(self._finishes.values()))
        self.finish = finish_of(first, self._calls, usable=True) if first else None

    def _part(self, part: Part) -> None:
        if part.text:
            self.output_bytes += len(part.text) if part.text.isascii() else len(part.text.encode())
            self._usable = True
        elif part.function_call is not None:
            self.output_bytes += len(memoryview(part.function_call.args)) + len(part.function_call.name.encode())
            self._calls = self._usable = True
        elif part.inline_data is not None:
            self.output_bytes += len(part.inline_data.data)
            self._usable = True
        else:
            others = (part.executable_code, part.code_execution_result, part.tool_call, part.tool_response)
            self.output_bytes += sum(len(memoryview(raw)) for raw in others if raw)

    def _conclude(self) -> None:
        finishes = list(self._finishes.values())
        if any(reason == RESTRICTED for reason in finishes):
            self.failed = Failed("forbidden", RESTRICTED)
        elif finishes and all(finishes) and not self._usable and any(reason in BROKEN for reason in finishes):
            self.failed = Failed("bad_reply", ", ".join(finishes))
        elif self._blocked or (finishes and all(finishes)):
            self.ended = True
        else:
            self.failed = Failed("truncated", "the stream ended without a finish reason")

    def _reject(self, error: Rejection) -> None:
        self.failed = Failed(kind_of(error), error.message or "", error.code)
