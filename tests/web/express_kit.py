"""Gateways with scripted upstreams in this loop, their time a number: one that has the express and one that takes the long way.

The same story told to both must look the same from every side: `Side.seen` is what clients, operators and upstreams get to know.
"""

from __future__ import annotations

import asyncio
import io
import re
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import yaml
from doors_wire import Answer
from express_stub import Stub
from lane_kit import Wire
from msgspec import json, to_builtins

from gateway.app import Gateway
from gateway.commands.listening import listen
from gateway.config import load
from gateway.logs import LogWriter
from gateway.telemetry import Registry
from gateway.upstream.connection import Connection as UpstreamConnection
from gateway.web.auth import mint
from gateway.web.fastlane import Connection

COMPLETIONS = "/api/v1/acme/ai/chat/completions"
MESSAGES = "/api/v1/acme/ai/messages"  # translated: the upstreams speak Chat
BEGAN = time.time()
BODY_BYTES = 200
SETTINGS: dict[str, Any] = {
    "server": {"drain_s": 1},
    "auth": {"jwt": [{"algorithm": "HS256", "secret": "a secret of the express, of more than 32 bytes"}]},
    "store": {"url": "memory://"},
    "breaker": {"failures": 3},
    "tenants": {"acme": {}},
}
OWN = re.compile(r"(?<=[_-])[0-9a-f]{24}|127\.0\.0\.1:\d+")  # what differs from gateway to gateway
PASSING = ("leased", "retryAt")  # what changes with real time alone


class Clock:
    """What time it is, in monotonic and in unix seconds. It stands still until somebody moves it; upstreams do."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now

    def wall(self) -> float:
        return BEGAN + self.now - 1000.0


class Line:
    """One connection of a client."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    def send(self, *parts: bytes) -> None:
        self.writer.write(b"".join(parts))

    async def answer(self) -> Answer:
        """The next answer, whole."""
        async with asyncio.timeout(5):
            head = await self.reader.readuntil(b"\r\n\r\n")
            lines = head[:-4].decode("latin-1").split("\r\n")
            headers = [(name.lower(), value) for name, _, value in (line.partition(": ") for line in lines[1:])]
            answer = Answer(int(lines[0].split(" ")[1]), headers)
            if answer.header("transfer-encoding") is not None:
                answer.body = await self._chunks()
            else:
                answer.body = await self.reader.readexactly(int(answer.header("content-length") or "none"))
        return answer

    async def _chunks(self) -> bytes:
        parts = []
        while size := int(await self.reader.readuntil(b"\r\n"), 16):
            parts.append((await self.reader.readexactly(size + 2))[:-2])
        assert await self.reader.readexactly(2) == b"\r\n"
        return b"".join(parts)

    async def ask(self, request: bytes) -> Answer:
        self.send(request)
        return await self.answer()

    async def rest(self) -> bytes:
        """All that comes until the gateway closes."""
        async with asyncio.timeout(5):
            return await self.reader.read()

    def leave(self) -> None:
        """Close the connection, whatever is on its way."""
        self.writer.transport.abort()


