"""What an operator does to budgets, and is told of them, while calls go on."""

from __future__ import annotations

import time
from typing import Any

import aiohttp
from e2e_money import PRICES, TENANT, acme, cost_of, metrics, money, reload, reserve
from e2e_quota import body_of, call, call_until_refused
from e2e_stack import CONFIG, Stack, Start
from e2e_tools import error_of, until

from gateway.core.ledger_views import usd


async def test_a_budget_that_is_lowered_raised_and_set_anew_loses_no_micro_dollar(start_stack: Start) -> None:
    body = body_of(cap=100)
    stack = await start_stack(acme(5_000_000))
    spent = 0
    for limit in (5_000_000, 50_000, 9_000_000):
        await reload(stack, limit)
        answer = await call(stack, body)
        assert answer.status == 200
        spent += cost_of(await answer.json())
        assert ((await money(stack))["used"], (await money(stack))["limit"]) == (spent, limit)
    await reload(stack, spent)
    error = await error_of(await call(stack, body), 429, "quota_exceeded")
    assert "budget of tenant acme" in error["message"]
    await reload(stack, None)
    assert (await call(stack, body)).status == 200
    row = await money(stack)
    assert (row["used"], row["limit"], row["remaining"]) == (spent, None, None), "not counted while there is no budget"


async def test_a_first_budget_holds_on_connections_that_are_kept(stack: Stack) -> None:
    body = body_of(cap=100)
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=1)) as stack.session:
        assert (await call(stack, body)).status == 200
        await reload(stack, reserve(body) - 1)
        error = await error_of(await call(stack, body), 429, "quota_exceeded")
        assert f"This request alone may cost {usd(reserve(body))}, more than the whole daily" in error["message"]


async def test_the_alert_of_a_budget_is_told_apart_from_that_of_a_quota(start_stack: Start) -> None:
    body = body_of(cap=10)
    stack = await start_stack(acme(reserve(body) + 100))
    await call_until_refused(stack, body)

    async def exceeded() -> Any:
        return [row for row in (await stack.get("/alerts"))["alerts"] if row["level"] == "exceeded"]

    [alert] = await until(exceeded)
    assert (alert["unit"], alert["scope"], alert["limit"]) == ("microusd", TENANT, reserve(body) + 100)
    assert alert["id"].endswith("|100|1|microusd")
    refusals = [line for line in await metrics(stack) if line.startswith("gateway_quota_refusals_total")]
    assert refusals == ['gateway_quota_refusals_total{reason="exceeded",scope="tenant:acme"} 1.0']


async def test_an_administrator_resets_money_alone(start_stack: Start) -> None:
    stack = await start_stack(acme(5_000_000))
    assert (await stack.chat(max_completion_tokens=20)).status == 200
    url, headers = stack.base() + "/quotas/reset", stack.headers(role="admin")
    async with stack.session.post(url, json={"unit": "microusd"}, headers=headers) as answer:
        before = (await answer.json())["reset"]
    assert {row["unit"] for row in before} == {"microusd"}
    assert (await money(stack))["used"] == 0
    tokens = next(row for row in (await stack.get("/quotas"))["accounts"] if row["unit"] == "tokens")
    assert tokens["used"] > 0


def test_the_models_of_these_tests_have_prices() -> None:
    models = {name: provider["default_model"] for name, provider in CONFIG["providers"].items()}
    assert all(PRICES.price(family, model, time.time()) is not None for family, model in models.items())
