"""Words that the tests of the Redis driver share."""

from __future__ import annotations

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
