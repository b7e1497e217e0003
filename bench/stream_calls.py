"""Streams: how many chunks a second come through, how late, and what each costs. The row `direct` asks the stub itself."""

from __future__ import annotations

from collections.abc import Sequence

from msgspec.structs import replace

from bench.effort import Effort
from bench.json_calls import Contestant, Say
from bench.streams import Plan, StreamLoad, measure
from bench.systems import JSON_TYPE, PATH, Bench

CHUNKS_PER_S = 100  # of each stream

Loads = dict[str, list[StreamLoad]]  # contestant -> one a round


def streams(
    bench: Bench,
    contestants: Sequence[Contestant],
    stub_port: int,
    effort: Effort,
    counts: Sequence[int],
    say: Say,
) -> dict[int, Loads]:
    """streams at once, of `counts` -> contestant -> loads."""
    direct = Plan(stub_port, PATH, JSON_TYPE, "openai", 0, CHUNKS_PER_S, effort.ramp_s, effort.window_s, None)
    found: dict[int, Loads] = {}
    for at_once in counts:
        found[at_once] = {"direct": [], **{one.name: [] for one in contestants}}
        for number in range(effort.stream_rounds):
            say(f"{at_once} streams, round {number + 1} of {effort.stream_rounds}")
            found[at_once]["direct"].append(measure(replace(direct, streams=at_once), bench.cores.others))
            for one in contestants:
                found[at_once][one.name].append(measure(_plan(one, at_once, effort), bench.cores.others))
                one.system.program.rest()
    return found


def _plan(one: Contestant, at_once: int, effort: Effort) -> Plan:
    of, program = one.system, one.system.program
    headers, ramp_s, window_s = dict(of.headers), effort.ramp_s, effort.window_s
    return Plan(program.port, of.path, headers, one.dialect, at_once, CHUNKS_PER_S, ramp_s, window_s, program.session)
