"""A client of raw bytes: what it sends is what is written here, and what comes back is read as strictly as RFC 9112 allows.

Blocking sockets with timeouts: the gateway runs in a thread of its own (doors_site).
"""

from __future__ import annotations

import socket
import time
from dataclasses import dataclass, field

from msgspec import json

PATIENCE_S = 5.0


class Broken(AssertionError):
    """The answer is not HTTP/1.1, or breaks off."""


@dataclass
class Answer:
    """One answer. `framing`: length, chunked, close or none. `pieces`: its chunks, when it has some."""

    status: int
    headers: list[tuple[str, str]]
    body: bytes = b""
    framing: str = "none"
    pieces: list[bytes] = field(default_factory=list)

    def header(self, name: str) -> str | None:
        """A header that may be there once."""
        values = [value for key, value in self.headers if key == name]
        assert len(values) < 2, f"{name} {len(values)} times"
        return values[0] if values else None

    @property
    def json(self) -> object:
        return json.decode(self.body)

    @property
    def code(self) -> str:
        """The error's code; "" when it is none."""
        value = self.json
        return str(value["error"]["code"]) if isinstance(value, dict) and "error" in value else ""

    @property
    def frames(self) -> list[bytes]:
        """The SSE frames of a stream's body."""
        assert self.body.endswith(b"\n\n"), self.body[-80:]
        return self.body[:-2].split(b"\n\n")

    @property
    def closes(self) -> bool:
        return (self.header("connection") or "").lower() == "close"


class Client:
    """One connection."""

    def __init__(self, port: int, receive_bytes: int | None = None) -> None:
        self.socket = socket.socket()
        if receive_bytes is not None:  # before connect: the window is agreed there
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_bytes)
        self.socket.settimeout(PATIENCE_S)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.socket.connect(("127.0.0.1", port))
        self.unread = b""

    def __enter__(self) -> Client:
        return self

    def __exit__(self, *exc: object) -> None:
        self.socket.close()

    def send(self, *parts: bytes) -> None:
        """Each part in a packet of its own."""
        for part in parts:
            self.socket.sendall(part)

    def half_close(self) -> None:
        self.socket.shutdown(socket.SHUT_WR)

    def answer(self, *, to_head: bool = False) -> Answer:
        """The next answer, read to its end. Raises Broken or TimeoutError."""
        answer = self.head()
        if answer.status == 101 or answer.status < 200 or answer.status in (204, 304) or to_head:
            return answer
        if answer.header("transfer-encoding") is not None:
            self._chunks(answer)
        elif (length := answer.header("content-length")) is not None:
            answer.framing = "length"
            answer.body = self._take(int(length))
        else:
            answer.framing = "close"
            answer.body = self.rest()
        return answer

    def head(self) -> Answer:
        """Status and headers of the next answer."""
        lines = self._until(b"\r\n\r\n").decode("latin-1").split("\r\n")
        version, status, _ = lines[0].split(" ", 2)
        if version not in ("HTTP/1.1", "HTTP/1.0"):
            raise Broken(lines[0])
        headers = []
        for line in lines[1:]:
            name, colon, value = line.partition(":")
            if not colon or name != name.strip() or not name:
                raise Broken(f"header {line!r}")
            headers.append((name.lower(), value.strip()))
        return Answer(int(status), headers)

    def piece(self) -> bytes:
        """The next chunk of a chunked answer; b"" for the last one."""
        size = int(self._until(b"\r\n"), 16)
        data = self._take(size + 2)
        if data[size:] != b"\r\n":
            raise Broken(f"a chunk of {size} bytes ends in {data[size:]!r}")
        return data[:size]

    def rest(self) -> bytes:
        """All bytes until the server closes; what is lost by a reset is not missed."""
        parts, self.unread = [self.unread], b""
        while data := self._receive():
            parts.append(data)
        return b"".join(parts)

    def is_closed(self, within_s: float = PATIENCE_S) -> bool:
        """Whether the server closes, without a word, before this many seconds are over."""
        ends_at = time.monotonic() + within_s
        while not self.unread:
            self.socket.settimeout(max(0.001, ends_at - time.monotonic()))
            try:
                if not (data := self._receive()):
                    return True
            except TimeoutError:
                return False
            finally:
                self.socket.settimeout(PATIENCE_S)
            self.unread += data
        raise Broken(f"more bytes: {self.unread[:200]!r}")

    # ------------------------------------------------------------ bytes

    def _chunks(self, answer: Answer) -> None:
        assert answer.header("transfer-encoding") == "chunked", answer.headers
        assert answer.header("content-length") is None, "both a length and chunks"
        answer.framing = "chunked"
        while piece := self.piece():
            answer.pieces.append(piece)
        answer.body = b"".join(answer.pieces)

    def _until(self, mark: bytes) -> bytes:
        while mark not in self.unread:
            self._more()
        found, _, self.unread = self.unread.partition(mark)
        return found

    def _take(self, size: int) -> bytes:
        while len(self.unread) < size:
            self._more()
        taken, self.unread = self.unread[:size], self.unread[size:]
        return taken

    def _more(self) -> None:
        data = self._receive()
        if not data:
            raise Broken(f"closed after {self.unread[-200:]!r}")
        self.unread += data

    def _receive(self) -> bytes:
        try:
            return self.socket.recv(65536)
        except ConnectionError:
            return b""
