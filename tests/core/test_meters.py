"""Rate limits that processes share through the ledger: time is a number."""

from __future__ import annotations

import pytest

from gateway.core.ledger import apply
from gateway.core.ledger_commands import Reap, Sync, Synced
from gateway.core.limits import TenantLimits
from gateway.core.meters import Meters
from gateway.stores.memory import MemoryBook


class Worker:
    """One process with one tenant's limits, and the transactions it makes."""

    def __init__(self, book: MemoryBook, name: str, requests: int | None = 60, tokens: int | None = 6_000) -> None:
        self.book = book
        self.name = name
        self.seq = 0
        self.limits = TenantLimits(requests, tokens)
        self.meters = Meters()
        self.meters.watch({"acme": self.limits, "free": TenantLimits()})

    def sync(self, now: float, shared: bool = True, reap: bool = False) -> Synced:
        self.seq += 1
        ops = (*self.meters.collect(shared, now), *((Reap(),) if reap else ()))
        changes, reply = apply(self.book, Sync(self.name, self.seq, ops), now + 1e6)
        self.book.write(changes)
        assert isinstance(reply, Synced)
        self.meters.confirm(reply.buckets, now)
        return reply

    def calls(self, count: int, now: float, tokens: int = 1) -> int:
        """So many calls, and how many were let in."""
        return sum(self.limits.admit(now, tokens) is None for _ in range(count))


@pytest.fixture
def pair() -> tuple[Worker, Worker]:
    book = MemoryBook()
    return Worker(book, "a"), Worker(book, "b")


def test_what_one_process_let_in_the_other_does_not(pair: tuple[Worker, Worker]) -> None:
    a, b = pair
    assert (a.calls(40, 0), b.calls(1, 0)) == (40, 1)
    a.sync(0)
    b.sync(0)
    assert b.calls(40, 0) == 19


def test_over_minutes_all_processes_together_let_in_what_the_limit_says(pair: tuple[Worker, Worker]) -> None:
    admitted = 0
    for step in range(4 * 600):
        now = step / 4
        for worker in pair:
            admitted += worker.calls(3, now)
            worker.sync(now)
    assert 600 <= admitted <= 600 + 60 + 60 + 3  # ten minutes, what was saved up, and a first burst in each process


def test_tokens_that_were_not_used_come_back_to_all(pair: tuple[Worker, Worker]) -> None:
    a, b = pair
    assert a.calls(1, 0, tokens=5_000) == 1
    b.calls(1, 0, tokens=1)
    a.sync(0)
    b.sync(0)
    assert b.calls(1, 1, tokens=5_000) == 0
    a.limits.done(5_000, 100)
    a.sync(1)
    b.calls(1, 1, tokens=1)
    b.sync(1)
    assert b.calls(1, 1, tokens=5_000) == 1


def test_what_was_let_in_while_the_answer_was_on_its_way_still_counts(pair: tuple[Worker, Worker]) -> None:
    a, _ = pair
    a.calls(30, 0)
    ops = a.meters.collect(True, 0)
    assert a.calls(20, 0) == 20
    changes, reply = apply(a.book, Sync("a", 1, tuple(ops)), 1e6)
    a.book.write(changes)
    assert isinstance(reply, Synced)
    a.meters.confirm(reply.buckets, 0)
    assert a.calls(60, 0) == 10


def test_a_process_alone_says_nothing_and_later_only_what_is_still_owed(pair: tuple[Worker, Worker]) -> None:
    a, b = pair
    for minute in range(10):
        assert a.calls(60, 60.0 * minute) == 60
        assert a.sync(60.0 * minute, shared=False).buckets == []
    a.sync(570)
    b.calls(1, 570)
    b.sync(570)
    assert b.calls(60, 570) == 29  # thirty of the last sixty have come back, one is b's own


def test_full_buckets_and_limits_without_a_rate_leave_no_trace(pair: tuple[Worker, Worker]) -> None:
    a, _ = pair
    a.calls(1, 0)
    a.sync(0)
    assert a.book.bucket("acme|requests") == 1e6 + 1
    a.sync(100, reap=True)
    assert (a.book.bucket("acme|requests"), a.book.bucket("acme|tokens")) == (None, None)


def test_it_speaks_five_times_a_second_at_most(pair: tuple[Worker, Worker]) -> None:
    a, _ = pair
    spoke = 0
    for step in range(100):
        a.calls(1, step / 100)
        spoke += bool(a.meters.collect(True, step / 100))
    assert 4 <= spoke <= 5
