"""The two books that must agree: what the simulators say they served, and what the ledger says was used."""

from __future__ import annotations

import time
import urllib.request
from typing import Any, cast

from msgspec import json

from gateway.core.ledger_commands import Accounts, Alerts, Audits, Holders
from gateway.core.ledger_rows import Account, AlertRow, Audit, Holder, day_of
from gateway.stores.open import open_store

TIMEOUT_S = 10.0


class Ledger:
    """The store, read as its own processes read it."""

    def __init__(self, url: str) -> None:
        self._store = open_store(url)

    async def open(self) -> None:
        await self._store.open()

    async def close(self) -> None:
        await self._store.close()

    async def accounts(self) -> dict[str, Account]:
        """Today's accounts by scope."""
        rows = cast("list[Account]", await self._store.run(Accounts((day_of(time.time()),)), time.time()))
        return {row.key.scope: row for row in rows}

    async def alerts(self) -> list[AlertRow]:
        return cast("list[AlertRow]", await self._store.run(Alerts(day_of(time.time())[:7], 1_000_000), time.time()))

    async def audits(self) -> list[Audit]:
        return cast("list[Audit]", await self._store.run(Audits(1_000_000), time.time()))

    async def holders(self) -> list[Holder]:
        return cast("list[Holder]", await self._store.run(Holders(), time.time()))

    async def live(self) -> set[int]:
        """The pids of the holders that live."""
        return {row.process.pid for row in await self.holders() if row.state == "live"}


class Served:
    """The simulators' journal, and their faults."""

    def __init__(self, origin: str) -> None:
        self._origin = origin

    def tokens(self) -> dict[str, int]:
        """Tokens served so far, by provider."""
        with urllib.request.urlopen(f"{self._origin}/_sim/served", timeout=TIMEOUT_S) as answer:
            rows: dict[str, Any] = json.decode(answer.read())
        return {name: row["total_tokens"] for name, row in rows.items()}

    def slow(self, delay_s: float) -> None:
        """Every answer begins so late from now on; 0: at once."""
        faults = f"{self._origin}/_sim/faults"
        urllib.request.urlopen(urllib.request.Request(faults, method="DELETE"), timeout=TIMEOUT_S).close()
        if delay_s:
            fault = json.encode({"kind": "slow_first_byte", "delay_s": delay_s})
            urllib.request.urlopen(urllib.request.Request(faults, fault), timeout=TIMEOUT_S).close()
