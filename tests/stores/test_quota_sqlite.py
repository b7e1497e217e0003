"""The SQLite file: locked, full, vanished, damaged, foreign; how it is made, and what its URL looks like."""

from __future__ import annotations

import asyncio
import sqlite3
from pathlib import Path

import pytest
from quota_story import ACME, until

from gateway.core.ledger_commands import Sync
from gateway.core.ledger_views import Refused
from gateway.settings import Quota
from gateway.stores.base import StoreDown, StoreUnusable
from gateway.stores.keeper import Keeper
from gateway.stores.memory import MemoryStore
from gateway.stores.open import open_store
from gateway.stores.sqlite import SqliteStore
from gateway.stores.sqlite_book import MIGRATIONS

NOON = 1_795_435_200.0  # 2026-11-23 12:00 UTC
QUOTAS = {"tenant:acme": Quota(daily_tokens=10_000)}


async def sqlite_keeper(path: Path) -> Keeper:
    keeper = Keeper(SqliteStore(path), QUOTAS, clock=lambda: NOON, strict=True)
    await keeper.start()
    return keeper


async def test_a_file_that_another_program_locks_is_away_until_it_lets_go(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gateway.stores.sqlite.BUSY_TIMEOUT_MS", 20)
    keeper = await sqlite_keeper(tmp_path / "quota.db")
    keeper.settle(await keeper.hold(ACME, 100), 70)
    lock = sqlite3.connect(tmp_path / "quota.db", isolation_level=None)
    lock.execute("BEGIN EXCLUSIVE")
    with pytest.raises(Refused) as refused:
        await keeper.hold(ACME, 5_000)
    assert refused.value.reason == "unavailable"
    lock.execute("ROLLBACK")
    lock.close()
    await until(lambda: keeper.healthy)
    keeper.settle(await keeper.hold(ACME, 5_000), 30)
    assert await keeper.close()
    keeper = await sqlite_keeper(tmp_path / "quota.db")
    assert keeper.accounts(ACME)[0].used == 100
    await keeper.close()


async def test_a_full_disk_loses_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    connect, full = SqliteStore._connect, True

    def crowded(self: SqliteStore) -> sqlite3.Connection:
        db = connect(self)
        if full:
            db.execute(
                "PRAGMA max_page_count = 1"
            )  # SQLite keeps it at the present size: the next page is one too many
        return db

    monkeypatch.setattr(SqliteStore, "_connect", crowded)
    full = False
    keeper = await sqlite_keeper(tmp_path / "quota.db")
    keeper.settle(await keeper.hold(ACME, 100), 70)
    full = True
    await asyncio.get_running_loop().run_in_executor(keeper._pump.store._thread, keeper._pump.store._drop)  # type: ignore[attr-defined]
    for number in range(400):  # new accounts need new pages
        keeper.charge((f"tenant:{number:03}-" + "x" * 200,), 1)
    await until(lambda: keeper.counts["store_losses"])
    full = False
    await until(lambda: keeper.healthy)
    assert await keeper.close()
    keeper = await sqlite_keeper(tmp_path / "quota.db")
    used = {view.scope: view.used for view in keeper.accounts() if view.window == "daily"}
    assert (used.pop("tenant:acme"), len(used), set(used.values())) == (70, 400, {1})
    await keeper.close()


async def test_a_file_that_vanished_does_not_come_back_empty(tmp_path: Path) -> None:
    store = SqliteStore(tmp_path / "quota.db")
    await store.open()
    await asyncio.get_running_loop().run_in_executor(store._thread, store._drop)
    (tmp_path / "quota.db").unlink()
    with pytest.raises(StoreDown, match="the file is gone"):
        await store.run(Sync("a", 1), NOON)
    assert not (tmp_path / "quota.db").exists()
    await store.close()


async def test_the_file_is_for_our_eyes_only_and_its_folder_is_made(tmp_path: Path) -> None:
    path = tmp_path / "new" / "deep" / "quota.db"
    store = SqliteStore(path)
    await store.open()
    await store.run(Sync("a", 1), NOON)
    assert {entry.name: oct(entry.stat().st_mode & 0o777) for entry in path.parent.iterdir()} == {
        "quota.db": "0o600",
        "quota.db-journal": "0o600",
    }
    assert path.parent.stat().st_mode & 0o777 == 0o700
    await store.close()


async def test_every_transaction_is_durable_and_no_write_ahead_log_is_used(tmp_path: Path) -> None:
    store = SqliteStore(tmp_path / "quota.db")
    await store.open()

    def pragmas() -> tuple[object, ...]:
        return tuple(store._db.execute(f"PRAGMA {name}").fetchone()[0] for name in ("journal_mode", "synchronous"))  # type: ignore[union-attr]

    assert await asyncio.get_running_loop().run_in_executor(store._thread, pragmas) == ("truncate", 2)
    await store.close()


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda path: path.write_bytes(b"this is no database" * 100), "not an SQLite database"),
        (lambda path: _foreign(path), "belongs to another program"),
        (lambda path: _newer(path), r"written by a newer version of the gateway \(schema 99\)"),
        (lambda path: _damaged(path), "damaged"),
    ],
)
async def test_a_file_that_cannot_be_used_is_refused_at_the_start_with_the_reason(
    tmp_path: Path, make, message: str
) -> None:
    path = tmp_path / "quota.db"
    make(path)
    store = SqliteStore(path)
    with pytest.raises(StoreUnusable, match=message) as error:
        await store.open()
    assert str(path) in str(error.value)
    await store.close()


