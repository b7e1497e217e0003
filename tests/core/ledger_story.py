"""A gateway process as the stories of the quota ledger tell it."""

from __future__ import annotations

from decimal import Decimal

from gateway.core.ledger_commands import Sync, Synced
from gateway.core.ledger_rows import MICROUSD
from gateway.core.purse import Wanted
from gateway.core.wallet import Cost, Hold, Wallet
from gateway.settings import Budget, Quota

THRESHOLDS = (75, 90, 100)
SCOPES = (("tenant:a", "provider:x"), ("tenant:a", "provider:x", "tenant:a/provider:x"), ("tenant:b",), ("provider:x",))
LIMITS = {
    "tenant:a": Quota(daily_tokens=1_000, monthly_tokens=3_000),
    "tenant:b": Quota(daily_tokens=400),
    "provider:x": Quota(monthly_tokens=5_000),
}
BUDGETS = {
    "tenant:a": Budget(daily_usd=Decimal("0.0008"), monthly_usd=Decimal("0.0025")),
    "provider:x": Budget(daily_usd=Decimal("0.002")),
    "provider:y": Budget(monthly_usd=Decimal("0.0006")),
}


def micro(microusd: int | None) -> Decimal | None:
    """So many micro-USD as the dollars of a budget."""
    return None if microusd is None else Decimal(microusd) / 10**6


class Gateway:
    """One process: a wallet, the requests in flight, and the messages it sent."""

    def __init__(self, name: str, limits: dict[str, Quota], budgets: dict[str, Budget] | None = None) -> None:
        self.name = name
        self.limits = dict(limits)
        self.budgets = dict(budgets or {})
        self.wallet = Wallet(
            lambda scope: self.limits.get(scope, Quota()), lambda scope: self.budgets.get(scope, Budget())
        )
        self.holds: list[Hold] = []
        self.wanted: list[tuple[tuple[str, ...], int, Cost | None]] = []
        self.pending: Sync | None = None
        self.sent: list[tuple[Sync, Synced]] = []
        self.seq = 0

    def compose(self, now: float, extra: tuple[object, ...] = (), leave: bool = False) -> Sync:
        wanted: dict[object, Wanted] = {}
        for scopes, tokens, cost in self.wanted:
            needs = [(purse, tokens) for purse in self.wallet.current(scopes, now)]
            if cost is not None:
                needs += [(purse, cost.microusd) for purse in self.wallet.current(cost.scopes, now, MICROUSD)]
            for purse, amount in needs:
                before = wanted.get(purse, Wanted(0, amount))
                wanted[purse] = Wanted(before.amount + amount, min(before.least, amount))
        self.wanted = []
        ops = (*self.wallet.collect(wanted, now, leave), *extra)  # type: ignore[arg-type]
        self.seq += 1
        self.pending = Sync(self.name, self.seq, ops, THRESHOLDS, leave=leave)  # type: ignore[arg-type]
        return self.pending

    def cost(self, scopes: tuple[str, ...], microusd: int | None) -> Cost | None:
        """What a call of these scopes may cost their budgets; None when nobody knows its price, or none has a budget."""
        paying = tuple(scope for scope in scopes if self.budgets.get(scope, Budget()).is_limited)
        return Cost(microusd, paying) if paying and microusd is not None else None
