"""The short form of `make prove-quotas`: four processes, killed on the way, admit what fits and forget nothing."""

from __future__ import annotations

import asyncio
import os
from collections import Counter
from pathlib import Path

import pytest
from redis_server import PROGRAM

from bench.programs import raise_file_limit
from bench.proving.crowd import Answer
from bench.proving.fleet import LIMIT
from bench.proving.proof import Size, prove
from bench.proving.rounds import Found, Plan, judge
from bench.proving.verdict import Figures, check_alerts, compare, report
from gateway.core.ledger_rows import Account, Key
from gateway.stores.keeper import Keeper
from gateway.stores.open import open_store

SHORT = Size(rounds=6, seconds=12.0, calls=200, kills=2, workers=4, nodes=0)


@pytest.mark.parametrize(("nodes", "store"), [(0, ""), (3, ""), (3, "redis")])
def test_four_workers_or_three_nodes_keep_what_is_promised(tmp_path: Path, nodes: int, store: str) -> None:
    size = SHORT if not nodes else Size(rounds=2, seconds=10.0, calls=150, kills=1, workers=0, nodes=nodes)
    if store and PROGRAM is None:
        assert os.environ.get("CI") != "true", "redis-server comes with Debian's package redis-server"
        pytest.skip("redis-server is not installed: scripts/test-system-packages")
    raise_file_limit()
    lines: list[str] = []
    figures = asyncio.run(prove(tmp_path, size, store, 1, lines.append))
    assert figures.faults() == [], "\n".join((*lines, report(figures)))
    assert figures.rounds >= 2 and figures.admitted > 0 and figures.refused > 0


def test_a_store_that_was_used_today_proves_nothing(tmp_path: Path) -> None:
    async def use(url: str) -> None:
        keeper = Keeper(open_store(url), {})
        await keeper.start()
        keeper.charge(("tenant:acme",), 5)
        await keeper.close()

    url = f"sqlite:///{tmp_path}/used.db"
    asyncio.run(use(url))
    with pytest.raises(RuntimeError, match="empty"):
        asyncio.run(prove(tmp_path, Size(1, 1.0, 1, 0, 0, 1), url, 1, print))


# ---------------------------------------------------------------- and it would see what is wrong


def answers(ok: int, refused: int) -> list[Answer]:
    return [Answer("ok", 9.0, 9.5, 100)] * ok + [Answer("quota_reserved", 1.0, 1.0)] * refused


@pytest.mark.parametrize(("ok", "missed", "over"), [(30, 0, 0), (29, 1, 0), (33, 0, 3)])
def test_a_held_round_tells_who_was_refused_wrongly_and_who_admitted(ok: int, missed: int, over: int) -> None:
    found = judge(Plan(0, "held", "t", 1000), answers(ok, 100 - ok), 0.0)
    assert (found.missed, found.over) == (missed, over)


def test_a_held_round_that_was_too_slow_tells_nothing() -> None:
    late = [*answers(30, 0), Answer("quota_reserved", 9.6, 9.6)]
    assert judge(Plan(0, "held", "t", 1000), late, 0.0).missed is None


@pytest.mark.parametrize(
    ("settled", "orphaned", "served", "faults"),
    [
        (1_000, 0, 1_000, []),
        (1_000, 0, 1_001, ["lost_tokens = 2"]),  # of the tenant and of the provider
        (1_500, 500, 1_000, []),
        (1_501, 500, 1_000, ["overcharged_tokens = 1"]),
        (LIMIT + 5, LIMIT, 1_000, ["overshoot_tokens = 5"]),
    ],
)
def test_the_books_are_held_against_each_other(settled: int, orphaned: int, served: int, faults: list[str]) -> None:
    def account(scope: str) -> Account:
        return Account(Key(scope, "tokens", "2026-11-23"), settled=settled, orphaned=orphaned)

    figures = Figures(exact_rounds=1)
    accounts = {scope: account(scope) for scope in ("tenant:t", "provider:openai")}
    compare(figures, accounts, {"openai": served}, [])
    assert figures.faults() == faults


def test_an_alert_that_is_missing_or_told_twice_is_seen() -> None:
    scope = "tenant:t"
    found = Found(Plan(0, "flow", "t", 600), Counter(ok=1))
    spent = {scope: Account(Key(scope, "tokens", "2026-11-23"), settled=LIMIT * 8 // 10)}
    figures = Figures()
    check_alerts(figures, spent, [], [], [found])
    assert figures.wrong_alerts == 1
    twice = [{"alert": {"id": "same"}}] * 2
    check_alerts(figures, {}, [], twice, [])
    assert figures.wrong_alerts == 1
