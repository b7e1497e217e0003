"""From an origin to an open connection: name, address, TCP, proxy, TLS."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable
from typing import TypeVar

from gateway.upstream.dns import Addresses
from gateway.upstream.proxy import Proxy, tunnel
from gateway.upstream.race import Address, race
from gateway.upstream.request import Origin
from gateway.upstream.tls import Context, context

_KEEPALIVE_IDLE_S = 60  # a NAT forgets a quiet connection after minutes, and long thoughts are quiet

_Made = TypeVar("_Made", bound=asyncio.Protocol)


class DialFailed(Exception):
    """No connection: the text says why, with names, for the operator."""


class Dialer:
    """Opens connections. Has no deadline of its own: whoever dials cancels it."""

    def __init__(self, addresses: Addresses, loop: asyncio.AbstractEventLoop) -> None:
        self._addresses = addresses
        self._loop = loop
        self._contexts: dict[str | None, Context] = {}

    async def dial(self, origin: Origin, proxy: Proxy | None, make: Callable[[], _Made]) -> _Made:
        """A connection to `origin`, its protocol made by `make`. Raises DialFailed."""
        try:
            tls = self._context(origin) if origin.scheme == "https" else None
            sock = await self._socket(origin, proxy)  # from here on create_connection's, to close it too
            _, protocol = await self._loop.create_connection(
                make, sock=sock, ssl=tls, server_hostname=origin.host if tls else None
            )
        except (OSError, UnicodeError) as error:
            raise DialFailed(str(error) or type(error).__name__) from error
        return protocol

    def remember(self, origin: Origin, transport: asyncio.Transport) -> None:
        """Keep what makes the next connection to `origin` cheaper."""
        tls = transport.get_extra_info("ssl_object")
        if tls is not None:
            self._contexts[origin.ca_file].remember(origin.host, tls)

    async def close(self) -> None:
        await self._addresses.close()

    async def _socket(self, origin: Origin, proxy: Proxy | None) -> socket.socket:
        place = (proxy.host, proxy.port) if proxy else (origin.host, origin.port)
        sock = await race(await self._addresses.of(*place), self._connect)
        if proxy is not None and origin.scheme == "https":
            try:
                await tunnel(self._loop, sock, origin, proxy)
            except BaseException:
                sock.close()
                raise
        return sock

    async def _connect(self, address: Address) -> socket.socket:
        family, place = address
        sock = socket.socket(family, socket.SOCK_STREAM)
        try:
            sock.setblocking(False)
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
            if hasattr(socket, "TCP_KEEPIDLE"):  # not everywhere
                sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, _KEEPALIVE_IDLE_S)
            await self._loop.sock_connect(sock, place)
        except BaseException:
            sock.close()
            raise
        return sock

    def _context(self, origin: Origin) -> Context:
        if origin.ca_file not in self._contexts:
            self._contexts[origin.ca_file] = context(origin.ca_file)
        return self._contexts[origin.ca_file]
