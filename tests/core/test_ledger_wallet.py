"""The wallet of one process: what requests reserve and settle in memory, and what the ledger is told of it."""

from __future__ import annotations

import timeit

import pytest
from desk import ACME, BOTH, DAY, MIDNIGHT, MONTH, NOON, Desk

from gateway.core.ledger import apply
from gateway.core.ledger_commands import Ask, Give, Op, Open, Settle, Sync
from gateway.core.ledger_rows import Key
from gateway.core.ledger_views import account_view
from gateway.core.purse import FIRST_BLOCK
from gateway.settings import Quota


@pytest.fixture
def desk() -> Desk:
    return Desk(acme=Quota(daily_tokens=1_000, monthly_tokens=10_000))


def test_nothing_is_held_before_something_is_leased(desk: Desk) -> None:
    assert desk.wallet.take(BOTH, 1, NOON) is None
    assert [type(op) for op in desk.talk(ACME, 100)] == [Open, Ask, Open, Ask]
    assert desk.wallet.take(BOTH, 100, NOON) is not None


def test_a_hold_takes_all_accounts_or_none(desk: Desk) -> None:
    desk.limits["provider:openai"] = Quota(monthly_tokens=50)
    desk.talk(ACME, 500)
    assert desk.wallet.take(BOTH, 100, NOON) is None
    assert [purse.reserved for purse in desk.wallet.current(BOTH, NOON)] == [0, 0, 0, 0]


def test_an_account_without_a_limit_needs_no_lease(desk: Desk) -> None:
    hold = desk.wallet.take(("provider:openai",), 10**9, NOON)
    assert hold is not None
    desk.wallet.settle(hold, 77)
    assert [type(op) for op in desk.talk()] == [Open, Settle, Open, Settle]
    assert desk.settled(Key("provider:openai", "tokens", "2026-11-23")) == 77


def test_what_is_settled_shows_at_once_and_reaches_the_ledger_once(desk: Desk) -> None:
    hold = desk.take(100)
    desk.wallet.settle(hold, 60)
    day = desk.wallet.purse(DAY)
    assert (day.spent, day.reserved, desk.settled()) == (60, 0, 0)
    assert Settle(DAY, 60, 60) in desk.talk()
    assert (day.spent, desk.settled()) == (60, 60)
    assert desk.talk() == ()


def test_room_counts_idle_lease_as_room(desk: Desk) -> None:
    hold = desk.take(100)
    assert desk.leased() > 100
    assert desk.wallet.purse(DAY).room == 900
    desk.wallet.settle(hold, 30)
    assert desk.wallet.purse(DAY).room == 970


def test_room_does_not_count_what_others_leased(desk: Desk) -> None:
    command = Sync("other", 1, (Open(DAY, 1_000), Ask(DAY, 400, 400)))
    desk.book.write(apply(desk.book, command, NOON)[0])
    desk.take(100)
    assert desk.wallet.purse(DAY).room == 500


def test_usage_beyond_the_reservation_leaves_other_reservations_leased(desk: Desk) -> None:
    first = desk.take(500)
    second = desk.take(500)
    desk.wallet.settle(first, 800)
    desk.talk()
    assert (desk.settled(), desk.leased()) == (800, 500)
    desk.wallet.settle(second, 500)
    desk.talk()
    view = account_view(desk.wallet.purse(DAY))
    assert (view.used, view.remaining, view.overdraft, desk.leased()) == (1_300, 0, 300, 0)


def test_each_scope_is_charged_its_own(desk: Desk) -> None:
    hold = desk.take(100, BOTH)
    desk.wallet.settle_each(hold, {"tenant:acme": 90, "provider:openai": 40, "tenant:house": 7})
    spent = {key.scope: purse.spent for key, purse in desk.wallet.purses.items() if key.period == "2026-11-23"}
    assert spent == {"tenant:acme": 90, "provider:openai": 40, "tenant:house": 7}
    assert not hold.open


def test_a_failed_provider_gives_its_reservation_back_and_another_joins(desk: Desk) -> None:
    desk.limits["provider:openai"] = desk.limits["provider:gemini"] = Quota(daily_tokens=1_000)
    hold = desk.take(100, BOTH)
    desk.wallet.release(hold, ("provider:openai",), used=5)
    assert not desk.wallet.extend(hold, ("provider:gemini",))
    desk.talk(("provider:gemini",), 100)
    assert desk.wallet.extend(hold, ("provider:gemini",))
    desk.wallet.settle_each(hold, {"tenant:acme": 50, "provider:gemini": 45})
    day = {key.scope: purse for key, purse in desk.wallet.purses.items() if key.period == "2026-11-23"}
    assert {scope: (purse.spent, purse.reserved) for scope, purse in day.items()} == {
        "tenant:acme": (50, 0),
        "provider:openai": (5, 0),
        "provider:gemini": (45, 0),
    }


