"""A gateway and its simulators in a loop and a thread of their own, for clients that block.

`site.do(f)` runs a plain function in that loop, `site.wait(f)` a coroutine function; both give back what it returned.
"""

from __future__ import annotations

import asyncio
import io
import itertools
import socket
import threading
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, TypeVar

import uvloop
import yaml
from doors_wire import Answer, Client
from msgspec import json

from gateway.app import Gateway
from gateway.commands.listening import listen
from gateway.config import load
from gateway.logs import LogWriter
from gateway.simulator.app import Running
from gateway.simulator.app import start as start_simulators
from gateway.simulator.faults import Fault
from gateway.simulator.replies import Seen
from gateway.telemetry import Registry
from gateway.web.auth import mint
from gateway.web.fastlane import Lane

T = TypeVar("T")
LOOPS = {"asyncio": asyncio.new_event_loop, "uvloop": uvloop.new_event_loop}
COMPLETIONS = "/api/v1/acme/ai/chat/completions"
NATIVE = "/api/v1/acme/ai/chat"
MAX_BODY_BYTES = 200_000
SETTINGS: dict[str, Any] = {
    "auth": {"jwt": [{"algorithm": "HS256", "secret": "a secret of the two doors, of more than 32 bytes"}]},
    "store": {"url": "memory://"},
    "admin": {"metrics_public": True},
    "fallback": {"enabled": False},
    "breaker": {"failures": 1000},
    "providers": {"openai": {"type": "openai", "api_key": "sk-test", "default_model": "gpt-5.4"}},
    "tenants": {"acme": {}},
}


