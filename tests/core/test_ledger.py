"""The quota ledger, one command after the other. Time is a number; the rows live in memory."""

from __future__ import annotations

import pytest

from gateway.core.ledger import FORGET_S, apply
from gateway.core.ledger_commands import (
    Accounts,
    Alerts,
    Arrive,
    Ask,
    Audits,
    Delivered,
    Give,
    Holders,
    Op,
    Open,
    Orphan,
    Outbox,
    Reap,
    Recalls,
    Refuse,
    Reset,
    Settle,
    Stale,
    Standing,
    Sync,
    Synced,
)
from gateway.core.ledger_rows import Account, Key, Process, day_bounds, day_of, level, reset_at, window_of
from gateway.stores.memory import MemoryBook

NOON = 1_795_435_200.0  # 2026-11-23 12:00 UTC
DAY = Key("tenant:acme", "tokens", "2026-11-23")
MONTH = Key("tenant:acme", "tokens", "2026-11")


class Ledger:
    """A ledger in memory with a few holders that count their own sequence numbers."""

    def __init__(self) -> None:
        self.book = MemoryBook()
        self.now = NOON
        self.seq: dict[str, int] = {}

    def run(self, command: object) -> object:
        changes, reply = apply(self.book, command, self.now)  # type: ignore[arg-type]
        self.book.write(changes)
        return reply

    def sync(self, *ops: Op, by: str = "a", notify: bool = False, leave: bool = False) -> Synced:
        self.seq[by] = self.seq.get(by, 0) + 1
        reply = self.run(Sync(by, self.seq[by], ops, (75, 90, 100), notify, leave))
        assert isinstance(reply, Synced)
        return reply

    def day(self) -> Account:
        account = self.book.account(DAY)
        assert account is not None
        return account


@pytest.fixture
def ledger() -> Ledger:
    return Ledger()


def mine(reply: Synced, key: Key = DAY) -> int:
    return next(standing.mine for standing in reply.standings if standing.key == key)


# ---------------------------------------------------------------- leases


def test_a_lease_far_from_the_limit_is_what_was_wanted(ledger: Ledger) -> None:
    reply = ledger.sync(Open(DAY, 1_000_000), Ask(DAY, need=500, want=20_500))
    assert reply.standings == [Standing(DAY, 1_000_000, 1, 0, 20_500, 20_500, 1)]


def test_a_lease_near_the_limit_takes_only_a_share_of_what_is_left_beyond_the_need(ledger: Ledger) -> None:
    ledger.sync(by="b")
    reply = ledger.sync(Open(DAY, 1_000), Ask(DAY, need=200, want=1_000))
    assert mine(reply) == 200 + 800 // (4 * 2)  # two holders


def test_a_lease_at_the_very_end_is_exactly_what_is_left(ledger: Ledger) -> None:
    ledger.sync(Open(DAY, 1_000), Settle(DAY, 900, 0))
    assert mine(ledger.sync(Ask(DAY, need=100, want=500))) == 100
    assert mine(ledger.sync(Ask(DAY, need=1, want=500))) == 100
    assert (ledger.day().settled, ledger.day().leased) == (900, 100)


def test_less_than_needed_is_granted_when_there_is_less_so_that_some_of_the_waiting_fit(ledger: Ledger) -> None:
    ledger.sync(Open(DAY, 1_000))
    assert mine(ledger.sync(Ask(DAY, need=5_000, want=6_000))) == 1_000


def test_an_account_without_a_limit_leases_nothing_and_counts_everything(ledger: Ledger) -> None:
    reply = ledger.sync(Open(DAY, None), Ask(DAY, 10, 20), Settle(DAY, 70, 0))
    assert (mine(reply), ledger.day().settled, ledger.day().leased) == (0, 70, 0)


def test_settling_moves_usage_out_of_the_lease(ledger: Ledger) -> None:
    ledger.sync(Open(DAY, 1_000), Ask(DAY, 400, 400))
    ledger.sync(Settle(DAY, used=150, covered=150, estimated=20, suspect=5))
    day = ledger.day()
    assert (day.settled, day.leased, day.estimated, day.suspect) == (150, 250, 20, 5)


