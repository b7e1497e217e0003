"""Answers that a client may go on from (`previous_response_id`), kept for a day: by tenant and response id.

What is kept is opaque here: bytes in, bytes out. Rule 1: the tenant is part of every key, so an id of somebody else's is an id that
is not there. Rule 2: bounded in age, in number for each tenant, and in bytes; the oldest go first. Rule 3: what was just put is
found at once, in this process from memory and in the others of the machine when its transaction is through. Rule 4: a store that
fails loses conversations, never a call: the quota ledger is another file, and stricter.
"""

from __future__ import annotations

import asyncio
import os
import sqlite3
from collections import OrderedDict
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Protocol

TTL_S = 24 * 3600.0
MAX_BYTES = 8 * 1024 * 1024  # of one answer with all that came before it
MAX_OF_TENANT = 20_000  # answers, and for each of their items whose it is
MAX_IN_MEMORY_BYTES = 64 * 1024 * 1024
BUSY_TIMEOUT_S = 2.0
SWEEP_EVERY = 500  # writes

Key = tuple[str, str]


class Responses(Protocol):
    """Where answers are kept. `put` never waits and never raises; `now` everywhere is unix seconds."""

    async def get(self, tenant: str, id_: str, now: float) -> bytes | None: ...

    def put(self, tenant: str, id_: str, kept: bytes, now: float) -> None: ...

    async def delete(self, tenant: str, id_: str, now: float) -> bool:
        """Whether there was one."""
        ...

    async def close(self) -> None: ...


class MemoryResponses:
    """Of one process, gone with it. Least recently written first out."""

    def __init__(self, max_bytes: int = MAX_IN_MEMORY_BYTES, of_tenant: int = MAX_OF_TENANT) -> None:
        self._kept: OrderedDict[Key, tuple[float, bytes]] = OrderedDict()
        self._counts: dict[str, int] = {}
        self._bytes = 0
        self._max_bytes = max_bytes
        self._of_tenant = of_tenant

    async def get(self, tenant: str, id_: str, now: float) -> bytes | None:
        return self.find(tenant, id_, now)

    def find(self, tenant: str, id_: str, now: float) -> bytes | None:
        found = self._kept.get((tenant, id_))
        return found[1] if found is not None and now - found[0] <= TTL_S else None

    def put(self, tenant: str, id_: str, kept: bytes, now: float) -> None:
        if len(kept) > MAX_BYTES:
            return
        self._drop((tenant, id_))
        self._kept[tenant, id_] = (now, kept)
        self._bytes += len(kept)
        self._counts[tenant] = self._counts.get(tenant, 0) + 1
        while self._bytes > self._max_bytes or now - next(iter(self._kept.values()))[0] > TTL_S:
            self._drop(next(iter(self._kept)))
        if self._counts.get(tenant, 0) > self._of_tenant:
            self._drop(next(key for key in self._kept if key[0] == tenant))

    async def delete(self, tenant: str, id_: str, now: float) -> bool:
        there = self.find(tenant, id_, now) is not None
        self._drop((tenant, id_))
        return there

    async def close(self) -> None:
        pass

    def _drop(self, key: Key) -> None:
        found = self._kept.pop(key, None)
        if found is not None:
            self._bytes -= len(found[1])
            self._counts[key[0]] -= 1
            if not self._counts[key[0]]:
                del self._counts[key[0]]


class SqliteResponses:
    """In a file beside the quota ledger, for all processes of a machine; one thread owns the connection.

    `report` hears of a file that cannot be used. What is being written is served from memory meanwhile.
    """

    def __init__(self, path: Path, report: Callable[[str], None]) -> None:
        self._path = path
        self._report = report
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="responses")
        self._db: sqlite3.Connection | None = None
        self._recent = MemoryResponses(MAX_IN_MEMORY_BYTES // 4)
        self._writes = 0

    async def get(self, tenant: str, id_: str, now: float) -> bytes | None:
        recent = self._recent.find(tenant, id_, now)
        if recent is not None:
            return recent
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._thread, self._read, tenant, id_, now)

    def put(self, tenant: str, id_: str, kept: bytes, now: float) -> None:
        if len(kept) <= MAX_BYTES:
            self._recent.put(tenant, id_, kept, now)
            self._thread.submit(self._write, tenant, id_, kept, now)

    async def delete(self, tenant: str, id_: str, now: float) -> bool:
        recent = await self._recent.delete(tenant, id_, now)
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._thread, self._remove, tenant, id_, now) or recent

    async def close(self) -> None:
        """Writes what is under way."""
        await asyncio.get_running_loop().run_in_executor(self._thread, self._hang_up)
        self._thread.shutdown(wait=False)

    # ------------------------------------------------------------ in the thread

    def _open(self) -> sqlite3.Connection:
        if self._db is None:
            self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            os.close(os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
            db = sqlite3.connect(self._path, timeout=BUSY_TIMEOUT_S, isolation_level=None)
            # Losing the last answers to a power cut costs a conversation a turn: no fsync for each.
            for pragma in ("journal_mode = TRUNCATE", "synchronous = OFF", "trusted_schema = OFF"):
                db.execute(f"PRAGMA {pragma}").fetchall()
            db.execute(
                "CREATE TABLE IF NOT EXISTS responses (tenant TEXT, id TEXT, at REAL, kept BLOB, PRIMARY KEY (tenant, id))"
            )
            db.execute("CREATE INDEX IF NOT EXISTS by_age ON responses (tenant, at)")
            self._db = db
        return self._db

    def _read(self, tenant: str, id_: str, now: float) -> bytes | None:
        row = self._run(
            "SELECT kept FROM responses WHERE tenant = ? AND id = ? AND at >= ?", (tenant, id_, now - TTL_S)
        )
        return row[0] if row else None

    def _write(self, tenant: str, id_: str, kept: bytes, now: float) -> None:
        self._run("INSERT OR REPLACE INTO responses VALUES (?, ?, ?, ?)", (tenant, id_, now, kept))
        self._writes += 1
        if self._writes % SWEEP_EVERY == 1:
            self._run("DELETE FROM responses WHERE at < ?", (now - TTL_S,))
            newest = "SELECT id FROM responses WHERE tenant = ? ORDER BY at DESC LIMIT ?"
            self._run(
                f"DELETE FROM responses WHERE tenant = ? AND id NOT IN ({newest})", (tenant, tenant, MAX_OF_TENANT)
            )

    def _remove(self, tenant: str, id_: str, now: float) -> bool:
        row = self._run(
            "DELETE FROM responses WHERE tenant = ? AND id = ? AND at >= ? RETURNING 1", (tenant, id_, now - TTL_S)
        )
        return row is not None

    def _run(self, statement: str, values: tuple[object, ...]) -> tuple[bytes, ...] | None:
        try:
            found: tuple[bytes, ...] | None = self._open().execute(statement, values).fetchone()
        except (sqlite3.Error, OSError) as error:
            self._hang_up()
            self._report(f"{self._path}: {error}")
            return None
        return found

    def _hang_up(self) -> None:
        db, self._db = self._db, None
        if db is not None:
            db.close()
