"""An SQLite file on a disk that fails: full for real, failing to sync, damaged while running; and a file of an earlier release."""

from __future__ import annotations

import asyncio
import resource
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from quota_story import ACME, until

from gateway.core.ledger_views import Refused
from gateway.settings import Quota
from gateway.stores.base import StoreUnusable
from gateway.stores.keeper import Keeper
from gateway.stores.sqlite import APPLICATION_ID, SqliteStore
from gateway.stores.sqlite_book import MIGRATIONS

NOON = 1_795_435_200.0  # 2026-11-23 12:00 UTC
QUOTAS = {"tenant:acme": Quota(daily_tokens=10_000)}


async def keeper_on(path: Path) -> Keeper:
    keeper = Keeper(SqliteStore(path), QUOTAS, clock=lambda: NOON, strict=True)
    await keeper.start()
    return keeper


@pytest.fixture
def file_limit() -> Iterator[Any]:
    """Sets the size that files may grow to: whoever writes beyond it is told that there is no space (setrlimit(2), EFBIG)."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    yield lambda size: resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    resource.setrlimit(resource.RLIMIT_FSIZE, before)


async def test_on_a_full_disk_new_leases_are_refused_and_those_in_hand_and_all_that_was_used_are_kept(
    tmp_path: Path, file_limit: Any
) -> None:
    keeper = await keeper_on(tmp_path / "quota.db")
    keeper.settle(await keeper.hold(ACME, 1_000), 70)
    file_limit(4096)  # the first page may be written, and nothing behind it
    keeper.settle(await keeper.hold(ACME, 500), 30)  # in hand
    with pytest.raises(Refused) as refused:
        await keeper.hold(ACME, 9_000)
    assert (refused.value.code, keeper.healthy) == ("store_unavailable", False)
    keeper.settle(await keeper.hold(ACME, 500), 5)
    file_limit(resource.RLIM_INFINITY)
    await until(lambda: keeper.healthy)
    keeper.settle(await keeper.hold(ACME, 9_000), 1)
    assert await keeper.close()
    keeper = await keeper_on(tmp_path / "quota.db")
    assert [(view.used, view.leased) for view in keeper.accounts(ACME)] == [(106, 0), (106, 0)]
    await keeper.close()


class Unsynced(sqlite3.Connection):
    """A connection whose commits fail like a disk that does not sync: `failing` times, before or after they took effect."""

    failing = 0
    after = False

    def execute(self, sql: str, *values: Any) -> sqlite3.Cursor:
        if sql != "COMMIT" or not Unsynced.failing:
            return super().execute(sql, *values)
        Unsynced.failing -= 1
        if Unsynced.after:
            super().execute(sql)
        raise sqlite3.OperationalError("disk I/O error")


@pytest.mark.parametrize("after", [False, True])
async def test_a_commit_of_which_nobody_knows_whether_it_is_durable_acts_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, after: bool
) -> None:
    connect = sqlite3.connect

    def unsynced(*args: Any, **more: Any) -> sqlite3.Connection:
        return connect(*args, factory=Unsynced, **more)

    monkeypatch.setattr("gateway.stores.sqlite.sqlite3.connect", unsynced)
    monkeypatch.setattr(Unsynced, "after", after)
    monkeypatch.setattr(Unsynced, "failing", 0)
    keeper = await keeper_on(tmp_path / "quota.db")
    hold = await keeper.hold(ACME, 1_000)
    Unsynced.failing = 3
    keeper.settle(hold, 400)
    await until(lambda: keeper.counts["store_losses"])
    await until(lambda: keeper.healthy and not keeper._wallet.unsettled)
    assert Unsynced.failing == 0
    assert await keeper.close()
    monkeypatch.undo()
    keeper = await keeper_on(tmp_path / "quota.db")
    assert [(view.used, view.leased) for view in keeper.accounts(ACME)] == [(400, 0), (400, 0)]
    await keeper.close()


async def test_a_file_damaged_while_running_is_away_and_the_next_start_says_why(tmp_path: Path) -> None:
    path = tmp_path / "quota.db"
    told: list[str] = []
    keeper = Keeper(SqliteStore(path), QUOTAS, clock=lambda: NOON, on_event=lambda event: told.append(repr(event)))
    await keeper.start()
    keeper.settle(await keeper.hold(ACME, 100), 70)
    await until(lambda: not keeper._wallet.unsettled)
    store = keeper._pump.store
    assert isinstance(store, SqliteStore)
    await asyncio.get_running_loop().run_in_executor(store._thread, store._drop)  # whatever it has in memory is gone
    content = bytearray(path.read_bytes())
    for at in range(4096, len(content), 256):
        content[at : at + 128] = b"\xff" * 128
    path.write_bytes(content)
    with pytest.raises(Refused) as refused:
        await keeper.hold(ACME, 9_000)
    assert refused.value.code == "store_unavailable"
    assert any("damaged" in line and str(path) in line for line in told), told
    keeper._pump._task.cancel()  # type: ignore[union-attr]
    await store.close()
    with pytest.raises(StoreUnusable, match="damaged"):
        await SqliteStore(path).open()


async def test_a_database_of_the_first_release_opens_with_its_figures(tmp_path: Path) -> None:
    path = tmp_path / "quota.db"
    with sqlite3.connect(path) as db:
        db.executescript(MIGRATIONS[0])
        db.execute("CREATE TABLE migrations (version INTEGER PRIMARY KEY, applied_at TEXT NOT NULL)")
        db.execute("INSERT INTO migrations VALUES (1, '2026-10-01 00:00:00')")
        db.execute(f"PRAGMA application_id = {APPLICATION_ID}")
        row = ("tenant:acme", "tokens", "2026-11-23", 10_000, 3, 7_600, 500, 0, 0, 0, 9)
        db.execute(f"INSERT INTO accounts VALUES ({','.join('?' * 11)})", row)
        lease = ("old", "tenant:acme", "tokens", "2026-11-23", 500, 0, 0)
        db.execute("INSERT INTO leases VALUES (?,?,?,?,?,?,?)", lease)
        db.execute("INSERT INTO holders VALUES ('old', 'another boot', '', 1, 1, 0, 4, x'', 'live')")
    db.close()
    keeper = await keeper_on(path)
    daily = keeper.accounts(ACME)[0]
    assert (daily.used, daily.limit, daily.leased) == (7_600 + 500, 10_000, 0), "with what the dead one had leased"
    assert [alert.threshold_percent for alert in keeper.alerts(ACME)] == [75]
    assert await keeper.close()
    with sqlite3.connect(path) as db:
        versions = [version for (version,) in db.execute("SELECT version FROM migrations ORDER BY version")]
    db.close()
    assert versions == list(range(1, len(MIGRATIONS) + 1))


async def test_a_migration_that_fails_leaves_the_file_as_it_was(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "quota.db"
    keeper = await keeper_on(path)
    keeper.settle(await keeper.hold(ACME, 100), 70)
    assert await keeper.close()
    broken = "CREATE TABLE more (x INTEGER); CREATE TABLE accounts (again INTEGER)"
    monkeypatch.setattr("gateway.stores.sqlite.MIGRATIONS", (*MIGRATIONS, broken))
    with pytest.raises(Exception, match="already exists") as raised:
        await SqliteStore(path).open()
    assert str(path) in str(raised.value)
    monkeypatch.undo()
    keeper = await keeper_on(path)
    assert keeper.accounts(ACME)[0].used == 70
    await keeper.close()


def test_the_release_of_a_schema_is_never_changed() -> None:
    with sqlite3.connect(":memory:") as db:
        db.executescript(MIGRATIONS[0])
        names = {name for (name,) in db.execute("SELECT name FROM sqlite_master WHERE name NOT LIKE 'sqlite_%'")}
        columns = [row[1] for row in db.execute("PRAGMA table_info(holders)")]
    db.close()
    tables = {"accounts", "leases", "holders", "alerts", "audits"}
    assert names == tables | {"accounts_by_version", "leases_by_account", "alerts_by_period", "alerts_pending"}
    assert columns == ["id", "boot", "space", "pid", "started", "beat_at", "seq", "reply", "state"]


def test_a_note_is_changed_in_one_step_and_one_that_is_missing_is_empty(tmp_path: Path) -> None:
    async def story() -> list[bytes]:
        store = SqliteStore(tmp_path / "quota.db")
        await store.open()
        seen = [await store.note("a", lambda old: old + b"x") for _ in range(3)]
        seen.append(await store.note("b", lambda old: old))
        await store.close()
        return seen

    assert asyncio.run(story()) == [b"x", b"xx", b"xxx", b""]
