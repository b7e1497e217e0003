"""However a call ends, it ends: at any moment, once, with nothing held back and nobody asked in vain."""

from __future__ import annotations

import asyncio
import gc
import time
from collections.abc import Awaitable, Callable
from typing import Any

import aiohttp
import pytest
from e2e_heard import COMPLETIONS, HELLO, NATIVE, breaker, hear, seen, streaming
from e2e_quota import account, accounts, body_of, call, reserve_of
from e2e_stack import Stack, Start
from e2e_tools import error_of, until

from gateway.attempt import Attempt, WholeAnswer
from gateway.bill import Bill
from gateway.call import Call, Terms, Trail
from gateway.dialects.anthropic_messages import AnthropicMessages
from gateway.dialects.openai_chat import OPENAI_CHAT
from gateway.pipeline import Run
from gateway.providers.anthropic import AnthropicVendor
from gateway.providers.openai import OpenAI

CLAUDE = "claude-sonnet-4-6"
ALONE: dict[str, Any] = {"tenants": {"acme": {"providers": ["openai"]}}}
DOORS = pytest.mark.parametrize("lean", [True, False], ids=["lean_door", "aiohttp_door"])

Prepare = Callable[..., Awaitable[Stack]]


def door(lean: bool, more: dict[str, Any] | None = None) -> dict[str, Any]:
    return {"server": {"fast_lane": lean, "drain_s": 2}, **(more or {})}


async def nothing_left(stack: Stack) -> None:
    """Wait until no call is in flight and nothing is reserved, and check what else a call may leave behind."""

    async def quiet() -> bool:
        rows = await accounts(stack)
        return not stack.gateway.handlers.in_flight.value and all(row["reserved"] == 0 for row in rows)

    await until(quiet, within_s=2.0, what="all calls are settled")
    assert stack.gateway.pipeline.live == set()
    assert len(stack.gateway.streams) == 0
    assert stack.gateway.pipeline.routes.limits_of("acme").running == 0


def lines(stack: Stack) -> list[dict[str, Any]]:
    return [line for line in stack.log_lines() if line["event"] == "request" and line["method"] == "POST"]


def broken(*arguments: Any, **named: Any) -> Any:
    raise KeyError("what nobody thought of")


class Nobody:
    """An outlet whose client stays and says nothing."""

    gone = False

    def __init__(self) -> None:
        self.heard: list[str] = []

    def on_gone(self, callback: Any) -> None:
        return

    def fail(self, trail: Trail, error: Any) -> None:
        self.heard.append(error.code)

    def raw_answer(self, trail: Trail, body: bytes) -> None:
        self.heard.append("answer")


def call_of(stack: Stack, body: bytes) -> Call:
    routes = stack.gateway.pipeline.routes
    settings = routes.tenant("acme")
    assert settings is not None
    terms = Terms(
        surface="chat", dialect=OPENAI_CHAT, tenant="acme", settings=settings, limits=routes.limits_of("acme")
    )
    return Call("req", "0" * 24, terms, body, OPENAI_CHAT.peek(body), time.time(), time.monotonic())


# ------------------------------------------------------------ what a vendor's answer can do to us


@pytest.mark.parametrize("method", ["read_reply", "fault"])
async def test_an_answer_that_our_own_code_chokes_on_is_a_failed_attempt(
    stack: Stack, monkeypatch: pytest.MonkeyPatch, method: str
) -> None:
    monkeypatch.setattr(AnthropicMessages if method == "read_reply" else AnthropicVendor, method, broken)
    if method == "fault":
        await stack.fault("anthropic", "status", status=500)
    async with asyncio.timeout(3):
        answer = await stack.chat(model=CLAUDE)
    assert (answer.status, answer.headers["x-gateway-fallback-from"]) == (200, "anthropic")
    await nothing_left(stack)
    assert (await breaker(stack, "anthropic"))["consecutiveFailures"] == 1


@DOORS
async def test_a_bug_after_the_stream_began_never_begins_a_second_answer(
    start_stack: Start, monkeypatch: pytest.MonkeyPatch, lean: bool
) -> None:
    stack = await start_stack(door(lean))
    monkeypatch.setattr(Bill, "_charge_answer", broken)
    head = f"POST /api/v1/acme/ai{COMPLETIONS} HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {stack.token()}\r\n"
    body = body_of(stream=True)
    reader, writer = await asyncio.open_connection("127.0.0.1", stack.port)
    writer.write(head.encode() + b"content-type: application/json\r\ncontent-length: %d\r\n\r\n" % len(body) + body)
    async with asyncio.timeout(3):
        told = await reader.read()
    writer.close()
    assert told.count(b"HTTP/1.1") == 1
    assert not told.endswith(b"0\r\n\r\n")
    await nothing_left(stack)
    [line] = lines(stack)
    assert (line["status"], line["outcome"]) == (500, "error")


