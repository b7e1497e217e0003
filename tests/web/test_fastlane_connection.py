"""One connection of the lean door under a client that means no good: what it sends ahead, does not take, or leaves undone."""

from __future__ import annotations

import asyncio
import time
import tracemalloc

import pytest
from lane_kit import MAX_BODY_BYTES, Room, Slow, answer_at_once, post, read_and_answer, refuse_at_once

from gateway.upstream.round import Round
from gateway.web.exchange import Exchange
from gateway.web.fastlane import MAX_AHEAD_BYTES, MAX_IN_A_ROW
from gateway.web.lanewriter import MAX_KEPT_BACK_BYTES

# ---------------------------------------------------------------- ahead of its answers


async def test_thousands_of_requests_at_once_are_answered_in_order_and_in_turns() -> None:
    connection, wire = Room(answer_at_once).connect()

    connection.data_received(b"".join(post(b"<%d>" % n) for n in range(3000)))
    assert wire.answers == MAX_IN_A_ROW, "others have their turn"
    while wire.answers < 3000:
        await asyncio.sleep(0)

    said = [int(part.partition(b">")[0]) for part in wire.written.split(b"\r\n\r\n<")[1:]]
    assert said == list(range(3000))


async def test_what_is_sent_ahead_of_a_slow_answer_is_bounded() -> None:
    slow = Slow()
    connection, wire = Room(slow).connect()
    request = post(b"x" * 1000)

    while wire.reading:
        connection.data_received(request)
    assert len(connection._buffer) <= MAX_AHEAD_BYTES + len(request)

    for _ in range(200):  # a client that sends as fast as it may, answered one by one
        await slow.go()
        while wire.reading:
            connection.data_received(request * 50)
        assert len(connection._buffer) <= MAX_AHEAD_BYTES + 50 * len(request)


async def test_nobody_is_served_who_does_not_take_what_he_was_served() -> None:
    connection, wire = Room(answer_at_once).connect()
    connection.pause_writing()

    while wire.reading:
        connection.data_received(post() * 100)
    assert wire.answers == 0

    connection.resume_writing()
    while connection._buffer:
        await asyncio.sleep(0)
    assert wire.answers > 100
    assert wire.reading


async def test_a_slow_reader_pauses_whoever_writes_a_stream_to_it() -> None:
    slow, heard = Slow(), []

    class Flow:
        def pause(self) -> None:
            heard.append("pause")

        def resume(self) -> None:
            heard.append("resume")

    connection, _ = Room(slow).connect()
    connection.data_received(post())
    connection.pause_writing()
    slow.exchange.flow(Flow())
    assert heard == ["pause"], "it was slow before the stream began"
    connection.resume_writing()
    connection.pause_writing()
    assert heard == ["pause", "resume", "pause"]
    slow.exchange.flow(None)
    connection.resume_writing()
    assert heard == ["pause", "resume", "pause"]


# ---------------------------------------------------------------- bodies


async def test_a_body_in_thousands_of_pieces_costs_no_more_than_its_bytes() -> None:
    connection, wire = Room(read_and_answer).connect()
    request = post(b"x" * 8_000_000)

    began = time.process_time()
    for at in range(0, len(request), 1000):
        connection.data_received(request[at : at + 1000])
    assert time.process_time() - began < 1.0, "copied for every piece, this takes minutes"

    await asyncio.sleep(0)
    assert wire.written.endswith(b"\r\n\r\n8000000")


async def test_a_body_that_no_handler_wants_yet_is_not_read() -> None:
    slow = Slow()  # as while a key is fetched to check the credential
    connection, wire = Room(slow).connect()
    request = post(b"x" * 1_000_000)

    sent = 0
    while wire.reading and sent < 900_000:
        connection.data_received(request[sent : sent + 10_000])
        sent += 10_000
    assert sent < 2 * MAX_AHEAD_BYTES

    body = slow.exchange.body()
    waiting = body.send(None)
    assert wire.reading, "now it is wanted"
    connection.data_received(request[sent:])
    assert len(waiting.result()) == 1_000_000
    body.close()


