"""A vendor that pauses in mid-answer: what it said, and what it says when it is asked to go on."""

from __future__ import annotations

from typing import Any

import anthropic
import pytest
from google import genai
from simulator_kit import HELLO, Post

from gateway.simulator.app import Running
from gateway.simulator.faults import parse
from gateway.simulator.model import Answer
from gateway.simulator.pauses import portion

ASKED = {"role": "user", "content": "one two three four five six"}
SAID = "You said: one two three four five six"


def pause(sim: Running, provider: str, times: int = 1) -> None:
    sim.state.faults.faults += parse({"provider": provider, "kind": "pause", "times": times})


async def send(sdk: anthropic.AsyncAnthropic, streamed: bool, messages: list[Any], model: str) -> Any:
    request: Any = {"model": model, "max_tokens": 500, "messages": messages}
    if not streamed:
        return await sdk.messages.create(**request)
    async with sdk.messages.stream(**request) as stream:
        return await stream.get_final_message()


@pytest.mark.parametrize("streamed", [False, True])
@pytest.mark.parametrize("model", ["claude-sonnet-4-6", "claude-opus-5-5"])
async def test_a_claude_turn_that_paused_twice_goes_on_to_its_end(
    sim: Running, anthropic_sdk: anthropic.AsyncAnthropic, streamed: bool, model: str
) -> None:
    pause(sim, "anthropic", times=2)
    whole: list[Any] = []
    reasons = []
    for _ in range(3):
        answer = await send(
            anthropic_sdk, streamed, [ASKED, *([{"role": "assistant", "content": whole}] if whole else [])], model
        )
        whole += [block.model_dump(exclude_none=True) for block in answer.content]
        reasons.append(answer.stop_reason)

    assert reasons == ["pause_turn", "pause_turn", "end_turn"]
    kinds = [block["type"] for block in whole if block["type"] != "thinking"]
    assert kinds == [
        *("text", "server_tool_use", "web_search_tool_result", "text", "server_tool_use"),
        *("web_search_tool_result", "text"),
    ]
    assert "".join(block["text"] for block in whole if block["type"] == "text").endswith(SAID)


async def test_a_turn_that_did_not_pause_is_no_end_for_a_model_without_prefill(sim: Running, post: Post) -> None:
    pause(sim, "anthropic")
    body = {"model": "claude-opus-5-5", "max_tokens": 500, "messages": [ASKED]}
    _, first = await post("anthropic", body)
    turn = first["content"]
    forged = [*turn[:-1], {**turn[-1], "id": "srvtoolu_01invented"}]

    for content in (forged, turn[:-1]):
        status, answer = await post(
            "anthropic", {**body, "messages": [ASKED, {"role": "assistant", "content": content}]}
        )
        assert status == 400 and "prefill" in answer["error"]["message"]


async def test_gemini_hands_out_a_token_to_go_on_with(sim: Running, gemini_sdk: genai.Client) -> None:
    pause(sim, "gemini", times=2)
    answer = await gemini_sdk.aio.models.generate_content(model="gemini-3.8-flash", contents=ASKED["content"])

    # The SDK asks for the rest by itself.
    assert len([seen for seen in sim.state.journal.entries if seen.provider == "gemini"]) == 3
    assert answer.candidates is not None and answer.candidates[0].finish_reason == "STOP"


async def test_gemini_goes_on_where_it_stopped_and_only_with_its_own_token(sim: Running, post: Post) -> None:
    path, body = HELLO["gemini"]
    body = {"contents": [{"role": "user", "parts": [{"text": ASKED["content"]}]}]}
    pause(sim, "gemini")
    _, first = await post("gemini", body, path)
    token = first["candidates"][0]["continuationToken"]
    _, second = await post("gemini", {**body, "continuationToken": token}, path)

    assert first["candidates"][0]["finishReason"] == "CONTINUATION"
    parts = [answer["candidates"][0]["content"]["parts"][0]["text"] for answer in (first, second)]
    assert "".join(parts).endswith(SAID) and all(parts)
    other = {"contents": [{"role": "user", "parts": [{"text": "else"}]}], "continuationToken": token}
    assert (await post("gemini", other, path))[0] == 400


def test_portions_put_together_are_the_whole() -> None:
    full = Answer("hm", ["one ", "two ", "three ", "four "], finish="end")
    first = portion(full, 0, pause=True)
    second = portion(full, first.paused_at, pause=False)

    assert (first.text, first.thinking, first.finish) == ("one two ", "hm", "pause")
    assert (second.text, second.thinking, second.finish) == ("three four ", "", "end")
    assert portion(full, 5, pause=False).pieces == ["wo ", "three ", "four "]
    assert portion(Answer(pieces=["word"]), 0, pause=True).finish == "end"
