"""The quota ledger in an SQLite file: durable before it answers, and correct for several processes on one machine.

Rule 1: one thread owns the connection; a caller that goes away never leaves a reply for the next one.
Rule 2: every change is one BEGIN IMMEDIATE transaction with synchronous=FULL: what was answered survives kill -9 and power loss.
Rule 3: a rollback journal, not WAL. SQLite before 3.51.3 can corrupt a WAL database that several processes write
(sqlite.org/wal.html, "the WAL-reset bug"), and distributions ship older ones; a few transactions a second do not need WAL.
Rule 4: whoever waits for another process's transaction looks every millisecond. SQLite's own pauses grow to 100 ms, and between
busy processes who waits longest would wait for ever.
Rule 5: after any error the connection is thrown away, so that no half transaction stays behind.
"""

from __future__ import annotations

import asyncio
import os
import sqlite3
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

from gateway.core.ledger import apply
from gateway.core.ledger_commands import Command, Delivered, Reply, Sync
from gateway.stores.base import StoreDown, StoreUnusable
from gateway.stores.sqlite_book import MIGRATIONS, SqliteBook

Result = TypeVar("Result")
BUSY_TIMEOUT_MS = 2_000  # how long a transaction waits for another process's
LOOK_MS = 3  # SQLite looks after 1 and 2 ms, and then we ask it again
APPLICATION_ID = 0x50415353  # "PASS": marks the file as ours


