"""Happy eyeballs (RFC 8305): several addresses, a head start for each, the first connection wins.

asyncio has this inside `create_connection`, uvloop has not; this works with any loop.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from itertools import chain, zip_longest
from socket import AddressFamily, socket
from typing import Any

Address = tuple[AddressFamily, tuple[Any, ...]]  # family, and the address as `socket.connect` takes it

HEAD_START_S = 0.25  # RFC 8305, section 5: the recommended Connection Attempt Delay


def interleave(addresses: Sequence[Address]) -> list[Address]:
    """The families by turns, beginning with the family of the first address; the order within a family is kept."""
    first = [address for address in addresses if address[0] == addresses[0][0]]
    other = [address for address in addresses if address[0] != addresses[0][0]]
    pairs = zip_longest(first, other)
    return [address for address in chain.from_iterable(pairs) if address is not None]


async def race(
    addresses: Sequence[Address],
    connect: Callable[[Address], Awaitable[socket]],
    head_start_s: float = HEAD_START_S,
) -> socket:
    """The first socket that connects; the others are closed. Raises the OSError of the first address when all fail.

    The next address starts after `head_start_s`, or as soon as all that are under way have failed.
    """
    if len(addresses) == 1:
        return await connect(addresses[0])
    runners: list[asyncio.Future[socket]] = []
    winner: asyncio.Future[socket] | None = None
    try:
        winner = await _run(interleave(addresses), connect, head_start_s, runners)
        return winner.result()
    finally:
        for runner in runners:
            if runner is not winner:
                _dismiss(runner)


async def _run(
    addresses: list[Address],
    connect: Callable[[Address], Awaitable[socket]],
    head_start_s: float,
    runners: list[asyncio.Future[socket]],
) -> asyncio.Future[socket]:
    under_way: set[asyncio.Future[socket]] = set()
    while len(runners) < len(addresses) or under_way:
        if len(runners) < len(addresses):
            runners.append(asyncio.ensure_future(connect(addresses[len(runners)])))
            under_way.add(runners[-1])
        patience_s = head_start_s if len(runners) < len(addresses) else None
        done, under_way = await asyncio.wait(under_way, timeout=patience_s, return_when=asyncio.FIRST_COMPLETED)
        for runner in done:
            if runner.exception() is None:
                return runner
    return runners[0]


def _dismiss(runner: asyncio.Future[socket]) -> None:
    # A runner that came in second has a socket; one that failed has an error that must count as seen.
    runner.cancel()
    runner.add_done_callback(_close)


def _close(runner: asyncio.Future[socket]) -> None:
    with suppress(asyncio.CancelledError, OSError):
        runner.result().close()
