"""What several end-to-end tests need beside the stack: waiting for a fact, reading errors, a small server, a raw socket."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
from aiohttp import web
from msgspec import json

Fact = Callable[[], Any]
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


async def until(fact: Fact, within_s: float = 5.0, what: str = "") -> Any:
    """The first true answer of `fact`, a function or coroutine function, asked again and again. Fails after `within_s`."""
    ends_at = time.monotonic() + within_s
    while True:
        found = fact()
        if asyncio.iscoroutine(found):
            found = await found
        if found:
            return found
        assert time.monotonic() < ends_at, f"not within {within_s} s: {what or fact}"
        await asyncio.sleep(0.01)


async def error_of(answer: aiohttp.ClientResponse, status: int, code: str) -> dict[str, Any]:
    """The error object of an answer, after checking its shape, which is the same for every refusal."""
    text = await answer.text()
    assert answer.status == status, (answer.status, text)
    assert answer.content_type == "application/json"
    error: dict[str, Any] = json.decode(text)["error"]
    assert {"message", "type", "param", "code"} <= set(error)
    assert error["code"] == code, error
    assert answer.headers["x-request-id"] == answer.headers["request-id"]
    assert answer.headers["x-request-id"] in error["message"]
    assert "Traceback" not in text
    return error


@asynccontextmanager
async def serving(routes: dict[str, Handler]) -> AsyncIterator[str]:
    """A server on loopback with these handlers by path, any method; gives its origin."""
    app = web.Application()
    for path, handler in routes.items():
        app.router.add_route("*", path, handler)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.2)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    try:
        yield f"http://127.0.0.1:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()


async def send_raw(port: int, data: bytes, within_s: float = 5.0, eof: bool = False) -> bytes:
    """Write bytes to a port and read what comes back until the server closes or has given a whole answer."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        writer.write(data)
        if eof:
            writer.write_eof()
        async with asyncio.timeout(within_s):
            return await _answer(reader)
    finally:
        writer.close()


async def _answer(reader: asyncio.StreamReader) -> bytes:
    """One HTTP answer with a content-length, or what comes until the end."""
    try:
        head = await reader.readuntil(b"\r\n\r\n")
    except asyncio.IncompleteReadError as end:
        return bytes(end.partial)
    except ConnectionResetError:
        return b""
    for line in head.lower().split(b"\r\n"):
        if line.startswith(b"content-length:"):
            return head + await reader.readexactly(int(line.partition(b":")[2]))
    return head
