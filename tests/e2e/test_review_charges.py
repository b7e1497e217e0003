"""Who pays what, in the cases in which it is easy to forget somebody."""

from __future__ import annotations

import asyncio
from typing import Any

import aiohttp
import pytest
from e2e_heard import hear
from e2e_quota import account, accounts, body_of, call, reserve_of, spent
from e2e_script import SSE, Say, Scripted, chat_frame, chunk, scripted
from e2e_stack import Stack, Start
from e2e_tools import error_of, until

from gateway.core.tokens import input_bound

OWN = {"model": "own/m"}


async def settled(stack: Stack) -> bool:
    return all(row["reserved"] == 0 for row in await accounts(stack)) and not stack.gateway.handlers.in_flight.value


async def used_by(stack: Stack, *scopes: str) -> list[int]:
    await until(lambda: settled(stack), what="every hold is settled")
    return [(await account(stack, scope))["used"] for scope in scopes]


def access_line(stack: Stack) -> dict[str, Any]:
    return [line for line in stack.log_lines() if line["event"] == "request" and line["method"] == "POST"][-1]


@pytest.mark.parametrize("stream", [False, True])
async def test_whose_deadline_passes_pays_for_the_question_as_who_leaves_does(stack: Stack, stream: bool) -> None:
    await stack.fault("openai", "slow_first_byte", delay_s=10)
    answer = await stack.chat(stream=stream, x_gateway_timeout_ms=100)
    await error_of(answer, 504, "deadline_exceeded")
    tenant, provider, share = await used_by(stack, "tenant:acme", "provider:openai", "tenant:acme/provider:openai")
    assert tenant == provider == share > 0
    assert access_line(stack)["estimated"] is True


async def test_a_stream_that_began_without_a_word_is_paid_for_at_least_its_question(start_stack: Start) -> None:
    async def cut_after_the_reason(upstream: Scripted, say: Say) -> None:
        await say(SSE + chunk(chat_frame(finish="length")))
        raise ConnectionResetError

    async with scripted(cut_after_the_reason) as upstream:
        stack = await start_stack({"providers": {"own": upstream.provider()}})
        heard = await hear(stack, **OWN)
        assert len(heard.errors) == 1
        tenant, share = await used_by(stack, "tenant:acme", "tenant:acme/provider:own")
        assert tenant == share > 0


async def test_an_estimate_says_that_it_is_one_though_the_vendor_reported_a_beginning(start_stack: Start) -> None:
    stack = await start_stack()
    await stack.fault("anthropic", "cut", after_events=6)
    heard = await hear(stack, model="claude-sonnet-4-6", messages=[{"role": "user", "content": "word " * 40}])
    assert len(heard.errors) == 1
    await until(lambda: settled(stack))
    line = access_line(stack)
    assert line["outcome"] == "interrupted"
    assert line["estimated"] is True


async def test_tokens_that_a_failed_attempt_used_are_its_own_and_the_tenant_pays_the_sum(start_stack: Start) -> None:
    async def usage_without_an_answer(upstream: Scripted, say: Say) -> None:
        usage = {"prompt_tokens": 40, "completion_tokens": 2, "total_tokens": 42}
        await say(SSE + chunk(chat_frame(usage=usage) + b"data: [DONE]\n\n") + b"0\r\n\r\n")

    async with scripted(usage_without_an_answer) as upstream:
        stack = await start_stack({"providers": {"own": upstream.provider()}})
        heard = await hear(stack, **OWN)
        assert (heard.complete, heard.headers["x-gateway-fallback-from"]) == (True, "own")
        tenant, own, other = await used_by(
            stack, "tenant:acme", "tenant:acme/provider:own", "tenant:acme/provider:openai"
        )
        served = await spent(stack, "openai")
        assert (own, other, tenant) == (42, served, 42 + served)
        assert (await used_by(stack, "provider:own", "provider:openai")) == [42, served]


