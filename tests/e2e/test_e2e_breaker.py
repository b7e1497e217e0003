"""The circuit breaker at work: it opens at exactly five failures, asks nobody while open, and lets one probe through."""

from __future__ import annotations

import asyncio
import time
from typing import Any

import pytest
from e2e_heard import breaker, hear, seen, streaming, until

OPEN_S = 0.5
# One attempt a call makes the counting exact; the tenant has no other provider that could answer.
ALONE: dict[str, Any] = {
    "fallback": {"enabled": False},
    "breaker": {"failures": 5, "open_s": OPEN_S},
    "tenants": {"acme": {"providers": ["openai"]}},
}
WITH_OTHERS: dict[str, Any] = {"breaker": {"failures": 5, "open_s": OPEN_S}}
DOWN = {"kind": "status", "status": 500}


async def calls(stack: Any, count: int) -> list[int]:
    """So many calls, one after the other, and their statuses."""
    return [(await stack.chat()).status for _ in range(count)]


async def trip(stack: Any) -> None:
    """Five failures, and the provider is well again."""
    await stack.fault("openai", **DOWN, times=5)
    await calls(stack, 5)
    assert (await breaker(stack))["state"] == "open"


async def gauge(stack: Any) -> float:
    async with stack.session.get(f"{stack.origin}/metrics") as answer:
        lines = (await answer.text()).splitlines()
    return next(float(x.split()[-1]) for x in lines if x.startswith('gateway_breaker_state{provider="openai"}'))


# ------------------------------------------------------------ opening


async def test_four_failures_leave_it_closed_and_the_fifth_opens_it(start_stack):
    stack = await start_stack(ALONE)
    await stack.fault("openai", **DOWN)
    assert await calls(stack, 4) == [502] * 4
    assert (await breaker(stack))["state"] == "closed"
    assert (await breaker(stack))["consecutiveFailures"] == 4
    await calls(stack, 1)
    shown = await breaker(stack)
    assert (shown["state"], shown["consecutiveFailures"]) == ("open", 5)
    assert abs(shown["retryAt"] - time.time()) < 3
    assert await gauge(stack) == 2


async def test_nothing_reaches_a_provider_whose_breaker_is_open(start_stack):
    stack = await start_stack({**ALONE, "breaker": {"failures": 5, "open_s": 30}})
    await trip(stack)
    answers = await asyncio.gather(*(stack.chat(stream=bool(i % 2)) for i in range(20)))
    assert {answer.status for answer in answers} == {503}
    error = (await answers[0].json())["error"]
    assert error["code"] == "no_provider_available"
    assert 1 <= int(answers[0].headers["retry-after"]) <= 30
    assert error["attempts"] and error["attempts"][0]["provider"] == "openai"
    assert len(seen(stack, "openai")) == 5


async def test_the_state_is_shown_to_people_who_look(start_stack):
    stack = await start_stack({**WITH_OTHERS, "breaker": {"failures": 5, "open_s": 30}})
    await trip(stack)
    assert (await stack.get("/providers"))["providers"][0]["status"] == "unavailable"
    health = await stack.get("/health")
    assert health["status"] == "degraded"
    assert health["providers"] == {"openai": "unavailable", "anthropic": "available", "gemini": "available"}
    assert any(line["event"] == "breaker_opened" and line["provider"] == "openai" for line in stack.log_lines())


async def test_with_an_open_breaker_the_next_provider_answers_at_the_first_attempt(start_stack):
    stack = await start_stack({**WITH_OTHERS, "breaker": {"failures": 5, "open_s": 30}})
    await trip(stack)
    for heard in (await stack.chat(), await hear(stack, model="gpt-5.4")):
        assert heard.status == 200
        assert heard.headers["x-gateway-provider"] == "anthropic"
        assert heard.headers["x-gateway-attempts"] == "1"
        assert heard.headers["x-gateway-fallback-from"] == "openai"
    assert len(seen(stack, "openai")) == 5


async def test_a_breaker_belongs_to_one_provider(start_stack):
    stack = await start_stack({**WITH_OTHERS, "breaker": {"failures": 5, "open_s": 30}})
    await trip(stack)
    for name in ("anthropic", "gemini"):
        assert (await breaker(stack, name))["state"] == "closed"


FAILURES: dict[str, dict[str, Any]] = {
    "500": DOWN,
    "529": {"kind": "status", "status": 529},
    "reset": {"kind": "reset"},
    "cut": {"kind": "cut"},
    "empty": {"kind": "empty"},
    "bad_json": {"kind": "bad_json"},
    "error_event": {"kind": "error_event"},
    "slow": {"kind": "slow_first_byte", "delay_s": 10},
}


@pytest.mark.parametrize("stream", [False, True], ids=["json", "stream"])
@pytest.mark.parametrize("fault", FAILURES)
async def test_what_counts_as_a_failure(start_stack, fault, stream):
    stack = await start_stack({**ALONE, "providers": {"openai": {"timeouts": {"first_byte_s": 0.1}}}})
    await stack.fault("openai", **FAILURES[fault])
    await asyncio.gather(*(hear(stack, stream=stream) for _ in range(2)))
    assert (await breaker(stack))["consecutiveFailures"] == 2


# ------------------------------------------------------------ what does not open it


async def test_a_refusal_of_the_request_is_a_sign_of_health(start_stack):
    stack = await start_stack(ALONE)
    for _ in range(2):
        await stack.fault("openai", **DOWN, times=4)
        await stack.fault("openai", "status", status=400, times=1)
        assert await calls(stack, 5) == [502] * 4 + [400]
    assert await breaker(stack) == {"state": "closed", "consecutiveFailures": 0, "retryAt": None}


