"""The wallet's second unit: money is held with the tokens, ends with its attempt, and stays with the day of its call."""

from __future__ import annotations

import timeit
from decimal import Decimal

import pytest

from gateway.core.ledger import apply
from gateway.core.ledger_commands import Ask, Op, Settle, Sync, Synced
from gateway.core.ledger_rows import MICROUSD, AlertRow, Key
from gateway.core.purse import BLOCKS, Purse, Wanted
from gateway.core.wallet import Cost, Hold, Wallet
from gateway.settings import Budget, Quota
from gateway.stores.memory import MemoryBook

NOON = 1_795_435_200.0  # 2026-11-23 12:00 UTC
MIDNIGHT = NOON + 12 * 3600
ACME = ("tenant:acme",)
CALL = ("tenant:acme", "provider:x")
DAY, MONTH = (Key("tenant:acme", MICROUSD, period) for period in ("2026-11-23", "2026-11"))


class Desk:
    """A wallet, and the ledger that it asks for whatever a call needs."""

    def __init__(self, dollars: str) -> None:
        budgets = {"tenant:acme": Budget(daily_usd=Decimal(dollars), monthly_usd=Decimal(dollars))}
        quotas = {"tenant:acme": Quota(daily_tokens=1_000)}
        self.wallet = Wallet(lambda scope: quotas.get(scope, Quota()), lambda scope: budgets.get(scope, Budget()))
        self.book = MemoryBook()
        self.seq = 0

    def talk(self, tokens: int = 0, microusd: int = 0, now: float = NOON) -> list[Op]:
        wanted = {purse: Wanted(tokens, tokens) for purse in self.wallet.current(ACME, now)} if tokens else {}
        if microusd:
            wanted |= {purse: Wanted(microusd, microusd) for purse in self.wallet.current(ACME, now, MICROUSD)}
        ops = self.wallet.collect(wanted, now)
        self.seq += 1
        changes, reply = apply(self.book, Sync("me", self.seq, tuple(ops)), now)
        self.book.write(changes)
        assert isinstance(reply, Synced)
        self.wallet.confirm(reply, now)
        return ops

    def take(self, tokens: int, microusd: int, now: float = NOON) -> Hold | None:
        cost = Cost(microusd, ACME)
        hold = self.wallet.take(CALL, tokens, now, cost)
        if hold is None:
            self.talk(tokens, microusd, now)
            hold = self.wallet.take(CALL, tokens, now, cost)
        return hold

    def purse(self, key: Key = DAY) -> Purse:
        return self.wallet.purses[key]


@pytest.fixture
def desk() -> Desk:
    return Desk("0.01")


def test_money_is_held_with_the_tokens_or_neither_is(desk: Desk) -> None:
    assert desk.take(100, 10_001) is None, "dearer than the budget"
    assert desk.take(1_001, 1) is None, "larger than the quota"
    assert {purse.reserved for purse in desk.wallet.purses.values()} == {0}
    hold = desk.take(1_000, 10_000)
    assert hold is not None
    assert (hold.tokens, hold.money and hold.money.microusd) == (1_000, 10_000)
    assert {purse.reserved for purse in desk.wallet.current(ACME, NOON)} == {1_000}
    assert (desk.purse().reserved, desk.purse(MONTH).reserved) == (10_000, 10_000)


def test_what_was_spent_reaches_the_ledger_once_in_its_own_unit(desk: Desk) -> None:
    hold = desk.take(100, 9_000)
    assert hold is not None
    desk.wallet.settle(hold, 40, 1_234)
    settles = [(op.key.unit, op.used) for op in desk.talk() if isinstance(op, Settle) and op.key.scope == "tenant:acme"]
    assert settles == [(MICROUSD, 1_234)] * 2 + [("tokens", 40)] * 2
    assert [op for op in desk.talk() if isinstance(op, Settle)] == []
    account = desk.book.account(DAY)
    assert account is not None
    assert account.settled == 1_234


def test_an_attempt_that_failed_gives_its_money_back_less_what_it_cost_and_keeps_its_tokens(desk: Desk) -> None:
    hold = desk.take(100, 9_000)
    assert hold is not None
    desk.wallet.release(hold, ("provider:x",), 0, 500)
    assert hold.money is None
    assert (desk.purse().reserved, desk.purse().used, desk.purse().room) == (0, 500, 9_500)
    assert desk.wallet.current(ACME, NOON)[0].reserved == 100
    assert not desk.wallet.extend(hold, ("provider:y",), Cost(9_501, ACME)), "500 are spent of 10,000"
    assert hold.scopes == ACME
    assert desk.wallet.extend(hold, ("provider:y",), Cost(8_500, ACME))
    desk.wallet.settle(hold, 30, 8_000)
    assert (desk.purse().used, desk.purse().reserved) == (8_500, 0)


def test_the_money_of_a_later_attempt_stays_with_the_day_of_the_call(desk: Desk) -> None:
    hold = desk.take(100, 1_000, MIDNIGHT - 1)
    assert hold is not None
    desk.wallet.release(hold, ("provider:x",), 0, 100)
    desk.wallet.turn(MIDNIGHT + 1)
    assert desk.wallet.extend(hold, ("provider:y",), Cost(500, ACME))
    desk.wallet.settle(hold, 30, 400)
    assert desk.purse(DAY).used == 500
    assert Key("tenant:acme", MICROUSD, "2026-11-24") not in desk.wallet.purses


def test_money_is_leased_in_blocks_of_its_own() -> None:
    desk = Desk("1000")
    desk.talk(1, 1_000_000)
    asked = [(op.key.unit, op.want - op.need) for op in desk.talk(1, 5_000_000) if isinstance(op, Ask)]
    assert {unit for unit, _ in asked} == {MICROUSD}, "of tokens a block is in hand"
    assert all(beyond <= BLOCKS[MICROUSD][1] for _, beyond in asked)
    assert BLOCKS[MICROUSD] > BLOCKS["tokens"]


def test_the_id_of_an_alert_names_the_unit_of_a_budget_alone() -> None:
    tokens = Key("tenant:acme", "tokens", "2026-11-23")
    assert AlertRow(tokens, 75, 1, 0, 0, 0.0).id == "tenant:acme|2026-11-23|75|1"
    assert AlertRow(DAY, 75, 1, 0, 0, 0.0).id == "tenant:acme|2026-11-23|75|1|microusd"


def test_holding_and_settling_both_units_takes_microseconds() -> None:
    desk = Desk("1000")
    desk.talk(900, 900_000_000)
    cost = Cost(10_000, ACME)

    def once() -> None:
        hold = desk.wallet.take(CALL, 500, NOON, cost)
        assert hold is not None
        desk.wallet.settle(hold, 0, 1)

    best = min(timeit.repeat(once, number=1_000, repeat=5)) / 1_000
    assert best < 50e-6  # measured 5 us; the rest is room for a busy machine
