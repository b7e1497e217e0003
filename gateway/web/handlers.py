"""From an exchange to an answer: route, credential, tenant, then the handler. Knows nothing of aiohttp or sockets.

Rule 1: who asks is settled before the body is read. Rule 2: every answer is JSON in the surface's own shape, whatever went wrong.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from urllib.parse import parse_qsl

from gateway.call import Call, Outlet, Terms
from gateway.errors import (
    AdminRequired,
    GatewayError,
    InternalError,
    InvalidJson,
    InvalidRequest,
    MethodNotAllowed,
    NotFound,
    Overloaded,
    TenantForbidden,
    UnsupportedMediaType,
)
from gateway.pipeline import Begun, Pipeline, Run
from gateway.settings import Tenant
from gateway.types import BadRequest
from gateway.web.auth import FORBIDDEN, Authenticator, Principal, authorize
from gateway.web.context import Context, Ids, request_id, session, traceparent
from gateway.web.counting import Counting
from gateway.web.exchange import ClientGone, Exchange
from gateway.web.express import Express
from gateway.web.kept import KEPT_S, Kept
from gateway.web.probes import Probes
from gateway.web.relay import JSON, Headers, OpenStreams
from gateway.web.responses import Memory, ResponsesOutlet
from gateway.web.spoken import CALLS, ERRORS, Speaking
from gateway.web.surfaces import SHARED, Match, NoRoute, Surfaces, sdk_shape
from gateway.web.views import Views

Handler = Callable[[Exchange, Context], Awaitable[None]]


class Handlers:
    """All surfaces. `max_in_flight` calls at once are served, more are told to come back."""

    def __init__(
        self,
        pipeline: Pipeline,
        authenticator: Authenticator,
        views: Views,
        probes: Probes,
        streams: OpenStreams,
        memory: Memory,
        max_in_flight: int,
    ) -> None:
        self.pipeline = pipeline
        self.authenticator = authenticator
        self.surfaces = Surfaces()
        self.ids = Ids()
        self.headers = Headers()
        self.streams = streams
        self.in_flight = pipeline.recorder.in_flight
        self.arriving = 0  # requests whose bodies are on their way: not calls yet, but not to be dropped either
        self.draining = False
        self._max_in_flight = max_in_flight
        self._memory = memory
        counting = Counting(pipeline)
        self._views: dict[str, Handler] = {
            **views.handlers(),
            **probes.handlers(),
            **counting.handlers(),
            **memory.handlers(),
        }
        self.express = Express(pipeline, self, self.ids, self.headers, streams, max_in_flight, self._run_on)

    async def handle(self, exchange: Exchange) -> None:
        """Answer one exchange. Never raises but for cancellation."""
        pipeline = self.pipeline
        serial, at, received_at = self.ids.serial(), pipeline.wall(), pipeline.clock()
        context = None
        try:
            kept = exchange.kept
            if type(kept) is not Kept or not kept.holds(self, at):
                context = self._context(exchange, serial, at, received_at)
                await self._first(exchange, context)
                kept = exchange.kept
                if not isinstance(kept, Kept):
                    return
            await self._chat(exchange, kept, serial, at, received_at)
        except NoRoute as none:
            context = context or self._context(exchange, serial, at, received_at)
            self._refuse(exchange, context, _no_route(exchange, none), none.shape)
        except GatewayError as error:
            self._refuse(exchange, context or self._known(exchange, serial, at, received_at), error)
        except BadRequest as bad:
            kind = InvalidJson if bad.code == "invalid_json" else InvalidRequest
            refusal = kind(bad.message, param=bad.param, code=bad.code)
            self._refuse(exchange, context or self._known(exchange, serial, at, received_at), refusal)
        except ClientGone:
            context = context or self._known(exchange, serial, at, received_at)
            pipeline.recorder.other(context, exchange.method, exchange.path, 499, "client_gone")
        except Exception as bug:  # border: one bad request must not take the connection or the process down
            context = context or self._known(exchange, serial, at, received_at)
            pipeline.recorder.bug(context.request_id, bug)
            self._refuse(exchange, context, InternalError("The gateway failed on this request. It has been logged."))

    def _context(self, exchange: Exchange, serial: str, at: float, received_at: float) -> Context:
        given = exchange.header("x-request-id")
        return Context(_NOWHERE, request_id(given, serial), serial, at, received_at)

    def _known(self, exchange: Exchange, serial: str, at: float, received_at: float) -> Context:
        """The context of a request whose head came before, for its refusal: where it belongs, and whose it is."""
        context = self._context(exchange, serial, at, received_at)
        if isinstance(exchange.kept, Kept):
            context.match = self.surfaces.match(exchange.method, exchange.path)
            context.tenant = exchange.kept.terms.tenant
        return context

    async def _first(self, exchange: Exchange, context: Context) -> None:
        """A head not seen before on its connection: route it, let it in; a view is answered, a call's terms are kept."""
        match = context.match = self.surfaces.match(exchange.method, exchange.path)
        route = match.route
        if route.access != "open":
            await self._enter(exchange, context)
        speak = CALLS.get(route.handler)
        if speak is None:
            await self._views[route.handler](exchange, context)
            return
        speaking = speak(match, exchange.query, self.pipeline.routes.translation.repair_history)
        terms = self._terms(exchange, context, speaking)
        exchange.kept = Kept(terms, self.pipeline.routes, self.authenticator, speaking.outlet)

    # ------------------------------------------------------------ who asks

    async def _enter(self, exchange: Exchange, context: Context) -> None:
        """Credential, tenant, role. Raises InvalidApiKey, TenantForbidden, AdminRequired or Overloaded."""
        route = context.match.route
        if route.access == "metrics" and not self._metrics_here:
            raise NoRoute
        if route.access == "metrics" and self._metrics_public:
            return
        principal = await self.authenticate(exchange.header, exchange.query)
        context.principal = principal
        if route.access in ("admin", "metrics") and not principal.is_admin:
            raise AdminRequired("This needs a credential with the role admin.")
        if route.access != "metrics":
            context.tenant, context.settings = self.tenant(principal, context.match.tenant)

    _metrics_public = False
    _metrics_here = True

    def open_metrics(self) -> None:
        """Let /metrics be read without a credential."""
        self._metrics_public = True

    def close_metrics(self) -> None:
        """Serve no /metrics here: it has a port of its own."""
        self._metrics_here = False

    async def authenticate(self, header: Callable[[str], str | None], query: str) -> Principal:
        """The one way in, for HTTP and for the sockets. `query` is the raw query string, for ?key=."""
        key = next((v for k, v in parse_qsl(query) if k == "key"), None) if "key=" in query else None
        now = self.pipeline.wall()
        found = self.authenticator.authenticate(header, key, now)
        if found is None:  # keys must be fetched: a task of its own, for a request need not run inside one
            found = await asyncio.ensure_future(self.authenticator.authenticate_slow(header, key, now))
        return found

    def tenant(self, principal: Principal, named: str | None) -> tuple[str, Tenant]:
        """The tenant of a call and its settings: the path's, or at the root the credential's only one."""
        if named is None:
            if len(principal.tenants) != 1:
                raise InvalidRequest(
                    "This credential may act for several tenants: name one by the path /api/v1/<tenant>/ai/..., "
                    "with Socket.IO by `tenantId` beside the token.",
                    param="tenant",
                )
            named = next(iter(principal.tenants))
        found = self.pipeline.routes.tenant(named)
        authorize(principal, named)
        if found is None:
            raise TenantForbidden(FORBIDDEN)
        return named, found

    # ------------------------------------------------------------ chat

    async def _chat(self, exchange: Exchange, kept: Kept, serial: str, at: float, received_at: float) -> None:
        if self.in_flight.value >= self._max_in_flight:
            raise _full()
        terms, previous = kept.terms, ""
        body = exchange.ready if exchange.ready is not None else await self._body(exchange)
        if kept.outlet is ResponsesOutlet:
            body, previous = await self._memory.resolved(terms.tenant, body)
        peek = kept.peek(body)
        call = Call(terms.given_id or f"req_{serial}", serial, terms, body, peek, at, received_at)
        outlet = kept.outlet(exchange, call, self.headers, self.streams, kept.routes.translation, self.pipeline.replay)
        if isinstance(outlet, ResponsesOutlet):
            outlet.memory, outlet.previous = self._memory, previous
        self.in_flight.value += 1
        try:
            await Run(self.pipeline, call, outlet).run()
        finally:
            self.in_flight.value -= 1

    async def _run_on(self, call: Call, outlet: Outlet, begun: Begun) -> None:
        """Go on with a call of which a first attempt was made, and which counts as being in flight."""
        try:
            await Run(self.pipeline, call, outlet).run(begun)
        finally:
            self.in_flight.value -= 1

    async def _body(self, exchange: Exchange) -> bytes:
        self.arriving += 1
        try:
            return await exchange.body()
        finally:
            self.arriving -= 1

    def take_room(self) -> None:
        """For one call on a socket, which `run` then answers. Raises Overloaded: there are too many, or we are stopping."""
        if self.draining:
            raise Overloaded("The gateway is shutting down. Connect again: another one will answer.", retry_after_s=1)
        if self.in_flight.value >= self._max_in_flight:
            raise _full()
        self.in_flight.value += 1

    async def run(self, call: Call, outlet: Outlet) -> None:
        """Answer a call that was made on a socket, after `take_room`."""
        try:
            await Run(self.pipeline, call, outlet).run()
        finally:
            self.in_flight.value -= 1

    def _terms(self, exchange: Exchange, context: Context, speaking: Speaking) -> Terms:
        """What the head says of a call. Raises UnsupportedMediaType or InvalidRequest."""
        header, principal = exchange.header, context.principal
        assert principal is not None
        kind = header("content-type")
        if kind and "json" not in kind.lower():
            raise UnsupportedMediaType("Send the body as JSON, with the header Content-Type: application/json.")
        given = header("x-request-id")
        return Terms(
            surface=context.match.route.surface,
            dialect=speaking.dialect,
            tenant=context.tenant,
            settings=context.settings,
            limits=self.pipeline.routes.limits_of(context.tenant),
            user=principal.user,
            key=principal.key_name,
            method=exchange.method,
            path=exchange.path,
            given_id=context.request_id if given == context.request_id else "",
            preferred=header("x-preferred-provider") or "",
            session=session(header("x-session-id")),
            strict=_switch(header, "x-gateway-strict"),
            timeout_s=_timeout_s(header("x-gateway-timeout-ms")),
            traceparent=traceparent(header("traceparent")),
            headers=_travelling(header, speaking),
            free=speaking.free,
            until=min(context.at + KEPT_S, principal.expires_at or context.at + KEPT_S),
        )

    # ------------------------------------------------------------ refusals

    def refuse(self, exchange: Exchange, error: GatewayError, bug: BaseException | None = None) -> None:
        """Refuse what a door could not even read, or what failed in the door itself."""
        context = self._context(exchange, self.ids.serial(), self.pipeline.wall(), self.pipeline.clock())
        if bug is not None:
            self.pipeline.recorder.bug(context.request_id, bug)
        self._refuse(exchange, context, error)

    def _refuse(self, exchange: Exchange, context: Context, error: GatewayError, shape: str = "") -> None:
        error.identify(context.request_id)
        headers = self.headers.failed(error, 0)
        route = context.match.route
        shape = shape or route.shape
        if shape == "openai" and (route.handler in SHARED or route is _NOWHERE.route):
            shape = sdk_shape(exchange.header)
        exchange.answer(error.status, JSON + headers, ERRORS[shape].write_error(error))
        self.pipeline.recorder.other(context, exchange.method, exchange.path, error.status, error.code or "")


