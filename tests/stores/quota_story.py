"""Words that the tests of quota stores share."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from gateway.core.ledger_views import Refused
from gateway.core.wallet import Cost, Hold
from gateway.stores.keeper import Keeper

ACME = ("tenant:acme",)
CALL = ("tenant:acme", "provider:openai", "tenant:acme/provider:openai")


async def flushed(keeper: Keeper) -> None:
    """Waits until the store knows everything that was used."""
    await until(lambda: not keeper._wallet.unsettled and keeper._pump._pending is None)


async def burst(
    keeper: Keeper, calls: int, tokens: int, wait_s: float = 0.3, cost: Cost | None = None
) -> tuple[list[Hold], list[Refused]]:
    """Many calls at once: the holds that were granted, and the refusals."""

    async def call() -> Hold | Refused:
        try:
            return await keeper.hold(CALL, tokens, wait_s, None, cost)
        except Refused as refused:
            return refused

    outcomes = await asyncio.gather(*(call() for _ in range(calls)))
    holds = [outcome for outcome in outcomes if isinstance(outcome, Hold)]
    return holds, [outcome for outcome in outcomes if isinstance(outcome, Refused)]


async def until(condition: Callable[[], object], within_s: float = 5.0) -> None:
    """Waits until something is so."""
    async with asyncio.timeout(within_s):
        while not condition():
            await asyncio.sleep(0.01)
