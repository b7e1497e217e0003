"""What a call costs, to the micro-dollar, and what has no cost. Against the shipped file, and against the source's own rules."""

from __future__ import annotations

import re
from datetime import date
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from gateway.core.catalogue import catalogue_from
from gateway.core.pricing import Price, PriceBook, PriceError, Rates, Tier, cost_microusd, prices_from
from gateway.types import Modalities, Usage

CONFIG = Path(__file__).parents[2] / "config"
NOW = 1_795_900_000  # 2026-11-28
NEW_YEAR = 1_798_761_600  # 2027-01-01 00:00 UTC
CLAUDE = Price(rates=Rates(input=3_000_000, output=15_000_000, cache_read=300_000, cache_write=3_750_000))


@pytest.fixture(scope="module")
def book() -> PriceBook:
    return prices_from(yaml.safe_load((CONFIG / "prices.yaml").read_text()))


def one(**row: Any) -> PriceBook:
    return prices_from({"as_of": date(2026, 11, 28), "families": {"openai": {"m": [row]}}})


# ---------------------------------------------------------------- costs


def test_input_and_output_cost_their_own_prices() -> None:
    assert cost_microusd(CLAUDE, Usage(input=1000, output=200)) == 1000 * 3 + 200 * 15


def test_cached_tokens_are_part_of_the_input_and_cost_less_or_more() -> None:
    usage = Usage(input=1000, output=0, cache_read=600, cache_write=300)
    assert cost_microusd(CLAUDE, usage) == 100 * 3 + 180 + 1125


def test_where_the_vendor_lists_no_cache_price_cached_tokens_cost_what_input_costs() -> None:
    price = Price(rates=Rates(input=2_000_000, output=8_000_000))
    assert cost_microusd(price, Usage(input=1000, cache_read=600, cache_write=300)) == 2000


HOURLY = Price(rates=Rates(input=3_000_000, output=15_000_000, cache_write=3_750_000, cache_write_1h=6_000_000))


def test_what_is_kept_for_an_hour_costs_more_than_what_is_kept_for_minutes() -> None:
    usage = Usage(input=1000, cache_write=300, cache_write_1h=100)
    assert cost_microusd(HOURLY, usage) == 700 * 3 + 750 + 600
    assert cost_microusd(CLAUDE, usage) == 700 * 3 + 1125  # no price of its own: that of the others
    assert cost_microusd(HOURLY, Usage(input=10, cache_write=1, cache_write_1h=99)) == 9 * 3 + 6
    assert cost_microusd(HOURLY, Usage(input=10, cache_write_1h=-5)) == 30


def test_sound_costs_its_own_price_heard_remembered_and_spoken() -> None:
    rates = Rates(
        input=1_000_000, output=4_000_000, cache_read=100_000, input_audio=3_000_000, cache_read_audio=500_000,
        output_audio=9_000_000,
    )  # fmt: skip
    usage = Usage(
        input=100, output=10, cache_read=40,
        input_by=Modalities(text=20, audio=80), read_by=Modalities(audio=30), output_by=Modalities(audio=10),
    )  # fmt: skip
    assert cost_microusd(Price(rates=rates), usage) == 10 * 1 + 50 * 3 + 10 * 0.1 + 30 * 0.5 + 10 * 9
    assert cost_microusd(CLAUDE, Usage(input=100, output=10, input_by=Modalities(audio=80))) == 300 + 150
    absurd = Usage(input=10, output=1, input_by=Modalities(audio=10**6), output_by=Modalities(audio=-3))
    assert cost_microusd(Price(rates=rates), absurd) == 10 * 3 + 4


def test_the_sum_is_rounded_once_and_up() -> None:
    cheap = Price(rates=Rates(input=18_750, output=75_000))
    assert cost_microusd(cheap, Usage(input=1)) == 1
    assert cost_microusd(cheap, Usage(input=1, output=1)) == 1
    assert cost_microusd(cheap, Usage(input=800)) == 15
    assert cost_microusd(cheap, Usage(input=801)) == 16
    assert cost_microusd(cheap, Usage()) == 0


