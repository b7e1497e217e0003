"""This process's side of the quota ledger: its leases, and the requests that are paid from them, in memory.

A `Purse` is what the process has of one account. A `Hold` is one request's reservation on several purses: all or none, its money
(`Cost`) with its tokens. What was used is flushed to the ledger by the keeper (gateway.stores.keeper) in batches: `collect` says
what to send, `confirm` takes the answer. One thread owns a wallet; nothing here locks.

Rule 1: on every limited purse `leased = reserved + used + surplus + free`, and a hold is granted only out of `free`.
Rule 2: every hold ends in exactly one settle. A hold belongs to the day and month in which it was made.
Rule 3: a purse without a limit has endless `free`: it is counted, never refused, and leases nothing.
Rule 4: the money of a hold is for one attempt, at that model's price: it ends with the attempt, and the next one reserves its own.
Rule 5: what calls take and settle is noted in pockets (gateway.core.pocket). Purses are true once these are emptied, which every
other method does first.
Rule 6: between `collect` and `confirm` no other `collect` happens: the same operations are sent again until they are answered.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import NamedTuple

from gateway.core.ledger_commands import Op, Standing, Synced
from gateway.core.ledger_rows import MICROUSD, TOKENS, Account, Key, day_bounds, day_of, window_of
from gateway.core.pocket import Pocket, empty
from gateway.core.purse import Purse, Wanted
from gateway.settings import Budget, Quota

NOTHING = Wanted()
POCKETS = 10_000  # how many sets of scopes are remembered with their purses

QuotaOf = Callable[[str], Quota]
BudgetOf = Callable[[str], Budget]
Scopes = tuple[str, ...]
NO_BUDGET = Budget()


class Cost(NamedTuple):
    """The most that an attempt may cost, in micro-USD, and the scopes whose budgets pay for it."""

    microusd: int
    scopes: Scopes


class Money(NamedTuple):
    """What a hold has reserved for its present attempt. Two purses for each scope that has a budget."""

    microusd: int
    purses: tuple[Purse, ...]


class Hold:
    """One request's reservation. `purses` are two for each scope, the day's and the month's, in the order of `scopes`.

    `pocket`: where it was taken from, while it stands for just these purses."""

    __slots__ = ("money", "open", "periods", "pocket", "purses", "scopes", "tokens")

    def __init__(
        self,
        tokens: int,
        scopes: Scopes,
        pocket: Pocket,
        periods: tuple[str, str],
        money: Money | None = None,
    ) -> None:
        self.tokens = tokens
        self.scopes = scopes
        self.pocket: Pocket | None = pocket
        self.purses = pocket.purses
        self.periods = periods
        self.money = money
        self.open = True


class Wallet:
    """All purses of this process. `quota_of` and `budget_of` tell the limits of a scope."""

    def __init__(self, quota_of: QuotaOf, budget_of: BudgetOf = lambda _: NO_BUDGET) -> None:
        self.quota_of = quota_of
        self.budget_of = budget_of
        self._purses: dict[Key, Purse] = {}
        self.periods: tuple[str, str] = ("", "")
        self.version = 0  # of the newest account loaded; what we wrote ourselves does not count, since others may have written before
        self._from = self._until = 0.0
        self._pockets: dict[Scopes, Pocket] = {}  # in the present periods
        self._filled: set[Pocket] = set()  # all that are not empty, those of former periods too
        self.short: set[Purse] = set()  # another request like the last one would have to wait
        self._dirty: set[Purse] = set()
        self._leased: set[Purse] = set()
        self._outdated: set[Purse] = set()  # the ledger has a row with another limit than the configuration

    # ------------------------------------------------------------ requests: the hot path

    def take(self, scopes: Scopes, tokens: int, now: float, cost: Cost | None = None) -> Hold | None:
        """Reserve `tokens` on all `scopes`, and what it may cost; or None when what is in hand does not do."""
        if not self._from <= now < self._until:
            self.turn(now)
        pocket = self._pockets.get(scopes) or self._pocket(scopes)
        if pocket.free < tokens:
            self.empty_pockets()
            if not pocket.fill(tokens, self.short):
                return None
            self._filled.add(pocket)
        money = None
        if cost is not None:
            money = self._reserve(cost, self.periods)
            if money is None:
                return None
        pocket.free = free = pocket.free - tokens
        if free < pocket.low:
            pocket.low = free
        return Hold(tokens, scopes, pocket, self.periods, money)

    def has(self, scopes: Scopes, tokens: int) -> bool:
        """Whether so much is in hand, at a glance: False when it would take a closer look."""
        pocket = self._pockets.get(scopes)
        return pocket is not None and pocket.free >= tokens

    def settle(self, hold: Hold, used: int, spent: int = 0) -> None:
        """End a hold: every scope is charged `used`, whatever was reserved, and every budget `spent` micro-USD."""
        if hold.money is not None:
            self.pay(hold, spent)
        hold.open = False
        if used > hold.tokens:
            self.empty_pockets()  # purses may now be in debt, of which no pocket would know
        pocket = hold.pocket
        if pocket is None or not pocket.taken:
            self.charge(hold.purses, used, hold.tokens)
            return
        pocket.free += hold.tokens - used
        pocket.used += used

    # ------------------------------------------------------------ requests: the rest

    def settle_each(self, hold: Hold, used: Mapping[str, int], spent: int = 0) -> None:
        """End a hold, every scope charged its own. A scope that is not in the hold is charged all the same, as overdraft."""
        if hold.money is not None:
            self.pay(hold, spent)
        self._take_out(hold)
        for scope in hold.scopes:
            self._end(hold, scope, used.get(scope, 0))
        for scope in used.keys() - set(hold.scopes):
            self.charge(self.resolve((scope,), hold.periods), used[scope])
        hold.open = False

    def extend(self, hold: Hold, scopes: Scopes, cost: Cost | None = None) -> bool:
        """Reserve the hold's tokens on further scopes, and what the next attempt may cost, in the hold's own periods; False when
        what is in hand does not do."""
        self._take_out(hold)
        purses = self.resolve(scopes, hold.periods)
        if any(purse.free < hold.tokens for purse in purses):
            return False
        if cost is not None:
            assert hold.money is None, "an attempt is to be paid before the next one reserves"
            hold.money = self._reserve(cost, hold.periods)
            if hold.money is None:
                return False
        for purse in purses:
            purse.reserve(hold.tokens)
        hold.scopes += scopes
        hold.purses += purses
        return True

    def release(self, hold: Hold, scopes: Iterable[str], used: int = 0, spent: int = 0) -> None:
        """Take scopes out of a hold, charged `used`, and the money of the attempt, charged `spent`."""
        if hold.money is not None:
            self.pay(hold, spent)
        self._take_out(hold)
        for scope in scopes:
            if scope in hold.scopes:
                self._end(hold, scope, used)
                at = hold.scopes.index(scope)
                hold.scopes = hold.scopes[:at] + hold.scopes[at + 1 :]
                hold.purses = hold.purses[: 2 * at] + hold.purses[2 * at + 2 :]

    def pay(self, hold: Hold, spent: int) -> None:
        """End what a hold has reserved of money: every budget is charged `spent`, more than was reserved in full."""
        money, hold.money = hold.money, None
        if money is not None:
            for purse in money.purses:
                purse.spend(money.microusd, spent)
                if spent:
                    self._dirty.add(purse)

    def _reserve(self, cost: Cost, periods: tuple[str, str]) -> Money | None:
        purses = self._resolve(cost.scopes, periods, MICROUSD)
        if any(purse.free < cost.microusd for purse in purses):
            return None
        for purse in purses:
            purse.reserve(cost.microusd)
        return Money(cost.microusd, purses)

    def charge(self, purses: Iterable[Purse], used: int, reserved: int = 0) -> None:
        """Charge what nobody reserved, or `reserved` of it."""
        for purse in purses:
            purse.spend(reserved, used)
            if used:
                self._dirty.add(purse)

    def mark(self, purses: Iterable[Purse], used: int, estimated: bool, suspect: bool) -> None:
        """Remember that `used` of what was charged is an estimate, or replaces a report that could not be true."""
        for purse in purses:
            purse.estimated += used if estimated else 0
            purse.suspect += used if suspect else 0

    def _end(self, hold: Hold, scope: str, used: int) -> None:
        at = 2 * hold.scopes.index(scope)
        for purse in hold.purses[at : at + 2]:
            purse.spend(hold.tokens, used)
            if used:
                self._dirty.add(purse)

    def _take_out(self, hold: Hold) -> None:
        """Its purses are to be changed one by one."""
        self.empty_pockets()
        hold.pocket = None

    def empty_pockets(self) -> None:
        """Make the purses true: whoever keeps one must ask for it before he reads it."""
        if self._filled:
            self._dirty |= empty(self._filled)
            self._filled.clear()

    # ------------------------------------------------------------ accounts and periods

    @property
    def purses(self) -> Mapping[Key, Purse]:
        """All purses of this process, as of now."""
        self.empty_pockets()
        return self._purses

    def turn(self, now: float) -> None:
        """Move to the periods of `now`, forwards or backwards: purses of other periods live on until they are empty."""
        self._pockets.clear()
        day = day_of(now)
        self.periods = (day, day[:7])
        self._from, self._until = day_bounds(now)
        stale = [key for key, purse in self.purses.items() if key.period not in self.periods and purse.empty]
        for key in stale:
            purse = self._purses.pop(key)
            for known in (self._dirty, self._outdated, self.short):
                known.discard(purse)

    def purse(self, key: Key) -> Purse:
        """The purse of an account, made when it is new."""
        self.empty_pockets()
        return self._purse(key)

    def _purse(self, key: Key) -> Purse:
        purse = self._purses.get(key)
        if purse is None:
            purse = self._purses[key] = Purse(key, self.limit_of(key))
        return purse

    def resolve(self, scopes: Iterable[str], periods: tuple[str, str], unit: str = TOKENS) -> tuple[Purse, ...]:
        """The purses of scopes in a day and its month."""
        self.empty_pockets()
        return self._resolve(scopes, periods, unit)

    def _resolve(self, scopes: Iterable[str], periods: tuple[str, str], unit: str = TOKENS) -> tuple[Purse, ...]:
        return tuple(self._purse(Key(scope, unit, period)) for scope in scopes for period in periods)

    def current(self, scopes: Scopes, now: float, unit: str = TOKENS) -> tuple[Purse, ...]:
        """The purses of scopes at `now`."""
        if not self._from <= now < self._until:
            self.turn(now)
        if unit != TOKENS:
            return self.resolve(scopes, self.periods, unit)
        self.empty_pockets()
        return (self._pockets.get(scopes) or self._pocket(scopes)).purses

    def _pocket(self, scopes: Scopes) -> Pocket:
        if len(self._pockets) >= POCKETS:
            self._pockets.clear()
        pocket = self._pockets[scopes] = Pocket(self._resolve(scopes, self.periods))
        return pocket

    def limit_of(self, key: Key) -> int | None:
        """What the configuration says."""
        daily = window_of(key.period) == "daily"
        if key.unit == MICROUSD:
            budget = self.budget_of(key.scope)
            return budget.daily_microusd if daily else budget.monthly_microusd
        quota = self.quota_of(key.scope)
        return quota.daily_tokens if daily else quota.monthly_tokens

    def has_money(self, scope: str) -> bool:
        """Whether money is counted for a scope: it has a budget, or had one in the present period."""
        known = any(Key(scope, MICROUSD, period) in self._purses for period in self.periods)
        return known or self.budget_of(scope).is_limited

    def set_limits(self, quota_of: QuotaOf, budget_of: BudgetOf = lambda _: NO_BUDGET) -> None:
        """Take other limits. Those that change hold from the next request on; leases under the old ones go back."""
        self.quota_of, self.budget_of = quota_of, budget_of
        for key, purse in self.purses.items():
            if key.period in self.periods:
                purse.set_limit(self.limit_of(key))
                self._note(purse)

    def load(self, accounts: Iterable[Account]) -> None:
        """Take what the ledger says of accounts, at the start or because others changed them."""
        self.empty_pockets()
        for account in accounts:
            self.version = max(self.version, account.version)
            purse = self._purse(account.key)
            purse.learn(account)
            self._note(purse)

    def _went_back(self, standing: Standing) -> bool:
        """Whether the ledger lost transactions: what it just wrote is older than what it showed before."""
        purse = self._purses.get(standing.key)
        return standing.version <= self.version or (purse is not None and standing.version < purse.version)

    def _note(self, purse: Purse) -> None:
        if purse.outdated:
            self._outdated.add(purse)

    # ------------------------------------------------------------ to and from the ledger

    def sweep(self, now_s: float) -> None:
        """Set aside what lay idle since the last sweep. now_s is monotonic."""
        self.empty_pockets()
        for purse in self._leased:
            purse.sweep(now_s)

    @property
    def returns(self) -> bool:
        """Whether lease is to go back."""
        return any(purse.returns for purse in self._leased)

    @property
    def leases(self) -> bool:
        """Whether there is any lease in hand, that others might wait for."""
        return bool(self._leased)

    def recall(self, keys: Iterable[Key]) -> None:
        """Others wait for these leases: what is free goes back with the next `collect`."""
        for key in keys:
            self.purse(key).recall()

    @property
    def unsettled(self) -> bool:
        """Whether something was used that the ledger does not know."""
        self.empty_pockets()
        return bool(self._dirty)

    @property
    def outdated(self) -> bool:
        """Whether the ledger has limits that the configuration does not."""
        return bool(self._outdated)

    def collect(self, wanted: Mapping[Purse, Wanted], now_s: float, leave: bool = False) -> list[Op]:
        """What to tell the ledger: usage, lease that goes back, limits, and lease for requests that wait.

        now_s is monotonic. With `leave` everything free goes back.
        """
        self.empty_pockets()
        ops: list[Op] = []
        touched = (
            self._dirty | {p for p in self._leased if leave or p.returns} | wanted.keys() | self._outdated | self.short
        )
        self._dirty, self._outdated, self.short = set(), set(), set()
        for purse in sorted(touched, key=lambda p: p.key):
            ops += purse.collect(wanted.get(purse, NOTHING), now_s, leave)
        return ops

    def confirm(self, synced: Synced, now_s: float) -> None:
        """Take the answer to what `collect` gave."""
        self.empty_pockets()
        if any(self._went_back(standing) for standing in synced.standings):
            self.version = 0
            for purse in self._purses.values():
                purse.doubt()
        for standing in synced.standings:
            # Nobody asks for an account of a past period any more, but what we lease of it must go back.
            if not (standing.mine or standing.key in self._purses or standing.key.period in self.periods):
                continue
            purse = self._purse(standing.key)
            purse.confirm(standing, now_s)
            if purse.free >= purse.short:  # what it lacked meanwhile has come
                self.short.discard(purse)
            self._note(purse)
            if purse.leased:
                self._leased.add(purse)
            else:
                self._leased.discard(purse)
        self.recall(synced.recalled)
