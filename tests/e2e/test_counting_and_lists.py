"""Token counts and lists of models, in three dialects over three providers."""

from __future__ import annotations

from typing import Any

import anthropic
import openai
import pytest
from e2e_stack import Stack
from e2e_surfaces import MODELS, PROVIDERS, Answer, send
from google import genai
from test_surfaces import settled

USER = [{"role": "user", "content": "How many tokens has this?"}]
CONTENTS = [{"role": "user", "parts": [{"text": "How many tokens has this?"}]}]
WAYS: dict[str, Any] = {
    "anthropic": lambda model: ("/v1/messages/count_tokens", {"model": model, "messages": USER}),
    "gemini": lambda model: (f"/v1beta/models/{model}:countTokens", {"contents": CONTENTS}),
    "gemini whole": lambda model: (
        f"/v1beta/models/{model}:countTokens",
        {"generateContentRequest": {"model": f"models/{model}", "contents": CONTENTS}},
    ),
    "openai": lambda model: ("/responses/input_tokens", {"model": model, "input": "How many tokens has this?"}),
}


def number(answer: Answer) -> int:
    assert answer.status == 200, answer.body
    value = answer.value
    return int(value.get("input_tokens", value.get("totalTokens")))


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("provider", PROVIDERS)
async def test_the_provider_counts_or_it_is_estimated(stack: Stack, way: str, provider: str) -> None:
    path, body = WAYS[way](MODELS[provider])
    counted = await send(stack, path, body)
    assert number(counted) > 0
    assert "x-gateway-estimated" not in counted.headers
    assert len(await stack.calls_to(provider)) == 1

    await stack.simulators.stop()
    estimated = await send(stack, path, body)
    assert estimated.headers["x-gateway-estimated"] == "1" and number(estimated) > 0


async def test_counting_costs_nothing_and_refuses_as_any_call(stack: Stack) -> None:
    for way in WAYS.values():
        path, body = way("gpt-5.4")
        await send(stack, path, body)
        assert (await send(stack, path, b"{")).status == 400
        assert (await send(stack, path, body, authorization="Bearer no")).status == 401
        path, body = way("nobody-serves-this")
        assert (await send(stack, path, body)).status == 404
    assert await settled(stack) == 0


@pytest.mark.parametrize("provider", PROVIDERS)
async def test_three_sdks_count(stack: Stack, provider: str) -> None:
    model = MODELS[provider]
    async with anthropic.AsyncAnthropic(base_url=stack.base(), api_key=stack.token()) as client:
        assert (await client.messages.count_tokens(model=model, messages=USER)).input_tokens > 0  # type: ignore[arg-type]
    async with openai.AsyncOpenAI(base_url=stack.base(), api_key=stack.token()) as client:
        assert (await client.responses.input_tokens.count(model=model, input="Hello")).input_tokens > 0
    options = genai.types.HttpOptions(base_url=stack.base())
    google = genai.Client(api_key=stack.token(), http_options=options, vertexai=False)
    assert ((await google.aio.models.count_tokens(model=model, contents="Hello")).total_tokens or 0) > 0


async def test_three_sdks_list_the_same_models(stack: Stack) -> None:
    async with anthropic.AsyncAnthropic(base_url=stack.base(), api_key=stack.token()) as client:
        one = [model.id async for model in client.models.list()]
        assert (await client.models.retrieve("gpt-5.4")).id == "gpt-5.4"
    async with openai.AsyncOpenAI(base_url=stack.base(), api_key=stack.token()) as client:
        two = [model.id async for model in client.models.list()]
        assert (await client.models.retrieve("fast")).id == "fast"
    options = genai.types.HttpOptions(base_url=stack.base())
    google = genai.Client(api_key=stack.token(), http_options=options, vertexai=False)
    three = [(model.name or "").removeprefix("models/") async for model in await google.aio.models.list()]
    assert (await google.aio.models.get(model="gpt-5.4")).name == "models/gpt-5.4"
    assert set(one) == set(two) == set(three) >= {"gpt-5.4", "fast"}
