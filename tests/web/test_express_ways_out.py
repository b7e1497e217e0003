"""How a plain call ends that is not simply answered: its client leaves, the gateway stops, a breaker, a key, a quota or a limit stands
in its way. The same as the long way, to everybody."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest
from express_kit import Side, chat, told_both, until
from express_stub import Act, completion, error, http, says, silent

TWO = ("first", "second")
HALF = http(200, completion("An answer of which half comes."))[:-60]


@pytest.fixture(autouse=True)
def short_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gateway.pipeline.WAIT_S", 0.01)
    monkeypatch.setattr("gateway.core.retry.PAUSE_S", 0.001)


# ---------------------------------------------------------------- the client leaves


@pytest.mark.parametrize("act", [silent, says(HALF)], ids=["before the answer", "in the answer"])
async def test_a_client_that_leaves_is_charged_alike_and_its_call_cancelled(tmp_path: Path, act: Act) -> None:
    async def story(side: Side) -> None:
        line = await side.connect()
        await side.ask(line, chat(max_tokens=9))
        side.first.script = [act]
        line.send(side.post(chat(max_tokens=9)))
        await until(lambda: len(side.first.heard) == 2)
        await asyncio.sleep(0.01)
        assert side.gateway.handlers.in_flight.value == len(side.gateway.pipeline.live) == 1
        line.leave()
        await side.settled()
        await until(lambda: not side.first.lines)
        side.is_at_rest()

    side = await told_both(tmp_path, story)
    assert side.taken == [False, True]
    assert [line["outcome"] for line in side.log_lines() if line.get("surface")] == ["ok", "client_gone"]
    assert side.used() >= 10 + len(chat(max_tokens=9)), "whoever leaves pays for the question"


async def test_a_client_that_leaves_at_once_was_never_heard_upstream_and_pays_nothing(tmp_path: Path) -> None:
    async def story(side: Side) -> None:
        connection, wire = side.wire()
        connection.data_received(side.post(chat()))
        await until(lambda: wire.answers == 1)
        connection.data_received(side.post(chat()))
        connection.connection_lost(None)
        await side.settled()
        side.is_at_rest()

    side = await told_both(tmp_path, story)
    assert side.taken == [False, True]
    assert (len(side.first.heard), side.used()) == (1, 10)


async def test_an_answer_in_the_round_in_which_its_client_leaves_is_counted(tmp_path: Path) -> None:
    async def story(side: Side) -> None:
        connection, wire = side.wire()
        connection.data_received(side.post(chat()))
        await until(lambda: wire.answers == 1)
        side.first.script = [side.first.hold]
        connection.data_received(side.post(chat()))
        await until(lambda: len(side.first.held) == 1)
        (upstream,) = side.upstream_connections()
        upstream.data_received(http(200, completion()))
        wire.closed = True
        connection.connection_lost(None)
        await side.settled()
        await asyncio.sleep(0.01)
        assert wire.answers == 1, "nothing is written to a connection that is gone"
        side.is_at_rest()

    side = await told_both(tmp_path, story)
    assert (side.taken, side.used()) == ([False, True], 20)


async def test_calls_behind_the_one_whose_client_left_are_not_begun(tmp_path: Path) -> None:
    async def story(side: Side) -> None:
        line = await side.connect()
        await side.ask(line, chat())
        side.first.script = [silent]
        line.send(side.post(chat()) * 3)
        await until(lambda: len(side.first.heard) == 2)
        line.leave()
        await side.settled()

    side = await told_both(tmp_path, story)
    assert len(side.first.heard) == 2


# ---------------------------------------------------------------- the gateway stops


@pytest.mark.parametrize("act", [silent, says(HALF)], ids=["before the answer", "in the answer"])
async def test_a_gateway_that_stops_ends_what_flies_with_an_error(tmp_path: Path, act: Act) -> None:
    async def story(side: Side) -> None:
        line = await side.connect()
        await side.ask(line, chat())
        side.first.script = [act]
        line.send(side.post(chat()))
        await until(lambda: len(side.first.heard) == 2)
        await asyncio.sleep(0.01)
        side.gateway.pipeline.stop_all()
        answer = await line.answer()
        assert (answer.status, answer.code) == (503, "overloaded")
        side.is_at_rest()

    side = await told_both(tmp_path, story, names=TWO)
    assert side.taken == [False, True]
    assert side.stubs["second"].heard == []


async def test_a_gateway_that_was_stopped_begins_no_call(tmp_path: Path) -> None:
    async def story(side: Side) -> None:
        line = await side.connect()
        await side.ask(line, chat())
        side.gateway.pipeline.stop_all()
        assert (await side.ask(line, chat())).code == "overloaded"

    side = await told_both(tmp_path, story, names=TWO)
    assert [len(stub.heard) for stub in side.stubs.values()] == [1, 0]


async def test_what_flies_when_the_gateway_is_drained_is_answered_before_the_connection_closes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gateway.app.LAST_S", 0.02)

    async def story(side: Side) -> None:
        line, idle = await side.connect(), await side.connect()
        await side.ask(line, chat())
        await side.ask(idle, chat())
        side.first.script = [side.first.hold, silent]
        line.send(side.post(chat()))
        idle.send(side.post(chat("never answered")))
        await until(lambda: len(side.first.heard) == 4)
        draining = asyncio.ensure_future(side.gateway.drain())
        await asyncio.sleep(0.05)
        side.first.release()
        last = await line.answer()
        assert (last.status, last.closes, await line.rest()) == (200, True, b"")
        refused = await idle.answer()
        assert (refused.status, refused.closes, await idle.rest()) == (503, True, b"")
        await draining
        side.is_at_rest()

    side = await told_both(tmp_path, story, server={"drain_s": 0.2})
    assert side.taken == [False, False, True, True]


async def test_a_call_that_comes_while_the_gateway_drains_is_the_last(tmp_path: Path) -> None:
    async def story(side: Side) -> None:
        line = await side.connect()
        await side.ask(line, chat())
        side.gateway._lane.draining = True  # type: ignore[union-attr]
        answer = await side.ask(line, chat("x" * 100_000))
        assert answer.closes
        assert await line.rest() == b""

    side = await told_both(tmp_path, story)
    assert side.answers[-1][0] == 200


# ---------------------------------------------------------------- breaker and keys


async def test_a_breaker_that_is_half_open_lets_one_probe_through(tmp_path: Path) -> None:
    async def story(side: Side) -> None:
        line, other = await side.connect(), await side.connect()
        await side.ask(line, chat())
        await side.ask(other, chat())
        side.first.script = [says(error(500))] * 3
        for _ in range(4):
            await side.ask(line, chat())
        side.clock.now += 61
        side.first.script = [side.first.hold]
        line.send(side.post(chat("probe")))
        await until(lambda: len(side.first.held) == 1)
        await side.ask(other, chat("not now"))
        side.first.release()
        assert (await line.answer()).status == 200
        await side.ask(line, chat("closed again"))
        side.first.script = [says(error(500))] * 3
        for _ in range(4):
            await side.ask(line, chat("open again"))

    side = await told_both(tmp_path, story, names=TWO, breaker={"open_s": 60})
    by = [dict(headers)["x-gateway-provider"] for _, headers, _ in side.answers]
    assert by == ["first"] * 2 + ["second"] * 5 + ["first"] + ["second"] * 4
    assert side.taken == [False, False, True, True, True, False, False, False, True, True, True, True, False]


@pytest.mark.parametrize("answer", [http(200, completion()), error(500), error(400)], ids=["success", "failure", "400"])
async def test_what_was_sent_before_the_breaker_opened_says_nothing_about_it(tmp_path: Path, answer: bytes) -> None:
    async def story(side: Side) -> None:
        line, late = await side.connect(), await side.connect()
        await side.ask(line, chat())
        await side.ask(late, chat())
        side.first.script = [side.first.hold, *[says(error(500))] * 3]
        late.send(side.post(chat("late")))
        await until(lambda: len(side.first.held) == 1)
        for _ in range(3):
            await side.ask(line, chat())
        side.first.release(answer)
        assert (await late.answer()).status in (200, 400)
        assert side.gateway.pipeline.routes.deployments["first"].breaker.state(side.clock.now) == "open"

    await told_both(tmp_path, story, names=TWO)


async def test_a_key_that_rests_is_not_used(tmp_path: Path) -> None:
    async def story(side: Side) -> None:
        line = await side.connect()
        await side.ask(line, chat())
        side.first.script = [says(error(429, "retry-after: 20"))]
        for _ in range(3):
            await side.ask(line, chat())
        side.clock.now += 20
        await side.ask(line, chat())

    side = await told_both(tmp_path, story, names=TWO)
    by = [dict(headers)["x-gateway-provider"] for _, headers, _ in side.answers]
    assert by == ["first", "second", "second", "second", "first"]
    assert side.taken == [False, True, False, False, True]


async def test_a_provider_with_several_keys_takes_the_long_way(tmp_path: Path) -> None:
    async def story(side: Side) -> None:
        line = await side.connect()
        for _ in range(4):
            await side.ask(line, chat())

    side = await told_both(
        tmp_path, story, providers={"first": {"api_key": None, "api_keys": ["k1-secret", "k2-secret"]}}
    )
    assert side.taken == [False] * 4
    assert {b"k1-secret" in head for head, _ in side.first.heard} == {True, False}


# ---------------------------------------------------------------- quotas and limits

QUOTAS: dict[str, Any] = {
    "roomy": {"daily_tokens": 10_000_000},
    "small": {"daily_tokens": 5000},
    "smaller than the call": {"daily_tokens": 100},
    "soon spent": {"daily_tokens": 900},
    "of the month": {"monthly_tokens": 1100},
}


@pytest.mark.parametrize("more", [{}, {"max_tokens": 300}], ids=["no cap", "cap"])
@pytest.mark.parametrize("quota", QUOTAS)
async def test_a_quota_is_kept_alike(tmp_path: Path, quota: str, more: Any) -> None:
    usage = {"prompt_tokens": 100, "completion_tokens": 100, "total_tokens": 200}

    async def story(side: Side) -> None:
        side.first.usual = says(http(200, completion(usage=usage)))
        line = await side.connect()
        for _ in range(6):
            await side.ask(line, chat(**more))

    side = await told_both(tmp_path, story, tenants={"acme": {"quota": QUOTAS[quota]}})
    if quota == "roomy":
        assert side.taken.count(True) >= 3
    elif quota != "small":
        assert side.answers[-1][0] == 429


@pytest.mark.parametrize("scope", ["provider", "share"])
async def test_a_providers_quota_moves_the_call_on_alike(tmp_path: Path, scope: str) -> None:
    quota = {"daily_tokens": 430}
    more: dict[str, Any] = {"providers": {"first": {"quota": quota}}}
    if scope == "share":
        more = {"tenants": {"acme": {"provider_quota": {"first": quota}}}}

    async def story(side: Side) -> None:
        line = await side.connect()
        for _ in range(6):
            await side.ask(line, chat(max_tokens=200))

    side = await told_both(tmp_path, story, names=TWO, **more)
    by = [dict(headers)["x-gateway-provider"] for _, headers, _ in side.answers]
    assert by[0] == "first" and by[-1] == "second"
    assert side.used() == 60


LIMITS: dict[str, Any] = {
    "requests": {"requests_per_minute": 3},
    "tokens": {"tokens_per_minute": 700},
}


@pytest.mark.parametrize("limit", LIMITS)
async def test_a_rate_limit_is_kept_alike(tmp_path: Path, limit: str) -> None:
    usage = {"prompt_tokens": 100, "completion_tokens": 200, "total_tokens": 300}

    async def story(side: Side) -> None:
        side.first.usual = says(http(200, completion(usage=usage)))
        line = await side.connect()
        for n in range(8):
            await side.ask(line, chat(max_tokens=150))
            side.clock.now += 31 if n == 5 else 0

    side = await told_both(tmp_path, story, tenants={"acme": {"limits": LIMITS[limit]}})
    statuses = [status for status, _, _ in side.answers]
    assert statuses[:2] == [200, 200] and 429 in statuses and statuses[6] == 200


@pytest.mark.parametrize(
    ("more", "status"),
    [({"tenants": {"acme": {"limits": {"concurrency": 1}}}}, 429), ({"server": {"max_in_flight": 1}}, 503)],
    ids=["concurrency", "in flight"],
)
async def test_calls_at_once_are_limited_alike(tmp_path: Path, more: Any, status: int) -> None:
    async def story(side: Side) -> None:
        line, other = await side.connect(), await side.connect()
        await side.ask(line, chat())
        await side.ask(other, chat())
        side.first.script = [side.first.hold]
        line.send(side.post(chat("flies")))
        await until(lambda: len(side.first.held) == 1)
        refused = await side.ask(other, chat("too many"))
        assert refused.status == status
        side.first.release()
        assert (await line.answer()).status == 200
        assert (await side.ask(other, chat("again"))).status == 200

    side = await told_both(tmp_path, story, **more)
    assert side.taken == [False, False, True, False, True]
