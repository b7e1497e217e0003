"""What the tests of the upstream client share: sinks that remember, a transport made of lists, servers that misbehave."""

from __future__ import annotations

import asyncio
import re
import socket
import struct
from collections.abc import Awaitable, Callable, Mapping

from gateway.errors import Fault
from gateway.settings import Timeouts
from gateway.upstream import Origin, Transfer, UpstreamRequest, head

HELLO = b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhello"
PATIENT = Timeouts(connect_s=5, first_byte_s=5, idle_s=5, total_s=20)
SOMEWHERE = Origin("http", "provider.test", 80)

Serve = Callable[..., Awaitable[Origin]]
Handler = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


def request(
    origin: Origin = SOMEWHERE, body: bytes = b"{}", timeouts: Timeouts = PATIENT, method: str = "POST"
) -> UpstreamRequest:
    return UpstreamRequest(
        origin, head(method, "/v1/chat", [("host", origin.authority)]), body, timeouts, method_head=method == "HEAD"
    )


class Recorder:
    """A sink that remembers what it was told, in order, and calls `on_each` with every word of it."""

    def __init__(self, on_each: Callable[[str], None] = lambda word: None) -> None:
        self.words: list[str] = []
        self.status = 0
        self.headers: Mapping[str, str] = {}
        self.data = bytearray()
        self.fault: Fault | None = None
        self.over = asyncio.Event()
        self.transfer: Transfer | None = None
        self._on_each = on_each

    def on_head(self, status: int, headers: Mapping[str, str]) -> None:
        self.status, self.headers = status, headers
        self._note("head")

    def on_data(self, data: bytes) -> None:
        self.data += data
        self._note("data")

    def on_end(self) -> None:
        self.over.set()
        self._note("end")

    def on_fault(self, fault: Fault) -> None:
        self.fault = fault
        self.over.set()
        self._note("fault")

    def _note(self, word: str) -> None:
        self.words.append(word)
        self._on_each(word)


class FakeTransport(asyncio.Transport):
    """Keeps what is written; `abort` closes it. The test plays the loop: it calls the protocol."""

    def __init__(self) -> None:
        super().__init__()
        self.written: list[bytes] = []
        self.closed = False
        self.reading = True
        self.unsent = 0

    def write(self, data: bytes) -> None:  # type: ignore[override]
        self.written.append(data)

    def get_write_buffer_size(self) -> int:
        return self.unsent

    def is_closing(self) -> bool:
        return self.closed

    def abort(self) -> None:
        self.closed = True

    def pause_reading(self) -> None:
        self.reading = False

    def resume_reading(self) -> None:
        self.reading = True


async def read_request(reader: asyncio.StreamReader) -> bytes:
    """One request, head and body; b"" when the client is gone."""
    try:
        lines = await reader.readuntil(b"\r\n\r\n")
        length = re.search(rb"content-length: (\d+)", lines)
        return lines + (await reader.readexactly(int(length[1])) if length else b"")
    except (asyncio.IncompleteReadError, ConnectionError):
        return b""


def answering(*pieces: bytes, close: bool = False, pause_s: float = 0) -> Handler:
    """A server that answers every request with these bytes, cut like this, and then closes the connection if told to."""

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while await read_request(reader):
            for piece in pieces:
                writer.write(piece)
                await writer.drain()
                await asyncio.sleep(pause_s)
            if close:
                return

    return handle


def reset(writer: asyncio.StreamWriter) -> None:
    """Close with RST instead of FIN."""
    sock = writer.get_extra_info("socket")
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()
