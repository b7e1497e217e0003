"""Redis servers that die, lose what they acknowledged, or come back empty."""

from __future__ import annotations

import asyncio

import pytest
from quota_story import ACME, flushed, until
from redis_server import RedisServer
from redis_story import DAY, NOON, QUOTAS, OldState, day, keeper_on

from gateway.core.ledger_commands import (
    Ask,
    Audits,
    Open,
    Reset,
    Settle,
    Sync,
    Synced,
)
from gateway.core.ledger_rows import Key
from gateway.stores.base import StoreDown
from gateway.stores.keeper import Keeper, KeeperEvent, StoreBack, StoreLost
from gateway.stores.redis import RedisStore

# ---------------------------------------------------------------- a server that dies, forgets, or is another one


async def test_what_was_answered_survives_kill_9_of_the_server(server: RedisServer) -> None:
    events: list[KeeperEvent] = []
    keeper = keeper_on(server.url, events)
    await keeper.start()
    used = 0
    for _ in range(5):
        hold = await keeper.hold(ACME, 300)
        server.kill()
        keeper.settle(hold, 123)  # while it is away
        used += 123
        await until(lambda: not keeper.healthy)
        server.start()
        await until(lambda: keeper.healthy)
        await flushed(keeper)
        assert day(server).settled == used
    assert [type(event) for event in events] == [StoreLost, StoreBack] * 5
    assert await keeper.close()
    assert (day(server).settled, day(server).leased) == (used, 0)


async def test_acknowledged_writes_that_a_server_lost_are_repeated_as_they_happened(server: RedisServer) -> None:
    warnings: list[str] = []
    keepers = [
        Keeper(RedisStore(server.url, warnings.append), QUOTAS, clock=lambda: NOON, strict=True) for _ in range(2)
    ]
    for keeper in keepers:
        await keeper.start()
        keeper.settle(await keeper.hold(ACME, 500), 100)
        await flushed(keeper)
    old = OldState(server)
    holds = [await keeper.hold(ACME, tokens) for keeper, tokens in zip(keepers, (4_000, 2_500), strict=True)]
    for keeper in keepers:
        for _ in range(3):
            keeper.settle(await keeper.hold(ACME, 100), 70)
            await flushed(keeper)
    before = day(server)
    assert before.settled == 200 + 6 * 70
    old.bring_back()
    await until(lambda: len(warnings) == 2)
    for keeper in keepers:
        await until(lambda keeper=keeper: keeper.healthy)  # type: ignore[misc]
    await until(lambda: day(server).settled == before.settled)
    assert day(server).leased >= 6_500  # what both hold is leased again
    assert len(warnings) == 2 and all("acknowledged transactions" in warning for warning in warnings)
    for keeper, hold in zip(keepers, holds, strict=True):
        keeper.settle(hold, 2_000)
        assert await keeper.close()
    after = day(server)
    assert (after.settled, after.leased, after.orphaned) == (before.settled + 4_000, 0, 0)


async def test_no_lease_is_granted_while_a_new_server_has_not_heard_everybody(server: RedisServer) -> None:
    rich, poor = RedisStore(server.url), RedisStore(server.url)
    for store in (rich, poor):
        await store.open()
    await rich.run(Sync("rich", 1, (Open(DAY, 10_000),)), NOON)
    await poor.run(Sync("poor", 1), NOON)
    old = OldState(server)
    await rich.run(Sync("rich", 2, (Ask(DAY, 9_000, 9_000),)), NOON)
    old.bring_back()
    hungry = Sync("poor", 2, (Ask(DAY, 5_000, 5_000),))
    with pytest.raises(StoreDown):
        await poor.run(hungry, NOON)  # the connection
    with pytest.raises(StoreDown, match="waits to hear what other gateways hold"):
        await poor.run(hungry, NOON)
    with pytest.raises(StoreDown):
        await rich.run(Sync("rich", 3), NOON)
    await rich.run(Sync("rich", 3), NOON)  # repeats its second command first
    reply = await poor.run(hungry, NOON)
    assert isinstance(reply, Synced)
    assert [(standing.leased, standing.mine) for standing in reply.standings] == [(10_000, 1_000)]
    for store in (rich, poor):
        await store.close()


