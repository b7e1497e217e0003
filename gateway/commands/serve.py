"""`gateway serve`: one process on one socket, or a supervisor with workers (gateway.commands.supervisor), until SIGTERM."""

from __future__ import annotations

import argparse
import asyncio
import gc
import logging
import os
import signal
import socket
import sys
from collections.abc import Callable, Mapping
from typing import BinaryIO, Protocol

from gateway import __version__
from gateway.app import Gateway
from gateway.commands.cores import worker_count
from gateway.commands.failing import CommandError
from gateway.commands.listening import listen
from gateway.commands.reloading import Reloader
from gateway.commands.supervisor import supervise
from gateway.logs import LogWriter, StandardLogging
from gateway.settings import Config
from gateway.stores.base import StoreError
from gateway.telemetry import Registry

try:
    import uvloop
except ImportError:  # no uvloop on this platform: asyncio's own loop serves as well, slower
    uvloop = None  # type: ignore[assignment]

__all__ = ["listen", "run", "serve", "serve_on"]

POLL_S = 1.0
ENDINGS = (signal.SIGTERM, signal.SIGINT)


def run(arguments: argparse.Namespace) -> int:
    reloader = Reloader(arguments.config, os.environ)
    config = reloader.load()
    workers = worker_count(arguments.workers or config.server.workers)
    if workers > 1:
        return supervise(config, reloader.written, workers, arguments.config, arguments.host, arguments.port)
    serve(config, arguments.host, arguments.port, os.environ, reloader)
    return 0


def serve(
    config: Config,
    host: str | None,
    port: int | None,
    environ: Mapping[str, str],
    reloader: Reloader,
    ready: Callable[[int], None] | None = None,
) -> None:
    """Serve in this process until SIGTERM or SIGINT. `ready` is told the port once calls are answered."""
    sock = listen(host or config.server.host, config.server.port if port is None else port)
    serve_on(sock, config, environ, reloader, Alone(ready), sys.stderr.buffer)


def serve_on(
    sock: socket.socket, config: Config, environ: Mapping[str, str], reloader: Reloader, owner: Owner, log: BinaryIO
) -> None:
    """Serve on a socket until SIGTERM or SIGINT; log lines go to `log`. Raises CommandError when it cannot begin."""
    with asyncio.Runner(loop_factory=uvloop.new_event_loop if uvloop is not None else None) as runner:
        runner.run(_serve(sock, config, environ, reloader, owner, log))


class Owner(Protocol):
    """Whoever started a serving process and follows its life."""

    patient: bool  # a second SIGTERM or SIGINT changes nothing, instead of ending the process at once

    async def starting(self, gateway: Gateway, stop: asyncio.Event) -> None:
        """Before the store is opened. Setting `stop` does what SIGTERM does."""

    def ready(self, port: int) -> None:
        """Calls are answered."""

    def leaving(self) -> None:
        """No further calls are taken; those in flight go on."""

    async def ended(self) -> None:
        """All is settled and closed."""


class Alone:
    """A process that nobody supervises. `tell` gets the port once calls are answered."""

    patient = False  # a second Ctrl-C ends at once

    def __init__(self, tell: Callable[[int], None] | None) -> None:
        self._tell = tell

    async def starting(self, gateway: Gateway, stop: asyncio.Event) -> None:
        return

    def ready(self, port: int) -> None:
        if self._tell is not None:
            self._tell(port)

    def leaving(self) -> None:
        return

    async def ended(self) -> None:
        return


async def _serve(
    sock: socket.socket, config: Config, environ: Mapping[str, str], reloader: Reloader, owner: Owner, stream: BinaryIO
) -> None:
    registry = Registry()
    dropped = registry.cell("gateway_log_lines_dropped_total")

    def on_drop(lines: int) -> None:
        dropped.value += lines

    log = LogWriter(stream, level=config.log.level, text=config.log.format == "text", on_drop=on_drop)
    logging.getLogger().handlers[:] = [StandardLogging(log)]
    stop = asyncio.Event()
    for number in ENDINGS:
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    try:
        gateway = Gateway(config, environ, log, registry)
        try:
            await owner.starting(gateway, stop)
            await gateway.start(sock)
            _begin(gateway, sock, reloader, owner)
            await stop.wait()
            await _drain(gateway, owner)
        finally:
            await gateway.stop()
            log.event("info", "stopped", pid=os.getpid())
            await owner.ended()
    except (StoreError, ValueError, OSError) as error:
        raise CommandError(f"cannot start: {error}") from None
    finally:
        log.close()


def _begin(gateway: Gateway, sock: socket.socket, reloader: Reloader, owner: Owner) -> None:
    log = gateway.log
    asyncio.get_running_loop().add_signal_handler(signal.SIGHUP, reloader.force)
    gateway.tasks.every(POLL_S, "configuration watch", lambda: reloader.step(gateway, log))
    host, port = sock.getsockname()[:2]
    log.event("info", "serving", version=__version__, host=host, port=port, pid=os.getpid())
    reloader.begin(gateway, log)
    owner.ready(port)
    # What lives now lives as long as the process: keep the collector from walking it again and again.
    gc.collect()
    gc.freeze()


async def _drain(gateway: Gateway, owner: Owner) -> None:
    gateway.log.event("info", "stopping", in_flight=int(gateway.pipeline.recorder.in_flight.value), pid=os.getpid())
    if not owner.patient:
        for number in ENDINGS:
            asyncio.get_running_loop().remove_signal_handler(number)
    owner.leaving()
    await gateway.drain()
