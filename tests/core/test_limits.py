"""Rate limits, with numbers as time."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.core.limits import Gcra, Refusal, TenantLimits, duration
from gateway.errors import ConcurrencyExceeded, RateLimitExceeded


def test_a_whole_minutes_allowance_may_be_spent_at_once():
    bucket = Gcra(60)
    assert [bucket.take(0) for _ in range(60)] == [0.0] * 60
    assert bucket.take(0) == pytest.approx(1.0)


def test_what_was_spent_comes_back_evenly():
    bucket = Gcra(60)
    bucket.take(0, 60)
    assert bucket.take(0.5) == pytest.approx(0.5)
    assert bucket.take(1.0) == 0.0
    assert bucket.take(1.0) > 0
    assert bucket.take(11.0, 10) == 0.0


def test_a_refusal_charges_nothing():
    bucket = Gcra(10)
    bucket.take(0, 10)
    waits = [bucket.take(0, 3) for _ in range(5)]
    assert waits == [pytest.approx(18.0)] * 5


def test_the_wait_it_names_is_enough_and_not_a_moment_too_long():
    bucket = Gcra(7)
    bucket.take(3, 7)
    wait = bucket.take(3, 2)
    assert bucket.take(3 + wait - 0.01, 2) > 0
    assert bucket.take(3 + wait, 2) == 0.0


def test_remaining_and_reset_tell_what_is_left_and_when_all_is_back():
    bucket = Gcra(60)
    assert (bucket.remaining(5), bucket.reset_s(5)) == (60, 0.0)
    bucket.take(5, 45)
    assert (bucket.remaining(5), bucket.reset_s(5)) == (15, 45.0)
    assert (bucket.remaining(15), bucket.reset_s(15)) == (25, 35.0)
    assert (bucket.remaining(500), bucket.reset_s(500)) == (60, 0.0)


def test_what_was_not_used_is_given_back_and_what_was_used_beyond_is_charged():
    bucket = Gcra(100)
    bucket.take(0, 80)
    bucket.give_back(70)
    assert bucket.remaining(0) == 90
    bucket.give_back(-90)
    assert bucket.remaining(0) == 0
    assert bucket.take(0) > 0


def test_giving_back_never_saves_more_than_a_minute():
    bucket = Gcra(100)
    bucket.take(0, 50)
    bucket.give_back(50)
    bucket.give_back(50)
    assert bucket.remaining(0) == 100
    assert bucket.take(0, 100) == 0.0
    assert bucket.take(0, 1) > 0


def test_more_than_the_whole_allowance_waits_for_a_full_bucket_and_leaves_a_debt():
    bucket = Gcra(60)
    bucket.take(0, 10)
    assert bucket.take(0, 120) == pytest.approx(10.0)
    assert bucket.take(10, 120) == 0.0
    assert bucket.take(10, 1) == pytest.approx(61.0)


takes = st.lists(st.tuples(st.floats(0, 20), st.integers(1, 12)), min_size=1, max_size=120)


@given(st.integers(12, 90), takes)
def test_no_window_of_a_minute_ever_sees_more_than_what_was_saved_and_what_came_back(per_minute, story):
    bucket, now = Gcra(per_minute), 0.0
    admitted: list[tuple[float, int]] = []
    for delay, cost in story:
        now += delay
        if not bucket.take(now, cost):
            admitted.append((now, cost))
    for start, _ in admitted:
        for end in (start + 10, start + 60):
            came_back = per_minute * (end - start) / 60
            assert sum(cost for at, cost in admitted if start <= at <= end) <= per_minute + came_back + 1e-3


@given(st.integers(12, 90), takes)
def test_everyone_who_waits_as_told_is_served(per_minute, story):
    bucket, now = Gcra(per_minute), 0.0
    for delay, cost in story:
        now += delay
        wait = bucket.take(now, cost)
        if wait:
            assert wait <= 60 + 1e-9  # floats
            now += wait
            assert bucket.take(now, cost) == 0.0
        assert 0 <= bucket.remaining(now) <= per_minute


def test_a_tenant_without_limits_is_always_admitted():
    limits = TenantLimits(None, None, None)
    assert all(limits.admit(0, 10**9) is None for _ in range(1000))
    assert limits.headers(0) == []


def test_a_refused_call_is_charged_by_none_of_its_limits():
    limits = TenantLimits(requests_per_minute=10, tokens_per_minute=100, concurrency=5)
    assert limits.admit(0, 100) is None
    refusal = limits.admit(0, 1)
    assert refusal is not None and refusal.reason == "tokens"
    assert limits.running == 1
    assert dict(limits.headers(0))["x-ratelimit-remaining-requests"] == "9"


def test_a_call_over_the_request_limit_is_not_charged_its_tokens():
    limits = TenantLimits(requests_per_minute=1, tokens_per_minute=100)
    limits.admit(0, 10)
    refusal = limits.admit(0, 10)
    assert refusal is not None and (refusal.reason, refusal.wait_s) == ("requests", pytest.approx(60.0))
    assert dict(limits.headers(0))["x-ratelimit-remaining-tokens"] == "90"


def test_only_so_many_calls_run_at_once_and_each_end_makes_room_for_one():
    limits = TenantLimits(concurrency=2)
    assert limits.admit(0, 1) is None
    assert limits.admit(0, 1) is None
    refusal = limits.admit(0, 1)
    assert refusal is not None and refusal.reason == "concurrency"
    limits.done(1, 1)
    assert limits.admit(0, 1) is None
    assert limits.admit(0, 1) is not None


def test_tokens_are_settled_when_the_call_ends():
    limits = TenantLimits(tokens_per_minute=1000)
    limits.admit(0, 900)
    limits.done(900, 100)
    assert dict(limits.headers(0))["x-ratelimit-remaining-tokens"] == "900"
    assert limits.admit(0, 900) is None


def test_the_figures_are_written_as_openai_writes_them():
    limits = TenantLimits(requests_per_minute=60, tokens_per_minute=6000)
    limits.admit(0, 150)
    assert limits.headers(0) == [
        ("x-ratelimit-limit-requests", "60"),
        ("x-ratelimit-remaining-requests", "59"),
        ("x-ratelimit-reset-requests", "1s"),
        ("x-ratelimit-limit-tokens", "6000"),
        ("x-ratelimit-remaining-tokens", "5850"),
        ("x-ratelimit-reset-tokens", "1.5s"),
    ]


def test_a_rate_refusal_names_the_limit_and_the_wait():
    error = Refusal("tokens", 6000, 1.2).error()
    assert isinstance(error, RateLimitExceeded)
    assert "6000 tokens per minute" in error.message and "try again in 1.2s" in error.message
    assert error.retry_after_s == 1.2


def test_a_concurrency_refusal_is_a_429_of_its_own():
    error = Refusal("concurrency", 7, 1.0).error()
    assert isinstance(error, ConcurrencyExceeded)
    assert (error.status, error.code) == (429, "concurrency_exceeded")
    assert "7 running" in error.message


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0s"),
        (0.0001, "1ms"),
        (0.34, "340ms"),
        (1, "1s"),
        (1.1, "1.1s"),
        (1.21, "1.3s"),
        (59.99, "1m0s"),
        (61.5, "1m1.5s"),
        (360, "6m0s"),
    ],
)
def test_durations_are_rounded_up_so_that_no_client_comes_too_early(seconds, text):
    assert duration(seconds) == text