def test_a_request_belongs_to_the_day_in_which_it_was_reserved(desk: Desk) -> None:
    desk.now = MIDNIGHT - 0.1
    hold = desk.take(100)
    desk.now = MIDNIGHT + 5
    tomorrow = desk.take(10)
    desk.wallet.settle(hold, 80)
    desk.wallet.settle(tomorrow, 10)
    desk.talk()
    assert desk.settled(DAY) == 80
    assert desk.settled(Key("tenant:acme", "tokens", "2026-11-24")) == 10
    assert desk.settled(MONTH) == 90


def test_a_provider_that_joins_after_midnight_joins_the_day_of_the_hold(desk: Desk) -> None:
    desk.now = MIDNIGHT - 0.1
    hold = desk.take(100)
    desk.now = MIDNIGHT + 5
    desk.take(10)
    assert desk.wallet.extend(hold, ("provider:openai",))
    assert {purse.key.period for purse in hold.purses} == {"2026-11-23", "2026-11"}


def test_purses_of_yesterday_go_when_they_are_empty(desk: Desk) -> None:
    hold = desk.take(100)
    desk.now = MIDNIGHT
    desk.wallet.turn(desk.now)
    assert DAY in desk.wallet.purses
    desk.wallet.settle(hold, 100)
    for _ in range(3):
        desk.wallet.sweep(desk.now)
        desk.talk()
    desk.now += 86_400
    desk.wallet.turn(desk.now)
    assert DAY not in desk.wallet.purses
    assert (desk.settled(), desk.leased()) == (100, 0)


def test_a_clock_that_steps_back_goes_back_to_the_day_before(desk: Desk) -> None:
    desk.now = MIDNIGHT + 1
    desk.take(10)
    desk.now = MIDNIGHT - 1
    assert {purse.key.period for purse in desk.take(10).purses} == {"2026-11-23", "2026-11"}


def test_what_lay_idle_between_two_sweeps_goes_back_and_what_was_used_stays(desk: Desk) -> None:
    desk.wallet.settle(desk.take(100), 0)
    in_hand = desk.leased()
    desk.wallet.sweep(desk.now)
    desk.wallet.settle(desk.take(100), 0)
    desk.wallet.sweep(desk.now)  # between these two, all but 100 lay idle
    assert Give(DAY, in_hand - 100) in desk.talk()
    desk.wallet.sweep(desk.now)
    assert Give(DAY, 100) in desk.talk()
    assert desk.leased() == 0


def busy(desk: Desk, seconds: int, tokens_per_s: int) -> int:
    """Traffic on a scope, a flush each quarter of a second; returns how many holds found no lease in hand."""
    short = 0
    for _ in range(seconds * 4):
        for _ in range(10):
            amount = tokens_per_s // 40
            hold = desk.wallet.take(ACME, amount, desk.now)
            short += hold is None
            desk.wallet.settle(hold or desk.take(amount), amount)
        desk.now += 0.25
        desk.talk()
    return short


def test_steady_traffic_never_waits_for_lease_after_its_first_second() -> None:
    desk = Desk(acme=Quota(daily_tokens=10**12))
    busy(desk, 1, 4_000_000)
    assert busy(desk, 3, 4_000_000) == 0
    assert desk.leased() <= 3 * 4_000_000, "a second of traffic or so, not more"


def test_lease_asked_for_ahead_goes_back_when_traffic_ends() -> None:
    desk = Desk(acme=Quota(daily_tokens=10**12))
    busy(desk, 2, 400_000)
    for _ in range(3):
        desk.now += 2
        desk.wallet.sweep(desk.now)
        desk.talk()
    assert desk.leased() == 0


def test_nothing_is_asked_for_ahead_while_others_want_it(desk: Desk) -> None:
    busy(desk, 1, 400)
    desk.wallet.recall([DAY])
    desk.talk()
    desk.wallet.settle(desk.take(100), 100)
    desk.now += 0.25
    assert not any(isinstance(op, Ask) and op.key == DAY for op in desk.talk())


def test_near_the_limit_only_a_share_is_leased_ahead() -> None:
    desk = Desk(acme=Quota(daily_tokens=10_000))
    busy(desk, 1, 4_000)
    left = 10_000 - desk.settled()
    assert desk.leased() <= left // 2


def test_a_recall_returns_what_is_free_and_keeps_what_is_reserved(desk: Desk) -> None:
    desk.take(100)
    desk.wallet.recall([DAY])
    desk.talk()
    assert desk.leased() == 100


