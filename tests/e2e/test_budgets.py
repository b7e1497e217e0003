"""Budgets under real calls: money is held at the price of the model that is asked, and what was spent is what the answers cost."""

from __future__ import annotations

import asyncio
import time
from collections import Counter

import aiohttp
import pytest
from e2e_money import CLAUDE, GEMINI, GPT, TENANT, acme, budget, cost_of, metrics, money, price, quiet, reserve
from e2e_quota import ROOMY, body_of, call, call_until_refused
from e2e_stack import Stack, Start
from e2e_tools import error_of, until
from msgspec import json, structs

from gateway.core.pricing import Price, cost_microusd
from gateway.core.ratios import ENOUGH
from gateway.core.tariffs import most_microusd
from gateway.core.tokens import input_bound
from gateway.types import Usage

# ---------------------------------------------------------------- exact


async def test_of_100_calls_at_once_exactly_those_are_admitted_that_the_budget_pays(start_stack: Start) -> None:
    fit, asked = 7, 100
    body = body_of(cap=500)
    limit = fit * reserve(body) + reserve(body) - 1
    stack = await start_stack({**ROOMY, **acme(limit)})
    await stack.fault("openai", "slow_first_byte", delay_s=1.5)

    answers = await asyncio.gather(*(call(stack, body) for _ in range(asked)))

    assert Counter(answer.status for answer in answers) == {200: fit, 429: asked - fit}
    for answer in answers:
        if answer.status == 429:
            error = await error_of(answer, 429, "quota_reserved")
            assert "Calls in flight hold what is left of the daily budget of tenant acme (" in error["message"]
            assert "and this request may cost 0.00" in error["message"]
    paid = sum([cost_of(await answer.json()) for answer in answers if answer.status == 200])
    row = await money(stack)
    assert row["used"] == paid > 0
    assert (row["reserved"], row["overdraft"], row["remaining"], row["limit"]) == (0, 0, limit - paid, limit)
    await stack.clear_faults()
    assert (await call(stack, body)).status == 200, "what was reserved and not spent is free again"


async def test_a_spent_budget_says_so_in_dollars_until_the_day_ends(start_stack: Start) -> None:
    body = body_of(cap=10)
    stack = await start_stack(acme(reserve(body) + 300))
    refusal = await call_until_refused(stack, body)
    error = await error_of(refusal, 429, "quota_exceeded")
    row = await money(stack)
    assert error["type"] == "insufficient_quota"
    assert "are left of the daily budget of tenant acme (0.000" in error["message"]
    assert "ask for a cheaper model, or wait until" in error["message"]
    assert refusal.headers["x-should-retry"] == "false"
    assert abs(int(refusal.headers["retry-after"]) - (row["resetAt"] - time.time())) < 5
    assert row["remaining"] == row["limit"] - row["used"] < reserve(body)
    globex = {"model": "gpt-5.4", "messages": [{"role": "user", "content": "Hi"}]}
    assert (await stack.post("/chat/completions", globex, "globex")).status == 200, "another tenant's is another's"


async def test_a_month_is_counted_beside_the_day(start_stack: Start) -> None:
    body = body_of(cap=10)
    stack = await start_stack({"tenants": {"acme": {"budget": budget(reserve(body) + 300, "monthly")}}})
    error = await error_of(await call_until_refused(stack, body), 429, "quota_exceeded")
    assert "monthly budget of tenant acme" in error["message"]
    day, month = await money(stack), await money(stack, window="monthly")
    assert day["limit"] is None
    assert day["used"] == month["used"] > 0


@pytest.mark.parametrize("dialect", ["openai", "anthropic", "gemini"])
@pytest.mark.parametrize("stream", [False, True])
async def test_what_is_charged_is_what_the_answer_cost(start_stack: Start, dialect: str, stream: bool) -> None:
    """Relayed and translated, whole and streamed."""
    stack = await start_stack(acme(5_000_000))
    at, model = {
        "openai": (GPT, "gpt-5.4"),
        "anthropic": (CLAUDE, "claude-sonnet-4-6"),
        "gemini": (GEMINI, "gemini-3.8-flash"),
    }[dialect]
    more = {"stream": True, "stream_options": {"include_usage": True}} if stream else {}
    answer = await stack.chat("Hello there", model=model, max_completion_tokens=50, **more)
    assert answer.status == 200
    if stream:
        frames = [line[6:] for line in (await answer.text()).splitlines() if line.startswith("data: {")]
        said = json.decode(next(frame for frame in reversed(frames) if '"usage":{' in frame.replace(" ", "")))
    else:
        said = await answer.json()
    assert (await money(stack))["used"] == cost_of(said, at)
    [line] = [line for line in stack.log_lines() if line.get("total_tokens")]
    assert line["cost_microusd"] == cost_of(said, at)


