"""Reading and changing the ledger inside one command: a draft over what a store has, written back as a whole or not at all.

A driver implements `Reader` over its own storage and knows how to write `Changes`; that is all a driver is.
"""

from __future__ import annotations

from typing import Protocol, TypeVar

from msgspec import Struct, field
from msgspec.structs import replace

from gateway.core.ledger_rows import Account, AlertRow, Audit, Circuit, Holder, Key, Lease

Row = TypeVar("Row", Account, Lease, Holder)


class Reader(Protocol):
    """What a driver can tell inside a transaction. Rows are not changed by their readers."""

    def account(self, key: Key) -> Account | None: ...
    def lease(self, holder: str, key: Key) -> Lease | None: ...
    def leases_of(self, holder: str) -> list[Lease]: ...
    def leases_on(self, key: Key) -> list[Lease]: ...
    def recalls(self, holder: str) -> list[Key]:
        """Leases of a holder that others wait for."""
        ...

    def holder(self, id: str) -> Holder | None: ...
    def holders(self) -> list[Holder]: ...
    def has_alert(self, key: Key, threshold: int, epoch: int) -> bool: ...
    def version(self) -> int:
        """The highest version of any account."""
        ...

    def accounts(self, periods: tuple[str, ...], since: int) -> list[Account]: ...
    def alerts(self, month: str, limit: int) -> list[AlertRow]: ...
    def outbox(self, limit: int) -> list[AlertRow]: ...
    def audits(self, limit: int) -> list[Audit]: ...
    def circuits(self) -> list[Circuit]: ...
    def bucket(self, name: str) -> float | None:
        """The unix time at which a bucket is full."""
        ...


class Changes(Struct):
    """What a driver must write. None in place of a row: delete it."""

    accounts: dict[Key, Account] = field(default_factory=dict)
    leases: dict[tuple[str, Key], Lease | None] = field(default_factory=dict)
    holders: dict[str, Holder | None] = field(default_factory=dict)
    alerts: list[AlertRow] = field(default_factory=list)
    audits: list[Audit] = field(default_factory=list)
    delivered: list[str] = field(default_factory=list)
    circuits: dict[str, Circuit | None] = field(default_factory=dict)
    buckets: dict[str, float] = field(default_factory=dict)
    full_by: float = 0.0  # buckets that were full before this time can go

    def __bool__(self) -> bool:
        rows = (self.accounts, self.leases, self.holders, self.alerts, self.audits, self.delivered, self.circuits)
        return any(rows) or bool(self.buckets or self.full_by)


class Draft:
    """Rows read once, changed in place on private copies, collected in `changes`."""

    def __init__(self, reader: Reader) -> None:
        self.reader = reader
        self.changes = Changes()

    def account(self, key: Key) -> Account:
        """The account to change; a new one when there is none."""
        row = self.changes.accounts.get(key)
        if row is None:
            stored = self.reader.account(key)
            row = replace(stored) if stored is not None else Account(key)
            self.changes.accounts[key] = row
        return row

    def knows(self, key: Key) -> bool:
        """Whether the account exists already."""
        return key in self.changes.accounts or self.reader.account(key) is not None

    def lease(self, holder: str, key: Key) -> Lease:
        """The lease to change; an empty one when there is none. `drop_empty` removes those that stay empty."""
        row = self.changes.leases.get((holder, key))
        if row is None:
            row = self._private(self.reader.lease(holder, key)) or Lease(holder, key)
            self.changes.leases[holder, key] = row
        return row

    def peek(self, holder: str, key: Key) -> int:
        """How much `holder` has on `key`, orphans not counted, without touching the row."""
        changed = (holder, key) in self.changes.leases
        row = self.changes.leases[holder, key] if changed else self.reader.lease(holder, key)
        return 0 if row is None or row.orphan else row.amount

    def leases_of(self, holder: str) -> list[Lease]:
        """All leases of a holder, to change."""
        keys = {lease.key for lease in self.reader.leases_of(holder)}
        keys |= {key for owner, key in self.changes.leases if owner == holder}
        return [self.lease(holder, key) for key in sorted(keys)]

    def leases_on(self, key: Key) -> list[Lease]:
        """All leases on an account, to change."""
        owners = {lease.holder for lease in self.reader.leases_on(key)}
        owners |= {owner for owner, leased in self.changes.leases if leased == key}
        return [self.lease(owner, key) for owner in sorted(owners)]

    def holder(self, id: str) -> Holder:
        """The holder to change; a new one when there is none."""
        row = self.changes.holders.get(id)
        if row is None:
            row = self._private(self.reader.holder(id)) or Holder(id)
            self.changes.holders[id] = row
        return row

    def holders(self) -> list[Holder]:
        """All holders, changes included, not to change."""
        rows = {row.id: row for row in self.reader.holders()}
        for id, changed in self.changes.holders.items():
            if changed is None:
                rows.pop(id, None)
            else:
                rows[id] = changed
        return [rows[id] for id in sorted(rows)]

    def circuits(self) -> dict[str, Circuit]:
        """All circuits that are not closed, changes included, by name."""
        rows: dict[str, Circuit | None] = {row.name: row for row in self.reader.circuits()}
        rows |= self.changes.circuits
        return {name: row for name, row in sorted(rows.items()) if row is not None}

    def bucket(self, name: str) -> float:
        """When a bucket is full; minus infinity: always was."""
        full_at = self.changes.buckets.get(name, self.reader.bucket(name))
        return float("-inf") if full_at is None else full_at

    def alert(self, row: AlertRow) -> bool:
        """Record an alert; False when this crossing has one already."""
        same = (row.key, row.threshold, row.epoch)
        if any((a.key, a.threshold, a.epoch) == same for a in self.changes.alerts) or self.reader.has_alert(*same):
            return False
        self.changes.alerts.append(row)
        return True

    def finish(self) -> Changes:
        """The changes, with a version on every account and without leases that are empty."""
        if self.changes.accounts:
            version = self.reader.version() + 1
            for account in self.changes.accounts.values():
                account.version = version
        for where, lease in self.changes.leases.items():
            if lease is not None and lease.amount == 0:
                self.changes.leases[where] = None
        return self.changes

    @staticmethod
    def _private(row: Row | None) -> Row | None:
        return None if row is None else replace(row)
