"""The store goes away and comes back: what is refused, what goes on, and that nothing is lost or charged twice."""

from __future__ import annotations

import asyncio
import time

import pytest
from quota_story import ACME, until

from gateway.core.ledger_commands import Command, Reply, Sync
from gateway.core.ledger_views import Refused
from gateway.settings import Quota
from gateway.stores.base import StoreDown
from gateway.stores.keeper import Keeper, KeeperEvent, StoreBack, StoreLost
from gateway.stores.memory import MemoryStore

NOON = 1_795_435_200.0  # 2026-11-23 12:00 UTC
QUOTAS = {"tenant:acme": Quota(daily_tokens=10_000)}


class Flaky(MemoryStore):
    """A store that fails before it acts (`refuse`), or acts and does not say so (`silent`), or does neither (`hang`)."""

    def __init__(self) -> None:
        super().__init__()
        self.refuse = self.silent = False
        self.hang: asyncio.Event | None = None
        self.commands: list[Command] = []

    async def run(self, command: Command, now: float) -> Reply:
        self.commands.append(command)
        if self.hang is not None:
            await self.hang.wait()
        if self.refuse:
            raise StoreDown("disk I/O error")
        reply = await super().run(command, now)
        if self.silent:
            raise StoreDown("connection reset")
        return reply


@pytest.fixture
def events() -> list[KeeperEvent]:
    return []


@pytest.fixture
async def flaky(events):
    store = Flaky()
    keeper = Keeper(store, QUOTAS, clock=lambda: NOON, on_event=events.append, strict=True)
    await keeper.start()
    yield store, keeper
    store.refuse = store.silent = False
    if store.hang is not None:
        store.hang.set()
    assert await keeper.close()


async def test_without_the_store_new_leases_are_refused_after_a_quarter_second(flaky) -> None:
    store, keeper = flaky
    store.refuse = True
    began = time.monotonic()
    with pytest.raises(Refused) as refused:
        await keeper.hold(ACME, 100)
    assert 0.2 < time.monotonic() - began < 1.5
    assert (refused.value.code, keeper.healthy) == ("store_unavailable", False)


async def test_a_burst_that_ends_its_lease_does_not_spin_while_the_store_is_away(flaky, monkeypatch) -> None:
    """Lease that is asked for ahead of need can wait for the next try, and so can who asks."""
    store, keeper = flaky
    hold = await keeper.hold(ACME, 100)  # no more than a 64th of what is left
    store.refuse = True
    while keeper.try_hold(ACME, 100) is not None:
        pass
    turns = 0
    step = keeper._pump._step

    def counted(now_s: float) -> None:
        nonlocal turns
        turns += 1
        step(now_s)

    await until(lambda: not keeper.healthy)
    monkeypatch.setattr(keeper._pump, "_step", counted)
    for _ in range(40):
        keeper.try_hold(ACME, 100)
        keeper._wallet.short.add(hold.purses[0])
        await asyncio.sleep(0.01)
    assert turns < 100
    store.refuse = False


async def test_a_store_that_does_not_answer_is_as_good_as_away(flaky) -> None:
    store, keeper = flaky
    store.hang = asyncio.Event()
    with pytest.raises(Refused) as refused:
        await keeper.hold(ACME, 100)
    assert refused.value.reason == "unavailable"


async def test_leases_in_hand_go_on_and_everything_is_settled_when_the_store_is_back(flaky, events) -> None:
    store, keeper = flaky
    keeper.settle(await keeper.hold(ACME, 1_000), 10)
    store.refuse = True
    for _ in range(5):
        keeper.settle(await keeper.hold(ACME, 100), 100)
    await until(lambda: keeper.counts["store_losses"])
    assert keeper.accounts(ACME)[0].used == 510
    store.refuse = False
    await until(lambda: keeper.healthy)
    await until(lambda: store.book.accounts(("2026-11-23",), 0)[0].settled == 510)
    assert [type(event) for event in events] == [StoreLost, StoreBack]


async def test_an_answer_that_got_lost_is_asked_for_again_and_nothing_is_charged_twice(flaky) -> None:
    store, keeper = flaky
    keeper.settle(await keeper.hold(ACME, 1_000), 400)
    store.commands.clear()
    store.silent = True
    await until(lambda: keeper.counts["store_losses"])
    store.silent = False
    await until(lambda: keeper.healthy)
    await until(lambda: not keeper._wallet.unsettled)
    syncs = [command for command in store.commands if isinstance(command, Sync) and command.ops]
    assert len(syncs) >= 2 and syncs[0] == syncs[1]
    assert store.book.accounts(("2026-11-23",), 0)[0].settled == 400


async def test_a_failure_that_nobody_expected_is_survived_too(flaky, monkeypatch: pytest.MonkeyPatch) -> None:
    _, keeper = flaky
    original = keeper._wallet.collect
    broken = iter([RuntimeError("a bug")])

    def collect(*args, **kwargs):
        for error in broken:
            raise error
        return original(*args, **kwargs)

    monkeypatch.setattr(keeper._wallet, "collect", collect)
    keeper.settle(await keeper.hold(ACME, 100), 100)
    assert keeper.counts["store_losses"] == 1


async def test_a_reset_that_the_store_does_not_take_says_so_and_follows_later(
    flaky, monkeypatch: pytest.MonkeyPatch
) -> None:
    store, keeper = flaky
    keeper.settle(await keeper.hold(ACME, 400), 400)
    store.refuse = True
    monkeypatch.setattr("gateway.stores.pump.CLOSE_S", 0.05)
    with pytest.raises(StoreDown, match="the reset follows"):
        await keeper.reset(ACME)
    monkeypatch.undo()
    store.refuse = False
    await until(lambda: keeper.accounts(ACME)[0].used == 0)


async def test_a_keeper_that_cannot_flush_says_so_when_it_closes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gateway.stores.pump.CLOSE_S", 0.1)
    store = Flaky()
    keeper = Keeper(store, QUOTAS, clock=lambda: NOON)
    await keeper.start()
    store.refuse = True
    assert not await keeper.close()
