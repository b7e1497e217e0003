"""Where the most that an input can be does not fit, what such inputs were seen to be is tried."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path

import pytest
from aiohttp import web
from e2e_quota import account, accounts, body_of, call, reserve_of, spent
from e2e_stack import Stack, Start
from e2e_tools import serving

from gateway.core.ratios import ENOUGH
from gateway.counted import Counts

LONG = "a question of some length " * 40


def stored(path: Path, tokens: int) -> dict:
    return {"store": {"url": f"sqlite:///{path}"}, "tenants": {"acme": {"quota": {"daily_tokens": tokens}}}}


async def test_a_call_that_does_not_fit_by_its_bytes_is_admitted_by_what_was_learnt_also_after_a_restart(
    start_stack: Start, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Counts, "decides", lambda *_: False)  # the provider is not asked
    body = body_of(LONG, cap=50)
    room = reserve_of(body) // 2
    first = await start_stack(stored(tmp_path / "quotas.db", room))
    assert (await call(first, body)).status == 429, "nothing is learnt yet"
    for number in range(ENOUGH):
        assert (await call(first, body_of(f"{number} {LONG}", cap=50, stream=True), "globex")).status == 200
    assert (await call(first, body)).status == 200
    used = await spent(first, "openai") - (await account(first, "tenant:globex"))["used"]
    assert (await account(first, "tenant:acme"))["used"] == used
    await first.stop()

    again = await start_stack(stored(tmp_path / "quotas.db", room + used))
    assert (await call(again, body)).status == 200
    row = await account(again, "tenant:acme")
    assert row["overdraft"] == 0 and row["used"] == 2 * used


async def counts_asked(stack: Stack) -> int:
    return sum("input_tokens" in row["path"] or "count" in row["path"] for row in await stack.sim("requests"))


@pytest.mark.parametrize("model", ["gpt-5.4", "claude-sonnet-4-6", "gemini-3.8-flash"])
async def test_a_call_that_fits_by_the_providers_own_count_is_admitted(start_stack: Start, model: str) -> None:
    body = body_of(LONG, cap=50).replace(b"gpt-5.4", model.encode())
    stack = await start_stack({"tenants": {"acme": {"quota": {"daily_tokens": reserve_of(body) // 2}}}})
    assert (await call(stack, body)).status == 200
    assert await counts_asked(stack) == 1
    row = await account(stack, "tenant:acme")
    assert row["overdraft"] == 0 and 0 < row["used"] <= row["limit"]
    assert (await stack.get("/alerts"))["alerts"] == [] or row["used"] * 100 >= 75 * row["limit"]


async def test_a_tenant_at_its_limit_does_not_have_the_provider_asked_all_the_time(start_stack: Start) -> None:
    body = body_of(LONG, cap=50)
    stack = await start_stack({"tenants": {"acme": {"quota": {"daily_tokens": reserve_of(body) // 6}}}})
    assert [(await call(stack, body)).status for _ in range(20)] == [429] * 20
    assert await counts_asked(stack) <= 1


async def test_a_body_that_only_its_provider_may_refuse_is_short_of_room_like_any_other(start_stack: Start) -> None:
    body = body_of(LONG, cap=50).replace(b'"user"', b'"alien"')
    stack = await start_stack({"tenants": {"acme": {"quota": {"daily_tokens": reserve_of(body) // 2}}}})
    assert (await call(stack, body)).status == 429
    assert await counts_asked(stack) == 0


async def test_where_the_truth_could_not_help_nobody_is_asked(start_stack: Start) -> None:
    stack = await start_stack({"tenants": {"acme": {"quota": {"daily_tokens": 100}}}})
    assert (await call(stack, body_of(LONG, cap=50))).status == 429
    assert await counts_asked(stack) == 0


async def test_a_provider_that_does_not_count_in_time_changes_nothing(
    start_stack: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gateway.counted.PATIENCE_S", 0.2)
    asked = 0

    async def handle(request: web.Request) -> web.StreamResponse:
        nonlocal asked
        asked += 1
        await asyncio.sleep(5)
        return web.json_response({"input_tokens": 1})

    body = body_of(LONG, cap=50)
    async with serving({"/v1/responses/input_tokens": handle}) as origin:
        slow = {"type": "openai", "api_key": "sk-x", "base_url": origin + "/v1", "priority": 99}
        quota = {"daily_tokens": reserve_of(body) // 2}
        stack = await start_stack({"providers": {"openai": slow}, "tenants": {"acme": {"quota": quota}}})
        began = time.monotonic()
        assert (await call(stack, body)).status == 429
        assert (asked, time.monotonic() - began < 3) == (1, True)


async def test_an_admission_by_what_was_learnt_is_no_refusal(start_stack: Start) -> None:
    body = body_of(LONG, cap=50)
    stack = await start_stack({"tenants": {"acme": {"quota": {"daily_tokens": reserve_of(body) // 2}}}})
    for number in range(ENOUGH):
        await call(stack, body_of(f"{number} {LONG}", cap=50, stream=True), "globex")
    assert (await call(stack, body)).status == 200
    assert (await stack.get("/alerts"))["alerts"] == []
    metrics = await (await stack.session.get(stack.origin + "/metrics")).text()
    assert "\ngateway_quota_refusals_total{" not in metrics


async def test_what_was_learnt_and_is_not_true_this_time_is_charged_in_full(start_stack: Start) -> None:
    tokens = {"prompt": 260}

    async def handle(request: web.Request) -> web.StreamResponse:
        asked = await request.json()
        said = {"index": 0, "message": {"role": "assistant", "content": "Hi"}, "finish_reason": "stop"}
        usage = {"prompt_tokens": tokens["prompt"], "completion_tokens": 2, "total_tokens": tokens["prompt"] + 2}
        head = {"id": "c1", "created": 1, "model": asked["model"], "object": "chat.completion"}
        return web.json_response({**head, "choices": [said], "usage": usage})

    async with serving({"/v1/chat/completions": handle}) as origin:
        local = {"type": "openai_compatible", "base_url": origin + "/v1", "default_model": "own", "priority": 99}
        stack = await start_stack(
            {
                "server": {"fast_lane": False},
                "providers": {"local": local},
                "tenants": {"acme": {"quota": {"daily_tokens": 700}}},
            }
        )
        body = body_of(LONG, cap=50).replace(b"gpt-5.4", b"own")
        for _ in range(ENOUGH):
            assert (await call(stack, body, "globex")).status == 200
        tokens["prompt"] = 1_000
        assert (await call(stack, body)).status == 200
        row = await account(stack, "tenant:acme")
        assert (row["used"], row["overdraft"], row["remaining"]) == (1_002, 302, 0)
        assert (await call(stack, body)).status == 429


async def test_pictures_teach_nothing_about_text(start_stack: Start) -> None:
    picture = {"type": "image_url", "image_url": {"url": "data:image/png;base64," + "A" * 4_000}}
    content = [{"type": "text", "text": LONG}, picture]
    stack = await start_stack()
    for _ in range(3):
        await stack.post("/chat/completions", {"model": "gpt-5.4", "messages": [{"role": "user", "content": content}]})
    assert await accounts(stack)
    assert stack.gateway.keeper.ratios.fresh == {}
