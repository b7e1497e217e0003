"""The figures of providers that /providers and /stats show: of one UTC day, of all processes that share a store. Pure.

Each process counts for itself and now and then tells the store what is new (gateway.stores.sharing): `collect` says what, `confirm`
takes the sums of all. What is shown is what the store said, what is on its way there, and what came since.

Rule 1: a count is told once. When the store did not take it (`failed`), it is new again. Rule 2: at midnight everything begins anew.
"""

from __future__ import annotations

from collections.abc import Callable

import msgspec

MAX_TALLIES = 100_000
MAX_TOLD = 5_000  # rows that the store keeps, the busiest: a call costs nothing there, but every exchange reads and writes them all

Row = list[int]  # as Tally's fields stand
Rows = dict[str, Row]


class Sums(msgspec.Struct):
    """What the store keeps."""

    day: str = ""
    rows: Rows = {}


_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(Sums).decode


class Tally:
    """The running figures of one provider, of all tenants or of one. `latency_us` is of the successes together."""

    __slots__ = FIELDS = ("errors", "latency_us", "requests", "successes", "tokens", "unpriced")

    def __init__(self) -> None:
        self.requests = self.successes = self.errors = self.tokens = 0
        self.unpriced = 0  # calls that a budget should pay for, of models whose price nobody knows
        self.latency_us = 0

    def succeeded(self, calls: int, latency_us: int, tokens: int) -> None:
        """Count successes, with what they waited for and used together."""
        self.requests += calls
        self.successes += calls
        self.latency_us += latency_us
        self.tokens += tokens

    def add(self, row: Row) -> None:
        for name, count in zip(self.FIELDS, row, strict=True):
            setattr(self, name, getattr(self, name) + count)

    def row(self) -> Row:
        return [getattr(self, name) for name in self.FIELDS]

    def clear(self) -> None:
        for name in self.FIELDS:
            setattr(self, name, 0)

    def public(self, daily_tokens: int) -> dict[str, float | int]:
        """The `metrics` object of the native API; averageLatency in milliseconds."""
        average = self.latency_us / self.successes / 1000 if self.successes else 0.0
        return {
            "requestCount": self.requests,
            "successCount": self.successes,
            "errorCount": self.errors,
            "averageLatency": round(average, 1),
            "dailyTokens": daily_tokens,
            "errorRate": round(self.errors / self.requests, 4) if self.requests else 0.0,
        }


class Tallies:
    """All tallies of this process. `day` is the UTC day that they are of.

    before: called before they are read or a day ends, so that whoever counts in batches hands in what is kept back.
    """

    def __init__(self, before: Callable[[], None] = lambda: None) -> None:
        self.day = ""
        self._before = before
        self._own: dict[str, Tally] = {}  # not told yet
        self._sending: Rows = {}
        self._known: Rows = {}  # the store's sums

    def own(self, provider: str, tenant: str = "") -> Tally:
        """Where calls are counted: the very same object for the same names. Beyond MAX_TALLIES the oldest of tenants go."""
        key = _key(provider, tenant)
        found = self._own.get(key)
        if found is None:
            found = self._own[key] = Tally()
            if tenant and len(self._own) > MAX_TALLIES:
                del self._own[next(key for key in self._own if "/" in key)]
        return found

    def shown(self, provider: str, tenant: str = "") -> Tally:
        """The figures of today, a copy."""
        self._before()
        key, shown = _key(provider, tenant), Tally()
        own = self._own.get(key)
        for row in (self._known.get(key), self._sending.get(key), own.row() if own is not None else None):
            if row is not None:
                shown.add(row)
        return shown

    @property
    def fresh(self) -> bool:
        """Whether there is anything to tell."""
        self._before()
        return any(tally.requests or tally.unpriced for tally in self._own.values())

    def turn(self, day: str) -> None:
        """Begin `day`, unless it is the same. What was not told of the day before is of no use any more."""
        if day != self.day:
            self._before()
            self.day, self._sending, self._known = day, {}, {}
            for tally in self._own.values():
                tally.clear()

    def collect(self) -> Rows:
        """What to tell the store; `confirm` or `failed` follows."""
        self._before()
        self._sending = {key: row for key, tally in self._own.items() if any(row := tally.row())}
        for key in self._sending:
            self._own[key].clear()
        return self._sending

    def confirm(self, stored: bytes) -> None:
        sums = decoded(stored)
        self._known = sums.rows if sums.day == self.day else {}
        self._sending = {}

    def failed(self) -> None:
        """The store took nothing of it: it is new again."""
        for key, row in self._sending.items():
            self._own.setdefault(key, Tally()).add(row)
        self._sending = {}


def decoded(stored: bytes) -> Sums:
    """What was stored; nothing when that cannot be read."""
    try:
        sums = _decode(stored) if stored else Sums()
    except (msgspec.DecodeError, ValueError):
        return Sums()
    return Sums(sums.day, {key: row for key, row in sums.rows.items() if len(row) == len(Tally.FIELDS)})


def merged(stored: bytes, fresh: Rows, day: str) -> bytes:
    """What is stored, with what is new. Of the day before nothing stays; who is a day behind adds nothing."""
    sums = decoded(stored)
    if sums.day > day:
        return stored
    rows = sums.rows if sums.day == day else {}
    for key, row in fresh.items():
        rows[key] = [a + b for a, b in zip(rows[key], row, strict=True)] if key in rows else row
    if len(rows) > MAX_TOLD:
        busiest = sorted(rows, key=lambda key: rows[key][Tally.FIELDS.index("requests")], reverse=True)
        rows = {key: rows[key] for key in busiest[:MAX_TOLD]}
    return _encode(Sums(day, rows))


def _key(provider: str, tenant: str) -> str:
    return f"{tenant}/{provider}" if tenant else provider  # neither has a slash in its name
