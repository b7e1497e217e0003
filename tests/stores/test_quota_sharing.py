"""Processes that want the same last tokens, and the same file, at the same time."""

from __future__ import annotations

import asyncio
import sqlite3
import threading
import time
from pathlib import Path

import pytest
from quota_story import ACME, burst, flushed

from gateway.core.ledger_commands import Command, Holders, Recalls, Reply, Sync
from gateway.settings import Quota
from gateway.stores.keeper import Keeper
from gateway.stores.memory import MemoryStore
from gateway.stores.sqlite import SqliteStore

NOON = 1_795_435_200.0  # 2026-11-23 12:00 UTC


class Listening(MemoryStore):
    """Keeps what it was told."""

    def __init__(self) -> None:
        super().__init__()
        self.commands: list[Command] = []

    async def run(self, command: Command, now: float) -> Reply:
        self.commands.append(command)
        return await super().run(command, now)


async def test_scraps_in_many_hands_come_together_for_one_last_request(office) -> None:
    quotas = {"tenant:acme": Quota(daily_tokens=3_000)}
    keepers = [await office.open(quotas) for _ in range(4)]
    for keeper in keepers:
        keeper.settle(await keeper.hold(ACME, 700), 500)  # each has 200 left over, and perhaps a block
    outcomes = await asyncio.gather(*(burst(keeper, 5, 900) for keeper in keepers))
    assert sum(len(holds) for holds, _ in outcomes) == 1
    for keeper, (holds, _) in zip(keepers, outcomes, strict=True):
        for hold in holds:
            keeper.settle(hold, 900)
        await flushed(keeper)


async def test_whoever_asks_again_and_again_leaves_the_store_to_others_in_between(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("gateway.stores.pump.YIELD_S", 0.1)
    store = Listening()
    quotas = {"tenant:acme": Quota(daily_tokens=1_000)}
    keepers = [Keeper(store, quotas, clock=lambda: NOON, strict=True) for _ in range(2)]
    for keeper in keepers:
        await keeper.start()
    before, began = sum(keeper.transactions for keeper in keepers), time.monotonic()

    async def call_on_and_on(keeper: Keeper) -> None:
        while time.monotonic() < began + 0.6:
            keeper.settle(await keeper.hold(ACME, 300, wait_s=5.0), 0)
            await asyncio.sleep(0)

    await asyncio.gather(*(call_on_and_on(keeper) for keeper in keepers * 5))
    elapsed_s = time.monotonic() - began
    assert sum(keeper.transactions for keeper in keepers) - before < 2 * (elapsed_s / 0.1 + 5)
    for keeper in keepers:
        await flushed(keeper)
        assert await keeper.close()


async def test_who_holds_no_lease_does_not_ask_whether_others_want_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gateway.stores.pump.RECALL_S", 0.01)
    store = Listening()
    keepers = [Keeper(store, {"tenant:acme": Quota(daily_tokens=1_000)}, clock=lambda: NOON) for _ in range(2)]
    for keeper in keepers:
        await keeper.start()
    await keepers[0].reset(ACME)  # knows of the other from here on
    hold = await keepers[1].hold(ACME, 10)
    await asyncio.sleep(0.3)
    asking = {command.holder for command in store.commands if isinstance(command, Recalls)}
    assert asking == {keepers[1]._pump._holder}
    keepers[1].settle(hold, 10)
    for keeper in keepers:
        assert await keeper.close()


async def test_a_request_whose_time_is_up_while_room_shows_is_not_refused_before_it_asked(
    office, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gateway.stores.pump.YIELD_S", 0.2)
    quotas = {"tenant:acme": Quota(daily_tokens=1_000)}
    keeper, other = await office.open(quotas), await office.open(quotas)
    await keeper.reset(ACME)  # knows of the other from here on
    blocking = await keeper.hold(ACME, 900)
    waiting = asyncio.create_task(keeper.hold(ACME, 800, wait_s=0.05))
    await asyncio.sleep(0.03)
    keeper.settle(blocking, 0)
    keeper.settle(await waiting, 800)
    other.settle(await other.hold(ACME, 150), 150)


async def test_who_waits_for_a_lock_gets_it_soon_after_it_is_free(tmp_path: Path) -> None:
    store = SqliteStore(tmp_path / "quota.db")
    await store.open()
    lock = sqlite3.connect(tmp_path / "quota.db", isolation_level=None, check_same_thread=False)
    lags: list[float] = []
    for seq in range(1, 6):
        lock.execute("BEGIN EXCLUSIVE")
        released = threading.Timer(0.35, lock.execute, ("ROLLBACK",))
        released.start()
        began = time.monotonic()
        await store.run(Sync("a", seq), NOON)
        lags.append(time.monotonic() - began - 0.35)
        released.join()
    lock.close()
    assert sorted(lags)[2] < 0.06, lags  # SQLite's own pauses are 100 ms by then
    assert isinstance(await store.run(Holders(), NOON), list)
    await store.close()
