"""The quota ledger in memory: for tests, and for a gateway that may forget. Several keepers may share one object."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable

from msgspec.structs import replace

from gateway.core.ledger import apply
from gateway.core.ledger_commands import Command, Reply
from gateway.core.ledger_draft import Changes
from gateway.core.ledger_rows import Account, AlertRow, Audit, Circuit, Holder, Key, Lease

AUDITS = 10_000  # lines of the audit trail that are kept


class MemoryBook:
    """The rows, as `gateway.core.ledger_draft.Reader` wants them, and `write`."""

    def __init__(self) -> None:
        self._accounts: dict[Key, Account] = {}
        self._leases: dict[str, dict[Key, Lease]] = defaultdict(dict)
        self._holders: dict[str, Holder] = {}
        self._alerts: dict[tuple[Key, int, int], AlertRow] = {}
        self._audits: list[Audit] = []
        self._circuits: dict[str, Circuit] = {}
        self._buckets: dict[str, float] = {}
        self._version = 0

    def account(self, key: Key) -> Account | None:
        return self._accounts.get(key)

    def lease(self, holder: str, key: Key) -> Lease | None:
        return self._leases[holder].get(key)

    def leases_of(self, holder: str) -> list[Lease]:
        return [self._leases[holder][key] for key in sorted(self._leases[holder])]

    def leases_on(self, key: Key) -> list[Lease]:
        return [leases[key] for _, leases in sorted(self._leases.items()) if key in leases]

    def recalls(self, holder: str) -> list[Key]:
        return [lease.key for lease in self.leases_of(holder) if lease.recall]

    def holder(self, id: str) -> Holder | None:
        return self._holders.get(id)

    def holders(self) -> list[Holder]:
        return [self._holders[id] for id in sorted(self._holders)]

    def has_alert(self, key: Key, threshold: int, epoch: int) -> bool:
        return (key, threshold, epoch) in self._alerts

    def version(self) -> int:
        return self._version

    def accounts(self, periods: tuple[str, ...], since: int) -> list[Account]:
        found = [row for row in self._accounts.values() if row.version > since and row.key.period in periods]
        return [replace(row) for row in sorted(found, key=lambda row: row.key)]

    def alerts(self, month: str, limit: int) -> list[AlertRow]:
        found = [row for row in self._alerts.values() if row.key.period.startswith(month)]
        return sorted(found, key=lambda row: (-row.at, -row.threshold, row.key))[:limit]

    def outbox(self, limit: int) -> list[AlertRow]:
        found = [row for row in self._alerts.values() if row.pending]
        return sorted(found, key=lambda row: (row.at, row.id))[:limit]

    def audits(self, limit: int) -> list[Audit]:
        return self._audits[: -limit - 1 : -1]

    def circuits(self) -> list[Circuit]:
        return [self._circuits[name] for name in sorted(self._circuits)]

    def bucket(self, name: str) -> float | None:
        return self._buckets.get(name)

    def write(self, changes: Changes) -> None:
        for key, account in changes.accounts.items():
            self._accounts[key] = account
            self._version = max(self._version, account.version)
        for (holder, key), lease in changes.leases.items():
            if lease is None:
                self._leases[holder].pop(key, None)
            else:
                self._leases[holder][key] = lease
        for id, row in changes.holders.items():
            if row is None:
                self._holders.pop(id, None)
                self._leases.pop(id, None)
            else:
                self._holders[id] = row
        for alert in changes.alerts:
            self._alerts[alert.key, alert.threshold, alert.epoch] = alert
        self._audits = (self._audits + changes.audits)[-AUDITS:]
        self._buckets |= changes.buckets
        if changes.full_by:
            self._buckets = {name: at for name, at in self._buckets.items() if at >= changes.full_by}
        for name, circuit in changes.circuits.items():
            if circuit is None:
                self._circuits.pop(name, None)
            else:
                self._circuits[name] = circuit
        for at, alert in list(self._alerts.items()) if changes.delivered else ():
            if alert.id in changes.delivered:
                self._alerts[at] = replace(alert, pending=False)


class MemoryStore:
    """The driver behind memory://. Nothing outlives the process."""

    local = True

    def __init__(self) -> None:
        self.book = MemoryBook()
        self._notes: dict[str, bytes] = {}

    async def open(self) -> None:
        """Nothing to open."""

    async def run(self, command: Command, now: float) -> Reply:
        changes, reply = apply(self.book, command, now)
        self.book.write(changes)
        return reply

    async def note(self, name: str, change: Callable[[bytes], bytes]) -> bytes:
        note = self._notes[name] = change(self._notes.get(name, b""))
        return note

    async def close(self) -> None:
        """Nothing to close: another keeper may go on with the same object."""
