"""Calls of a known size, and the accounts they touch."""

from __future__ import annotations

from typing import Any

import aiohttp
from e2e_stack import Stack
from msgspec import json

from gateway.core.charge import capped
from gateway.core.tokens import input_bound

ROOMY: dict[str, Any] = {"limits": {"concurrency": None}}  # only the quota stands in the way


def body_of(text: str = "Hello", cap: int | None = None, **more: Any) -> bytes:
    """A chat; `cap` bounds its output in tokens."""
    if cap is not None:
        more["max_completion_tokens"] = cap
    return json.encode({"model": "gpt-5.4", "messages": [{"role": "user", "content": text}], **more})


def reserve_of(body: bytes) -> int:
    """What a call holds while it runs: the upper bound of its input and its output cap."""
    return capped(input_bound(body), int(json.decode(body)["max_completion_tokens"]), 1)


async def call(stack: Stack, body: bytes, tenant: str = "acme") -> aiohttp.ClientResponse:
    headers = stack.headers(tenant) | {"content-type": "application/json"}
    async with stack.session.post(stack.base(tenant) + "/chat/completions", data=body, headers=headers) as answer:
        await answer.read()
        return answer


async def call_until_refused(stack: Stack, body: bytes, most: int = 50) -> aiohttp.ClientResponse:
    """Call one after the other; the first answer that is not 200."""
    for _ in range(most):
        answer = await call(stack, body)
        if answer.status != 200:
            return answer
    raise AssertionError(f"{most} calls and no refusal")


async def accounts(stack: Stack, tenant: str = "acme") -> list[dict[str, Any]]:
    """The tenant's account lines, without `leased`: what processes hold in advance changes with time alone."""
    rows = (await stack.get("/quotas", tenant))["accounts"]
    return [{name: value for name, value in row.items() if name != "leased"} for row in rows]


async def account(stack: Stack, scope: str, window: str = "daily") -> dict[str, Any]:
    """One account line; those of providers are not on any tenant's page."""
    if scope.startswith("tenant:"):
        tenant = scope.removeprefix("tenant:").partition("/")[0]
        return next(row for row in await accounts(stack, tenant) if (row["scope"], row["window"]) == (scope, window))
    rows = (await stack.get("/providers"))["providers"]
    found: dict[str, Any] = next(row for row in rows if f"provider:{row['name']}" == scope)["quota"][window]
    return found


async def spent(stack: Stack, provider: str) -> int:
    """What the simulator of a provider served."""
    return int((await stack.sim("served"))[provider]["total_tokens"])
