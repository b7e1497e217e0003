"""How long the lean door waits: seconds are numbers here, and its sweep comes every one of them."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import pytest
from lane_kit import Room, Slow, answer_at_once, post, refuse_at_once

from gateway.errors import GatewayError
from gateway.web.exchange import Exchange
from gateway.web.patience import Unsent


def pieces(data: bytes, size: int) -> list[bytes]:
    return [data[at : at + size] for at in range(0, len(data), size)]


@pytest.mark.parametrize("calls", [0, 1, 2])
async def test_an_idle_connection_is_closed_after_75_seconds(calls: int) -> None:
    room = Room(answer_at_once)
    connection, wire = room.connect()
    for _ in range(calls):
        room.later(70)
        connection.data_received(post())
    room.later(75)
    assert not wire.closed
    room.later(1)
    assert wire.closed


async def test_a_head_has_30_seconds_however_it_trickles() -> None:
    room = Room(answer_at_once)
    connection, wire = room.connect()
    for piece in pieces(post(), 1)[:30]:
        assert not wire.closed
        connection.data_received(piece)
        room.later(1)
    room.later(1)
    assert wire.closed
    assert room.aiohttp == []


async def test_a_head_that_begins_after_a_long_silence_has_its_30_seconds_too() -> None:
    room = Room(answer_at_once)
    connection, wire = room.connect()
    room.later(74)
    first, second = post()[:20], post()[20:]
    connection.data_received(first)
    room.later(29)
    connection.data_received(second)
    assert wire.answers == 1


async def test_a_head_has_30_seconds_after_the_answer_to_the_one_before() -> None:
    slow = Slow()
    room = Room(slow)
    connection, wire = room.connect()
    connection.data_received(post() + post()[:20])
    room.later(100)
    await slow.go()
    room.later(30)
    assert not wire.closed
    room.later(1)
    assert wire.closed


async def test_a_call_may_take_its_time() -> None:
    slow = Slow()
    room = Room(slow)
    connection, wire = room.connect()
    connection.data_received(post())
    room.later(1000)
    await slow.go()
    assert wire.answers == 1


async def test_a_body_has_60_seconds() -> None:
    errors: list[GatewayError] = []

    async def read(exchange: Exchange) -> None:
        try:
            await exchange.body()
        except GatewayError as error:
            errors.append(error)
            exchange.answer(error.status, b"", b"")

    room = Room(read)
    connection, wire = room.connect()
    connection.data_received(post(b"x" * 1000)[:-100])
    for _ in range(6):
        room.later(10)
        connection.data_received(b"x")
        await asyncio.sleep(0)
    assert errors == []
    room.later(1)
    await asyncio.sleep(0)
    assert [error.code for error in errors] == ["request_timeout"]
    assert wire.written.startswith(b"HTTP/1.1 408 ")
    assert b"connection: close" in wire.written
    assert wire.half_closed


# ---------------------------------------------------------------- clients that do not take their answers


@pytest.mark.parametrize("handle", [answer_at_once, Slow()], ids=["after the answer", "while another call waits"])
async def test_a_client_that_takes_nothing_for_30_seconds_is_cut(handle: Callable[[Exchange], Awaitable[None]]) -> None:
    room = Room(handle)
    connection, wire = room.connect()
    connection.data_received(post())
    wire.unsent = 5000
    room.later(31)
    assert not wire.aborted
    room.later(1)
    assert wire.aborted


async def test_a_client_that_takes_a_little_is_not() -> None:
    room = Room(answer_at_once)
    connection, wire = room.connect()
    connection.data_received(post())
    for left in range(20, 0, -1):
        wire.unsent = left * 1000
        room.later(29)
    wire.unsent = 0
    assert not wire.closed
    room.later(74)
    assert not wire.closed, "the silence begins when it has taken everything"
    room.later(2)
    assert wire.closed


async def test_a_connection_that_is_closed_but_not_emptied_is_cut_as_well() -> None:
    room = Room(answer_at_once)
    connection, wire = room.connect()
    connection.data_received(post(b"{}", "connection: close"))
    assert wire.closed
    wire.unsent = 5000
    room.later(32)
    assert wire.aborted


async def test_a_client_that_goes_on_sending_after_its_refusal_has_10_seconds() -> None:
    room = Room(refuse_at_once)
    connection, wire = room.connect()
    connection.data_received(post(b"x" * 1000)[:-100])
    for _ in range(10):
        wire.protocol.data_received(b"x" * 1000)
        room.later(1)
    assert not wire.closed
    room.later(1)
    assert wire.aborted
    wire.protocol.connection_lost(None)
    assert room.lane.connections == set()


def test_unsent_bytes_are_looked_at_by_their_number_alone() -> None:
    unsent = Unsent()
    assert not unsent.stuck(0, now=0)
    assert not unsent.stuck(0, now=1000), "nothing waits"
    assert not unsent.stuck(10, now=1001)
    assert not unsent.stuck(10, now=1031)
    assert unsent.stuck(10, now=1031.5)
    assert not unsent.stuck(9, now=1032), "it took one"


# ---------------------------------------------------------------- the end


async def test_the_lane_cuts_what_is_left_when_the_gateway_stops() -> None:
    room = Room(refuse_at_once)
    wires = [room.connect()[1] for _ in range(2)]
    wires[0].protocol.data_received(post(b"x" * 1000)[:-100])
    room.lane.close()
    assert all(wire.aborted for wire in wires)


async def test_a_draining_lane_answers_what_comes_and_says_that_it_was_the_last() -> None:
    room = Room(answer_at_once)
    connection, wire = room.connect()
    _, idle = room.connect()
    room.lane.draining = True
    connection.data_received(post())
    assert b"connection: close" in wire.written
    assert wire.closed
    for each in list(room.lane.connections):
        each.leave_when_idle()
    assert idle.closed
