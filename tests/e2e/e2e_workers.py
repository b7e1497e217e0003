"""A gateway of several processes: a real `gateway serve`, seen from outside by its port, its log and its exit code."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import time
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator, Awaitable, Callable
from copy import deepcopy
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import yaml
from e2e_stack import CONFIG, merged
from e2e_tools import until
from msgspec import json

from gateway.config import load
from gateway.simulator.app import Running, start
from gateway.web.auth import mint

START_S = 15.0


class Fleet:
    """One supervisor and its workers."""

    def __init__(self, process: Process, path: Path, simulators: Running) -> None:
        self.process = process
        self.path = path
        self.simulators = simulators
        self.port = 0
        self.events: list[dict[str, Any]] = []
        self.plain: list[str] = []  # lines on stderr that are no JSON
        self._reader = asyncio.create_task(self._read())
        # Without keep-alive: every call is a connection of its own, and goes to any worker.
        self.session = aiohttp.ClientSession(connector=aiohttp.TCPConnector(force_close=True, limit=0))
        self.keeping = aiohttp.ClientSession()
        token = mint(load(str(path), {}).config.auth, "acme", "tester", ["user"], 600, time.time())
        self.headers = {"authorization": f"Bearer {token}"}

    async def _read(self) -> None:
        assert self.process.stderr is not None
        async for line in self.process.stderr:
            if line.startswith(b"{"):
                self.events.append(json.decode(line))
            else:
                self.plain.append(line.decode().rstrip())

    # ------------------------------------------------------------ what it says

    def told(self, event: str) -> list[dict[str, Any]]:
        return [row for row in self.events if row["event"] == event]

    async def tells(self, event: str, times: int, within_s: float = START_S) -> list[dict[str, Any]]:
        """The log lines of an event, as soon as there are so many."""
        ends_at = time.monotonic() + within_s
        while len(self.told(event)) < times:
            assert time.monotonic() < ends_at, f"not {times} x {event}, but {self.events} {self.plain}"
            await asyncio.sleep(0.01)
        return self.told(event)

    async def serves(self, workers: int) -> None:
        """All of the first workers answer."""
        self.port = (await self.tells("serving", workers))[0]["port"]

    def pids(self) -> list[int]:
        """The workers that serve, the youngest last."""
        over = {row["pid"] for row in (*self.told("stopping"), *self.told("worker_ended"))}
        return [row["pid"] for row in self.told("serving") if row["pid"] not in over]

    # ------------------------------------------------------------ what is done to it

    def signal(self, number: signal.Signals) -> None:
        self.process.send_signal(number)

    async def ends(self, within_s: float = 10.0) -> int:
        """The exit code."""
        async with asyncio.timeout(within_s):
            code = await self.process.wait()
            await self._reader
        return code

    async def chat(self, *, keep: bool = False, **more: Any) -> int:
        """The status of a call; 0 when the connection broke. keep: on a connection that is used again."""
        body = {"model": "gpt-5.4", "messages": [{"role": "user", "content": "Hello"}], **more}
        session = self.keeping if keep else self.session
        try:
            async with session.post(self.base + "/chat/completions", json=body, headers=self.headers) as answer:
                await answer.read()
                return answer.status
        except aiohttp.ClientError:
            return 0

    async def get(self, path: str) -> Any:
        async with self.session.get(self.base + path, headers=self.headers) as answer:
            assert answer.status == 200, await answer.text()
            return await answer.json()

    async def metrics(self) -> dict[str, float]:
        """/metrics of any worker: series -> value."""
        async with self.session.get(f"http://127.0.0.1:{self.port}/metrics") as answer:
            assert answer.status == 200, await answer.text()
            lines = (await answer.text()).splitlines()
        return {name: float(value) for name, _, value in (row.rpartition(" ") for row in lines if row[:1] != "#")}

    @property
    def base(self) -> str:
        return f"http://127.0.0.1:{self.port}/api/v1/acme/ai"

    async def fault(self, kind: str, **more: Any) -> None:
        url = f"{self.simulators.origin}/_sim/faults"
        async with self.session.post(url, json={"provider": "openai", "kind": kind, **more}) as answer:
            assert answer.status < 300, await answer.text()

    async def served(self) -> dict[str, int]:
        """What the simulator of OpenAI has answered."""
        async with self.session.get(f"{self.simulators.origin}/_sim/served") as answer:
            return dict((await answer.json())["openai"])

    async def close(self) -> None:
        """End what still runs."""
        await self.session.close()
        await self.keeping.close()
        if self.process.returncode is None:
            self.process.kill()  # its workers see that it is gone
        await self.ends()


def settings(simulators: Running, folder: Path, more: dict[str, Any]) -> dict[str, Any]:
    """The usual settings on a file store, with simulators behind."""
    found: dict[str, Any] = merged(deepcopy(CONFIG), {"store": {"url": f"sqlite:///{folder}/quotas.db"}})
    found = merged(found, more)
    for provider in found["providers"].values():
        provider["base_url"] = simulators.url_for(provider["type"])
    return found


async def begin(simulators: Running, folder: Path, workers: int, more: dict[str, Any]) -> Fleet:
    """Start `gateway serve`; whether it comes to serve is for the caller to see."""
    path = folder / "gateway.yaml"
    path.write_text(yaml.safe_dump(settings(simulators, folder, more)))
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "gateway", "serve", "--config", str(path), "--port", "0", "--workers", str(workers)),
        stdin=asyncio.subprocess.DEVNULL,
        stderr=PIPE,
        limit=2**20,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])},
    )
    return Fleet(process, path, simulators)


def alive(pid: int) -> bool:
    """Whether a process runs; one that has ended and was not waited for does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except OSError:
        return False


Run = Callable[..., Awaitable[Fleet]]


@pytest.fixture
async def run(tmp_path: Path) -> AsyncIterator[Run]:
    """Starts a gateway with workers and waits until they serve; ends it, and looks that nothing is left of it."""
    fleets: list[Fleet] = []

    async def begin_one(
        workers: int = 2, more: dict[str, Any] | None = None, *, chunk_delay_s: float = 0.0, serving: bool = True
    ) -> Fleet:
        simulators = await start("all", chunk_delay_s=chunk_delay_s)
        fleets.append(await begin(simulators, tmp_path, workers, more or {}))
        if serving:
            await fleets[-1].serves(workers)
        return fleets[-1]

    yield begin_one
    for fleet in fleets:
        await fleet.close()
        await fleet.simulators.stop()
        pids = [row["pid"] for row in fleet.told("serving")]
        await until(lambda pids=pids: not any(map(alive, pids)), what="every worker is gone")
