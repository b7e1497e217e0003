from __future__ import annotations

import asyncio
import socket
from typing import Any

import pytest

from gateway.upstream.dns import Addresses

V4 = (socket.AF_INET, socket.SOCK_STREAM, 6, "", ("192.0.2.1", 443))
V6 = (socket.AF_INET6, socket.SOCK_STREAM, 6, "", ("2001:db8::1", 443, 0, 0))


class Resolver:
    """Answers with `found`, or raises it; counts the questions."""

    def __init__(self, *found: Any) -> None:
        self.found = found
        self.asked = 0
        self.now = 0.0
        self.addresses = Addresses(self.lookup, 30, lambda: self.now)

    async def lookup(self, host: str, port: int) -> Any:
        self.asked += 1
        await asyncio.sleep(0)
        if self.found and isinstance(self.found[0], Exception):
            raise self.found[0]
        return list(self.found)

    async def hosts(self) -> list[str]:
        return [address[0] for _, address in await self.addresses.of("a.test", 443)]


async def test_a_name_is_asked_once_in_its_time() -> None:
    resolver = Resolver(V6, V4)
    assert await resolver.hosts() == ["2001:db8::1", "192.0.2.1"]
    resolver.now = 29.9
    await resolver.hosts()
    assert resolver.asked == 1
    resolver.now, resolver.found = 30, (V4,)
    assert await resolver.hosts() == ["192.0.2.1"]
    assert resolver.asked == 2


async def test_many_callers_share_one_question_and_one_that_leaves_does_not_end_it() -> None:
    resolver = Resolver(V4)
    callers = [asyncio.ensure_future(resolver.hosts()) for _ in range(50)]
    await asyncio.sleep(0)
    callers[0].cancel()
    answers = await asyncio.gather(*callers, return_exceptions=True)
    assert answers[1:] == [["192.0.2.1"]] * 49
    assert resolver.asked == 1


async def test_the_last_answer_outlives_the_resolver() -> None:
    resolver = Resolver(V4)
    await resolver.hosts()
    resolver.now, resolver.found = 31, (socket.gaierror(-3, "Temporary failure in name resolution"),)
    assert await resolver.hosts() == ["192.0.2.1"]
    assert await resolver.hosts() == ["192.0.2.1"]
    assert resolver.asked == 2  # a resolver that is down is not asked for every connection


@pytest.mark.parametrize("failure", [socket.gaierror(-2, "Name or service not known"), UnicodeError("label too long")])
async def test_a_name_that_never_had_an_address_is_a_failure_each_time(failure: Exception) -> None:
    resolver = Resolver(failure)
    for asked in (1, 2):
        with pytest.raises(type(failure)):
            await resolver.hosts()
        assert resolver.asked == asked


async def test_a_name_without_addresses_is_a_failure() -> None:
    with pytest.raises(OSError, match="no address"):
        await Resolver().hosts()


@pytest.mark.parametrize(("host", "family"), [("192.0.2.7", socket.AF_INET), ("2001:db8::7", socket.AF_INET6)])
async def test_an_address_is_asked_of_nobody(host: str, family: socket.AddressFamily) -> None:
    resolver = Resolver(V4)
    assert await resolver.addresses.of(host, 8080) == [(family, (host, 8080))]
    assert resolver.asked == 0


async def test_closing_gives_up_on_open_questions() -> None:
    async def never(host: str, port: int) -> Any:
        await asyncio.sleep(60)

    addresses = Addresses(never, 30, lambda: 0.0)
    asking = asyncio.ensure_future(addresses.of("a.test", 443))
    await asyncio.sleep(0)
    await asyncio.wait_for(addresses.close(), 1)
    with pytest.raises(asyncio.CancelledError):
        await asking
