"""aiohttp's door: every request that comes through aiohttp becomes an exchange for the handlers.

aiohttp writes with coroutines and our handlers do not: what they write to a stream is kept in order and a pump, one task per
stream, hands it to aiohttp. When more than HIGH_BYTES wait, the upstream is paused until few remain. A whole answer needs no
pump. When the client leaves, aiohttp cancels the handler's task; `closed` tells the pipeline that this is why.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable

from aiohttp import HttpVersion10, HttpVersion11, hdrs, web
from aiohttp.http_exceptions import HttpProcessingError
from aiohttp_sse import EventSourceResponse

from gateway.errors import GatewayError, InvalidRequest, NotFound, RequestTimeout, RequestTooLarge
from gateway.web.exchange import ClientGone, Flow
from gateway.web.handlers import Handlers
from gateway.web.inflate import Inflater
from gateway.web.relay import EVENT_STREAM

Head = tuple[str, list[tuple[bytes, bytes]]]
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

BODY_TIMEOUT_S = 60.0
HIGH_BYTES = 256 * 1024
LOW_BYTES = 64 * 1024
PING_S = 15.0
STUCK_S = 30.0


class Keeper:
    """What a connection of aiohttp's remembers of its last request (web.kept): `kept` is what `head` came to."""

    __slots__ = ()

    head: Head | None
    kept: object


