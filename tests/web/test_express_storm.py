"""Thousands of plain calls, of which many go wrong: every client gets its own answer, every token is counted, nothing is left."""

from __future__ import annotations

import asyncio
import gc
import random
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
import uvloop
from express_kit import BODY_BYTES, Side, chat, opened
from express_stub import NOTHING, Act, StubLine, completion, echo, ends, error, http, resets, says
from msgspec import json

from gateway.core.tokens import output_estimate
from gateway.pipeline import Run
from gateway.upstream.transfer import Transfer
from gateway.web.express import Flight
from gateway.web.steps import Steps

CALLS, LINES, LEAVING = 2000, 20, 0.2
FAULTS: list[Act] = [
    ends(),
    resets,
    says(error(500)),
    says(error(400)),
    says(http(502, b"<html>", kind="text/html")),
    says(b"garbage\r\n\r\n"),
    ends(http(200, completion("cut"))[:-30]),
    says(http(200, completion(""))),
    says(http(200, completion("no usage", usage=NOTHING))),
    says(http(200, completion("more")) + http(200, completion("stale"))),
]


@pytest.fixture(params=["asyncio", "uvloop"], scope="module")
def event_loop_policy(request: pytest.FixtureRequest) -> Iterator[asyncio.AbstractEventLoopPolicy]:
    yield uvloop.EventLoopPolicy() if request.param == "uvloop" else asyncio.DefaultEventLoopPolicy()


def left_over(*kinds: type) -> Counter[str]:
    """How many objects of these kinds the garbage collector knows. Some may be of other gateways in this process."""
    return Counter(type(one).__name__ for one in gc.get_objects() if type(one) in kinds)


class Storm:
    def __init__(self, side: Side, seed: int) -> None:
        self.side = side
        self.dice = random.Random(seed)
        self.statuses: Counter[object] = Counter()
        self._names = iter(range(10**6))

    def moody(self, line: StubLine, body: bytes) -> None:
        """Answers now or a little later, and every tenth time with a fault."""
        act = self.dice.choice(FAULTS) if self.dice.random() < 0.1 else says(echo)
        if self.dice.random() < 0.5:
            asyncio.get_running_loop().call_later(self.dice.random() * 0.004, lambda: line.lost or act(line, body))
        else:
            act(line, body)

    async def client(self) -> None:
        """Call after call on one connection, and on a new one after leaving in the middle of a call."""
        side, dice = self.side, self.dice
        line = await side.connect()
        while side.taken.count(True) < CALLS:
            nonce = f"nonce-{next(self._names):08}"
            line.send(side.post(chat(nonce)))
            if dice.random() < LEAVING:
                await asyncio.sleep(dice.choice([0, 0, 0.001, 0.003]))
                line.leave()
                line = await side.connect()
                continue
            answer = await line.answer()
            said = json.decode(answer.body).get("choices")
            text = said[0]["message"]["content"] if said else None
            assert text in (nonce, "no usage", "more") if answer.status == 200 else answer.status == 400
            self.statuses[text == nonce or answer.status] += 1


@pytest.mark.parametrize("seed", [1])
async def test_after_thousands_of_calls_nothing_is_mixed_up_or_held(
    tmp_path: Path, seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gateway.core.retry.PAUSE_S", 0.001)
    gc.collect()
    before = left_over(Flight, Transfer, Run, Steps)
    names = ("first", "second")
    async with opened(
        tmp_path, names=names, breaker={"failures": 10_000}, tenants={"acme": {"limits": {"concurrency": 1000}}}
    ) as side:
        storm = Storm(side, seed)
        for stub in side.stubs.values():
            stub.takes_s = 0.001
        side.first.usual = storm.moody
        await asyncio.gather(*(storm.client() for _ in range(LINES)))
        assert storm.statuses[True] > 1500 and storm.statuses[400] > 3, storm.statuses
        await side.settled()
        await asyncio.sleep(0.02)
        side.is_at_rest()
        used = {scope: side.used(scope) for scope in ("tenant:acme", "provider:first", "provider:second")}
        share = side.used("tenant:acme/provider:first") + side.used("tenant:acme/provider:second")
        del storm
        await side.stop()
        gc.collect()
        assert left_over(Flight, Transfer, Run, Steps) - before == {}
        rows = [row for row in side.log_lines() if row["event"] == "request"]
        assert len(rows) == len(side.taken)
        assert used["tenant:acme"] == share == used["provider:first"] + used["provider:second"]
        assert used["tenant:acme"] == sum(row.get("total_tokens", 0) for row in rows)
        paid = {row["total_tokens"] for row in rows if row["outcome"] == "ok" and not row.get("estimated")}
        assert paid == {10}
        left = [row for row in rows if [step["outcome"] for step in row.get("trail", [])] == ["gone"]]
        gone = {row.get("total_tokens", 0) for row in left}
        assert BODY_BYTES in gone
        assert gone <= {0, *(BODY_BYTES + (output_estimate(n) if n else 0) for n in range(400))}


async def test_plain_calls_leave_nothing_to_the_garbage_collector(tmp_path: Path) -> None:
    gc.collect()
    before = left_over(Flight, Transfer, Steps)
    async with opened(tmp_path) as side:
        line = await side.connect()
        await line.ask(side.post(chat()))
        gc.collect()
        gc.disable()
        try:
            for _ in range(20):
                await line.ask(side.post(chat()))
            side.first.script = [says(http(200, completion("no usage", usage=NOTHING)))] * 20
            for _ in range(20):
                await line.ask(side.post(chat()))
            assert all(side.taken[1:])
            assert left_over(Flight, Transfer, Steps) - before == {}
        finally:
            gc.enable()
