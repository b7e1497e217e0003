"""What a client is told when a budget has no room: whose, how much, and what helps. In dollars."""

from __future__ import annotations

import pytest

from gateway.core.ledger_rows import MICROUSD, Key
from gateway.core.ledger_views import Reason, Refused, account_view
from gateway.core.purse import Purse
from gateway.core.verdict import refused
from gateway.errors import GatewayError, QuotaExceeded, QuotaReserved, StoreUnavailable

NOON = 1_795_435_200.0  # 2026-11-23 12:00 UTC


def told(reason: Reason, cost: int, used: int = 0, reserved: int = 0, period: str = "2026-11-23") -> GatewayError:
    purse = Purse(Key("tenant:acme", MICROUSD, period), 5_000_000)
    purse.settled, purse.reserved = used, reserved
    return refused(Refused(reason, cost, account_view(purse)), NOON)


def test_a_spent_budget_is_said_to_be_spent() -> None:
    error = told("exceeded", 1_000, used=5_000_000)
    assert isinstance(error, QuotaExceeded)
    assert error.message == (
        "The daily budget of tenant acme (5.00 USD) is spent; it starts anew at 2026-11-24 00:00 UTC, and an operator can "
        "raise it."
    )
    assert error.retry_after_s == 12 * 3600


def test_a_budget_with_too_little_left_says_how_little() -> None:
    error = told("exceeded", 300_000, used=4_880_000, period="2026-11")
    assert isinstance(error, QuotaExceeded)
    assert error.message == (
        "This request may cost 0.30 USD, and 0.12 USD are left of the monthly budget of tenant acme (5.00 USD). Set a smaller "
        "max_tokens, shorten the input, ask for a cheaper model, or wait until 2026-12-01 00:00 UTC."
    )


def test_a_request_dearer_than_the_budget_is_told_that_waiting_does_not_help() -> None:
    error = told("too_large", 7_000_001)
    assert isinstance(error, QuotaExceeded)
    assert error.message == (
        "This request alone may cost 7.000001 USD, more than the whole daily budget of tenant acme (5.00 USD). Set a smaller "
        "max_tokens, shorten the input, or ask for a cheaper model."
    )
    assert error.retry_after_s is None


def test_money_that_calls_in_flight_hold_comes_back_in_a_moment() -> None:
    error = told("reserved", 900_000, used=1_500_000, reserved=3_000_000)
    assert isinstance(error, QuotaReserved)
    assert error.message == (
        "Calls in flight hold what is left of the daily budget of tenant acme (5.00 USD): 1.50 USD are spent and 3.00 USD "
        "reserved, and this request may cost 0.90 USD. Try again in a second, or set a smaller max_tokens."
    )
    assert error.retry_after_s == 1.0


def test_a_store_that_is_away_is_no_matter_of_money() -> None:
    assert isinstance(told("unavailable", 1), StoreUnavailable)


@pytest.mark.parametrize("reason", ["exceeded", "too_large", "reserved"])
def test_the_log_speaks_of_dollars_too(reason: Reason) -> None:
    purse = Purse(Key("tenant:acme", MICROUSD, "2026-11-23"), 5_000_000)
    message = str(Refused(reason, 250_000, account_view(purse)))
    assert message.startswith("the daily budget of tenant:acme ")
    assert "0.25 USD" in message
    assert "token" not in message