async def test_a_client_that_leaves_in_the_middle_of_a_whole_answer_pays_for_what_was_made(start_stack: Start) -> None:
    arrived = asyncio.Event()

    async def half_an_answer(upstream: Scripted, say: Say) -> None:
        head = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 100000\r\n\r\n"
        await say(head + b'{"id":"c1","choices":[{"message":{"content":"' + b"word " * 4000)
        arrived.set()
        await asyncio.sleep(5)

    async with scripted(half_an_answer) as upstream:
        stack = await start_stack({"providers": {"own": upstream.provider()}})
        body = body_of(cap=9000).replace(b"gpt-5.4", b"own/m")
        leaving = asyncio.create_task(call(stack, body))
        await arrived.wait()
        await asyncio.sleep(0.05)
        leaving.cancel()
        tenant, share = await used_by(stack, "tenant:acme", "tenant:acme/provider:own")
        assert tenant == share > input_bound(body) + 4000


async def test_several_answers_at_once_are_held_for_all_of_them(start_stack: Start) -> None:
    body = body_of(cap=100, n=3)
    enough = input_bound(body) + 300
    assert enough > reserve_of(body)
    stack = await start_stack({"tenants": {"acme": {"quota": {"daily_tokens": enough - 1}}}})
    await error_of(await call(stack, body), 429, "quota_exceeded")
    assert await stack.sim("requests") == []


async def test_a_report_that_cannot_be_true_is_marked_in_the_ledger(start_stack: Start) -> None:
    async def absurd(upstream: Scripted, say: Say) -> None:
        usage = {"prompt_tokens": 10**12, "completion_tokens": 1, "total_tokens": 10**12 + 1}
        await say(SSE + chunk(chat_frame("Hi") + chat_frame(finish="stop") + chat_frame(usage=usage)))
        await say(chunk(b"data: [DONE]\n\n") + b"0\r\n\r\n")

    async with scripted(absurd) as upstream:
        stack = await start_stack({"providers": {"own": upstream.provider()}})
        assert (await hear(stack, **OWN)).complete
        await until(lambda: settled(stack))
        assert stack.gateway.keeper.counts["suspect"] == 1


async def test_what_a_call_cost_that_the_gateway_had_to_stop_is_not_forgotten(start_stack: Start) -> None:
    stack = await start_stack({"server": {"drain_s": 0}}, chunk_delay_s=0.05)
    body = {"model": "gpt-5.4", "messages": [{"role": "user", "content": "word " * 200}], "stream": True}
    async with aiohttp.ClientSession() as session:
        url = stack.base() + "/chat/completions"
        async with session.post(url, json=body, headers=stack.headers()) as answer:
            await answer.content.readany()
            await stack.gateway.drain()
            with pytest.raises(aiohttp.ClientPayloadError):
                await answer.read()
    [tenant] = [view.used for view in stack.gateway.keeper.accounts(["tenant:acme"]) if view.window == "daily"]
    assert tenant >= 200


# ---------------------------------------------------------------- what is held is what may be written


async def test_who_steps_in_may_write_no_more_than_was_held(start_stack: Start) -> None:
    """The first candidate's model writes 16,384 tokens at most, which is held; the second one's would write more."""
    stack = await start_stack({"tenants": {"acme": {"quota": {"daily_tokens": 10_000_000}}}})
    await stack.fault("openai", "status", status=500)
    answer = await stack.chat(model="gpt-4o")
    assert answer.headers["x-gateway-provider"] == "anthropic"
    assert answer.headers["x-gateway-quota-clamped"] == "16384"
    [asked] = await stack.calls_to("anthropic")
    assert asked["body"]["max_tokens"] == 16384


async def test_without_any_quota_who_steps_in_may_write_what_its_model_can(stack: Stack) -> None:
    await stack.fault("openai", "status", status=500)
    answer = await stack.chat(model="gpt-4o")
    assert "x-gateway-quota-clamped" not in answer.headers
    [asked] = await stack.calls_to("anthropic")
    assert asked["body"]["max_tokens"] > 16384


async def test_a_cap_of_ours_is_never_above_what_the_next_model_takes(start_stack: Start) -> None:
    quota = {"quota": {"daily_tokens": 100_000}}
    stack = await start_stack({"tenants": {"acme": quota}, "models": {"two": ["openai/gpt-5.4", "openai/gpt-4o"]}})
    await stack.fault("openai", "status", status=500, times=1)
    answer = await stack.chat(model="two")
    assert (answer.status, answer.headers["x-gateway-model"]) == (200, "gpt-4o")
    first, second = await stack.calls_to("openai")
    assert first["body"]["max_completion_tokens"] > 16384
    assert second["body"].get("max_completion_tokens", second["body"].get("max_tokens")) == 16384
