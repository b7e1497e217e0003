"""Server-sent events, cut anywhere: bytes in, whole frames out.

Rule 1: bytes are split, never text. U+2028 and U+0085 are legal inside JSON and are no line ends here.
Rule 2: a frame ends at an empty line; lines end with LF, CRLF or CR. A CR at the end of the bytes so far waits for its LF.
Rule 3: what the sender closed on is a frame too, if it has data (several servers leave out the last empty line).
Source: WHATWG HTML, section 9.2.6 (event stream interpretation).
"""

from __future__ import annotations

import re

MAX_LINE_BYTES = 16 * 1024 * 1024
BOM = b"\xef\xbb\xbf"

_EOL = rb"(?:\r\n|\n|\r(?!\n))"
_FRAME_END = re.compile(_EOL + _EOL)

Frame = tuple[bytes, bytes]  # (event name or b"", data with lines joined by LF)


class LineTooLong(ValueError):
    """An upstream sent more than MAX_LINE_BYTES without ending a frame."""


class Splitter:
    """Collects bytes and gives whole frames. `stray` keeps lines that are no SSE field, as some vendors write errors."""

    __slots__ = ("_buffer", "_first", "stray")

    def __init__(self) -> None:
        self._buffer = b""
        self._first = True
        self.stray: list[bytes] = []

    @property
    def pending(self) -> bool:
        """Whether bytes of an unfinished frame are waiting."""
        return bool(self._buffer)

    def feed(self, data: bytes) -> list[Frame]:
        """Frames completed by `data`. Raises LineTooLong when one grows past the limit."""
        if not self._buffer and (whole := _whole(data)) is not None:
            self._first = False
            return [whole]
        buffer = self._buffer + data if self._buffer else data
        if self._first:
            if len(buffer) < 3 and BOM.startswith(buffer):
                self._buffer = buffer
                return []
            self._first = False
            if buffer.startswith(BOM):
                buffer = buffer[3:]
        if b"\r" in buffer:
            return self._feed_with_cr(buffer)
        end = buffer.rfind(b"\n\n")
        if end < 0:
            self._keep(buffer)
            return []
        self._keep(buffer[end + 2 :])
        return self._frames(buffer[:end])

    def eof(self) -> list[Frame]:
        """The frame the sender closed on, if any."""
        rest, self._buffer = self._buffer, b""
        return self._frames(rest.replace(b"\r\n", b"\n").replace(b"\r", b"\n")) if rest else []

    def _feed_with_cr(self, buffer: bytes) -> list[Frame]:
        # A lone CR at the end may be the first half of CRLF: it waits, unnormalised, for the next bytes.
        held = b""
        if buffer.endswith(b"\r"):
            buffer, held = buffer[:-1], b"\r"
        text = buffer.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
        end = text.rfind(b"\n\n")
        if end < 0:
            self._keep(text + held)
            return []
        self._keep(text[end + 2 :] + held)
        return self._frames(text[:end])

    def _keep(self, rest: bytes) -> None:
        if len(rest) > MAX_LINE_BYTES:
            raise LineTooLong(f"an event of more than {MAX_LINE_BYTES} bytes")
        self._buffer = rest

    def _frames(self, text: bytes) -> list[Frame]:
        frames: list[Frame] = []
        for block in text.split(b"\n\n"):
            frame = self._frame(block)
            if frame is not None:
                frames.append(frame)
        return frames

    def _frame(self, block: bytes) -> Frame | None:
        if block.startswith(b"data:") and b"\n" not in block:  # the common case: one line
            return b"", block[6:] if block[5:6] == b" " else block[5:]
        event, lines = b"", []
        for line in block.split(b"\n"):
            name, _, value = line.partition(b":")
            if value.startswith(b" "):
                value = value[1:]
            if name == b"data":
                lines.append(value)
            elif name == b"event":
                event = value
            elif line and name and name not in (b"id", b"retry"):
                self.stray.append(line)
        return (event, b"\n".join(lines)) if lines else None


def _whole(data: bytes) -> Frame | None:
    """The common case: one frame in one piece, of one line of data, behind a line with the event's name or not."""
    if data.endswith(b"\n\n"):
        end, cr, lf = len(data) - 2, -1, len(data) - 2
    elif data.endswith(b"\r\n\r\n"):
        end, cr, lf = len(data) - 4, len(data) - 4, len(data) - 3
    else:
        return None
    if data.find(b"\r") != cr:
        return None
    start, event = 0, b""
    if data.startswith(b"event: "):
        start = data.find(b"\n") + 1
        event = data[7 : start - 1]
    if not data.startswith(b"data: ", start) or data.find(b"\n", start) != lf:
        return None
    return event, data[start + 6 : end]


def frame(data: bytes, event: bytes = b"") -> bytes:
    """One event on the wire. `data` is one line (JSON without line breaks)."""
    if event:
        return b"event: " + event + b"\ndata: " + data + b"\n\n"
    return b"data: " + data + b"\n\n"


def frames_of(data: bytes) -> list[bytes]:
    """The frames of `data`, which ends with one, with their empty lines: joined they are `data`."""
    if b"\r" not in data:
        *blocks, rest = data.split(b"\n\n")
        frames = [block + b"\n\n" for block in blocks]
    else:
        ends = [found.end() for found in _FRAME_END.finditer(data)]
        frames = [data[start:end] for start, end in zip([0, *ends[:-1]], ends, strict=True)]
        rest = data[ends[-1] :] if ends else b""
    if rest and frames:  # one more line end: it belongs to the last frame
        frames[-1] += rest
    return frames


def last_end(data: bytes, start: int) -> int:
    """Where the last whole frame of `data` ends, looking from `start` on; 0 when none does."""
    if b"\r" not in data:
        return data.rfind(b"\n\n", start) + 2 if data.find(b"\n\n", start) >= 0 else 0
    # A CR as the last byte may be half of a CRLF: the frame is not whole before that is known.
    known = len(data) - 1 if data.endswith(b"\r") else len(data)
    ends = [found.end() for found in _FRAME_END.finditer(data, start)]
    return max((end for end in ends if end <= known), default=0)
