"""What is charged when a call does not end as it should: clients that leave, providers that fail, usage that lies."""

from __future__ import annotations

import asyncio
import time
from typing import Any

import aiohttp
import pytest
from aiohttp import web
from e2e_quota import account, accounts, body_of, call, reserve_of, spent
from e2e_stack import Stack, Start
from e2e_tools import serving, until

from gateway.core.tokens import input_bound


async def aborted(stack: Stack, provider: str = "openai") -> bool:
    """Whether the simulator saw its client leave."""
    return any(row["aborted"] for row in await stack.calls_to(provider))


async def call_cut(stack: Stack, body: bytes) -> bytes:
    """What arrives of an answer that breaks off."""
    headers, arrived = stack.headers() | {"content-type": "application/json"}, b""
    async with stack.session.post(stack.base() + "/chat/completions", data=body, headers=headers) as answer:
        with pytest.raises(aiohttp.ClientPayloadError):
            while True:
                arrived += await answer.content.read(1)
    return arrived


async def settled(stack: Stack) -> bool:
    return all(row["reserved"] == 0 for row in await accounts(stack)) and not stack.gateway.handlers.in_flight.value


# ---------------------------------------------------------------- clients that leave


@pytest.mark.parametrize("model", ["gpt-5.4", "claude-sonnet-4-6"])  # one stream is relayed, the other translated
async def test_who_leaves_in_mid_stream_pays_for_what_was_made(start_stack: Start, model: str) -> None:
    provider = "openai" if model.startswith("gpt") else "anthropic"
    stack = await start_stack(
        {
            "tenants": {"acme": {"quota": {"daily_tokens": 100_000}}},
            "providers": {provider: {"quota": {"daily_tokens": 100_000}}},
        },
        chunk_delay_s=0.1,
    )
    body = {"model": model, "messages": [{"role": "user", "content": "a long story " * 20}], "stream": True}
    async with aiohttp.ClientSession() as leaving:
        answer = await leaving.post(stack.base() + "/chat/completions", json=body, headers=stack.headers())
        assert answer.status == 200
        await answer.content.readany()
        await asyncio.sleep(0.25)
        answer.close()
        left_at = time.monotonic()
    await until(lambda: aborted(stack, provider), within_s=1.0, what="the upstream's stream is closed")
    assert time.monotonic() - left_at < 1.0
    await until(lambda: settled(stack))
    served = await spent(stack, provider)
    mine = await account(stack, "tenant:acme")
    assert mine["used"] >= served > 0
    assert mine["used"] < 1000, "what was not made is not charged"
    assert mine["used"] == (await account(stack, f"provider:{provider}"))["used"]
    [line] = [line for line in stack.log_lines() if line.get("outcome") == "client_gone"]
    assert line["total_tokens"] == mine["used"]


async def test_who_leaves_before_the_first_byte_pays_for_the_question(start_stack: Start) -> None:
    stack = await start_stack()
    body = body_of(cap=500)
    await stack.fault("openai", "slow_first_byte", delay_s=10)
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.3):
            await call(stack, body)
    await until(lambda: aborted(stack), within_s=1.0, what="the upstream is cancelled")
    await until(lambda: settled(stack))
    row = await account(stack, "tenant:acme")
    assert 0 < row["used"] <= input_bound(body), "the input, estimated from above"
    assert (await account(stack, "provider:openai"))["used"] == row["used"]


# ---------------------------------------------------------------- providers that fail


async def test_attempts_that_failed_without_usage_cost_nothing(stack: Stack) -> None:
    await stack.fault("openai", "status", status=500)
    await stack.fault("anthropic", "status", status=529)
    assert (await call(stack, body_of(cap=100))).headers["x-gateway-provider"] == "gemini"
    used = {name: (await account(stack, f"provider:{name}"))["used"] for name in ("openai", "anthropic", "gemini")}
    assert used == {"openai": 0, "anthropic": 0, "gemini": await spent(stack, "gemini")}
    assert (await account(stack, "tenant:acme"))["used"] == used["gemini"] > 0
    await stack.fault("gemini", "status", status=503)
    before = await accounts(stack)
    assert (await call(stack, body_of(cap=100))).status >= 500
    await until(lambda: settled(stack))
    assert await accounts(stack) == before


async def test_a_refused_request_costs_nothing(stack: Stack) -> None:
    assert (await call(stack, body_of(temperature=77))).status == 400
    assert (await call(stack, body_of(cap=100, top_logprobs=3))).status == 400
    assert {row["used"] for row in await accounts(stack)} == {0}


async def test_a_provider_that_broke_off_is_paid_for_what_it_made(start_stack: Start) -> None:
    stack = await start_stack()
    await stack.fault("openai", "cut", after_events=2)
    answer = await call_cut(stack, body_of("tell me more " * 10, stream=True))
    assert b"stream_interrupted" in answer
    assert b"[DONE]" not in answer
    await until(lambda: settled(stack))
    used = (await account(stack, "tenant:acme"))["used"]
    assert used >= await spent(stack, "openai") > 0
    assert used == (await account(stack, "provider:openai"))["used"]


# ---------------------------------------------------------------- usage that cannot be true