def test_what_was_used_beyond_the_lease_is_charged_in_full(ledger: Ledger) -> None:
    ledger.sync(Open(DAY, 1_000), Ask(DAY, 400, 400))
    reply = ledger.sync(Settle(DAY, used=1_500, covered=400))
    assert (ledger.day().settled, ledger.day().leased) == (1_500, 0)
    assert [row.threshold for row in reply.alerts] == [75, 90, 100]


def test_a_store_that_was_replaced_gives_back_no_more_than_it_leased(ledger: Ledger) -> None:
    ledger.sync(Open(DAY, 1_000), Ask(DAY, 100, 100))
    ledger.sync(Give(DAY, 700), Settle(DAY, 30, 30))
    assert (ledger.day().leased, ledger.day().settled) == (0, 30)


def test_an_unmet_need_recalls_the_leases_of_others_until_they_answer(ledger: Ledger) -> None:
    ledger.sync(Open(DAY, 1_000), Ask(DAY, 900, 900), by="rich")
    assert mine(ledger.sync(Ask(DAY, 300, 300), by="poor")) == 100
    assert ledger.run(Recalls("rich")) == [DAY]
    assert ledger.run(Recalls("poor")) == []
    assert ledger.sync(Settle(DAY, 10, 10), by="rich").recalled == [DAY]
    assert ledger.sync(Give(DAY, 600), by="rich").recalled == []
    assert mine(ledger.sync(Ask(DAY, 200, 200), by="poor")) == 300


def test_scraps_that_help_no_request_stay_where_all_can_have_them(ledger: Ledger) -> None:
    ledger.sync(Open(DAY, 1_000), Ask(DAY, 600, 600, least=300), by="one")
    ledger.sync(Ask(DAY, 900, 900, least=300), by="other")  # 400 are left: enough for one of its three
    assert ledger.day().leased == 1_000
    assert ledger.run(Recalls("one")) == [DAY]
    assert mine(ledger.sync(Give(DAY, 100), Ask(DAY, 600, 600, least=300), by="other")) == 300
    assert mine(ledger.sync(Give(DAY, 250), Ask(DAY, 300, 300, least=300), by="one")) == 350 + 300
    assert ledger.day().leased == 950


# ---------------------------------------------------------------- repeats


def test_nothing_smaller_than_a_request_is_leased_beyond_need(ledger: Ledger) -> None:
    assert mine(ledger.sync(Open(DAY, 800), Ask(DAY, 200, 400, least=200))) == 200, "its share of 600 would be 150"
    assert mine(ledger.sync(Ask(DAY, 100, 200, least=100))) == 200 + 100 + 100


def test_a_command_that_comes_again_acts_once_and_gets_the_same_reply(ledger: Ledger) -> None:
    command = Sync("a", 7, (Open(DAY, 1_000), Settle(DAY, 800, 0)), (75,))
    first = ledger.run(command)
    assert ledger.run(command) == first
    assert ledger.day().settled == 800


def test_a_command_that_comes_after_a_later_one_does_nothing(ledger: Ledger) -> None:
    ledger.run(Sync("a", 8, (Settle(DAY, 10, 0),)))
    assert ledger.run(Sync("a", 7, (Settle(DAY, 10, 0),))) == Stale(8)
    assert ledger.day().settled == 10


def test_a_late_repeat_of_a_holder_that_left_does_nothing(ledger: Ledger) -> None:
    ledger.run(Sync("a", 1, (Settle(DAY, 10, 0),)))
    ledger.run(Sync("a", 2, leave=True))
    assert ledger.run(Sync("a", 1, (Settle(DAY, 10, 0),))) == Stale(2)
    assert ledger.day().settled == 10


# ---------------------------------------------------------------- limits, alerts, resets


def test_a_changed_limit_begins_a_new_epoch_and_the_same_limit_does_not(ledger: Ledger) -> None:
    ledger.sync(Open(DAY, 1_000))
    ledger.sync(Open(DAY, 1_000), by="b")
    assert ledger.day().epoch == 1
    ledger.sync(Open(DAY, 2_000))
    assert (ledger.day().limit, ledger.day().epoch) == (2_000, 2)
    ledger.sync(Open(DAY, None))
    assert (ledger.day().limit, ledger.day().epoch) == (None, 3)


def test_each_crossing_fires_once_however_often_usage_is_settled(ledger: Ledger) -> None:
    ledger.sync(Open(DAY, 1_000))
    fired = [[row.threshold for row in ledger.sync(Settle(DAY, 249, 0)).alerts] for _ in range(5)]
    assert fired == [[], [], [], [75, 90], [100]]