async def test_the_rest_of_a_refused_body_is_no_request() -> None:
    connection, wire = Room(refuse_at_once).connect()
    inner = post(b"{}")

    connection.data_received(post(b"x" * 1000 + inner + b"x" * 1000)[:-500])
    wire.protocol.data_received(inner)

    assert wire.answers == 1
    assert b"connection: close\r\n" in wire.written
    assert wire.half_closed, "the client sees the end of the answer"
    assert not wire.closed, "but is not reset while it still sends"


async def test_a_body_that_is_too_large_is_refused_by_its_length() -> None:
    async def read(exchange: Exchange) -> None:
        with pytest.raises(Exception, match=r"larger than 10 MB"):
            await exchange.body()
        exchange.answer(413, b"", b"")

    connection, wire = Room(read).connect()
    connection.data_received(post(b"x" * (MAX_BODY_BYTES + 1))[:1000])
    assert wire.written.startswith(b"HTTP/1.1 413 ")
    assert wire.half_closed


@pytest.mark.parametrize("pieces", [1, 2])
async def test_a_body_that_is_too_large_is_never_ready(pieces: int) -> None:
    seen: list[bytes | None] = []
    gate = asyncio.get_running_loop().create_future()

    async def read_late(exchange: Exchange) -> None:
        await gate  # who asks must be looked up
        seen.append(exchange.ready)
        exchange.answer(413, b"", b"")

    connection, wire = Room(read_late).connect()
    whole = post(b"x" * (MAX_BODY_BYTES + 1))
    for data in (whole,) if pieces == 1 else (whole[:1000], whole[1000:]):
        connection.data_received(data)
    gate.set_result(None)
    await asyncio.sleep(0)
    assert (seen, wire.half_closed) == ([None], True)


async def test_not_much_of_a_round_is_kept_back() -> None:
    """A client that takes nothing must be felt before the round is over."""

    async def stream(exchange: Exchange) -> None:
        exchange.begin(200, b"")
        for _ in range(40):
            exchange.write(b"x" * 1000)
        exchange.end()

    room = Room(stream)
    room.lane.round = Round(asyncio.get_running_loop())
    connection, wire = room.connect()
    connection.data_received(post())
    assert 40_000 - MAX_KEPT_BACK_BYTES < len(wire.written) < 40_000
    await asyncio.sleep(0)
    assert wire.written.count(b"x" * 1000) == 40 and wire.written.endswith(b"0\r\n\r\n")


# ---------------------------------------------------------------- the last answer


async def test_nothing_is_served_after_the_last_answer() -> None:
    connection, wire = Room(answer_at_once).connect()
    connection.data_received(post(b"1", "connection: close") + post(b"2") + post(b"3"))
    assert wire.answers == 1
    assert wire.half_closed


async def test_a_client_that_asked_to_close_and_sends_no_more_is_closed_at_once() -> None:
    room = Room(answer_at_once)
    connection, wire = room.connect()
    connection.data_received(post(b"1", "connection: close"))
    assert b"connection: close\r\n" in wire.written
    assert wire.closed
    connection.connection_lost(None)
    assert room.lane.connections == set()


async def test_a_stream_says_in_its_head_that_it_is_the_last() -> None:
    async def stream(exchange: Exchange) -> None:
        exchange.begin_events(b"")
        exchange.write(b"data: 1\n\n")
        exchange.write(b"")  # nothing, and above all not the end
        exchange.end()

    connection, wire = Room(stream).connect()
    connection.data_received(post(b"", "connection: close"))
    head, _, body = wire.written.partition(b"\r\n\r\n")
    assert b"\r\nconnection: close\r\n" in head
    assert body == b"9\r\ndata: 1\n\n\r\n0\r\n\r\n"


# ---------------------------------------------------------------- a client that leaves


async def test_who_waits_is_told_once_that_the_client_left() -> None:
    slow = Slow()
    connection, wire = Room(slow).connect()
    connection.data_received(post())
    wire.close()
    connection.connection_lost(None)
    assert (slow.left, slow.exchange.closed) == (1, True)

    slow.exchange.on_closed(slow._leave)
    assert slow.left == 2, "told at once, when it is over already"


async def test_nobody_is_told_of_a_client_that_leaves_after_its_answer() -> None:
    told: list[bool] = []

    async def forgetful(exchange: Exchange) -> None:
        exchange.on_closed(lambda: told.append(True))  # and never takes it back
        exchange.answer(200, b"", b"")

    connection, _ = Room(forgetful).connect()
    connection.data_received(post())
    connection.connection_lost(None)
    assert told == []