async def test_money_and_tokens_are_shown_side_by_side(start_stack: Start) -> None:
    stack = await start_stack(
        {
            "tenants": {"acme": {"budget": budget(5_000_000), "provider_budget": {"openai": budget(900_000)}}},
            "providers": {"openai": {"budget": {"monthly_usd": 1000}}},
        }
    )
    spent = cost_of(await (await stack.chat(max_completion_tokens=20)).json())
    share = await money(stack, "tenant:acme/provider:openai")
    assert (share["used"], share["limit"]) == (spent, 900_000)
    whole = await stack.get("/quotas")
    assert [(row["scope"], row["unit"]) for row in whole["accounts"][:4]] == [
        *[(TENANT, "tokens")] * 2,
        *[(TENANT, "microusd")] * 2,
    ]
    assert (whole["unpricedCalls"], whole["unpricedModels"]) == (0, [])
    assert (await money(stack, "provider:openai", "monthly"))["limit"] == 1_000_000_000
    stats = await stack.get("/stats")
    assert stats["budget"]["daily"]["used"] == spent
    assert stats["quota"]["daily"]["used"] != spent
    lines = await metrics(stack)
    assert f'gateway_budget_used_microusd{{period="daily",scope="tenant:acme"}} {float(spent)}' in lines
    assert 'gateway_budget_limit_microusd{period="monthly",scope="provider:openai"} 1e+09' in lines
    assert not any(line.startswith('gateway_quota_limit_tokens{period="daily",scope="tenant:acme"') for line in lines)


async def test_nobody_without_a_budget_has_money_anywhere(stack: Stack) -> None:
    assert (await stack.chat()).status == 200
    body = await stack.get("/quotas")
    assert set(body) == {"tenant", "accounts"}
    assert {row["unit"] for row in body["accounts"]} == {"tokens"}
    assert "budget" not in await stack.get("/stats")
    assert all("cost_microusd" not in line for line in stack.log_lines())
    assert not any(line.startswith("gateway_budget_") for line in await metrics(stack) if not line.startswith("#"))


async def test_vectors_cost_what_their_input_costs(start_stack: Start) -> None:
    stack = await start_stack(acme(5_000_000))
    answer = await stack.post("/embeddings", {"model": "text-embedding-3-small", "input": "Hello there"})
    assert answer.status == 200
    at = price("openai", "text-embedding-3-small")
    tokens = (await answer.json())["usage"]["prompt_tokens"]
    assert (await money(stack))["used"] == cost_microusd(at, Usage(tokens)) > 0
    assert (await stack.get("/quotas"))["unpricedCalls"] == 0


async def test_moderations_cost_nothing_and_are_not_unpriced(start_stack: Start) -> None:
    stack = await start_stack(acme(0))
    answer = await stack.post("/moderations", {"input": "Hello there"})
    assert answer.status == 200
    assert ((await money(stack))["used"], (await stack.get("/quotas"))["unpricedCalls"]) == (0, 0)


# ---------------------------------------------------------------- without an output limit


async def test_without_an_output_limit_a_small_budget_sets_one(start_stack: Start) -> None:
    body = body_of("Hello")
    limit = most_microusd(GPT, input_bound(body), 400)
    stack = await start_stack(acme(limit))
    answer = await call(stack, body)
    assert answer.status == 200
    clamped = int(answer.headers["x-gateway-quota-clamped"])
    assert 0 < clamped <= 400
    [seen] = await stack.calls_to("openai")
    assert seen["body"]["max_completion_tokens"] == clamped
    assert (await money(stack))["used"] == cost_of(await answer.json())


# ---------------------------------------------------------------- other candidates


