"""The HTTP/1.1 client: the only way from this program to a provider.

    send() --> Pool --> Connection --> Reader --> Sink        one call deep each, no task and no queue on the way
                 \\--> Dialer (only when nobody is idle): Addresses, race, tunnel, TLS

Rule 1: a timeout costs nothing per request. Deadlines are floats on transfers, looked at by one timer per client.
Rule 2: `send` reports every failure to the sink, later, in a round of the loop of its own.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable, Mapping

from gateway.upstream.dial import Dialer
from gateway.upstream.dns import Addresses
from gateway.upstream.pool import Pool, PoolStats, Tuning
from gateway.upstream.proxy import Proxies
from gateway.upstream.request import Origin, UpstreamRequest
from gateway.upstream.round import Round
from gateway.upstream.sink import Sink
from gateway.upstream.transfer import Transfer


class Upstream:
    """All connections of one process, pooled by origin. Made and used inside one running loop.

    environ: for HTTPS_PROXY, HTTP_PROXY and NO_PROXY; raises ValueError for a proxy that cannot be used.
    clock: monotonic seconds; the loop's own when not given.
    """

    def __init__(
        self,
        tuning: Tuning,
        *,
        environ: Mapping[str, str],
        clock: Callable[[], float] | None = None,
    ) -> None:
        self._loop = asyncio.get_running_loop()
        self._tuning = tuning
        self._clock = clock or self._loop.time
        self._proxies = Proxies(environ)
        self._dialer = Dialer(Addresses(self._lookup, tuning.dns_ttl_s, self._clock), self._loop)
        self._pools: dict[Origin, Pool] = {}
        self.round = Round(self._loop)  # whoever else writes in this loop joins it
        self._sweeper: asyncio.TimerHandle | None = None
        self._closed = False

    def send(self, request: UpstreamRequest, sink: Sink) -> Transfer:
        """Begin one exchange. Never blocks, never raises, and calls nothing on the sink before it returns."""
        pool = self._pools.get(request.origin) or self._open_pool(request.origin)
        if self._sweeper is None:
            self._sweeper = self._loop.call_later(self._tuning.sweep_s, self._sweep)
        if self._closed:
            transfer = Transfer(pool, request, sink, self._clock())
            self._loop.call_soon(transfer.fail, "connect", "the client is closed")
            return transfer
        return pool.send(request, sink)

    def stats(self) -> dict[Origin, PoolStats]:
        """Connections and exchanges of every origin ever called."""
        return {origin: pool.stats() for origin, pool in self._pools.items()}

    async def close(self) -> None:
        """Fail what is in flight, close all connections, and wait for them. Draining is done before, by whoever sends."""
        self._closed = True
        for pool in list(self._pools.values()):
            await pool.close()
        await self._dialer.close()
        if self._sweeper is not None:
            self._sweeper.cancel()

    def _open_pool(self, origin: Origin) -> Pool:
        proxy = self._proxies.for_origin(origin)
        pool = self._pools[origin] = Pool(origin, proxy, self._dialer, self._tuning, self._clock, self.round)
        return pool

    def _sweep(self) -> None:
        # The next round is booked first: a sink that raises must not stop the clock of all others.
        occupied = any(pool.occupied for pool in self._pools.values())
        self._sweeper = self._loop.call_later(self._tuning.sweep_s, self._sweep) if occupied else None
        now = self._clock()
        for pool in list(self._pools.values()):  # a sink that hears of its end may call somebody else
            pool.sweep(now)

    async def _lookup(self, host: str, port: int) -> list[tuple[int, int, int, str, tuple[object, ...]]]:
        found = await self._loop.getaddrinfo(host, port, type=socket.SOCK_STREAM, proto=socket.IPPROTO_TCP)
        return [tuple(one) for one in found]  # type: ignore[misc]
