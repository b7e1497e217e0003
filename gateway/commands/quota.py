"""`gateway quota show|reset`: the accounts of a tenant, read from and written to the configured store."""

from __future__ import annotations

import argparse
import asyncio
import os

from gateway.commands.failing import CommandError, known_tenant
from gateway.config import load
from gateway.core.ledger_rows import MICROUSD
from gateway.core.ledger_views import AccountView, usd
from gateway.settings import Config
from gateway.stores.base import StoreError
from gateway.stores.keeper import Keeper
from gateway.stores.open import open_store

ROW = "{:<34} {:<8} {:<11} {:>16} {:>16} {:>16} {:>16}"


def run(arguments: argparse.Namespace) -> int:
    config = load(arguments.config, os.environ, allow_missing_provider_keys=True).config
    if config.store.url.startswith("memory:"):
        raise CommandError("store.url is memory://: ask the running gateway, GET /api/v1/<tenant>/ai/quotas", 2)
    try:
        rows = asyncio.run(_work(config, arguments.tenant, arguments.action))
    except StoreError as error:
        raise CommandError(str(error)) from None
    if not any(row.used or row.leased for row in rows):
        known_tenant(
            config, arguments.tenant
        )  # one that was taken out of the file is shown while there is something to show
    print(ROW.format("scope", "window", "period", "limit", "used", "leased", "remaining"))
    for row in rows:
        limit = "none" if row.limit is None else _shown(row, row.limit)
        remaining = "" if row.remaining is None else _shown(row, row.remaining)
        used, leased = _shown(row, row.used), _shown(row, row.leased)
        print(ROW.format(row.scope, row.window, row.period, limit, used, leased, remaining))
    if arguments.action == "reset":
        print(f"reset {len(rows)} accounts; the figures are those before")
    return 0


def _shown(row: AccountView, amount: int) -> str:
    """An amount with its unit where that is not tokens."""
    return usd(amount) if row.unit == MICROUSD else str(amount)


async def _work(config: Config, tenant: str, action: str) -> list[AccountView]:
    keeper = Keeper(open_store(config.store.url), config.quota_of, config.alerts, config.budget_of)
    await keeper.start()
    try:
        own = f"tenant:{tenant}"
        scopes = [own, *(f"{own}/provider:{name}" for name in config.providers)]
        if action == "reset":
            return await keeper.reset(scopes, note="by the command line")
        return keeper.accounts(scopes)
    finally:
        await keeper.close()
