"""A gateway as a process: how it starts, refuses to start, reloads, stops, and what it still knows after being killed."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import sys
import time
from asyncio.subprocess import PIPE
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import yaml
from e2e_heard import COMPLETIONS, HELLO, NATIVE, SAID, hear, seen, streaming, until, used_tokens
from msgspec import DecodeError, json

from gateway.config import load
from gateway.simulator.app import Running
from gateway.simulator.app import start as start_simulators
from gateway.web.auth import mint

REPOSITORY = Path(__file__).parents[2]
SECRET = "the secret of a process, longer than 32 bytes"
LONG = [{"role": "user", "content": "word " * 300}]


class Process:
    """`gateway serve` in a folder of its own. Offers what a Stack does where tests of both need it."""

    def __init__(self, folder: Path, simulators: Running) -> None:
        self.folder = folder
        self.simulators = simulators
        self.lines: list[dict[str, Any]] = []
        self.noise: list[str] = []  # what was written to stderr and is no log line
        self.port = 0
        self._process: asyncio.subprocess.Process | None = None
        self._reading: asyncio.Task[None] | None = None

    # ------------------------------------------------ the configuration

    @property
    def file(self) -> Path:
        return self.folder / "gateway.yaml"

    def settings(self, **more: Any) -> dict[str, Any]:
        url = self.simulators.url_for
        return {
            "auth": {"jwt": [{"algorithm": "HS256", "secret": SECRET}]},
            "store": {"url": f"sqlite:///{self.folder}/quota.db"},
            "providers": {
                "openai": {"type": "openai", "api_key": "k1", "base_url": url("openai"), "default_model": "gpt-5.4"},
                "anthropic": {
                    "type": "anthropic",
                    "api_key": "k2",
                    "base_url": url("anthropic"),
                    "default_model": "claude-sonnet-4-6",
                    "priority": 1,
                },
            },
            "tenants": {"acme": {"quota": {"daily_tokens": 1_000_000}}},
            **more,
        }

    def write(self, **more: Any) -> None:
        """Write the configuration as careful editors do: a new file takes the old one's place."""
        draft = self.folder / "draft.yaml"
        draft.write_text(yaml.safe_dump(self.settings(**more)))
        draft.replace(self.file)

    # ------------------------------------------------ the process

    async def launch(self, *arguments: str) -> None:
        environ = {"PATH": os.environ["PATH"], "PYTHONPATH": str(REPOSITORY)}
        command = (
            sys.executable,
            "-m",
            "gateway",
            "serve",
            "--config",
            str(self.file),
            *(arguments or ("--port", "0")),
        )
        self._process = await asyncio.create_subprocess_exec(
            *command, cwd=self.folder, env=environ, stdout=PIPE, stderr=PIPE
        )
        self.lines.clear()
        self._reading = asyncio.create_task(self._read())

    async def start(self) -> None:
        """Launch, and wait until calls are answered."""
        await self.launch()
        self.port = (await self.event("serving", within_s=30))["port"]

    async def event(self, name: str, within_s: float = 10) -> dict[str, Any]:
        """The first log line of this name, waited for."""
        assert self._process is not None
        try:
            await until(lambda: self.logged(name) or self.noise or self._process.returncode is not None, within_s)
        finally:
            assert self.logged(name), (name, self._process.returncode, self.noise, self.lines)
        return self.logged(name)[0]

    def logged(self, name: str) -> list[dict[str, Any]]:
        """The log lines of this name so far."""
        return [line for line in self.lines if line.get("event") == name]

    def signal(self, number: signal.Signals) -> None:
        assert self._process is not None
        self._process.send_signal(number)

    async def exit_code(self, within_s: float = 8) -> int:
        assert self._process is not None and self._reading is not None
        code = await asyncio.wait_for(self._process.wait(), within_s)
        await self._reading
        return code

    async def close(self) -> None:
        if self._process is not None and self._process.returncode is None:
            self._process.kill()
            await self.exit_code()

    async def _read(self) -> None:
        assert self._process is not None and self._process.stderr is not None
        async for line in self._process.stderr:
            try:
                self.lines.append(json.decode(line))
            except DecodeError:
                self.noise.append(line.decode())

    # ------------------------------------------------ its clients

    def base(self) -> str:
        return f"http://127.0.0.1:{self.port}/api/v1/acme/ai"

    def headers(self) -> dict[str, str]:
        token = mint(load(str(self.file), {}).config.auth, "acme", "tester", ["user"], 600, time.time())
        return {"authorization": f"Bearer {token}"}

    async def post(self, path: str, headers: dict[str, str] | None = None, **body: Any) -> tuple[int, Any]:
        url, headers = self.base() + path, headers or self.headers()
        async with (
            aiohttp.ClientSession(headers=headers) as session,
            session.post(url, json={"messages": HELLO, **body}) as answer,
        ):
            return answer.status, await answer.json()

    async def get(self, path: str) -> Any:
        async with (
            aiohttp.ClientSession(headers=self.headers()) as session,
            session.get(self.base() + path) as answer,
        ):
            return await answer.json()


