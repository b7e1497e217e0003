"""Faults in the Responses API's own stream: how it breaks off, and that a cut one never looks complete."""

from __future__ import annotations

from typing import Any

import aiohttp
import openai
import pytest
from simulator_kit import CREDENTIALS

from gateway.simulator.app import Running
from gateway.simulator.faults import parse

ENDINGS = (b"response.completed", b"response.incomplete", b"[DONE]")


async def drain(http: aiohttp.ClientSession, sim: Running, kind: str, **fault: Any) -> tuple[bytes, str]:
    sim.state.faults.faults += parse({"provider": "openai", "kind": kind, "times": 1, **fault})
    body = {"model": "gpt-6-sol", "input": "hello", "stream": True, "reasoning": {"summary": "auto"}}
    received = b""
    try:
        url = sim.url_for("openai") + "/responses"
        async with http.post(url, json=body, headers=CREDENTIALS["openai"]) as answer:
            async for piece in answer.content.iter_any():
                received += piece
    except aiohttp.ClientError as broken:
        return received, type(broken).__name__
    return received, "clean"


@pytest.mark.parametrize("kind", ["cut", "bad_json", "error_event", "reset"])
@pytest.mark.parametrize("after", [0, 1, 3, 1000])
async def test_a_broken_stream_never_looks_complete(
    sim: Running, http: aiohttp.ClientSession, kind: str, after: int
) -> None:
    received, _ = await drain(http, sim, kind, after_events=after)

    if kind == "bad_json" and after == 1000:  # the completing event itself is what breaks off
        received = received.rpartition(b"event: ")[0]
    assert not any(ending in received for ending in ENDINGS)


async def test_before_any_content_it_breaks_off_with_an_error_and_later_with_a_failed_response(
    sim: Running, http: aiohttp.ClientSession, openai_sdk: openai.AsyncOpenAI
) -> None:
    early, _ = await drain(http, sim, "error_event", after_events=0, code="rate_limit_exceeded")
    late, _ = await drain(http, sim, "error_event", after_events=2)
    assert b'"type":"error"' in early.split(b"\n\n")[-2] and b"rate_limit_exceeded" in early
    assert b"event: response.failed" in late.split(b"\n\n")[-2]

    sim.state.faults.faults += parse({"provider": "openai", "kind": "error_event", "times": 1, "after_events": 2})
    seen = [event async for event in await openai_sdk.responses.create(model="gpt-5.4", input="hello", stream=True)]
    assert [event.sequence_number for event in seen] == list(range(len(seen)))
    assert (seen[-1].type, seen[-1].response.status, seen[-1].response.error.code) == (
        *("response.failed", "failed", "server_error"),
    )
    assert seen[-1].response.id == seen[0].response.id


async def test_an_empty_answer_is_completed_without_output(sim: Running, http: aiohttp.ClientSession) -> None:
    received, ending = await drain(http, sim, "empty")

    assert ending == "clean" and b"response.completed" in received and b"output_item" not in received


async def test_a_stream_is_served_like_a_whole_answer(
    sim: Running, http: aiohttp.ClientSession, openai_sdk: openai.AsyncOpenAI
) -> None:
    await openai_sdk.responses.create(model="gpt-6-sol", input="hello", reasoning={"summary": "auto"})
    whole = sim.state.journal.served["openai"].total_tokens
    await drain(http, sim, "slow_first_byte", delay_s=0)

    assert sim.state.journal.served["openai"].total_tokens == 2 * whole
