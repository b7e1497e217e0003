"""The client of many streams at once: reads stamped chunks, and says how late they came. A program of its own.

    python -m bench.streams < plan.json        prints one line of JSON (StreamLoad)

No HTTP is parsed beyond the status: the stamps (bench.answers) are found in the bytes, whatever stands around them. One stream goes
ahead alone: what the first call after a pause waits for is a figure of its own. Then the streams start one after the other during `ramp_s`, so that a first chunk is not measured in a queue of hundreds; then for `window_s` all
run, and chunks are counted; then everything is hung up, as clients do.
"""

from __future__ import annotations

import asyncio
import gc
import subprocess
import sys
import time
from array import array
from typing import cast

import uvloop
from msgspec import Struct, json

from bench.answers import STAMP, stream_body
from bench.programs import REPOSITORY, cpu_s, raise_file_limit, rss_mb

EXCERPT = 300  # characters
OK = b"HTTP/1.1 200 "
SETTLE_S = 0.5  # after the last stream began
PATIENCE_S = 5.0  # for the stream that goes ahead
MORE = 1.5  # streams are longer than the window, so that none ends in it


class Plan(Struct, frozen=True):
    """What to ask of whom. `session` is the measured program's, for its CPU time in the very window; None: nobody's."""

    port: int
    path: str
    headers: dict[str, str]
    model_dialect: str
    streams: int
    per_s: int
    ramp_s: float
    window_s: float
    session: int | None


class Spread(Struct, frozen=True):
    """Microseconds."""

    p50: float
    p99: float


class StreamLoad(Struct, frozen=True):
    """What came of it. delay: from a chunk's writing to its arrival. gap: between arrivals of neighbours in one stream.
    first: from the request's writing to the first chunk; paused_us the same of the one that went ahead. `lost` counts missing or repeated chunks; `failed` streams that were
    refused or cut, `silent` those without a first chunk when the window closed. cpu_s is used within the window, rss_mb is
    held at its end, by the measured program."""

    chunks: int
    window_s: float
    cpu_s: float
    rss_mb: float
    delay: Spread
    gap: Spread
    first: Spread
    paused_us: float
    lost: int
    failed: int
    silent: int
    failure: str | None  # of one of those that failed


class Tally:
    """What all streams of the window add to."""

    def __init__(self) -> None:
        self.counting = False
        self.delays_ns = array("q")
        self.gaps_ns = array("q")
        self.firsts_ns = array("q")
        self.lost = 0


class Stream(asyncio.Protocol):
    """One request and its chunks."""

    def __init__(self, tally: Tally, request: bytes) -> None:
        self._tally = tally
        self._request = request
        self._rest = b""
        self._next = 0
        self._last_ns = 0
        self.failure: str | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.WriteTransport, transport)  # uvloop's own have no such base
        self._began_ns = time.monotonic_ns()
        self.transport.write(self._request)

    def connection_lost(self, error: Exception | None) -> None:
        self._fail(f"cut after {self._next} chunks: {error}")

    def _fail(self, why: str) -> None:
        if self.failure is None:
            self.failure = why[:EXCERPT]

    @property
    def silent(self) -> bool:
        return not self._next

    def data_received(self, data: bytes) -> None:
        now = time.monotonic_ns()
        if self._rest:
            data = self._rest + data
        stamps = STAMP.findall(data)
        if not stamps:
            self._rest = data  # part of a frame, or the head of the answer alone
            if self.silent and not data.startswith(OK[: len(data)]):
                head, _, body = data.decode(errors="replace").partition("\r\n\r\n")
                self._fail(f"{head.partition(chr(13))[0]}: {body}")
            return
        self._rest = self._after_last(data)
        if self.silent:
            self._tally.firsts_ns.append(now - self._began_ns)
        tally = self._tally
        if tally.counting:
            for _, sent in stamps:
                tally.delays_ns.append(now - int(sent))
            if self._last_ns:
                tally.gaps_ns.append(now - self._last_ns)
        tally.lost += int(stamps[-1][0]) != self._next + len(stamps) - 1
        self._next = int(stamps[-1][0]) + 1
        self._last_ns = now

    def _after_last(self, data: bytes) -> bytes:
        """What may be the beginning of a stamp: whatever follows the last newline."""
        return b"" if data.endswith(b"\n") else data[data.rfind(b"\n") + 1 :]


