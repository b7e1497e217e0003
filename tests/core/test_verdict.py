"""What a client is told of keys that rest."""

from __future__ import annotations

import pytest

from gateway.core.verdict import RETRY_WITHIN_S, Skip, nobody_left
from gateway.errors import Fault, FaultKind, Next


def fault(kind: FaultKind, wait_s: float | None = None) -> Fault:
    return Fault(kind=kind, next=Next.OTHER, retry_after_s=wait_s)


@pytest.mark.parametrize(
    ("faults", "skips", "code", "wait_s", "again"),
    [
        ([], [Skip("credential", 4.2)], "upstream_auth", 4.2, True),
        ([], [Skip("credential", 290.0), Skip("credential", 25.0)], "upstream_auth", 25.0, True),
        ([], [Skip("credential", RETRY_WITHIN_S)], "upstream_auth", RETRY_WITHIN_S, True),
        ([], [Skip("credential", 60.5)], "upstream_auth", 60.5, False),
        ([], [Skip("credential", 5.0), Skip("breaker", 2.0)], "no_provider_available", 2.0, True),
        ([], [Skip("credential", 5.0), Skip("provider_quota", 9000.0)], "no_provider_available", 5.0, True),
        ([], [Skip("breaker", 2.0)], "no_provider_available", 2.0, False),
        ([fault("auth", 1.0)], [], "upstream_auth", 1.0, True),
        ([fault("auth", 125.0)], [], "upstream_auth", 125.0, False),
        ([fault("auth", 125.0)], [Skip("credential", 3.0)], "upstream_auth", 3.0, True),
        ([fault("server_error")], [Skip("credential", 1.0)], "upstream_error", 1.0, True),
        ([fault("auth", 1.0), fault("overloaded", 30.0)], [], "upstream_overloaded", 1.0, True),
        ([fault("forbidden", 8.0)], [], "upstream_auth", None, False),
        ([fault("forbidden"), fault("auth", 5.0)], [], "upstream_auth", 5.0, True),
    ],
)
def test_the_first_key_that_is_back_soon_is_a_reason_to_come_again(faults, skips, code, wait_s, again):
    error = nobody_left(faults, skips, "gpt-5.4", [])
    assert (error.code, error.retry_after_s, error.should_retry) == (code, wait_s, again)


def test_a_clients_own_mistake_is_not_mended_by_waiting_for_a_key():
    error = nobody_left([fault("auth", 1.0), fault("model_missing")], [], "gpt-5.4", [])
    assert error.code == "upstream_auth"
    error = nobody_left([Fault(kind="bad_request", next=Next.STOP)], [Skip("credential", 1.0)], "gpt-5.4", [])
    assert (error.status, error.retry_after_s, error.should_retry) == (400, None, None)
