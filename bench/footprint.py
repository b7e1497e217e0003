"""What a system takes before it does anything: memory, idle and with streams open, and the time it needs to start."""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence

from msgspec import Struct

from bench.effort import Effort
from bench.json_calls import Contestant, Say
from bench.programs import Program, free_port, is_ready
from bench.streams import Plan, measure
from bench.systems import Bench, serve, write_config

RAMP_S, WINDOW_S = 4.0, 1.0
SLOW_PER_S = 5  # chunks a second of each open stream
AFTERWARDS_S = 1.0  # what was hung up may be cleared away


class Memory(Struct, frozen=True):
    """Resident megabytes: before, with `streams` open, and after they were hung up."""

    idle_mb: float
    open_mb: float
    after_mb: float
    streams: int


def memory(bench: Bench, contestants: Sequence[Contestant], effort: Effort, say: Say) -> dict[str, Memory]:
    """Systems should be fresh: what a load has left behind would count as idle."""
    return {one.name: _with_streams(bench, one, effort.open_streams, say) for one in contestants}


def _with_streams(bench: Bench, one: Contestant, streams: int, say: Say) -> Memory:
    say(f"{streams} open streams: {one.name}")
    program, of = one.system.program, one.system
    plan = Plan(
        program.port, of.path, dict(of.headers), one.dialect, streams, SLOW_PER_S, RAMP_S, WINDOW_S, program.session
    )
    idle_mb = program.rss_mb()
    load = measure(plan, bench.cores.others)
    time.sleep(AFTERWARDS_S)
    return Memory(idle_mb, load.rss_mb, program.rss_mb(), streams)


def start_up(bench: Bench, upstream_port: int, effort: Effort, say: Say) -> list[float]:
    """Seconds from exec to the first 200 on /readyz, once for each start."""
    say(f"{effort.starts} starts")
    return [_start_s(bench, upstream_port) for _ in range(effort.starts)]


def _start_s(bench: Bench, upstream_port: int) -> float:
    port = free_port()
    path = write_config(bench.folder / f"start-{port}", upstream_port)
    log = bench.folder / f"start-{port}.log"
    with Program(serve(sys.executable, path, port), port, bench.cores.measured, log) as program:
        return program.wait_until(is_ready)