def test_a_lowered_limit_holds_from_the_next_request_on(desk: Desk) -> None:
    hold = desk.take(100)
    assert desk.wallet.purse(DAY).free > 0
    desk.limits["tenant:acme"] = Quota(daily_tokens=150)
    desk.wallet.set_limits(desk.wallet.quota_of)
    assert desk.wallet.take(ACME, 60, NOON) is None
    desk.talk(ACME, 60)
    assert desk.wallet.take(ACME, 60, NOON) is None
    desk.talk(ACME, 50)
    assert desk.wallet.take(ACME, 50, NOON) is not None
    desk.wallet.settle(hold, 100)
    desk.talk()
    assert desk.settled() == 100


def test_a_lifted_limit_lets_everything_in_and_returns_the_lease(desk: Desk) -> None:
    hold = desk.take(100)
    desk.limits["tenant:acme"] = Quota()
    desk.wallet.set_limits(desk.wallet.quota_of)
    assert desk.wallet.take(ACME, 10**6, NOON) is not None
    desk.wallet.settle(hold, 40)
    desk.talk()
    assert (desk.settled(), desk.leased()) == (40, 0)


def test_a_limit_that_comes_while_calls_are_in_flight_leases_what_they_hold(desk: Desk) -> None:
    desk.limits["tenant:acme"] = Quota()
    hold = desk.take(300)
    desk.limits["tenant:acme"] = Quota(daily_tokens=1_000)
    desk.wallet.set_limits(desk.wallet.quota_of)
    assert desk.wallet.take(ACME, 1, NOON) is None
    desk.talk(ACME, 1)
    assert desk.leased() >= 301
    desk.wallet.settle(hold, 300)
    desk.talk()
    assert desk.settled() == 300


def test_two_processes_with_different_limits_do_not_overwrite_each_other_for_ever(desk: Desk) -> None:
    desk.take(10)
    desk.book.write(apply(desk.book, Sync("other", 1, (Open(DAY, 777),)), NOON)[0])
    desk.wallet.load(desk.book.accounts(("2026-11-23",), 0))
    assert not desk.wallet.outdated
    assert not any(isinstance(op, Open) for _ in range(2) for op in desk.talk(ACME, 900))


def test_an_answer_that_was_lost_leaves_nothing_to_settle_twice(desk: Desk) -> None:
    desk.wallet.settle(desk.take(100), 60)
    ops = tuple(desk.wallet.collect({}, NOON))
    late = desk.wallet.take(ACME, 10, NOON)  # between sending and the answer
    assert late is not None
    desk.wallet.settle(late, 5)
    desk.confirm(ops)
    desk.talk()
    assert desk.settled() == 65


def test_blocks_grow_while_a_process_asks_again_and_again_and_shrink_when_it_is_quiet() -> None:
    desk = Desk(acme=Quota(daily_tokens=10**9))

    def block() -> int:
        hold = desk.take(desk.wallet.purse(DAY).free + 1_000)
        desk.wallet.settle(hold, hold.tokens)
        return next(op.want - op.need for op in asked if isinstance(op, Ask) and op.key == DAY)

    asked: tuple[Op, ...] = ()
    talk = desk.talk

    def listen(wanted: tuple[str, ...] = (), tokens: int = 0) -> tuple[Op, ...]:
        nonlocal asked
        asked = talk(wanted, tokens)
        return asked

    desk.talk = listen  # type: ignore[method-assign]
    sizes = [block() for _ in range(6)]
    assert sizes == sorted(sizes) and sizes[-1] >= 16 * sizes[0]
    desk.now += 60
    assert block() <= FIRST_BLOCK


def test_reserve_and_settle_over_four_accounts_take_microseconds() -> None:
    desk = Desk(acme=Quota(daily_tokens=10**12, monthly_tokens=10**12))
    desk.talk(ACME, 10**9)

    def once() -> None:
        hold = desk.wallet.take(BOTH, 500, NOON)
        assert hold is not None
        desk.wallet.settle(hold, 100)

    best = min(timeit.repeat(once, number=2_000, repeat=5)) / 2_000
    assert best < 20e-6  # measured 2 us; the rest is room for a busy machine


def test_lease_on_its_way_back_is_not_spent_when_a_limit_changes_meanwhile(desk: Desk) -> None:
    desk.wallet.settle(desk.take(100), 0)
    desk.wallet.recall([DAY])
    ops = tuple(desk.wallet.collect({}, NOON))
    desk.limits["tenant:acme"] = Quota(daily_tokens=5_000, monthly_tokens=10_000)
    desk.wallet.set_limits(desk.wallet.quota_of)
    assert desk.wallet.take(ACME, 100, NOON) is None
    desk.confirm(ops)
    assert desk.leased() == 0
