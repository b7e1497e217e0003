"""Answers that a client may go on from, in Redis: the driver of stores.responses for many machines."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from redis.asyncio import Redis
from redis.exceptions import RedisError

from gateway.stores.redis_place import Place, connect
from gateway.stores.responses import BUSY_TIMEOUT_S, MAX_BYTES, MAX_IN_MEMORY_BYTES, TTL_S, MemoryResponses


class RedisResponses:
    """In Redis, for all processes of all machines; the server's own expiry forgets them. What is being written is served from
    memory meanwhile, and `report` hears of a server that cannot be used."""

    def __init__(self, place: Place, report: Callable[[str], None]) -> None:
        self._place = place
        self._report = report
        self._client: Redis | None = None
        self._recent = MemoryResponses(MAX_IN_MEMORY_BYTES // 4)
        self._writing: set[asyncio.Task[object]] = set()

    async def get(self, tenant: str, id_: str, now: float) -> bytes | None:
        recent = self._recent.find(tenant, id_, now)
        found = recent if recent is not None else await self._ask("GET", _redis_key(tenant, id_))
        return found if isinstance(found, bytes) else None

    def put(self, tenant: str, id_: str, kept: bytes, now: float) -> None:
        if len(kept) <= MAX_BYTES:
            self._recent.put(tenant, id_, kept, now)
            task = asyncio.ensure_future(self._ask("SET", _redis_key(tenant, id_), kept, "EX", int(TTL_S)))
            self._writing.add(task)
            task.add_done_callback(self._writing.discard)

    async def delete(self, tenant: str, id_: str, now: float) -> bool:
        recent = await self._recent.delete(tenant, id_, now)
        return await self._ask("DEL", _redis_key(tenant, id_)) == 1 or recent

    async def close(self) -> None:
        """Writes what is under way."""
        await asyncio.gather(*self._writing, return_exceptions=True)
        if self._client is not None:
            await self._client.aclose()

    async def _ask(self, *command: str | bytes | int) -> object:
        try:
            if self._client is None:
                self._client = connect(self._place, "gateway-responses")
            async with asyncio.timeout(BUSY_TIMEOUT_S):
                send: Callable[..., Awaitable[object]] = self._client.execute_command
                return await send(*command)
        except (RedisError, OSError, TimeoutError) as error:
            self._report(f"{self._place.name}: {error or type(error).__name__}")
            return None


def _redis_key(tenant: str, id_: str) -> str:
    # A tenant's name has no slash (settings.NAME), so no id can reach into another tenant's.
    return f"gateway:responses:{tenant}/{id_}"
