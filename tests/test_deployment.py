"""How long a key rests that its vendor refused, and what ends that."""

from __future__ import annotations

from gateway.deployment import Credential
from gateway.errors import Fault, Next

REFUSED = Fault(kind="auth", next=Next.OTHER, status=401)
LIMITED = Fault(kind="rate_limited", next=Next.OTHER, status=429, retry_after_s=40.0)
FORBIDDEN = Fault(kind="forbidden", next=Next.OTHER, status=403)


def refused(times: int) -> tuple[Credential, float]:
    """A key that was refused so often, each time as soon as it was back, and what time it is then."""
    key, now = Credential([]), 100.0
    for _ in range(times):
        now = max(now, key.until)
        key.cool(REFUSED, now, now + 0.1)
        now += 0.1
    return key, now


def test_each_refusal_in_a_row_makes_the_rest_longer():
    rests = []
    for times in range(1, 8):
        key, now = refused(times)
        rests.append(round(key.until - now))
    assert rests == [1, 5, 25, 125, 300, 300, 300]


def test_a_success_ends_the_row():
    key, now = refused(4)
    key.served(key.until + 1)
    assert key.refusals == 0
    now = key.until + 2
    key.cool(REFUSED, now, now)
    assert key.until == now + 1


def test_calls_that_are_refused_together_count_once():
    key = Credential([])
    for ended in (10.1, 10.2, 10.3, 12.5):  # the last one after the rest, but it was sent before
        key.cool(REFUSED, 10.0, ended)
    assert (key.refusals, key.until) == (1, 11.1)


def test_a_success_of_a_call_from_before_the_refusal_tells_about_the_past():
    key, _ = refused(3)
    key.served(99.0)
    assert key.refusals == 3


def test_what_is_not_about_the_key_lets_it_work_on():
    key = Credential([])
    key.cool(FORBIDDEN, 10.0, 11.0)
    assert (key.until, key.refusals, key.bad) == (0.0, 0, False)


def test_a_longer_wait_for_a_rate_limit_is_kept():
    key = Credential([])
    key.cool(LIMITED, 10.0, 11.0)
    key.cool(REFUSED, 10.5, 11.5)
    assert (key.until, key.bad, key.refusals) == (51.0, False, 1)


def test_a_pardon_ends_the_rest_of_a_refused_key_and_of_no_other():
    key, _ = refused(4)
    key.pardon()
    assert (key.until, key.refusals, key.bad) == (0.0, 0, False)
    busy = Credential([])
    busy.cool(LIMITED, 10.0, 11.0)
    busy.pardon()
    assert busy.until == 51.0
