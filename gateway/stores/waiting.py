"""Requests that found no lease in hand and wait for the quota store: who is served, who is refused, and why.

Decides on numbers alone; gateway.stores.pump owns the tasks and the time.

Rule 1: patience is counted in attentive seconds (`Attention`): while our own loop is late, nobody's patience runs out.
Rule 2: the store is away when it owed one answer for the whole of its patience and gave no sign of life, not when a waiter has
waited for several.
Rule 3: whoever has a question on its way is not refused before the answer was looked at, or the store is away.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable

from gateway.core.ledger_rows import MICROUSD, TOKENS
from gateway.core.ledger_views import Reason
from gateway.core.purse import Purse, Wanted
from gateway.core.wallet import Cost, Hold, Scopes, Wallet

FRESH_S = 1.0  # for so long an account that the ledger said is spent needs no second question
AGAIN_S = 0.05  # how often a waiting request asks while other processes may give lease back
TURN_S = 0.05  # the most that one turn of the loop costs of anybody's patience
BUSY_SHARE = 4  # time in which the loop works all the time counts for a quarter: the store's thread gets little of it


class Attention:
    """Counts the seconds in which an answer would have been seen, had there been one. It runs like a clock while the loop has
    little to do, slowly while the loop is busy, and hardly at all while a turn of it takes long or the machine sleeps."""

    def __init__(self) -> None:
        self.s = 0.0
        self._now_s = self._worked_s = 0.0

    def begin(self, now_s: float, worked_s: float) -> None:
        """Count from here. Both are seconds: the loop's time, and the CPU time that its thread has used."""
        self._now_s, self._worked_s = now_s, worked_s

    def turn(self, now_s: float, worked_s: float) -> None:
        """One turn of the loop later."""
        elapsed_s = now_s - self._now_s
        idle_s = elapsed_s - (worked_s - self._worked_s)
        self.s += min(TURN_S, max(idle_s, elapsed_s / BUSY_SHARE))
        self.begin(now_s, worked_s)


class Waiter:
    """One waiting request. `hold`: it has one already and wants more scopes. `cost`: the money that it wants as well. `answer` gets
    the hold or the reason and purse.

    `born_s` and `until_s` are attentive seconds, `asked_s` is the loop's time.
    """

    __slots__ = (
        "answer",
        "answered",
        "ask",
        "asked_last",
        "asked_s",
        "asking",
        "born_s",
        "cost",
        "hold",
        "last",
        "scopes",
        "tokens",
        "until_s",
    )

    def __init__(
        self, scopes: Scopes, tokens: int, hold: Hold | None, born_s: float, wait_s: float, cost: Cost | None = None
    ) -> None:
        self.scopes = scopes
        self.tokens = tokens
        self.cost = cost
        self.hold = hold
        self.born_s = born_s
        self.until_s = born_s + wait_s
        self.ask = True  # goes into the next transaction
        self.asking = False  # is in the one under way
        self.last = False  # its time is up, but there was room: the last question, until it is answered
        self.asked_last = False
        self.asked_s = float("-inf")
        self.answered = False  # the ledger has answered since it waits
        self.answer: asyncio.Future[Hold | tuple[Reason, Purse]] = asyncio.get_running_loop().create_future()


