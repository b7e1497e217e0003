"""Streams as clients feel them: at once, piece by piece, no faster than they read, and gone when they go."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from itertools import pairwise
from typing import Any

import aiohttp
import pytest
from e2e_heard import COMPLETIONS, HELLO, MODEL, NATIVE, SAID, hear, seen, streaming, until, used_tokens

from gateway.simulator.exchange import Exchange

LONG = [{"role": "user", "content": "word " * 400}]
PIECES = 5  # of the answer to HELLO
UNTHINKING = {**MODEL, "gemini": "gemini-2.5-flash-lite"}  # a thought would come before the first piece of text

Open = Callable[..., Awaitable[Any]]


@pytest.fixture(params=[True, False], ids=["lean_door", "aiohttp_door"])
def opened(request, start_stack) -> Open:
    """Starts a stack behind each of the two doors."""

    async def begin(more: dict[str, Any] | None = None, **kwargs: Any) -> Any:
        return await start_stack({"server": {"fast_lane": request.param, "drain_s": 2}, **(more or {})}, **kwargs)

    return begin


async def metric(stack: Any, name: str) -> float:
    async with stack.session.get(f"{stack.origin}/metrics") as answer:
        lines = (await answer.text()).splitlines()
    return next(float(line.split()[1]) for line in lines if line.startswith(f"{name} "))


def tasks_of_calls() -> list[str]:
    """Tasks that exist for one call alone: none may outlive it."""
    names = [str(task.get_coro()) for task in asyncio.all_tasks()]
    return [name for name in names if "_pump" in name or "Handlers.handle" in name or "_serve" in name]


# ------------------------------------------------------------ at once


@pytest.mark.parametrize("path", [COMPLETIONS, NATIVE])
@pytest.mark.parametrize("provider", MODEL)
async def test_the_first_piece_is_there_within_50_ms_and_waits_for_no_other(opened, provider, path):
    stack = await opened(chunk_delay_s=0.3)
    delays = []
    for _ in range(3):
        async with streaming(stack, path, model=UNTHINKING[provider]) as (_, frames):
            first = await anext(frame async for frame in frames if frame.text)
            delays.append(first.at - seen(stack, provider)[-1].at)
    assert min(delays) < 0.05


@pytest.mark.parametrize("path", [COMPLETIONS, NATIVE])
@pytest.mark.parametrize("provider", ["openai", "anthropic"])
async def test_pieces_come_one_by_one_as_they_are_made(opened, monkeypatch, provider, path):
    """The provider makes a piece when the client has the one before: for one that is kept back both would wait for ever."""
    had = asyncio.Event()

    async def until_the_last_is_there(exchange: Any, seconds: float) -> None:
        async with asyncio.timeout(10):
            await had.wait()
        had.clear()

    monkeypatch.setattr(Exchange, "_pause", until_the_last_is_there)
    stack = await opened(chunk_delay_s=1.0)
    pieces = []
    async with streaming(stack, path, model=MODEL[provider]) as (_, frames):
        async for frame in frames:
            if frame.text:
                pieces.append(frame)
                had.set()
    assert "".join(piece.text for piece in pieces) == SAID[provider]
    assert len(pieces) >= PIECES - 1
    assert min(later.at - earlier.at for earlier, later in pairwise(pieces)) < 0.05, "none waits for a timer either"


@pytest.mark.parametrize("provider", MODEL)
@pytest.mark.parametrize("asked", [True, False, None])
async def test_the_usage_frame_comes_only_when_asked_for(opened, provider, asked):
    stack = await opened()
    options = {} if asked is None else {"stream_options": {"include_usage": asked}}
    heard = await hear(stack, model=MODEL[provider], **options)
    chunks = [frame.value for frame in heard.frames if frame.data != "[DONE]"]
    usages = [chunk for chunk in chunks if chunk.get("usage")]
    assert heard.frames[-1].data == "[DONE]"
    assert (heard.text, heard.complete) == (SAID[provider], True)
    if not asked:
        assert usages == []
        return
    assert usages == chunks[-1:]
    assert usages[0]["choices"] == []
    assert usages[0]["usage"]["total_tokens"] == (await stack.sim("served"))[provider]["total_tokens"]


async def test_streams_are_not_stored_or_compressed_on_the_way(opened):
    stack = await opened()
    heard = await hear(stack)
    assert heard.headers["content-type"].startswith("text/event-stream")
    assert "no-cache" in heard.headers["cache-control"]
    assert "content-encoding" not in heard.headers


# ------------------------------------------------------------ the client leaves


@pytest.mark.parametrize("path", [COMPLETIONS, NATIVE])
@pytest.mark.parametrize("provider", MODEL)
async def test_a_client_that_hangs_up_ends_the_upstream_and_pays_what_was_made(opened, provider, path):
    stack = await opened(chunk_delay_s=0.05)
    async with streaming(stack, path, model=MODEL[provider], messages=LONG) as (_, frames):
        for _ in range(4):
            await anext(frames)
    await until(lambda: seen(stack, provider)[0].aborted, within_s=1)
    await until(lambda: not stack.gateway.pipeline.recorder.in_flight.value, within_s=1)
    await until(lambda: not tasks_of_calls(), within_s=1)
    served = (await stack.sim("served"))[provider]["total_tokens"]
    used = await used_tokens(stack)
    assert 400 < served <= used < 2 * served + 2000
    assert all(row["reserved"] == 0 for row in (await stack.get("/quotas"))["accounts"])
    line = next(line for line in stack.log_lines() if line["event"] == "request")
    assert (line["outcome"], line["provider"]) == ("client_gone", provider)
    assert len(await stack.sim("requests")) == 1


@pytest.mark.parametrize("stream", [False, True], ids=["json", "stream"])
@pytest.mark.parametrize("path", [COMPLETIONS, NATIVE])
async def test_a_client_that_leaves_before_the_first_byte_ends_the_upstream_too(opened, path, stream):
    stack = await opened()
    await stack.fault("openai", "slow_first_byte", delay_s=20)
    leaving = asyncio.create_task(hear(stack, path, stream=stream))
    await until(lambda: seen(stack, "openai"))
    leaving.cancel()
    await until(lambda: seen(stack, "openai")[0].aborted, within_s=1)
    await until(lambda: not stack.gateway.pipeline.recorder.in_flight.value, within_s=1)
    assert await used_tokens(stack) > 0, "the provider has read the prompt"
    assert len(await stack.sim("requests")) == 1


async def test_a_connection_whose_client_left_is_not_used_again(opened):
    """The rest of an abandoned answer must not become the beginning of somebody else's."""
    stack = await opened(chunk_delay_s=0.02)
    for _ in range(5):
        async with streaming(stack, messages=LONG) as (_, frames):
            await anext(frames)
        heard = await hear(stack)
        assert (heard.text, heard.complete) == (SAID["openai"], True)