class Site:
    """One gateway, which has a lean door in front or has not."""

    def __init__(self, folder: Path, *, lean: bool, loop: str, drain_s: float = 1.0) -> None:
        self.lean = lean
        self._settings = {
            **SETTINGS,
            "server": {"fast_lane": lean, "max_body_mb": MAX_BODY_BYTES / 1e6, "drain_s": drain_s},
        }
        self._file = folder / "gateway.yaml"
        self._runner = asyncio.Runner(loop_factory=LOOPS[loop])
        self._up, self._down = threading.Event(), asyncio.Event()
        self._thread = threading.Thread(target=self._run, name=f"{loop} site", daemon=True)
        self._names = itertools.count(1)
        self.trouble: list[dict[str, Any]] = []  # what reached the loop's exception handler
        self.gateway: Gateway
        self.simulators: Running
        self.port = 0

    # ------------------------------------------------------------ its life

    def start(self) -> Site:
        self._thread.start()
        assert self._up.wait(10), "the site did not start"
        return self

    def stop(self) -> None:
        if self._thread.is_alive():
            self.do(self._down.set)
            self._thread.join(10)
            assert not self._thread.is_alive(), "the site did not stop"

    def _run(self) -> None:
        with self._runner as runner:
            runner.run(self._serve())

    async def _serve(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._loop.set_exception_handler(lambda loop, context: self.trouble.append(context))
        self.simulators = await start_simulators("openai")
        self._settings["providers"]["openai"]["base_url"] = self.simulators.url_for("openai")
        self._file.write_text(yaml.safe_dump(self._settings))
        self._log = io.BytesIO()
        self.gateway = Gateway(load(str(self._file), {}).config, {}, LogWriter(self._log), Registry())
        sock = listen("127.0.0.1", 0)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 16 * 1024)  # so that a slow client is soon felt
        await self.gateway.start(sock)
        self.port = sock.getsockname()[1]
        self._up.set()
        await self._down.wait()
        await self.gateway.drain()
        await self.gateway.stop()
        self.gateway.log.close()
        await self.simulators.stop()

    def do(self, work: Callable[[], T]) -> T:
        async def run() -> T:
            return work()

        return self.wait(run)

    def wait(self, work: Callable[[], Awaitable[T]]) -> T:
        async def run() -> T:
            return await work()

        return asyncio.run_coroutine_threadsafe(run(), self._loop).result(20)

    def until(self, done: Callable[[], object], within_s: float = 2.0) -> None:
        """Wait until this holds in the site's loop; fails when it does not within this time."""
        ends_at = time.monotonic() + within_s
        while not self.do(done):
            assert time.monotonic() < ends_at, f"not so within {within_s} s"
            time.sleep(0.005)

    # ------------------------------------------------------------ its clients

    def connect(self, receive_bytes: int | None = None) -> Client:
        return Client(self.port, receive_bytes)

    def marker(self) -> str:
        """A word that no other request says."""
        return f"marker-{next(self._names)}-of-{id(self)}"

    @property
    def token(self) -> str:
        return mint(self.gateway.config.auth, "acme", "tester", ["user"], 600, time.time())

    def head(self, *lines: str, path: str = COMPLETIONS, credential: bool = True) -> bytes:
        """The head of a POST, with these lines at its end."""
        known = [f"POST {path} HTTP/1.1", "Host: gateway.test", "Content-Type: application/json"]
        if credential:
            known.append(f"Authorization: Bearer {self.token}")
        return "\r\n".join([*known, *lines, "", ""]).encode()

    def post(self, body: bytes, *lines: str, path: str = COMPLETIONS, credential: bool = True) -> bytes:
        """A whole POST whose body has a length."""
        return self.head(*lines, f"Content-Length: {len(body)}", path=path, credential=credential) + body

    def ask(self, request: bytes) -> Answer:
        """One request on a connection of its own."""
        with self.connect() as client:
            client.send(request)
            return client.answer()

    def is_well(self) -> None:
        """A plain call is answered, and nothing went wrong behind the scenes."""
        answer = self.ask(self.post(chat("are you well?"), "Connection: close"))
        assert answer.status == 200, answer
        assert self.trouble == []

    # ------------------------------------------------------------ behind it

    @property
    def lane(self) -> Lane:
        assert self.gateway._lane is not None
        return self.gateway._lane

    def pass_time(self, seconds: int) -> None:
        """The sweep sees so many seconds pass, one by one."""

        def sweep(now: float) -> None:
            for each in self.gateway._connections():
                each.tick(now)

        began = self.do(self.gateway.pipeline.clock)
        for second in range(seconds + 1):
            self.do(lambda now=began + second: sweep(now))  # type: ignore[misc]

    def fault(self, kind: Any, **more: Any) -> None:
        """The next call upstream meets this."""
        self.do(lambda: self.simulators.state.faults.faults.append(Fault(kind=kind, times=1, **more)))

    def forget(self) -> None:
        """Take back what a test before may have left: faults that nobody met, requests that were noted."""
        self.do(self.simulators.state.faults.faults.clear)
        self.do(self.simulators.state.journal.clear)

    def upstream(self, marker: str = "") -> list[Seen]:
        """The calls that the provider got, those with this word in their bodies."""
        return self.do(lambda: [s for s in self.simulators.state.journal.entries if marker.encode() in s.body])

    def reserved(self) -> int:
        """Tokens held for calls in flight, over all accounts."""
        return self.do(lambda: sum(account.reserved for account in self.gateway.keeper.accounts()))

    def is_at_rest(self) -> bool:
        """Nothing in flight, nothing held, no stream open. Asked in the site's loop."""
        gateway = self.gateway
        held = sum(account.reserved for account in gateway.keeper.accounts())
        return not (gateway.handlers.in_flight.value or held or len(gateway.streams) or gateway.pipeline.live)

    def log_lines(self) -> list[dict[str, Any]]:
        """What was logged so far."""
        self.do(self.gateway.log.flush)
        time.sleep(0.02)  # its writer is a thread
        return [json.decode(line) for line in self._log.getvalue().splitlines()]


def chat(text: str = "Hello", **more: Any) -> bytes:
    """The body of a chat; the native API takes it as well."""
    return json.encode({"messages": [{"role": "user", "content": text}], **more})