def request(plan: Plan) -> bytes:
    """The bytes that ask for a stream that outlives the window."""
    chunks = int((plan.ramp_s + SETTLE_S + plan.window_s) * plan.per_s * MORE) + 1
    body = stream_body(plan.model_dialect, chunks, plan.per_s)  # type: ignore[arg-type]
    headers = {"host": "127.0.0.1", **plan.headers, "content-length": str(len(body))}
    lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    return f"POST {plan.path} HTTP/1.1\r\n{lines}\r\n".encode() + body


async def run(plan: Plan) -> StreamLoad:
    loop = asyncio.get_running_loop()
    tally, asked = Tally(), request(plan)
    paused_us = await _ahead(plan, asked)
    streams: list[Stream] = []
    began = loop.time()
    for number in range(plan.streams):
        await asyncio.sleep(began + plan.ramp_s * number / plan.streams - loop.time())
        _, stream = await loop.create_connection(lambda: Stream(tally, asked), "127.0.0.1", plan.port)
        streams.append(stream)
    await asyncio.sleep(SETTLE_S)
    window_s, used_s = await _count(plan, tally)
    held_mb = rss_mb(plan.session) if plan.session is not None else 0.0
    failures = [stream.failure for stream in streams if stream.failure is not None]
    silent = sum(stream.silent for stream in streams)
    for stream in streams:
        stream.transport.abort()
    return StreamLoad(
        len(tally.delays_ns),
        window_s,
        used_s,
        held_mb,
        spread(tally.delays_ns),
        spread(tally.gaps_ns),
        spread(tally.firsts_ns),
        paused_us,
        tally.lost,
        len(failures),
        silent,
        failures[0] if failures else None,
    )


async def _ahead(plan: Plan, asked: bytes) -> float:
    """Microseconds to the first chunk of a stream that is alone; it is hung up then."""
    loop, tally = asyncio.get_running_loop(), Tally()
    _, stream = await loop.create_connection(lambda: Stream(tally, asked), "127.0.0.1", plan.port)
    ends_at = loop.time() + PATIENCE_S
    while stream.silent and stream.failure is None and loop.time() < ends_at:
        await asyncio.sleep(0.005)
    stream.transport.abort()
    return spread(tally.firsts_ns).p50


async def _count(plan: Plan, tally: Tally) -> tuple[float, float]:
    """Let chunks count for the window; how long it was, and the CPU time that the measured program used in it."""
    used_s = cpu_s(plan.session) if plan.session is not None else 0.0
    began = time.monotonic()
    tally.counting = True
    await asyncio.sleep(plan.window_s)
    tally.counting = False
    window_s = time.monotonic() - began
    return window_s, (cpu_s(plan.session) - used_s if plan.session is not None else 0.0)


def spread(samples_ns: array[int]) -> Spread:
    ordered = sorted(samples_ns) or [0]
    return Spread(ordered[len(ordered) // 2] / 1000, ordered[len(ordered) * 99 // 100] / 1000)


def measure(plan: Plan, cores: str) -> StreamLoad:
    """Run a plan in a process of its own, on other cores than what is measured. Raises CalledProcessError."""
    argv = ["taskset", "-c", cores, sys.executable, "-m", "bench.streams"]
    ran = subprocess.run(argv, input=json.encode(plan), stdout=subprocess.PIPE, cwd=REPOSITORY, check=True)
    return json.decode(ran.stdout, type=StreamLoad)


def main() -> None:
    raise_file_limit()
    gc.disable()  # this process lives for seconds
    plan = json.decode(sys.stdin.buffer.read(), type=Plan)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        load = runner.run(run(plan))
    sys.stdout.buffer.write(json.encode(load) + b"\n")


if __name__ == "__main__":
    main()
