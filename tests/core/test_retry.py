"""What faults lead to."""

from __future__ import annotations

from typing import get_args

import pytest

from gateway import errors
from gateway.core.retry import (
    EFFECT,
    MAX_PAUSE_S,
    REFUSED_S,
    RetryBudget,
    client_error,
    cooldown_s,
    deciding,
    pause_s,
)
from gateway.errors import Fault, FaultKind, Next


def fault(kind: FaultKind, next: Next = Next.OTHER, **more: object) -> Fault:
    return Fault(kind=kind, next=next, **more)  # type: ignore[arg-type]


def test_every_kind_of_fault_has_its_row():
    assert set(EFFECT) == set(get_args(FaultKind))


@pytest.mark.parametrize(
    ("effect", "kinds"),
    [
        (
            "failure",
            "connect reset first_byte_timeout idle_timeout total_timeout server_error overloaded bad_reply empty error_event truncated",
        ),
        ("neutral", "rate_limited quota_exhausted auth forbidden gone deadline stopping"),
        (
            "healthy",
            "bad_request context_overflow model_missing wrong_endpoint replay_mismatch parameter_refused signature_missing",
        ),
    ],
)
def test_the_breaker_hears_of_each_kind_what_it_must(effect, kinds):
    assert {kind for kind in EFFECT if EFFECT[kind].breaker == effect} == set(kinds.split())


@pytest.mark.parametrize(
    ("kind", "asked", "rest"),
    [
        ("rate_limited", None, 5),
        ("rate_limited", 12.5, 12.5),
        ("rate_limited", 86400, 300),
        ("rate_limited", -1, 5),
        ("auth", None, 1),
        ("auth", 0.006, 1),
        ("auth", 250, 1),
        ("forbidden", 250, 0),
        ("quota_exhausted", None, 300),
        ("quota_exhausted", 0.006, 300),
        ("quota_exhausted", 1800, 1800),
        ("quota_exhausted", 10**6, 3600),
        ("server_error", 30, 0),
        ("bad_request", None, 0),
        ("gone", None, 0),
    ],
)
def test_a_credential_rests_as_long_as_the_vendor_asks_within_bounds(kind, asked, rest):
    assert cooldown_s(fault(kind, retry_after_s=asked)) == rest


def test_a_key_that_stays_refused_rests_longer_each_time_up_to_five_minutes():
    assert REFUSED_S == (1, 5, 25, 125, 300)
    assert [cooldown_s(fault("auth"), before) for before in range(5)] == list(REFUSED_S)
    assert cooldown_s(fault("auth"), 10_000) == 300
    assert cooldown_s(fault("rate_limited"), 3) == cooldown_s(fault("rate_limited"))


@pytest.mark.parametrize(
    ("kind", "status", "code"),
    [
        ("connect", 502, "upstream_unreachable"),
        ("reset", 502, "upstream_unreachable"),
        ("first_byte_timeout", 504, "upstream_timeout"),
        ("idle_timeout", 504, "upstream_timeout"),
        ("total_timeout", 504, "upstream_timeout"),
        ("server_error", 502, "upstream_error"),
        ("overloaded", 503, "upstream_overloaded"),
        ("rate_limited", 429, "rate_limit_exceeded"),
        ("auth", 502, "upstream_auth"),
        ("forbidden", 502, "upstream_auth"),
        ("model_missing", 404, "model_not_found"),
        ("context_overflow", 400, "context_length_exceeded"),
        ("bad_request", 400, "invalid_request"),
        ("wrong_endpoint", 400, "invalid_request"),
        ("replay_mismatch", 400, "invalid_request"),
        ("parameter_refused", 400, "invalid_request"),
        ("signature_missing", 400, "invalid_request"),
        ("bad_reply", 502, "upstream_invalid_response"),
        ("empty", 502, "upstream_invalid_response"),
        ("truncated", 502, "upstream_invalid_response"),
        ("error_event", 502, "upstream_error"),
        ("deadline", 504, "deadline_exceeded"),
    ],
)
def test_one_fault_becomes_the_error_of_its_class_with_a_message_that_helps(kind, status, code):
    error = client_error([fault(kind)])
    assert (error.status, error.code) == (status, code)
    assert len(error.message) > 30 and error.message.endswith(".")


def test_an_upstream_401_is_never_the_clients_401():
    error = client_error([fault("auth", status=401, log_message="key sk-abc revoked")])
    assert error.status == 502
    assert "sk-abc" not in error.message and "operator" in error.message


def test_what_the_account_may_not_do_is_told_without_the_vendors_words_or_a_wait():
    error = client_error([fault("forbidden", status=403, log_message="no access to file secret", retry_after_s=3.0)])
    assert (error.should_retry, error.retry_after_s) == (False, None)
    assert "secret" not in error.message and "file" in error.message


def test_nobody_was_asked_is_no_provider_available_with_the_time_to_come_back():
    error = client_error([], retry_after_s=42.0)
    assert isinstance(error, errors.NoProviderAvailable)
    assert error.retry_after_s == 42.0
    assert "42s" in error.message
    assert "later" in client_error([]).message


def test_rate_limited_everywhere_is_a_429_that_waits_for_the_soonest():
    error = client_error([fault("rate_limited", retry_after_s=30), fault("rate_limited", retry_after_s=8)])
    assert (error.status, error.retry_after_s, error.should_retry) == (429, 8, True)
    assert "try again in 8s" in error.message


def test_a_skipped_candidate_that_is_back_earlier_sets_the_time():
    error = client_error([fault("rate_limited", retry_after_s=30)], retry_after_s=2.0)
    assert error.retry_after_s == 2.0


def test_a_429_is_only_told_when_nobody_failed_otherwise():
    error = client_error([fault("server_error"), fault("rate_limited")])
    assert error.code == "upstream_error"


