"""Many exchanges at once: reuse, limits, back-pressure, and no answer that reaches another call."""

from __future__ import annotations

import asyncio
import gc
import random
from collections.abc import Callable, Iterator

import pytest
import uvloop
from msgspec import structs
from upstream_kit import HELLO, PATIENT, Recorder, Serve, answering, read_request, request

from gateway.upstream import Origin, Tuning, Upstream, UpstreamFailed, fetch
from gateway.upstream.transfer import Transfer


@pytest.fixture(params=["uvloop", "asyncio"], scope="module")
def event_loop_policy(request: pytest.FixtureRequest) -> Iterator[asyncio.AbstractEventLoopPolicy]:
    yield uvloop.EventLoopPolicy() if request.param == "uvloop" else asyncio.DefaultEventLoopPolicy()


async def until(condition: Callable[[], bool]) -> None:
    for _ in range(400):
        if condition():
            return
        await asyncio.sleep(0.005)
    raise AssertionError("it did not come to that within 2 s")


async def test_many_calls_at_once_open_as_many_connections_and_keep_them(serve: Serve, upstream: Upstream) -> None:
    origin = await serve(answering(HELLO, pause_s=0.2))
    answers = asyncio.gather(*(fetch(upstream, request(origin)) for _ in range(150)))
    await asyncio.sleep(0)
    assert upstream.stats()[origin].in_flight == 150
    assert all(answer.body == b"hello" for answer in await answers)
    stats = upstream.stats()[origin]
    assert (stats.open, stats.idle, stats.in_flight) == (150, 150, 0)


async def test_calls_one_after_another_share_one_connection(serve: Serve, upstream: Upstream) -> None:
    origin = await serve(answering(HELLO))
    for _ in range(50):
        await fetch(upstream, request(origin))
    assert upstream.stats()[origin].open == 1


async def test_more_idle_connections_than_allowed_are_closed(serve: Serve) -> None:
    upstream = Upstream(Tuning(max_idle=3), environ={})
    origin = await serve(answering(HELLO, pause_s=0.05))
    await asyncio.gather(*(fetch(upstream, request(origin)) for _ in range(10)))
    await until(lambda: upstream.stats()[origin].open == 3)
    await upstream.close()


async def test_an_idle_connection_is_closed_before_its_server_would(serve: Serve) -> None:
    upstream = Upstream(Tuning(keep_idle_s=0.1, sweep_s=0.02), environ={})
    origin = await serve(answering(HELLO))
    await fetch(upstream, request(origin))
    assert upstream.stats()[origin].idle == 1
    await until(lambda: upstream.stats()[origin].open == 0)
    await upstream.close()