async def test_a_fallback_to_a_dearer_model_holds_the_dearer_price(start_stack: Start) -> None:
    body = body_of(cap=500)
    cheap, dear = reserve(body), reserve(body, CLAUDE)
    assert dear > cheap
    stack = await start_stack({**ROOMY, **acme(dear), "providers": {"openai": {"budget": budget(cheap)}}})
    await stack.fault("openai", "status", status=500)
    await stack.fault("anthropic", "slow_first_byte", delay_s=0.5)
    running = asyncio.create_task(call(stack, body))
    await until(lambda: stack.calls_to("anthropic"))
    assert (await money(stack))["reserved"] == dear
    assert (await money(stack, "provider:openai"))["reserved"] == 0
    answer = await running
    assert (answer.status, answer.headers["x-gateway-provider"]) == (200, "anthropic")
    assert (await money(stack))["used"] == cost_of(await answer.json(), CLAUDE)
    assert (await money(stack, "provider:openai"))["used"] == 0


async def test_a_candidate_that_the_budget_cannot_pay_is_passed_over_for_a_cheaper_one(start_stack: Start) -> None:
    body = body_of(cap=500)
    stack = await start_stack({**ROOMY, **acme(reserve(body))})  # enough for GPT and for Gemini, not for Claude
    await stack.fault("openai", "status", status=500)
    answer = await call(stack, body)
    assert (answer.status, answer.headers["x-gateway-provider"]) == (200, "gemini")
    assert answer.headers["x-gateway-fallback-from"] == "openai, anthropic"
    assert await stack.calls_to("anthropic") == []
    assert (await money(stack))["used"] == cost_of(await answer.json(), GEMINI)


async def test_a_provider_whose_budget_is_spent_is_passed_over(start_stack: Start) -> None:
    body = body_of(cap=500)
    stack = await start_stack({"providers": {"openai": {"budget": budget(reserve(body) - 1)}}})
    answer = await call(stack, body)
    assert answer.headers["x-gateway-provider"] == "anthropic"
    assert answer.headers["x-gateway-fallback-from"] == "openai"
    assert (await money(stack, "provider:openai"))["used"] == 0
    [line] = [line for line in stack.log_lines() if line["event"] == "request" and "trail" in line]
    assert line["trail"][0]["reason"] == "budget of provider:openai too_large"


async def test_a_provider_that_failed_after_it_worked_is_paid_by_its_budget_and_the_tenants(start_stack: Start) -> None:
    body = body_of("a few words " * 10, cap=200)
    stack = await start_stack(
        {**acme(50_000_000), "providers": {name: {"budget": budget(10**7)} for name in ("openai", "anthropic")}}
    )
    await stack.fault("openai", "empty")
    answer = await call(stack, body)
    assert (answer.status, answer.headers["x-gateway-provider"]) == (200, "anthropic")
    first = (await money(stack, "provider:openai"))["used"]
    second = (await money(stack, "provider:anthropic"))["used"]
    assert second == cost_of(await answer.json(), CLAUDE)
    assert first > 0
    assert (await money(stack))["used"] == first + second


async def test_a_call_that_began_without_a_budget_reserves_for_the_candidate_that_has_one(start_stack: Start) -> None:
    """Nobody's budget pays OpenAI: such calls go the gateway's shortest way until something happens to them."""
    body = body_of(cap=50)
    stack = await start_stack({"providers": {"anthropic": {"budget": budget(10**7)}}})
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=1)) as stack.session:
        for _ in range(3):
            assert (await call(stack, body)).headers["x-gateway-provider"] == "openai"
        await stack.fault("openai", "status", status=500, times=1)
        answer = await call(stack, body)
        assert (answer.status, answer.headers["x-gateway-provider"]) == (200, "anthropic")
        row = await money(stack, "provider:anthropic")
        assert (row["used"], row["reserved"]) == (cost_of(await answer.json(), CLAUDE), 0)


