"""Words that the tests of the Redis driver share."""

from __future__ import annotations

import shutil
from pathlib import Path
from tempfile import mkdtemp

from redis_server import RedisLedger, RedisServer

from gateway.core.ledger_commands import Accounts
from gateway.core.ledger_rows import Account, Key
from gateway.settings import Quota
from gateway.stores.keeper import Keeper, KeeperEvent
from gateway.stores.open import open_store

NOON = 1_795_435_200.0  # 2026-11-23 12:00 UTC
DAY = Key("tenant:acme", "tokens", "2026-11-23")
QUOTAS = {"tenant:acme": Quota(daily_tokens=10_000)}


def keeper_on(url: str, events: list[KeeperEvent] | None = None) -> Keeper:
    """A keeper of QUOTAS at noon."""
    return Keeper(
        open_store(url), QUOTAS, clock=lambda: NOON, on_event=None if events is None else events.append, strict=True
    )


def day(server: RedisServer) -> Account:
    """The day's account of acme, as the server has it."""
    with RedisLedger(server) as ledger:
        rows = ledger.run(Accounts(("2026-11-23",)), NOON)
    return next(row for row in rows if row.key == DAY)  # type: ignore[union-attr]


class OldState:
    """A copy of what a server had on disk at some time, to bring back: as a replica that was behind, or a restored backup."""

    def __init__(self, server: RedisServer) -> None:
        self.server = server
        with server.client() as client:  # what waits for a busy disk is written now; acknowledged it is already
            client.config_set("appendfsync", "always")
            client.config_set("appendfsync", "everysec")
        self.copy = Path(mkdtemp(dir=server.folder)) / "copy"
        shutil.copytree(server.folder / "appendonlydir", self.copy)

    def bring_back(self) -> None:
        self.server.kill()
        shutil.rmtree(self.server.folder / "appendonlydir")
        shutil.copytree(self.copy, self.server.folder / "appendonlydir")
        self.server.start()