async def test_a_connection_that_is_too_old_is_not_reused_even_before_the_sweep(serve: Serve) -> None:
    now = [0.0]
    upstream = Upstream(Tuning(sweep_s=60), environ={}, clock=lambda: now[0])
    connections = 0

    async def count(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal connections
        connections += 1
        await answering(HELLO)(reader, writer)

    origin = await serve(count)
    for now[0] in (0.0, 49.9, 99.8, 150.0):
        await fetch(upstream, request(origin))
    assert connections == 2
    await upstream.close()


async def test_idle_connections_that_the_server_closes_are_forgotten(serve: Serve, upstream: Upstream) -> None:
    writers: list[asyncio.StreamWriter] = []

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writers.append(writer)
        await answering(HELLO)(reader, writer)

    origin = await serve(handle)
    await fetch(upstream, request(origin))
    writers[0].close()
    await until(lambda: upstream.stats()[origin].open == 0)
    assert (await fetch(upstream, request(origin))).body == b"hello"


async def nonce_echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Answers with the body it was sent, sooner or later, in one piece or two; now and then it closes, or adds garbage."""
    chance = random.Random(id(writer))
    while whole := await read_request(reader):
        nonce = whole.partition(b"\r\n\r\n")[2]
        if chance.random() < 0.5:
            await asyncio.sleep(chance.random() * 0.01)
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n%b" % (len(nonce), nonce[:3]))
        if chance.random() < 0.5:
            await asyncio.sleep(0.001)
        writer.write(nonce[3:])
        if chance.random() < 0.02:
            writer.write(HELLO)
        if chance.random() < 0.02:
            return


async def test_no_answer_reaches_another_call_when_every_fifth_is_cancelled(serve: Serve, upstream: Upstream) -> None:
    origin = await serve(nonce_echo)
    chance = random.Random(7)
    numbers = iter(range(2000))
    outcomes = {"right": 0, "wrong": 0, "cancelled": 0, "failed": 0}

    async def one(number: int) -> str:
        nonce = b"nonce-%06d" % number
        try:
            async with asyncio.timeout(chance.random() * 0.01 if number % 5 == 0 else None):
                answer = await fetch(upstream, request(origin, nonce))
        except TimeoutError:
            return "cancelled"
        except UpstreamFailed:
            return "failed"
        return "right" if answer.body == nonce else "wrong"

    async def caller() -> None:
        for number in numbers:
            outcomes[await one(number)] += 1

    await asyncio.gather(*(caller() for _ in range(40)))
    assert outcomes["wrong"] == outcomes["failed"] == 0
    assert outcomes["cancelled"] > 100 and outcomes["right"] > 1600
    assert upstream.stats()[origin].in_flight == 0
    await until(lambda: upstream.stats()[origin].open == upstream.stats()[origin].idle)


async def test_a_cancelled_call_closes_its_connection_at_once(serve: Serve, upstream: Upstream) -> None:
    gone = asyncio.Event()

    async def endless(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await read_request(reader)
        writer.write(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n1\r\nx\r\n")
        await reader.read()
        gone.set()

    origin = await serve(endless)
    sink = Recorder()
    transfer = upstream.send(request(origin), sink)
    await until(lambda: sink.words == ["head", "data"])
    transfer.cancel()
    transfer.cancel()
    await asyncio.wait_for(gone.wait(), 1)
    assert sink.words == ["head", "data"]
    assert upstream.stats()[origin].in_flight == 0


async def test_a_call_cancelled_while_it_connects_never_reaches_the_server(upstream: Upstream, serve: Serve) -> None:
    seen: list[bytes] = []

    async def listen(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        seen.append(await reader.read())

    origin = await serve(listen)
    sink = Recorder()
    transfer = upstream.send(request(origin), sink)
    await asyncio.sleep(0)
    transfer.cancel()
    await asyncio.sleep(0.05)
    assert not transfer.sent and sink.words == []
    assert b"".join(seen) == b""
    assert upstream.stats()[origin].open == 0


async def test_a_paused_reader_slows_its_server_down(serve: Serve, upstream: Upstream) -> None:
    sent = 0
    piece = bytes(256 * 1024)
    total = 128 * len(piece)

    async def flood(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal sent
        await read_request(reader)
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n" % total)
        for _ in range(128):
            writer.write(piece)
            await writer.drain()
            sent += len(piece)
        await reader.read()

    origin = await serve(flood)
    sink = Recorder()
    # An idle limit shorter than the pause: not to listen is no fault of the upstream.
    limits = type(PATIENT)(connect_s=1, first_byte_s=1, idle_s=0.1, total_s=20)
    transfer = upstream.send(request(origin, timeouts=limits), sink)
    await until(lambda: len(sink.data) > 0)
    transfer.pause()
    await asyncio.sleep(0.2)
    received, stuck = len(sink.data), sent
    await asyncio.sleep(0.2)
    assert (len(sink.data), sent) == (received, stuck)
    assert stuck < total  # what the kernel's buffers hold, and no more
    transfer.resume()
    await asyncio.wait_for(sink.over.wait(), 5)
    assert len(sink.data) == total and sink.words[-1] == "end"
    assert upstream.stats()[origin].idle == 1


async def test_a_paused_call_can_be_cancelled(serve: Serve, upstream: Upstream) -> None:
    origin = await serve(answering(HELLO[:-1]))
    sink = Recorder()
    transfer = upstream.send(request(origin), sink)
    await until(lambda: len(sink.data) == 4)
    transfer.pause()
    transfer.cancel()
    transfer.resume()
    await until(lambda: upstream.stats()[origin].open == 0)


async def test_an_exchange_leaves_nothing_to_the_garbage_collector(serve: Serve, upstream: Upstream) -> None:
    origin = await serve(answering(HELLO))

    async def exchange() -> None:
        sink = Recorder()
        sink.transfer = upstream.send(request(origin), sink)
        await sink.over.wait()
        await fetch(upstream, request(origin))

    await exchange()
    gc.collect()
    gc.disable()
    try:
        for _ in range(20):
            await exchange()
        kept = [one for one in gc.get_objects() if isinstance(one, Recorder | Transfer)]
    finally:
        gc.enable()
    assert kept == []


async def test_who_hears_of_a_timeout_may_call_another_origin_at_once(serve: Serve) -> None:
    troubles: list[dict[str, object]] = []
    asyncio.get_running_loop().set_exception_handler(lambda loop, context: troubles.append(context))
    upstream = Upstream(Tuning(sweep_s=0.02), environ={})
    slow, other = await serve(answering(pause_s=5)), await serve(answering(HELLO))
    instead = Recorder()

    def call_another(word: str) -> None:
        upstream.send(request(other), instead)

    sink = Recorder(call_another)
    upstream.send(request(slow, timeouts=structs.replace(PATIENT, first_byte_s=0.05)), sink)
    await asyncio.wait_for(instead.over.wait(), 2)
    assert (sink.words, bytes(instead.data), troubles) == (["fault"], b"hello", [])
    await upstream.close()


async def test_stats_know_every_origin(serve: Serve, upstream: Upstream) -> None:
    first, second = await serve(answering(HELLO)), await serve(answering(HELLO))
    await fetch(upstream, request(first))
    await fetch(upstream, request(second))
    assert set(upstream.stats()) == {first, second}
    assert Origin("http", "elsewhere.test", 80) not in upstream.stats()
