from __future__ import annotations

import asyncio
import socket
from socket import AF_INET, AF_INET6

import pytest

from gateway.upstream.race import Address, interleave, race

SIX = [(AF_INET6, (f"2001:db8::{n}", 443)) for n in range(3)]
FOUR = [(AF_INET, (f"192.0.2.{n}", 443)) for n in range(2)]


class Network:
    """Connects to an address after `delay_s[address]`; None: it refuses after no time, inf: never answers."""

    def __init__(self, delays: dict[Address, float | None]) -> None:
        self.delays = delays
        self.tried: list[Address] = []
        self.sockets: dict[Address, socket.socket] = {}
        self.given_up: list[Address] = []

    async def connect(self, address: Address) -> socket.socket:
        self.tried.append(address)
        delay = self.delays[address]
        try:
            await asyncio.sleep(delay or 0)
        except asyncio.CancelledError:
            self.given_up.append(address)
            raise
        if delay is None:
            raise ConnectionRefusedError(address[1][0])
        self.sockets[address] = socket.socket()
        return self.sockets[address]

    def open(self) -> list[Address]:
        return [address for address, sock in self.sockets.items() if sock.fileno() >= 0]

    def close(self) -> None:
        for sock in self.sockets.values():
            sock.close()


def test_families_take_turns_beginning_with_the_resolvers_first() -> None:
    assert interleave([*SIX, *FOUR]) == [SIX[0], FOUR[0], SIX[1], FOUR[1], SIX[2]]
    assert interleave([*FOUR, *SIX]) == [FOUR[0], SIX[0], FOUR[1], SIX[1], SIX[2]]
    assert interleave(FOUR) == FOUR


async def test_an_address_that_answers_at_once_has_no_rivals() -> None:
    network = Network({SIX[0]: 0.0, FOUR[0]: 0.0})
    assert (await race([SIX[0], FOUR[0]], network.connect)) is network.sockets[SIX[0]]
    assert network.tried == [SIX[0]]
    network.close()


async def test_a_dead_family_costs_one_head_start() -> None:
    network = Network({SIX[0]: 60.0, FOUR[0]: 0.0})
    won = await asyncio.wait_for(race([SIX[0], FOUR[0]], network.connect, 0.01), 1)
    await asyncio.sleep(0)
    assert won is network.sockets[FOUR[0]]
    assert network.given_up == [SIX[0]]
    network.close()


async def test_a_refusal_hands_over_at_once() -> None:
    network = Network({SIX[0]: None, FOUR[0]: None, SIX[1]: 0.0})
    won = await asyncio.wait_for(race([SIX[0], SIX[1], FOUR[0]], network.connect, 60), 1)
    assert won is network.sockets[SIX[1]]
    network.close()


async def test_when_all_refuse_the_first_refusal_is_told() -> None:
    network = Network({SIX[0]: None, FOUR[0]: None})
    with pytest.raises(ConnectionRefusedError, match="2001:db8::0"):
        await race([SIX[0], FOUR[0]], network.connect, 0.01)


async def test_who_comes_in_second_in_the_same_moment_is_closed() -> None:
    network = Network({SIX[0]: 0.0, FOUR[0]: 0.0})
    moment = asyncio.Event()

    async def connect(address: Address) -> socket.socket:
        await moment.wait()
        return await network.connect(address)

    running = asyncio.ensure_future(race([SIX[0], FOUR[0]], connect, 0.0))
    await asyncio.sleep(0.02)
    moment.set()
    won = await running
    await asyncio.sleep(0)
    assert len(network.sockets) == 2
    assert [network.sockets[address] for address in network.open()] == [won]
    network.close()


async def test_a_race_that_is_called_off_leaves_no_socket() -> None:
    network = Network({SIX[0]: 60.0, FOUR[0]: 60.0})
    running = asyncio.ensure_future(race([SIX[0], FOUR[0]], network.connect, 0.0))
    await asyncio.sleep(0.01)
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    await asyncio.sleep(0)
    assert network.given_up == [SIX[0], FOUR[0]]
    assert network.open() == []