class Queue:
    """The waiting requests (`waiters`), first come first served; a small one may pass a big one that does not fit."""

    def __init__(self, wallet: Wallet, store_wait_s: float, clock: Callable[[], float]) -> None:
        self.attention = Attention()
        self._wallet = wallet
        self._store_wait_s = store_wait_s
        self._clock = clock
        self.waiters: list[Waiter] = []
        self._owed_s = float("inf")  # since when the store owes an answer, attentive seconds

    def __bool__(self) -> bool:
        return bool(self.waiters)

    def add(self, waiter: Waiter) -> None:
        self.waiters.append(waiter)

    @property
    def patience_s(self) -> float:
        """The least attentive seconds until a waiter's patience, or that with the store, ends; at most a turn's worth."""
        now_s = self.attention.s
        ends = (w.until_s if w.answered and not (w.asking or w.last) else self._store_until_s(w) for w in self.waiters)
        return min(TURN_S, min(ends, default=float("inf")) - now_s) if self.waiters else float("inf")

    def owed(self) -> None:
        """A command goes to the store, or went and was not taken."""
        self._owed_s = min(self._owed_s, self.attention.s)

    def paid(self) -> None:
        """The store took its command."""
        self._owed_s = float("inf")

    def serve(self, now_s: float, shared: bool) -> None:
        """Grant and refuse what can be. `shared`: other processes hold leases, so asking again may help."""
        self.waiters = [w for w in self.waiters if not self._serve(w, now_s, shared)]

    def refuse_all(self) -> None:
        """The keeper closes."""
        for waiter in self.waiters:
            if not waiter.answer.done():
                waiter.answer.set_result(("unavailable", self._needs(waiter)[0][0]))
        self.waiters = []

    def wanted(self) -> dict[Purse, Wanted]:
        """What requests wait for that have to ask, by purse; `asked` and `told` follow."""
        wanted: dict[Purse, Wanted] = {}
        for waiter in self.waiters:
            if waiter.ask and not waiter.answer.done():
                for purse, amount in self._needs(waiter):
                    before = wanted.get(purse)
                    least = amount if before is None else min(before.least, amount)
                    wanted[purse] = Wanted(amount + (before.amount if before is not None else 0), least)
        return wanted

    @property
    def asks(self) -> bool:
        """Whether a request waits that has to ask."""
        return any(waiter.ask for waiter in self.waiters)

    def asked(self, now_s: float) -> None:
        """What was wanted is on its way."""
        for waiter in self.waiters:
            if waiter.ask:
                waiter.ask, waiter.asking, waiter.asked_s = False, True, now_s

    def told(self) -> None:
        """The answer is in the wallet."""
        for waiter in self.waiters:
            if waiter.asking:
                waiter.asking, waiter.last, waiter.answered = False, False, True

    # ------------------------------------------------------------ one waiter

    def _needs(self, waiter: Waiter) -> list[tuple[Purse, int]]:
        """Every purse that the waiter wants something of, and how much: its tokens first, then its money."""
        found = [(purse, waiter.tokens) for purse in self._purses(waiter, waiter.scopes)]
        if waiter.cost is not None:
            microusd, scopes = waiter.cost
            found += [(purse, microusd) for purse in self._purses(waiter, scopes, MICROUSD)]
        return found

    def _purses(self, waiter: Waiter, scopes: Scopes, unit: str = TOKENS) -> tuple[Purse, ...]:
        if waiter.hold is not None:
            return self._wallet.resolve(scopes, waiter.hold.periods, unit)
        return self._wallet.current(scopes, self._clock(), unit)

    def _serve(self, waiter: Waiter, now_s: float, shared: bool) -> bool:
        if waiter.answer.done():  # its task was cancelled
            return True
        answer: Hold | tuple[Reason, Purse] | None = self._grant(waiter) or self._refuse(waiter, now_s, shared)
        if answer is None:
            return False
        waiter.answer.set_result(answer)
        return True

    def _grant(self, waiter: Waiter) -> Hold | None:
        if waiter.hold is None:
            return self._wallet.take(waiter.scopes, waiter.tokens, self._clock(), waiter.cost)
        return waiter.hold if self._wallet.extend(waiter.hold, waiter.scopes, waiter.cost) else None

    def _refuse(self, waiter: Waiter, now_s: float, shared: bool) -> tuple[Reason, Purse] | None:
        """Why the waiter has to go, or None while it may wait."""
        short = [(purse, amount) for purse, amount in self._needs(waiter) if purse.free < amount]
        hopeless = self._hopeless(waiter, short, now_s)
        if hopeless is not None:
            return hopeless
        if waiter.asking or waiter.last or not waiter.answered:
            return ("unavailable", short[0][0]) if self.attention.s >= self._store_until_s(waiter) else None
        blocked = [purse for purse, amount in short if (purse.room or 0) < amount]
        if self.attention.s >= waiter.until_s:
            if blocked or waiter.asked_last:
                return "reserved", blocked[0] if blocked else short[0][
                    0
                ]  # room that shows and was not granted went to another process
            waiter.ask = waiter.last = waiter.asked_last = True
        elif not blocked or (shared and now_s >= waiter.asked_s + AGAIN_S):
            waiter.ask = True
        return None

    def _store_until_s(self, waiter: Waiter) -> float:
        return max(waiter.born_s, self._owed_s) + self._store_wait_s

    def _hopeless(
        self, waiter: Waiter, short: Iterable[tuple[Purse, int]], now_s: float
    ) -> tuple[Reason, Purse] | None:
        for purse, amount in short:
            limit = purse.limit or 0  # a purse without a limit is never short
            if amount > limit:
                return "too_large", purse
            known = waiter.answered or now_s - purse.seen_s < FRESH_S
            if known and amount > limit - purse.spent:
                return "exceeded", purse
        return None
