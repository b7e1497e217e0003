"""All drivers, and keepers on a clock that a test turns by hand."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path

import pytest
from redis_server import RedisServer

from gateway.settings import Alerts
from gateway.stores.base import Store
from gateway.stores.keeper import Budgets, Keeper, KeeperEvent, Quotas
from gateway.stores.memory import MemoryStore
from gateway.stores.redis import RedisStore
from gateway.stores.sqlite import SqliteStore

NOON = 1_795_435_200.0  # 2026-11-23 12:00 UTC


class Clock:
    """Unix time as the test says it."""

    def __init__(self) -> None:
        self.now = NOON

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def server(tmp_path: Path) -> Iterator[RedisServer]:
    """A Redis server of our own, to be stopped and spoilt."""
    server = RedisServer(tmp_path)
    yield server
    server.stop()


@pytest.fixture(params=["memory", "sqlite", "redis"])
def make_store(request: pytest.FixtureRequest, tmp_path: Path) -> Callable[[], Store]:
    """Gives a driver; again and again, over the same data."""
    if request.param == "memory":
        store = MemoryStore()
        return lambda: store
    if request.param == "redis":
        url = request.getfixturevalue("redis_server").url
        return lambda: RedisStore(url, own_clock=False)
    return lambda: SqliteStore(tmp_path / "quota.db")


class Office:
    """Starts keepers over one store and closes them in the end. `events` is what they reported."""

    def __init__(self, make_store: Callable[[], Store], clock: Clock) -> None:
        self.make_store = make_store
        self.clock = clock
        self.events: list[KeeperEvent] = []
        self.keepers: list[Keeper] = []

    async def open(self, quotas: Quotas, alerts: Alerts | None = None, budgets: Budgets | None = None) -> Keeper:
        keeper = Keeper(
            self.make_store(),
            quotas,
            alerts,
            budgets,
            clock=self.clock,
            on_event=self.events.append,
            strict=True,
            store_wait_s=5.0,
        )
        await keeper.start()
        self.keepers.append(keeper)
        return keeper

    async def close(self, keeper: Keeper) -> None:
        self.keepers.remove(keeper)
        assert await keeper.close()


@pytest.fixture
async def office(make_store: Callable[[], Store], clock: Clock) -> AsyncIterator[Office]:
    office = Office(make_store, clock)
    yield office
    for keeper in list(office.keepers):
        await office.close(keeper)