def test_an_alert_tells_what_was_used_of_what_and_when(ledger: Ledger) -> None:
    (row,) = ledger.sync(Open(DAY, 1_000), Settle(DAY, 750, 0), notify=True).alerts
    assert row.id == "tenant:acme|2026-11-23|75|1"
    assert (row.used, row.limit, row.at, row.pending) == (750, 1_000, NOON, True)


def test_one_token_less_than_the_threshold_fires_nothing(ledger: Ledger) -> None:
    assert ledger.sync(Open(DAY, 1_000), Settle(DAY, 749, 0)).alerts == []


def test_the_first_refusal_fires_the_hundred_percent_alert_and_the_next_one_does_not(ledger: Ledger) -> None:
    ledger.sync(Open(DAY, 1_000), Settle(DAY, 700, 0))
    assert [row.threshold for row in ledger.sync(Refuse(DAY)).alerts] == [100]
    assert ledger.sync(Refuse(DAY)).alerts == []
    assert [row.threshold for row in ledger.sync(Settle(DAY, 300, 0)).alerts] == [75, 90]


def test_a_lowered_limit_fires_what_is_crossed_already(ledger: Ledger) -> None:
    ledger.sync(Open(DAY, 1_000), Settle(DAY, 460, 0))
    assert [row.id for row in ledger.sync(Open(DAY, 500)).alerts] == [
        "tenant:acme|2026-11-23|75|2",
        "tenant:acme|2026-11-23|90|2",
    ]


def test_a_reset_returns_the_account_as_it_was_and_lets_alerts_fire_again(ledger: Ledger) -> None:
    ledger.sync(Open(DAY, 1_000), Ask(DAY, 100, 100), Settle(DAY, 800, 0))
    reply = ledger.sync(Reset(DAY, "by the operator"))
    assert [(row.settled, row.leased) for row in reply.before] == [(800, 100)]
    assert (ledger.day().settled, ledger.day().leased) == (0, 100)
    assert [row.threshold for row in ledger.sync(Settle(DAY, 800, 0)).alerts] == [75]
    (line,) = [line for line in ledger.run(Audits()) if line.action == "reset"]  # type: ignore[attr-defined]
    assert (line.key, line.amount, line.note, line.at) == (DAY, 800, "by the operator", NOON)


def test_a_reset_of_an_account_that_nobody_used_makes_none(ledger: Ledger) -> None:
    assert ledger.sync(Reset(DAY)).before == []
    assert ledger.book.account(DAY) is None


def test_the_outbox_keeps_an_alert_until_it_is_delivered(ledger: Ledger) -> None:
    ledger.sync(Open(DAY, 1_000), Settle(DAY, 950, 0), notify=True)
    first, second = ledger.run(Outbox())  # type: ignore[misc]
    ledger.run(Delivered(first.id))
    ledger.run(Delivered(first.id))
    assert ledger.run(Outbox()) == [second]


def test_alerts_without_a_webhook_do_not_wait_for_one(ledger: Ledger) -> None:
    ledger.sync(Open(DAY, 1_000), Settle(DAY, 950, 0), notify=False)
    assert ledger.run(Outbox()) == []
    assert len(ledger.run(Alerts("2026-11"))) == 2  # type: ignore[arg-type]


# ---------------------------------------------------------------- holders that die


def test_a_dead_holder_is_charged_its_whole_lease(ledger: Ledger) -> None:
    ledger.sync(Open(DAY, 1_000), Ask(DAY, 300, 300), by="dead")
    reply = ledger.sync(Reap(gone=("dead",)))
    assert reply.orphans == [Orphan("dead", DAY, 300)]
    day = ledger.day()
    assert (day.settled, day.leased, day.orphaned) == (300, 0, 300)
    assert ledger.sync(Reap(gone=("dead",))).orphans == []


def test_a_charge_for_the_dead_fires_the_alerts_it_crosses(ledger: Ledger) -> None:
    ledger.sync(Open(DAY, 1_000), Ask(DAY, 800, 800), by="dead")
    assert [row.threshold for row in ledger.sync(Reap(gone=("dead",))).alerts] == [75]


