"""The lean door: HTTP/1.1 for the hot routes, in front of aiohttp on the same socket.

A connection begins here. As long as its requests are plain and hot (POST to a chat route, a body with a length) they are served
here, through the same handlers as aiohttp's. At the first one that is anything else (another path, an upgrade, Expect, chunked or
compressed bodies, a malformed head) the connection goes to aiohttp for good, with all bytes of that request. So there is
one behaviour and one place for every oddity; what differs is only speed.

A request here is not a task: its coroutine is stepped by hand (web.steps), and goes on in the very callback that brought the answer.
aiohttp's door has tasks, and nothing else differs.

Rule 1: a head is complete before anything is decided; llhttp alone says what it means. Rule 2: one request at a time; what a client
sends ahead waits in the buffer, and reading stops when that is more than MAX_AHEAD_BYTES. Nothing is served to a client that does
not take what it was served before. Rule 3: no timer per request: `tick` once a second finds connections that are idle, whose head or
body does not come, or who take nothing. Rule 4: once an answer said that it is the last, no further byte is a request.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from email.utils import formatdate

from gateway.errors import RequestTimeout
from gateway.upstream.round import Round
from gateway.web.door import BODY_TIMEOUT_S, too_large
from gateway.web.exchange import ClientGone, Flow
from gateway.web.farewell import Farewell
from gateway.web.handlers import Handlers
from gateway.web.lanewriter import LaneWriter
from gateway.web.patience import HEAD_TIMEOUT_S, IDLE_S, Unsent
from gateway.web.plainhead import MAX_HEAD_BYTES, Head, Mould, may_become_plain, read_plain
from gateway.web.spoken import CALLS
from gateway.web.steps import Steps
from gateway.web.surfaces import NoRoute

MAX_AHEAD_BYTES = 64 * 1024
MAX_IN_A_ROW = 16  # requests of one client that are served before others have their turn
HOT = frozenset(CALLS)  # names of handlers


class Lane:
    """What all connections of a listening socket share. `aiohttp` makes the protocol of aiohttp's door."""

    def __init__(
        self,
        handlers: Handlers,
        max_body_bytes: int,
        aiohttp: Callable[[], asyncio.Protocol],
        clock: Callable[[], float],
        round_: Round,
    ) -> None:
        self.round = round_
        self.handlers = handlers
        self.max_body_bytes = max_body_bytes
        self.aiohttp = aiohttp
        self.clock = clock
        self.now = clock()
        self.date = b""
        self.draining = False
        self.connections: set[Connection | Farewell] = set()
        self.tick()

    def __call__(self) -> Connection:
        return Connection(self)

    def tick(self) -> None:
        """Once a second: the date, and connections that have waited too long."""
        self.now = self.clock()
        self.date = f"date: {formatdate(usegmt=True)}\r\n".encode()
        for connection in list(self.connections):
            connection.tick(self.now)

    def close(self) -> None:
        """The gateway stops: what is still connected is cut off."""
        for connection in list(self.connections):
            connection.transport.abort()


