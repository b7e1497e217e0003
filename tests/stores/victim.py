"""A gateway process in miniature, to be started and killed by tests: `victim.py serve|share|share-slowly <store url> <clock>`.

serve: settles calls until it is killed, and tells each on stdout as it is served. share: takes all it can get of a quota, tells
how much that was, and ends in order; slowly: over three seconds.
"""

from __future__ import annotations

import asyncio
import os
import sys
from decimal import Decimal

from gateway.core.ledger_views import Refused
from gateway.core.wallet import Cost
from gateway.settings import Budget, Quota
from gateway.stores.keeper import Keeper
from gateway.stores.open import open_store

SCOPES = ("tenant:acme", "provider:openai")
QUOTAS = {"tenant:acme": Quota(daily_tokens=10**7), "provider:openai": Quota(daily_tokens=10**7)}
SHARED = {"tenant:acme": Quota(daily_tokens=30_000)}
BUDGETS = {"tenant:acme": Budget(daily_usd=Decimal(100))}
SHARED_BUDGETS = {"tenant:acme": Budget(daily_usd=Decimal("0.3"))}  # as many calls as the tokens are for
RESERVED, USED = 200, 150
COST, SPENT = Cost(2_000, ("tenant:acme",)), 1_500


async def serve(keeper: Keeper) -> None:
    async def caller() -> None:
        while True:
            hold = await keeper.hold(SCOPES, RESERVED, cost=COST)
            await asyncio.sleep(0.002)
            os.write(1, b".")  # the provider has served it; we may die before it is settled
            keeper.settle(hold, USED, spent=SPENT)

    await asyncio.gather(*(caller() for _ in range(10)))


async def share(keeper: Keeper, pause_s: float = 0.0) -> None:
    async def call(number: int) -> int:
        await asyncio.sleep(number * pause_s)
        try:
            hold = await keeper.hold(SCOPES, RESERVED, wait_s=2.0, cost=COST)
        except Refused:
            return 0
        keeper.settle(hold, RESERVED, spent=COST.microusd)
        return 1

    admitted = sum(await asyncio.gather(*(call(number) for number in range(100))))
    assert await keeper.close()
    print(admitted)


async def main(what: str, url: str, now: float) -> None:
    quotas, budgets = (QUOTAS, BUDGETS) if what == "serve" else (SHARED, SHARED_BUDGETS)
    keeper = Keeper(open_store(url), quotas, None, budgets, clock=lambda: now, store_wait_s=10.0)
    await keeper.start()
    await (serve(keeper) if what == "serve" else share(keeper, 0.03 if what == "share-slowly" else 0.0))


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], sys.argv[2], float(sys.argv[3])))