def _full() -> Overloaded:
    return Overloaded("The gateway is at its limit of calls in flight. Try again in a second.", retry_after_s=1)


def _no_route(exchange: Exchange, none: NoRoute) -> GatewayError:
    if none.allowed:
        allowed = ", ".join(none.allowed)
        return MethodNotAllowed(f"{exchange.method} is not served here; {allowed} is.", headers={"allow": allowed})
    return NotFound(
        "Nothing is served at this path. The API of a tenant is under /api/v1/<tenant>/ai, for example "
        "POST /api/v1/<tenant>/ai/chat/completions."
    )


def _travelling(header: Callable[[str], str | None], speaking: Speaking) -> tuple[tuple[str, str], ...]:
    given = ((name, header(name) or default) for name, default in speaking.travelling)
    return tuple((name, value) for name, value in given if value and value.isascii())


def _switch(header: Callable[[str], str | None], name: str) -> bool:
    given = (header(name) or "").lower()
    if given not in SWITCHED:
        raise InvalidRequest(f"{name} must be 1 or 0.", param=name)
    return SWITCHED[given]


def _timeout_s(given: str | None) -> float | None:
    if given is None:
        return None
    try:
        ms = float(given)
    except ValueError:
        ms = 0.0
    if not 0 < ms <= 86_400_000:
        raise InvalidRequest(
            "x-gateway-timeout-ms must be a positive number of milliseconds.", param="x-gateway-timeout-ms"
        )
    return ms / 1000


SWITCHED = {"1": True, "true": True, "yes": True, "on": True} | dict.fromkeys(("", "0", "false", "no", "off"), False)
_NOWHERE = Match(Surfaces().match("GET", "/livez").route)
