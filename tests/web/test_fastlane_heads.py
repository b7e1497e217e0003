"""What a head came to is kept for the next one like it, whatever the length of its body."""

from __future__ import annotations

import asyncio

import pytest
from lane_kit import MAX_BODY_BYTES, Room, post, read_and_answer

from gateway.web.exchange import Exchange


async def test_what_a_head_came_to_is_kept_for_the_very_same_head_alone() -> None:
    kept: list[object] = []

    async def remember(exchange: Exchange) -> None:
        kept.append(exchange.kept)
        exchange.kept = exchange.header("x-request-id")
        exchange.answer(200, b"", b"")

    connection, _ = Room(remember).connect()
    for name in ("one", "one", "two", "one"):
        connection.data_received(post(b"{}", f"x-request-id: {name}"))
    assert kept == [None, "one", None, None]


async def test_a_head_is_the_same_with_a_body_of_another_length() -> None:
    kept: list[object] = []

    async def remember(exchange: Exchange) -> None:
        kept.append(exchange.kept)
        exchange.kept = "kept"
        await read_and_answer(exchange)

    room = Room(remember)
    connection, wire = room.connect()
    bodies = [b"{}", b'{"a": 1}', b"x" * 5000, b"", b"y" * 12]
    for body in bodies:
        connection.data_received(post(body, "x-request-id: one"))
        assert wire.written.endswith(b"\r\n\r\n%d" % len(body))
    for body in bodies:  # in two pieces, and then several at once
        whole = post(body, "x-request-id: one")
        connection.data_received(whole[: len(whole) // 2])
        connection.data_received(whole[len(whole) // 2 :])
        await asyncio.sleep(0.01)
    connection.data_received(b"".join(post(body, "x-request-id: one") for body in bodies))
    assert kept == [None] + ["kept"] * 14
    assert wire.written.count(b"HTTP/1.1 200") == 15


@pytest.mark.parametrize(
    "odd",
    [
        b"content-length: 2x",
        b"content-length: -2",
        b"content-length: 0x2",
        b"content-length: ",
        b"content-length: 2, 2",
        b"content-length: 2\r\ncontent-length: 2",
        b"content-length: 2\r\ntransfer-encoding: chunked",
        b"content-length: " + b"9" * 30,
    ],
)
async def test_a_length_that_is_none_is_not_taken_for_the_head_before(odd: bytes) -> None:
    """What a malformed head means is aiohttp's to say, also behind a head that was kept."""
    room = Room(read_and_answer)
    connection, _ = room.connect()
    request = post(b"{}")
    connection.data_received(request)
    assert room.aiohttp == []
    connection.data_received(request.replace(b"content-length: 2", odd))
    assert len(room.aiohttp) == 1


async def test_a_body_beyond_the_limit_is_never_ready_behind_a_head_that_was_kept() -> None:
    ready: list[bool] = []

    async def look(exchange: Exchange) -> None:
        ready.append(exchange.ready is not None)
        exchange.answer(200, b"", b"")

    connection, wire = Room(look).connect()
    connection.data_received(post(b"{}"))
    connection.data_received(post(b"x" * (MAX_BODY_BYTES + 1)))
    assert (ready, wire.half_closed) == ([True, False], True)
