"""A Redis server that is paused, cut off, or not the one that has our keys: refused in time, nothing lost, nothing twice."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
from quota_story import ACME, flushed, until
from redis_server import RedisServer
from redis_story import DAY, NOON, day, keeper_on

from gateway.core.ledger_commands import Arrive, Ask, Holders, Open, Reap, Sync, Synced
from gateway.core.ledger_rows import Process
from gateway.core.ledger_views import Refused
from gateway.settings import Quota
from gateway.stores.base import StoreDown
from gateway.stores.keeper import Keeper, KeeperEvent, StoreBack, StoreLost
from gateway.stores.redis import RedisStore


class Wire:
    """A TCP proxy before a server. `deaf`: answers get lost. `cut`: nobody gets through, and who was through is thrown out."""

    def __init__(self, port: int) -> None:
        self.target = port
        self.deaf = self.cut = False
        self.connections: list[asyncio.StreamWriter] = []
        self.tasks: list[asyncio.Task[None]] = []

    async def __aenter__(self) -> Wire:
        self.server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.url = f"redis://127.0.0.1:{self.server.sockets[0].getsockname()[1]}/0"
        return self

    async def __aexit__(self, *error: object) -> None:
        self.throw_out()
        self.server.close()
        await asyncio.gather(*self.tasks)

    def throw_out(self) -> None:
        for writer in self.connections:
            writer.transport.abort()
        self.connections.clear()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.tasks.append(asyncio.current_task())  # type: ignore[arg-type]
        if self.cut:
            writer.transport.abort()
            return
        there, out = await asyncio.open_connection("127.0.0.1", self.target)
        self.connections += [writer, out]
        await asyncio.gather(self._copy(reader, out, False), self._copy(there, writer, True), return_exceptions=True)
        for each in (writer, out):
            each.transport.abort()

    async def _copy(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, answers: bool) -> None:
        while chunk := await reader.read(65_536):
            if not (answers and self.deaf):
                writer.write(chunk)


@pytest.fixture
async def wire(redis_server: RedisServer) -> AsyncIterator[Wire]:
    async with Wire(redis_server.port) as wire:
        yield wire


@pytest.fixture
def hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    """A command may take a fifth of a second."""
    monkeypatch.setattr("gateway.stores.redis.COMMAND_S", 0.2)


async def refused_in_time(keeper: Keeper) -> None:
    began = time.monotonic()
    with pytest.raises(Refused) as refused:
        await keeper.hold(ACME, 5_000)
    assert (refused.value.code, 0.2 < time.monotonic() - began < 1.5) == ("store_unavailable", True)


async def test_a_cut_network_is_survived_and_exact(redis_server: RedisServer, wire: Wire, hasty: None) -> None:
    events: list[KeeperEvent] = []
    keeper = keeper_on(wire.url, events)
    await keeper.start()
    keeper.settle(await keeper.hold(ACME, 500), 100)
    await flushed(keeper)
    wire.cut = True
    wire.throw_out()
    keeper.settle(await keeper.hold(ACME, 100), 60)  # from the lease in hand
    await refused_in_time(keeper)
    assert not keeper.healthy
    wire.cut = False
    await until(lambda: keeper.healthy)
    await flushed(keeper)
    assert day(redis_server).settled == 160
    keeper.settle(await keeper.hold(ACME, 5_000), 40)
    assert await keeper.close()
    assert (day(redis_server).settled, day(redis_server).leased) == (200, 0)
    assert [type(event) for event in events if not isinstance(event, Refused)] == [StoreLost, StoreBack]


async def test_answers_that_get_lost_charge_nothing_twice(redis_server: RedisServer, wire: Wire, hasty: None) -> None:
    keeper = keeper_on(wire.url)
    await keeper.start()
    used = 0
    for _ in range(3):
        wire.deaf = True
        keeper.charge(ACME, 11)
        used += 11
        await until(lambda: not keeper.healthy)
        assert day(redis_server).settled == used  # it acted, and could not say so
        wire.deaf = False
        await until(lambda: keeper.healthy)
        await flushed(keeper)
        assert day(redis_server).settled == used
    assert await keeper.close()


async def test_a_paused_server_is_away_for_as_long(redis_server: RedisServer, hasty: None) -> None:
    events: list[KeeperEvent] = []
    keeper = keeper_on(redis_server.url, events)
    await keeper.start()
    keeper.settle(await keeper.hold(ACME, 500), 100)
    await flushed(keeper)
    with redis_server.client() as client:
        client.client_pause(1_000, all=True)
    keeper.settle(await keeper.hold(ACME, 100), 60)
    await refused_in_time(keeper)
    await until(lambda: not keeper.healthy)
    await until(lambda: keeper.healthy)
    await flushed(keeper)
    assert day(redis_server).settled == 160
    assert [type(event) for event in events if not isinstance(event, Refused)] == [StoreLost, StoreBack]
    assert await keeper.close()


async def test_after_a_long_pause_nobody_is_taken_for_dead(redis_server: RedisServer) -> None:
    store = RedisStore(redis_server.url, own_clock=False)
    await store.open()
    await store.run(Sync("a", 1, (Open(DAY, 1_000), Ask(DAY, 300, 300))), NOON)
    await store.run(Sync("b", 1), NOON)
    await store.run(Sync("c", 1), NOON)
    later = NOON + 600  # the server let nobody through for ten minutes; b is the first to come back
    reply = await store.run(Sync("b", 2, (Reap((), 30.0),)), later)
    assert isinstance(reply, Synced) and reply.orphans == []
    await store.run(Sync("a", 2), later + 1)
    reply = await store.run(Sync("b", 3, (Reap((), 30.0),)), later + 5)
    assert isinstance(reply, Synced) and (reply.orphans, reply.holders) == (
        [],
        2,
    )  # c has not come back, and had no lease
    await store.close()


async def test_the_clock_is_the_servers_unless_told_otherwise(redis_server: RedisServer) -> None:
    store = RedisStore(redis_server.url)
    await store.open()
    await store.run(Sync("a", 1, (Arrive(Process("b", "s", 1, 2)),)), NOON)
    (holder,) = await store.run(Holders(), NOON)  # type: ignore[misc]
    with redis_server.client() as client:
        seconds, _ = client.time()
    assert 0 <= seconds - int(holder.beat_at) <= 5 and holder.process == Process("b", "s", 1, 2)  # type: ignore[union-attr]
    await store.close()


async def test_a_server_whose_memory_is_full_loses_nothing(server: RedisServer) -> None:
    keeper = keeper_on(server.url)
    await keeper.start()
    keeper.settle(await keeper.hold(ACME, 500), 100)
    await flushed(keeper)
    with server.client() as client:
        client.config_set("maxmemory", 1)
        keeper.charge(ACME, 5)
        await until(lambda: not keeper.healthy)
        assert day(server).settled == 100
        client.config_set("maxmemory", 0)
    await until(lambda: keeper.healthy)
    await flushed(keeper)
    assert day(server).settled == 105
    assert await keeper.close()


async def test_a_replica_takes_nothing_until_it_is_the_master(server: RedisServer, redis_server: RedisServer) -> None:
    keeper = keeper_on(server.url)
    await keeper.start()
    keeper.settle(await keeper.hold(ACME, 500), 100)
    await flushed(keeper)
    with server.client() as client:
        client.replicaof(
            "127.0.0.1", str(server.port + 1 if server.port < 65_000 else 1)
        )  # nobody is there: its data stays
        keeper.charge(ACME, 5)
        await until(lambda: not keeper.healthy)
        client.replicaof("no", "one")
    await until(lambda: keeper.healthy)
    await flushed(keeper)
    assert day(server).settled == 105
    assert await keeper.close()


@pytest.fixture
def nodes(tmp_path: Path) -> Iterator[list[RedisServer]]:
    """Two servers that may form a cluster."""
    nodes = []
    for name in ("one", "other"):
        (tmp_path / name).mkdir()
        nodes.append(RedisServer(tmp_path / name, "--appendonly", "yes", "--cluster-enabled", "yes"))
    yield nodes
    for node in nodes:
        node.stop()


async def test_in_a_cluster_the_node_that_has_our_slot_is_found(nodes: list[RedisServer]) -> None:
    one, other = nodes
    with one.client() as here, other.client() as there:
        slot = there.execute_command("CLUSTER KEYSLOT", "{gateway:quota}")
        here.execute_command("CLUSTER", "ADDSLOTSRANGE", 0, slot - 1, slot + 1, 16_383)
        there.execute_command("CLUSTER", "ADDSLOTS", slot)
        here.execute_command("CLUSTER", "MEET", "127.0.0.1", other.port)
        await until(lambda: b"cluster_state:ok" in here.execute_command("CLUSTER", "INFO"), 30)
        await until(lambda: b"cluster_state:ok" in there.execute_command("CLUSTER", "INFO"), 30)
    store = RedisStore(one.url)
    await store.open()
    keeper = Keeper(store, {"tenant:acme": Quota(daily_tokens=1_000)}, clock=lambda: NOON, strict=True)
    await keeper.start()
    keeper.settle(await keeper.hold(ACME, 500), 321)
    assert await keeper.close()
    with pytest.raises(StoreDown):
        await RedisStore(one.url.replace("/0", "/1")).open()  # a cluster has one database
    assert day(other).settled == 321
