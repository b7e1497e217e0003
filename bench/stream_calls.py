"""Streams: how many chunks a second come through, how late, and what each costs. The row `direct` asks the stub itself."""

from __future__ import annotations

from collections.abc import Sequence

from bench.answers import Dialect
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
    found: dict[int, Loads] = {}
    for at_once in counts:
        plans = {"direct": _plan(stub_port, PATH, JSON_TYPE, "openai", None, at_once, effort)}
        for one in contestants:
            of = one.system
            port, session = of.program.port, of.program.session
            plans[one.name] = _plan(port, of.path, dict(of.headers), one.dialect, session, at_once, effort)
        found[at_once] = {name: [] for name in plans}
        for number in range(effort.stream_rounds):
            say(f"{at_once} streams, round {number + 1} of {effort.stream_rounds}")
            for name, plan in plans.items():
                found[at_once][name].append(measure(plan, bench.cores.others))
    return found


def _plan(
    port: int, path: str, headers: dict[str, str], dialect: Dialect, session: int | None, at_once: int, effort: Effort
) -> Plan:
    return Plan(port, path, headers, dialect, at_once, CHUNKS_PER_S, effort.ramp_s, effort.window_s, session)
