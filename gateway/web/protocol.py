"""aiohttp's protocol with our manners: what is no HTTP request is refused in JSON, and quoted nowhere.

aiohttp's own refusal is a text that repeats the bad bytes, and its log line repeats them too, a misspelt credential included.
"""

from __future__ import annotations

import asyncio

from aiohttp import web
from aiohttp.http_exceptions import LineTooLong

from gateway.errors import GatewayError, InternalError, InvalidRequest
from gateway.web.door import refuse
from gateway.web.handlers import Handlers

MAX_LINE_BYTES = 16 * 1024
KEEP_ALIVE_S = 75


class Protocol(web.RequestHandler):
    """One connection of aiohttp's door."""

    __slots__ = ("_handlers",)

    def __init__(self, server: web.Server, handlers: Handlers) -> None:
        super().__init__(
            server,
            loop=asyncio.get_running_loop(),
            access_log=None,  # type: ignore[arg-type]  # the handlers write our own
            max_line_size=MAX_LINE_BYTES,
            max_field_size=MAX_LINE_BYTES,
            keepalive_timeout=KEEP_ALIVE_S,
            auto_decompress=False,  # the exchange does it, within its cap
        )
        self._handlers = handlers

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