async def test_rate_limits_neither_count_nor_clear(start_stack):
    stack = await start_stack(ALONE)
    for _ in range(6):
        await stack.fault("openai", "status", status=429, retry_after_s=0.01, times=1)
        assert await calls(stack, 1) == [429]
        await asyncio.sleep(0.02)
    assert (await breaker(stack))["consecutiveFailures"] == 0
    await stack.fault("openai", **DOWN, times=4)
    await calls(stack, 4)
    await stack.fault("openai", "status", status=429, retry_after_s=0.01, times=1)
    await calls(stack, 1)
    await asyncio.sleep(0.02)
    assert (await breaker(stack))["state"] == "closed"
    await stack.fault("openai", **DOWN, times=1)
    await calls(stack, 1)
    assert (await breaker(stack))["state"] == "open"


@pytest.mark.parametrize("stream", [False, True], ids=["json", "stream"])
async def test_clients_that_leave_are_not_the_providers_fault(start_stack, stream):
    stack = await start_stack(ALONE)
    await stack.fault("openai", "slow_first_byte", delay_s=10, times=6)
    for _ in range(6):
        with pytest.raises(asyncio.TimeoutError):
            async with asyncio.timeout(0.05):
                await stack.chat(stream=stream)
    await until(lambda: all(entry.aborted for entry in seen(stack, "openai")))
    assert len(seen(stack, "openai")) == 6
    assert (await breaker(stack))["consecutiveFailures"] == 0
    assert await calls(stack, 1) == [200]


async def test_clients_that_leave_in_mid_stream_are_not_the_providers_fault(start_stack):
    stack = await start_stack(ALONE, chunk_delay_s=0.2)
    for _ in range(6):
        async with streaming(stack) as (_, frames):
            await anext(frames)
    await until(lambda: all(entry.aborted for entry in seen(stack, "openai")))
    assert (await breaker(stack))["consecutiveFailures"] == 0


# ------------------------------------------------------------ the way back


async def test_after_its_time_exactly_one_probe_goes_through(start_stack):
    stack = await start_stack(WITH_OTHERS)
    await trip(stack)
    await asyncio.sleep(OPEN_S + 0.05)
    assert (await breaker(stack))["state"] == "half_open"
    await stack.fault("openai", "slow_first_byte", delay_s=0.3, times=1)
    answers = await asyncio.gather(*(stack.chat() for _ in range(20)))
    who = sorted(answer.headers["x-gateway-provider"] for answer in answers)
    assert who == ["anthropic"] * 19 + ["openai"]
    assert len(seen(stack, "openai")) == 6


async def test_a_probe_that_succeeds_closes_it(start_stack):
    stack = await start_stack(WITH_OTHERS)
    await trip(stack)
    await asyncio.sleep(OPEN_S + 0.05)
    assert (await stack.chat()).headers["x-gateway-provider"] == "openai"
    assert await breaker(stack) == {"state": "closed", "consecutiveFailures": 0, "retryAt": None}
    assert await gauge(stack) == 0
    answers = await asyncio.gather(*(stack.chat() for _ in range(10)))
    assert {answer.headers["x-gateway-provider"] for answer in answers} == {"openai"}


async def test_a_probing_stream_closes_it_with_its_first_content(start_stack):
    stack = await start_stack(WITH_OTHERS, chunk_delay_s=0.2)
    await trip(stack)
    await asyncio.sleep(OPEN_S + 0.05)
    async with streaming(stack) as (answer, frames):
        await anext(frame async for frame in frames if frame.text)
        assert answer.headers["x-gateway-provider"] == "openai"
        assert (await breaker(stack))["state"] == "closed"


async def test_a_probe_that_fails_opens_it_for_the_whole_time_again(start_stack):
    stack = await start_stack(WITH_OTHERS)
    await trip(stack)
    await asyncio.sleep(OPEN_S + 0.05)
    await stack.fault("openai", **DOWN, times=1)
    assert (await stack.chat()).headers["x-gateway-provider"] == "anthropic"
    assert (await breaker(stack))["state"] == "open"
    await asyncio.gather(*(stack.chat() for _ in range(5)))
    assert len(seen(stack, "openai")) == 6


async def test_a_probe_whose_client_leaves_gives_its_turn_to_the_next(start_stack):
    stack = await start_stack(WITH_OTHERS)
    await trip(stack)
    await asyncio.sleep(OPEN_S + 0.05)
    await stack.fault("openai", "slow_first_byte", delay_s=10, times=1)
    with pytest.raises(asyncio.TimeoutError):
        async with asyncio.timeout(0.1):
            await stack.chat()
    await until(lambda: seen(stack, "openai")[-1].aborted)
    assert (await stack.chat()).headers["x-gateway-provider"] == "openai"


async def test_an_answer_from_before_the_trip_does_not_close_it(start_stack):
    stack = await start_stack({**ALONE, "breaker": {"failures": 5, "open_s": 30}})
    await stack.fault("openai", "slow_first_byte", delay_s=0.4, times=1)
    late = asyncio.create_task(stack.chat())
    await until(lambda: len(seen(stack, "openai")) == 1)
    await trip(stack)
    assert (await late).status == 200
    assert (await breaker(stack))["state"] == "open"
    assert await calls(stack, 1) == [503]


async def test_a_dead_provider_is_not_hit_much_harder_than_it_is_called(start_stack):
    """Retries of one provider are bounded by its budget: three, or a fifth of the calls."""
    stack = await start_stack({"breaker": {"failures": 1000}, "tenants": {"acme": {"providers": ["openai"]}}})
    await stack.fault("openai", **DOWN)
    await asyncio.gather(*(stack.chat() for _ in range(40)))
    assert 40 <= len(seen(stack, "openai")) <= 40 * 1.2 + 3
