"""Real Redis (or Valkey) servers for tests: on a free port of loopback, in a folder of their own, to be killed and started again."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import time
from pathlib import Path

import pytest
import redis

from gateway.core.ledger_commands import Command, Reply, Stale, Sync
from gateway.stores.redis import PREFIX, RedisStore
from gateway.stores.redis_wire import answer, operation, packed, question, synced

PROGRAM = shutil.which("redis-server") or shutil.which("valkey-server")


def free_port() -> int:
    """A port that nobody listens on, and low enough for a node of a cluster, which takes port + 10,000 as well."""
    while True:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port: int = probe.getsockname()[1]
            if port <= 55_535:
                return port


class RedisServer:
    """One server. `options` are appended to its command line."""

    def __init__(self, folder: Path, *options: str) -> None:
        if PROGRAM is None:
            assert os.environ.get("CI") != "true", "redis-server comes with Debian's package redis-server"
            pytest.skip("redis-server is not installed: scripts/test-system-packages")
        self.folder = folder
        self.options = options or ("--appendonly", "yes")
        self.port = free_port()
        self.process: subprocess.Popen[bytes] | None = None
        self.start()

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self.port}/0"

    def client(self) -> redis.Redis:
        return redis.Redis(port=self.port)

    def start(self) -> None:
        deadline = time.monotonic() + 10
        self._spawn()
        while not self._answers():
            assert time.monotonic() < deadline, (self.folder / "log").read_text()
            time.sleep(0.02)
            if self.process is not None and self.process.poll() is not None:
                self._spawn()  # somebody's outgoing connection had our port for a moment

    def _spawn(self) -> None:
        command = [str(PROGRAM), "--port", str(self.port), "--bind", "127.0.0.1", "--dir", str(self.folder)]
        with (self.folder / "log").open("ab") as log:
            self.process = subprocess.Popen([*command, *self.options], stdout=log, stderr=log)

    def _answers(self) -> bool:
        with self.client() as client:
            try:
                return bool(client.ping())
            except redis.AuthenticationError:
                return True  # it asks for a password
            except redis.ConnectionError:
                return False

    def kill(self) -> None:
        """kill -9."""
        assert self.process is not None
        self.process.kill()
        self.process.wait()

    def stop(self) -> None:
        assert self.process is not None
        self.process.terminate()
        self.process.wait()


class RedisLedger:
    """The scripts of the Redis driver without its event loop. `clear` empties the server."""

    def __init__(self, server: RedisServer) -> None:
        store = RedisStore(server.url)
        self.client = server.client()
        self.sync = self.client.register_script(store._sync_script.text)
        self.look = self.client.register_script(store._look_script.text)

    def __enter__(self) -> RedisLedger:
        return self

    def __exit__(self, *error: object) -> None:
        self.client.close()

    def clear(self) -> None:
        self.client.flushall()
        self.client.set(f"{PREFIX}:schema", 1)

    def run(self, command: Command, now: float) -> Reply:
        if not isinstance(command, Sync):
            return answer(command, self.look([PREFIX], question(command, repr(now))))
        sync = packed(command, [operation(op) for op in command.ops])
        kind, told = self.sync([PREFIX], [sync, repr(now), "new"])
        return synced(told) if kind == b"ok" else Stale(int(told))
