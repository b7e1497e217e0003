"""Breakers that share their circuits through the ledger: three processes, time is a number."""

from __future__ import annotations

import pytest

from gateway.core.board import GRANT_S, Board
from gateway.core.breaker import PATIENCE_S, Breaker
from gateway.core.ledger import apply
from gateway.core.ledger_commands import Circuits, CircuitState, Stale, Sync, Synced
from gateway.stores.memory import MemoryBook

X = "x https://api.x"


class Worker:
    """One process: a breaker, its board, and the transactions it makes."""

    def __init__(self, book: MemoryBook, name: str) -> None:
        self.book = book
        self.name = name
        self.seq = 0
        self.breaker = Breaker(failures=5, open_s=60, probe_lease_s=30)
        self.board = Board()
        self.board.watch({X: self.breaker})

    def sync(self, now: float, others: bool = True) -> None:
        self.seq += 1
        changes, reply = apply(self.book, Sync(self.name, self.seq, tuple(self.board.collect())), now)
        self.book.write(changes)
        assert isinstance(reply, Synced) and not isinstance(reply, Stale)
        self.board.confirm(reply.circuits, self.name, others, now)

    def call(self, now: float, succeeds: bool | None) -> bool:
        """Whether a call was let through; None: it told nothing."""
        ticket = self.breaker.admit(now)
        if ticket is None:
            return False
        if succeeds is None:
            self.breaker.neutral(ticket, now)
        elif succeeds:
            self.breaker.success(ticket, now)
        else:
            self.breaker.failure(ticket, now)
        return True


@pytest.fixture
def workers() -> list[Worker]:
    book = MemoryBook()
    workers = [Worker(book, name) for name in "abc"]
    for worker in workers:
        worker.sync(0)
    return workers


def tripped(workers: list[Worker]) -> None:
    for _ in range(5):
        workers[0].call(1, succeeds=False)
    for worker in workers:
        worker.sync(1)


def test_what_opens_in_one_process_is_open_in_all(workers: list[Worker]) -> None:
    tripped(workers)
    assert [worker.breaker.state(60.9) for worker in workers] == ["open"] * 3
    assert [worker.call(60.9, succeeds=True) for worker in workers] == [False] * 3
    assert [worker.breaker.retry_at(31) for worker in workers] == [30] * 3


def test_a_process_that_starts_later_finds_it_open(workers: list[Worker]) -> None:
    tripped(workers)
    late = Worker(workers[0].book, "late")
    late.sync(2)
    assert late.breaker.state(60) == "open" and late.breaker.state(61) == "half_open"


def test_half_open_all_processes_together_send_one_probe(workers: list[Worker]) -> None:
    tripped(workers)
    probes = 0
    for step in range(100):
        now = 61 + step / 10
        for worker in workers:
            ticket = worker.breaker.admit(now)  # the probe never reports
            probes += ticket is not None
        for worker in workers:
            worker.sync(now)
    assert probes == 1


def test_a_probe_that_succeeds_closes_it_for_all(workers: list[Worker]) -> None:
    tripped(workers)
    a, b, c = workers
    assert not b.call(61, succeeds=True)  # it asks for the right, and goes elsewhere
    b.sync(61)
    assert [worker.call(61.1, succeeds=True) for worker in (a, c, b)] == [False, False, True]
    for worker in (b, a, c):
        worker.sync(61.2)
    assert [worker.breaker.state(61.2) for worker in workers] == ["closed"] * 3
    assert a.call(61.3, succeeds=True)
    assert a.book.circuits() == []


def test_a_probe_that_fails_opens_it_for_all_for_another_minute(workers: list[Worker]) -> None:
    tripped(workers)
    a, b, _ = workers
    b.call(61, succeeds=True)
    b.sync(61)
    assert b.call(61, succeeds=False)
    for worker in (b, *workers):
        worker.sync(61)
    assert [worker.breaker.retry_at(61) for worker in workers] == [60] * 3
    assert a.book.circuits()[0].probe == ""


def test_a_probe_that_told_nothing_leaves_the_right_to_others(workers: list[Worker]) -> None:
    tripped(workers)
    a, b, _ = workers
    b.call(61, succeeds=True)
    b.sync(61)
    assert b.call(61, succeeds=None)
    b.sync(61)
    a.sync(61)
    assert not a.call(61, succeeds=True)
    a.sync(61)
    assert a.call(61, succeeds=True)


def test_a_right_that_nobody_uses_falls_to_others_after_seconds_and_a_probe_under_way_is_kept(
    workers: list[Worker],
) -> None:
    tripped(workers)
    a, b, c = workers
    b.call(61, succeeds=True)
    b.sync(61)
    for worker in (a, c):
        worker.call(61 + GRANT_S, succeeds=True)
        worker.sync(61 + GRANT_S)
    assert a.breaker.admit(61 + GRANT_S) is not None
    a.sync(61 + GRANT_S)
    later = 61 + 2 * GRANT_S  # the probe takes longer than the right to it lasted
    c.sync(later)
    c.call(later, succeeds=True)
    c.sync(later)
    assert not c.call(later, succeeds=True)


def test_without_the_store_each_process_probes_for_itself(workers: list[Worker]) -> None:
    tripped(workers)
    a = workers[0]
    assert not a.call(61, succeeds=True)
    assert not a.call(61 + PATIENCE_S - 0.1, succeeds=True)
    assert a.call(61 + PATIENCE_S, succeeds=True)
    assert a.breaker.state(63) == "closed"


def test_a_process_alone_probes_at_once_and_needs_nobody(workers: list[Worker]) -> None:
    tripped(workers)
    a = workers[0]
    a.sync(60, others=False)
    assert a.call(61, succeeds=None) and a.call(61, succeeds=True)
    a.board.confirm([CircuitState(X, 60.0, "", 0.0)], a.name, False, 61)
    assert a.breaker.state(61) == "closed"


def test_a_process_alone_remembers_what_was_open_before_its_start(workers: list[Worker]) -> None:
    tripped(workers)
    again = Worker(workers[0].book, "again")
    again.sync(31, others=False)
    assert again.breaker.retry_at(31) == 30


def test_a_late_success_from_before_it_opened_elsewhere_closes_nothing(workers: list[Worker]) -> None:
    b = workers[1]
    ticket = b.breaker.admit(0.5)
    assert ticket is not None
    tripped(workers)
    b.breaker.success(ticket, 2)
    b.sync(2)
    assert (b.breaker.state(2), b.board.restless) == ("open", False)


def test_news_that_are_not_told_yet_are_not_overruled_by_what_was_said_before(workers: list[Worker]) -> None:
    a = workers[0]
    for _ in range(5):
        a.call(1, succeeds=False)
    a.board.confirm([], a.name, True, 1)  # an answer that crossed our news
    assert a.breaker.state(1) == "open"
    a.sync(1)
    assert a.breaker.state(1) == "open"


def test_a_second_trip_does_not_prolong_the_first(workers: list[Worker]) -> None:
    for worker, now in zip(workers, (1, 5, 9), strict=True):
        for _ in range(5):
            worker.call(now, succeeds=False)
    for worker, now in zip(workers, (1, 5, 9), strict=True):
        worker.sync(now)
    _, told = apply(workers[0].book, Circuits(), 11)
    assert told == [CircuitState(X, 50.0, "", 0.0)]
