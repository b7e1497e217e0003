"""A key that its provider refuses rests shortly, longer each time, and clients are told when to come back."""

from __future__ import annotations

import asyncio
import time
from typing import Any

from e2e_heard import seen
from e2e_stack import Stack, Start

ONLY_OPENAI: dict[str, Any] = {"tenants": {"acme": {"providers": ["openai"]}}}


def refusals(stack: Stack) -> list[dict[str, Any]]:
    return [line for line in stack.log_lines() if line["event"] == "credential_refused"]


async def status(stack: Stack, provider: str) -> str:
    rows = (await stack.get("/providers"))["providers"]
    return str(next(row["status"] for row in rows if row["name"] == provider))


async def test_a_401_that_passes_costs_a_second(start_stack: Start) -> None:
    stack = await start_stack(ONLY_OPENAI)
    await stack.fault("openai", "status", status=401, times=1)
    began = time.monotonic()
    for _ in range(2):  # refused, and passed over while the key rests
        answer = await stack.chat()
        assert (answer.status, (await answer.json())["error"]["code"]) == (502, "upstream_auth")
        assert (answer.headers["retry-after"], answer.headers["x-should-retry"]) == ("1", "true")
    assert len(seen(stack, "openai")) == 1
    assert await status(stack, "openai") == "unavailable"
    await asyncio.sleep(1.05 - (time.monotonic() - began))
    assert (await stack.chat()).status == 200
    assert await status(stack, "openai") == "available"
    assert [(line["times"], line["rests_s"]) for line in refusals(stack)] == [(1, 1.0)]


async def test_calls_that_are_refused_together_make_it_no_longer(start_stack: Start) -> None:
    stack = await start_stack(ONLY_OPENAI)
    await stack.fault("openai", "status", status=401)
    answers = await asyncio.gather(*(stack.chat() for _ in range(10)))
    assert {(answer.status, answer.headers["retry-after"]) for answer in answers} == {(502, "1")}


async def test_a_key_that_stays_refused_rests_longer_until_a_reload(start_stack: Start) -> None:
    stack = await start_stack(ONLY_OPENAI)
    await stack.fault("openai", "status", status=401, times=2)
    await stack.chat()
    await asyncio.sleep(1.05)
    answer = await stack.chat()
    assert (answer.status, answer.headers["retry-after"]) == (502, "5")
    await stack.gateway.reload(stack.gateway.config)
    assert (await stack.chat()).status == 200


async def test_a_key_that_rests_is_a_reason_to_come_back_whatever_else_failed(start_stack: Start) -> None:
    stack = await start_stack({"tenants": {"acme": {"providers": ["openai", "anthropic"]}}})
    await stack.fault("openai", "status", status=401, times=1)
    await stack.fault("anthropic", "status", status=500)
    answer = await stack.chat()
    assert (answer.status, (await answer.json())["error"]["code"]) == (502, "upstream_error")
    assert (answer.headers["retry-after"], answer.headers["x-should-retry"]) == ("1", "true")
