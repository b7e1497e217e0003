"""Real sockets against servers that misbehave, on both event loops."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Iterator

import pytest
import uvloop
from upstream_kit import HELLO, PATIENT, Handler, Recorder, Serve, answering, read_request, request, reset

from gateway.errors import Next
from gateway.settings import Timeouts
from gateway.upstream import Origin, Tuning, Upstream, UpstreamFailed, UpstreamRequest, fetch
from gateway.upstream.transfer import Transfer

HEAD, BODY = HELLO[:-5], HELLO[-5:]
CHUNKED = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n"


@pytest.fixture(params=["uvloop", "asyncio"], scope="module")
def event_loop_policy(request: pytest.FixtureRequest) -> Iterator[asyncio.AbstractEventLoopPolicy]:
    yield uvloop.EventLoopPolicy() if request.param == "uvloop" else asyncio.DefaultEventLoopPolicy()


async def fault_of(upstream: Upstream, origin: Origin, **limits: float) -> tuple[str, Next]:
    generous = {"connect_s": 5.0, "first_byte_s": 5.0, "idle_s": 5.0, "total_s": 10.0}
    with pytest.raises(UpstreamFailed) as failed:
        await asyncio.wait_for(fetch(upstream, request(origin, timeouts=Timeouts(**{**generous, **limits}))), 5)
    return failed.value.fault.kind, failed.value.fault.next


@pytest.mark.parametrize(
    "pieces",
    [
        (HELLO,),
        (CHUNKED,),
        tuple(HELLO[at : at + 1] for at in range(len(HELLO))),
        tuple(CHUNKED[at : at + 1] for at in range(len(CHUNKED))),
        (b"HTTP/1.1 100 Continue\r\n\r\n", b"HTTP/1.1 103 Early Hints\r\nlink: </a>\r\n\r\n", HEAD, BODY),
    ],
    ids=["whole", "chunked", "byte by byte", "chunked byte by byte", "interim heads"],
)
async def test_answers_arrive_whole_and_their_connection_serves_again(
    serve: Serve, upstream: Upstream, pieces: tuple[bytes, ...]
) -> None:
    origin = await serve(answering(*pieces))
    for _ in range(3):
        answer = await fetch(upstream, request(origin))
        assert (answer.status, answer.body) == (200, b"hello")
    assert (upstream.stats()[origin].open, upstream.stats()[origin].idle) == (1, 1)


@pytest.mark.parametrize(
    "handler",
    [
        answering(b"HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 5\r\n\r\nhello"),
        answering(b"HTTP/1.0 200 OK\r\ncontent-length: 5\r\n\r\nhello"),
        answering(b"HTTP/1.1 200 OK\r\n\r\n", b"hel", b"lo", close=True),
        answering(b"HTTP/1.0 200 OK\r\n\r\nhello", close=True),
        answering(HELLO + b"HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\nevil"),
        answering(HELLO + b"garbage"),
    ],
    ids=["connection: close", "HTTP/1.0", "until the end", "HTTP/1.0 until the end", "a second answer", "garbage"],
)
async def test_an_answer_is_delivered_and_its_connection_closed(
    serve: Serve, upstream: Upstream, handler: Handler
) -> None:
    origin = await serve(handler)
    for _ in range(3):
        assert (await fetch(upstream, request(origin))).body == b"hello"
        assert upstream.stats()[origin].idle == 0


async def test_garbage_that_comes_later_closes_the_idle_connection(serve: Serve, upstream: Upstream) -> None:
    origin = await serve(answering(HELLO, b"HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\nevil", pause_s=0.03))
    assert (await fetch(upstream, request(origin))).body == b"hello"
    assert upstream.stats()[origin].idle == 1
    await asyncio.sleep(0.1)
    assert upstream.stats()[origin].open == 0


async def broken(writer: asyncio.StreamWriter, data: bytes) -> None:
    writer.write(data)
    await writer.drain()


@pytest.mark.parametrize(
    ("data", "kind"),
    [
        (b"", "reset"),
        (b"HTTP/1.1 200 OK\r\ncont", "reset"),
        (HELLO[:-1], "reset"),
        (CHUNKED[:-5], "reset"),
        (b"220 smtp.example ESMTP\r\n", "bad_reply"),
        (CHUNKED.replace(b"5\r\n", b"zz\r\n"), "bad_reply"),
        (b"HTTP/1.1 101 Switching Protocols\r\nupgrade: x\r\nconnection: upgrade\r\n\r\nx", "bad_reply"),
        (b"HTTP/1.1 200 OK\r\nx: " + b"y" * 70_000 + b"\r\n\r\n", "bad_reply"),
        (b"HTTP/1.1 200 OK\r\n" + (b"x: " + b"y" * 50 + b"\r\n") * 300 + b"\r\n\r\n", "bad_reply"),
    ],
)
@pytest.mark.parametrize("ending", ["fin", "rst"])
async def test_a_broken_answer_is_a_fault_and_its_connection_is_gone(
    serve: Serve, upstream: Upstream, data: bytes, kind: str, ending: str
) -> None:
    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await read_request(reader)
        await broken(writer, data)
        if ending == "rst":
            await asyncio.sleep(0.03)  # else RST overtakes the bytes
            reset(writer)

    origin = await serve(handle)
    assert await fault_of(upstream, origin) == (kind, Next.SAME)
    await asyncio.sleep(0)
    assert (upstream.stats()[origin].open, upstream.stats()[origin].in_flight) == (0, 0)


async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.read()


async def stalling(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await read_request(reader)
    writer.write(HELLO[:-1])
    await reader.read()


async def dripping(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await read_request(reader)
    writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 1000\r\n\r\n")
    for _ in range(1000):
        writer.write(b".")
        await asyncio.sleep(0.02)


async def dripping_head(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await read_request(reader)
    writer.write(b"HTTP/1.1 200 OK\r\nx: ")
    for _ in range(1000):
        writer.write(b".")
        await asyncio.sleep(0.02)


@pytest.mark.parametrize(
    ("handler", "limit", "kind", "where"),
    [
        (silent, "first_byte_s", "first_byte_timeout", Next.SAME),
        (dripping_head, "first_byte_s", "first_byte_timeout", Next.SAME),
        (stalling, "idle_s", "idle_timeout", Next.SAME),
        (silent, "total_s", "total_timeout", Next.OTHER),
        (dripping, "total_s", "total_timeout", Next.OTHER),
    ],
)
async def test_each_kind_of_slowness_has_its_own_fault(
    serve: Serve, upstream: Upstream, handler: Handler, limit: str, kind: str, where: Next
) -> None:
    origin = await serve(handler)
    assert await fault_of(upstream, origin, **{limit: 0.1}) == (kind, where)
    await asyncio.sleep(0)
    assert upstream.stats()[origin].open == 0


async def test_a_slow_stream_that_keeps_moving_is_not_idle(serve: Serve, upstream: Upstream) -> None:
    origin = await serve(answering(HEAD, *(BODY[at : at + 1] for at in range(5)), pause_s=0.06))
    limits = Timeouts(connect_s=1, first_byte_s=1, idle_s=0.2, total_s=5)
    assert (await fetch(upstream, request(origin, timeouts=limits))).body == b"hello"


async def test_a_port_where_nobody_listens_is_a_connect_fault(upstream: Upstream) -> None:
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        assert await fault_of(upstream, Origin("http", "127.0.0.1", held.getsockname()[1])) == ("connect", Next.SAME)


async def test_a_server_that_accepts_and_never_shakes_hands_is_a_connect_fault(
    serve: Serve, upstream: Upstream
) -> None:
    plain = await serve(silent)
    assert await fault_of(upstream, Origin("https", plain.host, plain.port), connect_s=0.1) == ("connect", Next.SAME)
    assert upstream.stats()[Origin("https", plain.host, plain.port)].in_flight == 0


async def test_a_server_that_closes_what_it_accepts_is_a_reset(serve: Serve, upstream: Upstream) -> None:
    async def slam(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        reset(writer)

    origin = await serve(slam)
    for _ in range(20):  # whoever is faster: each time one fault, never a hang
        kind, _ = await fault_of(upstream, origin)
        assert kind in ("reset", "connect")


async def test_an_idle_connection_closed_by_the_server_right_when_reused_is_replaced(
    serve: Serve, upstream: Upstream
) -> None:
    connections = 0

    async def once(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        # Answers one request, takes the next one in, and closes without a word: dead, as the client finds out too late.
        nonlocal connections
        connections += 1
        await read_request(reader)
        writer.write(HELLO)
        await read_request(reader)

    origin = await serve(once)
    for _ in range(10):
        assert (await fetch(upstream, request(origin))).body == b"hello"
    assert connections == 10


async def test_a_second_death_is_not_hidden(serve: Serve, upstream: Upstream) -> None:
    requests = 0

    async def first_only(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal requests
        while await read_request(reader):
            requests += 1
            if requests > 1:
                return
            writer.write(HELLO)

    origin = await serve(first_only)
    assert (await fetch(upstream, request(origin))).body == b"hello"
    assert await fault_of(upstream, origin) == ("reset", Next.SAME)
    assert requests == 3  # the reused connection and one fresh one


async def test_large_bodies_go_both_ways(serve: Serve, upstream: Upstream) -> None:
    async def mirror(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while whole := await read_request(reader):
            body = whole.partition(b"\r\n\r\n")[2]
            writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n%b" % (len(body), body))

    origin = await serve(mirror)
    for size in (0, 1, 65_536, 65_537, 3_000_000):
        body = bytes(range(256)) * (size // 256) + b"x" * (size % 256)
        assert (await fetch(upstream, request(origin, body))).body == body
    assert upstream.stats()[origin].open == 1


async def test_a_refusal_in_the_middle_of_a_large_body_is_delivered(serve: Serve, upstream: Upstream) -> None:
    async def refuse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 413 Too Large\r\ncontent-length: 3\r\n\r\nno!")
        await asyncio.sleep(1)

    origin = await serve(refuse)
    answer = await fetch(upstream, request(origin, bytes(20_000_000)))
    assert (answer.status, answer.body) == (413, b"no!")
    assert upstream.stats()[origin].idle == 0


async def test_methods_without_body(serve: Serve, upstream: Upstream) -> None:
    heads: list[bytes] = []

    async def listen(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while whole := await read_request(reader):
            heads.append(whole)
            writer.write(HEAD if whole.startswith(b"HEAD") else HELLO)

    origin = await serve(listen)
    assert (await fetch(upstream, request(origin, b"", method="HEAD"))).body == b""
    assert (await fetch(upstream, request(origin, b"", method="GET"))).body == b"hello"
    assert all(b"content-length" not in one for one in heads)


async def test_a_sink_that_raises_ends_its_own_exchange_alone(serve: Serve, upstream: Upstream) -> None:
    def fail(word: str) -> None:
        if word == "data":
            raise ZeroDivisionError

    seen: list[object] = []
    loop = asyncio.get_running_loop()
    loop.set_exception_handler(lambda _, context: seen.append(context.get("exception")))
    origin = await serve(answering(HELLO, pause_s=0.05))
    sink, other = Recorder(fail), Recorder()
    upstream.send(request(origin), sink)
    upstream.send(request(origin), other)
    await asyncio.wait_for(asyncio.gather(sink.over.wait(), other.over.wait()), 2)
    assert (sink.words, other.words) == (["head", "data", "fault"], ["head", "data", "end"])
    assert [type(one) for one in seen] == [ZeroDivisionError]


async def test_send_says_nothing_before_it_returns(serve: Serve, upstream: Upstream) -> None:
    origin = await serve(answering(HELLO))
    await fetch(upstream, request(origin))
    for place in (origin, Origin("http", "127.0.0.1", 1), Origin("https", "no\ud800host", 1)):
        sink = Recorder()
        transfer = upstream.send(UpstreamRequest(place, b"GET / HTTP/1.1\r\n", b"", PATIENT), sink)
        assert isinstance(transfer, Transfer) and sink.words == []
        await asyncio.wait_for(sink.over.wait(), 2)


async def test_closing_ends_what_runs_and_refuses_what_comes(serve: Serve) -> None:
    upstream = Upstream(Tuning(), environ={})
    origin, stuck = await serve(answering(HELLO)), await serve(silent)
    await fetch(upstream, request(origin))
    sinks = [Recorder(), Recorder(), Recorder()]
    upstream.send(request(stuck), sinks[0])
    await asyncio.sleep(0.05)
    upstream.send(request(stuck), sinks[1])
    await upstream.close()
    assert all(stats.open == stats.in_flight == 0 for stats in upstream.stats().values())
    upstream.send(request(origin), sinks[2])
    await asyncio.wait_for(sinks[2].over.wait(), 1)
    assert [sink.words for sink in sinks] == [["fault"]] * 3
    await upstream.close()