@pytest.mark.parametrize("path", [COMPLETIONS, NATIVE])
@pytest.mark.parametrize("provider", ["openai", "anthropic"])
async def test_a_stream_that_breaks_ends_abnormally_at_both_doors(opened, provider, path):
    stack = await opened()
    await stack.fault(provider, "cut", after_events=2)
    heard = await hear(stack, path, model=MODEL[provider])
    assert len(heard.errors) == 1
    assert heard.frames[-1].error
    assert not heard.complete
    assert not heard.whole


# ------------------------------------------------------------ the client is slow


class Spring:
    """An OpenAI-compatible server that pours out one endless-looking stream and counts what the gateway takes."""

    def __init__(self, frames: int) -> None:
        self.written = 0
        self.broken = False
        self._frames = frames

    async def __call__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        length = next(int(x.split(b":")[1]) for x in head.lower().split(b"\r\n") if x.startswith(b"content-length"))
        await reader.readexactly(length)
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\nconnection: close\r\n\r\n")
        try:
            for _ in range(self._frames):
                writer.write(self._frame)
                await writer.drain()
                self.written += len(self._frame)
            writer.write(self._end)
            await writer.drain()
        except ConnectionError:
            self.broken = True
        writer.close()

    _frame = (
        b'data: {"id":"c","object":"chat.completion.chunk","created":1,"model":"m","choices":[{"index":0,"delta":'
        b'{"content":"' + b"x" * 8000 + b'"},"finish_reason":null}]}\n\n'
    )
    _end = (
        b'data: {"id":"c","object":"chat.completion.chunk","created":1,"model":"m","choices":[{"index":0,"delta":{},'
        b'"finish_reason":"stop"}]}\n\ndata: {"id":"c","object":"chat.completion.chunk","created":1,"model":"m",'
        b'"choices":[],"usage":{"prompt_tokens":1,"completion_tokens":2,"total_tokens":3}}\n\ndata: [DONE]\n\n'
    )