async def test_what_was_learnt_of_a_model_lets_a_call_in_that_a_budget_could_not_pay_by_its_bytes(
    start_stack: Start,
) -> None:
    text = "a question of some length " * 40
    body = body_of(text, cap=20)
    stack = await start_stack(acme(most_microusd(GPT, input_bound(body) * 2 // 3, 20)))
    assert (await call(stack, body)).status == 429, "nothing is learnt yet"
    for number in range(ENOUGH):
        assert (await call(stack, body_of(f"{number} {text}", cap=20, stream=True), "globex")).status == 200
    answer = await call(stack, body)
    assert answer.status == 200
    row = await money(stack)
    assert (row["used"], row["overdraft"]) == (cost_of(await answer.json()), 0)

    await stack.fault("openai", "status", status=500)
    answer = await call(stack, body)
    assert answer.headers["x-gateway-provider"] == "gemini", "which is cheap enough by its bytes"
    assert await stack.calls_to("anthropic") == [], "of which nothing is learnt"


# ---------------------------------------------------------------- unpriced models


async def test_a_model_without_a_price_is_served_and_shown_as_such(start_stack: Start) -> None:
    stack = await start_stack({**acme(0)})
    error = await error_of(await stack.chat(max_completion_tokens=20), 429, "quota_exceeded")
    assert "more than the whole daily budget of tenant acme (0.00 USD)" in error["message"]
    await stack.stop()
    url = "http://127.0.0.1:1/v1"
    local = {"type": "openai_compatible", "base_url": url, "default_model": "llama", "api_key": "sk-test"}
    stack = await start_stack({**acme(0), "providers": {"local": local}})
    section = stack.gateway.config.providers["local"]
    address = stack.simulators.url_for("openai")
    section = structs.replace(section, base_url=address, default_model="gpt-5.4-mini")
    providers = {**stack.gateway.config.providers, "local": section}
    await stack.gateway.reload(structs.replace(stack.gateway.config, providers=providers))

    answer = await stack.chat(model="local/gpt-5.4-mini", max_completion_tokens=20)

    assert (answer.status, answer.headers["x-gateway-provider"]) == (200, "local")
    row = await money(stack)
    assert (row["used"], row["limit"]) == (0, 0)
    body = await stack.get("/quotas")
    assert (body["unpricedCalls"], body["unpricedModels"]) == (1, ["local/gpt-5.4-mini"])
    assert 'gateway_unpriced_calls_total{model="gpt-5.4-mini",provider="local"} 1.0' in await metrics(stack)
    warned = [line["models"] for line in stack.log_lines() if line["event"] == "unpriced_models"]
    assert warned == [["local/llama"], ["local/gpt-5.4-mini"]]


# ---------------------------------------------------------------- answers that end early


@pytest.mark.parametrize(("model", "at"), [("gpt-5.4", GPT), ("claude-sonnet-4-6", CLAUDE)])
async def test_who_leaves_in_mid_stream_pays_for_what_was_made(start_stack: Start, model: str, at: Price) -> None:
    stack = await start_stack(acme(5_000_000), chunk_delay_s=0.1)
    body = {"model": model, "messages": [{"role": "user", "content": "a long story " * 20}], "stream": True}
    async with aiohttp.ClientSession() as leaving:
        answer = await leaving.post(stack.base() + "/chat/completions", json=body, headers=stack.headers())
        assert answer.status == 200
        await answer.content.readany()
        await asyncio.sleep(0.25)
        answer.close()
    await until(lambda: quiet(stack))
    used = (await money(stack))["used"]
    bound = input_bound(json.encode(body))
    assert 0 < used <= most_microusd(at, bound, 1_000)
    assert used >= 20 * at.rates.input // 10**6, "the question at least"
    [line] = [line for line in stack.log_lines() if line.get("outcome") == "client_gone"]
    assert line["cost_microusd"] == used


async def test_a_stream_that_breaks_off_is_paid_as_far_as_it_came(start_stack: Start) -> None:
    stack = await start_stack(acme(5_000_000))
    await stack.fault("openai", "cut", after_events=3)
    body = {"model": "gpt-5.4", "messages": [{"role": "user", "content": "Hello"}], "stream": True}
    with pytest.raises(aiohttp.ClientError):
        await stack.post("/chat/completions", body)
    await until(lambda: quiet(stack))
    row = await money(stack)
    assert 0 < row["used"] < reserve(body_of(cap=1_000))


async def test_an_attempt_that_is_refused_costs_nothing(start_stack: Start) -> None:
    stack = await start_stack({**acme(5_000_000), "fallback": {"enabled": False}})
    await stack.fault("openai", "status", status=500)
    assert (await stack.chat(max_completion_tokens=20)).status >= 500
    row = await money(stack)
    assert (row["used"], row["reserved"]) == (0, 0)
