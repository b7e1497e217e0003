"""One proof from start to verdict: rounds, kills, and a look into the books every few rounds."""

from __future__ import annotations

import asyncio
import random
import secrets
import time
import urllib.request
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

from msgspec import Struct, json

from bench.proving.books import TIMEOUT_S, Ledger, Served
from bench.proving.crowd import Crowd
from bench.proving.disk import Disk
from bench.proving.fleet import Fleet, Simulators, standing
from bench.proving.redis import own_server
from bench.proving.rounds import Found, asks, judge, may_kill, plan_of, strange
from bench.proving.verdict import Figures, check_alerts, compare

AUDIT_EVERY = 20  # rounds
QUIET_S = 2.0
LEASES_BACK_S = 12.0  # idle lease takes 4 s, a dead holder that nobody replaced 5 s more
KILL_WITHIN_S = 0.6  # of a round's beginning
LOOKS = 8  # connections for each process that are asked what it holds: they land anywhere


class Size(Struct, frozen=True):
    """How much is proved. `workers` or `nodes` is 0."""

    rounds: int
    seconds: float
    calls: int
    kills: int
    workers: int
    nodes: int


async def prove(folder: Path, size: Size, store: str, seed: int, tell: Callable[[str], None]) -> Figures:
    """Run it all; `tell` is called with a line now and then. `store`: an empty one, "redis" for a server of our own, "" for a file."""
    with ExitStack() as stack:
        if store == "redis":
            store = stack.enter_context(own_server(folder))
        store = store or f"sqlite:///{folder}/quotas.db"
        fleet, simulators = stack.enter_context(standing(folder, store, size.workers, size.nodes))
        disk = Disk(folder)
        try:
            return await Proof(fleet, simulators, Ledger(store), disk, size, seed, tell).run()
        finally:
            disk.stop()


class Proof:
    """The state of one run."""

    def __init__(
        self,
        fleet: Fleet,
        simulators: Simulators,
        ledger: Ledger,
        disk: Disk,
        size: Size,
        seed: int,
        tell: Callable[[str], None],
    ) -> None:
        self.figures = Figures()
        self._fleet = fleet
        self._ledger = ledger
        self._disk = disk
        self._served = Served(simulators.origin)
        self._size = size
        self._dice = random.Random(seed)
        self._tell = tell
        self._run = f"t{secrets.token_hex(3)}"
        self._founds: list[Found] = []
        self._held_s = 2.0
        self._slow_s = 0.0  # what the simulators were told

    async def run(self) -> Figures:
        """Rounds until there are enough, or the time is up; then the last audit."""
        await self._open()
        before, began = await self._transactions(), time.monotonic()
        mortal = may_kill(self._size.rounds)
        killing = set(self._dice.sample(mortal, min(self._size.kills, len(mortal))))
        for number in range(self._size.rounds):
            if time.monotonic() - began > self._size.seconds:
                break
            await self._round(number, number in killing)
            if (number + 1) % AUDIT_EVERY == 0:
                await self._audit()
        await self._audit()
        self.figures.elapsed_s = time.monotonic() - began
        spent = await self._transactions() - before
        self.figures.transactions_per_s = spent / self.figures.elapsed_s / self._fleet.processes
        await self._ledger.close()
        return self.figures

    async def _open(self) -> None:
        """The gateways make the store; only then can it be read."""
        ready = asyncio.Event()

        async def live() -> set[int]:
            if not ready.is_set():
                await self._ledger.open()
                ready.set()
            return await self._ledger.live()

        await self._fleet.whole(live)
        if any(row.settled or row.leased for row in (await self._ledger.accounts()).values()):
            raise RuntimeError("this store knows of use today: a proof counts from nothing, so name an empty one")

    async def _transactions(self) -> int:
        """All that holders, dead or alive, have written: each of their transactions has a number."""
        return sum(holder.seq for holder in await self._ledger.holders())

    async def _round(self, number: int, kill: bool) -> None:
        plan = plan_of(number, self._run, kill)
        self._slow(self._held_s if plan.kind == "held" else 0.0)
        token = self._fleet.token(plan.tenant)
        crowd = Crowd(self._fleet.ports, asks(plan, self._size.calls, self._fleet.ports, token, self._dice))
        killer = asyncio.create_task(self._kill(crowd.connected)) if kill else None
        self._disk.worst_s()
        answers = await crowd.run()
        found = judge(plan, answers, crowd.began_at, self._disk.worst_s())
        if killer is not None:
            await killer
            await self._fleet.whole(self._ledger.live)
        if plan.kind == "held" and found.missed is None:
            self._held_s = min(8.0, self._held_s * 1.5)  # the machine is slow today
        self._founds.append(found)
        self.figures.add(found)
        self._complain(found)

    def _complain(self, found: Found) -> None:
        if found.missed or found.over or strange(found):
            self._tell(
                f"round {found.plan}: missed {found.missed}, too many {found.over}: {dict(found.codes)}, disk {found.disk_s:.2f} s {found.told}"
            )

    async def _kill(self, connected: asyncio.Event) -> None:
        await connected.wait()  # a node that is dead before has nobody who would take its callers
        await asyncio.sleep(self._dice.uniform(0.0, KILL_WITHIN_S))
        self._fleet.kill_one(self._dice)
        self.figures.kills += 1

    def _slow(self, delay_s: float) -> None:
        if delay_s != self._slow_s:
            self._slow_s = delay_s
            self._served.slow(delay_s)

    # ------------------------------------------------------------ the books

    async def _audit(self) -> None:
        """After two quiet seconds nothing is reserved, a little later nothing is leased, and the books agree."""
        await asyncio.sleep(QUIET_S)
        self.figures.reserved_after_quiet += self._reserved()
        self.figures.leased_after_quiet = await self._leases_back()
        accounts = await self._ledger.accounts()
        self.figures.refused_with_room = sum(found.missed or 0 for found in self._founds)
        compare(self.figures, accounts, self._served.tokens(), self._founds)
        check_alerts(
            self.figures, accounts, await self._ledger.alerts(), list(self._fleet.told("quota_alert")), self._founds
        )
        figures = self.figures
        self._tell(
            f"{figures.rounds} rounds, {figures.calls} calls, {figures.kills} kills: "
            + ("; ".join(figures.faults()) or "as promised")
        )

    async def _leases_back(self) -> int:
        ends_at = time.monotonic() + LEASES_BACK_S
        while True:
            leased = sum(row.leased for row in (await self._ledger.accounts()).values())
            if not leased or time.monotonic() > ends_at:
                return leased
            await asyncio.sleep(0.25)

    def _reserved(self) -> int:
        """What processes say they hold for calls, of the providers that all calls share: the most that any of them says."""
        tenant = f"{self._run}-0"
        headers = {"authorization": f"Bearer {self._fleet.token(tenant)}"}
        most = 0
        for number in range(LOOKS * self._fleet.processes):
            port = self._fleet.ports[number % len(self._fleet.ports)]
            url = f"http://127.0.0.1:{port}/api/v1/{tenant}/ai/providers"
            with urllib.request.urlopen(urllib.request.Request(url, headers=headers), timeout=TIMEOUT_S) as answer:
                rows = json.decode(answer.read())["providers"]
            most = max(most, sum(row["quota"]["daily"]["reserved"] for row in rows))
        return most