class AiohttpExchange:
    """An Exchange (web.exchange) over one aiohttp request."""

    def __init__(self, request: web.BaseRequest, max_body_bytes: int) -> None:
        self.method = request.method
        self.path = request.path
        self.query = request.rel_url.raw_query_string
        self.ready: bytes | None = None
        self.kept: object = None
        self.response: web.StreamResponse | None = None
        self._request = request
        self._max_body_bytes = max_body_bytes
        self._flow: Flow | None = None
        self._paused = False
        self._waiting: deque[bytes] = deque()
        self._waiting_bytes = 0
        self._wake = asyncio.Event()
        self._over = False
        self._cut = False
        self._on_closed: Callable[[], None] | None = None
        self._ended: asyncio.Future[None] | None = None
        self.pump: asyncio.Task[None] | None = None

    def header(self, name: str) -> str | None:
        return self._request.headers.get(name)

    async def body(self) -> bytes:
        if self.ready is not None:
            return self.ready
        length = self._request.content_length
        if length is not None and length > self._max_body_bytes:
            raise too_large(self._max_body_bytes)
        try:
            async with asyncio.timeout(BODY_TIMEOUT_S):
                return await self._read()
        except TimeoutError:
            raise RequestTimeout(f"The body did not arrive within {BODY_TIMEOUT_S:.0f} s.") from None
        except (ConnectionError, asyncio.IncompleteReadError):
            raise ClientGone from None
        except (web.HTTPException, web.RequestPayloadError, HttpProcessingError, ValueError) as error:
            raise InvalidRequest(f"The body could not be read: {type(error).__name__}.") from None

    async def _read(self) -> bytes:
        encoding = self._request.headers.get(hdrs.CONTENT_ENCODING, "").lower()
        inflater = Inflater(encoding) if encoding not in ("", "identity") else None
        parts, room = [], self._max_body_bytes
        async for data in self._request.content.iter_any():
            part = data if inflater is None else inflater.feed(data, room)
            room -= len(part)
            if room < 0:
                raise too_large(self._max_body_bytes)
            parts.append(part)
        if inflater is not None:
            inflater.end()
        return b"".join(parts)

    def answer(self, status: int, headers: bytes, body: bytes) -> None:
        self.response = web.Response(status=status, body=body)
        _copy(headers, self.response)

    def begin(self, status: int, headers: bytes) -> None:
        self.response = web.StreamResponse(status=status)
        _copy(headers, self.response)
        self.pump = asyncio.ensure_future(self._pump(self.response))

    def begin_events(self, headers: bytes) -> None:
        response = EventSourceResponse(allow_all_methods=True, sep="\n", ping_interval=PING_S, send_timeout=STUCK_S)
        response.headers.clear()  # its own are a little different, and say keep-alive to those who want to close
        _copy(EVENT_STREAM + headers, response)
        self.response = response
        self.pump = asyncio.ensure_future(self._pump(response))

    def write(self, data: bytes) -> None:
        self._waiting.append(data)
        self._waiting_bytes += len(data)
        self._wake.set()
        if self._waiting_bytes > HIGH_BYTES and not self._paused and self._flow is not None:
            self._paused = True
            self._flow.pause()

    def end(self) -> None:
        self._over = True
        self._wake.set()

    def cut(self) -> None:
        self._over = self._cut = True
        self._wake.set()
        if self._paused and self._request.transport is not None:
            self._request.transport.abort()  # it takes nothing: a close would wait for what it never reads

    @property
    def closed(self) -> bool:
        transport = self._request.transport
        return transport is None or transport.is_closing()

    def on_closed(self, callback: Callable[[], None] | None) -> None:
        """For a call on the express alone (`ended`): the long way runs in the handler's task, which aiohttp cancels."""
        self._on_closed = callback

    def flow(self, flow: Flow | None) -> None:
        self._flow = flow

    def done(self) -> None:
        if self._ended is not None and not self._ended.done():
            self._ended.set_result(None)

    def failed(self) -> None:
        """Nobody knows what became of this request: what was answered, if anything, must not look complete."""
        if self._request.transport is not None:
            self._request.transport.abort()
        self.done()

    # ------------------------------------------------ aiohttp's side

    def take_what_is_there(self) -> None:
        """The body is `ready` when it has come with its head, as it is."""
        request, content = self._request, self._request.content
        length = request.content_length
        whole = length is not None and length <= self._max_body_bytes and content.is_eof()
        if whole and hdrs.CONTENT_ENCODING not in request.headers and content.exception() is None:
            self.ready = content.read_nowait()

    async def ended(self) -> None:
        """Wait until a call that the express took is answered. The task is cancelled when the client leaves."""
        if self.response is not None:
            return
        self._ended = asyncio.get_running_loop().create_future()
        try:
            await self._ended
        except asyncio.CancelledError:
            callback, self._on_closed = self._on_closed, None
            if callback is not None:
                callback()
            raise

    async def _pump(self, response: web.StreamResponse) -> None:
        try:
            await response.prepare(self._request)
            await self._carry(response)
            if self._cut:
                self._close()
            else:
                await response.write_eof()
        except ConnectionError:
            self._waiting.clear()  # the client left; the handler hears it by itself
        finally:
            if isinstance(response, EventSourceResponse) and response.prepared:
                response.stop_streaming()

    async def _carry(self, response: web.StreamResponse) -> None:
        while not self._over or self._waiting:
            if not self._waiting:
                self._wake.clear()
                await self._wake.wait()
                continue
            data = b"".join(self._waiting)
            self._waiting.clear()
            await response.write(data)
            self._waiting_bytes -= len(data)
            if self._paused and self._waiting_bytes < LOW_BYTES:
                self._paused = False
                if self._flow is not None:
                    self._flow.resume()

    def _close(self) -> None:
        """Close the connection without the ending that would make the answer look complete. What was written still goes out."""
        if self._request.transport is not None:
            self._request.transport.close()