async def test_nothing_is_written_to_a_client_that_left() -> None:
    slow = Slow()
    connection, wire = Room(slow).connect()
    connection.data_received(post())
    wire.close()
    connection.connection_lost(None)

    slow.exchange.begin(200, b"")  # the wire fails a test that writes after the end
    slow.exchange.write(b"data: 1\n\n")
    slow.exchange.end()
    await slow.go()
    assert wire.written == b""


async def test_a_request_that_was_cut_short_ends_its_handler() -> None:
    ended: list[str] = []

    async def read(exchange: Exchange) -> None:
        try:
            await exchange.body()
        except Exception as error:
            ended.append(type(error).__name__)

    connection, _ = Room(read).connect()
    connection.data_received(post(b"x" * 100)[:-1])
    connection.connection_lost(None)
    await asyncio.sleep(0)
    assert ended == ["ClientGone"]


# ---------------------------------------------------------------- bugs


async def test_a_bug_that_no_border_held_cuts_the_connection() -> None:
    async def fail(exchange: Exchange) -> None:
        raise ZeroDivisionError

    connection, wire = Room(fail).connect()
    with pytest.raises(ZeroDivisionError):  # the loop reports it
        connection.data_received(post())
    assert wire.aborted


async def test_a_request_that_is_cancelled_is_not_followed_by_another() -> None:
    async def cancelled(exchange: Exchange) -> None:
        raise asyncio.CancelledError

    connection, wire = Room(cancelled).connect()
    connection.data_received(post() + post())
    assert (wire.answers, wire.aborted) == (0, True)


# ---------------------------------------------------------------- what is kept


async def test_an_idle_connection_takes_little_memory() -> None:
    room = Room(answer_at_once)
    request = post(b'{"messages": []}', "authorization: Bearer " + "x" * 300, "user-agent: " + "y" * 100)
    tracemalloc.start()
    try:
        before, _ = tracemalloc.get_traced_memory()
        pairs = [room.connect() for _ in range(500)]
        for connection, wire in pairs:
            connection.data_received(bytes(bytearray(request)))
            wire.written = b""
        after, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert (after - before) / 500 < 6000


# ---------------------------------------------------------------- to aiohttp


@pytest.mark.parametrize(
    "begun",
    [b"G", b"GET /livez HTTP/1.1\r\nhost: x\r\n\r\n", b"\x16\x03\x01\x02\x00\x01", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"],
    ids=["one letter", "another method", "TLS", "HTTP/2"],
)
async def test_what_cannot_become_a_hot_request_goes_to_aiohttp_at_once(begun: bytes) -> None:
    room = Room(answer_at_once)
    connection, wire = room.connect()
    connection.data_received(begun)
    assert [each.heard for each in room.aiohttp] == [begun]
    assert (wire.protocol, room.lane.connections) == (room.aiohttp[0], set())


async def test_a_head_without_carriage_returns_is_not_waited_for() -> None:
    room = Room(answer_at_once)
    connection, _ = room.connect()
    request = post().replace(b"\r\n", b"\n")
    connection.data_received(request)
    assert room.aiohttp[0].heard == request


async def test_aiohttp_takes_over_no_connection_whose_client_does_not_take_its_answers() -> None:
    room = Room(answer_at_once)
    connection, wire = room.connect()
    connection.pause_writing()  # aiohttp would not know, and fail when it is told to resume
    connection.data_received(b"GET /livez HTTP/1.1\r\nhost: x\r\n\r\n")
    assert room.aiohttp == []
    connection.resume_writing()
    assert room.aiohttp[0].heard.startswith(b"GET /livez")
    assert wire.protocol is room.aiohttp[0]


async def test_aiohttp_takes_over_a_connection_that_reads() -> None:
    slow = Slow()
    room = Room(slow)
    connection, wire = room.connect()
    other = b"GET /livez HTTP/1.1\r\nhost: x\r\n\r\n"
    while wire.reading:
        connection.data_received(post() if not wire.answers and slow.exchange is None else other * 100)
    await slow.go()
    assert wire.reading
    assert room.aiohttp[0].heard.startswith(other)
    assert wire.answers == 1
