"""The quota ledger's rows in SQLite: the schema, and reading and writing rows inside a transaction that the driver opened."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Sequence
from typing import Any, TypeVar

from gateway.core.ledger_commands import Arrive, Close, Free, Probe, Reap, Spend, Sync, Trip
from gateway.core.ledger_draft import Changes
from gateway.core.ledger_rows import Account, AlertRow, Audit, Circuit, Holder, Key, Lease, Process

Row = TypeVar("Row", bound=tuple[Any, ...])

# One script a version; a script once released is never changed.
MIGRATIONS: tuple[str, ...] = (
    """
    CREATE TABLE accounts (
        scope TEXT NOT NULL, unit TEXT NOT NULL, period TEXT NOT NULL,
        quota INTEGER, epoch INTEGER NOT NULL, settled INTEGER NOT NULL, leased INTEGER NOT NULL,
        orphaned INTEGER NOT NULL, estimated INTEGER NOT NULL, suspect INTEGER NOT NULL, version INTEGER NOT NULL,
        PRIMARY KEY (scope, unit, period)
    ) WITHOUT ROWID;
    CREATE INDEX accounts_by_version ON accounts (version);
    CREATE TABLE leases (
        holder TEXT NOT NULL, scope TEXT NOT NULL, unit TEXT NOT NULL, period TEXT NOT NULL,
        amount INTEGER NOT NULL, recall INTEGER NOT NULL, orphan INTEGER NOT NULL,
        PRIMARY KEY (holder, scope, unit, period)
    ) WITHOUT ROWID;
    CREATE INDEX leases_by_account ON leases (scope, unit, period);
    CREATE TABLE holders (
        id TEXT PRIMARY KEY, boot TEXT NOT NULL, space TEXT NOT NULL, pid INTEGER NOT NULL, started INTEGER NOT NULL,
        beat_at REAL NOT NULL, seq INTEGER NOT NULL, reply BLOB NOT NULL, state TEXT NOT NULL
    ) WITHOUT ROWID;
    CREATE TABLE alerts (
        scope TEXT NOT NULL, unit TEXT NOT NULL, period TEXT NOT NULL, threshold INTEGER NOT NULL, epoch INTEGER NOT NULL,
        used INTEGER NOT NULL, quota INTEGER NOT NULL, at REAL NOT NULL, pending INTEGER NOT NULL, id TEXT NOT NULL,
        PRIMARY KEY (scope, unit, period, threshold, epoch)
    ) WITHOUT ROWID;
    CREATE INDEX alerts_by_period ON alerts (period);
    CREATE INDEX alerts_pending ON alerts (at) WHERE pending = 1;
    CREATE TABLE audits (
        id INTEGER PRIMARY KEY, at REAL NOT NULL, action TEXT NOT NULL,
        scope TEXT NOT NULL, unit TEXT NOT NULL, period TEXT NOT NULL, amount INTEGER NOT NULL, note TEXT NOT NULL
    );
    """,
    """
    CREATE TABLE notes (name TEXT PRIMARY KEY, content BLOB NOT NULL) WITHOUT ROWID;
    """,
    """
    CREATE TABLE circuits (
        name TEXT PRIMARY KEY, until REAL NOT NULL, probe TEXT NOT NULL, probe_until REAL NOT NULL
    ) WITHOUT ROWID;
    CREATE TABLE buckets (name TEXT PRIMARY KEY, full_at REAL NOT NULL) WITHOUT ROWID;
    CREATE INDEX buckets_by_time ON buckets (full_at)
    """,
)

ACCOUNT = "scope, unit, period, quota, epoch, settled, leased, orphaned, estimated, suspect, version"
LEASE = "holder, scope, unit, period, amount, recall, orphan"
HOLDER = "id, boot, space, pid, started, beat_at, seq, reply, state"
ALERT = "scope, unit, period, threshold, epoch, used, quota, at, pending"
AT_ONCE = 50  # rows of a statement; with eleven columns well below the 999 values that an old SQLite takes
CIRCUIT = "name, until, probe, probe_until"
AUDIT = "at, action, scope, unit, period, amount, note"
THIS_ACCOUNT = "scope = ? AND unit = ? AND period = ?"


def _parts(rows: list[Row]) -> Iterator[list[Row]]:
    """Rows in portions that SQLite takes in one statement."""
    for at in range(0, len(rows), AT_ONCE):
        yield rows[at : at + AT_ONCE]


def _rows(rows: Sequence[tuple[Any, ...]]) -> str:
    """VALUES (?, ?), (?, ?)"""
    one = f"({', '.join('?' * len(rows[0]))})"
    return f"VALUES {', '.join([one] * len(rows))}"


def _account(row: tuple[Any, ...]) -> Account:
    return Account(Key(*row[:3]), *row[3:])


def _lease(row: tuple[Any, ...]) -> Lease:
    return Lease(row[0], Key(*row[1:4]), row[4], bool(row[5]), bool(row[6]))


def _holder(row: tuple[Any, ...]) -> Holder:
    return Holder(row[0], Process(*row[1:5]), *row[5:])


def _alert(row: tuple[Any, ...]) -> AlertRow:
    threshold, epoch, used, limit, at, pending = row[3:]
    return AlertRow(Key(*row[:3]), threshold, epoch, used, limit, at, bool(pending))


class SqliteBook:
    """`gateway.core.ledger_draft.Reader` over a connection, and `write`. Once warm it lives as long as one transaction.

    Every statement lets other threads run and has to wait for the interpreter afterwards, while other processes wait for the
    lock that we hold. So what a command will look at is read in a few statements (`warm`), and written in few.
    """

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._db = connection
        self._accounts: dict[Key, Account | None] = {}
        self._leases: dict[Key, dict[str, Lease]] = {}
        self._alerts: set[tuple[Key, int, int]] = set()
        self._holders: list[Holder] | None = None

    def warm(self, command: Sync) -> None:
        """Read what a command is about: accounts with their leases and alerts, and the holders."""
        self._holders = self.holders()
        for part in _parts(
            sorted(
                {
                    op.key
                    for op in command.ops
                    if not isinstance(op, Arrive | Reap | Trip | Probe | Close | Free | Spend)
                }
            )
        ):
            among = f"(scope, unit, period) IN ({_rows(part)})"
            flat = [word for key in part for word in key]
            self._accounts.update(dict.fromkeys(part))
            self._leases.update((key, {}) for key in part)
            for row in self._all(f"SELECT {ACCOUNT} FROM accounts WHERE {among}", *flat):
                account = _account(row)
                self._accounts[account.key] = account
            for row in self._all(f"SELECT {LEASE} FROM leases WHERE {among} ORDER BY holder", *flat):
                lease = _lease(row)
                self._leases[lease.key][lease.holder] = lease
            alerts = self._all(f"SELECT scope, unit, period, threshold, epoch FROM alerts WHERE {among}", *flat)
            self._alerts.update((Key(*row[:3]), row[3], row[4]) for row in alerts)

    def _one(self, sql: str, *values: Any) -> tuple[Any, ...] | None:
        row: tuple[Any, ...] | None = self._db.execute(sql, values).fetchone()
        return row

    def _all(self, sql: str, *values: Any) -> list[tuple[Any, ...]]:
        return self._db.execute(sql, values).fetchall()

    # ------------------------------------------------------------ reading

    def account(self, key: Key) -> Account | None:
        if key in self._accounts:
            return self._accounts[key]
        row = self._one(f"SELECT {ACCOUNT} FROM accounts WHERE {THIS_ACCOUNT}", *key)
        return _account(row) if row else None

    def lease(self, holder: str, key: Key) -> Lease | None:
        if key in self._leases:
            return self._leases[key].get(holder)
        row = self._one(f"SELECT {LEASE} FROM leases WHERE holder = ? AND {THIS_ACCOUNT}", holder, *key)
        return _lease(row) if row else None

    def leases_of(self, holder: str) -> list[Lease]:
        rows = self._all(f"SELECT {LEASE} FROM leases WHERE holder = ? ORDER BY scope, unit, period", holder)
        return [_lease(row) for row in rows]

    def leases_on(self, key: Key) -> list[Lease]:
        if key in self._leases:
            return list(self._leases[key].values())
        rows = self._all(f"SELECT {LEASE} FROM leases WHERE {THIS_ACCOUNT} ORDER BY holder", *key)
        return [_lease(row) for row in rows]

    def recalls(self, holder: str) -> list[Key]:
        sql = "SELECT scope, unit, period FROM leases WHERE holder = ? AND recall = 1 ORDER BY scope, unit, period"
        return [Key(*row) for row in self._all(sql, holder)]

    def holder(self, id: str) -> Holder | None:
        row = self._one(f"SELECT {HOLDER} FROM holders WHERE id = ?", id)
        return _holder(row) if row else None

    def holders(self) -> list[Holder]:
        if self._holders is not None:
            return self._holders
        return [_holder(row) for row in self._all(f"SELECT {HOLDER} FROM holders ORDER BY id")]

    def has_alert(self, key: Key, threshold: int, epoch: int) -> bool:
        if key in self._accounts:
            return (key, threshold, epoch) in self._alerts
        sql = f"SELECT 1 FROM alerts WHERE {THIS_ACCOUNT} AND threshold = ? AND epoch = ?"
        return self._one(sql, *key, threshold, epoch) is not None

    def version(self) -> int:
        row = self._one("SELECT max(version) FROM accounts")
        return row[0] or 0 if row else 0

    def accounts(self, periods: tuple[str, ...], since: int) -> list[Account]:
        marks = ", ".join("?" * len(periods))
        sql = f"SELECT {ACCOUNT} FROM accounts WHERE version > ? AND period IN ({marks}) ORDER BY scope, unit, period"
        return [_account(row) for row in self._all(sql, since, *periods)]

    def alerts(self, month: str, limit: int) -> list[AlertRow]:
        # "2026-11" and "2026-11-01" ... "2026-11-31" sort between "2026-11" and "2026-11~".
        sql = f"SELECT {ALERT} FROM alerts WHERE period >= ? AND period < ? ORDER BY at DESC, threshold DESC, scope, unit, period LIMIT ?"
        return [_alert(row) for row in self._all(sql, month, month + "~", limit)]

    def outbox(self, limit: int) -> list[AlertRow]:
        sql = f"SELECT {ALERT} FROM alerts WHERE pending = 1 ORDER BY at, id LIMIT ?"
        return [_alert(row) for row in self._all(sql, limit)]

    def audits(self, limit: int) -> list[Audit]:
        rows = self._all(f"SELECT {AUDIT} FROM audits ORDER BY id DESC LIMIT ?", limit)
        return [Audit(row[0], row[1], Key(*row[2:5]), row[5], row[6]) for row in rows]

    def note(self, name: str) -> bytes:
        row = self._one("SELECT content FROM notes WHERE name = ?", name)
        return bytes(row[0]) if row else b""

    def circuits(self) -> list[Circuit]:
        return [Circuit(*row) for row in self._all(f"SELECT {CIRCUIT} FROM circuits ORDER BY name")]

    def bucket(self, name: str) -> float | None:
        row = self._one("SELECT full_at FROM buckets WHERE name = ?", name)
        return row[0] if row else None

    # ------------------------------------------------------------ writing

    def write_note(self, name: str, content: bytes) -> None:
        self._replace("notes", "name, content", [(name, content)])

    def write(self, changes: Changes) -> None:
        """Write everything; the caller's transaction makes it one step."""
        self._replace("accounts", ACCOUNT, [self._account_values(row) for row in changes.accounts.values()])
        self._write_leases(changes)
        for id, holder in changes.holders.items():
            if holder is None:
                self._db.execute("DELETE FROM holders WHERE id = ?", (id,))
            else:
                self._replace("holders", HOLDER, [self._holder_values(holder)])
        for alert in changes.alerts:
            values = (*alert.key, alert.threshold, alert.epoch, alert.used, alert.limit, alert.at, alert.pending)
            self._db.execute(f"INSERT INTO alerts ({ALERT}, id) VALUES (?,?,?,?,?,?,?,?,?,?)", (*values, alert.id))
        for audit in changes.audits:
            line = (audit.at, audit.action, *audit.key, audit.amount, audit.note)
            self._db.execute(f"INSERT INTO audits ({AUDIT}) VALUES (?,?,?,?,?,?,?)", line)
        self._replace("buckets", "name, full_at", list(changes.buckets.items()))
        if changes.full_by:
            self._db.execute("DELETE FROM buckets WHERE full_at < ?", (changes.full_by,))
        for name, circuit in changes.circuits.items():
            if circuit is None:
                self._db.execute("DELETE FROM circuits WHERE name = ?", (name,))
            else:
                self._replace("circuits", CIRCUIT, [(name, circuit.until, circuit.probe, circuit.probe_until)])
        for id in changes.delivered:
            self._db.execute("UPDATE alerts SET pending = 0 WHERE pending = 1 AND id = ?", (id,))

    def _write_leases(self, changes: Changes) -> None:
        gone = [(holder, *key) for (holder, key), lease in changes.leases.items() if lease is None]
        for part in _parts(gone):
            flat = [word for lease in part for word in lease]
            self._db.execute(f"DELETE FROM leases WHERE (holder, scope, unit, period) IN ({_rows(part)})", flat)
        kept = [lease for lease in changes.leases.values() if lease is not None]
        self._replace("leases", LEASE, [(r.holder, *r.key, r.amount, r.recall, r.orphan) for r in kept])

    def _replace(self, table: str, columns: str, rows: list[tuple[Any, ...]]) -> None:
        for part in _parts(rows):
            self._db.execute(
                f"REPLACE INTO {table} ({columns}) {_rows(part)}", [value for row in part for value in row]
            )

    @staticmethod
    def _account_values(row: Account) -> tuple[Any, ...]:
        parts = (row.orphaned, row.estimated, row.suspect, row.version)
        return (*row.key, row.limit, row.epoch, row.settled, row.leased, *parts)

    @staticmethod
    def _holder_values(row: Holder) -> tuple[Any, ...]:
        who = row.process
        return (row.id, who.boot, who.space, who.pid, who.started, row.beat_at, row.seq, row.reply, row.state)
