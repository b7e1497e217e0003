"""From an exchange to an answer: route, credential, tenant, then the handler. Knows nothing of aiohttp or sockets.

Rule 1: who asks is settled before the body is read. Rule 2: every answer is JSON in the surface's own shape, whatever went wrong.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from urllib.parse import parse_qsl

from gateway.call import Call, Outlet
from gateway.dialects.native import NATIVE
from gateway.dialects.openai_chat import OPENAI_CHAT
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
from gateway.pipeline import Pipeline
from gateway.settings import Tenant
from gateway.types import BadRequest, ClientHalf
from gateway.web.auth import FORBIDDEN, Authenticator, Principal, authorize
from gateway.web.context import Context, Ids, request_id, traceparent
from gateway.web.exchange import ClientGone, Exchange
from gateway.web.native import NativeOutlet
from gateway.web.probes import Probes
from gateway.web.relay import JSON, Headers, HttpOutlet, OpenStreams
from gateway.web.surfaces import Match, NoRoute, Surfaces
from gateway.web.views import Views

Handler = Callable[[Exchange, Context], Awaitable[None]]
VENDOR_HEADERS = ("openai-beta",)  # travel on to a provider of the same dialect; credentials and scopes never do


class Handlers:
    """All surfaces. `max_in_flight` calls at once are served, more are told to come back."""

    def __init__(
        self,
        pipeline: Pipeline,
        authenticator: Authenticator,
        views: Views,
        probes: Probes,
        streams: OpenStreams,
        max_in_flight: int,
    ) -> None:
        self.pipeline = pipeline
        self.authenticator = authenticator
        self.surfaces = Surfaces()
        self.ids = Ids()
        self.headers = Headers()
        self.streams = streams
        self.in_flight = pipeline.recorder.in_flight
        self._max_in_flight = max_in_flight
        self._handlers: dict[str, Handler] = {
            "chat": self._chat,
            "native_chat": self._native_chat,
            **views.handlers(),
            **probes.handlers(),
        }

    async def handle(self, exchange: Exchange) -> None:
        """Answer one exchange. Never raises but for cancellation."""
        serial = self.ids.serial()
        context = Context(
            match=_NOWHERE,
            request_id=request_id(exchange.header("x-request-id"), serial),
            serial=serial,
            at=self.pipeline.wall(),
            received_at=self.pipeline.clock(),
        )
        try:
            match = context.match = self.surfaces.match(exchange.method, exchange.path)
            if match.route.access != "open":
                await self._enter(exchange, context)
            await self._handlers[match.route.handler](exchange, context)
        except NoRoute as none:
            self._refuse(exchange, context, _no_route(exchange, none))
        except GatewayError as error:
            self._refuse(exchange, context, error)
        except BadRequest as bad:
            kind = InvalidJson if bad.code == "invalid_json" else InvalidRequest
            self._refuse(exchange, context, kind(bad.message, param=bad.param, code=bad.code))
        except ClientGone:
            self.pipeline.recorder.other(context, exchange.method, exchange.path, 499, "client_gone")
        except Exception as bug:  # border: one bad request must not take the connection or the process down
            self.pipeline.recorder.bug(context.request_id, bug)
            self._refuse(exchange, context, InternalError("The gateway failed on this request. It has been logged."))

    # ------------------------------------------------------------ who asks

    async def _enter(self, exchange: Exchange, context: Context) -> None:
        """Credential, tenant, role. Raises InvalidApiKey, TenantForbidden, AdminRequired or Overloaded."""
        route = context.match.route
        if route.access == "metrics" and self._metrics_public:
            return
        principal = await self.authenticate(exchange.header, exchange.query)
        context.principal = principal
        if route.access in ("admin", "metrics") and not principal.is_admin:
            raise AdminRequired("This needs a credential with the role admin.")
        if route.access != "metrics":
            context.tenant, context.settings = self.tenant(principal, context.match.tenant)
        if self.in_flight.value >= self._max_in_flight:
            raise Overloaded("The gateway is at its limit of calls in flight. Try again in a second.", retry_after_s=1)

    _metrics_public = False

    def open_metrics(self) -> None:
        """Let /metrics be read without a credential."""
        self._metrics_public = True

    async def authenticate(self, header: Callable[[str], str | None], query: str) -> Principal:
        """The one way in, for HTTP and for the sockets. `query` is the raw query string, for ?key=."""
        key = next((v for k, v in parse_qsl(query) if k == "key"), None) if "key=" in query else None
        now = self.pipeline.wall()
        return self.authenticator.authenticate(header, key, now) or await self.authenticator.authenticate_slow(
            header, key, now
        )

    def tenant(self, principal: Principal, named: str | None) -> tuple[str, Tenant]:
        """The tenant of a call and its settings: the path's, or at the root the credential's only one."""
        if named is None:
            if len(principal.tenants) != 1:
                raise InvalidRequest(
                    "This credential may act for several tenants: use the path /api/v1/<tenant>/ai/v1/... to name one.",
                    param="tenant",
                )
            named = next(iter(principal.tenants))
        found = self.pipeline.routes.tenant(named)
        authorize(principal, named)
        if found is None:
            raise TenantForbidden(FORBIDDEN)
        return named, found

    # ------------------------------------------------------------ chat

    async def _chat(self, exchange: Exchange, context: Context) -> None:
        call = await self._call(exchange, context, OPENAI_CHAT)
        outlet = HttpOutlet(exchange, call, self.headers, self.streams, self.rate_limits(call.tenant), self._echo)
        await self.run(call, outlet)

    async def _native_chat(self, exchange: Exchange, context: Context) -> None:
        call = await self._call(exchange, context, NATIVE)
        limits = self.rate_limits(call.tenant)
        await self.run(call, NativeOutlet(exchange, call, self.headers, self.streams, limits, self._echo))

    async def run(self, call: Call, outlet: Outlet) -> None:
        """Answer a call that has been made, here or on a socket."""
        self.in_flight.value += 1
        try:
            await self.pipeline.run(call, outlet)
        finally:
            self.in_flight.value -= 1

    async def _call(self, exchange: Exchange, context: Context, dialect: ClientHalf) -> Call:
        """Read the body and make the call. Raises BadRequest and what `body()` raises."""
        kind = exchange.header("content-type")
        if kind and "json" not in kind:
            raise UnsupportedMediaType("Send the body as JSON, with the header Content-Type: application/json.")
        body = await exchange.body()
        peek = dialect.peek(body)
        principal = context.principal
        assert principal is not None
        header = exchange.header
        return Call(
            id=context.request_id,
            serial=context.serial,
            surface=context.match.route.surface,
            dialect=dialect,
            tenant=context.tenant,
            settings=context.settings,
            body=body,
            peek=peek,
            at=context.at,
            received_at=context.received_at,
            user=principal.user,
            key=principal.key_name,
            method=exchange.method,
            path=exchange.path,
            preferred=header("x-preferred-provider") or peek.preferred,
            session=(header("x-session-id") or peek.session)[:200],
            strict=header("x-gateway-strict") in ("1", "true"),
            deadline_at=_deadline(header("x-gateway-timeout-ms"), context.received_at),
            traceparent=traceparent(header("traceparent")),
            headers=tuple((name, value) for name in VENDOR_HEADERS if (value := header(name))),
        )

    def rate_limits(self, tenant: str) -> Callable[[], list[tuple[str, str]]]:
        """Gives the x-ratelimit-* headers at the moment of the answer."""
        limits, clock = self.pipeline.routes.limits_of(tenant), self.pipeline.clock
        return lambda: limits.headers(clock())

    @property
    def _echo(self) -> str:
        return self.pipeline.routes.translation.model_echo

    # ------------------------------------------------------------ refusals

    def _refuse(self, exchange: Exchange, context: Context, error: GatewayError) -> None:
        error.identify(context.request_id)
        headers = self.headers.failed(error, 0)
        exchange.answer(error.status, JSON + headers, OPENAI_CHAT.write_error(error))
        self.pipeline.recorder.other(context, exchange.method, exchange.path, error.status, error.code or "")


def _no_route(exchange: Exchange, none: NoRoute) -> GatewayError:
    if none.allowed:
        allowed = ", ".join(none.allowed)
        return MethodNotAllowed(f"{exchange.method} is not served here; {allowed} is.", headers={"allow": allowed})
    return NotFound(
        "Nothing is served at this path. The API of a tenant is under /api/v1/<tenant>/ai, for example "
        "POST /api/v1/<tenant>/ai/chat/completions."
    )


def _deadline(given: str | None, received_at: float) -> float | None:
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
    return received_at + ms / 1000


_NOWHERE = Match(Surfaces().match("GET", "/livez").route)
