"""max_tokens 0 of an Anthropic client: a cache to be filled, which is nobody's business but Anthropic's."""

from __future__ import annotations

import anthropic
import pytest
from e2e_stack import Stack, Start
from e2e_surfaces import MESSAGES, MODELS, send, served
from test_surfaces import logged, settled

BODY = {"max_tokens": 0, "messages": [{"role": "user", "content": "Hello"}]}


@pytest.mark.parametrize("provider", ["openai", "gemini"])
@pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])
async def test_another_vendor_is_not_called_to_fill_its_cache(stack: Stack, provider: str, stream: bool) -> None:
    for _ in range(3):  # the second on a connection may take the express
        answer = await send(stack, "/v1/messages", {**BODY, "model": MODELS[provider], "stream": stream})
        assert answer.status == 200, answer.body
        assert answer.headers["x-gateway-provider"] == provider
        assert answer.headers["x-gateway-attempts"] == "0"
        if stream:
            names = [name for name, _ in MESSAGES.stream(answer.body).frames]
            assert names == ["message_start", "message_delta", "message_stop"]
        else:
            assert (answer.value["content"], answer.value["stop_reason"]) == ([], "max_tokens")
            assert answer.value["usage"]["output_tokens"] == 0
    assert await stack.calls_to(provider) == []
    assert await settled(stack) == 0
    line = await logged(stack, answer)
    assert (line["outcome"], line["status"], line.get("total_tokens", 0)) == ("warmed", 200, 0)


async def test_anthropic_itself_fills_its_cache(stack: Stack) -> None:
    for _ in range(2):
        answer = await send(stack, "/v1/messages", {**BODY, "model": MODELS["anthropic"]})
        assert (answer.status, answer.value["stop_reason"]) == (200, "max_tokens")
    assert len(await stack.calls_to("anthropic")) == 2
    assert await settled(stack) == (await served(stack))["anthropic"]


async def test_nobody_else_is_called_when_anthropic_fails(stack: Stack) -> None:
    await stack.fault("anthropic", "status", status=500)
    answer = await send(stack, "/v1/messages", {**BODY, "model": MODELS["anthropic"]})
    assert (answer.status, answer.value["content"]) == (200, [])
    assert await stack.calls_to("openai") == []
    assert await settled(stack) == 0


async def test_the_sdk_reads_what_was_not_said(stack: Stack) -> None:
    async with anthropic.AsyncAnthropic(base_url=stack.base(), api_key=stack.token()) as client:
        message = await client.messages.create(model="gpt-5.4", max_tokens=0, messages=BODY["messages"])  # type: ignore[arg-type]
        assert (message.content, message.stop_reason) == ([], "max_tokens")
        async with client.messages.stream(model="gpt-5.4", max_tokens=0, messages=BODY["messages"]) as stream:  # type: ignore[arg-type]
            assert (await stream.get_final_message()).content == []


async def test_a_request_that_is_none_is_refused_all_the_same(stack: Stack) -> None:
    answer = await send(stack, "/v1/messages", {**BODY, "model": "gpt-5.4", "messages": [{"role": "user"}]})
    assert (answer.status, answer.value["error"]["type"]) == (400, "invalid_request_error")


async def test_it_counts_for_the_rate_limit(start_stack: Start) -> None:
    stack = await start_stack({"tenants": {"acme": {"limits": {"requests_per_minute": 1}}}})
    statuses = [(await send(stack, "/v1/messages", {**BODY, "model": "gpt-5.4"})).status for _ in range(2)]
    assert statuses == [200, 429]
