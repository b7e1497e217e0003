"""`python -m bench.proving`: see bench/README.md."""

from __future__ import annotations

import argparse
import asyncio
import signal
import sys
import tempfile
from pathlib import Path

from bench.programs import raise_file_limit
from bench.proving.proof import Size, prove
from bench.proving.verdict import report


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m bench.proving", description="Prove what docs/quotas.md promises.")
    parser.add_argument("--rounds", type=int, default=1000)
    parser.add_argument("--seconds", type=float, default=float("inf"), help="begin no round after so long")
    parser.add_argument("--calls", type=int, default=500, help="of a round, all at once")
    parser.add_argument("--kills", type=int, help="processes killed (default: one in five rounds)")
    parser.add_argument("--workers", type=int, default=4, help="processes of one gateway")
    parser.add_argument("--nodes", type=int, default=0, help="gateways of one process each, instead of workers")
    parser.add_argument(
        "--store",
        default="",
        help="store.url of an empty store, or redis for a server of our own (default: an SQLite file in a new folder)",
    )
    parser.add_argument("--seed", type=int, default=1)
    given = parser.parse_args()
    kills = given.rounds // 5 if given.kills is None else given.kills
    size = Size(given.rounds, given.seconds, given.calls, kills, 0 if given.nodes else given.workers, given.nodes)
    raise_file_limit()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # and what was started is ended
    with tempfile.TemporaryDirectory(prefix="prove-quotas-") as folder:
        try:
            figures = asyncio.run(
                prove(Path(folder), size, given.store, given.seed, lambda line: print(line, flush=True))
            )
        except RuntimeError as error:
            print(error, file=sys.stderr)
            return 2
    print("\n" + report(figures))
    return 1 if figures.faults() else 0


if __name__ == "__main__":
    sys.exit(main())
