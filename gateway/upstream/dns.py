"""Names to addresses, asked once for everybody and remembered for a short while.

Rule 1: one question per name is under way at a time; a caller that gives up does not take it from the others.
Rule 2: when the resolver fails, what it said last still counts: an outage of DNS is no outage of the provider.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Awaitable, Callable, Sequence
from ipaddress import IPv4Address, ip_address
from typing import Any

from msgspec import Struct

from gateway.upstream.race import Address

Lookup = Callable[[str, int], Awaitable[Sequence[tuple[Any, Any, int, str, tuple[Any, ...]]]]]
Place = tuple[str, int]  # host, port


class _Known(Struct):
    addresses: list[Address]
    until: float


class Addresses:
    """The cache. `lookup` is `loop.getaddrinfo` for TCP in production; `clock` gives monotonic seconds."""

    def __init__(self, lookup: Lookup, ttl_s: float, clock: Callable[[], float]) -> None:
        self._lookup = lookup
        self._ttl_s = ttl_s
        self._clock = clock
        self._known: dict[Place, _Known] = {}
        self._asking: dict[Place, asyncio.Task[list[Address] | Exception]] = {}

    async def of(self, host: str, port: int) -> list[Address]:
        """The addresses of a name, in the resolver's order, never empty. Raises OSError or UnicodeError (not a host name)."""
        literal = _literal(host, port)
        if literal is not None:
            return [literal]
        known = self._known.get((host, port))
        if known is not None and self._clock() < known.until:
            return known.addresses
        answer = await asyncio.shield(self._ask((host, port)))
        if not isinstance(answer, Exception):
            return answer
        if known is None:
            raise answer
        known.until = self._clock() + self._ttl_s
        return known.addresses

    async def close(self) -> None:
        """Give up on questions that are under way."""
        tasks = list(self._asking.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _ask(self, place: Place) -> asyncio.Task[list[Address] | Exception]:
        task = self._asking.get(place)
        if task is None:
            task = self._asking[place] = asyncio.ensure_future(self._answer(place))
            task.add_done_callback(lambda _: self._asking.pop(place))
        return task

    async def _answer(self, place: Place) -> list[Address] | Exception:
        # Failures are returned: all callers may have given up, and an exception that nobody fetches is logged as a bug.
        try:
            found = await self._lookup(*place)
        except (OSError, UnicodeError) as error:
            return error
        addresses = [(socket.AddressFamily(family), sockaddr) for family, _, _, _, sockaddr in found]
        if not addresses:
            return OSError("the name has no address")
        self._known[place] = _Known(addresses, self._clock() + self._ttl_s)
        return addresses


def _literal(host: str, port: int) -> Address | None:
    try:
        address = ip_address(host)
    except ValueError:
        return None
    family = socket.AF_INET if isinstance(address, IPv4Address) else socket.AF_INET6
    return family, (host, port)
