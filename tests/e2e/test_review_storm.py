"""Everything at once: faults, deadlines, clients that leave at any moment, reloads. Afterwards nothing is held by anybody."""

from __future__ import annotations

import asyncio
import random
from typing import Any

import aiohttp
import pytest
from e2e_heard import COMPLETIONS, NATIVE
from e2e_quota import accounts
from e2e_sockets import begin
from e2e_stack import Stack, Start
from e2e_tools import until
from msgspec import structs

from gateway.settings import Limits

FAULTS: list[dict[str, Any]] = [
    {"kind": "status", "status": 500},
    {"kind": "status", "status": 400},
    {"kind": "status", "status": 429, "retry_after_s": 0.05},
    {"kind": "slow_first_byte", "delay_s": 0.2},
    {"kind": "stall", "after_events": 1, "delay_s": 0.3},
    {"kind": "cut", "after_events": 2},
    {"kind": "reset"},
    {"kind": "empty"},
    {"kind": "bad_json"},
    {"kind": "error_event"},
    {"kind": "html"},
]
SETTINGS: dict[str, Any] = {
    "breaker": {"failures": 4, "open_s": 0.15},
    "tenants": {"acme": {"limits": {"concurrency": 40}, "quota": {"daily_tokens": 3_000_000}}},
    "providers": {
        name: {"timeouts": {"first_byte_s": 0.4, "idle_s": 0.25}, "quota": {"daily_tokens": 2_000_000}}
        for name in ("openai", "anthropic", "gemini")
    },
}
MODELS = ["gpt-5.4", "claude-sonnet-4-6", "gemini-3.8-flash", "auto", "fast"]


async def call_and_perhaps_leave(stack: Stack, dice: random.Random) -> None:
    body = {"model": dice.choice(MODELS), "messages": [{"role": "user", "content": "word " * dice.randrange(1, 60)}]}
    body["stream"] = dice.random() < 0.6
    headers = stack.headers()
    if dice.random() < 0.3:
        headers["x-gateway-timeout-ms"] = str(dice.randrange(1, 400))
    if dice.random() < 0.3:
        headers["x-session-id"] = f"talk{dice.randrange(5)}"
    url = stack.base() + dice.choice([COMPLETIONS, NATIVE])
    patience_s = dice.choice([0.01, 0.05, 0.15, 0.3, 5.0])
    try:
        async with asyncio.timeout(patience_s), stack.session.post(url, json=body, headers=headers) as answer:
            await answer.read()
    except (TimeoutError, aiohttp.ClientError):
        return


async def talk_and_perhaps_leave(stack: Stack, dice: random.Random) -> None:
    async with stack.session.ws_connect(f"{stack.base()}/stream?token={stack.token()}") as socket:
        for n in range(dice.randrange(1, 4)):
            await begin(socket, f"r{n}", model=dice.choice(MODELS))
        if dice.random() < 0.5:
            await socket.send_json({"event": "chat.stream.stop", "data": {"requestId": "r0"}})
        await asyncio.sleep(dice.choice([0.0, 0.05, 0.2, 0.5]))


async def disturb(stack: Stack, dice: random.Random) -> None:
    while True:
        for name in ("openai", "anthropic", "gemini"):
            await stack.fault(name, **dice.choice(FAULTS), times=dice.randrange(1, 6))
        limits = Limits(concurrency=dice.randrange(20, 60), requests_per_minute=dice.choice([None, 100_000]))
        tenants = stack.gateway.config.tenants
        tenants = {**tenants, "acme": structs.replace(tenants["acme"], limits=limits)}
        await stack.gateway.reload(structs.replace(stack.gateway.config, tenants=tenants))
        await asyncio.sleep(0.1)


@pytest.mark.parametrize("seed", [1])
@pytest.mark.parametrize("lean", [True, False], ids=["lean_door", "aiohttp_door"])
async def test_after_the_storm_nothing_is_held(start_stack: Start, lean: bool, seed: int) -> None:
    dice = random.Random(seed)
    stack = await start_stack({**SETTINGS, "server": {"fast_lane": lean, "drain_s": 2}}, chunk_delay_s=0.01)
    disturbing = asyncio.create_task(disturb(stack, dice))
    for _ in range(6):
        calls = [call_and_perhaps_leave(stack, dice) for _ in range(25)]
        talks = [talk_and_perhaps_leave(stack, dice) for _ in range(3)]
        await asyncio.gather(*calls, *talks)
    disturbing.cancel()
    await stack.clear_faults()
    gateway = stack.gateway

    async def quiet() -> bool:
        rows = await accounts(stack)
        return not gateway.handlers.in_flight.value and all(row["reserved"] == 0 for row in rows)

    await until(quiet, within_s=3.0, what="all calls are settled")
    assert gateway.pipeline.live == set()
    assert (len(gateway.streams), gateway.pipeline.recorder.streams.value) == (0, 0)
    assert gateway.pipeline.routes.limits_of("acme").running == 0
    assert gateway.keeper.counts["double_settles"] == 0
    await until(lambda: all(not stats.in_flight for stats in gateway.upstream.stats().values()), within_s=1.0)
    lines = stack.log_lines()
    assert [x for x in lines if x["event"] in ("internal_error", "background_task_failed", "library")] == []
    assert {x["outcome"] for x in lines if x["event"] == "request" and "surface" in x} > {"ok", "client_gone"}
    await asyncio.sleep(0.2)  # breakers that are open let a probe through
    for model in MODELS[:3]:
        answer = await stack.chat(model=model)
        assert (answer.status, "x-gateway-fallback-from" in answer.headers) == (200, False)
    served = await stack.sim("served")
    used = {view.scope: view.used for view in gateway.keeper.accounts(["provider:*"]) if view.window == "daily"}
    for name, row in served.items():
        assert used[f"provider:{name}"] >= row["total_tokens"], name
