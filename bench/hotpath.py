"""The gateway's own work per JSON call, without kernel and network: requests fed to the lean door, an upstream that answers at once.

    python -m bench.hotpath                    microseconds per call, and steps of the interpreter per call
    python -m bench.hotpath anthropic          the same where the call is translated (or gemini)
    python -m bench.hotpath --bytes 1000000    the same with that much text in the request
    python -m bench.hotpath profile            where they go (cProfile, sorted by own time)
    python -m bench.hotpath steps              the same in steps, which do not depend on the hour of the machine

Everything is on: JWT, SQLite quotas, breaker, metrics, access log. Only transports are replaced by in-memory ones.
"""

from __future__ import annotations

import argparse
import asyncio
import cProfile
import io
import pstats
import sys
import tempfile
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from types import FrameType

import uvloop

from bench.answers import JSON_ANSWERS, MODELS, Dialect, json_body
from bench.systems import write_config
from gateway.app import Gateway
from gateway.config import load
from gateway.logs import LogWriter
from gateway.telemetry import Registry
from gateway.upstream.connection import Connection as UpstreamConnection
from gateway.web.auth import mint
from gateway.web.fastlane import Connection, Lane

REPLY = b"HTTP/1.1 200 OK\r\nserver: nginx\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n%b"
CALLS = 3000  # of small bodies, in a round
MAX_BODY_BYTES = 1 << 26
TRACED = 64  # calls whose steps are counted: plain calls are recorded in batches of 32
NOBODY = 9  # the port of the upstream that is never dialled


class MemoryTransport(asyncio.Transport):
    """Takes what is written and calls back; never closes, never pauses."""

    def __init__(self, written: Callable[[bytes], None]) -> None:
        super().__init__()
        self._written = written

    def write(self, data: bytes) -> None:  # type: ignore[override]
        self._written(data)

    def is_closing(self) -> bool:
        return False

    def close(self) -> None:
        pass

    abort = pause_reading = resume_reading = close

    def get_write_buffer_size(self) -> int:
        return 0


class Bench:
    """One gateway whose only pool has one in-memory connection."""

    def __init__(self, gateway: Gateway, dialect: Dialect, padding_bytes: int) -> None:
        self.gateway = gateway
        body = json_body(dialect, padding_bytes)
        self.calls = max(20, CALLS // (1 + padding_bytes // 10_000))
        loop = asyncio.get_running_loop()
        token = mint(gateway.config.auth, "acme", "bench", ["user"], 3600, time.time())
        self.request = (
            b"POST /api/v1/acme/ai/chat/completions HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n"
            b"Authorization: Bearer %s\r\nContent-Length: %d\r\n\r\n" % (token.encode(), len(body))
        ) + body
        self.answered: asyncio.Future[bytes] | None = None
        deployment = gateway.pipeline.routes.deployments[dialect]
        pool = gateway.upstream._open_pool(deployment.origin)
        upstream = UpstreamConnection(pool)
        answer = JSON_ANSWERS[dialect].encode()
        reply = REPLY % (len(answer), answer)

        def said(data: bytes) -> None:
            loop.call_soon(upstream.data_received, reply)

        upstream.connection_made(MemoryTransport(said))
        pool.give_back(upstream)
        lane = Lane(
            gateway.handlers, MAX_BODY_BYTES, lambda: asyncio.Protocol(), time.monotonic, gateway.upstream.round
        )
        self.connection = Connection(lane)
        self.connection.connection_made(MemoryTransport(self._answer))

    def _answer(self, data: bytes) -> None:
        assert self.answered is not None and data.startswith(b"HTTP/1.1 200"), data
        self.answered.set_result(data)

    async def run(self, calls: int) -> None:
        loop = asyncio.get_running_loop()
        receive, request = self.connection.data_received, self.request
        for _ in range(calls):
            self.answered = loop.create_future()
            receive(request)
            await self.answered


@asynccontextmanager
async def opened(dialect: Dialect, padding_bytes: int = 0) -> AsyncIterator[Bench]:
    """A gateway that is warm."""
    with tempfile.TemporaryDirectory() as folder:
        path = write_config(Path(folder) / "gateway", NOBODY)
        gateway = Gateway(load(str(path), {}).config, {}, LogWriter(io.BytesIO()), Registry())
        await gateway.keeper.start()
        bench = Bench(gateway, dialect, padding_bytes)
        await bench.run(bench.calls)
        yield bench
        await gateway.stop()


async def steps(bench: Bench) -> Counter[str]:
    """The interpreter's steps (byte code) of a call, by function: two runs on the same Python count the same."""
    counted: Counter[str] = Counter()

    def trace(frame: FrameType, event: str, arg: object) -> object:
        frame.f_trace_lines, frame.f_trace_opcodes = False, True
        if event == "opcode":
            code = frame.f_code
            counted[f"{code.co_filename}:{code.co_qualname}"] += 1
        return trace

    sys._getframe().f_trace_opcodes = True  # Python 3.12 reports steps to a tracer only if a frame asked before it came
    sys.settrace(trace)  # type: ignore[arg-type]
    await bench.run(TRACED)
    sys.settrace(None)
    return Counter({name: round(count / TRACED) for name, count in counted.items()})


async def main(dialect: Dialect, padding_bytes: int, words: list[str]) -> None:
    async with opened(dialect, padding_bytes) as bench:
        if "profile" in words:
            profile = cProfile.Profile(subcalls=False)
            profile.enable()
            await bench.run(bench.calls)
            profile.disable()
            pstats.Stats(profile).sort_stats("tottime").print_stats(45)
        elif "steps" in words:
            for name, count in (await steps(bench)).most_common(45):
                print(f"{count:6} {name}")
        else:
            await report(bench)


async def report(bench: Bench) -> None:
    """Eight rounds; the fastest is nearest to what the work costs."""
    rounds = []
    for _ in range(8):
        began = time.process_time()
        await bench.run(bench.calls)
        rounds.append((time.process_time() - began) / bench.calls * 1e6)
    counted = await steps(bench)
    print(
        f"{min(rounds):.1f} us per call (median {sorted(rounds)[4]:.1f}), {counted.total():,} steps in {len(counted)} functions"
    )


if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="python -m bench.hotpath")
    parser.add_argument(
        "words", nargs="*", metavar="openai | anthropic | gemini | profile | steps", help="the provider, and what to do"
    )
    parser.add_argument("--bytes", type=int, default=0, help="of text in the request, on top of a short question")
    given = parser.parse_args()
    spoken: Dialect = next((dialect for dialect in MODELS if dialect in given.words), "openai")
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(main(spoken, given.bytes, given.words))
