"""Calls that begin faster than the store answers: the first one waits for lease, and the others find it there."""

from __future__ import annotations

from desk import ACME, DAY, Desk

from gateway.core.ledger_commands import Ask
from gateway.settings import Quota


def burst(desk: Desk, calls: int, amount: int) -> int:
    """Calls that begin one after the other and go on; what is asked for ahead comes in between. How many had to wait."""
    waited = 0
    for _ in range(calls):
        waited += desk.wallet.take(ACME, amount, desk.now) is None and desk.take(amount) is not None
        if desk.wallet.short:
            desk.talk()
    return waited


def test_in_a_burst_only_the_first_call_waits() -> None:
    desk = Desk(acme=Quota(daily_tokens=10**9, monthly_tokens=10**12))
    assert burst(desk, 200, 300) == 1
    assert desk.leased() <= 4 * 200 * 300, "it doubles with the traffic"


def test_calls_that_come_one_by_one_ask_for_nothing_ahead() -> None:
    desk = Desk(acme=Quota(daily_tokens=10**9))
    for _ in range(5):
        desk.wallet.settle(desk.take(300), 300)
        assert not desk.wallet.short
        desk.now += 10
        desk.wallet.sweep(desk.now)
        desk.wallet.sweep(desk.now)
        desk.talk()


def test_where_little_is_left_a_burst_asks_for_nothing_ahead() -> None:
    desk = Desk(acme=Quota(daily_tokens=300 * 63))
    held = [desk.take(300) for _ in range(20)]
    assert not desk.wallet.short and len(held) == 20


def test_a_burst_asks_for_nothing_ahead_while_others_want_it() -> None:
    desk = Desk(acme=Quota(daily_tokens=10**9))
    desk.take(300)
    desk.wallet.recall([DAY])
    desk.talk()
    while not desk.wallet.short:
        desk.take(300)
    assert not any(isinstance(op, Ask) for op in desk.talk())
