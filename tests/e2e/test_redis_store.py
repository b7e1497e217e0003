"""Two gateways over one Redis server: one quota, figures that add up, and the server away for a moment."""

from __future__ import annotations

import asyncio

from e2e_heard import breaker, seen
from e2e_stack import Stack, Start
from e2e_tools import error_of, until
from redis_server import RedisServer


async def test_two_gateways_share_one_quota_to_the_last_call(start_stack: Start, redis_server: RedisServer) -> None:
    settings = {"store": {"url": redis_server.url}, "tenants": {"acme": {"quota": {"daily_tokens": 3_000}}}}
    stacks = [await start_stack(settings) for _ in range(2)]
    answers = await asyncio.gather(*(stack.chat(max_tokens=200) for stack in stacks * 20))
    assert {answer.status for answer in answers} <= {200, 429}
    used = sum([(await answer.json())["usage"]["total_tokens"] for answer in answers if answer.status == 200])
    for stack in stacks:
        await stack.stop()
    third = await start_stack(settings)
    accounts = [a for a in (await third.get("/quotas"))["accounts"] if a["scope"] == "tenant:acme"]
    assert {(a["window"], a["used"], a["leased"]) for a in accounts} == {("daily", used, 0), ("monthly", used, 0)}
    assert 0 < used <= 3_000
    await error_of(await third.chat(max_tokens=2_999), 429, "quota_exceeded")


async def test_a_gateway_says_that_its_server_is_away_and_goes_on_when_it_is_back(
    start_stack: Start, redis_server: RedisServer
) -> None:
    stack = await start_stack(
        {"store": {"url": redis_server.url}, "tenants": {"acme": {"quota": {"daily_tokens": 100_000}}}}
    )
    assert (await stack.chat(max_tokens=100)).status == 200
    with redis_server.client() as client:
        client.client_pause(3_500, all=True)
        await error_of(await stack.chat(max_tokens=90_000), 503, "store_unavailable")
        assert (await stack.chat(max_tokens=10)).status == 200  # from the lease in hand
    await until(lambda: stack.gateway.store_lost)
    await until(lambda: not stack.gateway.store_lost)
    assert (await stack.chat(max_tokens=90_000)).status == 200


async def test_two_gateways_share_breakers_and_the_one_probe(start_stack: Start, redis_server: RedisServer) -> None:
    settings = {"store": {"url": redis_server.url}, "breaker": {"failures": 5, "open_s": 1}}
    one = await start_stack(settings)
    same = {"openai": {"base_url": one.simulators.url_for("openai")}}
    other = await start_stack({**settings, "providers": same})
    stacks = (one, other)
    await one.fault("openai", "status", status=500, times=5)
    for _ in range(5):
        await one.chat()
    await until(lambda: _is(other, "open"), 1.0)  # nobody told it but the store
    assert (await other.chat()).headers["x-gateway-provider"] == "anthropic"
    assert len(seen(one, "openai")) == 5

    await asyncio.sleep(1.1)
    await one.fault("openai", "slow_first_byte", delay_s=2.5, times=1)
    probing = [
        asyncio.create_task(stack.chat()) for _ in range(10) for stack in stacks if not await asyncio.sleep(0.05)
    ]
    who = [(await task).headers["x-gateway-provider"] for task in probing]
    assert (who.count("openai"), len(seen(one, "openai"))) == (1, 6)
    for stack in stacks:
        await until(lambda stack=stack: _is(stack, "closed"), 1.0)


async def test_two_gateways_share_a_rate_limit(start_stack: Start, redis_server: RedisServer) -> None:
    settings = {"store": {"url": redis_server.url}, "tenants": {"acme": {"limits": {"requests_per_minute": 20}}}}
    one, other = [await start_stack(settings) for _ in range(2)]
    assert {(await other.chat()).status, (await one.chat()).status} == {200}
    await asyncio.sleep(0.6)  # each has heard that it is not alone
    assert [(await one.chat()).status for _ in range(14)] == [200] * 14
    await asyncio.sleep(0.6)
    assert (await other.chat()).status == 200
    await asyncio.sleep(0.6)
    statuses = [(await other.chat()).status for _ in range(10)]
    assert 3 <= statuses.count(200) <= 5 and statuses[-1] == 429


async def _is(stack: Stack, state: str) -> bool:
    return bool((await breaker(stack))["state"] == state)
