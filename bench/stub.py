"""An upstream that costs little: fixed JSON answers, and streams of stamped chunks at a steady pace, in every dialect.

    python -m bench.stub PORT

How many chunks, and how fast, stands in the message of the request (bench.answers). A stub that is dearer than the gateway would
hide what is measured, so one timer drives all streams, and a chunk is one formatted bytes object and one write to the socket.
"""

from __future__ import annotations

import asyncio
import gc
import os
import re
import sys
import time
from typing import cast

import uvloop

from bench.answers import JSON_ANSWERS, STAMP_FORMAT, STAMP_WIDTH, STREAMS, WANTED, Dialect, dialect_of

LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)
SLOTS = 2048  # milliseconds that the wheel reaches ahead
BACKLOG = 4096
STREAM_HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ncache-control: no-cache\r\ntransfer-encoding: chunked\r\n\r\n"


def chunked(payload: bytes) -> bytes:
    """A chunk of HTTP's transfer coding; no bytes, no chunk, for an empty one would end the answer."""
    return b"%x\r\n%b\r\n" % (len(payload), payload) if payload else b""


class Script:
    """What the streams of a dialect send, ready to be written."""

    def __init__(self, dialect: Dialect) -> None:
        frames = STREAMS[dialect]
        length = len(frames.before) + STAMP_WIDTH + len(frames.after)
        self.first = STREAM_HEAD + chunked(frames.first)
        self.chunk = (b"%x\r\n" % length) + frames.before + STAMP_FORMAT + frames.after + b"\r\n"
        self.last = chunked(frames.last) + b"0\r\n\r\n"


class Wheel:
    """All running streams, in slots of a millisecond. Streams that come late are served in order and keep their pace."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._slots: list[list[Stream]] = [[] for _ in range(SLOTS)]
        self._at = time.monotonic_ns() // 1_000_000
        self._turn()

    def put(self, stream: Stream, after_ms: int) -> None:
        self._slots[(self._at + after_ms) % SLOTS].append(stream)

    def _turn(self) -> None:
        now = time.monotonic_ns() // 1_000_000
        while self._at <= now:
            due = self._slots[self._at % SLOTS]
            if due:
                self._slots[self._at % SLOTS] = []
                for stream in due:
                    if stream.send():
                        self.put(stream, stream.period_ms)
            self._at += 1
        self._loop.call_later(0.001, self._turn)


class Stream:
    """One answer under way."""

    __slots__ = ("_connection", "_left", "_script", "_sent", "period_ms")

    def __init__(self, connection: Connection, script: Script, chunks: int, per_s: int) -> None:
        self.period_ms = 1000 // per_s
        self._connection = connection
        self._script = script
        self._left = chunks
        self._sent = 0

    def begin(self) -> None:
        """Head and first chunk in one write, as providers do under load."""
        self._left -= 1
        self._connection.write(self._script.first + self._script.chunk % (0, time.monotonic_ns()))

    def send(self) -> bool:
        """The next chunk. False: that was the end."""
        if self._connection.gone:
            return False
        if not self._left:
            self._connection.write(self._script.last)
            return False
        self._left -= 1
        self._sent += 1
        self._connection.write(self._script.chunk % (self._sent, time.monotonic_ns()))
        return True


class Connection(asyncio.Protocol):
    """Requests of one client, one after the other."""

    def __init__(self, stub: Stub) -> None:
        self._stub = stub
        self._received = b""
        self.gone = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.WriteTransport, transport)  # uvloop's own have no such base
        self._fd: int = transport.get_extra_info("socket").fileno()

    def connection_lost(self, error: Exception | None) -> None:
        self.gone = True

    def data_received(self, data: bytes) -> None:
        self._received = received = self._received + data if self._received else data
        head = received.find(b"\r\n\r\n")
        length = LENGTH.search(received, 0, head) if head >= 0 else None
        if length is None:
            return
        end = head + 4 + int(length[1])
        if len(received) >= end:
            self._received = received[end:]
            self._answer(received[: received.find(b"\r\n")], received[head + 4 : end])

    def _answer(self, line: bytes, body: bytes) -> None:
        wanted = WANTED.search(body)
        dialect = dialect_of(line)
        if wanted is None:
            self.write(self._stub.json[dialect])
            return
        stream = Stream(self, self._stub.scripts[dialect], int(wanted[1]), int(wanted[2]))
        stream.begin()
        self._stub.wheel.put(stream, stream.period_ms)

    def write(self, data: bytes) -> None:
        """Straight to the socket, which spares a third of the cost; the transport gets what the socket does not take."""
        if not self._transport.get_write_buffer_size():
            try:
                data = data[os.write(self._fd, data) :]
            except BlockingIOError:
                pass
            except OSError:
                self.gone = True
                return
        if data:
            self._transport.write(data)


class Stub:
    """What all connections share."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.wheel = Wheel(loop)
        self.scripts: dict[Dialect, Script] = {dialect: Script(dialect) for dialect in STREAMS}
        self.json = {dialect: self._head(answer) + answer.encode() for dialect, answer in JSON_ANSWERS.items()}

    def _head(self, answer: str) -> bytes:
        return b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n" % len(answer)


async def serve(port: int) -> None:
    loop = asyncio.get_running_loop()
    stub = Stub(loop)
    gc.freeze()
    server = await loop.create_server(lambda: Connection(stub), "127.0.0.1", port, backlog=BACKLOG)
    await server.serve_forever()


if __name__ == "__main__":
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(serve(int(sys.argv[1])))
