"""A gateway process as the stories of the quota ledger tell it."""

from __future__ import annotations

from gateway.core.ledger_commands import Sync, Synced
from gateway.core.purse import Wanted
from gateway.core.wallet import Hold, Wallet
from gateway.settings import Quota

THRESHOLDS = (75, 90, 100)
SCOPES = (("tenant:a", "provider:x"), ("tenant:a", "provider:x", "tenant:a/provider:x"), ("tenant:b",), ("provider:x",))
LIMITS = {
    "tenant:a": Quota(daily_tokens=1_000, monthly_tokens=3_000),
    "tenant:b": Quota(daily_tokens=400),
    "provider:x": Quota(monthly_tokens=5_000),
}


class Gateway:
    """One process: a wallet, the requests in flight, and the messages it sent."""

    def __init__(self, name: str, limits: dict[str, Quota]) -> None:
        self.name = name
        self.limits = dict(limits)
        self.wallet = Wallet(lambda scope: self.limits.get(scope, Quota()))
        self.holds: list[Hold] = []
        self.wanted: list[tuple[tuple[str, ...], int]] = []
        self.pending: Sync | None = None
        self.sent: list[tuple[Sync, Synced]] = []
        self.seq = 0

    def compose(self, now: float, extra: tuple[object, ...] = (), leave: bool = False) -> Sync:
        wanted: dict[object, Wanted] = {}
        for scopes, tokens in self.wanted:
            for purse in self.wallet.current(scopes, now):
                before = wanted.get(purse, Wanted(0, tokens))
                wanted[purse] = Wanted(before.tokens + tokens, min(before.least, tokens))
        self.wanted = []
        ops = (*self.wallet.collect(wanted, now, leave), *extra)  # type: ignore[arg-type]
        self.seq += 1
        self.pending = Sync(self.name, self.seq, ops, THRESHOLDS, leave=leave)  # type: ignore[arg-type]
        return self.pending
