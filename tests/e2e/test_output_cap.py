"""Clients of every age: the output cap reaches each model under the name that it takes."""

from __future__ import annotations

import pytest
from aiohttp import web
from e2e_stack import Stack, Start
from e2e_tools import serving


@pytest.mark.parametrize("model", ["gpt-5.4", "gpt-4", "auto"])
@pytest.mark.parametrize("stream", [False, True])
async def test_max_tokens_of_an_old_client_reaches_openai_under_its_new_name(
    stack: Stack, model: str, stream: bool
) -> None:
    answer = await stack.chat(model=model, max_tokens=7, stream=stream)
    assert answer.status == 200, await answer.text()
    [call] = await stack.calls_to("openai")
    assert call["body"]["max_completion_tokens"] == 7
    assert "max_tokens" not in call["body"]


async def test_a_text_that_speaks_of_max_tokens_stays_as_it_is(stack: Stack) -> None:
    answer = await stack.chat('What is "max_tokens"?', max_tokens=50, user="max_tokens")
    assert answer.status == 200, await answer.text()
    [call] = await stack.calls_to("openai")
    assert call["body"]["messages"][0]["content"] == 'What is "max_tokens"?'
    assert call["body"]["user"] == "max_tokens"
    assert call["body"]["max_completion_tokens"] == 50


async def test_a_compatible_server_gets_the_name_it_knows(start_stack: Start) -> None:
    bodies = []

    async def answer(request):
        bodies.append(await request.json())
        from_model = {"index": 0, "message": {"role": "assistant", "content": "hi"}, "finish_reason": "stop"}
        usage = {"prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 2}
        body = {"id": "x", "object": "chat.completion", "model": "own", "choices": [from_model], "usage": usage}
        return web.json_response(body)

    async with serving({"/v1/chat/completions": answer}) as origin:
        local = {
            "type": "openai_compatible",
            "api_key": "x",
            "base_url": origin + "/v1",
            "default_model": "own",
            "priority": 99,
        }
        stack = await start_stack({"providers": {"local": local}})
        assert (await stack.chat(model="local/own", max_tokens=7)).headers["x-gateway-provider"] == "local"
        native = {"model": "local/own", "messages": [{"role": "user", "content": "hi"}], "maxTokens": 9}
        assert (await stack.post("/chat", native)).headers["x-gateway-provider"] == "local"
    assert [body.get("max_tokens") for body in bodies] == [7, 9]
    assert all("max_completion_tokens" not in body for body in bodies)
