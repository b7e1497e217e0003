"""The lean door: HTTP/1.1 for the hot routes, in front of aiohttp on the same socket.

A connection begins here. As long as its requests are plain and hot (POST to a chat route, a body with a length) they are served
here, through the same handlers as aiohttp's. At the first one that is anything else (another path, an upgrade, Expect, chunked or
compressed bodies, a malformed head) the connection goes to aiohttp for good, with all bytes of that request. So there is
one behaviour and one place for every oddity; what differs is only speed.

Rule 1: a head is complete before anything is decided; llhttp alone says what it means. Rule 2: one request at a time; what a client
sends ahead waits in the buffer, and reading stops when that is more than MAX_AHEAD_BYTES. Rule 3: no timer per request:
`tick` once a second finds connections that are idle, or whose head or body does not come.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from email.utils import formatdate
from http import HTTPStatus

import httptools

from gateway.errors import RequestTimeout
from gateway.web.door import BODY_TIMEOUT_S, too_large
from gateway.web.exchange import ClientGone, Flow
from gateway.web.handlers import Handlers
from gateway.web.relay import EVENT_STREAM
from gateway.web.surfaces import NoRoute

MAX_HEAD_BYTES = 16 * 1024
MAX_AHEAD_BYTES = 64 * 1024
HEAD_TIMEOUT_S = 30.0
IDLE_S = 75.0
HOT = frozenset({"chat", "native_chat"})  # names of handlers
# What makes a request anything but plain. `te` and `trailer` go with chunked bodies.
ODD = frozenset({b"expect", b"upgrade", b"transfer-encoding", b"content-encoding", b"te", b"trailer"})
STATUS = {s.value: f"HTTP/1.1 {s.value} {s.phrase}\r\nserver: passerelle\r\n".encode() for s in HTTPStatus}


class Lane:
    """What all connections of a listening socket share. `aiohttp` makes the protocol of aiohttp's door."""

    def __init__(
        self,
        handlers: Handlers,
        max_body_bytes: int,
        aiohttp: Callable[[], asyncio.Protocol],
        clock: Callable[[], float],
    ) -> None:
        self.handlers = handlers
        self.max_body_bytes = max_body_bytes
        self.aiohttp = aiohttp
        self.clock = clock
        self.now = clock()
        self.date = b""
        self.draining = False
        self.connections: set[Connection] = set()
        self.tick()

    def __call__(self) -> Connection:
        return Connection(self)

    def tick(self) -> None:
        """Once a second: the date, and connections that have waited too long."""
        self.now = self.clock()
        self.date = f"date: {formatdate(usegmt=True)}\r\n".encode()
        for connection in list(self.connections):
            connection.tick(self.now)

    def drain(self) -> None:
        """Take no further requests: idle connections close now, busy ones after their answer."""
        self.draining = True
        for connection in list(self.connections):
            connection.leave_when_idle()


class Head:
    """A request head as llhttp read it. Implements the parser's callbacks."""

    __slots__ = ("headers", "keep_alive", "length", "method", "odd", "url")

    def __init__(self, raw: bytes) -> None:
        """Raises httptools.HttpParserError for what is no HTTP/1 request."""
        self.headers: dict[bytes, bytes] = {}
        self.url = b""
        self.odd = False
        self.length = -1
        parser = httptools.HttpRequestParser(self)
        try:
            parser.feed_data(raw)
        except httptools.HttpParserUpgrade:
            self.odd = True
        self.method = parser.get_method()
        self.keep_alive = parser.should_keep_alive()
        if parser.get_http_version() != "1.1":
            self.odd = True

    def on_url(self, url: bytes) -> None:
        self.url += url

    def on_header(self, name: bytes, value: bytes) -> None:
        name = name.lower()
        if name in ODD:
            self.odd = True
        elif name == b"content-length":
            self.length = int(value)
        elif name in self.headers:
            return  # the first one counts, as at aiohttp's door
        self.headers[name] = value


