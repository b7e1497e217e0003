"""What vendors want back with the next turn: kept for clients that drop it, sealed for those that carry it. Simulators check it."""

from __future__ import annotations

from typing import Any

import pytest
from e2e_stack import Stack
from e2e_surfaces import MODELS, PROVIDERS, Answer, frames, send

QUESTION = "What is the weather in Paris?"
CITY = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
CHAT_TOOLS = [{"type": "function", "function": {"name": "get_weather", "parameters": CITY}}]
RESPONSES_TOOLS = [{"type": "function", "name": "get_weather", "parameters": CITY, "strict": False}]
ANTHROPIC_TOOLS = [{"name": "get_weather", "input_schema": CITY}]
GEMINI_TOOLS = [{"functionDeclarations": [{"name": "get_weather", "parameters": CITY}]}]


def streamed_calls(answer: Answer) -> list[dict[str, Any]]:
    calls: dict[int, dict[str, Any]] = {}
    for _, value in frames(answer.body):
        for choice in value["choices"] if value != "[DONE]" else []:
            for piece in choice["delta"].get("tool_calls") or []:
                call = calls.setdefault(
                    piece["index"], {"id": "", "type": "function", "function": {"name": "", "arguments": ""}}
                )
                call["id"] += piece.get("id") or ""
                call["function"]["name"] += piece["function"].get("name") or ""
                call["function"]["arguments"] += piece["function"].get("arguments") or ""
    return list(calls.values())


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])
@pytest.mark.parametrize("model", ["gemini-3.8-flash", "claude-sonnet-4-6", "gpt-6.1-sol"])
async def test_a_chat_client_that_drops_all_it_does_not_know_keeps_the_signatures(
    stack: Stack, model: str, stream: bool
) -> None:
    body = {"model": model, "tools": CHAT_TOOLS, "reasoning_effort": "high"}
    question = {"role": "user", "content": QUESTION}
    first = await send(stack, "/chat/completions", {**body, "messages": [question], "stream": stream})
    assert first.status == 200, first.body
    if stream:
        calls = streamed_calls(first)
    else:
        message = first.value["choices"][0]["message"]
        calls = [{key: call[key] for key in ("id", "type", "function")} for call in message["tool_calls"]]
    history = [
        question,
        {"role": "assistant", "content": None, "tool_calls": calls},
        *({"role": "tool", "tool_call_id": call["id"], "content": "21 degrees"} for call in calls),
    ]
    second = await send(stack, "/chat/completions", {**body, "messages": history})
    assert second.status == 200, second.body
    assert "21 degrees" in second.value["choices"][0]["message"]["content"]
    provider = second.headers["x-gateway-provider"]
    sent = str((await stack.calls_to(provider))[-1]["body"])
    first_sent = await stack.calls_to(provider)
    assert len(first_sent) == 2, "nothing had to be mended"
    assert {"gemini": "thoughtSignature", "anthropic": "signature", "openai": "encrypted_content"}[provider] in sent
    assert "skip_thought_signature" not in sent
    other = await send(stack, "/chat/completions", {**body, "messages": history}, tenant="globex")
    assert other.status == 200, "another tenant has no part in it, and is answered all the same"


@pytest.mark.parametrize("provider", PROVIDERS)
@pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])
async def test_a_responses_client_carries_any_vendors_thoughts(stack: Stack, provider: str, stream: bool) -> None:
    body = {"model": MODELS[provider], "tools": RESPONSES_TOOLS, "store": False, "reasoning": {"effort": "high"}}
    body["include"] = ["reasoning.encrypted_content"]
    question = {"role": "user", "content": QUESTION}
    first = await send(stack, "/responses", {**body, "input": [question], "stream": stream})
    assert first.status == 200, first.body
    answer = frames(first.body)[-1][1]["response"] if stream else first.value
    calls = [item for item in answer["output"] if item["type"] == "function_call"]
    assert any(item["type"] == "reasoning" and item["encrypted_content"] for item in answer["output"])
    results = [{"type": "function_call_output", "call_id": c["call_id"], "output": "21 degrees"} for c in calls]
    history = [question, *answer["output"], *results]
    second = await send(stack, "/responses", {**body, "input": history})
    assert second.status == 200, second.body
    assert len(await stack.calls_to(provider)) == 2
    sent = str((await stack.calls_to(provider))[-1]["body"])
    assert "gw1." not in sent and "signature" in sent.lower() + ("signature" if provider == "openai" else "")
    # The next turn is another provider's: what is not its own is left out, and nothing is refused.
    for other in PROVIDERS:
        moved = await send(stack, "/responses", {**body, "model": MODELS[other], "input": history})
        assert (moved.status, moved.headers["x-gateway-provider"]) == (200, other), moved.body
        assert "gw1." not in str((await stack.calls_to(other))[-1]["body"])
    stranger = await send(stack, "/responses", {**body, "input": history}, tenant="globex")
    assert stranger.status == 200, "what another tenant sealed is left out"


