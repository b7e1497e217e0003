"""Which connection a pool gives to a call: transports made of lists, a dialer that counts."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from upstream_kit import HELLO, SOMEWHERE, FakeTransport, Recorder, request

from gateway.upstream.connection import Connection
from gateway.upstream.dial import DialFailed
from gateway.upstream.pool import Pool, Tuning
from gateway.upstream.round import Round


class FakeDialer:
    """Connects at once, to nothing. `prepare` sees each transport before anybody else."""

    def __init__(self) -> None:
        self.made: list[Connection] = []
        self.prepare: Callable[[FakeTransport], None] = lambda transport: None
        self.failure: DialFailed | None = None

    async def dial(self, origin: object, proxy: object, make: Callable[[], Connection]) -> Connection:
        if self.failure:
            raise self.failure
        connection, transport = make(), FakeTransport()
        connection.connection_made(transport)
        self.prepare(transport)
        self.made.append(connection)
        return connection

    def remember(self, origin: object, transport: asyncio.Transport) -> None:
        pass


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def a_pool(clock: Clock, **tuning: float) -> tuple[Pool, FakeDialer]:
    dialer, round_ = FakeDialer(), Round(asyncio.get_running_loop())
    return Pool(SOMEWHERE, None, dialer, Tuning(**tuning), clock, round_), dialer  # type: ignore[arg-type]


async def served(pool: Pool, dialer: FakeDialer, calls: int) -> list[Connection]:
    """`calls` at once, answered in order of their connections."""
    before = len(dialer.made)
    for _ in range(calls):
        pool.send(request(), Recorder())
    await asyncio.sleep(0)  # dialled
    await asyncio.sleep(0)  # written
    fresh = dialer.made[before:]
    for connection in fresh:
        connection.data_received(HELLO)
    return fresh


async def test_the_connection_used_last_is_used_next() -> None:
    pool, dialer = a_pool(Clock())
    await served(pool, dialer, 3)
    assert pool.stats() == type(pool.stats())(open=3, idle=3, in_flight=0)
    pool.send(request(), Recorder())
    assert [connection.uses for connection in dialer.made] == [1, 1, 2]


async def test_a_connection_that_is_about_to_close_is_not_given_out() -> None:
    pool, dialer = a_pool(Clock())
    (connection,) = await served(pool, dialer, 1)
    connection.transport.abort()  # its connection_lost comes in a later round of the loop
    transfer = pool.send(request(), Recorder())
    assert connection.uses == 1 and not transfer.sent
    await asyncio.sleep(0)
    assert transfer.sent and len(dialer.made) == 2


async def test_a_connection_that_closes_before_its_first_request_is_a_reset() -> None:
    pool, dialer = a_pool(Clock())
    dialer.prepare = FakeTransport.abort
    sink = Recorder()
    transfer = pool.send(request(), sink)
    await asyncio.sleep(0)
    assert sink.fault is not None and sink.fault.kind == "reset"
    assert not transfer.sent and pool.stats().open == 0


async def test_sweeping_closes_what_is_idle_for_too_long_and_nothing_else() -> None:
    clock = Clock()
    pool, dialer = a_pool(clock, keep_idle_s=50)
    (old,) = await served(pool, dialer, 1)
    busy = Recorder()
    pool.send(request(), busy)  # on the old connection
    clock.now = 10
    (young,) = await served(pool, dialer, 1)
    clock.now = 59
    pool.sweep(clock.now)
    assert pool.stats().idle == 1
    clock.now = 60
    pool.sweep(clock.now)
    assert pool.stats().idle == 0
    assert young.closing
    assert busy.fault is not None and old.closing  # overdue by its own limits


async def test_a_dial_that_takes_too_long_is_called_off() -> None:
    clock = Clock()
    pool, dialer = a_pool(clock)
    sink = Recorder()
    pool.send(request(), sink)
    clock.now = 5
    pool.sweep(clock.now)
    await asyncio.sleep(0)
    assert sink.fault is not None and sink.fault.kind == "connect"
    assert dialer.made == []


async def test_a_failed_replacement_is_a_connect_fault() -> None:
    pool, dialer = a_pool(Clock())
    (connection,) = await served(pool, dialer, 1)
    sink = Recorder()
    pool.send(request(), sink)
    dialer.failure = DialFailed("nobody there")
    connection.connection_lost(None)
    await asyncio.sleep(0)
    assert sink.fault is not None and sink.fault.kind == "connect"
    assert sink.fault.log_message == "provider.test:80: nobody there"
    assert pool.stats().in_flight == 0