def test_a_holder_without_a_heartbeat_is_dead(ledger: Ledger) -> None:
    ledger.sync(Open(DAY, 1_000), Ask(DAY, 300, 300), by="silent")
    ledger.now += 30
    assert ledger.sync(Reap(after_s=30)).orphans == []
    ledger.now += 1
    assert ledger.sync(Reap(after_s=30)).orphans == [Orphan("silent", DAY, 300)]


def test_nobody_reaps_itself(ledger: Ledger) -> None:
    ledger.sync(Open(DAY, 1_000), Ask(DAY, 300, 300))
    ledger.now += 1_000
    assert ledger.sync(Reap(gone=("a",), after_s=30)).orphans == []


def test_a_holder_that_was_taken_for_dead_gets_its_lease_back_and_nothing_is_charged_twice(ledger: Ledger) -> None:
    ledger.sync(Open(DAY, 1_000), Ask(DAY, 300, 300), by="sleeper")
    ledger.sync(Reap(gone=("sleeper",)))
    assert mine(ledger.sync(Settle(DAY, 120, 120), by="sleeper")) == 180
    day = ledger.day()
    assert (day.settled, day.leased, day.orphaned) == (120, 180, 0)


def test_a_reset_forgives_what_a_dead_holder_was_charged(ledger: Ledger) -> None:
    ledger.sync(Open(DAY, 1_000), Ask(DAY, 300, 300), by="sleeper")
    ledger.sync(Reap(gone=("sleeper",)))
    ledger.sync(Reset(DAY))
    ledger.sync(Settle(DAY, 120, 120), by="sleeper")
    assert (ledger.day().settled, ledger.day().leased, ledger.day().orphaned) == (120, 0, 0)


def test_a_holder_that_leaves_is_charged_what_it_did_not_give_back(ledger: Ledger) -> None:
    ledger.sync(Open(DAY, 1_000), Ask(DAY, 300, 300))
    reply = ledger.sync(Settle(DAY, 50, 50), Give(DAY, 150), leave=True)
    assert reply.orphans == [Orphan("a", DAY, 100)]
    assert (ledger.day().settled, ledger.day().leased) == (150, 0)


def test_the_dead_are_forgotten_after_a_week_and_their_charge_stays(ledger: Ledger) -> None:
    ledger.sync(Open(DAY, 1_000), Ask(DAY, 300, 300), by="dead")
    ledger.sync(Reap(gone=("dead",)))
    ledger.now += FORGET_S + 1
    ledger.sync(Reap(after_s=1e9))
    assert [holder.id for holder in ledger.run(Holders())] == ["a"]  # type: ignore[attr-defined]
    assert (ledger.day().settled, ledger.book.leases_of("dead")) == (300, [])


def test_a_holder_introduces_itself(ledger: Ledger) -> None:
    me = Process("boot", "pid:[1]", 4711, 99)
    ledger.sync(Arrive(me))
    (holder,) = ledger.run(Holders())  # type: ignore[misc]
    assert (holder.process, holder.state, holder.beat_at) == (me, "live", NOON)


def test_only_rows_written_since_a_version_are_read_again(ledger: Ledger) -> None:
    ledger.sync(Settle(DAY, 1, 0))
    ledger.sync(Settle(MONTH, 2, 0))
    assert [row.key for row in ledger.run(Accounts((DAY.period, MONTH.period), since=1))] == [MONTH]  # type: ignore[attr-defined]
    assert ledger.run(Accounts(("2026-10",))) == []


# ---------------------------------------------------------------- the calendar


@pytest.mark.parametrize(
    ("period", "window", "end"),
    [
        ("2026-11-23", "daily", "2026-11-24"),
        ("2026-12-31", "daily", "2027-01-01"),
        ("2028-02-28", "daily", "2028-02-29"),
        ("2026-11", "monthly", "2026-12-01"),
        ("2026-12", "monthly", "2027-01-01"),
    ],
)
def test_a_period_ends_at_midnight_utc(period: str, window: str, end: str) -> None:
    assert window_of(period) == window
    assert day_of(reset_at(period)) == end
    assert day_of(reset_at(period) - 0.001) != end
    assert day_bounds(reset_at(period))[0] == reset_at(period)


def test_a_threshold_has_a_level() -> None:
    assert [level(percent) for percent in (1, 75, 89, 90, 99, 100)] == [
        "warning",
        "warning",
        "warning",
        "critical",
        "critical",
        "exceeded",
    ]