# ------------------------------------------------------------ deadlines


async def test_a_deadline_that_passes_in_the_pause_before_a_retry_is_told_and_nobody_is_asked_again(
    start_stack: Start,
) -> None:
    stack = await start_stack(ALONE)
    await stack.fault("openai", "status", status=500)
    began = time.monotonic()
    answer = await stack.chat(x_gateway_timeout_ms=60)
    assert time.monotonic() - began < 0.12
    await error_of(answer, 504, "deadline_exceeded")
    await asyncio.sleep(0.25)
    assert len(seen(stack, "openai")) == 1
    await nothing_left(stack)


async def test_a_deadline_holds_while_a_call_waits_for_room_too(start_stack: Start) -> None:
    body = body_of(cap=200)
    stack = await start_stack({"tenants": {"acme": {"quota": {"daily_tokens": reserve_of(body)}}}})
    await stack.fault("openai", "slow_first_byte", delay_s=0.5, times=1)
    first = asyncio.create_task(call(stack, body))
    await until(lambda: seen(stack, "openai"))
    began = time.monotonic()
    answer = await stack.chat(max_completion_tokens=150, x_gateway_timeout_ms=80)
    assert time.monotonic() - began < 0.2
    await error_of(answer, 504, "deadline_exceeded")
    assert (await first).status == 200
    assert len(seen(stack, "openai")) == 1
    await nothing_left(stack)


async def test_a_body_that_came_after_its_deadline_costs_nothing(stack: Stack) -> None:
    assert (await stack.chat()).status == 200  # a connection to the provider is open, and would take the call at once
    body = body_of()
    head = f"POST /api/v1/acme/ai{COMPLETIONS} HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {stack.token()}\r\n"
    head += f"x-gateway-timeout-ms: 50\r\ncontent-type: application/json\r\ncontent-length: {len(body)}\r\n\r\n"
    reader, writer = await asyncio.open_connection("127.0.0.1", stack.port)
    writer.write(head.encode() + body[:10])
    await asyncio.sleep(0.1)
    writer.write(body[10:])
    told = await reader.readuntil(b"\r\n\r\n")
    writer.close()
    assert told.startswith(b"HTTP/1.1 504")
    assert len(await stack.sim("requests")) == 1
    await nothing_left(stack)


async def test_a_call_is_forgotten_when_it_is_over_and_not_when_its_deadline_passes(stack: Stack) -> None:
    for stream in (False, True):
        answer = await stack.chat(stream=stream, x_gateway_timeout_ms=86_400_000)
        assert answer.status == 200
    await nothing_left(stack)
    gc.collect()
    assert [each for each in gc.get_objects() if isinstance(each, Attempt)] == []


# ------------------------------------------------------------ clients that leave while nobody is asked


@DOORS
async def test_nobody_is_asked_again_for_a_client_that_left_in_the_pause(start_stack: Start, lean: bool) -> None:
    stack = await start_stack(door(lean, ALONE))
    await stack.fault("openai", "status", status=500, times=1)
    leaving = asyncio.create_task(stack.chat())
    await until(lambda: any(line["event"] == "attempt_failed" for line in stack.log_lines()))
    leaving.cancel()
    await asyncio.sleep(0.4)
    assert len(seen(stack, "openai")) == 1
    await nothing_left(stack)
    [line] = lines(stack)
    assert (line["status"], line.get("total_tokens", 0)) == (499, 0)
    assert line["outcome"] == "client_gone"


@DOORS
async def test_nobody_is_asked_for_a_client_that_left_while_it_waited_for_room(start_stack: Start, lean: bool) -> None:
    body = body_of(cap=200)
    stack = await start_stack(door(lean, {"tenants": {"acme": {"quota": {"daily_tokens": reserve_of(body) + 100}}}}))
    await stack.fault("openai", "slow_first_byte", delay_s=0.25, times=1)
    first = asyncio.create_task(call(stack, body))
    await until(lambda: seen(stack, "openai"))
    second = asyncio.create_task(call(stack, body))
    await asyncio.sleep(0.1)
    second.cancel()
    assert (await first).status == 200
    await asyncio.sleep(0.3)
    assert len(seen(stack, "openai")) == 1
    await nothing_left(stack)


