"""A running gateway with its simulators, in a thread with a loop of its own: synchronous SDKs block theirs."""

from __future__ import annotations

import asyncio
import io
import json
import threading
import time
import urllib.request
from pathlib import Path
from typing import Any

import openai
import yaml
from clients_kit import BASE

from gateway.app import Gateway
from gateway.commands.serve import listen
from gateway.config import load
from gateway.logs import LogWriter
from gateway.simulator.app import Running, start
from gateway.telemetry import Registry
from gateway.web.auth import mint

THRIFTY_TOKENS = 400

CONFIG: dict[str, Any] = {
    "server": {"drain_s": 1},
    "auth": {"jwt": [{"algorithm": "HS256", "secret": "a secret for client tests, longer than 32 bytes"}]},
    "store": {"url": "memory://"},
    "providers": {
        "openai": {"type": "openai", "api_key": "sk-test", "default_model": "gpt-5.4", "priority": 9},
        "anthropic": {"type": "anthropic", "api_key": "sk-ant", "default_model": "claude-sonnet-4-6", "priority": 8},
        "gemini": {"type": "gemini", "api_key": "g-key", "default_model": "gemini-3.8-flash", "priority": 7},
    },
    "breaker": {"failures": 1000},  # a fault of one test must not keep a provider from the next
    "models": {"fast": ["gemini", "openai/gpt-5.4-mini"]},
    "tenants": {"acme": {}, "globex": {}, "thrifty": {"quota": {"daily_tokens": THRIFTY_TOKENS}}},
}


class House:
    """A running gateway: where it is, credentials for it, and what its simulators saw."""

    def __init__(self, gateway: Gateway, simulators: Running, port: int) -> None:
        self.origin = f"http://127.0.0.1:{port}"
        self.simulators = simulators
        self._auth = gateway.config.auth

    def token(self, tenant: str = "acme") -> str:
        return mint(self._auth, tenant, "tester", ["user"], 600, time.time())

    def openai(self, path: str = BASE, tenant: str = "acme", **options: Any) -> openai.OpenAI:
        """A synchronous client, used as a context manager. Its retries are those that the SDK comes with."""
        return openai.OpenAI(**{"base_url": self.origin + path, "api_key": self.token(tenant), **options})

    def fault(self, provider: str, kind: str, **more: Any) -> None:
        self._simulator("POST", "faults", {"provider": provider, "kind": kind, **more})

    def clear(self) -> None:
        """No faults are left, and what was sent so far is forgotten."""
        self._simulator("DELETE", "faults")
        self._simulator("DELETE", "requests")

    def sent(self, provider: str) -> list[dict[str, Any]]:
        """The requests that the simulator of `provider` was sent since `clear`."""
        return [row for row in self._simulator("GET", "requests") if row["provider"] == provider]

    def _simulator(self, method: str, what: str, body: Any = None) -> Any:
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(f"{self.simulators.origin}/_sim/{what}", data, method=method)
        with urllib.request.urlopen(request, timeout=5) as answer:
            return json.loads(answer.read() or b"null")


class HouseThread(threading.Thread):
    """Runs a House until told to stop."""

    def __init__(self, path: Path) -> None:
        super().__init__(name="gateway")
        self._path = path
        self._ready = threading.Event()
        self._stop_asked: asyncio.Event | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._house: House | None = None

    def run(self) -> None:
        try:
            asyncio.run(self._live())
        finally:
            self._ready.set()

    async def _live(self) -> None:
        simulators = await start("all")
        for name, provider in CONFIG["providers"].items():
            provider["base_url"] = simulators.url_for(name)
        self._path.write_text(yaml.safe_dump(CONFIG))
        gateway = Gateway(load(str(self._path), {}).config, {}, LogWriter(io.BytesIO()), Registry())
        sock = listen("127.0.0.1", 0)
        await gateway.start(sock)
        self._stop_asked, self._loop = asyncio.Event(), asyncio.get_running_loop()
        self._house = House(gateway, simulators, sock.getsockname()[1])
        self._ready.set()
        await self._stop_asked.wait()
        await gateway.drain()
        await gateway.stop()
        gateway.log.close()
        await simulators.stop()

    def house(self) -> House:
        self._ready.wait()
        assert self._house is not None, "the gateway did not start"
        return self._house

    def stop(self) -> None:
        if self._loop is not None and self._stop_asked is not None:
            self._loop.call_soon_threadsafe(self._stop_asked.set)
        self.join()
