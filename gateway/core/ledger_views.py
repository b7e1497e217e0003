"""The ledger as people see it: account lines, alerts, and why a request was refused."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Literal

from msgspec import Struct
from msgspec.structs import replace

from gateway.core.ledger_rows import MICROUSD, TOKENS, AlertRow, Level, Window, level, reset_at, window_of
from gateway.core.purse import Purse

Reason = Literal["exceeded", "reserved", "too_large", "unavailable"]


class AccountView(Struct, frozen=True, rename="camel"):
    """One account, in its unit: tokens or micro-USD. `used` includes what is not flushed yet, `reserved` is held by this process's calls in flight.

    remaining: limit - used - reserved, never below 0; what was used beyond the limit is `overdraft`. reset_at: unix seconds.
    """

    scope: str
    unit: str
    window: Window
    period: str
    limit: int | None
    used: int
    reserved: int
    leased: int
    remaining: int | None
    overdraft: int
    reset_at: int


class Alert(Struct, frozen=True, rename="camel", omit_defaults=True):
    """One crossing of a threshold. `id` is unique for ever and serves as the webhook's Idempotency-Key. at: unix seconds.

    `unit` is told of budgets alone.
    """

    id: str
    level: Level
    threshold_percent: int
    scope: str
    period: str
    used: int
    limit: int
    at: int
    unit: str = TOKENS


class Refused(Exception):
    """There is no room for a request on `scope`.

    exceeded: what is used leaves too little. too_large: the request is bigger than the whole limit; both are the client's
    quota_exceeded. reserved: only calls in flight stand in the way. unavailable: the store did not answer in time.
    """

    def __init__(self, reason: Reason, amount: int, view: AccountView) -> None:
        """`amount`: what the request may need, in the account's unit."""
        self.reason = reason
        self.amount = amount
        self.view = view
        self.unit = view.unit
        self.scope = view.scope
        self.window = view.window
        self.period = view.period
        self.limit = view.limit
        self.used = view.used
        self.reserved = view.reserved
        self.remaining = view.remaining
        self.reset_at = view.reset_at
        super().__init__(self._message())

    @property
    def code(self) -> str:
        """The error code that the client sees."""
        match self.reason:
            case "exceeded" | "too_large":
                return "quota_exceeded"
            case "reserved":
                return "quota_reserved"
            case "unavailable":
                return "store_unavailable"

    def _message(self) -> str:
        if self.unit == MICROUSD:
            return self._of_money()
        quota = f"the {self.window} quota of {self.scope}"
        match self.reason:
            case "exceeded":
                again = datetime.fromtimestamp(self.reset_at, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
                used = f"{self.used} of {self.limit} tokens are used and this request may need {self.amount}"
                return f"{quota} does not allow this request: {used}; it begins anew at {again}"
            case "too_large":
                return f"{quota} is {self.limit} tokens and this request may need {self.amount}: lower its output limit"
            case "reserved":
                held = f"{self.used} of {self.limit} tokens are used, the rest is reserved by requests in flight"
                return f"{quota} has no room for {self.amount} tokens now: {held}; try again in a moment"
            case "unavailable":
                return "the quota store does not answer; try again in a moment"

    def _of_money(self) -> str:
        budget, cost, spent = f"the {self.window} budget of {self.scope}", usd(self.amount), usd(self.used)
        match self.reason:
            case "exceeded":
                again = datetime.fromtimestamp(self.reset_at, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
                used = f"{spent} of {usd(self.limit or 0)} are spent and this request may cost {cost}"
                return f"{budget} does not allow this request: {used}; it begins anew at {again}"
            case "too_large":
                return f"{budget} is {usd(self.limit or 0)} and this request may cost {cost}: lower its output limit"
            case "reserved":
                held = f"{spent} of {usd(self.limit or 0)} are spent, the rest is reserved by requests in flight"
                return f"{budget} has no room for {cost} now: {held}; try again in a moment"
            case "unavailable":
                return "the quota store does not answer; try again in a moment"


def usd(microusd: int) -> str:
    """Money for people: at least cents, and no digit less than there is: 5.00 USD, 0.000125 USD."""
    dollars, rest = divmod(microusd, 1_000_000)
    fraction = f"{rest:06d}"
    return f"{dollars}.{fraction[:2]}{fraction[2:].rstrip('0')} USD"


def account_view(purse: Purse) -> AccountView:
    """The line of one account, with what this process knows."""
    key, limit, used = purse.key, purse.limit, purse.spent
    return AccountView(
        scope=key.scope,
        unit=key.unit,
        window=window_of(key.period),
        period=key.period,
        limit=limit,
        used=used,
        reserved=purse.reserved,
        leased=purse.others + purse.leased - min(purse.leased, purse.used),
        remaining=None if limit is None else max(0, limit - used - purse.reserved),
        overdraft=0 if limit is None else max(0, used - limit),
        reset_at=reset_at(key.period),
    )


def alert_view(row: AlertRow) -> Alert:
    """An alert as clients and webhooks see it."""
    at, key = int(row.at), row.key
    alert = Alert(row.id, level(row.threshold), row.threshold, key.scope, key.period, row.used, row.limit, at)
    return alert if key.unit == TOKENS else replace(alert, unit=key.unit)
