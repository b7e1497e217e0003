"""The keeper of quotas: what the pipeline asks before a call, and tells after it.

Holds and settlements happen in memory, out of leases (gateway.core.wallet); durability, other processes and the end of a lease are
the pump's (gateway.stores.pump). One event loop owns a keeper.

Rule 1: every hold ends in exactly one `settle`.
Rule 2: `try_hold`, `settle`, `drop` and `add` never wait. `hold` and `add_wait` wait at most `wait_s`, for calls in flight, and at
most `store_wait_s` for the store.
"""

from __future__ import annotations

import asyncio
import secrets
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from typing import cast

from gateway.core.breaker import Breaker
from gateway.core.ledger_commands import Delivered, Orphan, Outbox
from gateway.core.ledger_rows import MICROUSD, TOKENS, UNITS, Account, AlertRow, Key, Window, window_of
from gateway.core.ledger_views import AccountView, Alert, Reason, Refused, account_view, alert_view
from gateway.core.limits import TenantLimits
from gateway.core.purse import Purse
from gateway.core.ratios import Ratios, merged
from gateway.core.wallet import NO_BUDGET, BudgetOf, Cost, Hold, QuotaOf, Scopes, Wallet
from gateway.settings import Alerts, Budget, Quota
from gateway.stores.alerts import RecentAlerts, matches
from gateway.stores.base import Notebook, Store, StoreDown
from gateway.stores.pump import OthersAlerts, Pump, PumpEvent, StoreBack, StoreLost

KeeperEvent = Alert | Refused | Orphan | StoreLost | StoreBack
Quotas = Mapping[str, Quota] | QuotaOf
Budgets = Mapping[str, Budget] | BudgetOf
Less = Callable[[], Awaitable[tuple[int, Cost | None] | None]]
NO_LIMIT = Quota()
WINDOWS: tuple[Window, ...] = ("daily", "monthly")
RATIOS = "ratios"  # the note with what was learnt of models
NOTE_S = 1.0  # how long the end waits for it


class DoubleSettle(RuntimeError):
    """A hold was settled twice: a bug of ours."""


