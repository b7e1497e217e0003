"""COMPOSITION ROOT: builds every part from the configuration and wires them. The only file that sees the whole Config.

Gateway      the parts of one process: store, upstream, pipeline, doors; start, reload, drain, stop
load_routes  a configuration to routing tables
"""

from __future__ import annotations

import asyncio
import hashlib
import secrets
import socket
import time
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

import msgspec
import yaml
from aiohttp import web

from gateway import __version__, telemetry
from gateway.alerting import Webhooks
from gateway.core.catalogue import Catalogue, catalogue_from
from gateway.core.envelope import Sealer
from gateway.core.ledger_commands import Orphan
from gateway.core.ledger_rows import MICROUSD, TOKENS
from gateway.core.ledger_views import Alert, Refused
from gateway.core.pricing import PriceBook, prices_from
from gateway.core.routing import Router, Served
from gateway.core.stash import Stash
from gateway.core.tariffs import Tariffs
from gateway.deployment import Deployment
from gateway.logs import LogWriter
from gateway.pipeline import Pipeline
from gateway.providers import PROVIDERS
from gateway.recorder import Recorder
from gateway.replay import Replay
from gateway.routes import Routes
from gateway.settings import Config
from gateway.stores.base import StoreDown
from gateway.stores.keeper import Keeper, KeeperEvent
from gateway.stores.open import open_responses, open_store
from gateway.stores.pump import StoreLost
from gateway.stores.sharing import STEP_S, SharedFigures
from gateway.tasks import Tasks
from gateway.upstream import Origin, Tuning, Upstream
from gateway.web.admin import start_admin
from gateway.web.auth import Authenticator
from gateway.web.door import Door
from gateway.web.farewell import Farewell
from gateway.web.fastlane import Connection, Lane
from gateway.web.handlers import Handlers
from gateway.web.jwks import Jwks, open_jwks
from gateway.web.patience import LAST_S
from gateway.web.probes import Probes
from gateway.web.protocol import Protocol
from gateway.web.relay import OpenStreams
from gateway.web.responses import Memory
from gateway.web.socketio_route import SocketIoRoute
from gateway.web.views import Views
from gateway.web.websocket import WebSocketDoor

GAUGES = {  # of an account by its unit: what is used, and the limit
    TOKENS: ("gateway_quota_used_tokens", "gateway_quota_limit_tokens"),
    MICROUSD: ("gateway_budget_used_microusd", "gateway_budget_limit_microusd"),
}


def read_catalogue() -> Catalogue:
    """What models can do."""
    return catalogue_from(_shipped("models.yaml"))


def read_prices() -> PriceBook:
    """What models cost."""
    return prices_from(_shipped("prices.yaml"))


def _shipped(name: str) -> Any:
    """A file of facts: beside the package in an installed wheel, in config/ in a checkout."""
    here = Path(__file__).parent
    for path in (here / "config" / name, here.parent / "config" / name):
        if path.exists():
            return yaml.safe_load(path.read_text())
    raise FileNotFoundError(f"{name} is missing from this installation")


def load_routes(config: Config, catalogue: Catalogue, prices: PriceBook | None = None) -> Routes:
    """The routing tables of a configuration; without prices no budget counts."""
    deployments = {}
    for name, section in config.providers.items():
        vendor = PROVIDERS[section.type]
        address = Origin.from_url(section.base_url or vendor.base_url)
        deployments[name] = Deployment(
            name, section, vendor, address, config.breaker, config.fallback.retry_budget_percent
        )
    served = [
        Served(name, d.settings.default_model, d.settings.priority, d.settings.models, d.vendor.family)
        for name, d in deployments.items()
    ]
    router = Router(served, config.models, across_providers=config.fallback.across_providers)
    tariffs = Tariffs(prices, config.budget_of) if prices is not None else None
    return Routes(router, deployments, config.tenants, config.fallback, config.translation, catalogue, tariffs)