@pytest.mark.parametrize("provider", PROVIDERS)
async def test_an_anthropic_client_carries_any_vendors_thoughts(stack: Stack, provider: str) -> None:
    body = {"model": MODELS[provider], "max_tokens": 4000, "tools": ANTHROPIC_TOOLS}
    body["thinking"] = {"type": "enabled", "budget_tokens": 2000}
    question = {"role": "user", "content": QUESTION}
    first = await send(stack, "/v1/messages", {**body, "messages": [question]})
    assert first.status == 200, first.body
    results = [
        {"type": "tool_result", "tool_use_id": block["id"], "content": "21 degrees"}
        for block in first.value["content"]
        if block["type"] == "tool_use"
    ]
    assert results
    history = [question, {"role": "assistant", "content": first.value["content"]}, {"role": "user", "content": results}]
    for target in (provider, *PROVIDERS):
        second = await send(stack, "/v1/messages", {**body, "model": MODELS[target], "messages": history})
        assert (second.status, second.headers["x-gateway-provider"]) == (200, target), (target, second.body)
        assert "gw1." not in str((await stack.calls_to(target))[-1]["body"])


@pytest.mark.parametrize("provider", PROVIDERS)
async def test_a_gemini_client_carries_any_vendors_thoughts(stack: Stack, provider: str) -> None:
    body: dict[str, Any] = {"tools": GEMINI_TOOLS, "generationConfig": {"thinkingConfig": {"includeThoughts": True}}}
    question = {"role": "user", "parts": [{"text": QUESTION}]}
    first = await send(stack, f"/v1beta/models/{MODELS[provider]}:generateContent", {**body, "contents": [question]})
    assert first.status == 200, first.body
    model_turn = first.value["candidates"][0]["content"]
    results = [
        {
            "functionResponse": {
                "name": p["functionCall"]["name"],
                "id": p["functionCall"].get("id"),
                "response": {"output": "21 degrees"},
            }
        }
        for p in model_turn["parts"]
        if "functionCall" in p
    ]
    assert results
    history = [question, model_turn, {"role": "user", "parts": results}]
    for target in (provider, *PROVIDERS):
        second = await send(stack, f"/v1beta/models/{MODELS[target]}:generateContent", {**body, "contents": history})
        assert (second.status, second.headers["x-gateway-provider"]) == (200, target), (target, second.body)
        sent = str((await stack.calls_to(target))[-1]["body"])
        assert "gw1." not in sent and "Z3cxL" not in sent


async def test_tools_of_a_model_that_takes_them_elsewhere_cross_the_bridge(stack: Stack) -> None:
    body = {"model": "gpt-6.1-sol", "tools": CHAT_TOOLS, "messages": [{"role": "user", "content": QUESTION}]}
    for stream in (False, True):
        answer = await send(stack, "/chat/completions", {**body, "stream": stream})
        assert answer.status == 200, answer.body
        calls = streamed_calls(answer) if stream else answer.value["choices"][0]["message"]["tool_calls"]
        assert [call["function"]["name"] for call in calls] == ["get_weather"]
    plain = await send(stack, "/chat/completions", {"model": "gpt-6.1-sol", "messages": body["messages"]})
    assert plain.status == 200
    paths = [row["path"] for row in await stack.calls_to("openai")]
    assert [path.rpartition("/v1")[2] for path in paths] == ["/responses"] * 2 + ["/chat/completions"]
