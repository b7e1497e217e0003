"""Chats on a socket: what WebSocket and Socket.IO share. One connection, many native streams, each through the pipeline.

Client -> chat.stream.start, chat.stream.stop. Server -> chat.start, chat.chunk, chat.complete, chat.error.
Rule 1: a chat is a call like any other: admitted under what holds when it begins, limited, settled. Rule 2: when the connection closes, its chats are over.
Rule 3: nothing waits for a slow socket; its chats' upstreams are paused while more than HIGH_BYTES are on their way out.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import orjson
from msgspec import structs

from gateway.call import Call, Flow, Terms, Trail
from gateway.dialects.native import NATIVE, NativeExtras, NativeStream
from gateway.errors import (
    ConcurrencyExceeded,
    GatewayError,
    InvalidApiKey,
    InvalidJson,
    InvalidRequest,
    TenantForbidden,
)
from gateway.settings import Tenant
from gateway.types import BadRequest, Echo, Event, Reply
from gateway.web.auth import FORBIDDEN, Principal
from gateway.web.handlers import Handlers
from gateway.web.native import echo_of, extras_of

MAX_CHATS = 100
MAX_ID_CHARS = 128
HIGH_BYTES = 256 * 1024
LOW_BYTES = 32 * 1024

Send = Callable[[str, dict[str, Any], int], Awaitable[None]]  # event, payload, its size in bytes


class Line:
    """What goes out on one socket, in order: callbacks leave it here, one task carries it."""

    def __init__(self, send: Send) -> None:
        self._send = send
        self._waiting: list[tuple[str, dict[str, Any], int]] = []
        self._bytes = 0
        self._wake = asyncio.Event()
        self._flows: set[Flow] = set()
        self._paused = False
        self._task = asyncio.ensure_future(self._carry())

    def put(self, event: str, payload: dict[str, Any]) -> None:
        delta = payload.get("chunk")
        size = 64 + (len(delta["delta"]) if isinstance(delta, dict) else 512)
        self._waiting.append((event, payload, size))
        self._bytes += size
        self._wake.set()
        if self._bytes > HIGH_BYTES and not self._paused:
            self._paused = True
            for flow in self._flows:
                flow.pause()

    def add(self, flow: Flow) -> None:
        self._flows.add(flow)
        if self._paused:
            flow.pause()

    def remove(self, flow: Flow | None) -> None:
        if flow is not None:
            self._flows.discard(flow)

    @property
    def empty(self) -> bool:
        """Whether all that was put here has been sent."""
        return not self._bytes

    def close(self) -> None:
        self._task.cancel()

    async def _carry(self) -> None:
        while True:
            await self._wake.wait()
            self._wake.clear()
            waiting, self._waiting = self._waiting, []
            for event, payload, size in waiting:
                await self._send(event, payload, size)
                self._bytes -= size
            if self._paused and self._bytes < LOW_BYTES:
                self._paused = False
                for flow in list(self._flows):
                    flow.resume()


class Chats:
    """The chats of one connection."""

    def __init__(
        self, handlers: Handlers, principal: Principal, tenant: str, settings: Tenant, surface: str, line: Line
    ) -> None:
        self._handlers = handlers
        self._line = line
        self._expires_at = principal.expires_at
        self._authenticator = handlers.authenticator
        self._routes = handlers.pipeline.routes
        self._terms = Terms(
            surface=surface,
            dialect=NATIVE,
            tenant=tenant,
            settings=settings,
            limits=self._routes.limits_of(tenant),
            user=principal.user,
            key=principal.key_name,
            method="WS",
            path=f"/{surface}",
        )
        self._running: dict[str, SocketOutlet] = {}  # by requestId; a chat that was stopped has its id no more
        self._tasks: set[asyncio.Task[None]] = set()

    def take(self, event: str, payload: Any) -> None:
        """One message of the client. What is wrong with it is answered with chat.error, never raised."""
        asked = payload.get("requestId") if isinstance(payload, dict) else None
        try:
            if not isinstance(payload, dict):
                raise InvalidRequest("The event's data must be an object.")
            if event == "chat.stream.start":
                self._start(payload)
            elif event == "chat.stream.stop":
                self._stop(payload)
            else:
                raise InvalidRequest(f"Unknown event {event[:60]!r}. There are chat.stream.start and chat.stream.stop.")
        except BadRequest as bad:
            kind = InvalidJson if bad.code == "invalid_json" else InvalidRequest
            self._refuse(asked, kind(bad.message, param=bad.param, code=bad.code))
        except GatewayError as error:
            self._refuse(asked, error)

    async def close(self) -> None:
        """The connection is gone: every chat ends, and is settled."""
        for outlet in self._running.values():
            outlet.leave()
        try:
            if self._tasks:
                await asyncio.wait(self._tasks, timeout=5)
        finally:
            self._line.close()  # also when we are cancelled here: who says goodbye may hang up at once

    @property
    def told(self) -> bool:
        """Whether every chat has ended and its client has been sent all of it."""
        return not self._tasks and self._line.empty

    def _start(self, payload: dict[str, Any]) -> None:
        p, serial = self._handlers.pipeline, self._handlers.ids.serial()
        name = payload.get("requestId")
        if name is not None and (not isinstance(name, str) or not 0 < len(name) <= MAX_ID_CHARS):
            raise InvalidRequest("'requestId' must be a text of at most 128 characters.", param="requestId")
        name = name or f"req_{serial}"
        if name in self._running:
            raise InvalidRequest("A chat with this requestId is still running.", param="requestId")
        if len(self._tasks) >= MAX_CHATS:
            raise ConcurrencyExceeded(f"At most {MAX_CHATS} chats run on one connection.", retry_after_s=1)
        try:
            body = orjson.dumps({**payload, "stream": True})
        except TypeError as error:  # binary attachments, numbers beyond 64 bits, half of a surrogate pair
            raise InvalidRequest(f"The event's data must be plain JSON: {error}.") from None
        call = Call(f"req_{serial}", serial, self._terms_now(p.wall()), body, NATIVE.peek(body), p.wall(), p.clock())
        outlet = SocketOutlet(call, name, self._line, p.clock)
        self._handlers.take_room()
        self._running[name] = outlet
        task = asyncio.ensure_future(self._run(call, outlet, name))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def _terms_now(self, now: float) -> Terms:
        """What holds for the next chat: the token may have ended since the last one (`now` is unix seconds), and a reload may have
        changed the keys, the tenant and its limits. Raises InvalidApiKey or TenantForbidden."""
        if self._handlers.authenticator is not self._authenticator or (self._expires_at or now) < now:
            raise InvalidApiKey("The credential of this connection may have ended. Connect again with a valid one.")
        routes = self._handlers.pipeline.routes
        if routes is not self._routes:
            settings = routes.tenant(self._terms.tenant)
            if settings is None:
                raise TenantForbidden(FORBIDDEN)
            limits = routes.limits_of(self._terms.tenant)
            self._routes, self._terms = routes, structs.replace(self._terms, settings=settings, limits=limits)
        return self._terms

    def _stop(self, payload: dict[str, Any]) -> None:
        name = payload.get("requestId")
        outlet = self._running.pop(name, None) if isinstance(name, str) else None
        if outlet is None:
            raise InvalidRequest("No chat with this requestId is running here.", param="requestId")
        outlet.leave()

    async def _run(self, call: Call, outlet: SocketOutlet, name: str) -> None:
        try:
            await self._handlers.run(call, outlet)
        finally:
            if self._running.get(name) is outlet:
                del self._running[name]

    def _refuse(self, asked: Any, error: GatewayError) -> None:
        error.identify(f"req_{self._handlers.ids.serial()}")
        payload = {"requestId": asked if isinstance(asked, str) else None, "error": orjson.loads(NATIVE.write_error(error))["error"]}  # fmt: skip
        self._line.put("chat.error", payload)


class SocketOutlet:
    """Gives one chat's answer to its socket as events (call.Outlet)."""

    def __init__(self, call: Call, name: str, line: Line, clock: Callable[[], float]) -> None:
        self._call = call
        self._line = line
        self._clock = clock
        self._stream = NativeStream(name)
        self._trail = Trail()
        self._flow: Flow | None = None
        self._on_gone: Callable[[], None] | None = None
        self._gone = False

    def begin(self, trail: Trail, flow: Flow) -> None:
        self._trail, self._flow = trail, flow
        self._line.add(flow)
        self._emit(*self._stream.start(trail.provider, self._echo().model))

    def events(self, events: list[Event]) -> None:
        for name, payload in self._stream.chunks(events):
            self._emit(name, payload)

    def end(self) -> None:
        self._over()
        self._emit(*self._stream.complete(self._echo(), self._extras()))

    def broken(self, error: GatewayError) -> None:
        self._over()
        self._emit(*self._stream.error(error))

    def fail(self, trail: Trail, error: GatewayError) -> None:
        self._over()
        self._emit(*self._stream.error(error))

    def raw_answer(self, trail: Trail, body: bytes) -> None:
        raise AssertionError("a socket speaks the native dialect, which no provider does")

    def raw(self, data: bytes) -> None:
        raise AssertionError("a socket speaks the native dialect, which no provider does")

    def reply(self, trail: Trail, reply: Reply) -> None:
        raise AssertionError("a chat on a socket is always streamed")

    def on_gone(self, callback: Callable[[], None] | None) -> None:
        self._on_gone = callback
        if self._gone and callback is not None:
            callback()

    @property
    def gone(self) -> bool:
        return self._gone

    def leave(self) -> None:
        """The client stopped this chat, or left altogether."""
        self._gone = True
        self._over()
        if self._on_gone is not None:
            self._on_gone()

    def _over(self) -> None:
        self._line.remove(self._flow)

    def _emit(self, name: str, payload: dict[str, Any]) -> None:
        if not self._gone:
            self._line.put(name, payload)

    def _echo(self) -> Echo:
        return echo_of(self._call, self._trail.model)

    def _extras(self) -> NativeExtras:
        return extras_of(self._call, self._trail, self._clock())