def sealer_of(config: Config) -> Sealer:
    """Seals what vendors give clients to carry, with secrets that all processes of this configuration share.

    They are those that sign tokens; where tokens are signed elsewhere, the providers' credentials.
    """
    signing = [key.secret.reveal().encode() for key in config.auth.jwt if key.secret is not None]
    sections = config.providers.values()
    keys = sorted(key.reveal() for p in sections for key in (*p.api_keys, *((p.api_key,) if p.api_key else ())))
    others = [hashlib.sha256("\n".join(keys).encode()).digest()] if keys else []
    return Sealer(*signing, *others) if signing or others else Sealer(secrets.token_bytes(32))


class Gateway:
    """One process. `start` opens the store and begins to serve `sock`; `drain` and `stop` end it in order."""

    def __init__(
        self, config: Config, environ: Mapping[str, str], log: LogWriter, registry: telemetry.Registry
    ) -> None:
        self.config = config
        self.registry = registry
        self.log = log
        self.draining = False
        self.figures: Callable[[], Awaitable[list[telemetry.Snapshot]]] = self._own_figures
        self.tasks = Tasks(log, registry)
        self._catalogue, self._prices = read_catalogue(), read_prices()
        recorder = Recorder(registry, log, time.monotonic)
        self.store_lost = False
        store = open_store(config.store.url, self._warn)
        self.keeper = Keeper(store, config.quota_of, config.alerts, config.budget_of, on_event=self._heard)
        self.figures_shared = SharedFigures(self.keeper, recorder.tallies)
        self.upstream = Upstream(Tuning(), environ=environ)
        replay = Replay(sealer_of(config), Stash(), time.monotonic)
        routes = load_routes(config, self._catalogue, self._prices)
        self.pipeline = Pipeline(routes, self.upstream, self.keeper, recorder, replay)
        self.streams = OpenStreams(recorder.streams, time.monotonic)
        self._jwks = self._open_jwks(config)
        self.authenticator = Authenticator(config.auth, self._jwks)
        views = Views(self.pipeline, time.time())
        probes = Probes(self.not_ready, self.metrics)
        self._responses = open_responses(config.store.url, self._no_memory)
        self.handlers = Handlers(
            self.pipeline,
            self.authenticator,
            views,
            probes,
            self.streams,
            Memory(self._responses, time.time),
            config.server.max_in_flight,
        )
        if config.admin.port is not None:
            self.handlers.close_metrics()
        elif config.admin.metrics_public:
            self.handlers.open_metrics()
        self.sockets = WebSocketDoor(self.handlers)
        self.socketio = SocketIoRoute(self.handlers)
        self.webhooks = Webhooks(self.keeper, config.alerts, log)
        self._runner: web.AppRunner | None = None
        self._admin: web.AppRunner | None = None
        self._lane: Lane | None = None
        self._listener: asyncio.Server | None = None
        self._max_body_bytes = int(config.server.max_body_mb * 1_000_000)
        registry.cell("gateway_build_info", __version__).value = 1
        registry.sample(self._gauges)

    # ------------------------------------------------------------ life

    async def start(self, sock: socket.socket) -> None:
        """Open the store, then serve. Raises StoreUnusable, StoreDown, or OSError when admin.port is taken."""
        self._share()
        self._name_unpriced()
        await self.keeper.start()
        await self.figures_shared.step()
        if self.config.admin.port is not None:
            self._admin = await start_admin(
                self.config.admin.host, self.config.admin.port, self.metrics, self.not_ready
            )
        self.tasks.every(60.0, "ratios", self._share_ratios)
        self.tasks.every(STEP_S, "figures", self.figures_shared.step)
        self.tasks.every(1.0, "stream sweep", self.streams.sweep)
        self.tasks.every(5.0, "webhooks", self.webhooks.deliver)
        self.tasks.every(1.0, "socket.io sweep", self.socketio.sweep)
        self._runner = web.AppRunner(
            self._application(), access_log=None, handler_cancellation=True, shutdown_timeout=5
        )
        await self._runner.setup()
        assert self._runner.server is not None
        door = partial(Protocol, self._runner.server, self.handlers)
        if self.config.server.fast_lane:
            self._lane = Lane(self.handlers, self._max_body_bytes, door, time.monotonic, self.upstream.round)
        self.tasks.every(1.0, "connection sweep", self.sweep)
        loop = asyncio.get_running_loop()
        self._listener = await loop.create_server(self._lane or door, sock=sock, backlog=1024)

    async def drain(self) -> None:
        """Stop accepting, let what runs end, up to drain_s; then end it with an error the client sees."""
        self.draining = self.handlers.draining = True
        if self._listener is not None:
            self._listener.close()
        await self._hear_last_requests()
        ends_at = time.monotonic() + self.config.server.drain_s
        handlers = self.handlers
        while (handlers.in_flight.value or handlers.arriving) and time.monotonic() < ends_at:
            await asyncio.sleep(0.05)
        self.pipeline.stop_all()
        await asyncio.sleep(0)

    async def _hear_last_requests(self) -> None:
        """Idle connections have LAST_S before they are closed; whatever is answered from here on is told to be the last."""
        if self._lane is not None:
            self._lane.draining = True
        for connection in self._handed_over():
            connection.answer_last()
        ends_at = time.monotonic() + LAST_S
        while self._connections() and time.monotonic() < ends_at:
            await asyncio.sleep(0.02)
        for each in self._connections():
            each.leave_when_idle()

    def _connections(self) -> list[Connection | Farewell | Protocol]:
        """The open connections of both doors."""
        return [*(self._lane.connections if self._lane is not None else ()), *self._handed_over()]

    async def stop(self) -> None:
        """Close the doors, settle, flush, close the store."""
        if self._lane is not None:
            self._lane.close()
        await asyncio.gather(self.sockets.close(), self.socketio.close())
        if self._runner is not None:
            await self._runner.cleanup()
        if self._admin is not None:
            await self._admin.cleanup()
        await self.tasks.close()
        await self.upstream.close()
        await self.webhooks.close()
        for keys in self._jwks.values():
            await keys.close()
        await self._responses.close()
        await self.figures_shared.close()
        await self.keeper.close()

    async def _share_ratios(self) -> None:
        with suppress(StoreDown):  # another time
            await self.keeper.share_ratios()

    def sweep(self) -> None:
        """Once a second: see to connections that have waited too long."""
        if self._lane is not None:
            self._lane.tick()
        now = time.monotonic()
        for connection in self._handed_over():
            connection.tick(now)

    def _handed_over(self) -> list[Protocol]:
        """The connections of aiohttp's door."""
        server = self._runner.server if self._runner is not None else None
        return [c for c in server.connections if isinstance(c, Protocol)] if server is not None else []

    async def reload(self, config: Config) -> None:
        """Swap to a configuration that has been checked. What cannot change in a running process is said in the log."""
        routes = load_routes(config, self._catalogue, self._prices)
        # Keys that were fetched stay: the issuer may be away just now, and somebody may be waiting for them.
        jwks = {url: self._jwks.get(url, keys) for url, keys in self._open_jwks(config).items()}
        if config.auth != self.config.auth:
            self.handlers.authenticator = Authenticator(config.auth, jwks)
        gone, self._jwks = [keys for url, keys in self._jwks.items() if url not in jwks], jwks
        routes.take_over(self.pipeline.routes)
        self.keeper.set_limits(config.quota_of, config.budget_of)
        self.keeper.set_alerts(config.alerts)
        self.webhooks.settings = config.alerts
        self.pipeline.routes = routes
        self._share()
        self._name_unpriced()
        self.pipeline.replay.sealer = sealer_of(config)
        self.log.change(config.log.level, text=config.log.format == "text")
        fixed = [name for name in ("server", "store", "admin") if getattr(config, name) != getattr(self.config, name)]
        if fixed:
            self.log.event("warning", "reload_needs_restart", sections=fixed)
        self.config = config
        for keys in gone:
            await keys.close()

    def _warn(self, message: str) -> None:
        self.log.event("warning", "store_warning", message=message)

    def _name_unpriced(self) -> None:
        """Tell the operator which models no budget will see."""
        models = self.pipeline.routes.unpriced(time.time())
        if models:
            self.log.event("warning", "unpriced_models", models=models)

    def _share(self) -> None:
        routes = self.pipeline.routes
        self.keeper.share({d.circuit: d.breaker for d in routes.deployments.values()}, routes.limits)

    # ------------------------------------------------------------ what others ask

    def not_ready(self) -> str:
        """Why new calls should go elsewhere; "" when they may come."""
        if self.draining:
            return "stopping"
        return "the quota store does not answer" if self.store_lost else ""

    async def metrics(self) -> bytes:
        """The text of /metrics: this process's figures, or those of all workers where `figures` was set to ask for them."""
        return telemetry.exposition(await self.figures())

    async def _own_figures(self) -> list[telemetry.Snapshot]:
        return [self.registry.snapshot()]

    def _application(self) -> web.Application:
        door = Door(self.handlers, self._max_body_bytes)
        # The exchange has the body's limit, in the surface's own error shape.
        app = web.Application(client_max_size=2**62, middlewares=[door.missing])
        app.router.add_get("/api/v1/{tenant}/ai/stream", self.sockets)
        app.router.add_get("/api/v1/{tenant}/ai/v1/stream", self.sockets)
        app.router.add_get("/v1/stream", self.sockets)
        self.socketio.attach(app)
        app.router.add_route("*", "/{path:.*}", door, expect_handler=door.expect)
        return app

    def _gauges(self) -> list[tuple[str, telemetry.Labels, float]]:
        now = time.monotonic()
        states = {"closed": 0.0, "half_open": 1.0, "open": 2.0}
        found: list[tuple[str, telemetry.Labels, float]] = [
            ("gateway_breaker_state", (name,), states[d.breaker.state(now)])
            for name, d in self.pipeline.routes.deployments.items()
        ]
        for account in self.keeper.accounts([*self._scopes(), "*"]):
            scope = account.scope
            tenant = scope.removeprefix("tenant:").partition("/")[0] if scope.startswith("tenant:") else ""
            if tenant and tenant not in self.config.tenants:
                continue  # label values come from the configuration only
            used, limit = GAUGES[account.unit]
            found.append((used, (scope, account.window), float(account.used)))
            if account.limit is not None:
                found.append((limit, (scope, account.window), float(account.limit)))
        return found

    def _scopes(self) -> list[str]:
        return [f"provider:{name}" for name in self.config.providers] + [
            f"tenant:{name}" for name in self.config.tenants
        ]

    def _heard(self, event: KeeperEvent) -> None:
        """What the quotas have to tell: alerts, refusals, the store going and coming back."""
        if isinstance(event, Alert):
            self.registry.count("gateway_alerts_total", event.level)
            # Nested: an alert has a level and a time of its own.
            self.log.event("warning", "quota_alert", alert=msgspec.to_builtins(event))
        elif isinstance(event, Refused):
            tenant = event.scope.removeprefix("tenant:").partition("/")[0]
            known = not event.scope.startswith("tenant:") or tenant in self.config.tenants
            self.registry.count("gateway_quota_refusals_total", event.scope if known else "other", event.reason)
        elif isinstance(event, Orphan):
            self.log.event(
                "warning",
                "lease_orphaned",
                scope=event.key.scope,
                period=event.key.period,
                **{event.key.unit: event.amount},
            )
        elif isinstance(event, StoreLost):
            self.store_lost = True
            self.log.event("error", "store_lost", message=event.message)
        else:
            self.store_lost = False
            self.log.event("info", "store_back")

    def _no_memory(self, message: str) -> None:
        """Answers cannot be kept or found: conversations suffer, calls do not. Heard from another thread."""
        self.log.event("error", "responses_store", message=message)

    def _open_jwks(self, config: Config) -> dict[str, Jwks]:
        return open_jwks(config.auth, report=lambda message: self.log.event("warning", "jwks", message=message))