ABSURD: dict[str, Any] = {
    "missing": None,
    "empty": {},
    "negative": {"prompt_tokens": 5, "completion_tokens": -900, "total_tokens": -895},
    "negative part": {"prompt_tokens": -5, "completion_tokens": 10, "total_tokens": 5},
    "zero": {"prompt_tokens": 0, "completion_tokens": 0, "total_tokens": 0},
    "huge": {"prompt_tokens": 10**12, "completion_tokens": 10**12, "total_tokens": 2 * 10**12},
    "endless": {"prompt_tokens": 10**30, "completion_tokens": 1, "total_tokens": 10**30},
    "text": {"prompt_tokens": "5", "completion_tokens": "7", "total_tokens": "12"},
    "fraction": {"prompt_tokens": 1.5, "completion_tokens": 2.5, "total_tokens": 4.0e300},
    "no object": [1, 2, 3],
    "true": {"prompt_tokens": True, "completion_tokens": True, "total_tokens": True},
}

BEYOND_ALL = ("huge", "endless", "fraction")


def answering(usage: Any) -> Any:
    """A handler that speaks OpenAI's Chat, whole and streamed, and reports `usage`."""
    reported = {} if usage is None else {"usage": usage}

    async def handle(request: web.Request) -> web.StreamResponse:
        asked = await request.json()
        head = {"id": "c1", "created": 1, "model": asked["model"]}
        if not asked.get("stream"):
            said = {"index": 0, "message": {"role": "assistant", "content": "Hi"}, "finish_reason": "stop"}
            return web.json_response({**head, "object": "chat.completion", "choices": [said], **reported})
        answer = web.StreamResponse(headers={"content-type": "text/event-stream"})
        await answer.prepare(request)
        delta = {"index": 0, "delta": {"role": "assistant", "content": "Hi"}, "finish_reason": None}
        stop = {"index": 0, "delta": {}, "finish_reason": "stop"}
        for row in ({"choices": [delta]}, {"choices": [stop]}, {"choices": [], **reported}):
            await answer.write(
                b"data: " + web.json_response({**head, "object": "chat.completion.chunk", **row}).body + b"\n\n"
            )
        await answer.write(b"data: [DONE]\n\n")
        return answer

    return handle


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("kind", sorted(ABSURD))
async def test_usage_that_cannot_be_true_never_reaches_an_account(start_stack: Start, kind: str, stream: bool) -> None:
    async with serving({"/v1/chat/completions": answering(ABSURD[kind])}) as origin:
        local = {
            "type": "openai_compatible",
            "api_key": "x",
            "base_url": origin + "/v1",
            "default_model": "own",
            "priority": 99,
        }
        stack = await start_stack({"providers": {"local": local}})
        body = body_of(cap=50, stream=stream).replace(b"gpt-5.4", b"local/own")
        answer = await call(stack, body)
        assert answer.status == 200, await answer.text()
        assert answer.headers["x-gateway-provider"] == "local"
        await until(lambda: settled(stack))
        rows = await accounts(stack)
        by_scope = {row["scope"]: row["used"] for row in rows if row["window"] == "daily" and row["used"]}
        assert set(by_scope) == {"tenant:acme", "tenant:acme/provider:local"}
        # Below four times what was held, or at most all that the newest model can read and write.
        most = 2_000_000 if kind in BEYOND_ALL else 4 * reserve_of(body)
        assert all(0 < used <= most for used in by_scope.values()), by_scope
        metrics = (await (await stack.session.get(stack.origin + "/metrics")).text()).splitlines()
        assert 'gateway_suspect_usage_total{provider="local"} 1.0' in metrics
        [line] = [line for line in stack.log_lines() if line["event"] == "suspect_usage"]
        assert (line["provider"], line["request_id"]) == ("local", answer.headers["x-request-id"])
        [access] = [line for line in stack.log_lines() if line.get("path", "").endswith("/chat/completions")]
        assert access["estimated"] is True


async def test_usage_above_the_reservation_that_can_be_true_is_charged_in_full(start_stack: Start) -> None:
    body = body_of(cap=10)
    told = reserve_of(body) * 2
    honest = {"prompt_tokens": told - 10, "completion_tokens": 10, "total_tokens": told}
    async with serving({"/v1/chat/completions": answering(honest)}) as origin:
        local = {
            "type": "openai_compatible",
            "api_key": "x",
            "base_url": origin + "/v1",
            "default_model": "own",
            "priority": 99,
        }
        quota = {"quota": {"daily_tokens": reserve_of(body)}}
        stack = await start_stack({"providers": {"local": local}, "tenants": {"acme": quota}})
        answer = await call(stack, body.replace(b"gpt-5.4", b"own"), "acme")
        assert answer.status == 200, await answer.text()
        row = await account(stack, "tenant:acme")
        assert (row["used"], row["overdraft"], row["remaining"]) == (told, told - row["limit"], 0)


async def test_a_local_server_needs_no_key(start_stack: Start) -> None:
    seen = []

    async def handle(request: web.Request) -> web.StreamResponse:
        seen.append(dict(request.headers))
        return await answering({"prompt_tokens": 5, "completion_tokens": 7, "total_tokens": 12})(request)

    async with serving({"/v1/chat/completions": handle}) as origin:
        local = {"type": "openai_compatible", "base_url": origin + "/v1", "default_model": "own", "priority": 99}
        stack = await start_stack({"providers": {"local": local}})
        answer = await call(stack, body_of(cap=10).replace(b"gpt-5.4", b"own"))
        assert answer.status == 200, await answer.text()
        assert answer.headers["x-gateway-provider"] == "local"
        assert "authorization" not in {name.lower() for name in seen[0]}
        assert (await account(stack, "tenant:acme"))["used"] == 12