MB = 1_000_000
POURED = 32 * MB  # more than the kernel's buffers of two connections can swallow


@pytest.fixture
async def spring() -> AsyncIterator[tuple[Spring, dict[str, Any]]]:
    """A Spring and the settings of a provider that points to it."""
    source = Spring(POURED // 8000)
    server = await asyncio.start_server(source, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    provider = {
        "type": "openai_compatible",
        "api_key": "k",
        "base_url": f"http://127.0.0.1:{port}/v1",
        "default_model": "m",
        "timeouts": {"idle_s": 0.3},
    }
    yield source, {"providers": {"spring": provider}}
    server.close()


async def standing_still(source: Spring) -> int:
    """Wait until nothing more is taken from the source, and say how much was."""
    while True:
        before = source.written
        await asyncio.sleep(0.15)
        if before and source.written == before:
            return before


@pytest.mark.parametrize("path", [COMPLETIONS, NATIVE])
async def test_a_slow_reader_slows_the_upstream_and_loses_nothing(opened, spring, path):
    source, provider = spring
    stack = await opened(provider)
    async with streaming(stack, path, model="spring/m") as (answer, frames):
        await anext(frames)
        taken = await asyncio.wait_for(standing_still(source), 8)
        assert taken < POURED * 3 / 4  # the kernel's buffers of two connections grow to half of it on some machines
        await asyncio.sleep(0.6)  # longer than idle_s: it is the client who pauses, so nobody is to blame
        assert source.written < taken + MB
        size, tail = 0, b""
        async for data in answer.content.iter_any():
            size += len(data)
            tail = (tail + data)[-2000:]
    assert source.written > POURED - 8000
    assert size > POURED * 0.95
    assert b"[DONE]" in tail or b"finishReason" in tail


async def test_a_reader_that_stopped_for_good_is_let_go(opened, spring, monkeypatch):
    source, provider = spring
    monkeypatch.setattr("gateway.web.relay.STUCK_AFTER_S", 0.5)
    stack = await opened(provider)
    async with streaming(stack, model="spring/m") as (_, frames):
        await anext(frames)
        await asyncio.wait_for(standing_still(source), 8)
        await until(lambda: source.broken, within_s=3)
        await until(lambda: not stack.gateway.pipeline.recorder.in_flight.value, within_s=1)


# ------------------------------------------------------------ many


async def test_two_hundred_streams_at_once_are_all_whole_and_leave_nothing_behind(opened):
    stack = await opened({"tenants": {"acme": {"limits": {"concurrency": 500}}}}, chunk_delay_s=0.25)
    connector = aiohttp.TCPConnector(limit=0)
    names = list(MODEL)

    async def one(session: aiohttp.ClientSession, index: int) -> bool:
        name = names[index % 3]
        body = {"model": MODEL[name], "messages": [{"role": "user", "content": f"call {index}."}], "stream": True}
        async with session.post(stack.base() + COMPLETIONS, json=body, headers=stack.headers()) as answer:
            text = await answer.text()
            return text.endswith("data: [DONE]\n\n") and f'"{index}' in text and answer.status == 200

    async with aiohttp.ClientSession(connector=connector) as session:
        running = asyncio.gather(*(one(session, index) for index in range(200)))
        # All of them where the machine is quick enough to begin the last before the first has ended.
        await until(lambda: len(stack.gateway.streams) >= 100, within_s=10)
        assert await metric(stack, "gateway_streams_open") >= 50
        assert await metric(stack, "gateway_in_flight_requests") >= 50
        assert all(await asyncio.wait_for(running, 20))
    assert await metric(stack, "gateway_streams_open") == 0
    assert await metric(stack, "gateway_in_flight_requests") == 0
    assert await used_tokens(stack) == sum(x["total_tokens"] for x in (await stack.sim("served")).values())


async def test_more_than_a_tenants_concurrency_is_refused_and_comes_back(opened):
    stack = await opened({"tenants": {"acme": {"limits": {"concurrency": 3}}}}, chunk_delay_s=0.05)
    began = time.monotonic()
    heard = await asyncio.gather(*(hear(stack) for _ in range(5)))
    assert sorted(h.status for h in heard) == [200, 200, 200, 429, 429]
    assert time.monotonic() - began < 5
    assert (await hear(stack, messages=HELLO)).status == 200
