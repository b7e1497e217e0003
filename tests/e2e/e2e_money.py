"""Budgets of a running gateway, and what calls cost at the shipped prices."""

from __future__ import annotations

import time
from decimal import Decimal
from typing import Any

from e2e_stack import Stack
from msgspec import json, structs

from gateway.app import read_prices
from gateway.core.charge import LEAST_CAP
from gateway.core.pricing import Price, cost_microusd
from gateway.core.tariffs import most_microusd
from gateway.core.tokens import input_bound
from gateway.settings import Budget, Config
from gateway.types import Usage

PRICES = read_prices()
TENANT = "tenant:acme"


def price(family: str, model: str) -> Price:
    found = PRICES.price(family, model, time.time())
    assert found is not None
    return found


GPT = price("openai", "gpt-5.4")
CLAUDE = price("anthropic", "claude-sonnet-4-6")
GEMINI = price("gemini", "gemini-3.8-flash")


def reserve(body: bytes, at: Price = GPT) -> int:
    """The micro-USD that a call holds while it runs."""
    return most_microusd(at, input_bound(body), max(LEAST_CAP, int(json.decode(body)["max_completion_tokens"])))


def budget(microusd: int, window: str = "daily") -> dict[str, Any]:
    """A section of the file."""
    return {f"{window}_usd": float(Decimal(microusd) / 10**6)}


def acme(microusd: int, **more: Any) -> dict[str, Any]:
    return {"tenants": {"acme": {"budget": budget(microusd), **more}}}


async def money(stack: Stack, scope: str = TENANT, window: str = "daily") -> dict[str, Any]:
    """One account in micro-USD."""
    if scope.startswith("provider:"):
        rows = (await stack.get("/providers"))["providers"]
        found: dict[str, Any] = next(row for row in rows if f"provider:{row['name']}" == scope)["budget"][window]
        return found
    rows = (await stack.get("/quotas"))["accounts"]
    return next(row for row in rows if (row["scope"], row["unit"], row["window"]) == (scope, "microusd", window))


def cost_of(answer: Any, at: Price = GPT) -> int:
    """What an OpenAI answer cost."""
    usage = answer["usage"]
    cached = (usage.get("prompt_tokens_details") or {}).get("cached_tokens", 0)
    cost = cost_microusd(at, Usage(usage["prompt_tokens"], usage["completion_tokens"], cached))
    assert cost is not None
    return cost


async def metrics(stack: Stack) -> list[str]:
    async with stack.session.get(f"{stack.origin}/metrics") as answer:
        return (await answer.text()).splitlines()


async def quiet(stack: Stack) -> bool:
    return not stack.gateway.handlers.in_flight.value and (await money(stack))["reserved"] == 0


async def reload(stack: Stack, microusd: int | None) -> None:
    """Another budget for acme, as if the file had changed."""
    config: Config = stack.gateway.config
    daily = None if microusd is None else Decimal(microusd) / 10**6
    changed = structs.replace(config.tenants["acme"], budget=Budget(daily_usd=daily))
    await stack.gateway.reload(structs.replace(config, tenants={**config.tenants, "acme": changed}))
