"""Builds the simulators and runs them: as an aiohttp application, inside a running loop, or as a process of their own.

running = await start("all", faults=[Fault(kind="status", status=503, times=1)])
running.url_for("openai")      # http://127.0.0.1:49152/openai/v1: what goes into base_url
await running.stop()
"""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Awaitable, Callable, Iterable, Mapping
from typing import Literal

from aiohttp import web

from gateway.simulator.anthropic import Anthropic
from gateway.simulator.control import Control
from gateway.simulator.exchange import MAX_BODY_BYTES, Exchange, State
from gateway.simulator.faults import Fault, FaultBook
from gateway.simulator.gemini import Gemini
from gateway.simulator.openai import OpenAI
from gateway.simulator.replies import Route, Sent, Vendor, Whole

Name = Literal["openai", "anthropic", "gemini", "all"]
Keys = Mapping[str, str | Iterable[str]]

VENDORS: dict[str, Vendor] = {"openai": OpenAI(), "anthropic": Anthropic(), "gemini": Gemini()}
BASES = {"openai": "/v1", "anthropic": "", "gemini": ""}  # what an SDK's base_url ends with
SIGNALS = (signal.SIGINT, signal.SIGTERM)
STATE = web.AppKey("simulator", State)


def create_app(
    provider: Name, *, keys: Keys | None = None, script: list[Fault] | None = None, chunk_delay_s: float = 0.0
) -> web.Application:
    """The application of one vendor at the root, or of all of them below /openai, /anthropic and /gemini.

    `keys`: the credentials each vendor accepts; a vendor without an entry accepts any that is in the right place.
    `script`: faults to begin with. `chunk_delay_s`: between the events of a stream.
    """
    accepted = {name: frozenset([given] if isinstance(given, str) else given) for name, given in (keys or {}).items()}
    state = State(accepted, FaultBook(script), chunk_delay_s)
    app = web.Application(client_max_size=MAX_BODY_BYTES)
    app[STATE] = state
    app.add_routes(Control(state).routes())
    for name in VENDORS if provider == "all" else [provider]:
        state.journal.counter(name)
        _add_vendor(app, state, VENDORS[name], VENDORS[name].prefix if provider == "all" else "")
    return app


def _add_vendor(app: web.Application, state: State, vendor: Vendor, prefix: str) -> None:
    def missing(sent: Sent) -> Whole:
        raise vendor.not_found(sent)

    for route in vendor.routes():
        app.router.add_route(route.method, prefix + route.path, _handler(state, vendor, route))
    app.router.add_route("*", prefix + "/{tail:.*}", _handler(state, vendor, Route("*", "", missing)))


def _handler(state: State, vendor: Vendor, route: Route) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
    async def handle(request: web.Request) -> web.StreamResponse:
        return await Exchange(state, vendor, route, request).run()

    return handle


class Running:
    """Simulators that listen. `state` gives tests the journal and the faults without a detour over HTTP."""

    def __init__(self, runner: web.AppRunner, state: State, provider: Name, host: str, port: int) -> None:
        self._runner = runner
        self.state = state
        self.provider = provider
        self.host, self.port = host, port

    @property
    def origin(self) -> str:
        """http://host:port, where /_sim/… is."""
        return f"http://{self.host}:{self.port}"

    def url_for(self, provider: str) -> str:
        """The base_url for a provider's SDK or gateway.yaml: with /v1 for OpenAI, without a version for the others."""
        prefix = VENDORS[provider].prefix if self.provider == "all" else ""
        return f"{self.origin}{prefix}{BASES[provider]}"

    async def stop(self) -> None:
        """Close the port and every connection."""
        await self._runner.cleanup()


async def start(
    provider: Name = "all",
    host: str = "127.0.0.1",
    port: int = 0,
    *,
    keys: Keys | None = None,
    script: list[Fault] | None = None,
    chunk_delay_s: float = 0.0,
) -> Running:
    """Run simulators inside the current loop; port 0 takes a free one. OSError when the port is taken."""
    app = create_app(provider, keys=keys, script=script, chunk_delay_s=chunk_delay_s)
    # Cancelling the handler is how a client that leaves during a pause is noticed at once.
    runner = web.AppRunner(app, access_log=None, handler_cancellation=True, shutdown_timeout=0.2)
    await runner.setup()
    await web.TCPSite(runner, host, port).start()
    bound = runner.addresses[0][1]
    return Running(runner, app[STATE], provider, host, bound)


async def serve(
    provider: Name = "all",
    host: str = "127.0.0.1",
    port: int = 8090,
    *,
    keys: Keys | None = None,
    script: list[Fault] | None = None,
    chunk_delay_s: float = 0.0,
    announce: Callable[[str], None] = print,
) -> None:
    """Run simulators until SIGINT or SIGTERM. `announce` gets one line per vendor. OSError when the port is taken."""
    running = await start(provider, host, port, keys=keys, script=script, chunk_delay_s=chunk_delay_s)
    for name in VENDORS if provider == "all" else [provider]:
        announce(f"simulated {name}: {running.url_for(name)}")
    stopping = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in SIGNALS:
        loop.add_signal_handler(number, stopping.set)
    try:
        await stopping.wait()
    finally:
        for number in SIGNALS:
            loop.remove_signal_handler(number)
        await running.stop()
