"""The supervisor of `server.workers` > 1: owns the listening sockets, keeps one worker in each slot, and serves no call itself.

    SIGTERM, SIGINT   every worker drains; exit 0 when all have ended in order. A second signal ends them at once, exit 1
    SIGHUP            every worker reads its configuration again
    SIGUSR2           a rolling restart: each worker is replaced by a new one, which is ready before the old one drains

Rule 1: a worker is a new interpreter (never a fork of this one) with two inherited descriptors: its socket and its leash.
Rule 2: each slot has a socket of its own on the port (SO_REUSEPORT), which outlives its workers. Connections that come while a
worker is replaced wait in that socket's queue; none is lost. One socket for all was measured against this: with connections that
come one by one both are even, but of 200 that come at once (a client that opens its pool) the first worker to wake takes most:
1, 6, 93 and 100 by worker, against 41, 43, 55 and 61; and connections to a gateway live long.
Rule 3: the kernel sends a slot connections from the moment that its worker listens. A slot whose worker cannot even start gets a
new socket, on which nobody listens: the others get its share.
Rule 4: what keeps a worker from starting is never a file that somebody is editing: each gets the last configuration that a worker
served, and takes it when something is wrong with the file. A rolling restart is for the newest one, and stops instead.
Rule 5: when nobody serves and a worker cannot start, there is nothing to keep up: the others' fate is its exit code.
"""

from __future__ import annotations

import asyncio
import os
import signal
import socket
from collections.abc import Coroutine
from typing import Any

from gateway.commands.child import Worker, spawn
from gateway.commands.failing import CommandError
from gateway.commands.figures import Book
from gateway.commands.leash import Ask, Counts, Figures, Leaving, Ready, Took
from gateway.commands.listening import free_port, share
from gateway.commands.whole_lines import stderr_lines
from gateway.config import Written
from gateway.logs import LogWriter
from gateway.settings import Config
from gateway.telemetry import Registry

RESTART_S = (
    0.0,
    0.5,
    1.0,
    2.0,
    5.0,
)  # pauses before a slot's next worker, after so many that died young; then the last
YOUNG_S = 10.0


def supervise(config: Config, written: Written, workers: int, path: str, host: str | None, port: int | None) -> int:
    """Serve with so many workers, which read the configuration at `path`, until SIGTERM or SIGINT; returns the exit code.

    `config` is what that file just held, `written` what it was made of.
    """
    if config.store.url.startswith("memory:"):
        raise CommandError(
            f"store.url: memory:// keeps quotas within one process, and there would be {workers} workers, each with quotas of "
            "its own. Use sqlite:///data/gateway.db or redis://…, or set server.workers to 1.",
            2,
        )
    host = host or config.server.host
    address = (host, free_port(host, config.server.port if port is None else port))
    with stderr_lines() as stream:
        log = LogWriter(stream, level=config.log.level, text=config.log.format == "text")
        try:
            return asyncio.run(Supervisor(path, written, address, workers, log).run())
        finally:
            log.close()


class Slot:
    """The place of one worker at a time."""

    def __init__(self, address: tuple[str, int]) -> None:
        self._address = address
        self.sock: socket.socket = share(*address)
        self.worker: Worker | None = None
        self.died_young = 0

    def renew(self) -> None:
        """Take a socket on which nobody listens, so that the kernel gives our connections to the other slots."""
        self.sock.close()
        self.sock = share(*self._address)


