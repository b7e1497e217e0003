"""Where the gateway's time goes under load.

    python -m bench.profile [--seconds N] [--connections N] [--dialect openai|anthropic|gemini] [--bytes N]

With py-spy installed: a real gateway under wrk, sampled; samples without the interpreter's lock (waiting) are left out. Without
it: bench.hotpath under cProfile, which makes short functions look dearer than they are.
"""

from __future__ import annotations

import argparse
import asyncio
import shutil
import subprocess
import sys
import tempfile
from collections import Counter
from contextlib import closing
from pathlib import Path

import uvloop

from bench import hotpath
from bench.answers import MODELS
from bench.json_calls import Contestant, turn
from bench.programs import Cores, raise_file_limit
from bench.systems import Bench

PER_S = 500
SHOWN = 40
STARTING_S = 2.0  # py-spy needs a moment before it samples


def sampled(spy: str, arguments: argparse.Namespace) -> str:
    """Functions by own time and lines by own time, in per cent."""
    with tempfile.TemporaryDirectory() as folder, closing(Bench(Path(folder), Cores.of_this_machine())) as bench:
        contestant = Contestant("ours", bench.ours(bench.json_stub()), arguments.dialect)
        turn(bench, contestant, arguments.connections, arguments.bytes, 1)
        raw = Path(folder) / "raw.txt"
        argv = [spy, "record", "--gil", "--format", "raw", "--rate", str(PER_S), "--duration", str(arguments.seconds)]
        argv += ["--output", str(raw), "--pid", str(contestant.system.program.session)]
        with subprocess.Popen(argv, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL):
            sample = turn(bench, contestant, arguments.connections, arguments.bytes, arguments.seconds + STARTING_S)
        rate = f"{sample.per_s:,.0f} calls/s, {sample.cpu_us:.1f} us of CPU each, while being sampled\n"
        return rate + own_time(raw.read_text())


def own_time(stacks: str) -> str:
    """What py-spy wrote: `frame;frame;frame count` on each line, outermost first."""
    functions: Counter[str] = Counter()
    lines: Counter[str] = Counter()
    for row in stacks.splitlines():
        stack, _, count = row.rpartition(" ")
        leaf = stack.rpartition(";")[2]
        lines[leaf] += int(count)
        functions[leaf.rpartition(":")[0] + ")"] += int(count)
    whole = max(1, sum(lines.values()))
    parts = []
    for title, counts in (("functions", functions), ("lines", lines)):
        parts.append(f"\n{title} by own time\n")
        parts += [f"{count / whole:7.1%}  {name}\n" for name, count in counts.most_common(SHOWN)]
    return "".join(parts)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.profile", description="Show where the gateway's time goes.")
    parser.add_argument("--seconds", type=int, default=8)
    parser.add_argument("--connections", type=int, default=32)
    parser.add_argument("--dialect", choices=sorted(MODELS), default="openai")
    parser.add_argument("--bytes", type=int, default=0, help="of additional text in each request")
    arguments = parser.parse_args()
    raise_file_limit()
    beside = Path(sys.executable).parent / "py-spy"
    spy = str(beside) if beside.exists() else shutil.which("py-spy")
    if spy is not None:
        print(sampled(spy, arguments))
        return
    print("py-spy is not installed (pip install py-spy): the hot path under cProfile instead", file=sys.stderr)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(hotpath.main(arguments.dialect, arguments.bytes, ["profile"]))


if __name__ == "__main__":
    main()
