"""Socket.IO, namespace /ai/stream, for the stock socket.io-client 4: the same chats as the WebSocket.

    io("/ai/stream", {auth: {token, tenantId, userId}})

The tenant of `auth` must be one the token may act for; without it the token's only tenant is taken. `userId` is what the client
calls its user and goes nowhere: the token says who asks. A refused connection is a connect_error whose `data` has the code.
"""

from __future__ import annotations

import asyncio
import logging
import time
import traceback
from collections.abc import Callable
from typing import Any

import socketio
from aiohttp import web

from gateway.errors import GatewayError
from gateway.web.chats import Chats, Line
from gateway.web.handlers import Handlers
from gateway.web.parting import part
from gateway.web.protocol import Protocol
from gateway.web.websocket import bearer

NAMESPACE = "/ai/stream"
MAX_MESSAGE_BYTES = 1024 * 1024
OF_A_PACKET = ("handler error", "receive error")  # how the library's words end for what came of a client's packet
ENTER_S = 10.0  # for a new connection to say who it is
LAST_WORDS_S = 0.2  # twice, within web.parting's GOODBYE_S


class SocketIoDoor:
    """The Socket.IO server; web.socketio_route brings it requests of aiohttp's."""

    def __init__(self, handlers: Handlers) -> None:
        self._server = socketio.AsyncServer(
            async_mode="aiohttp",
            cors_allowed_origins=[],  # browsers of other origins need the operator's reverse proxy to say so
            max_http_buffer_size=MAX_MESSAGE_BYTES,
            ping_interval=20,
            ping_timeout=20,
            namespaces=[NAMESPACE],
            logger=_logger("socketio.server"),
            engineio_logger=_logger("engineio.server"),
        )
        self._server.eio.disconnect = self._let_go
        self._space = _Namespace(handlers)
        self._server.register_namespace(self._space)
        self._open: set[web.RequestHandler] = set()  # those that poll or hold a WebSocket, whoever they are
        self._closing = False
        self._strangers: dict[str, float] = {}  # connections that have not said yet who they are, and since when

    async def serve(self, request: web.Request) -> web.StreamResponse:
        if self._closing and not self._is_owed(request):  # a poll that began now would be waited for
            return web.Response(status=503)
        self._open.add(request.protocol)
        try:
            response: web.StreamResponse = await self._server.handle_request(request)
        finally:
            self._open.discard(request.protocol)
        if response.status == 200 and isinstance(request.protocol, Protocol):
            request.protocol.stays = True  # the next poll of a client whose chat runs on must find somebody
        return response

    def _is_owed(self, request: web.Request) -> bool:
        """Whether it is a poll for what is still to be said; `_dismiss` ends it."""
        socket = self._server.eio.sockets.get(request.query.get("sid"))
        return request.method == "GET" and socket is not None and not socket.closed

    async def sweep(self) -> None:
        """Once a second: let those go who connected and never say who they are."""
        server, now = self._server, time.monotonic()
        strangers = [eio for eio in server.environ if server.manager.sid_from_eio_sid(eio, NAMESPACE) is None]
        self._strangers = {eio: self._strangers.get(eio, now) for eio in strangers}
        for eio, since in self._strangers.items():
            if now - since > ENTER_S:
                await server.eio.disconnect(eio)

    async def _let_go(self, eio: str) -> None:
        """Instead of the library's own, which waits until the client has fetched its goodbye: for ever when it polls no more."""
        sockets = self._server.eio.sockets
        if eio in sockets:
            await sockets[eio].close(wait=False, reason=self._server.reason.SERVER_DISCONNECT)
            sockets.pop(eio, None)

    async def close(self) -> None:
        """Tell every client that we go, and end their chats and their transports."""
        if self._closing:
            return
        self._closing = True
        await part(self._open, [self._dismiss(eio) for eio in list(self._server.eio.sockets)])
        await self._server.shutdown()

    async def _dismiss(self, eio: str) -> None:
        """End a transport, after all that is still to be sent through it; the library itself would go on holding it open."""
        server, socket = self._server, self._server.eio.sockets[eio]
        sid = server.manager.sid_from_eio_sid(eio, NAMESPACE)
        if sid is not None:  # else it is halfway in
            await self._space.say_all(sid)
            await server.disconnect(sid, namespace=NAMESPACE)
            if not socket.upgraded:  # it polls, and may be between two polls
                await _soon(socket.queue.empty)
        await socket.close(wait=False, reason=server.reason.SERVER_DISCONNECT)
        await socket.queue.put(None)  # ends the poll that waits, or the WebSocket's writer


