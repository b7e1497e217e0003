"""The gateway stays cheaper than a bare aiohttp proxy, though that has no features at all.

The criterion is CPU time per call, from the kernel's own books: it hardly changes when other programs use the machine, as
throughput does. Rounds are interleaved, and the cheapest of each side counts: noise only ever adds.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from bench.answers import json_body
from bench.closed_loop import ClosedLoop
from bench.programs import Cores
from bench.systems import Bench, System

ROUNDS = 4
CONNECTIONS = 16
CALLS = {"bare": 1500, "ours": 3000}  # of a round: enough for the clock of /proc, which ticks every 10 ms
# Below what is measured (1.5 to 1.8 with this client) by what noise takes. Raise it when the gateway has become faster.
FLOOR = 1.25


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    with closing(Bench(tmp_path, Cores.of_this_machine())) as bench:
        yield bench


def cpu_us(system: System, calls: int) -> float:
    """CPU time of one call, of so many."""
    load = ClosedLoop(system.program.port, system.path, system.headers, json_body("openai"))
    before_s = system.program.cpu_s()
    asyncio.run(load.run(calls, CONNECTIONS))
    return (system.program.cpu_s() - before_s) / calls * 1e6


def test_a_call_costs_clearly_less_than_a_bare_aiohttp_proxy_takes_for_it(bench: Bench) -> None:
    upstream_port = bench.stream_stub()
    systems = (bench.bare(upstream_port), bench.ours(upstream_port))
    for system in systems:
        cpu_us(system, 300)  # the first calls open connections and fill caches
    rounds = [{system.name: cpu_us(system, CALLS[system.name]) for system in systems} for _ in range(ROUNDS)]
    bare_us, ours_us = (min(costs[name] for costs in rounds) for name in ("bare", "ours"))
    assert bare_us / ours_us >= FLOOR, f"bare {bare_us:.0f} us, ours {ours_us:.0f} us per call; rounds: {rounds}"
