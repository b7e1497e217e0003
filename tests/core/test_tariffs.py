"""What is reserved in money is never less than what a call within its tokens costs, for every model of the shipped price list."""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from gateway.core.ledger_views import usd
from gateway.core.pricing import Price, PriceBook, Rates, Tier, cost_microusd, prices_from
from gateway.core.tariffs import READ, Tariffs, affordable_tokens, most_microusd, spent_microusd
from gateway.core.tokens import output_estimate
from gateway.settings import Budget
from gateway.types import Modalities, Usage

BOOK = prices_from(yaml.safe_load((Path(__file__).parents[2] / "config" / "prices.yaml").read_text()))
PRICES = [
    pytest.param(price, id=f"{family}/{model}/{price.since}")
    for family in ("openai", "anthropic", "gemini")
    for model in BOOK.ids(family)
    for price in BOOK.steps(family, model)
]
CLAUDE = Price(rates=Rates(input=3_000_000, output=15_000_000, cache_read=300_000, cache_write=3_750_000))
TIERED = Price(
    rates=Rates(input=2_500_000, output=15_000_000),
    tiers=(Tier(272_000, Rates(input=5_000_000, output=22_500_000)),),
)
RATES = st.integers(1, 10**9)


@st.composite
def prices(draw: st.DrawFn) -> Price:
    """Any price: with or without rates of its own for cached tokens, and tiers that may even be cheaper."""
    optional = st.none() | RATES

    def rates() -> Rates:
        others = {kind: draw(optional) for kind in (*READ, "output_audio")}
        return Rates(input=draw(RATES), output=draw(RATES), **others)

    limits = sorted(draw(st.sets(st.integers(1, 2_000), max_size=3)))
    return Price(rates=rates(), tiers=tuple(Tier(above, rates()) for above in limits))


@st.composite
def within(draw: st.DrawFn, most: int = 3_000) -> tuple[int, int, Usage]:
    """The bounds of a reservation, and a use that stays within them."""
    bound, cap = draw(st.integers(0, most)), draw(st.integers(0, most))
    given_, made = draw(st.integers(0, bound)), draw(st.integers(0, cap))
    read = draw(st.integers(0, given_))
    write = draw(st.integers(0, given_ - read))
    usage = Usage(given_, made, read, write, total=given_ + made, cache_write_1h=draw(st.integers(0, write)))
    if draw(st.booleans()):
        heard, cached, said = (Modalities(audio=draw(st.integers(0, most_))) for most_ in (given_, read, made))
        usage = replace(usage, input_by=heard, read_by=cached, output_by=said)
    return bound, cap, usage


@given(prices(), within())
def test_no_use_within_the_reservation_costs_more_than_was_reserved(price: Price, use: tuple[int, int, Usage]) -> None:
    bound, cap, usage = use
    cost = cost_microusd(price, usage)
    assert cost is not None
    assert cost <= most_microusd(price, bound, cap)


@pytest.mark.parametrize("price", PRICES)
@given(use=within(most=1_200_000))
def test_nor_at_any_price_that_is_shipped(price: Price, use: tuple[int, int, Usage]) -> None:
    bound, cap, usage = use
    cost = cost_microusd(price, usage)
    assert cost is None or cost <= most_microusd(price, bound, cap)


def test_the_most_is_what_a_prompt_costs_that_is_written_to_a_cache() -> None:
    written = Usage(input=1_000, output=200, cache_write=1_000)
    assert most_microusd(CLAUDE, 1_000, 200) == cost_microusd(CLAUDE, written) == 3_750 + 3_000


def test_a_call_that_may_reach_a_dearer_tier_reserves_it() -> None:
    assert most_microusd(TIERED, 272_000, 0) == 680_000
    assert most_microusd(TIERED, 272_001, 0) == 1_360_005


def test_the_most_is_rounded_up() -> None:
    cheap = Price(rates=Rates(input=18_750, output=75_000))
    assert most_microusd(cheap, 1, 0) == 1
    assert most_microusd(cheap, 0, 0) == 0


