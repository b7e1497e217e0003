"""GET {base}/stream: native chats over a WebSocket, several at once on one socket. Frames are {"event", "data"} as text.

The credential comes as a header, as ?token=, or in a first frame {"event": "auth", "data": {"token"}}. Close codes: 4401 no or
bad credential, 4403 wrong tenant, 4408 no first frame in time, 1009 a frame over 1 MiB.
Rule 1: each chat is admitted, limited and settled by the pipeline like any other call. Rule 2: closing the socket cancels them.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec
import orjson
from aiohttp import WSMsgType, web

from gateway.errors import GatewayError, InvalidApiKey, InvalidJson, InvalidRequest, TenantForbidden
from gateway.settings import Tenant
from gateway.web.auth import Principal
from gateway.web.chats import Chats, Line
from gateway.web.door import refuse
from gateway.web.handlers import Handlers
from gateway.web.parting import part

MAX_MESSAGE_BYTES = 1024 * 1024
FIRST_FRAME_S = 10.0
PING_S = 20.0


class Frame(msgspec.Struct):
    event: str
    data: dict[str, Any] = {}


_DECODE = msgspec.json.Decoder(Frame).decode


class WebSocketDoor:
    """The aiohttp handler of the socket's path."""

    def __init__(self, handlers: Handlers) -> None:
        self._handlers = handlers
        self.open: dict[web.RequestHandler, web.WebSocketResponse] = {}

    async def __call__(self, request: web.Request) -> web.StreamResponse:
        # aiohttp refuses what reaches its limit, we what is above ours.
        socket = web.WebSocketResponse(heartbeat=PING_S, max_msg_size=MAX_MESSAGE_BYTES + 1, compress=False)
        if not socket.can_prepare(request).ok:
            return refuse(self._handlers, request, upgrade_required())
        await socket.prepare(request)
        self.open[request.protocol] = socket
        try:
            entered = await self._enter(request, socket)
            if entered is not None:
                await self._converse(socket, *entered)
        finally:
            del self.open[request.protocol]
        return socket

    async def close(self) -> None:
        """Going away: every client is told so."""
        sockets = list(self.open.values())
        await part(self.open, (socket.close(code=1001, message=b"the gateway is stopping") for socket in sockets))

    async def _enter(self, request: web.Request, socket: web.WebSocketResponse) -> tuple[Principal, str, Tenant] | None:
        handlers = self._handlers
        try:
            header = request.headers.get
            if not any(header(name) for name in ("authorization", "x-api-key", "x-goog-api-key", "api-key")):
                token = request.query.get("token") or request.query.get("key") or await self._first_frame(socket)
                principal = await handlers.authenticate(bearer(token), "")
            else:
                principal = await handlers.authenticate(lambda name: header(name), "")
            tenant, settings = handlers.tenant(principal, request.match_info.get("tenant"))
        except TimeoutError:
            await socket.close(code=4408, message=b"no auth frame in time")
        except TenantForbidden as error:
            await socket.close(code=4403, message=error.message.encode()[:120])
        except (InvalidApiKey, InvalidRequest) as error:
            await socket.close(code=4401, message=error.message.encode()[:120])
        else:
            return principal, tenant, settings
        return None

    async def _first_frame(self, socket: web.WebSocketResponse) -> str:
        message = await socket.receive(timeout=FIRST_FRAME_S)
        try:
            frame = _DECODE(message.data) if message.type is WSMsgType.TEXT else None
        except (msgspec.DecodeError, RecursionError):
            frame = None
        token = frame.data.get("token") if frame is not None and frame.event == "auth" else None
        if not isinstance(token, str):
            raise InvalidApiKey(
                'Send a credential as a header, as ?token=, or first {"event":"auth","data":{"token":…}}.'
            )
        return token

    async def _converse(
        self, socket: web.WebSocketResponse, principal: Principal, tenant: str, settings: Tenant
    ) -> None:
        async def send(event: str, payload: dict[str, Any], size: int) -> None:
            try:
                await socket.send_str(orjson.dumps({"event": event, "data": payload}).decode())
            except (ConnectionError, RuntimeError):
                return  # closed: the reading side sees it and ends the conversation

        line = Line(send)
        chats = Chats(self._handlers, principal, tenant, settings, "websocket", line)
        try:
            async for message in socket:
                if message.type is not WSMsgType.TEXT:
                    line.put("chat.error", {"requestId": None, "error": _plain("Frames are text.", "invalid_request")})
                    continue
                self._take(chats, line, message.data)
        finally:
            await chats.close()

    def _take(self, chats: Chats, line: Line, text: str) -> None:
        try:
            frame = _DECODE(text)
        except (msgspec.DecodeError, RecursionError):
            error: GatewayError = InvalidJson('A frame is a JSON object {"event": "...", "data": {...}}.')
            line.put("chat.error", {"requestId": None, "error": _plain(error.message, error.code or "")})
            return
        if frame.event == "ping":
            line.put("pong", {})
        elif frame.event != "auth":
            chats.take(frame.event, frame.data)


def upgrade_required() -> InvalidRequest:
    message = "This path is a WebSocket: connect with an Upgrade."
    return InvalidRequest(message, code="upgrade_required", status=426, headers={"upgrade": "websocket"})


def bearer(token: str) -> Callable[[str], str | None]:
    """A credential given apart from headers, as the one header lookup that authentication asks."""
    return lambda name: f"Bearer {token}" if name == "authorization" else None


def _plain(message: str, code: str) -> dict[str, Any]:
    return {"message": message, "type": "invalid_request_error", "param": None, "code": code}