def test_above_a_limit_all_tokens_cost_the_tiers_price() -> None:
    tiers = (Tier(100, Rates(input=2_000_000, output=4_000_000)), Tier(200, Rates(input=5_000_000, output=6_000_000)))
    price = Price(rates=Rates(input=1_000_000, output=3_000_000), tiers=tiers)

    assert cost_microusd(price, Usage(input=100, output=10)) == 130
    assert cost_microusd(price, Usage(input=101, output=10)) == 242
    assert cost_microusd(price, Usage(input=201, output=10)) == 1065


def test_what_has_no_price_has_no_cost_and_never_zero() -> None:
    embedding = Price(rates=Rates(input=20_000))
    assert cost_microusd(None, Usage(input=5, output=5)) is None
    assert cost_microusd(embedding, Usage(input=1_000_000)) == 20_000
    assert cost_microusd(embedding, Usage(input=5, output=1)) is None


def test_usage_that_cannot_be_true_still_costs_no_negative_amount() -> None:
    assert cost_microusd(CLAUDE, Usage(input=10, cache_read=100)) == 30
    assert cost_microusd(CLAUDE, Usage(input=-5, output=-5, cache_read=-1, cache_write=-1)) == 0


@given(st.integers(0, 10**7), st.integers(0, 10**6), st.integers(0, 10**7))
def test_more_tokens_never_cost_less(fresh: int, output: int, read: int) -> None:
    less = cost_microusd(CLAUDE, Usage(input=fresh + read, output=output, cache_read=read))
    more = cost_microusd(CLAUDE, Usage(input=fresh + read + 1, output=output + 1, cache_read=read))
    assert less is not None and more is not None and 0 <= less < more


# ---------------------------------------------------------------- looking up


def test_a_price_holds_for_an_id_and_its_dated_names_alone(book: PriceBook) -> None:
    haiku = book.price("anthropic", "claude-haiku-4-5", NOW)

    assert haiku is not None and haiku.rates.input == 1_000_000
    assert book.price("anthropic", "claude-haiku-4-5-20251001", NOW) == haiku
    assert book.price("openai", "gpt-4o-2024-08-06", NOW) == book.price("openai", "gpt-4o", NOW)
    assert book.price("openai", "gpt-4o-2024-05-13", NOW) != book.price("openai", "gpt-4o", NOW)
    assert book.price("gemini", "gemini-2.5-flash-001", NOW) == book.price("gemini", "gemini-2.5-flash", NOW)
    for family, unknown in (
        ("openai", "gpt-5.4-ultra"),
        ("openai", "gpt-6.2-sol"),
        ("anthropic", "claude-opus-5-9"),
        ("openai_compatible", "llama"),
    ):
        assert book.price(family, unknown, NOW) is None


def test_a_price_changes_on_its_day(book: PriceBook) -> None:
    before, after = (book.price("gemini", "gemini-3.8-flash", at) for at in (NEW_YEAR - 1, NEW_YEAR))
    assert before is not None and after is not None
    assert (before.rates.input, after.rates.input) == (750_000, 1_500_000)


def test_a_price_that_is_not_valid_yet_is_none() -> None:
    later = one(**{"from": date(2027, 1, 1)}, input=1)
    assert later.price("openai", "m", NEW_YEAR - 1) is None
    assert later.price("openai", "m", NEW_YEAR) is not None


# ---------------------------------------------------------------- the shipped file


def test_the_shipped_prices_are_sane(book: PriceBook) -> None:
    seen = 0
    for family in ("anthropic", "openai", "gemini"):
        for model in book.ids(family):
            price = book.price(family, model, NOW)
            assert price is not None, model
            for rates in (price.rates, *(tier.rates for tier in price.tiers)):
                seen += 1
                assert rates.output is None or rates.output >= rates.input, model
                assert rates.cache_read is None or rates.cache_read <= rates.input, model
                assert rates.cache_write is None or rates.cache_write >= rates.input, model
                assert (rates.cache_write_1h or 0) in (0, 2 * rates.input), model
                assert rates.input_audio is None or rates.input_audio >= rates.input, model
    assert seen > 100