class Side:
    """A gateway, its upstreams by name (the first is asked first), and how often its express was asked and took the call."""

    def __init__(self, express: bool, names: tuple[str, ...]) -> None:
        self.express = express
        self.path = COMPLETIONS
        self.clock = Clock()
        self.stubs = {name: Stub(self.clock) for name in names}
        self.taken: list[bool] = []
        self.answers: list[Any] = []
        self.trouble: list[dict[str, Any]] = []
        self._lines: list[Line] = []
        self._log = io.BytesIO()
        self._stopped = False
        self.gateway: Gateway

    # ------------------------------------------------------------ its life

    async def start(self, folder: Path, more: dict[str, Any]) -> None:
        asyncio.get_running_loop().set_exception_handler(lambda loop, context: self.trouble.append(context))
        self.settings = laid_over(SETTINGS, {"providers": {}})
        for priority, (name, stub) in enumerate(self.stubs.items()):
            await stub.start()
            self.settings["providers"][name] = {
                "type": "openai_compatible",
                "api_key": f"sk-key-of-{name}",
                "base_url": f"http://127.0.0.1:{stub.port}",
                "default_model": f"{name}-model",
                "priority": 9 - priority,
            }
        self._file = folder / f"gateway{id(self)}.yaml"
        config = self.config(more)
        self.gateway = gateway = Gateway(config, {}, LogWriter(self._log), Registry())
        gateway.log.change(config.log.level, text=config.log.format == "text")
        gateway.pipeline.clock = gateway.streams.clock = gateway.pipeline.recorder._clock = self.clock
        gateway.pipeline.wall = self.clock.wall
        real = gateway.handlers.express.take
        gateway.handlers.express.take = self._counted(real) if self.express else lambda exchange: False  # type: ignore[method-assign]
        sock = listen("127.0.0.1", 0)
        await gateway.start(sock)
        self.port = sock.getsockname()[1]
        self.token = self.admin = mint(config.auth, "acme", "tester", ["user", "admin"], 600, BEGAN)

    def config(self, more: dict[str, Any]) -> Any:
        """The usual configuration with `more` laid over it; a tenant that is None there is none."""
        settings = laid_over(self.settings, more)
        settings["tenants"] = {name: tenant for name, tenant in settings["tenants"].items() if tenant is not None}
        self._file.write_text(yaml.safe_dump(settings))
        return load(str(self._file), {}).config

    def _counted(self, real: Callable[[Any], bool]) -> Callable[[Any], bool]:
        def take(exchange: Any) -> bool:
            self.taken.append(real(exchange))
            return self.taken[-1]

        return take

    async def stop(self) -> None:
        if self._stopped:
            return
        self._stopped = True
        for line in self._lines:
            line.leave()
        await self.settled()
        await self.gateway.stop()
        self.gateway.log.close()
        for stub in self.stubs.values():
            await stub.stop()

    async def settled(self) -> None:
        """Wait until nothing is in flight."""
        gateway = self.gateway
        await until(lambda: not (gateway.handlers.in_flight.value or gateway.pipeline.live))

    # ------------------------------------------------------------ its clients

    async def connect(self) -> Line:
        line = Line(*await asyncio.open_connection("127.0.0.1", self.port, limit=2**22))
        self._lines.append(line)
        return line

    def wire(self) -> tuple[Connection, Wire]:
        """A connection whose transport is the test's, for what must happen within one round of the loop."""
        assert self.gateway._lane is not None
        connection, wire = self.gateway._lane(), Wire()
        wire.protocol = connection
        connection.connection_made(wire)
        return connection, wire

    def upstream_connections(self) -> list[UpstreamConnection]:
        """The gateway's ends of its connections to providers."""
        return [connection for pool in self.gateway.upstream._pools.values() for connection in pool._open]

    def post(self, body: bytes, *lines: str, path: str = "") -> bytes:
        """A request with these header lines; one that is usual gives way to one of theirs."""
        usual = ["host: gateway.test", "content-type: application/json", f"authorization: Bearer {self.token}"]
        given = {line.partition(":")[0] for line in lines}
        known = [line for line in usual if line.partition(":")[0] not in given]
        head = [f"POST {path or self.path} HTTP/1.1", *known, *lines, f"content-length: {len(body)}"]
        return "\r\n".join([*head, "", ""]).encode() + body

    async def ask(self, line: Line, body: bytes, *lines: str) -> Answer:
        """Send a chat, note its answer for `seen`."""
        answer = await line.ask(self.post(body, *lines))
        self.answers.append(comparable(answer))
        return answer

    async def get(self, path: str) -> Any:
        line = await self.connect()
        line.send(f"GET {path} HTTP/1.1\r\nhost: g\r\nauthorization: Bearer {self.token}\r\n\r\n".encode())
        return json.decode((await line.answer()).body)

    # ------------------------------------------------------------ what is to be seen of it

    @property
    def first(self) -> Stub:
        return next(iter(self.stubs.values()))

    def accounts(self) -> list[dict[str, Any]]:
        """All quota accounts; what is leased in advance changes with time alone."""
        rows = to_builtins(self.gateway.keeper.accounts())
        return [{name: value for name, value in row.items() if name != "leased"} for row in rows]

    def used(self, scope: str = "tenant:acme") -> int:
        return next(r["used"] for r in self.accounts() if (r["scope"], r["window"]) == (scope, "daily"))

    async def seen(self) -> dict[str, Any]:
        """Everything that a client, an operator or an upstream can tell, but for ids and ports. Ends the gateway."""
        await self.settled()
        gateway = self.gateway
        routes = gateway.pipeline.routes
        base = "/api/v1/acme/ai"
        found: dict[str, Any] = {
            "metrics": {name: counted(rows) for name, rows in gateway.registry.snapshot().items()},
            "accounts": self.accounts(),
            "running": routes.limits_of("acme").running,
            "budgets": [(d.budget._calls_sum, d.budget._retries_sum) for d in routes.deployments.values()],
            "health": {
                name: (
                    d.breaker.state(self.clock.now),
                    d.breaker.consecutive_failures,
                    d.usable_at(),
                    d.resting(self.clock.now),
                )
                for name, d in routes.deployments.items()
            },
            "counts": dict(gateway.keeper.counts),
            "upstream": {
                name: [(sorted(h.split(b"\r\n")), b) for h, b in stub.heard] for name, stub in self.stubs.items()
            },
            "views": [
                await self.get(f"{base}/{view}") for view in ("stats", "providers", "quotas") if not gateway.draining
            ],
        }
        await self.stop()
        lines = self.log_lines()
        found["log"] = [line for line in lines if line["event"] == "request"]
        found["events"] = [{**line, "at": ""} for line in lines if line["event"] != "request"]
        found["answers"] = self.answers
        return {name: own_removed(value) for name, value in found.items()}

    def log_text(self) -> str:
        return self._log.getvalue().decode()

    def log_lines(self) -> list[Any]:
        return [json.decode(line) for line in self.log_text().splitlines()]

    def is_at_rest(self) -> None:
        """Nothing is held by anybody, and nothing went wrong behind the scenes."""
        gateway = self.gateway
        assert gateway.pipeline.live == set() and gateway.handlers.in_flight.value == 0
        assert gateway.pipeline.routes.limits_of("acme").running == 0
        assert [row for row in self.accounts() if row["reserved"]] == []
        assert gateway.keeper.counts["double_settles"] == 0
        assert all(not stats.in_flight for stats in gateway.upstream.stats().values())
        assert self.trouble == []


