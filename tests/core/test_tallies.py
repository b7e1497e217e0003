"""The figures of providers: counted by each process, summed by the store, of one day."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.core.tallies import MAX_TOLD, Tallies, decoded, merged

DAY, NEXT = "2026-11-28", "2026-11-29"


def counting(day: str = DAY) -> Tallies:
    tallies = Tallies()
    tallies.turn(day)
    return tallies


def count(tallies: Tallies, requests: int, tenant: str = "acme") -> None:
    for tally in (tallies.own("openai"), tallies.own("openai", tenant)):
        tally.requests += requests
        tally.successes += requests
        tally.latency_us += 2_000 * requests


def exchange(tallies: Tallies, stored: bytes) -> bytes:
    stored = merged(stored, tallies.collect(), tallies.day)
    tallies.confirm(stored)
    return stored


def shown(tallies: Tallies, tenant: str = "") -> int:
    return tallies.shown("openai", tenant).requests


def test_two_processes_show_the_sum_of_both() -> None:
    one, other = counting(), counting()
    count(one, 3)
    count(other, 4, "globex")
    stored = exchange(other, exchange(one, b""))
    exchange(one, stored)
    assert [shown(each) for each in (one, other)] == [7, 7]
    assert [(shown(each, "acme"), shown(each, "globex")) for each in (one, other)] == [(3, 4), (3, 4)]
    assert one.shown("openai").public(9) == {
        "requestCount": 7,
        "successCount": 7,
        "errorCount": 0,
        "averageLatency": 2.0,
        "dailyTokens": 9,
        "errorRate": 0.0,
    }


def test_what_is_on_its_way_is_shown_and_told_once() -> None:
    tallies = counting()
    count(tallies, 3)
    on_its_way = tallies.collect()
    count(tallies, 2)
    assert shown(tallies) == 5
    tallies.confirm(merged(b"", on_its_way, DAY))
    assert shown(tallies) == 5
    assert decoded(exchange(tallies, merged(b"", on_its_way, DAY))).rows["openai"][2] == 5


def test_what_the_store_did_not_take_is_told_again() -> None:
    tallies = counting()
    count(tallies, 3)
    tallies.collect()
    count(tallies, 1)
    tallies.failed()
    assert (shown(tallies), tallies.fresh) == (4, True)
    assert decoded(exchange(tallies, b"")).rows["openai"][2] == 4
    assert not tallies.fresh


def test_a_day_begins_with_nothing_for_everybody() -> None:
    early, late = counting(), counting()
    count(early, 3)
    stored = exchange(early, b"")
    early.turn(NEXT)
    assert shown(early) == 0
    count(early, 1)
    stored = exchange(early, stored)
    count(late, 5)  # still yesterday there: its clock is behind
    assert merged(stored, late.collect(), DAY) == stored
    late.failed()
    late.turn(NEXT)
    exchange(late, stored)
    assert (shown(early), shown(late)) == (1, 1)


@pytest.mark.parametrize("stored", [b"", b"\x00", b"{}", b"\xff" * 50, merged(b"", {"a": [1]}, DAY)])
def test_what_cannot_be_read_counts_as_nothing(stored: bytes) -> None:
    tallies = counting()
    count(tallies, 3)
    exchange(tallies, stored)
    assert shown(tallies) == 3


def test_the_store_keeps_the_busiest() -> None:
    rows = {f"t{n}/p": [0, 0, n, 0, 0, 0] for n in range(MAX_TOLD + 5)}
    kept = decoded(merged(b"", rows, DAY)).rows
    assert len(kept) == MAX_TOLD and "t0/p" not in kept and f"t{MAX_TOLD + 4}/p" in kept


@given(st.lists(st.tuples(st.integers(0, 2), st.sampled_from(["count", "tell", "lose", "fail"]), st.integers(1, 9))))
def test_no_count_is_lost_or_told_twice(story: list[tuple[int, str, int]]) -> None:
    processes, stored, counted = [counting() for _ in range(3)], b"", 0
    for at, what, requests in story:
        if what == "count":
            count(processes[at], requests)
            counted += requests
        elif what == "tell":
            stored = exchange(processes[at], stored)
        else:
            processes[at].collect()
            processes[at].failed()
    for process in processes * 2:
        stored = exchange(process, stored)
    assert [shown(process) for process in processes] == [counted] * 3
