"""The books of the quota ledger that the stories are told over: memory, SQLite and Redis, command by command side by side."""

from __future__ import annotations

import sqlite3
from collections import defaultdict

from hypothesis.stateful import RuleBasedStateMachine
from ledger_story import BUDGETS, LIMITS, Gateway
from redis_server import RedisLedger

from gateway.core.ledger import apply
from gateway.core.ledger_commands import Ask, Reset, Settle, Stale, Sync, Synced
from gateway.core.ledger_rows import Key
from gateway.stores.memory import MemoryBook
from gateway.stores.sqlite_book import MIGRATIONS, SqliteBook

NOON = 1_795_435_200.0  # 2026-11-23 12:00 UTC


class Books(RuleBasedStateMachine):
    """Three gateways, the drivers, and what was really served. `deliver` checks what a command did."""

    calm = False
    overdrafts = False  # whether requests may use more than they reserved

    def __init__(self, redis: RedisLedger) -> None:
        super().__init__()
        self.now = NOON
        self.redis = redis
        redis.clear()
        self.memory = MemoryBook()
        self.db = sqlite3.connect(":memory:", isolation_level=None)
        self.db.executescript(";".join(MIGRATIONS))
        self.sqlite = SqliteBook(self.db)
        self.limits, self.budgets = dict(LIMITS), dict(BUDGETS)
        self.births = 0
        self.gateways = [self.birth() for _ in range(3)]
        self.dead: list[str] = []
        self.served: dict[Key, int] = defaultdict(int)
        self.erased: dict[Key, int] = defaultdict(int)  # settled tokens that operators reset
        self.limits_changed = self.crashed = self.reset = self.doubted = False
        self.forgiven: set[Key] = set()
        self.fired: list[tuple[Key, int, int]] = []

    def birth(self) -> Gateway:
        self.births += 1
        return Gateway(f"gateway-{self.births}", self.limits, self.budgets)

    # ------------------------------------------------------------ the wire

    def run(self, command: Sync) -> Synced | Stale:
        changes, reply = apply(self.memory, command, self.now)
        warm = SqliteBook(self.db)
        warm.warm(command)
        for book in (self.sqlite, warm):
            others, same = apply(book, command, self.now)
            assert same == reply and others == changes, "I11: drivers differ"
        assert self.redis.run(command, self.now) == reply, "I11: drivers differ"
        self.memory.write(changes)
        self.sqlite.write(others)
        if changes.accounts:
            self.fired += [(alert.key, alert.threshold, alert.epoch) for alert in changes.alerts]
        return reply  # type: ignore[return-value]

    def deliver(self, gateway: Gateway, answered: bool = True) -> None:
        command = gateway.pending
        assert command is not None
        holder = self.memory.holder(gateway.name)
        first = holder is None or holder.seq < command.seq
        before = {account.key: account for account in self.memory.accounts(self.periods(), -1)}
        reply = self.run(command)
        assert isinstance(reply, Synced)
        if first:
            self.check_growth(command, before)
            self.check_unmet(command)
            for account in reply.before:
                self.erased[account.key] += account.settled
        if answered:
            gateway.pending = None
            gateway.sent.append((command, reply))
            gateway.wallet.confirm(reply, self.now)

    def periods(self) -> tuple[str, ...]:
        return tuple({key.period for key in self.served} | {p for g in self.gateways for p in g.wallet.periods})

    def check_growth(self, command: Sync, before: dict[Key, object]) -> None:
        """I4: a lease is granted only under the limit; beyond it goes only what requests used without having reserved it."""
        uncovered: dict[Key, int] = defaultdict(int)
        for op in command.ops:
            if isinstance(op, Settle):
                uncovered[op.key] += op.used - op.covered
        for account in self.memory.accounts(self.periods(), -1):
            old = before.get(account.key)
            was = 0 if old is None else old.settled + old.leased  # type: ignore[attr-defined]
            claim = account.settled + account.leased - uncovered[account.key]
            if account.key not in self.forgiven:
                assert account.limit is None or claim <= was or claim <= account.limit
            if account.limit is not None and not (
                account.key in self.forgiven or self.overdrafts or self.limits_changed or self.doubted
            ):
                assert account.settled + account.leased <= account.limit

    def check_unmet(self, command: Sync) -> None:
        """I10: who does not get what it needs is told the truth: there is no more, or less than would help."""
        for op in () if any(isinstance(op, Reset) for op in command.ops) else command.ops:
            if isinstance(op, Ask):
                account = self.memory.account(op.key)
                mine = self.memory.lease(command.holder, op.key)
                held = 0 if mine is None else mine.amount
                if account is not None and account.limit is not None and held < op.need and not command.leave:
                    assert account.limit - account.settled - account.leased < max(1, op.least)