class _Namespace(socketio.AsyncNamespace):  # type: ignore[misc]
    def __init__(self, handlers: Handlers) -> None:
        super().__init__(NAMESPACE)
        self._handlers = handlers
        self.open: dict[str, Chats] = {}

    async def on_connect(self, sid: str, environ: dict[str, Any], auth: Any = None) -> None:
        given = auth if isinstance(auth, dict) else {}
        token, tenant = given.get("token"), given.get("tenantId")
        try:
            if isinstance(token, str):
                principal = await self._handlers.authenticate(bearer(token), "")
            else:
                principal = await self._handlers.authenticate(_header_of(environ), environ.get("QUERY_STRING", ""))
            tenant, settings = self._handlers.tenant(principal, tenant if isinstance(tenant, str) and tenant else None)
        except GatewayError as error:
            details = {"code": error.code, "status": error.status}
            raise socketio.exceptions.ConnectionRefusedError(error.message, details) from None
        if self.server.manager.eio_sid_from_sid(sid, NAMESPACE) not in self.server.environ:
            raise socketio.exceptions.ConnectionRefusedError(
                "gone"
            )  # it left meanwhile, and nobody would tell us again

        async def send(event: str, payload: dict[str, Any], size: int) -> None:
            await self.emit(event, payload, to=sid)

        self.open[sid] = Chats(self._handlers, principal, tenant, settings, "socketio", Line(send))

    async def say_all(self, sid: str) -> None:
        """Chats that the end of the drain has ended: their clients are told so before they are told to go."""
        chats = self.open.get(sid)
        if chats is not None and self._handlers.pipeline.stopped:
            await _soon(lambda: chats.told)

    async def on_disconnect(self, sid: str, *reason: Any) -> None:
        chats = self.open.pop(sid, None)
        if chats is not None:
            await chats.close()

    async def trigger_event(self, event: str, *args: Any) -> Any:
        """Our events have dots in their names, which no method has; all others go the library's way."""
        if event in ("connect", "disconnect"):
            return await super().trigger_event(event, *args)
        chats = self.open.get(args[0])
        if chats is not None:
            chats.take(event, args[1] if len(args) > 1 else None)
        return None


async def _soon(fact: Callable[[], bool]) -> None:
    """Wait until `fact` is true, for a while."""
    ends_at = time.monotonic() + LAST_WORDS_S
    while not fact() and time.monotonic() < ends_at:
        await asyncio.sleep(0.01)


def _logger(name: str) -> logging.Logger:
    """A logger for the library. Without one it installs a handler of its own, which writes what a client sent as it is, line
    breaks and all, between the lines of our log."""
    logger = logging.getLogger(name)
    logger.addFilter(_tells_of_a_fault)
    return logger


def _tells_of_a_fault(record: logging.LogRecord) -> bool:
    """Only what the library says of an exception: those texts are its own. All its others quote a client's query or packets,
    tell of the client's mistakes, and anyone can cause them without a credential. So can they an exception of a packet that
    the library could not read: it is told where code of ours had part in it."""
    if record.exc_info is None:
        return False
    if not str(record.msg).endswith(OF_A_PACKET):
        return True
    frames = traceback.walk_tb(record.exc_info[2])
    return any(frame.f_globals.get("__name__", "").startswith("gateway.") for frame, _ in frames)


def _header_of(environ: dict[str, Any]) -> Any:
    return lambda name: environ.get("HTTP_" + name.upper().replace("-", "_"))