class Keeper:
    """Quotas of this process over a store that others may share.

    quotas, budgets: the limits by scope, a mapping or a function. A scope without a quota is counted and never refused; the money
    of a scope is counted when a request says that it has a budget (`Cost`).
    on_event: called with alerts, refusals, orphaned leases, and the store going and coming back; must not raise.
    strict: raise DoubleSettle instead of counting it; for tests. `counts` has figures since the start.
    """

    def __init__(
        self,
        store: Store,
        quotas: Quotas,
        alerts: Alerts | None = None,
        budgets: Budgets | None = None,
        *,
        clock: Callable[[], float] = time.time,
        on_event: Callable[[KeeperEvent], None] | None = None,
        strict: bool = False,
        store_wait_s: float = 0.25,
        holder: str = "",
    ) -> None:
        settings = alerts or Alerts()
        self.counts: Counter[str] = Counter()
        self.ratios = Ratios()  # what a byte of text is worth in tokens, by model
        self._clock = clock
        self.on_event = on_event
        self._strict = strict
        self._configured: tuple[str, ...] = ()
        self._wallet = Wallet(self._quota_of(quotas), self._budget_of(budgets))
        self._alerts = RecentAlerts()
        self._pump = Pump(
            store,
            self._wallet,
            holder or secrets.token_hex(8),
            clock,
            self._heard,
            tuple(sorted(settings.thresholds_percent)),
            settings.webhook_url is not None,
            store_wait_s,
        )

    async def start(self) -> None:
        """Open the store and load the current accounts. Raises StoreUnusable or StoreDown."""
        for row in reversed(await self._pump.start()):
            self._alerts.add(alert_view(row))
        with suppress(StoreDown):
            await self.share_ratios()

    async def close(self) -> bool:
        """Flush everything and give leases back; what calls still hold is charged. False when the store did not take it."""
        if self.ratios.fresh:
            with suppress(StoreDown, TimeoutError):  # the pump says so too
                await asyncio.wait_for(self.share_ratios(), NOTE_S)
        return await self._pump.close()

    async def share_ratios(self) -> None:
        """Store what was learnt of models, and take what others learnt. Raises StoreDown; nothing is lost then."""
        fresh, self.ratios.fresh = self.ratios.fresh, {}
        try:
            stored = await self.note(RATIOS, lambda stored: merged(stored, fresh))
        except StoreDown:
            self.ratios.forgotten(fresh)
            raise
        if stored is None:
            self.ratios.forgotten(fresh)
        else:
            self.ratios.load(stored)

    async def note(self, name: str, change: Callable[[bytes], bytes]) -> bytes | None:
        """Change what all processes of the store keep beside the ledger, in one step; None where quotas are one process's memory.
        Raises StoreDown."""
        store = self._pump.store
        return await store.note(name, change) if isinstance(store, Notebook) else None

    @property
    def alone(self) -> bool:
        """Whether no other process is known to hold leases of the store."""
        return self._pump.alone

    def set_limits(self, quotas: Quotas, budgets: Budgets | None = None) -> None:
        """Take other limits, from the next request on. Nothing that was counted is lost; alerts begin anew where a limit changed."""
        self._wallet.set_limits(self._quota_of(quotas), self._budget_of(budgets))
        self._pump.wake()

    def set_alerts(self, alerts: Alerts) -> None:
        """Take other thresholds and another webhook setting, from the next settlement on."""
        self._pump.thresholds = tuple(sorted(alerts.thresholds_percent))
        self._pump.notify = alerts.webhook_url is not None

    def share(self, breakers: Mapping[str, Breaker], limits: Mapping[str, TenantLimits]) -> None:
        """Share these with all processes of the store, instead of others: breakers by circuit, rate limits by tenant."""
        self._pump.board.watch(breakers)
        self._pump.meters.watch(limits)

    # ------------------------------------------------------------ requests

    def room(self, scopes: Scopes, unit: str = TOKENS) -> int | None:
        """The smallest remaining room over the limited accounts of `scopes`, 0 when overdrawn; None: no limit."""
        rooms = [purse.room for purse in self._wallet.current(scopes, self._clock(), unit)]
        limited = [room for room in rooms if room is not None]
        return max(0, min(limited)) if limited else None

    def has(self, scopes: Scopes, tokens: int) -> bool:
        """Whether so many tokens are in hand. False is no answer: the `room` is, which takes longer."""
        return self._wallet.has(scopes, tokens)

    def try_hold(self, scopes: Scopes, tokens: int, at: float | None = None, cost: Cost | None = None) -> Hold | None:
        """Reserve from leases in hand, on all scopes or none. None: `hold` may still succeed. `at`: unix seconds, now."""
        hold = self._wallet.take(scopes, tokens, self._clock() if at is None else at, cost)
        if self._wallet.short:
            self._pump.wake()
        return hold

    async def hold(
        self, scopes: Scopes, tokens: int, wait_s: float = 0.3, less: Less | None = None, cost: Cost | None = None
    ) -> Hold:
        """Reserve `tokens` on all scopes, and `cost` on its own, day and month: all or none. Raises Refused.

        less: asked when there is no room; fewer tokens and a lower cost that may do, None when it must be refused.
        """
        return self._wallet.take(scopes, tokens, self._clock(), cost) or await self._wait(
            scopes, tokens, wait_s, None, less, cost
        )

    def add(self, hold: Hold, scopes: Scopes, cost: Cost | None = None) -> bool:
        """Reserve the hold's tokens on further scopes, and the cost of the next attempt, from leases in hand."""
        return self._wallet.extend(hold, scopes, cost)

    async def add_wait(self, hold: Hold, scopes: Scopes, wait_s: float = 0.3, cost: Cost | None = None) -> None:
        """As `add`, waiting for room. Raises Refused; the hold is then as it was."""
        if not self._wallet.extend(hold, scopes, cost):
            await self._wait(scopes, hold.tokens, wait_s, hold, None, cost)

    def drop(
        self, hold: Hold, scopes: Sequence[str], used: int = 0, spent: int = 0, *, estimated: bool = False
    ) -> None:
        """Take scopes out of a hold, charged `used`, and its money, charged `spent` micro-USD: a provider that failed."""
        if not hold.open:
            self._settled_twice()
            return
        self._mark_money(hold, spent, estimated, False)
        self._wallet.release(hold, scopes, used, spent)
        if self._pump.queue.waiters:
            self._pump.wake()

    def settle(
        self,
        hold: Hold,
        used: Mapping[str, int] | int,
        *,
        spent: int = 0,
        estimated: bool = False,
        suspect: bool = False,
    ) -> None:
        """End a hold with what was used, one figure for all scopes or one for each, and what its attempt cost in micro-USD.
        More than reserved is charged in full."""
        if not hold.open:
            self._settled_twice()
            return
        if estimated or suspect:
            self._mark(hold, used, estimated, suspect)
        if spent:
            self._mark_money(hold, spent, estimated, suspect)
        if isinstance(used, int):
            self.counts["overdrafts"] += used > hold.tokens
            self._wallet.settle(hold, used, spent)
        else:
            self.counts["overdrafts"] += any(amount > hold.tokens for amount in used.values())
            self._wallet.settle_each(hold, used, spent)
        if self._pump.queue.waiters:
            self._pump.wake()

    def charge(self, scopes: Sequence[str], used: int, *, estimated: bool = False) -> None:
        """Charge what no hold stands for, in the current periods."""
        purses = self._wallet.current(tuple(scopes), self._clock())
        self._wallet.mark(purses, used, estimated, False)
        self._wallet.charge(purses, used)

    # ------------------------------------------------------------ operators

    def accounts(self, scopes: Iterable[str] = ("*",)) -> list[AccountView]:
        """The current accounts of scopes, each by day and month, tokens and then money where there is a budget; all of them by
        default. A scope that ends with `*` stands for all that begin so."""
        now = self._clock()
        names = sorted({name for scope in scopes for name in self._matching(scope)})
        return [
            account_view(purse)
            for name in names
            for unit in self._units(name)
            for purse in self._wallet.current((name,), now, unit)
        ]

    async def reset(
        self,
        scopes: Iterable[str],
        windows: Sequence[Window] = WINDOWS,
        note: str = "",
        units: Sequence[str] = UNITS,
    ) -> list[AccountView]:
        """Set the current accounts of scopes to 0, with an audit line; returns those that had a row, as they were.

        Raises StoreDown when the store does not answer; the reset then follows when it does.
        What calls in flight use is counted after the reset. Alerts of the accounts can fire again.
        """
        names = sorted({name for scope in scopes for name in self._matching(scope)})
        self._wallet.turn(self._clock())
        periods = [period for period in self._wallet.periods if window_of(period) in windows]
        keys = tuple(
            Key(name, unit, period)
            for name in names
            for unit in self._units(name)
            if unit in units
            for period in periods
        )
        if not keys:
            return []
        return [self._as_it_was(row) for row in await self._pump.reset(keys, note) if row.key in keys]

    def alerts(self, scopes: Iterable[str] | None = None) -> list[Alert]:
        """This month's alerts, newest first; `scopes` as in `accounts`."""
        return self._alerts.of(self._wallet.periods[1], scopes)

    async def pending_webhooks(self, limit: int = 100) -> list[Alert]:
        """Alerts whose webhook is still to be delivered, oldest first. Raises StoreDown."""
        rows = await self._pump.store.run(Outbox(limit), self._clock())
        return [alert_view(row) for row in cast("list[AlertRow]", rows)]

    async def mark_delivered(self, id: str) -> None:
        """The webhook of this alert got through. Raises StoreDown."""
        await self._pump.store.run(Delivered(id), self._clock())

    @property
    def healthy(self) -> bool:
        """Whether the store took the last command."""
        return self._pump.healthy

    @property
    def transactions(self) -> int:
        """Store transactions so far."""
        return self._pump.syncs

    # ------------------------------------------------------------ inside

    def _quota_of(self, quotas: Quotas) -> QuotaOf:
        if not isinstance(quotas, Mapping):
            self._configured = ()
            return quotas
        self._configured = tuple(quotas)
        return lambda scope: quotas.get(scope, NO_LIMIT)

    def _budget_of(self, budgets: Budgets | None) -> BudgetOf:
        if isinstance(budgets, Mapping):
            return lambda scope: budgets.get(scope, NO_BUDGET)
        return budgets or (lambda _: NO_BUDGET)

    def _units(self, scope: str) -> tuple[str, ...]:
        return UNITS if self._wallet.has_money(scope) else (TOKENS,)

    async def _wait(
        self,
        scopes: Scopes,
        tokens: int,
        wait_s: float,
        hold: Hold | None,
        less: Less | None = None,
        cost: Cost | None = None,
    ) -> Hold:
        answer = await self._pump.wait(scopes, tokens, wait_s, hold, cost)
        fewer = None if less is None or isinstance(answer, Hold) or answer[0] == "unavailable" else await less()
        if fewer is not None:
            wait_s = 0.0 if answer[0] == "reserved" else wait_s  # type: ignore[index]
            tokens, cost = fewer
            answer = self._wallet.take(scopes, tokens, self._clock(), cost) or await self._pump.wait(
                scopes, tokens, wait_s, None, cost
            )
        if isinstance(answer, Hold):
            return answer
        purse = answer[1]
        amount = cost.microusd if cost is not None and purse.key.unit == MICROUSD else tokens
        # One candidate of several may be too dear for a tenant's budget: that call is not refused yet, and the budget not spent.
        passed_over = hold is not None and "provider:" not in purse.key.scope
        raise self._refusal(cast("Reason", answer[0]), amount, purse, alarm=not passed_over)

    def _refusal(self, reason: Reason, amount: int, purse: Purse, alarm: bool) -> Refused:
        self._wallet.empty_pockets()
        refused = Refused(reason, amount, account_view(purse))
        self.counts[f"refused_{reason}"] += 1
        if alarm and refused.code == "quota_exceeded":
            self._pump.refused(purse)
        self._tell(refused)
        return refused

    def _settled_twice(self) -> None:
        self.counts["double_settles"] += 1
        if self._strict:
            raise DoubleSettle("a hold was settled twice")

    def _mark(self, hold: Hold, used: Mapping[str, int] | int, estimated: bool, suspect: bool) -> None:
        self.counts["estimated"] += estimated
        self.counts["suspect"] += suspect
        for at, scope in enumerate(hold.scopes):
            amount = used if isinstance(used, int) else used.get(scope, 0)
            self._wallet.mark(hold.purses[2 * at : 2 * at + 2], amount, estimated, suspect)

    def _mark_money(self, hold: Hold, spent: int, estimated: bool, suspect: bool) -> None:
        if hold.money is not None:
            self.counts["overdrafts"] += spent > hold.money.microusd
            self._wallet.mark(hold.money.purses, spent, estimated, suspect)

    def _matching(self, pattern: str) -> list[str]:
        if not pattern.endswith("*"):
            return [pattern]
        known = {key.scope for key in self._wallet.purses if key.period in self._wallet.periods}
        return [scope for scope in known | set(self._configured) if matches(pattern, scope)]

    def _as_it_was(self, row: Account) -> AccountView:
        purse = Purse(row.key, row.limit)
        purse.settled, purse.total = row.settled, row.leased
        purse.reserved = self._wallet.purse(row.key).reserved
        return account_view(purse)

    def _heard(self, event: PumpEvent) -> None:
        if isinstance(event, AlertRow):
            alert = alert_view(event)
            self._alerts.add(alert)
            self._tell(alert)
            return
        if isinstance(event, OthersAlerts):
            for row in reversed(event.rows):
                self._alerts.add(alert_view(row))
            return
        if isinstance(event, StoreLost):
            self.counts["store_losses"] += 1
        elif isinstance(event, Orphan):
            self.counts[f"orphaned_{event.key.unit}"] += event.amount
        self._tell(event)

    def _tell(self, event: KeeperEvent) -> None:
        if self.on_event is not None:
            self.on_event(event)