def test_spent_accounts_only_are_a_429_that_is_not_worth_a_retry():
    error = client_error([fault("quota_exhausted", status=429, retry_after_s=1200)])
    assert (error.status, error.retry_after_s, error.should_retry) == (429, 1200, False)
    assert "top them up" in error.message
    assert client_error([fault("rate_limited")]).should_retry is True


def test_a_spent_account_beside_a_rate_limit_waits_for_the_rate_limit():
    error = client_error([fault("quota_exhausted", status=429), fault("rate_limited", retry_after_s=3)])
    assert (error.retry_after_s, error.should_retry) == (3, True)


def test_an_unpaid_account_is_the_operators_credential_trouble():
    error = client_error([fault("quota_exhausted", status=402)])
    assert (error.status, error.code) == (502, "upstream_auth")


def test_a_clients_mistake_keeps_the_vendors_words_and_place():
    seen = fault(
        "bad_request",
        Next.STOP,
        status=400,
        safe_message="temperature must be <= 2",
        code="invalid_value",
        param="temperature",
        body=b"{}",
    )
    error = client_error([seen])
    assert (error.status, error.code, error.param) == (400, "invalid_value", "temperature")
    assert (error.message, error.body) == ("temperature must be <= 2", b"{}")


@pytest.mark.parametrize(
    ("status", "seen", "code"),
    [
        (400, 400, "invalid_request"),
        (404, 404, "not_found"),
        (413, 413, "request_too_large"),
        (422, 422, "invalid_request"),
        (418, 400, "invalid_request"),
    ],
)
def test_a_clients_mistake_keeps_its_status_where_clients_know_it(status, seen, code):
    error = client_error([fault("bad_request", Next.STOP, status=status)])
    assert (error.status, error.code, error.type) == (seen, code, "invalid_request_error")


def test_a_missing_model_is_named_as_the_client_wrote_it():
    error = client_error([fault("model_missing")], model="gpt-9")
    assert "'gpt-9'" in error.message and error.param == "model"


@pytest.mark.parametrize(
    ("kinds", "tells"),
    [
        (["server_error", "auth"], 0),
        (["overloaded", "model_missing", "auth"], 0),
        (["server_error", "overloaded"], 1),
        (["auth", "overloaded"], 1),
        (["auth", "model_missing"], 0),
        (["rate_limited", "auth"], 0),
        (["rate_limited", "connect", "rate_limited"], 1),
        (["rate_limited", "rate_limited"], 1),
    ],
)
def test_of_several_faults_the_last_decides_unless_it_is_of_our_configuration(kinds, tells):
    faults = [fault(kind) for kind in kinds]
    assert deciding(faults) is faults[tells]


def test_what_stopped_the_walk_decides():
    faults = [fault("server_error"), fault("bad_request", Next.STOP)]
    assert deciding(faults) is faults[1]


def test_the_trail_travels_with_the_error():
    trail = [{"provider": "openai", "status": 500, "reason": "server_error"}]
    assert client_error([fault("server_error")], attempts=trail).attempts == trail
    assert client_error([], attempts=trail).attempts == trail


def test_the_same_provider_is_asked_again_after_a_short_pause_with_jitter():
    again = fault("server_error", Next.SAME)
    assert pause_s(again, jitter=0.0) == 0.125
    assert pause_s(again, jitter=1.0) == 0.25


def test_a_short_wait_that_a_vendor_asks_for_is_kept():
    assert pause_s(fault("overloaded", Next.SAME, retry_after_s=1.5), jitter=1.0) == 1.5


def test_a_vendor_that_asks_for_a_long_wait_is_not_waited_for():
    assert pause_s(fault("overloaded", Next.SAME, retry_after_s=MAX_PAUSE_S + 0.1), jitter=0.0) is None


def test_nobody_is_asked_again_whose_key_rests_or_whose_fault_says_elsewhere():
    assert pause_s(fault("rate_limited", Next.SAME), jitter=1.0) is None
    assert pause_s(fault("auth", Next.OTHER), jitter=1.0) is None
    assert pause_s(fault("bad_request", Next.STOP), jitter=1.0) is None


def test_a_quiet_provider_may_be_retried_three_times_in_ten_seconds():
    budget = RetryBudget()
    assert [budget.allow(1.0) for _ in range(5)] == [True, True, True, False, False]
    assert budget.allow(10.9) is False
    assert budget.allow(11.0) is True


def test_a_busy_provider_may_be_retried_for_a_fifth_of_its_calls():
    budget = RetryBudget(percent=20)
    for n in range(100):
        budget.note_call(n / 20)
    assert sum(budget.allow(5.0) for _ in range(100)) == 20


def test_traffic_that_left_the_window_no_longer_counts():
    budget = RetryBudget(percent=20)
    for _ in range(100):
        budget.note_call(0.5)
    assert sum(budget.allow(10.5) for _ in range(100)) == 3


def test_a_budget_of_nothing_allows_nothing():
    budget = RetryBudget(percent=0)
    budget.note_call(0)
    assert budget.allow(0) is False


def test_a_dead_provider_sees_at_most_a_fifth_more_calls():
    budget, calls, retries = RetryBudget(percent=20), 0, 0
    for n in range(3000):
        now = n / 50
        budget.note_call(now)
        calls += 1
        retries += budget.allow(now)
    assert retries <= 0.2 * calls + 3


def test_a_clock_that_jumps_back_does_not_lose_count():
    budget = RetryBudget(percent=20)
    for _ in range(100):
        budget.note_call(100.0)
    budget.note_call(40.0)
    assert sum(budget.allow(100.0) for _ in range(100)) == 20
    assert sum(budget.allow(200.0) for _ in range(100)) == 3
