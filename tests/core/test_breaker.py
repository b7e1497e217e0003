"""The breaker's story, told with numbers as time."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from gateway.core.breaker import Breaker


def ticket(breaker: Breaker, now: float) -> int:
    """Admit a call that must be admitted."""
    got = breaker.admit(now)
    assert got is not None
    return got


def tripped(at: float = 0.0) -> Breaker:
    breaker = Breaker(failures=5, open_s=60, probe_lease_s=30)
    for _ in range(5):
        breaker.failure(ticket(breaker, at), at)
    return breaker


def test_it_opens_at_exactly_the_fifth_failure_in_a_row():
    breaker = Breaker(failures=5, open_s=60)
    assert [breaker.failure(ticket(breaker, 0), 0) for _ in range(4)] == [False] * 4
    assert breaker.state(0) == "closed"
    assert breaker.failure(ticket(breaker, 0), 0) is True
    assert breaker.state(0) == "open"
    assert breaker.admit(0) is None
    assert breaker.consecutive_failures == 5


def test_a_success_in_between_starts_the_count_again():
    breaker = Breaker(failures=2)
    breaker.failure(ticket(breaker, 0), 0)
    breaker.success(ticket(breaker, 1), 1)
    assert breaker.failure(ticket(breaker, 2), 2) is False
    assert breaker.state(2) == "closed"


def test_a_neutral_outcome_neither_counts_nor_clears():
    breaker = Breaker(failures=2)
    breaker.failure(ticket(breaker, 0), 0)
    breaker.neutral(ticket(breaker, 1), 1)
    assert breaker.consecutive_failures == 1
    assert breaker.failure(ticket(breaker, 2), 2) is True


def test_it_stays_open_for_a_minute_and_says_how_long_still():
    breaker = tripped(at=100)
    assert breaker.retry_at(100) == 60
    assert breaker.retry_at(130) == 30
    assert breaker.admit(159.9) is None
    assert breaker.state(159.9) == "open"
    assert breaker.state(160) == "half_open"
    assert breaker.retry_at(160) == 0


def test_half_open_lets_one_probe_through_and_no_second():
    breaker = tripped()
    ticket(breaker, 60)
    assert breaker.admit(60) is None
    assert breaker.admit(89) is None
    assert breaker.state(89) == "half_open"
    assert breaker.retry_at(80) == 10


def test_a_probe_that_succeeds_closes_it_for_everybody():
    breaker = tripped()
    breaker.success(ticket(breaker, 60), 61)
    assert breaker.state(61) == "closed"
    assert breaker.consecutive_failures == 0
    assert breaker.retry_at(61) == 0
    assert ticket(breaker, 61) == ticket(breaker, 61)


def test_a_probe_that_fails_opens_it_for_another_minute():
    breaker = tripped()
    assert breaker.failure(ticket(breaker, 60), 70) is True
    assert breaker.admit(129) is None
    assert breaker.consecutive_failures == 6
    ticket(breaker, 130)


def test_a_probe_whose_client_left_gives_its_lease_back():
    breaker = tripped()
    breaker.neutral(ticket(breaker, 60), 61)
    assert breaker.state(61) == "half_open"
    ticket(breaker, 61)
    assert breaker.admit(61) is None


def test_a_probe_that_never_reports_frees_itself():
    breaker = tripped()
    ticket(breaker, 60)
    assert breaker.admit(89.9) is None
    ticket(breaker, 90)


def test_a_probe_that_reports_after_its_lease_was_given_to_another_is_ignored():
    breaker = tripped()
    lost = ticket(breaker, 60)
    current = ticket(breaker, 90)
    breaker.success(lost, 91)
    assert breaker.state(91) == "half_open"
    assert breaker.failure(lost, 92) is False
    breaker.neutral(lost, 93)
    assert breaker.admit(93) is None
    breaker.success(current, 94)
    assert breaker.state(94) == "closed"


def test_a_late_success_from_before_the_trip_does_not_close_it():
    breaker = Breaker(failures=5)
    early = ticket(breaker, 0)
    for _ in range(5):
        breaker.failure(ticket(breaker, 1), 1)
    breaker.success(early, 2)
    assert breaker.state(2) == "open"


def test_late_failures_from_before_the_trip_do_not_lengthen_it():
    breaker = Breaker(failures=2, open_s=60)
    tickets = [ticket(breaker, 0) for _ in range(4)]
    assert [breaker.failure(t, 1) for t in tickets[:2]] == [False, True]
    assert [breaker.failure(t, 50) for t in tickets[2:]] == [False, False]
    assert breaker.consecutive_failures == 2
    ticket(breaker, 61)


def test_failures_of_the_past_do_not_count_after_it_closed_again():
    breaker = Breaker(failures=1, open_s=60)
    early, trip = ticket(breaker, 0), ticket(breaker, 0)
    breaker.failure(trip, 1)
    breaker.success(ticket(breaker, 61), 62)
    assert breaker.failure(early, 63) is False
    assert breaker.state(63) == "closed"


steps = st.lists(
    st.tuples(st.floats(0, 40), st.sampled_from(["success", "failure", "neutral", "silent"]), st.integers(0, 5)),
    max_size=80,
)


@given(steps)
def test_whatever_happens_nothing_is_dispatched_while_open_and_one_probe_runs_while_half_open(story):
    breaker = Breaker(failures=3, open_s=60, probe_lease_s=50)
    now, opened_at = 0.0, None
    pending: list[int] = []
    probe: tuple[int, float] | None = None  # the running probe's ticket and the end of its lease
    for delay, outcome, which in story:
        now += delay
        before = breaker.state(now)
        got = breaker.admit(now)
        if before == "open":
            assert got is None and opened_at is not None and now < opened_at + 60
        elif before == "closed":
            assert got is not None
        elif probe is not None and now < probe[1]:
            assert got is None
        else:
            assert got is not None
            probe = (got, now + 50)
        if got is not None:
            pending.append(got)
        if not pending or outcome == "silent":
            continue
        reported = pending.pop(which % len(pending))
        if outcome == "failure":
            if breaker.failure(reported, now):
                opened_at, probe = now, None
        else:
            getattr(breaker, outcome)(reported, now)
        if probe is not None and reported == probe[0]:
            probe = None


@given(st.lists(st.booleans(), max_size=60))
def test_while_calls_come_one_by_one_it_opens_exactly_at_a_run_of_failures(results):
    breaker = Breaker(failures=5)
    run = 0
    for good in results:
        got = breaker.admit(0)
        assert (got is None) == (run >= 5)
        if got is None:
            continue
        run = 0 if good else run + 1
        if good:
            breaker.success(got, 0)
        else:
            assert breaker.failure(got, 0) is (run == 5)
