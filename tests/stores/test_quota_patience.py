"""A store that answers late, or a loop that is late to see it, is not a store that is away."""

from __future__ import annotations

import asyncio
import sqlite3
import threading
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from quota_story import ACME, burst, until

from gateway.core.ledger_commands import Command, Reply
from gateway.core.ledger_views import Refused
from gateway.settings import Quota
from gateway.stores.base import Store
from gateway.stores.keeper import Keeper
from gateway.stores.memory import MemoryStore
from gateway.stores.sqlite import SqliteStore
from gateway.stores.sqlite import _patiently as sqlite_patience
from gateway.stores.waiting import Attention

NOON = 1_795_435_200.0  # 2026-11-23 12:00 UTC
QUOTAS = {"tenant:acme": Quota(daily_tokens=10**7)}


class SlowFile(SqliteStore):
    """Its thread takes `delay_s` for every command."""

    delay_s = 0.0

    def _run(self, command: Command, now: float) -> Reply:
        time.sleep(self.delay_s)
        return super()._run(command, now)


class Away(MemoryStore):
    """Answers nothing while it is `away`."""

    def __init__(self) -> None:
        super().__init__()
        self.here = asyncio.Event()
        self.here.set()

    async def run(self, command: Command, now: float) -> Reply:
        await self.here.wait()
        return await super().run(command, now)


@asynccontextmanager
async def keeping(store: Store) -> AsyncIterator[Keeper]:
    keeper = Keeper(store, QUOTAS, clock=lambda: NOON, strict=True)
    await keeper.start()
    yield keeper
    assert await keeper.close()


def freeze(seconds: float) -> None:
    """Nothing turns meanwhile."""
    time.sleep(seconds)


@asynccontextmanager
async def busy_loop(turn_s: float) -> AsyncIterator[None]:
    """Every turn of the loop takes so long, as where hundreds of streams are served."""

    async def work() -> None:
        while True:
            ends = time.perf_counter() + turn_s
            while time.perf_counter() < ends:
                pass
            await asyncio.sleep(0)

    task = asyncio.create_task(work())
    yield
    task.cancel()
    await asyncio.wait({task})


@pytest.mark.parametrize("turn_s", [0.005, 0.05, 0.3])
async def test_a_loop_that_is_late_is_not_taken_for_a_store_that_is_away(tmp_path: Path, turn_s: float) -> None:
    async with keeping(SqliteStore(tmp_path / "quota.db")) as keeper:
        async with busy_loop(turn_s):
            holds, refusals = await burst(keeper, 100, 300)
        assert (len(holds), refusals) == (100, [])
        for hold in holds:
            keeper.settle(hold, 1)


async def test_a_loop_that_froze_after_asking_looks_for_the_answer_first(tmp_path: Path) -> None:
    async with keeping(SqliteStore(tmp_path / "quota.db")) as keeper:
        waiting = asyncio.ensure_future(burst(keeper, 20, 300))
        await asyncio.sleep(0)
        freeze(1.0)
        holds, refusals = await waiting
        assert (len(holds), refusals) == (20, [])
        for hold in holds:
            keeper.settle(hold, 1)


async def test_a_store_that_is_slow_with_what_came_before_is_not_away(tmp_path: Path) -> None:
    store = SlowFile(tmp_path / "quota.db")
    async with keeping(store) as keeper:
        store.delay_s = 0.18
        keeper.charge(("tenant:other",), 1)
        keeper._pump.wake()
        await until(lambda: keeper._pump._call is not None)  # the flush is under way, the question comes after it
        keeper.settle(await keeper.hold(ACME, 500), 1)
        store.delay_s = 0.0


async def test_a_request_at_the_end_of_its_patience_waits_for_the_answer_on_its_way(tmp_path: Path) -> None:
    store = SlowFile(tmp_path / "quota.db")
    async with keeping(store) as keeper:
        store.delay_s = 0.15
        keeper.settle(await keeper.hold(ACME, 500, wait_s=0.02), 1)
        store.delay_s = 0.0


