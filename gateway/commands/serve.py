"""`gateway serve`: one process on one socket, until SIGTERM."""

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
from pathlib import Path

from gateway import __version__
from gateway.app import Gateway
from gateway.commands.failing import CommandError
from gateway.config import ConfigError, Loaded, load
from gateway.logs import LogWriter, StandardLogging
from gateway.settings import Config
from gateway.stores.base import StoreError
from gateway.telemetry import Registry

try:
    import uvloop
except ImportError:  # no uvloop on this platform: asyncio's own loop serves as well, slower
    uvloop = None  # type: ignore[assignment]

POLL_S = 1.0


def run(arguments: argparse.Namespace) -> int:
    loaded = load(arguments.config, os.environ)
    serve(loaded.config, arguments.host, arguments.port, os.environ, reload=Reloader(arguments.config, os.environ))
    return 0


def serve(
    config: Config,
    host: str | None,
    port: int | None,
    environ: Mapping[str, str],
    *,
    reload: Reloader | None = None,
    ready: Callable[[int], None] | None = None,
) -> None:
    """Serve until SIGTERM or SIGINT. `ready` is told the port once calls are answered."""
    sock = listen(host or config.server.host, config.server.port if port is None else port)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop if uvloop is not None else None) as runner:
        runner.run(_serve(config, sock, environ, reload, ready))


def listen(host: str, port: int) -> socket.socket:
    """A listening socket. Raises CommandError that says what stands in the way."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    sock = socket.socket(family, socket.SOCK_STREAM)
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.bind((host, port))
        sock.listen(1024)
    except OSError as error:
        sock.close()
        raise CommandError(
            f"cannot listen on {host}:{port}: {error.strerror or error}. Choose another with --port."
        ) from None
    sock.setblocking(False)
    return sock


async def _serve(
    config: Config,
    sock: socket.socket,
    environ: Mapping[str, str],
    reload: Reloader | None,
    ready: Callable[[int], None] | None,
) -> None:
    registry = Registry()
    dropped = registry.cell("gateway_log_lines_dropped_total")

    def on_drop(lines: int) -> None:
        dropped.value += lines

    log = LogWriter(sys.stderr.buffer, level=config.log.level, text=config.log.format == "text", on_drop=on_drop)
    logging.getLogger().handlers[:] = [StandardLogging(log)]
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    gateway = Gateway(config, environ, log, registry)
    try:
        try:
            await gateway.start(sock)
        except (StoreError, ValueError) as error:
            raise CommandError(f"cannot start: {error}") from None
        if reload is not None:
            loop.add_signal_handler(signal.SIGHUP, reload.force)
            gateway.tasks.every(POLL_S, "configuration watch", lambda: reload.step(gateway, log))
        port = sock.getsockname()[1]
        log.event("info", "serving", version=__version__, host=sock.getsockname()[0], port=port, pid=os.getpid())
        if ready is not None:
            ready(port)
        # What lives now lives as long as the process: keep the collector from walking it again and again.
        gc.collect()
        gc.freeze()
        await stop.wait()
        log.event("info", "stopping", in_flight=int(gateway.pipeline.recorder.in_flight.value))
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.remove_signal_handler(number)  # a second Ctrl-C ends at once
        await gateway.drain()
    finally:
        await gateway.stop()
        log.event("info", "stopped")
        log.close()


class Reloader:
    """Sees that the configuration changed: by SIGHUP, or by the file's and its references' time, size or inode.

    Polling sees what notification misses: a ConfigMap's swapped link, an editor that writes a new file.
    """

    def __init__(self, path: str, environ: Mapping[str, str], adapt: Callable[[Loaded], Config] | None = None) -> None:
        """`adapt`: what makes the served config of a loaded one (the demo's simulators); missing keys are then allowed."""
        self._path = path
        self._environ = environ
        self._adapt = adapt
        self._files: tuple[str, ...] = (path,)
        self._seen = self._look()
        self._forced = False

    def force(self) -> None:
        """Read again at the next step, changed or not."""
        self._forced = True

    async def step(self, gateway: Gateway, log: LogWriter) -> None:
        """Reload when something changed. A bad file changes nothing and is reported once."""
        seen = self._look()
        if seen == self._seen and not self._forced:
            return
        self._seen, self._forced = seen, False
        try:
            loaded = load(self._path, self._environ, allow_missing_provider_keys=self._adapt is not None)
            await gateway.reload(loaded.config if self._adapt is None else self._adapt(loaded))
        except ConfigError as error:
            gateway.registry.count("gateway_config_reloads_total", "error")
            log.event("error", "reload_refused", problems=[str(problem) for problem in error.problems])
            return
        self._files = (self._path, *loaded.files)
        self._seen = self._look()
        gateway.registry.count("gateway_config_reloads_total", "ok")
        log.event("info", "reloaded", file=self._path)

    def _look(self) -> tuple[object, ...]:
        seen: list[object] = []
        for name in self._files:
            try:
                found = Path(name).stat()
                seen.append((found.st_mtime_ns, found.st_size, found.st_ino))
            except OSError:
                seen.append(None)
        return tuple(seen)
