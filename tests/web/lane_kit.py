"""The lean door without sockets: a transport that remembers, and handlers that do what a test says."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, cast

from gateway.upstream.round import Round, Writer
from gateway.web.exchange import Exchange
from gateway.web.fastlane import Connection, Lane
from gateway.web.handlers import Handlers
from gateway.web.surfaces import Surfaces

Handle = Callable[[Any], Awaitable[None]]
MAX_BODY_BYTES = 10_000_000


class Wire(asyncio.Transport):
    """One connection's transport. `unsent` is what its client has not taken; it calls nobody back by itself."""

    def __init__(self) -> None:
        super().__init__()
        self.written = b""
        self.unsent = 0
        self.reading = True
        self.closed = self.aborted = self.half_closed = False
        self.protocol: Any = None

    def write(self, data: Any) -> None:
        assert not self.closed and not self.half_closed, "written after the end"
        self.written += data

    def pause_reading(self) -> None:
        assert self.reading, "paused twice"
        self.reading = False

    def resume_reading(self) -> None:
        assert not self.reading, "resumed twice"
        self.reading = True

    def is_closing(self) -> bool:
        return self.closed

    def close(self) -> None:
        self.closed = True

    def abort(self) -> None:
        self.closed = self.aborted = True

    def can_write_eof(self) -> bool:
        return True

    def write_eof(self) -> None:
        self.half_closed = True

    def set_protocol(self, protocol: Any) -> None:
        self.protocol = protocol

    def get_write_buffer_size(self) -> int:
        return self.unsent

    @property
    def answers(self) -> int:
        return self.written.count(b"HTTP/1.1 ")


class Aiohttp(asyncio.Protocol):
    """Stands where aiohttp's door does."""

    def __init__(self) -> None:
        self.heard = b""

    def data_received(self, data: bytes) -> None:
        self.heard += data


class NoExpress:
    """Takes no request: all of them go to the handlers."""

    def take(self, exchange: Exchange) -> bool:
        return False


class AtOnce:
    """A round that ends with every write, for tests that look at what was written without a loop in between."""

    def add(self, writer: Writer) -> None:
        writer.flush()


class Scripted:
    """Handlers whose every request is handled by one function."""

    def __init__(self, handle: Handle) -> None:
        self.surfaces = Surfaces()
        self.handle = handle
        self.express = NoExpress()


class Room:
    """A lane whose time is `now`."""

    def __init__(self, handle: Handle) -> None:
        self.now = 1000.0
        self.aiohttp: list[Aiohttp] = []
        self.lane = Lane(
            cast(Handlers, Scripted(handle)),
            MAX_BODY_BYTES,
            self._open_aiohttp,
            lambda: self.now,
            cast(Round, AtOnce()),
        )

    def _open_aiohttp(self) -> Aiohttp:
        self.aiohttp.append(Aiohttp())
        return self.aiohttp[-1]

    def connect(self) -> tuple[Connection, Wire]:
        wire = Wire()
        connection = self.lane()
        wire.protocol = connection
        connection.connection_made(wire)
        return connection, wire

    def later(self, seconds: float) -> None:
        """So many seconds pass, in which the sweep comes every one."""
        for _ in range(int(seconds)):
            self.now += 1
            self.lane.tick()


def post(body: bytes = b"{}", *lines: str) -> bytes:
    head = [
        "POST /api/v1/acme/ai/chat/completions HTTP/1.1",
        "host: gateway.test",
        *lines,
        f"content-length: {len(body)}",
    ]
    return "\r\n".join([*head, "", ""]).encode() + body


async def answer_at_once(exchange: Exchange) -> None:
    """Answer with what the request said, if its body has come."""
    exchange.answer(200, b"", exchange.ready or b"")


async def refuse_at_once(exchange: Exchange) -> None:
    """Answer before the body is looked at."""
    exchange.answer(401, b"", b"")


async def read_and_answer(exchange: Exchange) -> None:
    """Wait for the body, then answer with its size."""
    exchange.answer(200, b"", b"%d" % len(await exchange.body()))


class Slow:
    """Answers when it is told to."""

    def __init__(self) -> None:
        self.exchange: Any = None
        self.left = 0
        self._go: asyncio.Future[None] | None = None

    async def __call__(self, exchange: Exchange) -> None:
        self.exchange = exchange
        exchange.on_closed(self._leave)
        self._go = asyncio.get_running_loop().create_future()
        await self._go
        exchange.on_closed(None)
        exchange.answer(200, b"", exchange.ready or b"")

    def _leave(self) -> None:
        self.left += 1

    async def go(self) -> None:
        assert self._go is not None
        self._go.set_result(None)
        await asyncio.sleep(0)