class Supervisor:
    """See the module. `path`: the configuration's; `written`: what it holds; `address`: where to listen."""

    def __init__(self, path: str, written: Written, address: tuple[str, int], workers: int, log: LogWriter) -> None:
        self._path = path
        self._kept = written
        self._log = log
        self._slots = [Slot(address) for _ in range(workers)]
        self._workers: set[Worker] = set()  # all that run, those that drain included
        self._tasks = asyncio.TaskGroup()
        self._registry = Registry()
        self._book = Book(self._registry)
        self._begun = asyncio.Event()  # the first worker serves, or never will
        self._stop = asyncio.Event()
        self._rolling = False
        self._code = 0

    async def run(self) -> int:
        self._listen_to_signals()
        port = self._slots[0].sock.getsockname()[1]
        self._log.event("info", "supervising", workers=len(self._slots), port=port, pid=os.getpid())
        async with self._tasks:
            # The first one alone: what keeps workers from starting is said once, and a new store is set up by one.
            self._start(self._tend(self._slots[0]))
            await self._begun.wait()
            for slot in self._slots[1:]:
                self._start(self._tend(slot))
            await self._stop.wait()
            for slot in self._slots:
                slot.sock.close()  # once the last worker has closed its own, the kernel refuses connections
            self._signal_all(signal.SIGTERM)
        self._log.event("info", "supervisor_stopped", code=self._code)
        return self._code

    # ------------------------------------------------------------ signals

    def _listen_to_signals(self) -> None:
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._end)
        loop.add_signal_handler(signal.SIGHUP, self._reload)
        loop.add_signal_handler(signal.SIGUSR2, lambda: self._start(self._roll()))

    def _end(self) -> None:
        if self._stop.is_set():
            self._signal_all(signal.SIGKILL)
        self._halt(0)

    def _halt(self, code: int) -> None:
        self._code = code
        self._begun.set()
        self._stop.set()

    def _reload(self) -> None:
        for worker in self._serving():  # one that is only starting reads the newest file anyway
            worker.signal(signal.SIGHUP)

    def _signal_all(self, number: signal.Signals) -> None:
        for worker in self._workers:
            worker.signal(number)

    # ------------------------------------------------------------ workers

    async def _tend(self, slot: Slot) -> None:
        """Keep a worker in the slot until we stop."""
        while not self._stop.is_set():
            try:
                worker = slot.worker = slot.worker or await self._hire(slot)
            except OSError as error:  # no memory or no descriptors, at this moment
                self._log.event("error", "worker_not_started", error=str(error))
                await self._pause(RESTART_S[-1])
                continue
            await worker.left.wait()
            if slot.worker is worker:  # else a rolling restart has put another one here
                slot.worker = None
                await self._lost(slot, worker)

    async def _hire(self, slot: Slot, *, newest: bool = False) -> Worker:
        worker = await spawn(self._path, slot.sock, self._kept, newest=newest)
        self._workers.add(worker)
        self._start(self._follow(worker))
        if self._stop.is_set():
            worker.signal(signal.SIGTERM)
        return worker

    async def _lost(self, slot: Slot, worker: Worker) -> None:
        """The slot is empty, unasked: wait before the next one when they die young, give up when nobody can start."""
        if self._stop.is_set() or not worker.code:  # it drains, by a signal of somebody else
            return
        if not worker.ready.is_set():
            if not self._serving():
                self._give_up(worker.code)
                return
            slot.renew()
        self._registry.count("gateway_worker_restarts_total")
        slot.died_young = slot.died_young + 1 if worker.age_s() < YOUNG_S else 0
        await self._pause(RESTART_S[min(max(slot.died_young - 1, 0), len(RESTART_S) - 1)])

    async def _pause(self, pause_s: float) -> None:
        try:
            async with asyncio.timeout(pause_s):
                await self._stop.wait()
        except TimeoutError:
            return

    def _give_up(self, code: int) -> None:
        self._log.event("error", "worker_cannot_start", code=code)
        self._halt(code if code > 0 else 1)

    async def _follow(self, worker: Worker) -> None:
        """Listen to a worker until it has ended."""
        async for message in worker.leash.messages():
            match message:
                case Ready():
                    worker.ready.set()
                    self._begun.set()
                case Leaving():
                    worker.left.set()
                case Counts():
                    self._book.take(worker.pid, message)
                case Took(written):
                    self._kept = written
                case Ask():
                    self._start(self._answer(worker, message))
        await worker.end()
        self._workers.discard(worker)
        self._book.close(worker.pid)
        level = "info" if worker.code == 0 else "error"
        self._log.event(level, "worker_ended", pid=worker.pid, code=worker.code, seconds=round(worker.age_s(), 1))
        if self._stop.is_set() and worker.ready.is_set() and worker.code != 0:
            self._code = self._code or 1
        worker.left.set()

    async def _answer(self, asking: Worker, ask: Ask) -> None:
        self._book.take(asking.pid, Counts(ask.snapshot))
        others = {worker.pid: worker.leash for worker in self._serving() if worker is not asking}
        asking.leash.send(Figures(await self._book.all(others), ask.serial))

    async def _roll(self) -> None:
        """Replace the workers one after the other; what is wrong with the first new one leaves all old ones in place."""
        if self._rolling or self._stop.is_set():
            return
        self._rolling = True
        self._log.event("info", "rolling_restart", workers=len(self._slots))
        try:
            for slot in self._slots:
                if not await self._replace(slot):
                    self._log.event("error", "rolling_restart_stopped")
                    return
        finally:
            self._rolling = False
        self._log.event("info", "rolling_restart_done")

    async def _replace(self, slot: Slot) -> bool:
        try:
            new = await self._hire(slot, newest=True)
        except OSError:
            return False
        await new.ready_or_left()
        if not new.ready.is_set() or self._stop.is_set():
            return False
        old, slot.worker = slot.worker, new
        if old is not None:
            old.signal(signal.SIGTERM)
        return True

    def _serving(self) -> list[Worker]:
        return [worker for worker in self._workers if worker.serves]

    def _start(self, work: Coroutine[Any, Any, None]) -> None:
        self._tasks.create_task(work)
