"""Log lines: one per call and one per event, JSON or text, written in batches by a thread of their own.

Rule 1: no content of a request or an answer, no credential, no query string ever becomes a field.
Rule 2: a full pipe must not stop the event loop: when the writer is more than MAX_BACKLOG lines behind, lines are dropped
and counted, never waited for. Rule 3: what was appended is written before `close` returns, unless the pipe is gone.
"""

from __future__ import annotations

import asyncio
import logging
import queue
import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, BinaryIO

import msgspec
from msgspec import Struct

MAX_BACKLOG = 100_000
FLUSH_S = 0.1
LEVELS = {"debug": 10, "info": 20, "warning": 30, "error": 40}


class AccessLine(Struct, omit_defaults=True):
    """One call. Durations in milliseconds. `trail` tells every candidate of a call that was not plain."""

    request_id: str
    method: str
    path: str
    status: int
    duration_ms: float
    surface: str = ""
    tenant: str = ""
    user: str = ""
    key: str = ""
    provider: str = ""
    model: str = ""
    upstream_model: str = ""
    stream: bool = False
    outcome: str = ""
    attempts: int = 0
    total_tokens: int = 0
    upstream_ms: float = 0.0
    input_tokens: int = 0
    output_tokens: int = 0
    cost_microusd: int = 0  # where a budget pays
    first_token_ms: float = 0.0
    estimated: bool = False
    error: str = ""
    dropped: list[str] = []
    trail: list[Any] = []
    session: str = ""
    trace: str = ""


_BEGINNING = b'%b%03dZ","level":"info","event":"request",'  # up to the second, milliseconds


