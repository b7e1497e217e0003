"""JSON calls: as many as go, with small bodies and a large one; and the wait that a call costs when nobody is at the limit."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from msgspec import Struct

from bench.answers import Dialect, json_body
from bench.effort import Effort
from bench.loads import Load, Target, pace, saturate
from bench.systems import JSON_TYPE, PATH, Bench, System

BIG_CONNECTIONS = 8
PACED_CONNECTIONS = 1  # h2load asks on all at the same moment, and they would wait for each other
PACED_PER_S = 200

Say = Callable[[str], None]


class Contestant(Struct, frozen=True):
    """A system asked for something. `name` is its row in the report."""

    name: str
    system: System
    dialect: Dialect = "openai"


class Sample(Struct, frozen=True):
    """One turn. `busy` is the part of a core that the system used."""

    per_s: float
    cpu_us: float  # per call
    p50_us: float
    p99_us: float
    busy: float


Samples = dict[str, list[Sample]]  # contestant -> one a round, in the order of the rounds


def saturated(bench: Bench, contestants: Sequence[Contestant], effort: Effort, say: Say) -> dict[int, Samples]:
    """connections -> contestant -> samples."""
    for contestant in contestants:
        turn(bench, contestant, 32, 0, effort.warm_s)
    return {n: _rounds(bench, contestants, n, 0, effort, say) for n in effort.connections}


def big_bodies(bench: Bench, contestants: Sequence[Contestant], effort: Effort, say: Say) -> Samples:
    """The same with a message of a megabyte."""
    return _rounds(bench, contestants, BIG_CONNECTIONS, effort.big_body_bytes, effort, say)


def _rounds(
    bench: Bench, contestants: Sequence[Contestant], connections: int, padding: int, effort: Effort, say: Say
) -> Samples:
    samples: Samples = {contestant.name: [] for contestant in contestants}
    for number in range(effort.rounds):
        say(f"JSON, {connections} connections, {padding or 'small'} bytes, round {number + 1} of {effort.rounds}")
        for contestant in contestants:
            samples[contestant.name].append(turn(bench, contestant, connections, padding, effort.seconds))
    return samples


def turn(bench: Bench, contestant: Contestant, connections: int, padding: int, seconds: float) -> Sample:
    """One load on one contestant, and what it used meanwhile."""
    program = contestant.system.program
    target = _target(bench, contestant, padding)
    before_s = program.cpu_s()
    load = saturate(target, connections, seconds, bench.cores.others, bench.folder)
    used_s = program.cpu_s() - before_s
    program.rest()
    return Sample(
        load.requests / load.duration_s,
        used_s / load.requests * 1e6,
        load.p50_us,
        load.p99_us,
        used_s / load.duration_s,
    )


def paced(
    bench: Bench, contestants: Sequence[Contestant], upstream_port: int, effort: Effort, say: Say
) -> dict[str, list[Load]]:
    """Waits at a modest rate. The row `direct` asks the upstream itself: what the machine alone takes."""
    direct = Target(f"http://127.0.0.1:{upstream_port}{PATH}", JSON_TYPE, _body(bench.folder, "openai", 0))
    targets = {"direct": direct} | {one.name: _target(bench, one) for one in contestants}
    loads: dict[str, list[Load]] = {name: [] for name in targets}
    for number in range(effort.rounds):
        say(f"JSON, {PACED_PER_S} calls a second, round {number + 1} of {effort.rounds}")
        for name, target in targets.items():
            load = pace(target, PACED_CONNECTIONS, PACED_PER_S, effort.seconds, bench.cores.others, bench.folder)
            loads[name].append(load)
    return loads


def _target(bench: Bench, contestant: Contestant, padding: int = 0) -> Target:
    body = _body(bench.folder, contestant.dialect, padding)
    return Target(contestant.system.url, contestant.system.headers, body)


def _body(folder: Path, dialect: Dialect, padding: int) -> Path:
    path = folder / f"{dialect}-{padding}.json"
    if not path.exists():
        path.write_bytes(json_body(dialect, padding))
    return path
