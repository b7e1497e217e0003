"""Rate limits of a tenant: so many calls and tokens a minute, so many at once."""

from __future__ import annotations

import asyncio
import re
from collections import Counter

from e2e_quota import account, body_of, call, reserve_of
from e2e_stack import Start
from e2e_tools import error_of


async def test_calls_beyond_the_minutes_allowance_are_told_when_to_come_back(start_stack: Start) -> None:
    stack = await start_stack({"tenants": {"acme": {"limits": {"requests_per_minute": 3}}}})
    body = body_of(cap=10)
    for left in (2, 1, 0):
        answer = await call(stack, body)
        assert answer.status == 200
        assert answer.headers["x-ratelimit-limit-requests"] == "3"
        assert answer.headers["x-ratelimit-remaining-requests"] == str(left)
        assert re.fullmatch(r"(\d+m)?\d+(\.\d)?s|\d+ms|\d+m", answer.headers["x-ratelimit-reset-requests"])
    refusal = await call(stack, body)
    error = await error_of(refusal, 429, "rate_limit_exceeded")
    assert error["type"] == "rate_limit_error"
    assert re.search(r"try again in [\d.]+m?s", error["message"])
    assert refusal.headers["x-should-retry"] == "true"
    assert 1 <= int(refusal.headers["retry-after"]) <= 20
    assert refusal.headers["x-ratelimit-limit-requests"] == "3"
    assert refusal.headers["x-ratelimit-remaining-requests"] == "0"
    assert len(await stack.sim("requests")) == 3
    assert (await account(stack, "tenant:acme"))["reserved"] == 0
    globex = await call(stack, body, "globex")
    assert globex.status == 200, "one tenant's allowance is not another's"
    assert "x-ratelimit-limit-requests" not in globex.headers


async def test_tokens_that_were_not_used_are_given_back(start_stack: Start) -> None:
    body = body_of(cap=100)
    stack = await start_stack({"tenants": {"acme": {"limits": {"tokens_per_minute": reserve_of(body) + 50}}}})
    answers = [await call(stack, body) for _ in range(3)]
    # 11 tokens are used of 200 reserved: three calls fit one after the other where two at once would not.
    assert [answer.status for answer in answers] == [200, 200, 200]
    assert answers[0].headers["x-ratelimit-limit-tokens"] == str(reserve_of(body) + 50)
    await stack.fault("openai", "slow_first_byte", delay_s=0.5)
    both = await asyncio.gather(call(stack, body), call(stack, body))
    assert sorted(answer.status for answer in both) == [200, 429]
    refused = next(answer for answer in both if answer.status == 429)
    error = await error_of(refused, 429, "rate_limit_exceeded")
    assert "tokens per minute" in error["message"]


async def test_so_many_at_once_and_no_more(start_stack: Start) -> None:
    stack = await start_stack({"tenants": {"acme": {"limits": {"concurrency": 4}}}})
    await stack.fault("openai", "slow_first_byte", delay_s=0.8)
    answers = await asyncio.gather(*(call(stack, body_of(cap=10)) for _ in range(12)))
    assert Counter(answer.status for answer in answers) == {200: 4, 429: 8}
    for answer in answers:
        if answer.status == 429:
            error = await error_of(answer, 429, "concurrency_exceeded")
            assert error["type"] == "rate_limit_error"
            assert answer.headers["x-should-retry"] == "true"
            assert int(answer.headers["retry-after"]) >= 1
    await stack.clear_faults()
    again = await asyncio.gather(*(call(stack, body_of(cap=10)) for _ in range(4)))
    assert {answer.status for answer in again} == {200}, "who is done makes room"


async def test_limits_are_counted_by_tenant_and_reason(start_stack: Start) -> None:
    stack = await start_stack({"limits": {"requests_per_minute": 1}})
    for tenant in ("acme", "acme", "acme", "initech", "initech"):
        await call(stack, body_of(cap=10), tenant)
    async with stack.session.get(stack.origin + "/metrics") as answer:
        lines = (await answer.text()).splitlines()
    assert 'gateway_rate_limited_total{reason="requests",tenant="acme"} 2.0' in lines
    assert 'gateway_rate_limited_total{reason="requests",tenant="other"} 1.0' in lines
    assert [line["error"] for line in stack.log_lines() if line.get("status") == 429] == ["rate_limit_exceeded"] * 3


async def test_every_surface_has_the_same_allowance(start_stack: Start) -> None:
    stack = await start_stack({"tenants": {"acme": {"limits": {"requests_per_minute": 2}}}})
    body = {"messages": [{"role": "user", "content": "Hello"}]}
    assert (await stack.post("/chat", body)).status == 200
    assert (await stack.post("/v1/chat/completions", body)).status == 200
    for path in ("/chat", "/chat/completions"):
        await error_of(await stack.post(path, body), 429, "rate_limit_exceeded")
    async with stack.session.ws_connect(stack.base() + "/stream", headers=stack.headers()) as socket:
        await socket.send_json({"event": "chat.stream.start", "data": {"requestId": "r", **body}})
        told = await socket.receive_json(timeout=5)
    assert (told["event"], told["data"]["error"]["code"]) == ("chat.error", "rate_limit_exceeded")
