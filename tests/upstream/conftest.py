from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import suppress

import pytest
from upstream_kit import Handler, Serve

from gateway.upstream import Origin, Tuning, Upstream


@pytest.fixture
async def serve() -> AsyncIterator[Serve]:
    """serve(handler) -> origin. Starts a server on loopback; all of them, and their connections, end with the test."""
    servers: list[asyncio.Server] = []
    tasks: set[asyncio.Task[None]] = set()

    async def start(handler: Handler, tls: ssl.SSLContext | None = None, host: str = "127.0.0.1") -> Origin:
        async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            task = asyncio.current_task()
            assert task is not None
            tasks.add(task)
            try:
                with suppress(ConnectionError):
                    await handler(reader, writer)
            except asyncio.CancelledError:
                writer.transport.abort()
            finally:
                tasks.discard(task)
                writer.close()

        server = await asyncio.start_server(connected, host, 0, ssl=tls, backlog=500)
        servers.append(server)
        return Origin("https" if tls else "http", host, server.sockets[0].getsockname()[1])

    yield start
    for server in servers:
        server.close()
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    await asyncio.sleep(0)


@pytest.fixture
async def upstream() -> AsyncIterator[Upstream]:
    client = Upstream(Tuning(sweep_s=0.02), environ={})
    yield client
    await client.close()
