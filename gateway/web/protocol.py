"""aiohttp's protocol with our manners: what is no HTTP request is refused in JSON, and quoted nowhere.

aiohttp's own refusal is a text that repeats the bad bytes, and its log line repeats them too, a misspelt credential included.
"""

from __future__ import annotations

import asyncio

from aiohttp import web
from aiohttp.http_exceptions import LineTooLong

from gateway.errors import GatewayError, InternalError, InvalidRequest
from gateway.web.door import Head, Keeper, refuse
from gateway.web.handlers import Handlers
from gateway.web.patience import HEAD_TIMEOUT_S, IDLE_S, LINGER_S, Unsent

MAX_LINE_BYTES = 16 * 1024


class Protocol(web.RequestHandler, Keeper):
    """One connection of aiohttp's door. It closes when aiohttp would, and where aiohttp would wait for ever (`tick`)."""

    __slots__ = ("_began_at", "_begun", "_handlers", "_last", "_unsent", "head", "kept", "stays")

    def __init__(self, server: web.Server, handlers: Handlers) -> None:
        super().__init__(
            server,
            loop=asyncio.get_running_loop(),
            access_log=None,  # type: ignore[arg-type]  # the handlers write our own
            max_line_size=MAX_LINE_BYTES,
            max_field_size=MAX_LINE_BYTES,
            keepalive_timeout=IDLE_S,
            lingering_time=LINGER_S,
            auto_decompress=False,  # the exchange does it, within its cap
        )
        self._handlers = handlers
        self._unsent = Unsent()
        self._begun = False  # bytes came that made no request: of a body, or of a head if aiohttp waits for one
        self._began_at: float | None = None  # when `tick` first saw such a head
        self._last = False
        self.head: Head | None = None
        self.kept: object = None
        self.stays = (
            False  # it carries a conversation of many requests, which a stopping gateway lets go on (web.socketio)
        )

    def data_received(self, data: bytes) -> None:
        requests = self._request_count
        super().data_received(data)
        self._begun = self._request_count == requests
        if not self._begun:
            self._began_at = None  # the next one has its own time

    @property
    def _idle(self) -> bool:
        """Whether aiohttp waits for a request."""
        return self._waiter is not None and not self._waiter.done()

    async def finish_response(
        self, request: web.BaseRequest, resp: web.StreamResponse, start_time: float | None
    ) -> tuple[web.StreamResponse, bool]:
        """As aiohttp, but the answer is the last one when the gateway stops and the connection does not stay, and when its request
        was not read to the end: what still comes is thrown away (aiohttp's lingering), and is no request."""
        unread = not request.content.is_eof()
        if unread or (self._last and not self.stays):
            resp.force_close()
        self._begun = False
        finished = await super().finish_response(request, resp, start_time)
        if unread and self.transport is not None and not self.transport.is_closing():
            self.transport.write_eof()
        return finished

    def answer_last(self) -> None:
        """The gateway stops: the next answer is the last one."""
        self._last = True

    def leave_when_idle(self) -> None:
        """Close now if nothing is going on here, else after the answer."""
        self._last = True
        if self._idle and not self.stays:
            self.force_close()  # aiohttp's close() would only stop to listen

    def tick(self, now: float) -> None:
        """Once a second: close what does not come to the end of its head, or takes nothing."""
        if self.transport is None:
            return
        if self._unsent.stuck(self.transport.get_write_buffer_size(), now):
            self.transport.abort()
        elif not (self._begun and self._idle):
            self._began_at = None
        elif self._began_at is None:
            self._began_at = now
        elif now - self._began_at > HEAD_TIMEOUT_S:
            self.force_close()

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,
    ) -> web.StreamResponse:
        """The answer to what could not be read, or to a bug outside of the handlers' own border."""
        error: GatewayError
        if status < 500:
            error = _unread(status, exc)
        else:
            error = InternalError("The gateway failed on this request. It has been logged.")
        response = refuse(self._handlers, request, error, bug=exc if status >= 500 else None)
        if request.writer.output_size > 0:
            raise ConnectionError("an answer has begun and can only be cut")
        response.force_close()
        return response


def _unread(status: int, exc: BaseException | None) -> InvalidRequest:
    if isinstance(exc, LineTooLong):
        return InvalidRequest("A line of the request's head is longer than 16 KiB.", status=431)
    return InvalidRequest("What was sent is not a request of HTTP/1.1 as RFC 9112 has it.", status=status)