class SqliteStore:
    """The driver behind sqlite:///path."""

    local = True

    def __init__(self, path: Path) -> None:
        self.path = path
        self.pulse = 0  # counts what shows that the file is alive, while a command waits for another process
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="quota-store")
        self._db: sqlite3.Connection | None = None
        self._journal = path.with_name(path.name + "-journal")
        self._seen = (0, 0)

    async def open(self) -> None:
        """Create or check the file. Raises StoreUnusable when it is damaged or not ours, StoreDown when it cannot be reached."""
        await asyncio.get_running_loop().run_in_executor(self._thread, self._open)

    async def run(self, command: Command, now: float) -> Reply:
        return await asyncio.get_running_loop().run_in_executor(self._thread, self._run, command, now)

    async def note(self, name: str, change: Callable[[bytes], bytes]) -> bytes:
        return await asyncio.get_running_loop().run_in_executor(self._thread, self._note, name, change)

    async def close(self) -> None:
        await asyncio.get_running_loop().run_in_executor(self._thread, self._drop)
        self._thread.shutdown(wait=False)

    # ------------------------------------------------------------ in the thread

    def _open(self) -> None:
        try:
            self._create()
            self._db = self._connect()
            self._check(self._db)
            self._migrate(self._db)
        except (sqlite3.Error, OSError) as e:
            self._drop()
            raise self._error(e) from e
        except StoreUnusable:
            self._drop()
            raise

    def _create(self) -> None:
        """The folder and the file, for our eyes only: the journal beside it inherits the file's mode."""
        self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        os.close(os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))

    def _connect(self) -> sqlite3.Connection:
        db = sqlite3.connect(self.path, timeout=LOOK_MS / 1000, isolation_level=None)
        for pragma in ("journal_mode = TRUNCATE", "synchronous = FULL", "trusted_schema = OFF", "temp_store = MEMORY"):
            _patiently(lambda pragma=pragma: db.execute(f"PRAGMA {pragma}").fetchall())  # type: ignore[misc]
        return db

    def _check(self, db: sqlite3.Connection) -> None:
        verdict = _patiently(lambda: db.execute("PRAGMA quick_check(1)").fetchone()[0])
        if verdict != "ok":
            raise StoreUnusable(f"{self.path}: the database is damaged ({verdict}). Restore a backup or move it away.")
        ours = _patiently(lambda: db.execute("PRAGMA application_id").fetchone()[0])
        empty = _patiently(lambda: db.execute("SELECT count(*) FROM sqlite_master").fetchone()[0] == 0)
        if ours != APPLICATION_ID and not empty:
            raise StoreUnusable(f"{self.path}: the database belongs to another program.")

    def _migrate(self, db: sqlite3.Connection) -> None:
        """Bring the schema up to date, in one transaction: two processes that start together do it once."""
        _begin(db)
        try:
            db.execute("CREATE TABLE IF NOT EXISTS migrations (version INTEGER PRIMARY KEY, applied_at TEXT NOT NULL)")
            done = db.execute("SELECT coalesce(max(version), 0) FROM migrations").fetchone()[0]
            if done > len(MIGRATIONS):
                raise StoreUnusable(f"{self.path}: written by a newer version of the gateway (schema {done}).")
            for version, script in enumerate(MIGRATIONS[done:], done + 1):
                for statement in script.split(";"):
                    db.execute(statement)
                db.execute("INSERT INTO migrations VALUES (?, datetime('now'))", (version,))
            db.execute(f"PRAGMA application_id = {APPLICATION_ID}")
            _commit(db)
        except BaseException:
            db.execute("ROLLBACK")
            raise

    def _run(self, command: Command, now: float) -> Reply:
        return self._safely(lambda db: self._transact(db, command, now))

    def _note(self, name: str, change: Callable[[bytes], bytes]) -> bytes:
        return self._safely(lambda db: _change_note(db, name, change))

    def _safely(self, step: Callable[[sqlite3.Connection], Result]) -> Result:
        try:
            if self._db is None:
                self._db = self._reopen()
            return step(self._db)
        except (sqlite3.Error, OSError) as e:
            self._drop()
            raise StoreDown(str(self._error(e))) from e
        except BaseException:
            self._drop()
            raise

    def _reopen(self) -> sqlite3.Connection:
        # A file that vanished must not come back empty: every quota would begin anew without a word.
        if not self.path.exists():
            raise FileNotFoundError(f"{self.path}: the file is gone")
        return self._connect()

    def _transact(self, db: sqlite3.Connection, command: Command, now: float) -> Reply:
        book = SqliteBook(db)
        if not isinstance(command, Sync | Delivered):
            return _patiently(lambda: apply(book, command, now)[1])  # a query is one statement, and so one moment
        _begin(db, self._look)
        self.pulse += 1
        if isinstance(command, Sync):
            book.warm(command)
        changes, reply = apply(book, command, now)
        if changes:
            book.write(changes)
        self.pulse += 1
        _commit(db)
        return reply

    def _look(self) -> None:
        """Another process is in the way: whether it, or the next one, gets on shows in the times of the file and its journal."""
        seen = (_changed_at(self.path), _changed_at(self._journal))
        if seen != self._seen:
            self._seen = seen
            self.pulse += 1

    def _drop(self) -> None:
        db, self._db = self._db, None
        if db is not None:
            db.close()  # rolls back what is open

    def _error(self, e: Exception) -> StoreDown | StoreUnusable:
        if isinstance(e, sqlite3.DatabaseError) and "not a database" in str(e):
            return StoreUnusable(
                f"{self.path}: not an SQLite database. Move it away, or name another file in store.url."
            )
        if isinstance(e, sqlite3.DatabaseError) and "malformed" in str(e):
            return StoreUnusable(f"{self.path}: the database is damaged ({e}). Restore a backup or move it away.")
        return StoreDown(f"{self.path}: {e}")


def _change_note(db: sqlite3.Connection, name: str, change: Callable[[bytes], bytes]) -> bytes:
    _begin(db)
    book = SqliteBook(db)
    content = change(book.note(name))
    book.write_note(name, content)
    _commit(db)
    return content


def _changed_at(path: Path) -> int:
    try:
        return path.stat().st_mtime_ns
    except OSError:
        return 0


def _begin(db: sqlite3.Connection, look: Callable[[], None] | None = None) -> None:
    _patiently(lambda: db.execute("BEGIN IMMEDIATE"), look)


def _commit(db: sqlite3.Connection) -> None:
    _patiently(lambda: db.execute("COMMIT"))  # readers may stand in the way; the transaction stays open meanwhile


def _patiently(step: Callable[[], Result], look: Callable[[], None] | None = None) -> Result:
    """`step`, again and again while another process is in the way; `look` is called each time that it is."""
    ends_at = time.monotonic() + BUSY_TIMEOUT_MS / 1000
    while True:
        try:
            return step()
        except sqlite3.OperationalError as e:
            if getattr(e, "sqlite_errorcode", 0) & 0xFF != sqlite3.SQLITE_BUSY or time.monotonic() > ends_at:
                raise
            if look is not None:
                look()