def counted(rows: list[Any]) -> list[Any]:
    """The rows of a metric that count something. What is asked of the process itself changes by itself, and has no labels."""
    return sorted(
        row
        for row in rows
        if row[0] and row[1] not in (0, [[0] * len(row[1][0]), 0] if isinstance(row[1], list) else 0)
    )


def comparable(answer: Answer) -> tuple[Any, ...]:
    return answer.status, [(n, v) for n, v in answer.headers if n != "date"], answer.body.decode("utf-8", "replace")


def own_removed(value: Any) -> Any:
    """The value with ids and ports replaced, wherever they stand."""
    if isinstance(value, str):
        return OWN.sub("...", value)
    if isinstance(value, bytes):
        return OWN.sub("...", value.decode("utf-8", "replace"))
    if isinstance(value, dict):
        return {
            key: own_removed(v) for key, v in value.items() if key not in PASSING and not (key == "at" and v != str(v))
        }
    return [own_removed(v) for v in value] if isinstance(value, list | tuple) else value


def first_difference(one: Any, other: Any) -> str:
    """The first place where two values differ."""
    if isinstance(one, dict) and isinstance(other, dict) and one.keys() == other.keys():
        return next(f"{k}: {first_difference(one[k], other[k])}" for k in one if one[k] != other[k])
    if isinstance(one, list) and isinstance(other, list) and len(one) == len(other):
        return next(f"{n}: {first_difference(a, b)}" for n, (a, b) in enumerate(zip(one, other, strict=True)) if a != b)
    return f"{one!r:.1000}\n{other!r:.1000}"


def laid_over(base: Any, more: Any) -> Any:
    """`base` with `more` over it, mapping by mapping."""
    if not isinstance(base, dict) or not isinstance(more, dict):
        return more
    return {key: laid_over(base.get(key), more[key]) if key in more else base[key] for key in {**base, **more}}


async def until(fact: Callable[[], object], within_s: float = 3.0) -> None:
    ends_at = time.monotonic() + within_s
    while not fact():
        assert time.monotonic() < ends_at, f"not within {within_s} s"
        await asyncio.sleep(0.002)


def chat(text: str = "Hello", **more: Any) -> bytes:
    """The body of a chat. Short ones are all of one length, so that their heads are the same."""
    body = {"model": "first-model", "messages": [{"role": "user", "content": text}], **more}
    return json.encode(body).ljust(BODY_BYTES)


Open = Callable[..., Any]
Story = Callable[[Side], Awaitable[None]]


@asynccontextmanager
async def opened(
    folder: Path, *, express: bool = True, names: tuple[str, ...] = ("first",), path: str = COMPLETIONS, **more: Any
) -> AsyncIterator[Side]:
    """A side with settings laid over the usual ones; its clients usually ask at this path."""
    side = Side(express, names)
    side.path = path
    async with AsyncExitStack() as stack:
        await side.start(folder, more)
        stack.push_async_callback(side.stop)
        yield side


async def told_both(folder: Path, story: Story, **more: Any) -> Side:
    """Tell the story to both and hold that everything to be seen is the same; gives back the one with the express."""
    sides = []
    for express in (True, False):
        async with opened(folder, express=express, **more) as side:
            await story(side)
            sides.append((side, await side.seen()))
    (fast, seen), (_, expected) = sides
    for part in expected:
        assert seen[part] == expected[part], f"{part} differ:\n{first_difference(seen[part], expected[part])}"
    assert fast.trouble == [], fast.trouble
    return fast
