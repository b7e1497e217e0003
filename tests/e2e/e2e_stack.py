"""A whole gateway over real sockets, in this loop: simulators behind it, a store of its own, tokens for any tenant."""

from __future__ import annotations

import asyncio
import io
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from copy import deepcopy
from functools import cache
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import yaml
from msgspec import json

from gateway.app import Gateway, read_catalogue
from gateway.commands.serve import listen
from gateway.config import load
from gateway.logs import LogWriter
from gateway.simulator.app import Running, start
from gateway.telemetry import Registry
from gateway.web.auth import mint

SECRET = "an end to end secret of more than 64 bytes, which would do for HS512 as well"

CONFIG: dict[str, Any] = {
    "server": {"drain_s": 2},
    "auth": {"jwt": [{"algorithm": "HS256", "secret": SECRET}]},
    "store": {"url": "memory://"},
    "admin": {"metrics_public": True},
    "providers": {
        "openai": {"type": "openai", "api_key": "sk-test", "default_model": "gpt-5.4", "priority": 9},
        "anthropic": {"type": "anthropic", "api_key": "sk-ant", "default_model": "claude-sonnet-4-6", "priority": 8},
        "gemini": {"type": "gemini", "api_key": "g-key", "default_model": "gemini-3.8-flash", "priority": 7},
    },
    "models": {"fast": ["gemini", "openai/gpt-5.4-mini"], "gpt-4": ["openai"]},
    "tenants": {"default": {"allow_unlisted": True}, "acme": {}, "globex": {}},
}


def merged(base: Any, more: Any) -> Any:
    """`base` with `more` laid over it, mapping by mapping."""
    if not isinstance(base, dict) or not isinstance(more, dict):
        return more
    return {key: merged(base.get(key), more[key]) if key in more else base[key] for key in {**base, **more}}


class Stack:
    """One running gateway and its simulators."""

    def __init__(self, gateway: Gateway, simulators: Running, port: int, log: io.BytesIO) -> None:
        self.gateway = gateway
        self.simulators = simulators
        self.port = port
        self._log = log
        self._stopped = False
        self.session = aiohttp.ClientSession()

    @property
    def origin(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def base(self, tenant: str = "acme") -> str:
        return f"{self.origin}/api/v1/{tenant}/ai"

    def token(self, tenant: str | list[str] = "acme", role: str = "user", ttl_s: float = 600) -> str:
        return mint(self.gateway.config.auth, tenant, "tester", [role], ttl_s, time.time())

    def headers(self, tenant: str = "acme", role: str = "user", **more: str) -> dict[str, str]:
        return {"authorization": f"Bearer {self.token(tenant, role)}", **more}

    async def post(self, path: str, body: Any, tenant: str = "acme", **headers: str) -> aiohttp.ClientResponse:
        """POST below the tenant's base; the body is read before this returns."""
        url = self.base(tenant) + path
        async with self.session.post(url, json=body, headers=self.headers(tenant, **headers)) as answer:
            await answer.read()
            return answer

    async def get(self, path: str, tenant: str = "acme", role: str = "user") -> Any:
        async with self.session.get(self.base(tenant) + path, headers=self.headers(tenant, role)) as answer:
            return await answer.json()

    async def chat(self, text: str = "Hello", **more: Any) -> aiohttp.ClientResponse:
        """A chat completion on acme; keywords with a leading `x_` become headers."""
        headers = {name.replace("_", "-"): str(more.pop(name)) for name in list(more) if name.startswith("x_")}
        body = {"model": "gpt-5.4", "messages": [{"role": "user", "content": text}], **more}
        return await self.post("/chat/completions", body, **headers)

    async def fault(self, provider: str, kind: str, **more: Any) -> None:
        url = f"{self.simulators.origin}/_sim/faults"
        async with self.session.post(url, json={"provider": provider, "kind": kind, **more}) as answer:
            assert answer.status < 300, await answer.text()

    async def clear_faults(self) -> None:
        async with self.session.delete(f"{self.simulators.origin}/_sim/faults") as answer:
            assert answer.status < 300

    async def sim(self, what: str) -> Any:
        async with self.session.get(f"{self.simulators.origin}/_sim/{what}") as answer:
            return await answer.json()

    async def calls_to(self, provider: str) -> list[dict[str, Any]]:
        return [row for row in await self.sim("requests") if row["provider"] == provider]

    def log_lines(self) -> list[dict[str, Any]]:
        """What was logged so far, oldest first."""
        self.gateway.log.flush()
        time.sleep(0.02)  # the writer is a thread
        return [json.decode(line) for line in self._log.getvalue().splitlines()]

    def log_text(self) -> str:
        """The same, as it was written."""
        self.log_lines()
        return self._log.getvalue().decode()

    async def stop(self) -> None:
        """End gateway and simulators in order, once: settle, flush, close."""
        if self._stopped:
            return
        self._stopped = True
        await self.session.close()
        await self.gateway.drain()
        await self.gateway.stop()
        self.gateway.log.close()
        await self.simulators.stop()


Start = Callable[..., Awaitable[Stack]]


@pytest.fixture(scope="session", autouse=True)
def one_catalogue() -> Iterator[None]:
    """Read the model catalogue once for all stacks: it never changes, and reading it takes longer than most tests."""
    patch = pytest.MonkeyPatch()
    patch.setattr("gateway.app.read_catalogue", cache(read_catalogue))
    yield
    patch.undo()


@pytest.fixture
async def start_stack(tmp_path: Path) -> AsyncIterator[Start]:
    """Starts stacks, with settings laid over the usual ones, and stops them all."""
    running: list[Stack] = []

    async def begin(more: dict[str, Any] | None = None, chunk_delay_s: float = 0.0) -> Stack:
        simulators = await start("all", chunk_delay_s=chunk_delay_s)
        settings = merged(deepcopy(CONFIG), more or {})
        for name, provider in settings["providers"].items():
            provider = settings["providers"][name] = dict(provider)
            if provider["type"] in ("openai", "anthropic", "gemini"):
                provider.setdefault("base_url", simulators.url_for(provider["type"]))
        path = tmp_path / f"gateway{len(running)}.yaml"
        path.write_text(yaml.safe_dump(settings))
        config = load(str(path), {}).config
        log = io.BytesIO()
        gateway = Gateway(config, {}, LogWriter(log, level="info"), Registry())
        sock = listen("127.0.0.1", 0)
        await gateway.start(sock)
        stack = Stack(gateway, simulators, sock.getsockname()[1], log)
        running.append(stack)
        return stack

    yield begin
    for stack in running:
        await stack.stop()
    await asyncio.sleep(0)


@pytest.fixture
async def stack(start_stack: Start) -> Stack:
    """The usual stack."""
    return await start_stack()
