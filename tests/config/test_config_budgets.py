"""Budgets: US dollars in the file, whole micro-USD inside, and no binary fraction in between."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal

import pytest
from config_cases import BASE, ENVIRON
from hypothesis import given
from hypothesis import strategies as st
from msgspec import inspect

from gateway.config import Loaded
from gateway.config.scalars import Value, convert
from gateway.settings import Budget

Load = Callable[..., Loaded]
Problems = Callable[..., list[str]]
WANTED = "expected US dollars from 0 to 1000000000 with at most 6 decimals, not "


def tenant(text: str) -> str:
    return BASE + "tenants: {acme: {budget: {daily_usd: " + text + "}}}\n"


@pytest.mark.parametrize(
    ("text", "microusd"),
    [
        ("5", 5_000_000),
        ("0", 0),
        ("0.1", 100_000),
        ("4.35", 4_350_000),  # 4.35 * 1e6 is 4349999.9999999995 in binary
        ("1.005", 1_005_000),
        ("0.000001", 1),
        ("0.0000010", 1),
        ("1e3", 1_000_000_000),
        ("999999999.999999", 999_999_999_999_999),
        ("1000000000", 10**15),
    ],
)
def test_dollars_become_micro_dollars_exactly(loaded: Load, text: str, microusd: int) -> None:
    budget = loaded(tenant(text)).config.tenants["acme"].budget
    assert budget.daily_microusd == microusd
    assert budget.monthly_microusd is None


@given(st.integers(0, 10**15))
def test_every_micro_dollar_that_can_be_written_is_read_as_written(microusd: int) -> None:
    text = f"{microusd // 10**6}.{microusd % 10**6:06d}"
    amount = convert(Value(text, True), [inspect.DecimalType()], False)
    assert isinstance(amount, Decimal)
    assert Budget(monthly_usd=amount).monthly_microusd == microusd


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("-1", "-1"),
        ("-0.000001", "-0.000001"),
        (".nan", ".nan"),
        (".inf", ".inf"),
        ("0.0000001", "0.0000001"),
        ("1.2345678", "1.2345678"),
        ("1000000000.01", "1000000000.01"),
        ("1e999999999999999999", "1e999999999999999999"),
        ("1e-999999999999999999", "1e-999999999999999999"),
        ("true", "true"),
        ("five", "'five'"),
        ("1_000", "'1_000'. Write the digits without separators"),
        ('"5"', "'5'. Remove the quotes"),
    ],
)
def test_what_is_no_amount_of_dollars_is_refused_with_its_place(problems: Problems, text: str, shown: str) -> None:
    assert problems(tenant(text)) == [f"2:38: tenants.acme.budget.daily_usd: {WANTED}{shown}"]


def test_a_budget_may_come_from_the_environment(loaded: Load, problems: Problems) -> None:
    text = tenant('"${DAY:-}"')
    assert loaded(text).config.tenants["acme"].budget == Budget()
    assert loaded(text, {**ENVIRON, "DAY": "2.50"}).config.tenants["acme"].budget.daily_microusd == 2_500_000
    [problem] = problems(text, {**ENVIRON, "DAY": "a lot"})
    assert problem.endswith("with at most 6 decimals, but DAY gives something else")


def test_a_tenant_inherits_its_budget_field_by_field_and_null_lifts_it(loaded: Load) -> None:
    config = loaded(
        BASE + "tenants:\n"
        "  default: {budget: {daily_usd: 1, monthly_usd: 20}}\n"
        "  acme: {budget: {daily_usd: 2.5}}\n"
        "  free: {budget: {daily_usd: null, monthly_usd: null}}\n"
        "  globex: {provider_budget: {local: {daily_usd: 0.5}}}\n"
    ).config
    acme, free, globex = (config.tenants[name] for name in ("acme", "free", "globex"))
    assert (acme.budget.daily_microusd, acme.budget.monthly_microusd) == (2_500_000, 20_000_000)
    assert not free.budget.is_limited
    assert (globex.budget.daily_microusd, globex.provider_budget["local"].daily_microusd) == (1_000_000, 500_000)


def test_a_provider_has_a_budget_of_its_own_and_inherits_none(loaded: Load) -> None:
    text = BASE.replace("http://127.0.0.1:1/v1", "http://127.0.0.1:1/v1, budget: {monthly_usd: 7}")
    config = loaded(text + "tenants: {default: {budget: {daily_usd: 1}}}\n").config
    assert config.providers["local"].budget.monthly_microusd == 7_000_000
    assert config.providers["local"].budget.daily_microusd is None


def test_a_budget_at_a_provider_that_is_none_is_refused(problems: Problems) -> None:
    text = BASE + "tenants: {acme: {provider_budget: {loca: {daily_usd: 1}}}}\n"
    assert problems(text) == ["2:42: tenants.acme.provider_budget.loca: unknown provider 'loca'. Did you mean 'local'?"]
