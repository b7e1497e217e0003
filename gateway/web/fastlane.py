"""The lean door: HTTP/1.1 for the hot routes, in front of aiohttp on the same socket.

A connection begins here. As long as its requests are plain and hot (POST to a chat route, a body with a length) they are served
here, through the same handlers as aiohttp's. At the first one that is anything else (another path, an upgrade, Expect, chunked or
compressed bodies, a malformed head) the connection goes to aiohttp for good, with all bytes of that request. So there is
one behaviour and one place for every oddity; what differs is only speed.

A request here is not a task: its coroutine is stepped by hand (`Steps`), and goes on in the very callback that brought the answer.
A task costs two turns of the loop and as much time as all of our routing; aiohttp's door has them, and nothing else differs.

Rule 1: a head is complete before anything is decided; llhttp alone says what it means. Rule 2: one request at a time; what a client
sends ahead waits in the buffer, and reading stops when that is more than MAX_AHEAD_BYTES. Rule 3: no timer per request:
`tick` once a second finds connections that are idle, or whose head or body does not come.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from email.utils import formatdate
from http import HTTPStatus
from typing import Any

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
LAST_S = 1.0
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

    async def drain(self) -> None:
        """Take no further requests. What clients are sending at this moment is answered still: a connection that is idle has
        LAST_S before it is closed, since its client cannot know and may just have begun."""
        self.draining = True
        ends_at = self.clock() + LAST_S
        while self.connections and self.clock() < ends_at:
            await asyncio.sleep(0.02)
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


class Steps:
    """Runs one coroutine without a task. What it awaits calls `step` when it is done: at once, or by way of the loop."""

    __slots__ = ("_coroutine", "_ended")

    def __init__(self, coroutine: Coroutine[Any, Any, None], ended: Callable[[], None]) -> None:
        self._coroutine = coroutine
        self._ended = ended

    def step(self, waited_for: object = None) -> None:
        """Go on until the next wait. Futures raise their own exceptions when the coroutine asks for their result."""
        try:
            waiting = self._coroutine.send(None)
        except StopIteration:
            self._ended()
            return
        except asyncio.CancelledError:  # the loop is being closed; handlers let nothing else out
            self._ended()
            return
        if waiting is None:  # asyncio.sleep(0)
            asyncio.get_running_loop().call_soon(self.step)
        else:
            waiting._asyncio_future_blocking = False
            waiting.add_done_callback(self.step)


class Connection(asyncio.Protocol):
    """One client connection, as long as its requests are hot. It is also the exchange (web.exchange) of the current one."""

    __slots__ = ("_body_waiter", "_buffer", "_closing", "_flow", "_head", "_kept_head", "_lane", "_looping", "_needed", "_on_closed", "_paused", "_raw_head", "_reading", "_since", "kept", "method", "path", "query", "ready", "transport")  # fmt: skip

    transport: asyncio.Transport

    def __init__(self, lane: Lane) -> None:
        self._lane = lane
        self._buffer = b""
        self._head: Head | None = None
        self._needed = 0  # bytes of body that the current request has
        self._body_waiter: asyncio.Future[bytes] | None = None
        self._raw_head = b""  # the last head and what it came to: clients send the same one again and again
        self._kept_head: Head | None = None
        self._looping = False
        self.ready: bytes | None = None
        self.kept: object = None
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
        elif self.ready is None:
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
        """Serve the requests whose heads are complete, one after the other, until one has to wait."""
        if self._looping:
            return
        self._looping = True
        while self._head is None and self._buffer and not self._closing:
            if not self._read_head():
                break
        self._looping = False

    def _read_head(self) -> bool:
        """Begin with the request at the front of the buffer; False when its head is not complete, or not for us."""
        buffer = self._buffer
        end = buffer.find(b"\r\n\r\n")
        if end < 0 and len(buffer) <= MAX_HEAD_BYTES:
            return False
        raw = buffer[: end + 4]
        head = self._kept_head
        if head is None or raw != self._raw_head:
            head = self._parse(raw) if 0 <= end <= MAX_HEAD_BYTES else None
            if head is None:
                self._hand_over()
                return False
            self._raw_head, self._kept_head, self.kept = raw, head, None
        self._begin(head, end + 4)
        return True

    def _parse(self, raw: bytes) -> Head | None:
        """The head, when it is one for us."""
        try:
            head = Head(raw)
        except (httptools.HttpParserError, ValueError):
            return None
        if head.odd or head.method != b"POST" or head.length < 0:
            return None
        path, _, query = head.url.partition(b"?")
        if b"%" in path or not path.startswith(b"/"):
            return None
        try:
            self.path, self.query, self.method = path.decode("ascii"), query.decode("ascii"), "POST"
            hot = self._lane.handlers.surfaces.match("POST", self.path).route.handler in HOT
        except (NoRoute, UnicodeDecodeError):
            return None
        return head if hot else None

    def _begin(self, head: Head, body_at: int) -> None:
        self._head, self._needed = head, head.length
        rest = len(self._buffer) - body_at - head.length
        if rest >= 0:
            self.ready = self._buffer[body_at : body_at + head.length]
            self._buffer = self._buffer[body_at + head.length :] if rest else b""
        else:
            self.ready = None
            self._buffer = self._buffer[body_at:]
            self._since = self._lane.now
        Steps(self._lane.handlers.handle(self), self._done).step()

    def _more_body(self) -> None:
        if len(self._buffer) < self._needed:
            if self._needed > self._lane.max_body_bytes:
                self._buffer = b""  # refused already: what still comes is not kept
            return
        self.ready, self._buffer = self._buffer[: self._needed], self._buffer[self._needed :]
        if self._body_waiter is not None and not self._body_waiter.done():
            self._body_waiter.set_result(self.ready)

    def _done(self) -> None:
        """The answer is given: on to the next request, or close."""
        head, whole = self._head, self.ready is not None
        self._flow = self._on_closed = None
        self._head = self.ready = None
        self._since = self._lane.now
        if self._closing or self.transport.is_closing():
            return
        if head is None or not (head.keep_alive and whole) or self._lane.draining:
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
        if self.ready is None:
            self._body_waiter = asyncio.get_running_loop().create_future()
            try:
                return await self._body_waiter
            finally:
                self._body_waiter = None
        return self.ready

    def answer(self, status: int, headers: bytes, body: bytes) -> None:
        head = self._head
        assert head is not None
        last = (
            b"" if head.keep_alive and self.ready is not None and not self._lane.draining else b"connection: close\r\n"
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
        if callback is not None and self._closing:
            self._on_closed = None
            callback()

    def flow(self, flow: Flow | None) -> None:
        self._flow = flow
        if flow is not None and self._paused:
            flow.pause()