class LogWriter:
    """Takes lines from the event loop and writes them from a thread."""

    def __init__(
        self, stream: BinaryIO, *, level: str = "info", text: bool = False, on_drop: Callable[[int], None] | None = None
    ) -> None:
        self._before: Callable[[], None] = lambda: None
        self.change(level, text=text)
        self._stream = stream
        self._on_drop = on_drop or (lambda lines: None)
        self._pending: list[bytes] = []
        self._second, self._day = -1, b""
        self._timer: asyncio.TimerHandle | None = None
        self._queue: queue.SimpleQueue[bytes | None] = queue.SimpleQueue()
        self._encode = msgspec.json.Encoder().encode
        self._thread = threading.Thread(target=self._write, name="log-writer", daemon=True)
        self._thread.start()

    def change(self, level: str, *, text: bool) -> None:
        """Take another level and format, from the next line on."""
        self._before()
        self.threshold = LEVELS[level]
        self.writes_access = self.threshold <= LEVELS["info"]
        self._text = text

    def access(self, at: float, line: AccessLine) -> None:
        """Append the line of one call that began at `at` (unix seconds); hot path."""
        pending = self._pending
        if not self.writes_access:
            return
        if len(pending) >= MAX_BACKLOG:
            self._on_drop(1)
            return
        pending.append(self._access_text(at, line) if self._text else self._access_json(at, line))
        self.soon()

    def before(self, hand_in: Callable[[], None]) -> None:
        """Call `hand_in` before lines are written: whoever makes them in batches hands in what is kept back."""
        self._before = hand_in

    def soon(self) -> None:
        """Write within FLUSH_S."""
        if self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(FLUSH_S, self.flush)

    def plain(self, lines: list[tuple[float, bytes]]) -> None:
        """As `access`, for lines of which all but the beginning is written: when the call began, and JSON from request_id on.
        Who appends such lines has them written by `soon`."""
        pending = self._pending
        if len(pending) + len(lines) > MAX_BACKLOG:
            self._on_drop(len(lines))
            return
        for at, rest in lines:
            if self._text:
                pending.append(self._access_text(at, msgspec.json.decode(b"{" + rest, type=AccessLine)))
            else:
                second = int(at)
                if second != self._second:
                    self._turn(second)
                pending.append(_BEGINNING % (self._day, (at - second) * 1000) + rest)

    def event(self, level: str, event: str, **fields: Any) -> None:
        """Write something that happened, outside of calls: a breaker that opened, a reload, a start."""
        if LEVELS[level] < self.threshold:
            return
        row = {"at": stamp(time.time()), "level": level, "event": event, **fields}
        self._queue.put(self._event_text(row) if self._text else self._encode(row) + b"\n")

    def flush(self) -> None:
        """Hand what is pending to the writer thread."""
        self._timer = None  # first: a bug in what follows must not be the end of all writing
        self._before()
        lines, self._pending = self._pending, []
        if not lines:
            return
        if self._queue.qsize() > 1000:  # about 1000 batches behind: the reader of our log has stopped
            self._on_drop(len(lines))
            return
        self._queue.put(b"".join(lines))

    def close(self) -> None:
        """Write what is left; waits at most two seconds for a slow reader."""
        if self._timer is not None:
            self._timer.cancel()
        self.flush()
        self._queue.put(None)
        self._thread.join(timeout=2)

    def _write(self) -> None:
        while (data := self._queue.get()) is not None:
            try:
                self._stream.write(data)
                self._stream.flush()
            except (OSError, ValueError):
                self._on_drop(data.count(b"\n"))  # the pipe is closed or the disk full: serving goes on

    def _access_json(self, at: float, line: AccessLine) -> bytes:
        # The line's own object is spliced behind what all lines begin with.
        return b"%b%b\n" % (self._beginning(at), self._encode(line)[1:])

    def _beginning(self, at: float) -> bytes:
        """What all lines of calls begin with."""
        second = int(at)
        if second != self._second:
            self._turn(second)
        return _BEGINNING % (self._day, (at - second) * 1000)

    def _turn(self, second: int) -> None:
        """The second is formatted once a second."""
        self._second, self._day = second, f'{{"at":"{stamp(second)[:20]}'.encode()

    def _access_text(self, at: float, line: AccessLine) -> bytes:
        via = f" {line.provider}/{line.upstream_model}" if line.provider else ""
        tokens = f" {line.total_tokens} tokens" if line.total_tokens else ""
        more = f" {line.outcome}" if line.outcome not in ("", "ok") else ""
        error = f" {line.error}" if line.error else ""
        tried = f" attempts={line.attempts}" if line.attempts > 1 else ""
        return _one_line(
            f"{stamp(at)[11:23]} {line.status} {line.method} {line.path}{via}{tokens} {line.duration_ms:.1f}ms{tried}{more}{error}"
            f" [{line.request_id}]"
        )

    def _event_text(self, row: dict[str, Any]) -> bytes:
        rest = " ".join(f"{k}={v}" for k, v in row.items() if k not in ("at", "level", "event"))
        return _one_line(f"{row['at'][11:23]} {row['level']} {row['event']} {rest}")


class StandardLogging(logging.Handler):
    """Brings what libraries log (aiohttp, asyncio) into our lines, without their tracebacks' frames."""

    def __init__(self, writer: LogWriter) -> None:
        super().__init__(level=logging.WARNING)
        self._writer = writer

    def emit(self, record: logging.LogRecord) -> None:
        level = "error" if record.levelno >= logging.ERROR else "warning"
        fields: dict[str, Any] = {"logger": record.name, "message": record.getMessage()}
        if record.exc_info and record.exc_info[1] is not None:
            fields["exception"] = name_of(record.exc_info[1])
        self._writer.event(level, "library", **fields)


def name_of(error: BaseException) -> str:
    """An exception as a line may tell it: its class. What it says can quote what a client or a vendor wrote (rule 1)."""
    return f"{type(error).__module__}.{type(error).__qualname__}".removeprefix("builtins.")


def _one_line(text: str) -> bytes:
    """A line of text is one line, whatever stands in a path or a code: no line breaks, nothing that moves a terminal's cursor."""
    if not text.isprintable():
        text = "".join(c if c.isprintable() else f"\\x{ord(c):02x}" for c in text)
    return f"{text}\n".encode()


def stamp(at: float) -> str:
    """RFC 3339 in UTC with milliseconds."""
    return datetime.fromtimestamp(at, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
