"""The one task that talks to the quota store: it flushes, leases, gives back, beats, and serves the requests that wait.

Rule 1: one command is on its way at a time; whatever gathers meanwhile goes into the next. A burst of 500 requests costs a few
transactions.
Rule 2: a command that was not answered is sent again as it was, with the same sequence number: it acts once.
Rule 3: no request's task ever waits on the store itself, so a cancelled request leaves nothing behind.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import cast

from msgspec import Struct

from gateway.core.board import Board
from gateway.core.ledger_commands import (
    Accounts,
    Alerts,
    Arrive,
    Circuits,
    CircuitState,
    Command,
    Holders,
    Op,
    Open,
    Orphan,
    Reap,
    Recalls,
    Refuse,
    Reply,
    Reset,
    Stale,
    Sync,
    Synced,
)
from gateway.core.ledger_rows import Account, AlertRow, Holder, Key
from gateway.core.meters import Meters
from gateway.core.purse import Purse
from gateway.core.wallet import Cost, Hold, Scopes, Wallet
from gateway.stores.base import Beating, Store, StoreDown, StoreError
from gateway.stores.processes import is_gone, this_process
from gateway.stores.waiting import Queue, Waiter

FLUSH_S = 0.25
SWEEP_S = 2.0  # idle lease goes back after this long, twice at most
REFRESH_S = 2.0  # what other processes changed is seen after this long
RECALL_S = 0.1  # how often we look whether other processes wait for our lease
YIELD_S = 0.02  # for each other process, three at most: so long after a transaction we leave the store to them before we ask again
BEAT_S = 5.0
NEWEST = 100  # alerts looked at for those of other processes
DEAD_AFTER_S = 30.0
RETRY_S = (0.05, 0.1, 0.2, 0.5, 1.0)  # pauses while the store is away; the last one again and again
CLOSE_S = 5.0  # how long an operator's reset, or the end, waits for the store


class StoreLost(Struct, frozen=True):
    """The store does not take commands. Leases in hand go on being used."""

    message: str


class StoreBack(Struct, frozen=True):
    """The store takes commands again."""


class OthersAlerts(Struct, frozen=True):
    """The newest alerts of the ledger, newest first: also those that other processes caused."""

    rows: list[AlertRow]


PumpEvent = AlertRow | OthersAlerts | Orphan | StoreLost | StoreBack


class Pump:
    """Runs from `start` to `close`. `report` is called with every event and must not raise."""

    def __init__(
        self,
        store: Store,
        wallet: Wallet,
        holder: str,
        clock: Callable[[], float],
        report: Callable[[PumpEvent], None],
        thresholds: tuple[int, ...],
        notify: bool,
        store_wait_s: float,
    ) -> None:
        self.store = store
        self.thresholds = thresholds
        self.notify = notify
        self.syncs = 0  # transactions so far
        self.errors = 0
        self._wallet = wallet
        self._holder = holder
        self._clock = clock
        self._report = report
        self.queue = Queue(wallet, store_wait_s, clock)
        self._beating = store if isinstance(store, Beating) else None
        self._pulse = 0
        self.board = Board()
        self.meters = Meters()
        self._me = this_process()
        self._seq = 0
        self._holders = 1
        self._gone: tuple[str, ...] = ()
        self._resets: list[tuple[tuple[Key, ...], str, asyncio.Future[list[Account]]]] = []
        self._resetting: list[asyncio.Future[list[Account]]] = []
        self._refused: set[Key] = set()
        self._alarmed: set[tuple[Key, int]] = set()
        self._pending: Command | None = None
        self._call: asyncio.Task[Reply] | None = None
        self._task: asyncio.Task[None] | None = None
        self._awake = asyncio.Event()
        self._closing = self._left = False
        self._failures = 0
        self._retry_s = 0.0
        self._due: dict[str, float] = {}
        self._ask_s = float("-inf")  # no question for lease before this

    # ------------------------------------------------------------ for the keeper

    async def start(self) -> list[AlertRow]:
        """Introduce ourselves, charge what dead processes leased, load the current accounts; returns this month's alerts."""
        await self.store.open()
        self._wallet.turn(self._clock())
        self._find_gone(cast("list[Holder]", await self._ask(Holders())))
        ops = (Arrive(self._me), Reap(self._gone, DEAD_AFTER_S))
        self._confirm(cast("Synced", await self._ask(self._sync(ops))), self._now_s())
        self._wallet.load(cast("list[Account]", await self._ask(Accounts(self._wallet.periods))))
        alerts = cast("list[AlertRow]", await self._ask(Alerts(self._wallet.periods[1])))
        self._alarmed |= {(row.key, row.epoch) for row in alerts if row.threshold >= 100}
        self._due["beat"] = self._now_s() + BEAT_S
        self._task = asyncio.create_task(self._run(), name="quota-pump")
        return alerts

    async def close(self) -> bool:
        """Flush, give everything back and leave. False when the store did not take it in time: the next start will charge it."""
        self._closing = True
        self.queue.refuse_all()
        self.wake()
        if self._task is not None:
            await asyncio.wait({self._task}, timeout=CLOSE_S)
            self._task.cancel()
        if self._call is not None:
            await asyncio.wait({self._call}, timeout=CLOSE_S)
        await asyncio.wait({asyncio.create_task(self.store.close())}, timeout=CLOSE_S)
        return self._left

    async def wait(
        self, scopes: Scopes, tokens: int, wait_s: float, hold: Hold | None = None, cost: Cost | None = None
    ) -> Hold | tuple[str, Purse]:
        """A hold on all scopes as soon as there is room, or the reason and the purse that has none."""
        if self._closing:
            return "unavailable", self._wallet.current(scopes, self._clock())[0]
        if not self.queue:
            self.queue.attention.begin(self._now_s(), time.thread_time())
        waiter = Waiter(scopes, tokens, hold, self.queue.attention.s, wait_s, cost)
        self.queue.add(waiter)
        self.wake()
        try:
            return await waiter.answer
        except asyncio.CancelledError:
            self._abandon(waiter)
            raise

    async def reset(self, keys: tuple[Key, ...], note: str) -> list[Account]:
        """Set accounts to 0 in the next transaction; returns them as they were. Raises StoreDown when that takes too long."""
        future: asyncio.Future[list[Account]] = asyncio.get_running_loop().create_future()
        self._resets.append((keys, note, future))
        self.wake()
        try:
            async with asyncio.timeout(CLOSE_S):
                return await future
        except TimeoutError:
            raise StoreDown("the quota store does not answer; the reset follows when it does") from None

    def refused(self, purse: Purse) -> None:
        """A request was refused because the purse is spent: the 100 % alert, once an epoch."""
        if (purse.key, purse.epoch) not in self._alarmed:
            self._alarmed.add((purse.key, purse.epoch))
            self._refused.add(purse.key)

    def wake(self) -> None:
        """Something changed that the pump should look at."""
        self._awake.set()

    @property
    def alone(self) -> bool:
        """Whether no other process lives on the store, as of the last transaction."""
        return self._holders <= 1

    @property
    def healthy(self) -> bool:
        """Whether the store took the last command."""
        return not self._failures

    def _abandon(self, waiter: Waiter) -> None:
        # The answer may have come in the same moment as the cancellation: nobody else will give it back.
        if waiter.answer.cancelled() or not waiter.answer.done():
            return
        hold = waiter.answer.result()
        if isinstance(hold, Hold):
            if waiter.hold is None:
                self._wallet.settle(hold, 0)
            else:
                self._wallet.release(hold, waiter.scopes)
            self.wake()

    # ------------------------------------------------------------ the loop

    async def _run(self) -> None:
        while not self._left:
            try:
                self._step(self._now_s())
            except Exception as e:  # border: a bug here must not leave requests waiting for ever
                self._failed(e, self._now_s())
            await self._pause()

    def _step(self, now_s: float) -> None:
        self._awake.clear()
        if self._call is not None and self._call.done():
            call, self._call = self._call, None
            self._finish(call, now_s)
        if self.queue:
            self.queue.attention.turn(now_s, time.thread_time())
            self._feel()
            self.queue.serve(now_s, self._holders > 1)
        if self._call is None and now_s >= self._retry_s and not self._left:
            self._pending = self._pending or self._next(now_s)
            if self._pending is not None:
                self.queue.owed()
                self._call = asyncio.create_task(self.store.run(self._pending, self._clock()))
                self._call.add_done_callback(lambda _: self.wake())

    def _feel(self) -> None:
        """A store that gets on with our command, or with those before it, is not away."""
        if self._beating is not None and self._beating.pulse != self._pulse:
            self._pulse = self._beating.pulse
            if self._call is not None and not self._failures:
                self.queue.paid()
                self.queue.owed()

    async def _pause(self) -> None:
        pause_s = min(FLUSH_S, RECALL_S if self._holders > 1 else FLUSH_S, self.queue.patience_s)
        if self._call is None and self._failures:  # nothing is asked before that, whoever wants it
            pause_s = min(pause_s, self._retry_s - self._now_s())
        elif self._call is None and (self.queue.asks or self._wallet.short):
            pause_s = min(pause_s, self._ask_s - self._now_s())
        if self._left or pause_s <= 0:
            await asyncio.sleep(0)
            return
        try:
            async with asyncio.timeout(pause_s):
                await self._awake.wait()
        except TimeoutError:
            return

    def _finish(self, call: asyncio.Task[Reply], now_s: float) -> None:
        try:
            reply = call.result()
            if isinstance(reply, Stale):
                raise StoreError(f"another process uses our holder id {self._holder}")
        except Exception as e:  # border: whatever happens in the store, the same command is sent again
            self._failed(e, now_s)
            return
        command, self._pending = self._pending, None
        self.queue.paid()
        if self._failures:
            self._failures = 0
            self._due["beat"] = now_s  # others wait to hear that we live, and may have to repeat what the store lost
            self._report(StoreBack())
        match command:
            case Sync():
                self._left = command.leave
                self._confirm(cast("Synced", reply), now_s)
            case Accounts():
                self._wallet.load(cast("list[Account]", reply))
            case Circuits():
                self._hear(cast("list[CircuitState]", reply), now_s)
            case Recalls():
                self._wallet.recall(cast("list[Key]", reply))
                if reply:
                    self._due["flush"] = now_s
            case Holders():
                self._find_gone(cast("list[Holder]", reply))
            case Alerts():
                self._report(OthersAlerts(cast("list[AlertRow]", reply)))

    def _failed(self, e: Exception, now_s: float) -> None:
        self.errors += 1
        self.queue.owed()
        self._retry_s = now_s + RETRY_S[min(self._failures, len(RETRY_S) - 1)]
        self._failures += 1
        if self._failures == 1:
            self._report(StoreLost(str(e) or type(e).__name__))

    # ------------------------------------------------------------ what to send next

    def _next(self, now_s: float) -> Command | None:
        if self._closing:
            return self._sync(tuple(self._wallet.collect({}, now_s, leave=True)), leave=True)
        if self._sync_due(now_s):
            return self._gather(now_s)
        if self._holders > 1 and self._wallet.leases and self._elapsed("recall", RECALL_S, now_s):
            return Recalls(self._holder)
        if self._holders > 1 and self._elapsed("holders", BEAT_S, now_s):
            return Holders()
        if self._holders > 1 and self._elapsed("circuits", FLUSH_S, now_s):
            return Circuits()
        if self._holders > 1 and self._elapsed("alerts", REFRESH_S, now_s):
            return Alerts(self._wallet.periods[1], NEWEST)
        if self._elapsed("refresh", REFRESH_S, now_s):
            return Accounts(self._wallet.periods, self._wallet.version)
        return None

    def _sync_due(self, now_s: float) -> bool:
        if self._elapsed("sweep", SWEEP_S, now_s):
            self._wallet.sweep(now_s)
        wallet = self._wallet
        if self._resets or ((self.queue.asks or wallet.short) and now_s >= self._ask_s):
            return True
        idle = not (wallet.unsettled or self._refused or wallet.outdated or wallet.returns or self.board.restless)
        return (not idle and now_s >= self._due.get("flush", 0.0)) or now_s >= self._due.get("beat", 0.0)

    def _elapsed(self, what: str, period_s: float, now_s: float) -> bool:
        due = now_s >= self._due.setdefault(what, now_s + period_s)
        if due:
            self._due[what] = now_s + period_s
        return due

    def _gather(self, now_s: float) -> Sync:
        """Everything that there is to say, in one transaction."""
        ops: list[Op] = self._wallet.collect(self.queue.wanted(), now_s)
        self.queue.asked(now_s)
        for key in sorted(self._refused):
            purse = self._wallet.purse(key)
            # A request that was too large asked for no lease: the ledger may never have heard of the limit.
            ops += [Refuse(key)] if purse.announced else [Open(key, purse.limit), Refuse(key)]
        self._refused = set()
        ops += self.board.collect() + self.meters.collect(self._holders > 1, now_s)
        for keys, note, future in self._resets:
            ops += [Reset(key, note) for key in keys]
            self._resetting.append(future)
        self._resets = []
        if self._elapsed("beat", BEAT_S, now_s):
            ops.append(Reap(self._gone, DEAD_AFTER_S))
        self._due["flush"] = now_s + FLUSH_S
        return self._sync(tuple(ops))

    def _sync(self, ops: tuple[Op, ...], leave: bool = False) -> Sync:
        self._seq += 1
        return Sync(self._holder, self._seq, ops, self.thresholds, self.notify, leave)

    def _confirm(self, synced: Synced, now_s: float) -> None:
        self.syncs += 1
        self._holders = synced.holders
        self._ask_s = now_s + YIELD_S * min(3, self._holders - 1)
        self._wallet.confirm(synced, now_s)
        self._hear(synced.circuits, now_s)
        self.meters.confirm(synced.buckets, now_s)
        self.queue.told()
        self._alarmed |= {(row.key, row.epoch) for row in synced.alerts if row.threshold >= 100}
        resetting, self._resetting = self._resetting, []
        for future in resetting:
            if not future.done():
                future.set_result(synced.before)
        for orphan in synced.orphans:
            self._report(orphan)
        for alert in synced.alerts:
            self._report(alert)

    def _hear(self, circuits: list[CircuitState], now_s: float) -> None:
        self.board.confirm(circuits, self._holder, self._holders > 1, now_s)

    def _find_gone(self, holders: list[Holder]) -> None:
        live = [holder for holder in holders if holder.state == "live" and holder.id != self._holder]
        self._gone = tuple(holder.id for holder in live if is_gone(holder, self._me, self.store.local))
        if self._gone:
            self._due["beat"] = 0.0

    async def _ask(self, command: Command) -> Reply:
        return await self.store.run(command, self._clock())

    def _now_s(self) -> float:
        return asyncio.get_running_loop().time()
