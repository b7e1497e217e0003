"""What views say of providers that cannot take calls, or not all of them."""

from __future__ import annotations

from typing import Any

from e2e_quota import body_of, call, reserve_of
from e2e_script import Say, Scripted, http, scripted, whole_answer
from e2e_stack import Stack, Start
from e2e_tools import until


async def status_of(stack: Stack, provider: str) -> str:
    rows: list[dict[str, Any]] = (await stack.get("/providers"))["providers"]
    return next(str(row["status"]) for row in rows if row["name"] == provider)


async def test_a_provider_one_of_whose_keys_rests_is_degraded(start_stack: Start) -> None:
    async def refuse_the_first(upstream: Scripted, say: Say) -> None:
        first = b"key-number-one" in upstream.heads[-1]
        await say(http(401, {"error": {"message": "no"}}) if first else whole_answer())

    async with scripted(refuse_the_first) as upstream:
        own = upstream.provider(api_key=None, api_keys=["key-number-one", "key-number-two"])
        stack = await start_stack({"providers": {"own": own}})
        assert await status_of(stack, "own") == "available"
        assert (await stack.chat(model="own/m")).headers["x-gateway-provider"] == "own"
        assert await status_of(stack, "own") == "degraded"
        health = await stack.get("/health")
        assert (health["status"], health["providers"]["own"]) == ("degraded", "degraded")


async def test_a_provider_whose_quota_is_spent_is_unavailable(start_stack: Start) -> None:
    body = body_of(cap=50)
    stack = await start_stack({"providers": {"openai": {"quota": {"daily_tokens": reserve_of(body)}}}})
    assert await status_of(stack, "openai") == "available"
    stack.gateway.keeper.charge(("provider:openai",), reserve_of(body))
    await until(lambda: stack.gateway.keeper.room(("provider:openai",)) == 0)
    assert await status_of(stack, "openai") == "unavailable"
    health = await stack.get("/health")
    assert (health["status"], health["providers"]["openai"]) == ("degraded", "unavailable")
    assert (await call(stack, body)).headers["x-gateway-fallback-from"] == "openai"