class Connection(LaneWriter):
    """One client connection, as long as its requests are hot. It is also the exchange (web.exchange) of the current one."""

    __slots__ = ("_arriving", "_body_waiter", "_buffer", "_flow", "_handlers", "_looping", "_mould", "_needed", "_on_closed", "_paused", "_reading", "_since", "_take", "_unsent", "kept", "method", "path", "query")  # fmt: skip

    _lane: Lane

    def __init__(self, lane: Lane) -> None:
        super().__init__(lane)
        self._handlers, self._take = lane.handlers, lane.handlers.express.take
        self._buffer = b""
        self._arriving: bytearray | None = None  # a body on its way
        self._needed = 0  # bytes of body that the current request has
        self._body_waiter: asyncio.Future[bytes] | None = None
        self._mould: Mould | None = None  # of the last head: clients send the same one again and again
        self._looping = False
        self.kept: object = None
        self._on_closed: Callable[[], None] | None = None
        self._flow: Flow | None = None
        self._since = lane.now  # when the current wait for the client began
        self._unsent = Unsent()
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
        if self._head is None:
            if not self._buffer and self._comes_again(data):
                return
            if self._buffer:
                self._buffer += data
            else:
                self._buffer, self._since = data, self._lane.now
            self._next()
        elif self._arriving is not None:
            self._more_body(data)
        else:
            self._buffer += data
        if len(self._buffer) > MAX_AHEAD_BYTES:
            self._stop_reading()

    def _comes_again(self, data: bytes) -> bool:
        """Serve what is exactly one request with the head of the one before, as busy clients send them."""
        mould = self._mould
        body_at = 0 if mould is None else mould.fits(data)
        if not body_at or self._looping or self._closing or self._paused:
            return False
        head = mould.head  # type: ignore[union-attr]
        length = head.length
        if len(data) != body_at + length or length > self._lane.max_body_bytes:
            return False
        self._head, self._needed, self._since = head, length, self._lane.now
        self.ready = data[body_at:]
        self._serve()
        return True

    def eof_received(self) -> bool:
        # A client that only closed its sending side could still read, but until something is written to it TCP does not tell it
        # from one that is gone: and the work for that one must stop now. aiohttp closes here too.
        return False

    def pause_writing(self) -> None:
        self._paused = True
        if self._flow is not None:
            self._flow.pause()

    def resume_writing(self) -> None:
        self._paused = False
        if self._flow is not None:
            self._flow.resume()
        self._next()

    # ------------------------------------------------------------ requests

    def _next(self) -> None:
        """Serve the requests whose heads are complete, one after the other, until one has to wait."""
        if self._looping:
            return
        self._looping = True
        turns = 0
        while self._head is None and self._buffer and not self._closing and not self._paused:
            if turns == MAX_IN_A_ROW:
                asyncio.get_running_loop().call_soon(self._next)
                break
            turns += 1
            if not self._read_head():
                break
        self._looping = False
        if not self._reading and len(self._buffer) <= MAX_AHEAD_BYTES:
            self._read_on()

    def _stop_reading(self) -> None:
        if self._reading:
            self._reading = False
            self.transport.pause_reading()

    def _read_on(self) -> None:
        if not self._reading and not self._closing:
            self._reading = True
            self.transport.resume_reading()

    def _read_head(self) -> bool:
        """Begin with the request at the front of the buffer; False when its head is not complete, or not for us."""
        buffer = self._buffer
        end = buffer.find(b"\r\n\r\n")
        if end < 0 and len(buffer) <= MAX_HEAD_BYTES and may_become_plain(buffer):
            return False
        if self._mould is None or self._mould.fits(buffer) != end + 4:
            head = self._hot(buffer[: end + 4]) if 0 <= end <= MAX_HEAD_BYTES else None
            if head is None:
                self._hand_over()
                return False
            self._mould, self.kept = Mould(buffer[: end + 4], head), None
        self._begin(self._mould.head, end + 4)
        return True

    def _hot(self, raw: bytes) -> Head | None:
        """The head, when it is one for us."""
        head = read_plain(raw)
        if head is None:
            return None
        try:
            hot = self._lane.handlers.surfaces.match("POST", head.path).route.handler in HOT
        except NoRoute:
            return None
        self.path, self.query, self.method = head.path, head.query, "POST"
        return head if hot else None

    def _begin(self, head: Head, body_at: int) -> None:
        self._head, self._needed = head, head.length
        rest = len(self._buffer) - body_at - head.length
        if rest >= 0 and head.length <= self._lane.max_body_bytes:
            self.ready = self._buffer[body_at : body_at + head.length]
            self._buffer = self._buffer[body_at + head.length :] if rest else b""
        else:
            self.ready = None
            self._arriving, self._buffer = bytearray(self._buffer[body_at:]), b""
            self._since = self._lane.now
        self._serve()

    def _serve(self) -> None:
        try:
            taken = self._take(self)
        except BaseException:  # a bug: nobody would ever answer this request; the loop reports it
            self.failed()
            raise
        if not taken:
            Steps(self._handlers.handle(self), self).step()

    def _more_body(self, data: bytes) -> None:
        """Some more of the body. While no handler asks for it, not much more than MAX_AHEAD_BYTES is read."""
        body = self._arriving
        assert body is not None
        body += data
        if len(body) >= self._needed <= self._lane.max_body_bytes:
            with memoryview(body) as view:
                self.ready, self._buffer = bytes(view[: self._needed]), bytes(view[self._needed :])
            self._arriving = None
            if self._body_waiter is not None and not self._body_waiter.done():
                self._body_waiter.set_result(self.ready)
        elif self._body_waiter is None and len(body) > MAX_AHEAD_BYTES:
            self._stop_reading()

    def done(self) -> None:
        """The answer is given: on to the next request, or close."""
        head, whole = self._head, self.ready is not None
        self._flow = self._on_closed = None
        self._head = self.ready = self._arriving = None
        self._since = self._lane.now
        if self._closing or self.transport.is_closing():
            return
        if head is None or not (head.keep_alive and whole) or self._lane.draining:
            self._leave(whole)
        elif self._buffer or not self._reading:
            self._next()

    def failed(self) -> None:
        """Nobody knows what became of this request: what was answered, if anything, must not look complete."""
        self._head = self.ready = None
        self._closing = True
        self.transport.abort()

    def _leave(self, whole: bool) -> None:
        """Close; a client that is still sending has time to read why."""
        silent, self._buffer = whole and not self._buffer and self._reading, b""
        self.flush()
        self._read_on()
        self._closing = True
        if silent:
            self.transport.close()
        else:
            self._lane.connections.discard(self)
            Farewell(self._lane.connections, self.transport, self._lane.now)

    def _hand_over(self) -> None:
        """aiohttp takes this connection from here, with the bytes of the request that is not for us."""
        self._read_on()
        self.flush()
        self._lane.connections.discard(self)
        protocol = self._lane.aiohttp()
        data, self._buffer = self._buffer, b""
        self.transport.set_protocol(protocol)
        protocol.connection_made(self.transport)
        protocol.data_received(data)

    # ------------------------------------------------------------ time

    def tick(self, now: float) -> None:
        """Close what has waited too long; the answer says so where a request was begun."""
        self.flush()
        unsent = self.transport.get_write_buffer_size()
        if self._unsent.stuck(unsent, now):
            self.transport.abort()
        elif self._head is None:
            if unsent:
                self._since = now  # still busy with its answer
            elif now - self._since > (HEAD_TIMEOUT_S if self._buffer else IDLE_S):
                self._closing = True
                self.transport.close()
        elif self._body_waiter is not None and not self._body_waiter.done() and now - self._since > BODY_TIMEOUT_S:
            error = RequestTimeout(f"The body did not arrive within {BODY_TIMEOUT_S:.0f} s.")
            self._body_waiter.set_exception(error)

    def leave_when_idle(self) -> None:
        if self._head is None:
            self.flush()
            self._closing = True
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
            self._since = self._lane.now
            self._read_on()
            try:
                return await self._body_waiter
            finally:
                self._body_waiter = None
        return self.ready

    def cut(self) -> None:
        """Without the last chunk the answer is incomplete, and every client sees that."""
        self._closing = True
        self.flush()
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
