"""How connections that no answer ends are left when the gateway stops: their clients are told, and have GOODBYE_S to go.

aiohttp alone would wait for them, first for their handlers to end and then for their clients to close.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Collection, Coroutine, Iterable
from typing import Any

from aiohttp import web

GOODBYE_S = 0.5


async def part(open_ones: Collection[web.RequestHandler], farewells: Iterable[Coroutine[Any, Any, Any]]) -> None:
    """Say the farewells, all at once, and cut off who is still there after GOODBYE_S. `open_ones` shrinks as clients go."""
    telling = [asyncio.ensure_future(farewell) for farewell in farewells]
    ends_at = time.monotonic() + GOODBYE_S
    while open_ones and time.monotonic() < ends_at:
        await asyncio.sleep(0.02)
    for connection in list(open_ones):
        if connection.transport is not None:
            connection.transport.abort()
    if telling:
        await asyncio.wait(telling, timeout=GOODBYE_S)
