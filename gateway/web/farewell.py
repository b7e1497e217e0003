"""The end of a connection whose client is still sending."""

from __future__ import annotations

import asyncio
from typing import Any

from gateway.web.patience import LINGER_S


class Farewell(asyncio.Protocol):
    """Takes over a connection whose last answer is written, and stands among `connections` in its place.

    What comes is read and thrown away until the client closes, for LINGER_S at most: to close a socket that has unread bytes
    resets it, and the client may lose the answer (RFC 9112, section 9.6).
    """

    __slots__ = ("_connections", "_since", "transport")

    def __init__(self, connections: set[Any], transport: asyncio.Transport, now: float) -> None:
        self._connections = connections
        self._since = now
        self.transport = transport
        connections.add(self)
        transport.set_protocol(self)
        if transport.can_write_eof():
            transport.write_eof()

    def connection_lost(self, exc: Exception | None) -> None:
        self._connections.discard(self)

    def tick(self, now: float) -> None:
        if now - self._since > LINGER_S:
            self.transport.abort()

    def leave_when_idle(self) -> None:
        self.transport.close()
