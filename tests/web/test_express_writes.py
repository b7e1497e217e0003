"""What goes out and comes in when the writes of a round go out together: in order, nothing twice, nothing to the wrong one."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest
import uvloop
from express_kit import Line, Side, chat, opened, told_both, until
from express_stub import Act, StubLine, completion, ends, http, says

LARGE = http(200, completion("word " * 40_000))
STALE = http(200, completion("stale"))


@pytest.fixture(params=["asyncio", "uvloop"], scope="module")
def event_loop_policy(request: pytest.FixtureRequest) -> Iterator[asyncio.AbstractEventLoopPolicy]:
    yield uvloop.EventLoopPolicy() if request.param == "uvloop" else asyncio.DefaultEventLoopPolicy()


async def warm(side: Side, line: Line) -> None:
    assert (await line.ask(side.post(chat("warm")))).status == 200


@pytest.mark.parametrize("many", [1, 5])
async def test_large_answers_come_whole_and_in_order(tmp_path: Path, many: int) -> None:
    async with opened(tmp_path) as side:
        line = await side.connect()
        await warm(side, line)
        side.first.script = [says(LARGE), says(http(200, completion("small")))] * many
        line.send(side.post(chat()) * (2 * many))
        for _ in range(many):
            assert (await line.answer()).body == LARGE.partition(b"\r\n\r\n")[2]
            assert b"small" in (await line.answer()).body
        assert side.taken == [False] + [True] * 2 * many


async def test_a_client_that_takes_nothing_is_served_no_more(tmp_path: Path) -> None:
    async with opened(tmp_path) as side:
        connection, wire = side.wire()
        connection.data_received(side.post(chat()))
        await until(lambda: wire.answers == 1)
        side.first.usual = says(LARGE)
        for _ in range(20):
            connection.data_received(side.post(chat()))
            await asyncio.sleep(0.002)
            if wire.unsent == 0 and wire.answers == 4:
                wire.unsent = len(LARGE)
                connection.pause_writing()
        assert (wire.answers, len(side.first.heard)) == (4, 4)
        wire.unsent = 0
        connection.resume_writing()
        await until(lambda: wire.answers == 21)
        assert all(side.taken[1:])


async def test_the_last_answer_is_written_before_the_connection_closes(tmp_path: Path) -> None:
    async with opened(tmp_path) as side:
        lane = side.gateway._lane
        assert lane is not None
        line = await side.connect()
        await warm(side, line)
        side.first.script = [side.first.hold]
        line.send(side.post(chat()) * 3)
        await until(lambda: len(side.first.held) == 1)
        lane.draining = True
        side.first.release(LARGE)
        answer = await line.answer()
        assert (answer.closes, answer.body) == (True, LARGE.partition(b"\r\n\r\n")[2])
        assert await line.rest() == b"", "what was sent ahead is not begun"
        assert side.taken == [False, True]


async def test_a_round_writes_what_was_answered_before_it_closes_or_hands_over(tmp_path: Path) -> None:
    async with opened(tmp_path) as side:
        line = await side.connect()
        await warm(side, line)
        last = side.post(chat("last"), "connection: close")
        line.send(side.post(chat("one")) + last + side.post(chat("never")))
        assert b'"one"' in (await line.answer()).body
        assert b'"last"' in (await line.answer()).body
        assert await line.rest() == b""
        line = await side.connect()
        await warm(side, line)
        line.send(side.post(chat("one")) + b"GET /livez HTTP/1.1\r\nhost: g\r\n\r\n" + side.post(chat("aiohttp")))
        assert b'"one"' in (await line.answer()).body
        assert (await line.answer()).status == 200
        assert b'"aiohttp"' in (await line.answer()).body


async def test_answers_in_one_round_go_to_their_own_clients(tmp_path: Path) -> None:
    async with opened(tmp_path) as side:
        pairs = [side.wire() for _ in range(20)]
        for connection, _ in pairs:
            connection.data_received(side.post(chat("warm")))
        await until(lambda: all(wire.answers == 1 for _, wire in pairs))
        side.first.usual = side.first.hold
        for n, (connection, _) in enumerate(pairs):
            connection.data_received(side.post(chat(f"nonce-{n}.")))
        await until(lambda: len(side.first.held) == 20)
        side.first.usual = says(
            lambda body: http(200, completion(body[body.index(b"nonce") :].partition(b".")[0].decode()))
        )
        side.first.release()
        await until(lambda: all(wire.answers == 2 for _, wire in pairs))
        for n, (_, wire) in enumerate(pairs):
            assert wire.written.count(b"nonce-") == 1 and b'"nonce-%d"' % n in wire.written
        assert side.taken.count(True) == 20


# ---------------------------------------------------------------- bytes that nobody asked for


@pytest.mark.parametrize("size", [200, 100_000], ids=["small", "large"])
@pytest.mark.parametrize("first", ["the bytes", "the call"])
async def test_stale_bytes_in_the_round_of_a_call_never_answer_it(tmp_path: Path, first: str, size: int) -> None:
    async with opened(tmp_path) as side:
        connection, wire = side.wire()
        request = side.post(chat("what is true").ljust(size))
        connection.data_received(request)
        await until(lambda: wire.answers == 1)
        (upstream,) = side.upstream_connections()
        if first == "the bytes":
            upstream.data_received(STALE)
        connection.data_received(request)
        if first == "the call":
            upstream.data_received(STALE)
        await until(lambda: wire.answers == 2)
        assert b"stale" not in wire.written
        assert wire.written.count(b"what is true") == 2
        assert (side.taken, len(side.first.heard)) == ([False, True], 2)
        side.is_at_rest()


async def test_stale_bytes_on_the_wire_never_answer_a_call(tmp_path: Path) -> None:
    async with opened(tmp_path) as side:
        line = await side.connect()
        await warm(side, line)
        for n in range(100):
            for upstream in side.first.lines:
                upstream.transport.write(STALE)
            answer = await line.ask(side.post(chat(f"nonce-{n}")))
            assert (answer.status, b"stale" in answer.body, b'"nonce-%d"' % n in answer.body) == (200, False, True)
        assert all(side.taken[1:])
        side.is_at_rest()


SPENT: dict[str, Act] = {
    "closed after it": ends(http(200, completion("ok"))),
    "more in the same read": says(http(200, completion("ok")) + STALE),
    "a 408 when idle": says(http(200, completion("ok")) + http(408, b"{}", "connection: close")),
}


@pytest.mark.parametrize("how", SPENT)
async def test_a_connection_that_is_spent_is_not_used_for_what_was_sent_ahead(tmp_path: Path, how: str) -> None:
    async with opened(tmp_path) as side:
        line = await side.connect()
        await warm(side, line)
        for _ in range(5):
            side.first.script = [SPENT[how]]
            line.send(side.post(chat("one")) + side.post(chat("two")))
            assert b'"ok"' in (await line.answer()).body
            assert b'"two"' in (await line.answer()).body
        assert side.taken == [False] + [True] * 10
        assert side.gateway.pipeline.routes.deployments["first"].breaker.consecutive_failures == 0


async def test_a_connection_that_dies_as_it_is_used_again_is_replaced_once(tmp_path: Path) -> None:
    def dies(line: StubLine, body: bytes) -> None:
        line.reset()

    async def story(side: Side) -> None:
        line = await side.connect()
        await side.ask(line, chat())
        for times in (1, 2):
            side.first.script = [dies] * times
            await side.ask(line, chat())

    side = await told_both(tmp_path, story, fallback={"enabled": False})
    assert [status for status, _, _ in side.answers] == [200, 200, 502]
    assert side.taken == [False, True, True]


# ---------------------------------------------------------------- bugs


async def test_a_bug_cuts_its_own_connection_and_leaves_the_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def bug(scopes: object, tokens: int) -> None:
        raise RuntimeError("a bug")

    async with opened(tmp_path) as side:
        line, other = await side.connect(), await side.connect()
        await line.ask(side.post(chat(max_tokens=5)))
        await other.ask(side.post(chat(max_tokens=5)))
        monkeypatch.setattr(side.gateway.keeper, "has", bug)
        line.send(side.post(chat(max_tokens=5)) + side.post(chat()))
        await line.rest()  # it ends
        assert (await other.ask(side.post(chat(max_tokens=5)))).status == 200
        assert [str(context["exception"]) for context in side.trouble] == ["a bug"]
        side.trouble.clear()
        side.is_at_rest()


async def test_a_bug_in_the_log_leaves_no_answer_that_looks_complete(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def bug(*figures: object) -> None:
        raise RuntimeError("a bug")

    async with opened(tmp_path) as side:
        line = await side.connect()
        await warm(side, line)
        monkeypatch.setattr(side.gateway.pipeline.recorder, "plain", bug)
        line.send(side.post(chat()))
        assert await line.rest() == b""
        side.trouble.clear()
        side.is_at_rest()