@pytest.mark.parametrize("turns", range(8))
async def test_a_call_cancelled_in_the_very_moment_that_room_came_leaves_no_hold(
    start_stack: Start, turns: int
) -> None:
    body = body_of(cap=200)
    stack = await start_stack({"tenants": {"acme": {"quota": {"daily_tokens": reserve_of(body)}}}})
    keeper = stack.gateway.keeper
    held = await keeper.hold(("tenant:acme",), reserve_of(body))
    task = asyncio.create_task(Run(stack.gateway.pipeline, call_of(stack, body), Nobody()).run())  # type: ignore[arg-type]
    await asyncio.sleep(0.05)
    keeper.settle(held, 0)
    for _ in range(turns):
        await asyncio.sleep(0)
    task.cancel()
    await asyncio.wait([task])
    await nothing_left(stack)


async def test_a_call_that_the_stop_of_the_process_cancels_is_paid_for(stack: Stack) -> None:
    await stack.fault("openai", "slow_first_byte", delay_s=5)
    task = asyncio.create_task(Run(stack.gateway.pipeline, call_of(stack, body_of(cap=9)), Nobody()).run())  # type: ignore[arg-type]
    await until(lambda: seen(stack, "openai"))
    task.cancel()
    await asyncio.wait([task])
    assert task.cancelled()
    await nothing_left(stack)
    assert (await account(stack, "tenant:acme"))["used"] > 0


async def test_an_answer_that_is_whole_stays_whole_though_its_client_leaves_in_the_same_moment() -> None:
    sink = WholeAnswer(OpenAI(), Nobody(), Trail(), time.monotonic, OPENAI_CHAT, OPENAI_CHAT)  # type: ignore[arg-type]
    sink.on_head(200, {})
    sink.on_data(
        b'{"choices":[{"message":{"role":"assistant","content":"Hi"},"finish_reason":"stop"}],'
        b'"usage":{"prompt_tokens":7,"completion_tokens":3,"total_tokens":10}}'
    )
    sink.on_end()
    assert sink.abandon().fault is None


# ------------------------------------------------------------ the gateway stops


async def test_a_stop_is_not_held_against_the_providers(start_stack: Start) -> None:
    stack = await start_stack(chunk_delay_s=0.2)
    streams = [asyncio.create_task(hear(stack, path)) for path in (COMPLETIONS, NATIVE) for _ in range(3)]
    await until(lambda: len(stack.gateway.streams) == 6)
    deployment = stack.gateway.pipeline.routes.deployments["openai"]
    stack.gateway.pipeline.stop_all()
    for heard in await asyncio.gather(*streams):
        assert len(heard.errors) == 1
        assert not heard.complete
    assert deployment.breaker.state(time.monotonic()) == "closed"
    assert not [line for line in stack.log_lines() if line["event"] == "breaker_opened"]


async def test_a_call_without_an_answer_yet_is_told_to_go_elsewhere_when_the_gateway_stops(start_stack: Start) -> None:
    stack = await start_stack({"server": {"drain_s": 0}})
    await stack.fault("openai", "slow_first_byte", delay_s=5)
    waiting = asyncio.create_task(stack.chat())
    await until(lambda: seen(stack, "openai"))
    await stack.gateway.drain()
    answer = await waiting
    await error_of(answer, 503, "overloaded")
    assert answer.headers["x-should-retry"] == "true"
    assert len(await stack.sim("requests")) == 1


async def test_a_call_in_its_pause_asks_nobody_once_the_gateway_stops(start_stack: Start) -> None:
    stack = await start_stack(ALONE)
    await stack.fault("openai", "status", status=500)
    waiting = asyncio.create_task(stack.chat())
    await until(lambda: any(line["event"] == "attempt_failed" for line in stack.log_lines()))
    stack.gateway.pipeline.stop_all()
    await error_of(await waiting, 503, "overloaded")
    assert len(seen(stack, "openai")) == 1


# ------------------------------------------------------------ probes


async def test_a_stream_that_breaks_after_it_closed_the_breaker_counts_as_a_failure(start_stack: Start) -> None:
    stack = await start_stack({**ALONE, "breaker": {"failures": 2, "open_s": 0.1}, "fallback": {"enabled": False}})
    await stack.fault("openai", "status", status=500, times=2)
    for _ in range(2):
        await stack.chat()
    assert (await breaker(stack))["state"] == "open"
    await asyncio.sleep(0.12)
    await stack.fault("openai", "cut", after_events=2, times=1)
    async with streaming(stack, messages=HELLO) as (answer, frames):
        assert answer.status == 200
        with pytest.raises(aiohttp.ClientPayloadError):
            async for _ in frames:
                pass
    shown = await breaker(stack)
    assert (shown["state"], shown["consecutiveFailures"]) == ("closed", 1)