@given(prices(), st.integers(0, 3_000), st.integers(0, 10**9))
def test_what_a_budget_affords_costs_no_more_than_it_has(price: Price, bound: int, room: int) -> None:
    tokens = affordable_tokens(price, bound, room)
    assert tokens is not None
    assert tokens >= bound
    if most_microusd(price, bound, 0) <= room:
        assert most_microusd(price, bound, tokens - bound) <= room
        assert most_microusd(price, bound, tokens - bound + 1) > room
    else:
        assert tokens == bound, "not even the question has room"


def test_where_writing_costs_nothing_a_budget_bounds_no_output() -> None:
    assert affordable_tokens(Price(rates=Rates(input=20_000)), 100, 5) is None


# ---------------------------------------------------------------- what an attempt cost


def spent(usage: Usage | None, charged: tuple[int, bool, bool], seen: int = 0, interrupted: bool = False) -> int | None:
    return spent_microusd(CLAUDE, usage, charged, input_bound=1_000, output_bytes=seen, interrupted=interrupted)


def test_a_report_costs_what_it_says() -> None:
    usage = Usage(input=1_000, output=200, cache_read=600, cache_write=300, total=1_200)
    assert spent(usage, (1_200, False, False)) == cost_microusd(CLAUDE, usage)


def test_without_a_report_the_estimate_is_priced_from_above() -> None:
    assert spent(None, (1_000 + 58, True, True), seen=125) == most_microusd(CLAUDE, 1_000, 58)


def test_an_absurd_report_is_priced_by_the_tokens_that_took_its_place() -> None:
    assert spent(Usage(10**12, 5, total=10**12), (4_800, True, True)) == most_microusd(CLAUDE, 1_000, 3_800)


def test_of_an_answer_that_was_cut_the_output_that_was_seen_is_paid() -> None:
    usage = Usage(input=500, output=1, total=501)
    seen = output_estimate(1_000)
    assert spent(usage, (500 + seen, True, False), seen=1_000, interrupted=True) == 500 * 3 + seen * 15


def test_a_kind_of_token_without_a_price_makes_a_call_unpriced() -> None:
    price = Price(rates=Rates(input=20_000))
    usage = Usage(input=10, output=5, total=15)
    assert spent_microusd(price, usage, (15, False, False), input_bound=10, output_bytes=0, interrupted=False) is None


# ---------------------------------------------------------------- who pays


def tariffs(**budgets: Budget) -> Tariffs:
    steps = (Price(rates=Rates(input=1)), Price(rates=Rates(input=2), since=100))
    book = PriceBook(date(2026, 11, 28), {"openai": {"m": steps}})
    return Tariffs(book, lambda scope: budgets.get(scope.replace(":", "_"), Budget()))


def test_only_scopes_with_a_budget_pay() -> None:
    some = tariffs(tenant_acme=Budget(monthly_usd=Decimal(1)), provider_x=Budget())
    tariff = some.tariff("openai", "m", ("tenant:acme", "provider:x"), "m")
    assert tariff is not None
    assert tariff.scopes == ("tenant:acme",)
    assert some.tariff("openai", "m", ("tenant:b", "provider:x"), "m") is None


def test_a_budget_of_nothing_is_a_budget() -> None:
    assert tariffs(tenant_acme=Budget(daily_usd=Decimal(0))).pays("tenant:acme")


def test_a_price_that_changes_holds_from_its_day_on() -> None:
    tariff = tariffs(tenant_a=Budget(daily_usd=Decimal(1))).tariff("openai", "m", ("tenant:a",), "m")
    assert tariff is not None
    assert [step and step.rates.input for step in map(tariff.price, (0, 99, 100))] == [1, 1, 2]


def test_a_model_that_nobody_knows_has_a_tariff_without_a_price() -> None:
    tariff = tariffs(tenant_a=Budget(daily_usd=Decimal(1))).tariff("openai", "unheard-of", ("tenant:a",), "other")
    assert tariff is not None
    assert tariff.price(0) is None


@pytest.mark.parametrize(
    ("microusd", "text"),
    [
        (0, "0.00"),
        (1, "0.000001"),
        (10_000, "0.01"),
        (125_000, "0.125"),
        (5_000_000, "5.00"),
        (10**15, "1000000000.00"),
    ],
)
def test_money_is_shown_with_cents_at_least_and_every_digit_that_counts(microusd: int, text: str) -> None:
    assert usd(microusd) == f"{text} USD"
