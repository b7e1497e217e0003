"""Quotas under real calls: nothing is admitted that could pass a limit, nothing that was used is forgotten."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from typing import Any

import pytest
from e2e_quota import ROOMY, account, accounts, body_of, call, call_until_refused, reserve_of, spent
from e2e_stack import Start
from e2e_tools import error_of

# ---------------------------------------------------------------- exact


async def test_of_200_calls_at_once_exactly_those_that_fit_are_admitted(start_stack: Start) -> None:
    fit, asked = 7, 200
    body = body_of(cap=500)
    limit = fit * reserve_of(body) + reserve_of(body) - 1
    stack = await start_stack({**ROOMY, "tenants": {"acme": {"quota": {"daily_tokens": limit}}}})
    # Nobody is answered before all have asked: the simulator waits longer than 200 requests take to come in on a busy machine.
    await stack.fault("openai", "slow_first_byte", delay_s=5.0)

    answers = await asyncio.gather(*(call(stack, body) for _ in range(asked)))

    assert Counter(answer.status for answer in answers) == {200: fit, 429: asked - fit}
    for answer in answers:
        if answer.status == 429:
            error = await error_of(answer, 429, "quota_reserved")
            assert error["type"] == "rate_limit_error"
            assert answer.headers["x-should-retry"] == "true"
            assert 1 <= int(answer.headers["retry-after"]) <= 5
    row = await account(stack, "tenant:acme")
    served = (await stack.sim("served"))["openai"]
    assert served["requests"] == fit
    assert row["used"] == served["total_tokens"] > 0
    assert (row["reserved"], row["overdraft"], row["remaining"]) == (0, 0, limit - row["used"])
    assert (await account(stack, "provider:openai"))["used"] == row["used"]

    await stack.clear_faults()
    assert (await call(stack, body)).status == 200, "what was reserved and not used is free again"


async def test_a_spent_quota_says_so_until_the_day_ends(start_stack: Start) -> None:
    body = body_of(cap=10)
    stack = await start_stack({"tenants": {"acme": {"quota": {"daily_tokens": reserve_of(body) + 60}}}})
    refusal = await call_until_refused(stack, body)
    error = await error_of(refusal, 429, "quota_exceeded")
    assert error["type"] == "insufficient_quota"
    assert "daily" in error["message"]
    assert refusal.headers["x-should-retry"] == "false"
    row = await account(stack, "tenant:acme")
    assert abs(int(refusal.headers["retry-after"]) - (row["resetAt"] - time.time())) < 5
    assert row["remaining"] == row["limit"] - row["used"] < reserve_of(body)
    assert row["used"] == await spent(stack, "openai")
    globex = await stack.post(
        "/chat/completions", {"model": "gpt-5.4", "messages": [{"role": "user", "content": "Hi"}]}, "globex"
    )
    assert globex.status == 200, "one tenant's quota is not another's"


async def test_a_month_can_end_before_its_days_do(start_stack: Start) -> None:
    body = body_of(cap=10)
    stack = await start_stack({"tenants": {"acme": {"quota": {"monthly_tokens": reserve_of(body) + 60}}}})
    refusal = await call_until_refused(stack, body)
    error = await error_of(refusal, 429, "quota_exceeded")
    assert "monthly" in error["message"]
    month = await account(stack, "tenant:acme", "monthly")
    assert abs(int(refusal.headers["retry-after"]) - (month["resetAt"] - time.time())) < 5
    assert (await account(stack, "tenant:acme"))["limit"] is None
    assert month["used"] == (await account(stack, "tenant:acme"))["used"] == await spent(stack, "openai")


async def test_a_request_larger_than_the_whole_quota_is_refused_at_once(start_stack: Start) -> None:
    stack = await start_stack({"tenants": {"acme": {"quota": {"daily_tokens": 1000}}}})
    began = time.monotonic()
    refusal = await call(stack, body_of(cap=5000))
    await error_of(refusal, 429, "quota_exceeded")
    assert time.monotonic() - began < 0.25
    assert await stack.sim("requests") == []
    assert (await call(stack, body_of(cap=10))).status == 200


# ---------------------------------------------------------------- durable


async def test_figures_survive_a_restart(start_stack: Start, tmp_path: Any) -> None:
    body = body_of(cap=10)
    settings = {
        "store": {"url": f"sqlite:///{tmp_path}/gateway.db"},
        "tenants": {"acme": {"quota": {"daily_tokens": reserve_of(body) + 60, "monthly_tokens": 100_000}}},
    }
    first = await start_stack(settings)
    await call_until_refused(first, body)
    before, alerts = await accounts(first), await first.get("/alerts", role="admin")
    await first.stop()

    second = await start_stack(settings)
    assert await accounts(second) == before
    assert await second.get("/alerts", role="admin") == alerts
    await error_of(await call(second, body), 429, "quota_exceeded")
    assert await accounts(second) == before
    assert await second.sim("requests") == []


# ---------------------------------------------------------------- providers


async def test_a_spent_provider_makes_room_for_the_next_one(start_stack: Start) -> None:
    body = body_of(cap=10)
    quota = {"quota": {"daily_tokens": reserve_of(body) + 60}}
    stack = await start_stack({"providers": {"openai": quota}})
    by = []
    for _ in range(30):
        answer = await call(stack, body)
        assert answer.status == 200
        by.append(answer.headers["x-gateway-provider"])
        if by[-1] != "openai":
            break
        assert "x-gateway-fallback-from" not in answer.headers
    assert by == ["openai"] * (len(by) - 1) + ["anthropic"]
    assert answer.headers["x-gateway-fallback-from"] == "openai"
    assert answer.headers["x-gateway-attempts"] == "1"
    row = await account(stack, "provider:openai")
    assert row["limit"] - reserve_of(body) < row["used"] == await spent(stack, "openai") <= row["limit"]


async def test_when_all_providers_are_spent_nobody_is_available_until_they_are_not(start_stack: Start) -> None:
    tiny = {"quota": {"daily_tokens": 1}}
    stack = await start_stack({"providers": {"openai": tiny, "anthropic": tiny, "gemini": tiny}})
    for path in ("/chat/completions", "/chat"):
        answer = await stack.post(path, {"messages": [{"role": "user", "content": "Hi"}]})
        await error_of(answer, 503, "no_provider_available")
        reset_at = (await account(stack, "tenant:acme"))["resetAt"]
        assert abs(int(answer.headers["retry-after"]) - (reset_at - time.time())) < 5
    assert await stack.sim("requests") == []
    assert (await account(stack, "tenant:acme"))["reserved"] == 0


async def test_a_tenants_share_of_a_provider_is_its_own(start_stack: Start) -> None:
    body = body_of(cap=10)
    share = {"openai": {"daily_tokens": reserve_of(body)}}
    stack = await start_stack({"tenants": {"acme": {"provider_quota": share}}})
    by = [(await call(stack, body)).headers["x-gateway-provider"] for _ in range(2)]
    assert by == ["openai", "anthropic"]
    assert (await call(stack, body, "globex")).headers["x-gateway-provider"] == "openai"
    row = await account(stack, "tenant:acme/provider:openai")
    assert 0 < row["used"] <= row["limit"] == reserve_of(body)
    assert (await account(stack, "provider:openai"))["limit"] is None


async def test_calls_that_fall_back_hold_nothing_of_the_provider_they_left(start_stack: Start) -> None:
    body = body_of(cap=500)
    quota = {"quota": {"daily_tokens": 2 * reserve_of(body)}}
    stack = await start_stack({"providers": {"openai": quota}})
    await stack.fault("openai", "status", status=500)
    answers = await asyncio.gather(*(call(stack, body) for _ in range(20)))
    assert {answer.headers.get("x-gateway-provider") for answer in answers} == {"anthropic"}
    row = await account(stack, "provider:openai")
    assert (row["used"], row["reserved"]) == (0, 0)
    assert (await account(stack, "tenant:acme"))["used"] == await spent(stack, "anthropic")


# ---------------------------------------------------------------- without an output cap


async def test_a_call_that_names_no_cap_gets_one_when_room_is_short(start_stack: Start) -> None:
    stack = await start_stack({"tenants": {"acme": {"quota": {"daily_tokens": 2000}}}})
    answer = await call(stack, body_of())
    assert answer.status == 200
    cap = int(answer.headers["x-gateway-quota-clamped"])
    [sent] = await stack.calls_to("openai")
    assert sent["body"]["max_completion_tokens"] == cap < 2000
    roomy = await start_stack()
    answer = await call(roomy, body_of())
    assert "x-gateway-quota-clamped" not in answer.headers
    assert "max_completion_tokens" not in (await roomy.calls_to("openai"))[0]["body"]


# ---------------------------------------------------------------- GET /quotas


async def test_quotas_are_shown_as_documented(start_stack: Start) -> None:
    stack = await start_stack({"tenants": {"acme": {"quota": {"daily_tokens": 5000}, "providers": ["openai"]}}})
    await call(stack, body_of(cap=10))
    shown = await stack.get("/quotas")
    assert set(shown) == {"tenant", "accounts"}
    assert shown["tenant"] == "acme"
    fields = {
        "scope",
        "unit",
        "window",
        "period",
        "limit",
        "used",
        "reserved",
        "leased",
        "remaining",
        "overdraft",
        "resetAt",
    }
    today, month = time.strftime("%Y-%m-%d", time.gmtime()), time.strftime("%Y-%m", time.gmtime())
    found = set()
    for row in shown["accounts"]:
        assert set(row) == fields
        assert (row["unit"], row["reserved"], row["overdraft"]) == ("tokens", 0, 0)
        assert row["period"] == (today if row["window"] == "daily" else month)
        assert row["resetAt"] > time.time()
        assert row["resetAt"] % 86400 == 0
        assert row["remaining"] == (None if row["limit"] is None else row["limit"] - row["used"] - row["reserved"])
        found.add((row["scope"], row["window"]))
    mine = ("tenant:acme", "tenant:acme/provider:openai")
    assert found == {(scope, window) for scope in mine for window in ("daily", "monthly")}


async def test_what_a_call_in_flight_holds_is_shown_as_reserved(start_stack: Start) -> None:
    body = body_of(cap=300)
    stack = await start_stack({"tenants": {"acme": {"quota": {"daily_tokens": 100_000}}}})
    await stack.fault("openai", "slow_first_byte", delay_s=0.6)
    pending = asyncio.ensure_future(call(stack, body))
    await asyncio.sleep(0.2)
    row = await account(stack, "tenant:acme")
    assert (row["used"], row["reserved"], row["remaining"]) == (0, reserve_of(body), 100_000 - reserve_of(body))
    assert (await pending).status == 200
    row = await account(stack, "tenant:acme")
    assert (row["reserved"], row["used"]) == (0, await spent(stack, "openai"))


# ---------------------------------------------------------------- reset


async def test_an_operator_can_reset_a_spent_quota(start_stack: Start) -> None:
    body = body_of(cap=10)
    quota = {"daily_tokens": reserve_of(body) + 60, "monthly_tokens": 100_000}
    stack = await start_stack({"tenants": {"acme": {"quota": quota}}})
    await call_until_refused(stack, body)
    before = {(row["scope"], row["window"]): row for row in await accounts(stack)}
    headers = stack.headers(role="admin")
    order = {"scope": "tenant:acme", "window": "daily"}
    async with stack.session.post(stack.base() + "/quotas/reset", json=order, headers=headers) as answer:
        assert answer.status == 200, await answer.text()
        [row] = (await answer.json())["reset"]
    assert row["used"] == before["tenant:acme", "daily"]["used"]
    assert (row["scope"], row["window"]) == ("tenant:acme", "daily")
    after = {(row["scope"], row["window"]): row for row in await accounts(stack)}
    assert after["tenant:acme", "daily"]["used"] == 0
    for other in set(before) - {("tenant:acme", "daily")}:
        assert after[other] == before[other]
    assert (await call(stack, body)).status == 200
    assert [line for line in stack.log_lines() if line["event"] == "store_lost"] == []
    [line] = [line for line in stack.log_lines() if line["event"] == "quota_reset"]
    assert (line["by"], line["tenant"], line["request_id"]) == ("tester", "acme", answer.headers["x-request-id"])


async def test_a_reset_without_a_body_is_of_all_the_tenants_accounts_and_of_no_other(start_stack: Start) -> None:
    stack = await start_stack()
    for tenant in ("acme", "globex"):
        await call(stack, body_of(cap=10), tenant)
    async with stack.session.post(stack.base() + "/quotas/reset", headers=stack.headers(role="admin")) as answer:
        reset = (await answer.json())["reset"]
    assert {row["scope"] for row in reset} == {"tenant:acme", "tenant:acme/provider:openai"}
    assert {row["used"] for row in await accounts(stack)} == {0}
    assert (await account(stack, "tenant:globex"))["used"] > 0


@pytest.mark.parametrize(
    "order",
    [{"scope": "tenant:globex"}, {"scope": "provider:nobody"}, {"window": "weekly"}, {"scope": 5}, {"all": True}, []],
)
async def test_a_reset_of_what_is_not_there_changes_nothing(start_stack: Start, order: Any) -> None:
    stack = await start_stack()
    await call(stack, body_of(cap=10), "globex")
    async with stack.session.post(
        stack.base() + "/quotas/reset", json=order, headers=stack.headers(role="admin")
    ) as answer:
        await error_of(answer, 400, "invalid_request")
    assert (await account(stack, "tenant:globex"))["used"] > 0
    assert not [line for line in stack.log_lines() if line["event"] == "quota_reset"]