@pytest.mark.parametrize(("turn_s", "least_s", "most_s"), [(0.0, 0.24, 0.5), (0.01, 0.24, 2.0), (0.1, 0.24, 3.0)])
async def test_a_store_that_is_away_is_seen_to_be_however_busy_we_are(
    turn_s: float, least_s: float, most_s: float
) -> None:
    store = Away()
    async with keeping(store) as keeper:
        store.here.clear()
        began = time.monotonic()
        if turn_s:
            async with busy_loop(turn_s):
                _, refusals = await burst(keeper, 10, 300)
        else:
            _, refusals = await burst(keeper, 10, 300)
        assert least_s < time.monotonic() - began < most_s
        assert {refused.reason for refused in refusals} == {"unavailable"} and len(refusals) == 10
        with pytest.raises(Refused):
            await keeper.hold(ACME, 5)
        store.here.set()


async def test_a_file_that_others_write_one_after_the_other_is_not_away(tmp_path: Path) -> None:
    path, ended = tmp_path / "quota.db", threading.Event()

    def write_on_and_on() -> (
        None
    ):  # 0.15 s each, and next to nothing in between: together far longer than anybody's patience
        other = sqlite3.connect(path, isolation_level=None)
        for number in range(5):
            other.execute("BEGIN IMMEDIATE")
            other.execute("INSERT INTO audits VALUES (NULL, 0, 'reset', ?, '', '', 0, '')", (str(number),))
            time.sleep(0.15)
            other.execute("COMMIT")
        other.close()
        ended.set()

    async with keeping(SqliteStore(path)) as keeper:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("gateway.stores.sqlite._patiently", after(ended, sqlite_patience))
            writing = threading.Thread(target=write_on_and_on)
            writing.start()
            await asyncio.sleep(0.05)
            holds, refusals = await burst(keeper, 10, 300, wait_s=0.3)
            writing.join()
        assert (len(holds), refusals) == (10, [])
        for hold in holds:
            keeper.settle(hold, 1)


async def test_a_file_that_another_program_only_locks_is_away(tmp_path: Path) -> None:
    async with keeping(SqliteStore(tmp_path / "quota.db")) as keeper:
        lock = sqlite3.connect(tmp_path / "quota.db", isolation_level=None)
        lock.execute("BEGIN EXCLUSIVE")
        began = time.monotonic()
        _, refusals = await burst(keeper, 10, 300)
        assert {refused.reason for refused in refusals} == {"unavailable"} and time.monotonic() - began < 0.9
        lock.execute("ROLLBACK")
        lock.close()


def after(ended: threading.Event, patiently: Callable[..., Any]) -> Callable[..., Any]:
    """Whoever waits gets its turn last."""

    def last(step: Callable[[], Any], look: Callable[[], None] | None = None) -> Any:
        while look is not None and not ended.wait(0.005):
            look()
        return patiently(step, look)

    return last


def clocked(turns: list[tuple[float, float]]) -> float:
    attention = Attention()
    attention.begin(0.0, 0.0)
    now_s = worked_s = 0.0
    for elapsed_s, work_s in turns:
        now_s, worked_s = now_s + elapsed_s, worked_s + work_s
        attention.turn(now_s, worked_s)
    return round(attention.s, 6)


@pytest.mark.parametrize(
    ("turns", "counted_s"),
    [
        ([(0.050, 0.0)] * 5, 0.25),  # an idle loop: a clock
        ([(0.020, 0.020)] * 10, 0.05),  # one that works all the time: a quarter
        ([(0.500, 0.500)] * 4, 0.2),  # long turns: a little for each
        ([(3600.0, 0.0)], 0.05),  # the machine slept
    ],
)
def test_attention_runs_like_a_clock_where_there_is_little_to_do(
    turns: list[tuple[float, float]], counted_s: float
) -> None:
    assert clocked(turns) == counted_s