class Door:
    """The aiohttp handler behind every path."""

    def __init__(self, handlers: Handlers, max_body_bytes: int) -> None:
        self._handlers = handlers
        self._max_body_bytes = max_body_bytes

    async def __call__(self, request: web.Request) -> web.StreamResponse:
        exchange = AiohttpExchange(request, self._max_body_bytes)
        keeper, head = request.protocol, _head_of(request) if request.method == "POST" else None
        if head is not None and isinstance(keeper, Keeper) and keeper.head == head and keeper.kept is not None:
            exchange.kept = keeper.kept
            exchange.take_what_is_there()
        try:
            if exchange.ready is not None and self._handlers.express.take(exchange):
                await exchange.ended()
            else:
                await self._handlers.handle(exchange)
            if head is not None and isinstance(keeper, Keeper):
                keeper.head, keeper.kept = head, exchange.kept
            if exchange.pump is not None and not exchange.closed:  # a client that left is owed no ending
                await exchange.pump
        finally:
            if exchange.pump is not None:
                exchange.pump.cancel()
        return exchange.response or web.Response(status=499)

    async def expect(self, request: web.Request) -> web.StreamResponse | None:
        """Answer an Expect header before the body comes. Source: RFC 9110, section 10.1.1."""
        if request.headers[hdrs.EXPECT].lower() != "100-continue":
            refusal = InvalidRequest("The only expectation that is understood is 100-continue.", status=417)
            return refuse(self._handlers, request, refusal)
        await request.writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        request.writer.output_size = 0  # an interim answer is none: the real one can still be an error
        return None

    @web.middleware
    async def missing(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """What no path of the application takes (CONNECT, OPTIONS *) is refused as any other unknown path, and what aiohttp
        should not have taken as what it is."""
        if (refusal := _malformed(request)) is not None:
            answer = refuse(self._handlers, request, refusal)
            answer.force_close()
            return answer
        try:
            return await handler(request)
        except web.HTTPNotFound:
            return refuse(self._handlers, request, NotFound("Nothing is served there."))


def _head_of(request: web.Request) -> Head:
    """What a request is, but for the length of its body."""
    lines = [line for line in request.raw_headers if line[0].lower() != b"content-length"]
    return request._message.path, lines


def _malformed(request: web.Request) -> GatewayError | None:
    """Why this is no request of HTTP/1, although aiohttp reads it as one. Source: RFC 9112, sections 2.3 and 6.1."""
    if request._message.version not in (HttpVersion10, HttpVersion11):
        request._version = HttpVersion11  # aiohttp would answer in the client's own
        return InvalidRequest("HTTP/1.1 and HTTP/1.0 are spoken here.", status=505)
    if hdrs.TRANSFER_ENCODING in request.headers and hdrs.CONTENT_LENGTH in request.headers:
        # aiohttp lets an empty Transfer-Encoding pass. A proxy before us that went by the other one would let a second
        # request through in the body of the first.
        return InvalidRequest("A request has either a Content-Length or a Transfer-Encoding.")
    if request.headers.get(hdrs.TRANSFER_ENCODING, "chunked").strip().lower() != "chunked":
        # aiohttp takes `gzip, chunked` for chunked alone, and hands us what nobody unzipped.
        return InvalidRequest("The only transfer coding that is understood is chunked.", status=501)
    if hdrs.TRANSFER_ENCODING in request.headers and request.version == HttpVersion10:
        return InvalidRequest("HTTP/1.0 has no Transfer-Encoding.")
    return None


def refuse(
    handlers: Handlers, request: web.BaseRequest, error: GatewayError, bug: BaseException | None = None
) -> web.StreamResponse:
    """The answer to a request that goes no further than this door."""
    exchange = AiohttpExchange(request, 0)
    handlers.refuse(exchange, error, bug)
    assert exchange.response is not None
    return exchange.response


def too_large(limit_bytes: int) -> RequestTooLarge:
    return RequestTooLarge(
        f"The body is larger than {limit_bytes / 1_000_000:g} MB, which is the most this gateway takes "
        "(server.max_body_mb)."
    )


def _copy(headers: bytes, response: web.StreamResponse) -> None:
    response.headers[hdrs.SERVER] = "passerelle"  # versions of what we are built of are nobody's business
    for line in headers.decode("latin-1").split("\r\n"):
        if line:
            name, _, value = line.partition(": ")
            response.headers.add(name, value)