Begin = Callable[..., Awaitable[Process]]


@pytest.fixture
async def begin(tmp_path: Path) -> AsyncIterator[Begin]:
    """Makes a process with a configuration of its own; it is started unless told otherwise."""
    made: list[Process] = []

    async def make(*, chunk_delay_s: float = 0.0, started: bool = True, **more: Any) -> Process:
        process = Process(tmp_path, await start_simulators("all", chunk_delay_s=chunk_delay_s))
        made.append(process)
        process.write(**more)
        if started:
            await process.start()
        return process

    yield make
    for process in made:
        await process.close()
        await process.simulators.stop()


# ------------------------------------------------------------ stopping


async def test_sigterm_lets_an_open_stream_finish_and_takes_no_new_calls(begin):
    process = await begin(chunk_delay_s=0.2)
    async with aiohttp.ClientSession() as balancer, streaming(process) as (_, frames):
        assert await ready(process, balancer)
        heard = [await anext(frames)]
        process.signal(signal.SIGTERM)
        await process.event("stopping")
        await asyncio.sleep(0.05)
        assert not await ready(process, balancer)
        with pytest.raises(aiohttp.ClientConnectionError):
            await process.post(COMPLETIONS)
        heard += [frame async for frame in frames]
    assert "".join(frame.text for frame in heard) == SAID["openai"]
    assert heard[-1].data == "[DONE]"
    assert await process.exit_code() == 0
    assert process.logged("stopped")


async def ready(process: Process, balancer: aiohttp.ClientSession) -> bool:
    """What a load balancer sees that keeps its connection open. A closed one is as clear an answer as 503."""
    try:
        async with balancer.get(f"http://127.0.0.1:{process.port}/readyz") as answer:
            assert answer.status in (200, 503)
            return answer.status == 200
    except aiohttp.ClientConnectionError:
        return False


async def test_sigterm_without_calls_ends_at_once(begin):
    process = await begin()
    assert (await process.post(COMPLETIONS))[0] == 200
    process.signal(signal.SIGTERM)
    assert await process.exit_code(within_s=2) == 0


async def test_ctrl_c_is_an_orderly_stop_too(begin):
    process = await begin()
    process.signal(signal.SIGINT)
    assert await process.exit_code(within_s=2) == 0
    assert process.noise == []


async def test_when_the_drain_time_is_over_streams_end_with_an_error_and_are_settled(begin):
    process = await begin(chunk_delay_s=0.1, server={"drain_s": 0.3})
    streams = [asyncio.create_task(hear(process, path, messages=LONG)) for path in (COMPLETIONS, NATIVE)]
    await until(lambda: len(seen(process, "openai")) == 2)
    await asyncio.sleep(0.4)
    process.signal(signal.SIGTERM)
    for heard in await asyncio.wait_for(asyncio.gather(*streams), 4):
        assert (heard.status, len(heard.errors)) == (200, 1)
        assert heard.text
        assert heard.frames[-1].error
        assert not heard.complete
    assert await process.exit_code() == 0
    await until(lambda: all(entry.aborted for entry in seen(process, "openai")))
    await process.start()
    rows = (await process.get("/quotas"))["accounts"]
    assert all((row["reserved"], row["leased"]) == (0, 0) for row in rows)
    assert await used_tokens(process) > 2 * 300


# ------------------------------------------------------------ reloading

ALIAS = {"swift": ["anthropic"]}


async def test_a_new_alias_works_soon_after_the_file_changed(begin):
    process = await begin()
    assert (await process.post(COMPLETIONS, model="swift"))[0] == 404
    process.write(models=ALIAS)
    await process.event("reloaded", within_s=3)
    status, body = await process.post(NATIVE, model="swift")
    assert (status, body["provider"]) == (200, "anthropic")


async def test_sighup_reloads_a_file_that_did_not_change(begin):
    process = await begin()
    process.signal(signal.SIGHUP)
    await process.event("reloaded", within_s=3)
    assert (await process.post(COMPLETIONS))[0] == 200


