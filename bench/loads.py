"""Loads of JSON calls: wrk for as much as goes, h2load for so many a second. Both are C and share the other cores with the stub."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Mapping
from pathlib import Path

from msgspec import Struct

# Exact figures on one line instead of wrk's rounded table. The body is read here, for it may be a megabyte. Its length differs from
# request to request, as that of conversations does: who keeps what a head came to must not live on equal ones.
LUA = """
wrk.method = "POST"
local file = io.open(os.getenv("BENCH_BODY"), "rb")
local body, requests, at = file:read("*a"), {}, 0
init = function(args)
  for more = 0, 15 do requests[more + 1] = wrk.format(nil, nil, nil, body .. string.rep(" ", more * 7)) end
end
request = function()
  at = at % 16 + 1
  return requests[at]
end
done = function(summary, latency, requests)
  local e = summary.errors
  io.write(string.format("\\nRESULT %d %d %d %.0f %.0f\\n", summary.requests, summary.duration,
    e.status + e.connect + e.read + e.write + e.timeout, latency:percentile(50), latency:percentile(99)))
end
"""
RESULT = re.compile(r"RESULT (\d+) (\d+) (\d+) (\d+) (\d+)")


class LoadFailed(Exception):
    """A load generator did not run, or not every answer was a 200."""


class Target(Struct, frozen=True):
    """What is asked: a whole URL, headers, and the file with the body."""

    url: str
    headers: Mapping[str, str]
    body: Path


class Load(Struct, frozen=True):
    """What came of it. Latencies are of the whole request, as the client sees it."""

    requests: int
    duration_s: float
    p50_us: float
    p99_us: float


def saturate(target: Target, connections: int, seconds: float, cores: str, folder: Path) -> Load:
    """As many requests as go over so many connections, each waiting for its answer before it asks again."""
    script = folder / "post.lua"
    script.write_text(LUA)
    argv = [
        "wrk",
        "-t1",
        "--timeout=30s",
        f"-c{connections}",
        f"-d{_whole(seconds)}s",
        "-s",
        str(script),
        *_headers(target),
        target.url,
    ]
    found = RESULT.search(_run(argv, cores, {"BENCH_BODY": str(target.body)}))
    if found is None or int(found[3]):
        raise LoadFailed(f"{found[3] if found else 'all'} requests to {target.url} failed")
    requests, duration_us, _, p50, p99 = map(int, found.groups())
    return Load(requests, duration_us / 1e6, p50, p99)


def pace(target: Target, connections: int, per_s: int, seconds: float, cores: str, folder: Path) -> Load:
    """So many requests a second, spread over the connections: what one waits when nobody is at the limit."""
    log = folder / "h2load.log"
    log.unlink(missing_ok=True)
    rate = f"--rps={per_s // connections}"
    argv = ["h2load", "--h1", "-t1", f"-c{connections}", rate, f"-D{_whole(seconds)}", f"-d{target.body}"]
    _run([*argv, f"--log-file={log}", *_headers(target), target.url], cores, {})
    rows = [line.split("\t") for line in log.read_text().splitlines()]
    failed = [row for row in rows if row[1] != "200"]
    if failed or not rows:
        raise LoadFailed(f"{len(failed)} of {len(rows)} requests to {target.url} failed")
    waits = sorted(int(row[2]) for row in rows)
    return Load(len(rows), seconds, waits[len(waits) // 2], waits[len(waits) * 99 // 100])


def _headers(target: Target) -> list[str]:
    return [part for name, value in target.headers.items() for part in ("-H", f"{name}: {value}")]


def _whole(seconds: float) -> int:
    return max(1, round(seconds))  # neither program takes fractions


def _run(argv: list[str], cores: str, environ: Mapping[str, str]) -> str:
    run = subprocess.run(
        ["taskset", "-c", cores, *argv],
        env={"PATH": "/usr/bin:/bin:/usr/local/bin", **environ},
        capture_output=True,
        text=True,
        check=False,
    )
    if run.returncode:
        raise LoadFailed(f"{argv[0]}: {run.stderr or run.stdout}")
    return run.stdout
