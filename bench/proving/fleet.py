"""What is proved: `gateway serve` in several processes over one store, in front of simulators; killed and replaced on the way.

Two forms: one gateway with workers (the supervisor replaces who dies), or nodes, gateways of their own on one store (we do).
"""

from __future__ import annotations

import asyncio
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from msgspec import json

from bench.programs import REPOSITORY, START_S, STOP_S, free_port, is_ready
from gateway.config import load
from gateway.settings import Auth
from gateway.web.auth import mint

MANY = 1_000_000
ENOUGH = 10**15  # tokens
LIMIT = 30_000  # a day, of every tenant
MODELS = ("gpt-5.4", "claude-sonnet-4-6")


class Simulators:
    """The upstreams, in a process of their own."""

    def __init__(self, folder: Path) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "bench.proving.upstream"],
            stdout=subprocess.PIPE,
            stderr=(folder / "simulators.log").open("ab"),
            text=True,
            cwd=REPOSITORY,
        )
        assert self._process.stdout is not None
        self.origin = self._process.stdout.readline().strip()

    def stop(self) -> None:
        stop(self._process)


class Fleet:
    """The running gateways. `log` is where all write what they have to tell, warnings and worse."""

    def __init__(self, folder: Path, simulators: str, store: str, workers: int, nodes: int) -> None:
        self.log = folder / "gateways.log"
        self.processes = max(1, workers) * max(1, nodes)
        self._workers = workers
        self._path = folder / "gateway.yaml"
        self._path.write_bytes(json.encode(config(simulators, store)))
        self.auth: Auth = load(str(self._path), {}).config.auth
        self.ports = [free_port() for _ in range(max(1, nodes))]
        self._heads = [self._start(port) for port in self.ports]

    def _start(self, port: int) -> subprocess.Popen[bytes]:
        own = ["--port", str(port), "--workers", str(self._workers or 1)]
        argv = [sys.executable, "-m", "gateway", "serve", "--config", str(self._path), *own]
        with self.log.open("ab") as stream:
            return subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=stream, stderr=stream, cwd=REPOSITORY)

    @property
    def pids(self) -> list[int]:
        """The processes that serve."""
        if self._workers > 1:
            return [pid for head in self._heads for pid in children(head.pid)]
        return [head.pid for head in self._heads]

    def kill_one(self, dice: random.Random) -> int:
        """SIGKILL for one of them."""
        victim = dice.choice(self.pids)
        os.kill(victim, signal.SIGKILL)
        return victim

    async def whole(self, live: Any) -> None:
        """Until everybody serves; `live` gives the processes that the ledger knows to live."""
        ends_at = time.monotonic() + START_S
        while True:
            if self._workers <= 1:
                self._heads = [
                    head if head.poll() is None else self._start(port)
                    for head, port in zip(self._heads, self.ports, strict=True)
                ]
            pids = set(self.pids)
            if len(pids) == self.processes and pids <= await live() and all(map(is_ready, self.ports)):
                return
            if time.monotonic() > ends_at:
                raise RuntimeError(f"the gateways do not serve: {self.log.read_text()[-2000:]}")
            await asyncio.sleep(0.05)

    def token(self, tenant: str) -> str:
        return mint(self.auth, tenant, "prover", ["user"], 86_400, time.time())

    def told(self, event: str) -> Iterator[Mapping[str, Any]]:
        """What was logged of an event."""
        for line in self.log.read_bytes().splitlines():
            if line.startswith(b"{") and f'"event":"{event}"'.encode() in line:
                yield json.decode(line)

    def stop(self) -> None:
        for head in self._heads:
            stop(head)


def config(simulators: str, store: str) -> dict[str, Any]:
    """A gateway.yaml (JSON is YAML): every tenant has LIMIT tokens a day, nothing else stands in the way."""
    quota = {"daily_tokens": ENOUGH}
    addresses = {"openai": (f"{simulators}/openai/v1", MODELS[0]), "anthropic": (f"{simulators}/anthropic", MODELS[1])}
    return {
        "server": {"max_in_flight": MANY, "drain_s": 2},
        "auth": {"jwt": [{"algorithm": "HS256", "secret": "a secret of a proof, long enough for HS256"}]},
        "store": {"url": store},
        "log": {"level": "warning"},
        "providers": {
            name: {"type": name, "api_key": "sk-proof", "base_url": url, "default_model": model, "quota": quota}
            for name, (url, model) in addresses.items()
        },
        "limits": {"concurrency": MANY},
        "fallback": {"enabled": False},
        "tenants": {"default": {"allow_unlisted": True, "quota": {"daily_tokens": LIMIT}}},
    }


def children(pid: int) -> list[int]:
    """The child processes of one. Source: proc(5), /proc/pid/task/tid/children."""
    try:
        return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    except OSError:
        return []


def stop(process: subprocess.Popen[Any]) -> None:
    """SIGTERM, and SIGKILL for what does not end."""
    if process.poll() is None:
        process.terminate()
    try:
        process.wait(STOP_S)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


@contextmanager
def standing(folder: Path, store: str, workers: int, nodes: int) -> Iterator[tuple[Fleet, Simulators]]:
    """A fleet and its simulators, ended in the end."""
    simulators = Simulators(folder)
    try:
        fleet = Fleet(folder, simulators.origin, store, workers, nodes)
        try:
            yield fleet, simulators
        finally:
            fleet.stop()
    finally:
        simulators.stop()