async def test_a_bad_file_changes_nothing_and_is_reported(begin):
    process = await begin(models=ALIAS)
    headers = process.headers()
    process.file.write_text("providers: {openai: {type: openia}}\n")
    refused = await process.event("reload_refused", within_s=3)
    assert any("gateway.yaml:1:" in problem and "openia" in problem for problem in refused["problems"])
    assert (await process.post(COMPLETIONS, headers, model="swift"))[0] == 200
    process.file.write_text("auth: [unclosed\n")
    await until(lambda: len(process.logged("reload_refused")) == 2, within_s=3)
    assert (await process.post(COMPLETIONS, headers, model="swift"))[0] == 200


async def test_calls_in_flight_survive_a_reload_with_what_they_began_with(begin):
    process = await begin(chunk_delay_s=0.4, models=ALIAS)
    async with streaming(process, model="swift") as (answer, frames):
        heard = [await anext(frames)]
        process.write(models={"other": ["openai"]})
        process.signal(signal.SIGHUP)
        await process.event("reloaded", within_s=3)
        heard += [frame async for frame in frames]
    assert answer.headers["x-gateway-provider"] == "anthropic"
    assert "".join(frame.text for frame in heard) == SAID["anthropic"]
    assert heard[-1].data == "[DONE]"
    assert (await process.post(COMPLETIONS, model="swift"))[0] == 404


# ------------------------------------------------------------ refusing to start


async def refused(process: Process, *arguments: str) -> tuple[int, str]:
    """Start what cannot start: its exit code and what it wrote to stderr."""
    await process.launch(*arguments)
    code = await process.exit_code()
    text = "".join(process.noise)
    assert "Traceback" not in text
    return code, text


async def test_a_port_in_use_is_one_line_and_exit_1(begin):
    process = await begin(started=False)
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        code, text = await refused(process, "--port", str(port))
    assert code == 1
    assert len(text.splitlines()) == 1
    assert str(port) in text


async def test_a_missing_provider_key_is_named_and_exit_2(begin):
    process = await begin(started=False)
    process.file.write_text(process.file.read_text().replace("api_key: k1", 'api_key: "${PROVIDER_KEY_NOT_SET}"'))
    code, text = await refused(process)
    assert code == 2
    assert "PROVIDER_KEY_NOT_SET" in text
    assert "gateway.yaml:" in text


async def test_a_weak_secret_is_refused_and_not_repeated(begin):
    process = await begin(started=False)
    process.file.write_text(process.file.read_text().replace(SECRET, "hunter2hunter2"))
    code, text = await refused(process)
    assert code == 2
    assert "secret" in text
    assert "32" in text
    assert "hunter2" not in text


async def test_a_missing_file_is_exit_2(begin):
    process = await begin(started=False)
    process.file.unlink()
    code, text = await refused(process)
    assert code == 2
    assert "gateway.yaml" in text


async def test_a_store_that_cannot_be_opened_is_one_line_and_exit_1(begin):
    process = await begin(started=False)
    process.write(store={"url": "sqlite:////proc/nowhere/quota.db"})
    code, text = await refused(process)
    assert code == 1
    assert len(text.splitlines()) == 1


# ------------------------------------------------------------ surviving


async def test_a_kill_in_mid_stream_forgets_nothing_and_gives_nothing_away(begin):
    process = await begin(chunk_delay_s=0.05)
    assert (await process.post(COMPLETIONS))[0] == 200
    await asyncio.sleep(0.5)  # more than a flush
    before = await used_tokens(process)
    async with streaming(process, messages=LONG) as (_, frames):
        await anext(frames)
        await asyncio.sleep(0.3)
        process.signal(signal.SIGKILL)
        assert await process.exit_code() == -signal.SIGKILL
    await until(lambda: seen(process, "openai")[-1].aborted)
    served = process.simulators.state.journal.served["openai"].total_tokens
    await process.start()
    row = next(r for r in (await process.get("/quotas"))["accounts"] if r["scope"] == "tenant:acme")
    assert row["used"] >= before > 0
    assert row["used"] + row["leased"] >= served > before
    assert (await process.post(COMPLETIONS))[0] == 200


async def test_an_orderly_stop_forgets_nothing_and_holds_nothing_back(begin):
    process = await begin()
    for _ in range(3):
        await process.post(COMPLETIONS)
    process.signal(signal.SIGTERM)
    assert await process.exit_code() == 0
    await process.start()
    served = process.simulators.state.journal.served["openai"].total_tokens
    assert await used_tokens(process) == served
    rows = (await process.get("/quotas"))["accounts"]
    assert all((row["reserved"], row["leased"]) == (0, 0) for row in rows)