def test_the_models_that_users_are_told_of_have_prices(book: PriceBook) -> None:
    for family, model in (
        ("openai", "gpt-5.4"),
        ("openai", "gpt-5.4-mini"),
        ("openai", "text-embedding-3-small"),
        ("anthropic", "claude-sonnet-4-6"),
        ("anthropic", "claude-haiku-4-5"),
        ("gemini", "gemini-3.8-flash"),
        ("gemini", "gemini-embedding-001"),
    ):
        assert book.price(family, model, NOW) is not None, model
    claude, flash = book.price("anthropic", "claude-sonnet-4-6", NOW), book.price("gemini", "gemini-2.5-flash", NOW)
    assert claude is not None and claude.rates.cache_write_1h == 6_000_000
    assert flash is not None and (flash.rates.input_audio, flash.rates.cache_read_audio) == (1_000_000, 100_000)


def test_what_is_priced_by_tokens_is_a_model_that_the_catalogue_places(book: PriceBook) -> None:
    catalogue = catalogue_from(yaml.safe_load((CONFIG / "models.yaml").read_text()))
    listed = {"anthropic": "claude-opus-5-5", "openai": "gpt-6.1-terra", "gemini": "gemini-3.8-flash"}
    for family, model in listed.items():
        assert catalogue.entry(family, model) is not None and model in book.ids(family)


def test_the_file_says_where_it_is_from_and_is_not_edited_by_hand() -> None:
    text = (CONFIG / "prices.yaml").read_text()
    assert re.search(r"^as_of: \d{4}-\d\d-\d\d$", text, re.M)
    assert re.search(r"^source: genai-prices \S+ \(.*MIT", text, re.M)
    assert "scripts/refresh-models" in text


@pytest.mark.parametrize(
    ("mapping", "place"),
    [
        (None, "families"),
        ({"families": {}}, "as_of"),
        ({"as_of": date(2026, 1, 1), "families": {"openai": []}}, "families.openai"),
        ({"as_of": date(2026, 1, 1), "families": {"openai": {"m": []}}}, "openai.m"),
        ({"as_of": date(2026, 1, 1), "families": {"openai": {"m": [5]}}}, r"m\[0\]"),
        (
            {"as_of": date(2026, 1, 1), "families": {"openai": {"m": [{"input": 1}, {"input": 1}]}}},
            "'from' does not rise",
        ),
    ],
)
def test_a_broken_file_names_the_place(mapping: object, place: str) -> None:
    with pytest.raises(PriceError, match=place):
        prices_from(mapping)


@pytest.mark.parametrize(
    ("row", "place"),
    [
        ({}, "'input' is missing"),
        ({"input": 0}, r"m\[0\].input"),
        ({"input": -1}, r"m\[0\].input"),
        ({"input": True}, r"m\[0\].input"),
        ({"input": "dear"}, r"m\[0\].input"),
        ({"input": 0.0000001}, "finer than a millionth"),
        ({"input": 1, "ouput": 1}, "unknown key 'ouput'"),
        ({"input": 1, "from": "soon"}, r"m\[0\].from"),
        ({"input": 1, "tiers": 5}, r"m\[0\].tiers: not a list"),
        ({"input": 1, "tiers": [{"input": 2}]}, r"tiers\[0\].above"),
        ({"input": 1, "tiers": [{"above": 9, "input": 2}, {"above": 9, "input": 3}]}, "'above' does not rise"),
    ],
)
def test_a_broken_price_names_the_place(row: dict[str, Any], place: str) -> None:
    with pytest.raises(PriceError, match=place):
        one(**row)