class Connection(asyncio.Protocol):
    """One client connection, as long as its requests are hot. It is also the exchange (web.exchange) of the current one."""

    __slots__ = ("_body", "_body_waiter", "_buffer", "_closing", "_flow", "_head", "_lane", "_needed", "_on_closed", "_paused", "_reading", "_since", "_task", "method", "path", "query", "transport")  # fmt: skip

    transport: asyncio.Transport

    def __init__(self, lane: Lane) -> None:
        self._lane = lane
        self._buffer = b""
        self._head: Head | None = None
        self._needed = 0  # bytes of body that the current request has
        self._body: bytes | None = None
        self._body_waiter: asyncio.Future[bytes] | None = None
        self._task: asyncio.Task[None] | None = None
        self._on_closed: Callable[[], None] | None = None
        self._flow: Flow | None = None
        self._since = lane.now  # when the current wait for the client began
        self._closing = False
        self._paused = False
        self._reading = True
        self.method = self.path = self.query = ""

    # ------------------------------------------------------------ the socket

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport  # type: ignore[assignment]
        self._lane.connections.add(self)

    def connection_lost(self, exc: Exception | None) -> None:
        self._lane.connections.discard(self)
        self._closing = True
        callback, self._on_closed = self._on_closed, None
        if callback is not None:
            callback()
        if self._body_waiter is not None and not self._body_waiter.done():
            self._body_waiter.set_exception(ClientGone())

    def data_received(self, data: bytes) -> None:
        self._buffer = self._buffer + data if self._buffer else data
        if self._head is None:
            self._next()
        elif self._body is None:
            self._more_body()
        elif len(self._buffer) > MAX_AHEAD_BYTES and self._reading:
            self._reading = False
            self.transport.pause_reading()

    def eof_received(self) -> bool:
        # A half-closed client may still read its answer; aiohttp closes here too, and so do we.
        return False

    def pause_writing(self) -> None:
        self._paused = True
        if self._flow is not None:
            self._flow.pause()

    def resume_writing(self) -> None:
        self._paused = False
        if self._flow is not None:
            self._flow.resume()

    # ------------------------------------------------------------ requests

    def _next(self) -> None:
        """Begin with the next request if its head is complete."""
        end = self._buffer.find(b"\r\n\r\n")
        if end < 0:
            if len(self._buffer) > MAX_HEAD_BYTES:
                self._hand_over()
            return
        if end > MAX_HEAD_BYTES:
            self._hand_over()
            return
        try:
            head = Head(self._buffer[: end + 4])
        except (httptools.HttpParserError, ValueError):
            self._hand_over()
            return
        if not self._is_hot(head):
            self._hand_over()
            return
        self._begin(head, end + 4)

    def _is_hot(self, head: Head) -> bool:
        if head.odd or head.method != b"POST" or head.length < 0:
            return False
        path, _, query = head.url.partition(b"?")
        if b"%" in path or not path.startswith(b"/"):
            return False
        try:
            self.path = path.decode("ascii")
            self.query = query.decode("ascii")
            return self._lane.handlers.surfaces.match("POST", self.path).route.handler in HOT
        except (NoRoute, UnicodeDecodeError):
            return False

    def _begin(self, head: Head, body_at: int) -> None:
        self._head, self._needed, self.method = head, head.length, "POST"
        self._body = None
        self._buffer = self._buffer[body_at:]
        if len(self._buffer) >= self._needed:
            self._take_body()
        else:
            self._since = self._lane.now
        self._task = asyncio.get_running_loop().create_task(self._serve())

    def _take_body(self) -> None:
        buffer, needed = self._buffer, self._needed
        if len(buffer) == needed:
            self._body, self._buffer = buffer, b""
        else:
            self._body, self._buffer = buffer[:needed], buffer[needed:]

    def _more_body(self) -> None:
        if len(self._buffer) < self._needed:
            if self._needed > self._lane.max_body_bytes:
                self._buffer = b""  # refused already: what still comes is not kept
            return
        self._take_body()
        if self._body_waiter is not None and not self._body_waiter.done():
            self._body_waiter.set_result(self._body or b"")

    async def _serve(self) -> None:
        try:
            await self._lane.handlers.handle(self)
        finally:
            self._task = None
            self._flow = self._on_closed = None
        self._done()

    def _done(self) -> None:
        """The answer is given: on to the next request, or close."""
        head = self._head
        assert head is not None
        whole = self._body is not None
        self._head = self._body = None
        self._since = self._lane.now
        if self._closing or self.transport.is_closing():
            return
        if not (head.keep_alive and whole) or self._lane.draining:
            self.transport.close()
            return
        if not self._reading:
            self._reading = True
            self.transport.resume_reading()
        if self._buffer:
            self._next()

    def _hand_over(self) -> None:
        """aiohttp takes this connection from here, with the bytes of the request that is not for us."""
        self._lane.connections.discard(self)
        protocol = self._lane.aiohttp()
        data, self._buffer = self._buffer, b""
        self.transport.set_protocol(protocol)
        protocol.connection_made(self.transport)
        protocol.data_received(data)

    # ------------------------------------------------------------ time

    def tick(self, now: float) -> None:
        """Close what has waited too long; the answer says so where a request was begun."""
        if self._head is None:
            limit = HEAD_TIMEOUT_S if self._buffer else IDLE_S
            if now - self._since > limit:
                self._closing = True
                self.transport.close()
        elif self._body_waiter is not None and not self._body_waiter.done() and now - self._since > BODY_TIMEOUT_S:
            error = RequestTimeout(f"The body did not arrive within {BODY_TIMEOUT_S:.0f} s.")
            self._body_waiter.set_exception(error)

    def leave_when_idle(self) -> None:
        if self._head is None:
            self.transport.close()

    # ------------------------------------------------------------ the exchange

    def header(self, name: str) -> str | None:
        assert self._head is not None
        value = self._head.headers.get(name.encode())
        return None if value is None else value.decode("utf-8", "surrogateescape")

    async def body(self) -> bytes:
        if self._needed > self._lane.max_body_bytes:
            raise too_large(self._lane.max_body_bytes)
        if self._body is None:
            self._body_waiter = asyncio.get_running_loop().create_future()
            try:
                return await self._body_waiter
            finally:
                self._body_waiter = None
        return self._body

    def answer(self, status: int, headers: bytes, body: bytes) -> None:
        head = self._head
        assert head is not None
        last = (
            b"" if head.keep_alive and self._body is not None and not self._lane.draining else b"connection: close\r\n"
        )
        self.transport.write(
            b"%b%b%b%bcontent-length: %d\r\n\r\n%b" % (STATUS[status], self._lane.date, headers, last, len(body), body)
        )

    def begin(self, status: int, headers: bytes) -> None:
        self.transport.write(b"%b%b%btransfer-encoding: chunked\r\n\r\n" % (STATUS[status], self._lane.date, headers))

    def begin_events(self, headers: bytes) -> None:
        self.begin(200, EVENT_STREAM + headers)

    def write(self, data: bytes) -> None:
        if not self._closing:
            self.transport.write(b"%x\r\n%b\r\n" % (len(data), data))

    def end(self) -> None:
        if not self._closing:
            self.transport.write(b"0\r\n\r\n")

    def cut(self) -> None:
        """Without the last chunk the answer is incomplete, and every client sees that."""
        self._closing = True
        if self._paused:
            self.transport.abort()  # it takes nothing: a close would wait for what it never reads
        else:
            self.transport.close()

    @property
    def closed(self) -> bool:
        return self._closing or self.transport.is_closing()

    def on_closed(self, callback: Callable[[], None] | None) -> None:
        self._on_closed = callback
        if callback is not None and self.closed:
            self._on_closed = None
            callback()

    def flow(self, flow: Flow | None) -> None:
        self._flow = flow
        if flow is not None and self._paused:
            flow.pause()
