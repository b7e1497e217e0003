"""The rows of the quota ledger: accounts, leases, holders, alerts; and the calendar that names their periods.

Rule 1: amounts are whole units (tokens, micro-USD), never negative, and at most MOST. An account counts one unit, named in its key.
Rule 2: an account's period is part of its key. Midnight is a new row, not a job that resets an old one.
Rule 3: `Account.leased` is the sum of the open leases on it; `settled + leased <= limit` unless a call used more than it
reserved, or the limit was lowered.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Literal, NamedTuple

from msgspec import Struct

TOKENS = "tokens"
MICROUSD = "microusd"
UNITS = (TOKENS, MICROUSD)

# No counter grows beyond this: whole numbers up to here are exact in every store (doubles in Redis, 64 bits in SQLite).
MOST = 2**53 - 1

Window = Literal["daily", "monthly"]
Level = Literal["warning", "critical", "exceeded"]
AuditAction = Literal["reset", "orphan", "revive", "limit"]
HolderState = Literal["live", "dead", "left"]


class Key(NamedTuple):
    """Names one account. scope: "tenant:acme", "provider:openai", "tenant:acme/provider:openai". period: a UTC day or month."""

    scope: str
    unit: str
    period: str


class Process(Struct, frozen=True):
    """Which process a holder is, so that the next one on this machine can see whether it still lives.

    boot: the machine's boot id; space: the process-id namespace; started: the kernel's start time of `pid`. Empty or 0: unknown.
    """

    boot: str = ""
    space: str = ""
    pid: int = 0
    started: int = 0


class Account(Struct):
    """One scope in one period. `limit` None: counted and never refused. `orphaned`, `estimated`, `suspect` are parts of `settled`."""

    key: Key
    limit: int | None = None
    epoch: int = 1  # grows with every change of the limit and every reset: alerts are once per epoch
    settled: int = 0
    leased: int = 0
    orphaned: int = 0
    estimated: int = 0
    suspect: int = 0
    version: int = 0  # of the transaction that wrote this row last


class Lease(Struct):
    """What `holder` may spend on `key` without asking. `recall`: another holder needs it. `orphan`: charged, its holder is dead."""

    holder: str
    key: Key
    amount: int = 0
    recall: bool = False
    orphan: bool = False


class Holder(Struct):
    """One gateway process. `seq` and `reply` of its last command make repeats harmless."""

    id: str
    process: Process = Process()
    beat_at: float = 0.0
    seq: int = 0
    reply: bytes = b""
    state: HolderState = "live"


class AlertRow(Struct, frozen=True):
    """One crossing of one threshold. (key, threshold, epoch) is unique. `pending`: a webhook is still to be delivered."""

    key: Key
    threshold: int
    epoch: int
    used: int
    limit: int
    at: float
    pending: bool = False

    @property
    def id(self) -> str:
        """scope|period|threshold|epoch, and |microusd of a budget: the primary key as text, and the webhook's Idempotency-Key."""
        unit = "" if self.key.unit == TOKENS else f"|{self.key.unit}"
        return f"{self.key.scope}|{self.key.period}|{self.threshold}|{self.epoch}{unit}"


class Audit(Struct, frozen=True):
    """What was done to an account out of the ordinary. `amount`: what was removed or charged, or the new limit (-1: none)."""

    at: float
    action: AuditAction
    key: Key
    amount: int
    note: str = ""


class Circuit(Struct, frozen=True):
    """A provider's circuit that is not closed: open `until` a time, then half open; `probe` may try it until `probe_until`."""

    name: str
    until: float
    probe: str = ""
    probe_until: float = 0.0


def level(threshold: int) -> Level:
    """How loud a threshold in percent is."""
    if threshold >= 100:
        return "exceeded"
    return "critical" if threshold >= 90 else "warning"


def day_of(now: float) -> str:
    """The UTC day of a unix time, as 2026-11-23."""
    return datetime.fromtimestamp(now, UTC).strftime("%Y-%m-%d")


def window_of(period: str) -> Window:
    """daily for 2026-11-23, monthly for 2026-11."""
    return "daily" if len(period) == 10 else "monthly"


def day_bounds(now: float) -> tuple[float, float]:
    """The unix times at which the UTC day of `now` begins and ends."""
    begin = now - now % 86_400
    return begin, begin + 86_400


def reset_at(period: str) -> int:
    """The unix time at which a period ends: the next 00:00 UTC, or 00:00 UTC of the next 1st."""
    year, month = int(period[:4]), int(period[5:7])
    if len(period) == 10:
        end = datetime(year, month, int(period[8:]), tzinfo=UTC) + timedelta(days=1)
    else:
        end = datetime(year + month // 12, month % 12 + 1, 1, tzinfo=UTC)
    return int(end.timestamp())
