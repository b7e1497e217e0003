"""Processes that die without a word, and processes that share a file or a server."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from pathlib import Path

import pytest
from quota_story import until
from redis_server import RedisLedger, RedisServer
from redis_story import OldState, day

from gateway.core.ledger_commands import Audits, Holders, Orphan
from gateway.core.ledger_rows import Holder, Process
from gateway.stores.keeper import Keeper, KeeperEvent
from gateway.stores.open import open_store
from gateway.stores.processes import is_gone, started, this_process

NOON = 1_795_435_200.0  # 2026-11-23 12:00 UTC
VICTIM = Path(__file__).with_name("victim.py")
ROOT = VICTIM.parents[2]
USED = {"tokens": 150, "microusd": 1_500}  # by a call
BLOCK = {"tokens": 20_000, "microusd": 200_000}  # leased beyond need, at first
MINE = [("provider:openai", "tokens"), ("tenant:acme", "microusd"), ("tenant:acme", "tokens")]


@pytest.fixture(params=["sqlite", "redis"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """A store that processes can share."""
    return request.getfixturevalue("redis_server").url if request.param == "redis" else f"sqlite:///{tmp_path}/quota.db"


def start(what: str, url: str) -> subprocess.Popen[bytes]:
    command = [sys.executable, str(VICTIM), what, url, str(NOON)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, env={**os.environ, "PYTHONPATH": str(ROOT)})


@pytest.mark.parametrize("served_before", [1, 40, 400])
async def test_nothing_that_was_served_is_forgotten_by_kill_9(url: str, served_before: int) -> None:
    process = start("serve", url)
    assert process.stdout is not None
    told = process.stdout.read(served_before)
    process.kill()
    calls = len(told + process.stdout.read())
    process.wait()
    process.stdout.close()

    events: list[KeeperEvent] = []
    keeper = Keeper(open_store(url), {}, clock=lambda: NOON, on_event=events.append)
    await keeper.start()  # at once: it does not wait for the heartbeat to grow old
    accounts = [view for view in keeper.accounts() if view.window == "daily"]
    assert sorted((view.scope, view.unit) for view in accounts) == MINE
    for view in accounts:
        served = calls * USED[view.unit]
        # At most a lease too much: it doubles with the traffic.
        assert served <= view.used <= 3 * served + BLOCK[view.unit]
        assert view.leased == 0
    orphaned = {event.key[:2]: event.amount for event in events if isinstance(event, Orphan)}
    assert sorted(orphaned) == MINE
    lines = await keeper._pump.store.run(Audits(), NOON)
    assert {line.key[:2]: line.amount for line in lines if line.action == "orphan"} == orphaned  # type: ignore[union-attr]
    await keeper.close()


async def test_three_processes_admit_together_exactly_what_fits(url: str) -> None:
    processes = [start("share", url) for _ in range(3)]
    outputs = await asyncio.gather(*(asyncio.to_thread(process.communicate) for process in processes))
    assert [process.returncode for process in processes] == [0, 0, 0]
    assert sum(int(out) for out, _ in outputs) == 150
    keeper = Keeper(open_store(url), {}, clock=lambda: NOON)
    await keeper.start()
    figures = [(view.used, view.leased) for view in keeper.accounts(("tenant:acme",))]
    assert figures == [(30_000, 0), (30_000, 0), (300_000, 0), (300_000, 0)]
    await keeper.close()


@pytest.mark.parametrize("loses", [False, True], ids=["that_dies", "that_dies_and_loses_writes"])
async def test_three_processes_on_a_server_never_pass_the_limit_together(server: RedisServer, loses: bool) -> None:
    processes = [start("share-slowly", server.url) for _ in range(3)]
    with RedisLedger(server) as ledger:
        await until(lambda: len(ledger.run(Holders(), NOON)) == 3)  # type: ignore[arg-type]
    for _ in range(2):
        await asyncio.sleep(0.6)
        old = OldState(server)
        await asyncio.sleep(0.4)
        if loses:
            old.bring_back()
        else:
            server.kill()
            server.start()
    outputs = await asyncio.gather(*(asyncio.to_thread(process.communicate) for process in processes))
    assert [process.returncode for process in processes] == [0, 0, 0]
    admitted = sum(int(out) for out, _ in outputs)
    assert 0 < admitted <= 150
    account = day(server)
    assert (account.settled, account.leased, account.orphaned) == (200 * admitted, 0, 0)


# ---------------------------------------------------------------- who lives


def test_this_process_lives() -> None:
    assert not is_gone(Holder("me", this_process()), this_process())


def test_a_process_that_ended_is_gone_even_before_its_parent_noticed() -> None:
    child = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    me = this_process()
    holder = Holder("child", Process(me.boot, me.space, child.pid, started(child.pid)))
    assert not is_gone(holder, me)
    assert child.stdin is not None
    child.stdin.close()
    os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)  # ended, not yet collected: a zombie
    assert is_gone(holder, me)
    child.wait()
    assert is_gone(holder, me)


def test_another_process_with_the_same_number_is_not_the_one_we_knew() -> None:
    me = this_process()
    assert is_gone(Holder("old", Process(me.boot, me.space, me.pid, me.started - 1)), me)


def test_nothing_survives_a_reboot() -> None:
    me = this_process()
    assert is_gone(Holder("old", Process("another boot", me.space, me.pid, me.started)), me)


def test_of_another_container_only_the_heartbeat_tells() -> None:
    me = this_process()
    assert not is_gone(Holder("other", Process(me.boot, "pid:[0]", 1, 1)), me)
    assert not is_gone(Holder("unknown", Process()), me)


def test_of_another_machine_only_the_heartbeat_tells_where_machines_share_a_store() -> None:
    me = this_process()
    assert not is_gone(Holder("far", Process("another boot", me.space, me.pid, me.started)), me, alone=False)
