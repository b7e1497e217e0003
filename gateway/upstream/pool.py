"""The connections to one origin: who is idle, who works, who is being dialled.

Rule 1: the connection used last is used next, so that a burst's extra connections grow old and are closed.
Rule 2: an idle connection is closed by us before a server would close it (load balancers of providers do so from 60 s on):
a request written into a connection that is just being closed is a lost race.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from msgspec import Struct

from gateway.upstream.connection import Connection
from gateway.upstream.dial import Dialer, DialFailed
from gateway.upstream.proxy import Proxy
from gateway.upstream.request import Origin, UpstreamRequest
from gateway.upstream.round import Round
from gateway.upstream.sink import Sink
from gateway.upstream.transfer import Transfer


class Tuning(Struct, frozen=True, kw_only=True):
    """How connections are kept. max_idle is per origin; sweep_s is how late a timeout may be noticed."""

    keep_idle_s: float = 50.0
    max_idle: int = 256
    dns_ttl_s: float = 30.0
    sweep_s: float = 0.2


class PoolStats(Struct, frozen=True):
    """Connections to one origin. `open` counts idle and working ones; `in_flight` counts exchanges, dialling ones too."""

    open: int
    idle: int
    in_flight: int


class _Dial:
    """The worker of a transfer that waits for its connection."""

    __slots__ = ("_task",)

    def __init__(self, task: asyncio.Task[None]) -> None:
        self._task = task

    def drop(self) -> None:
        self._task.cancel()

    def pause(self) -> None:
        """Nothing to read yet; the connection asks the transfer when it starts."""

    def resume(self) -> None:
        pass


class Pool:
    """See the module. `active` are the transfers that run; their deadlines are looked at by `sweep`."""

    def __init__(
        self,
        origin: Origin,
        proxy: Proxy | None,
        dialer: Dialer,
        tuning: Tuning,
        clock: Callable[[], float],
        round_: Round,
    ) -> None:
        self.round = round_
        self.plain = not (proxy and origin.scheme == "http")
        self.active: set[Transfer] = set()
        self.clock = clock
        self._origin = origin
        self._proxy = proxy
        self._dialer = dialer
        self._tuning = tuning
        self._keep_idle_s = tuning.keep_idle_s
        self._idle: list[Connection] = []  # oldest first
        self._open: set[Connection] = set()
        self._emptied = asyncio.Event()  # the last connection is gone
        self._dials: set[asyncio.Task[None]] = set()
        self._absolute = b" http://%b/" % origin.authority.encode() if not self.plain else b""

    def send(self, request: UpstreamRequest, sink: Sink) -> Transfer:
        """Begin an exchange on an idle connection, within this very call, or on a new one."""
        now = self.clock()
        transfer = Transfer(self, request, sink, now)
        idle, oldest = self._idle, now - self._keep_idle_s
        while idle:
            connection = idle.pop()
            if connection.idle_since > oldest and not connection.transport.is_closing():
                connection.start(transfer, now)
                return transfer
            connection.drop()
        self._dial(transfer, now)
        return transfer

    def sweep(self, now: float) -> None:
        """Fail what is overdue, close what has been idle for too long."""
        for transfer in [one for one in self.active if one.overdue(now)]:
            transfer.expire(now)
        oldest = now - self._tuning.keep_idle_s
        while self._idle and self._idle[0].idle_since <= oldest:
            self._idle.pop(0).drop()

    @property
    def occupied(self) -> bool:
        """Whether there is anything to sweep."""
        return bool(self.active or self._idle)

    def stats(self) -> PoolStats:
        return PoolStats(len(self._open), len(self._idle), len(self.active))

    async def close(self) -> None:
        """Fail what runs, close every connection, and wait until the sockets are gone."""
        for transfer in list(self.active):
            transfer.fail("reset", "the gateway is stopping")
        await asyncio.gather(*self._dials, return_exceptions=True)
        for connection in list(self._open):
            connection.drop()
        if self._open:
            self._emptied.clear()
            await self._emptied.wait()

    # ------------------------------------------------ called by connections

    def give_back(self, connection: Connection) -> None:
        """Keep a connection for the next exchange, unless enough are idle."""
        if connection.uses == 1:
            self._dialer.remember(self._origin, connection.transport)
        if len(self._idle) >= self._tuning.max_idle:
            connection.drop()
            return
        connection.idle_since = self.clock()
        self._idle.append(connection)

    def forget(self, connection: Connection) -> None:
        """A connection is gone."""
        self._open.discard(connection)
        if not self._open:
            self._emptied.set()
        if connection in self._idle:
            self._idle.remove(connection)

    def replace(self, transfer: Transfer) -> None:
        """Move a transfer whose connection proved dead to a fresh one."""
        self._dial(transfer, self.clock())

    def final_head(self, head: bytes) -> bytes:
        """The head as it is; for a plain http origin behind a proxy with its target in absolute form (RFC 9112, 3.2.2)."""
        if not self._absolute or self._proxy is None:
            return head
        return head.replace(b" /", self._absolute, 1) + self._proxy.headers

    # ------------------------------------------------ new connections

    def _dial(self, transfer: Transfer, now: float) -> None:
        task = asyncio.ensure_future(self._connect(transfer))
        self._dials.add(task)
        task.add_done_callback(self._dials.discard)
        transfer.work(_Dial(task), "connect", transfer.request.timeouts.connect_s, now)

    async def _connect(self, transfer: Transfer) -> None:
        try:
            connection = await self._dialer.dial(self._origin, self._proxy, lambda: Connection(self))
        except DialFailed as error:
            transfer.fail("connect", str(error))
            return
        if connection.closing:
            transfer.fail("reset", "closed as soon as it was open")
            return
        self._open.add(connection)
        connection.start(transfer, self.clock())