def _foreign(path: Path) -> None:
    with sqlite3.connect(path) as db:
        db.execute("CREATE TABLE customers (name TEXT)")
    db.close()


def _newer(path: Path) -> None:
    _write_ours(path)
    with sqlite3.connect(path) as db:
        db.execute("INSERT INTO migrations VALUES (99, 'tomorrow')")
    db.close()


def _damaged(path: Path) -> None:
    _write_ours(path)
    with sqlite3.connect(path) as db:
        db.executemany("INSERT INTO audits VALUES (NULL, 0, 'reset', ?, '', '', 0, '')", [("x" * 500,)] * 100)
    db.close()
    content = bytearray(path.read_bytes())
    for at in range(4096, len(content), 512):
        content[at : at + 64] = b"\xff" * 64
    path.write_bytes(content)


def _write_ours(path: Path) -> None:
    db = sqlite3.connect(path, isolation_level=None)
    store = SqliteStore(path)
    store._migrate(db)
    db.close()


async def test_a_schema_is_made_once_and_its_version_noted(tmp_path: Path) -> None:
    for _ in range(2):
        store = SqliteStore(tmp_path / "quota.db")
        await store.open()
        await store.close()
    with sqlite3.connect(tmp_path / "quota.db") as db:
        assert db.execute("SELECT version FROM migrations").fetchall() == [(n + 1,) for n in range(len(MIGRATIONS))]
    db.close()


def test_a_url_names_a_driver() -> None:
    assert isinstance(open_store("memory://"), MemoryStore)
    relative, absolute = open_store("sqlite:///data/gateway.db"), open_store("sqlite:////var/lib/gateway.db")
    assert isinstance(relative, SqliteStore) and relative.path == Path("data/gateway.db")
    assert isinstance(absolute, SqliteStore) and absolute.path == Path("/var/lib/gateway.db")


@pytest.mark.parametrize(
    "url", ["", "sqlite://", "sqlite:///", "sqlite://data.db", "postgres://x:hunter2@y", "memory://hunter2", "memory"]
)
def test_a_url_that_names_none_is_told_so_without_its_password(url: str) -> None:
    with pytest.raises(StoreUnusable, match=r"store\.url") as raised:
        open_store(url)
    assert "hunter2" not in str(raised.value)
