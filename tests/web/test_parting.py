"""What is left open when the gateway stops is told, and then cut off."""

from __future__ import annotations

import asyncio
import time

from aiohttp import web

from gateway.web.parting import GOODBYE_S, part


async def test_a_connection_that_does_not_go_when_told_is_cut_off() -> None:
    open_ones: set[web.RequestHandler] = set()

    async def hold(request: web.Request) -> web.Response:
        open_ones.add(request.protocol)
        try:
            await asyncio.Event().wait()
        finally:
            open_ones.discard(request.protocol)
        raise AssertionError

    async def tell() -> None:
        told.append(time.monotonic())
        while open_ones:  # as a library that waits for its clients
            await asyncio.sleep(0.01)

    told: list[float] = []
    app = web.Application()
    app.router.add_get("/", hold)
    runner = web.AppRunner(app, handler_cancellation=True)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    reader, writer = await asyncio.open_connection("127.0.0.1", runner.addresses[0][1])
    writer.write(b"GET / HTTP/1.1\r\nhost: x\r\n\r\n")
    while not open_ones:
        await asyncio.sleep(0.01)
    began_at = time.monotonic()
    await part(open_ones, [tell()])
    assert GOODBYE_S <= time.monotonic() - began_at < GOODBYE_S + 0.4
    assert told[0] - began_at < 0.1
    assert await asyncio.wait_for(reader.read(), 2) == b""
    writer.close()
    await runner.cleanup()


async def test_nobody_is_waited_for_where_nobody_is_left() -> None:
    began_at = time.monotonic()
    await part(set(), [])
    assert time.monotonic() - began_at < GOODBYE_S / 2
