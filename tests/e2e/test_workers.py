"""`gateway serve` with several workers: one gateway to its clients, whichever process answers and whoever dies."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections import Counter
from pathlib import Path

import aiohttp
import pytest
import yaml
from e2e_quota import ROOMY, body_of
from e2e_tools import until
from e2e_workers import Fleet, Run, alive

from gateway.core.tokens import input_bound


async def stream(fleet: Fleet) -> aiohttp.ClientResponse:
    """A long answer that has begun."""
    body = {"model": "gpt-5.4", "stream": True, "messages": [{"role": "user", "content": "word " * 40}]}
    answer = await fleet.session.post(fleet.base + "/chat/completions", json=body, headers=fleet.headers)
    assert answer.status == 200
    await answer.content.readline()
    return answer


def total(figures: dict[str, float], name: str) -> float:
    """The sum over all series of a metric."""
    return sum(value for series, value in figures.items() if series.partition("{")[0] == name)


# ---------------------------------------------------------------- one gateway of many


async def test_metrics_of_any_worker_are_those_of_all_and_never_go_back(run: Run) -> None:
    fleet = await run()

    assert await asyncio.gather(*(fleet.chat() for _ in range(40))) == [200] * 40
    shown = await asyncio.gather(*(fleet.metrics() for _ in range(8)))

    calls, durations = "gateway_requests_total", "gateway_request_duration_seconds_count"
    for figures in shown:
        assert total(figures, calls) == total(figures, durations) == 40
        assert figures["gateway_in_flight_requests"] == 0
        assert figures["process_resident_memory_bytes"] > 100e6, "three interpreters"
        assert figures['gateway_build_info{version="0.1.0"}'] == 1
    os.kill(fleet.pids()[0], signal.SIGKILL)
    await fleet.tells("worker_ended", 1)
    assert total(await fleet.metrics(), calls) == 40, "what was shown once outlives its worker"
    await fleet.tells("serving", 3)
    assert await asyncio.gather(*(fleet.chat() for _ in range(10))) == [200] * 10
    figures = await fleet.metrics()
    assert total(figures, calls) == total(figures, durations) == 50
    assert figures["gateway_worker_restarts_total"] == 1
    assert figures["process_cpu_seconds_total"] > shown[0]["process_cpu_seconds_total"]


async def test_of_calls_at_once_on_three_workers_exactly_those_that_fit_are_admitted(run: Run) -> None:
    fit, asked, cap = 7, 60, 500
    reserve = input_bound(body_of(cap=cap)) + cap
    limit = fit * reserve + reserve - 1
    fleet = await run(3, {**ROOMY, "tenants": {"acme": {"quota": {"daily_tokens": limit}}}})
    # Nobody is answered before all have asked.
    await fleet.fault("slow_first_byte", delay_s=2.0)

    statuses = await asyncio.gather(*(fleet.chat(max_completion_tokens=cap) for _ in range(asked)))

    assert Counter(statuses) == {200: fit, 429: asked - fit}
    served = await fleet.served()
    assert served["requests"] == fit

    async def settled() -> bool:
        pages = await asyncio.gather(*(fleet.get("/quotas") for _ in range(16)))
        rows = [r for p in pages for r in p["accounts"] if (r["scope"], r["window"]) == ("tenant:acme", "daily")]
        return {(row["used"], row["reserved"]) for row in rows} == {(served["total_tokens"], 0)}

    await until(settled, within_s=6.0, what="all workers say what the provider says")


# ---------------------------------------------------------------- workers that end


async def test_a_killed_worker_is_replaced_and_nobody_elses_calls_fail(run: Run) -> None:
    fleet = await run(2, {"tenants": {"acme": {"quota": {"daily_tokens": 10_000_000}}}}, chunk_delay_s=0.02)
    statuses: list[int] = []

    async def client() -> None:
        while len(statuses) < 200:
            statuses.append(await fleet.chat(max_completion_tokens=50))

    clients = [asyncio.create_task(client()) for _ in range(10)]
    await until(lambda: len(statuses) > 60)
    os.kill(fleet.pids()[0], signal.SIGKILL)
    await asyncio.gather(*clients)

    [ended] = await fleet.tells("worker_ended", 1)
    assert ended["code"] == -signal.SIGKILL
    await fleet.tells("serving", 3)
    counted = Counter(statuses)
    assert set(counted) <= {200, 0}
    assert counted[0] <= 10, "only what the dead worker had in its hands"
    assert [await fleet.chat() for _ in range(10)] == [200] * 10
    served = (await fleet.served())["total_tokens"]

    async def charged() -> bool:
        rows = (await fleet.get("/quotas"))["accounts"]
        limited = [row for row in rows if row["limit"] is not None]
        return len(limited) == 1 and all(row["used"] >= served for row in limited)

    await until(charged, within_s=8.0, what="what a dead worker may have used is charged")


async def test_a_rolling_restart_loses_no_call(run: Run) -> None:
    fleet = await run(2, {"tenants": {"acme": {"quota": {"daily_tokens": 10_000_000}}}})
    before = fleet.pids()
    statuses: list[int] = []

    async def client(keep: bool) -> None:
        while len(fleet.told("worker_ended")) < 2:
            statuses.append(await fleet.chat(keep=keep, max_completion_tokens=50))

    clients = [asyncio.create_task(client(keep)) for keep in (True, True, False, False)]
    await until(lambda: len(statuses) > 20)
    fleet.signal(signal.SIGUSR2)
    await asyncio.gather(*clients)
    await fleet.tells("rolling_restart_done", 1)

    assert Counter(statuses) == {200: len(statuses)}
    assert {row["code"] for row in fleet.told("worker_ended")} == {0}
    assert len(fleet.pids()) == 2
    assert not set(fleet.pids()) & set(before)


async def test_workers_drain_when_their_supervisor_is_killed(run: Run) -> None:
    fleet = await run()
    pids = fleet.pids()
    fleet.signal(signal.SIGKILL)
    await until(lambda: not any(map(alive, pids)), what="orphans end")
    assert await fleet.ends() == -signal.SIGKILL
    assert len(fleet.told("stopped")) == 2


# ---------------------------------------------------------------- signals


async def test_sigterm_lets_streams_end_and_exits_0(run: Run) -> None:
    fleet = await run(chunk_delay_s=0.02)
    streams = [await stream(fleet) for _ in range(4)]

    fleet.signal(signal.SIGTERM)
    await fleet.tells("stopping", 2)
    assert await fleet.chat() == 0, "a new connection is refused"
    for answer in streams:
        assert (await answer.read()).endswith(b"data: [DONE]\n\n")

    assert await fleet.ends() == 0
    assert {row["code"] for row in fleet.told("worker_ended")} == {0}


async def test_a_second_signal_ends_it_at_once(run: Run) -> None:
    fleet = await run(chunk_delay_s=0.5)
    answer = await stream(fleet)
    fleet.signal(signal.SIGINT)
    await fleet.tells("stopping", 2)
    fleet.signal(signal.SIGINT)
    assert await fleet.ends(within_s=3.0) == 1
    with pytest.raises(aiohttp.ClientPayloadError):
        await answer.read()


async def test_sighup_makes_every_worker_read_the_configuration(run: Run) -> None:
    fleet = await run()
    fleet.signal(signal.SIGHUP)
    await fleet.tells("reloaded", 2)

    changed = yaml.safe_load(fleet.path.read_text())
    changed["models"]["brand-new"] = ["openai/gpt-5.4"]
    fleet.path.write_text(yaml.safe_dump(changed))
    fleet.signal(signal.SIGHUP)
    await fleet.tells("reloaded", 4)
    assert await asyncio.gather(*(fleet.chat(model="brand-new") for _ in range(16))) == [200] * 16


# ---------------------------------------------------------------- what cannot be


async def test_a_store_that_cannot_be_opened_ends_it_with_one_message(run: Run, tmp_path: Path) -> None:
    (tmp_path / "quotas.db").write_text("this is no database, whatever its name says")
    fleet = await run(3, serving=False)
    assert await fleet.ends() == 1
    [line] = fleet.plain
    assert line.startswith("gateway: cannot start: ")
    assert "not an SQLite database" in line


async def test_quotas_in_memory_are_refused_to_several_workers(run: Run) -> None:
    fleet = await run(2, {"store": {"url": "memory://"}}, serving=False)
    assert await fleet.ends() == 2
    [line] = fleet.plain
    assert line.startswith("gateway: store.url: memory://")
    assert "sqlite:///" in line
    assert fleet.events == []


async def test_a_port_that_is_taken_is_not_shared_silently(run: Run) -> None:
    fleet = await run()
    other = await asyncio.create_subprocess_exec(
        *(
            sys.executable,
            "-m",
            "gateway",
            "serve",
            "--config",
            str(fleet.path),
            "--port",
            str(fleet.port),
            "--workers",
            "2",
        ),
        stderr=asyncio.subprocess.PIPE,
    )
    _, said = await other.communicate()
    assert (other.returncode, said.decode().count("\n")) == (1, 1)
    assert f"cannot listen on 127.0.0.1:{fleet.port}" in said.decode()
