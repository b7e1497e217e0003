"""The whole benchmark, as `make bench` runs it. Prints its report and writes it.

    python -m bench.run [--quick] [--output FILE]      PEERS=1 measures other gateways too (bench.peers)

JSON and streams have systems of their own, fresh ones, so that memory is that of the load alone. Ours always runs with
everything on: JWT, quotas in SQLite, breaker, metrics, access log.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import time
from contextlib import closing
from pathlib import Path

from bench.effort import FULL, QUICK, Effort
from bench.footprint import Memory, memory, start_up
from bench.json_calls import Contestant, Samples, big_bodies, paced, saturated
from bench.loads import Load
from bench.machine import described, distribution_python
from bench.peers import peers
from bench.programs import Cores, raise_file_limit
from bench.ratios import middle
from bench.report import BARE, NGINX, Findings, report
from bench.stream_calls import CHUNKS_PER_S, Loads, streams
from bench.systems import Bench

RESULTS = Path(__file__).parent / "results.md"
ON_PACE = 0.98
OURS, THROUGH_AIOHTTP = "ours", "ours, aiohttp's door"


class Run:
    """One run, in order: memory and streams, JSON, starts. Peers that are asked for run in the JSON part and the first streams."""

    def __init__(self, bench: Bench, effort: Effort) -> None:
        self._bench = bench
        self._effort = effort
        self._began = time.monotonic()
        self._notes: list[str] = []

    def say(self, text: str) -> None:
        print(f"{time.monotonic() - self._began:6.0f} s  {text}", file=sys.stderr, flush=True)

    def all(self) -> Findings:
        machine = described(self._bench.cores)
        stub = self._bench.stream_stub()
        footprints, loads = self._streams(stub)
        found = self._json()
        starts = start_up(self._bench, stub, self._effort, self.say)
        return Findings(machine, self._effort.name, *found, loads, footprints, starts, self._notes)

    def _streams(self, port: int) -> tuple[dict[str, Memory], dict[int, Loads]]:
        bench, effort = self._bench, self._effort
        nginx, bare = bench.nginx(port, buffering=False), bench.bare(port)
        main = [Contestant(NGINX, nginx), Contestant(BARE, bare), Contestant(OURS, bench.ours(port))]
        footprints = memory(bench, main, effort, self.say)
        door = Contestant(THROUGH_AIOHTTP, bench.ours(port, "door", fast_lane=False))
        everyone = [*main, *_translated(main[-1]), door]
        others = self._peers(port)
        loads = streams(bench, [*everyone, *others], port, effort, effort.streams[:1], self.say)
        loads |= streams(bench, everyone, port, effort, effort.streams[1:], self.say)
        self._stop([*everyone, *others])
        self._note_failures(loads)
        self._note_pace(loads)
        return footprints, loads

    def _note_failures(self, loads: dict[int, Loads]) -> None:
        """What refused or cut streams said; who had not a single chunk has no figures, and leaves the tables."""
        for at_once, rows in loads.items():
            for name, row in list(rows.items()):
                failed, said = (
                    sum(load.failed for load in row),
                    next((load.failure for load in row if load.failure), ""),
                )
                if failed:
                    self._notes.append(
                        f"{at_once} streams, {name}: {failed} failed. One said: `{' '.join(said.split())}`"
                    )
                if not any(load.chunks for load in row):
                    del rows[name]

    def _note_pace(self, loads: dict[int, Loads]) -> None:
        """Where even the stub alone was too slow, rates and waits tell about the machine."""
        for at_once, rows in loads.items():
            reached = middle(rows["direct"], lambda load: load.chunks / load.window_s)
            if reached < at_once * CHUNKS_PER_S * ON_PACE:
                self._notes.append(
                    f"{at_once} streams: stub and client reached only {reached:,.0f} chunks/s by themselves. "
                    "The machine was busy; only the CPU columns of that table mean anything."
                )

    def _json(self) -> tuple[dict[int, Samples], Samples, dict[str, list[Load]], dict[str, float]]:
        bench, effort = self._bench, self._effort
        port = bench.json_stub()
        nginx, bare = bench.nginx(port, buffering=True), bench.bare(port)
        main = [Contestant(NGINX, nginx), Contestant(BARE, bare), Contestant(OURS, bench.ours(port))]
        ceilings = [Contestant(name, system) for name, system in bench.ceilings(port).items()]
        translated, variants, others = _translated(main[-1]), self._variants(port), self._peers(port)
        calls = saturated(bench, [*main, *translated, *variants, *ceilings, *others], effort, self.say)
        loaded_mb = {one.name: one.system.program.rss_mb() for one in main}
        big = big_bodies(bench, [*main, *translated], effort, self.say)
        waits = paced(bench, [*main, *translated, variants[0]], port, effort, self.say)
        self._stop([*main, *variants, *ceilings, *others])
        return calls, big, waits, loaded_mb

    def _variants(self, port: int) -> list[Contestant]:
        """Ours, otherwise set up: the door of aiohttp alone, two workers, the distribution's interpreter."""
        bench = self._bench
        found = [Contestant(THROUGH_AIOHTTP, bench.ours(port, "door", fast_lane=False))]
        found.append(Contestant("ours, 2 workers", bench.ours(port, "workers", workers=2, cores=bench.cores.pair)))
        if bench.cores.pair == bench.cores.measured:
            self._notes.append(
                "The 2 workers share one core here: their row shows what sharing costs, not what it gains."
            )
        other = distribution_python()
        if other is not None:
            python, environ = other
            system = bench.ours(port, "distribution", python=python, environ=environ)
            found.append(Contestant("ours, distribution's Python", system))
        return found

    def _peers(self, port: int) -> list[Contestant]:
        if os.environ.get("PEERS") != "1":
            return []
        running, missing = peers(self._bench, port)
        self._notes += [note for note in missing if note not in self._notes]
        return [Contestant(system.name, system) for system in running]

    def _stop(self, contestants: list[Contestant]) -> None:
        for program in {id(one.system): one.system.program for one in contestants}.values():
            self._bench.stop(program)


def _translated(ours: Contestant) -> list[Contestant]:
    """The same process, asked for models of the other dialects."""
    return [
        Contestant("ours, to Anthropic", ours.system, "anthropic"),
        Contestant("ours, to Gemini", ours.system, "gemini"),
    ]


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.run", description="Measure what the gateway costs.")
    parser.add_argument("--quick", action="store_true", help="a look of two minutes instead of ten")
    parser.add_argument("--output", type=Path, help="the report (bench/results.md; a quick one is only printed)")
    arguments = parser.parse_args()
    raise_file_limit()
    effort = QUICK if arguments.quick else FULL
    with tempfile.TemporaryDirectory() as folder, closing(Bench(Path(folder), Cores.of_this_machine())) as bench:
        text = report(Run(bench, effort).all())
    print(text)
    output = arguments.output or (None if arguments.quick else RESULTS)
    if output is not None:
        output.write_text(text)


if __name__ == "__main__":
    main()