async def test_a_new_server_waits_two_seconds_at_most(server: RedisServer) -> None:
    store = RedisStore(server.url)
    await store.open()
    await store.run(Sync("gone", 1, (Open(DAY, 10_000),)), NOON)
    await store.run(Sync("here", 1), NOON)
    server.kill()
    server.start()
    ask, refusals = Sync("here", 2, (Ask(DAY, 10, 10),)), 0
    began = asyncio.get_running_loop().time()
    while True:
        try:
            reply = await store.run(ask, NOON)
            break
        except StoreDown:
            refusals += 1
            await asyncio.sleep(0.05)
    assert refusals > 10 and 1.9 < asyncio.get_running_loop().time() - began < 4
    assert isinstance(reply, Synced) and reply.standings[0].mine == 10
    await store.close()


async def test_a_reset_that_a_server_lost_is_repeated_and_takes_nothing_that_came_after_it(server: RedisServer) -> None:
    store = RedisStore(server.url)
    await store.open()
    await store.run(Sync("a", 1, (Open(DAY, 10_000), Settle(DAY, 700, 0))), NOON)
    old = OldState(server)
    await store.run(Sync("a", 2, (Reset(DAY, "operator"), Reset(Key("tenant:no", "tokens", "2026-11"), ""))), NOON)
    await store.run(Sync("b", 1, (Settle(DAY, 50, 0),)), NOON)
    old.bring_back()
    with pytest.raises(StoreDown):
        await store.run(Sync("b", 2), NOON)
    await store.run(Sync("b", 2), NOON)  # b's 50 are back before a's reset is
    await store.run(Sync("a", 3), NOON)
    assert (day(server).settled, day(server).epoch) == (50, 2)
    lines = await store.run(Audits(), NOON)
    assert [(line.action, line.amount, line.note) for line in lines] == [("reset", 700, "operator")]  # type: ignore[union-attr]
    await store.close()


async def test_a_ledger_that_vanished_does_not_come_back_empty(server: RedisServer) -> None:
    store = RedisStore(server.url)
    await store.open()
    await store.run(Sync("a", 1, (Open(DAY, 10),)), NOON)
    with server.client() as client:
        client.flushall()
    with pytest.raises(StoreDown, match="the ledger is gone"):
        await store.run(Sync("a", 2), NOON)
    await store.close()


async def test_where_quotas_may_be_forgotten_the_last_minute_and_all_limits_come_back(server: RedisServer) -> None:
    warnings: list[str] = []
    store = RedisStore(server.url + "?allow_volatile=1", warnings.append)
    keeper = Keeper(store, QUOTAS, clock=lambda: NOON, strict=True)
    await keeper.start()
    keeper.settle(await keeper.hold(ACME, 500), 400)
    await flushed(keeper)
    store._said.clear()  # more than a minute passes
    keeper.settle(await keeper.hold(ACME, 500), 30)
    await flushed(keeper)
    with server.client() as client:
        client.flushall()
    keeper.settle(await keeper.hold(ACME, 500), 7)
    await flushed(keeper)
    assert day(server).settled == 37
    keeper.settle(await keeper.hold(ACME, 9_000), 5)
    await until(lambda: day(server).limit == 10_000)  # which nobody had announced in the last minute
    assert any("begins anew" in warning for warning in warnings) and any("older than 60 s" in w for w in warnings)
    assert await keeper.close()
    assert (day(server).settled, day(server).leased) == (42, 0)


async def test_scripts_that_a_server_forgot_are_sent_again(redis_server: RedisServer) -> None:
    store = RedisStore(redis_server.url)
    await store.open()
    for seq in (1, 2):
        with redis_server.client() as client:
            client.script_flush()
        assert isinstance(await store.run(Sync("a", seq, (Settle(DAY, 1, 0),)), NOON), Synced)
    assert day(redis_server).settled == 2
    await store.close()
