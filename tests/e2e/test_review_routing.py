"""Conversations, preferences and fallbacks: who is asked, and what is told of those who were not."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from e2e_heard import hear, seen
from e2e_script import SSE, USAGE, Say, Scripted, chat_frame, chunk, http, scripted, whole_answer
from e2e_stack import Stack, Start

TALK = {"x_session_id": "talk"}


def provider_of(answer: Any) -> str:
    return str(answer.headers["x-gateway-provider"])


# ------------------------------------------------------------ conversations


async def test_a_conversation_that_fell_back_stays_where_it_was_answered(stack: Stack) -> None:
    await stack.fault("openai", "status", status=500, times=1)
    assert provider_of(await stack.chat(model="auto", **TALK)) == "anthropic"
    assert provider_of(await stack.chat(model="auto")) == "openai"
    assert provider_of(await stack.chat(model="auto", **TALK)) == "anthropic"


async def test_a_conversation_that_asks_for_another_model_gets_it(stack: Stack) -> None:
    """A model picked by name in the middle of a talk is not answered by the provider of the last one."""
    assert provider_of(await stack.chat(model="gpt-5.4", **TALK)) == "openai"
    answer = await stack.chat(model="claude-sonnet-4-6", **TALK)
    assert (provider_of(answer), answer.headers["x-gateway-model"]) == ("anthropic", "claude-sonnet-4-6")


async def test_conversations_of_two_tenants_with_one_name_are_two(stack: Stack) -> None:
    await stack.fault("openai", "status", status=500, times=1)
    body = {"model": "auto", "messages": [{"role": "user", "content": "Hello"}]}
    assert provider_of(await stack.post("/chat/completions", body, "acme", **{"x-session-id": "talk"})) == "anthropic"
    assert provider_of(await stack.post("/chat/completions", body, "globex", **{"x-session-id": "talk"})) == "openai"


async def test_a_conversation_leaves_a_provider_that_its_tenant_may_no_longer_use(stack: Stack) -> None:
    from_before = stack.gateway.pipeline.routes._sessions
    await stack.fault("openai", "status", status=500, times=1)
    await stack.chat(model="auto", **TALK)
    assert list(from_before.values()) == ["anthropic"]
    from_before[next(iter(from_before))] = "a provider that is gone"
    assert provider_of(await stack.chat(model="auto", **TALK)) == "openai"


async def test_a_preferred_provider_comes_first_in_an_alias_too_and_the_others_keep_their_order(stack: Stack) -> None:
    answer = await stack.chat(model="fast", x_preferred_provider="openai")
    assert (provider_of(answer), answer.headers["x-gateway-model"]) == ("openai", "gpt-5.4-mini")
    await stack.fault("openai", "status", status=500)
    answer = await stack.chat(model="fast", x_preferred_provider="openai")
    assert (provider_of(answer), answer.headers["x-gateway-fallback-from"]) == ("gemini", "openai")


# ------------------------------------------------------------ what is told


@pytest.mark.parametrize("stream", [False, True])
async def test_warnings_are_those_of_the_provider_that_answered(start_stack: Start, stream: bool) -> None:
    stack = await start_stack()
    await stack.fault("anthropic", "status", status=500, times=1)
    more = {"model": "claude-sonnet-4-6", "stream": stream, "seed": 7, "frequency_penalty": 0.5}
    answer = await stack.chat(**more)
    assert provider_of(answer) == "openai"
    assert "x-gateway-dropped" not in answer.headers
    assert "x-gateway-warnings" not in answer.headers
    [call] = await stack.calls_to("openai")
    assert (call["body"]["seed"], call["body"]["frequency_penalty"]) == (7, 0.5)


async def test_each_provider_is_asked_with_the_request_as_the_client_wrote_it(stack: Stack) -> None:
    """Two translations, one after the other: nothing of the first is in the second."""
    for name in ("anthropic", "gemini"):
        await stack.fault(name, "status", status=500, times=1)
    tool = {"type": "function", "function": {"name": "look", "parameters": {"type": "object", "properties": {"x": {}}}}}
    messages = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Hello"}]
    body = {"messages": messages, "tools": [tool], "temperature": 0.3, "max_tokens": 77, "stop": ["x"]}
    await stack.chat(**{**body, "model": "gemini-3.8-flash"}, x_preferred_provider="anthropic")
    [claude], [gemini] = await stack.calls_to("anthropic"), await stack.calls_to("gemini")
    await stack.chat(**{**body, "model": "gemini-3.8-flash"})
    alone = (await stack.calls_to("gemini"))[-1]
    assert claude["body"]["messages"][0]["role"] == "user"
    assert gemini["body"] == alone["body"]


async def test_fallbacks_from_providers_that_were_not_even_tried_are_counted(start_stack: Start) -> None:
    stack = await start_stack({"breaker": {"failures": 1, "open_s": 30}, "fallback": {"max_attempts": 1}})
    await stack.fault("openai", "status", status=500)
    await stack.chat()
    answer = await stack.chat()
    assert (provider_of(answer), answer.headers["x-gateway-fallback-from"]) == ("anthropic", "openai")
    async with stack.session.get(f"{stack.origin}/metrics") as told:
        text = await told.text()
    assert 'gateway_fallbacks_total{from="openai",reason="breaker",to="anthropic"} 1.0' in text


# ------------------------------------------------------------ what an upstream must not tell

KEY = "operators-own-key-without-any-prefix-4711"
REFUSALS = {
    "400 in the message": http(400, {"error": {"message": f"bad header {KEY}", "type": "invalid_request_error"}}),
    "400 in the code": http(400, {"error": {"message": "bad", "code": KEY, "param": KEY}}),
    "400 in an odd place": http(400, {"error": {"message": "bad", "hint": [KEY]}}),
    "401": http(401, {"error": {"message": f"Incorrect API key {KEY}", "code": KEY}}),
    "403": http(403, {"error": {"message": KEY}}),
    "404": http(404, {"error": {"message": KEY, "code": "model_not_found"}}),
    "413": http(413, {"error": {"message": KEY}}),
    "422": http(422, {"error": {"message": KEY, "param": KEY}}),
    "429": http(429, {"error": {"message": KEY, "code": KEY}}, f"retry-after: {KEY}"),
    "500": http(500, {"error": {"message": KEY}}),
    "500 no json": b"HTTP/1.1 500 X\r\ncontent-length: %d\r\n\r\n%b" % (len(KEY), KEY.encode()),
    "200 error": http(200, {"error": {"message": KEY, "code": KEY}}),
    "200 garbage": b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n%b" % (len(KEY), KEY.encode()),
    "no http": KEY.encode() + b"\r\n\r\n",
    "error event": SSE
    + chunk(b'data: {"error":{"message":"%b","code":"%b"}}\n\n' % (KEY.encode(), KEY.encode()))
    + b"0\r\n\r\n",
    "error after a word": SSE
    + chunk(chat_frame("Hi") + USAGE)
    + chunk(b'data: {"error":{"message":"%b","code":"%b","type":"%b"}}\n\n' % ((KEY.encode(),) * 3))
    + b"0\r\n\r\n",
}


@pytest.mark.parametrize("path", ["/chat/completions", "/chat"])
@pytest.mark.parametrize("kind", REFUSALS)
async def test_a_key_that_an_upstream_quotes_goes_nowhere(start_stack: Start, kind: str, path: str) -> None:
    async def quote(upstream: Scripted, say: Say) -> None:
        assert KEY.encode() in upstream.heads[-1]
        await say(REFUSALS[kind])
        if kind == "no http":
            raise ConnectionResetError

    async with scripted(quote) as upstream:
        own = upstream.provider(api_key=KEY)
        stack = await start_stack({"providers": {"own": own}, "tenants": {"acme": {"providers": ["own"]}}})
        told = ""
        for stream in (False, True):
            body = {"model": "own/m", "messages": [{"role": "user", "content": "Hello"}], "stream": stream}
            headers = stack.headers()
            async with stack.session.post(stack.base() + path, json=body, headers=headers) as answer:
                told += str(answer.headers)
                async for data, _ in answer.content.iter_chunks():
                    told += data.decode()
                    if "stream_interrupted" in told:
                        break
        for view in ("/providers", "/stats", "/alerts", "/health"):
            told += str(await stack.get(view))
        async with stack.session.get(f"{stack.origin}/metrics") as metrics:
            told += await metrics.text()
        assert KEY not in told
        assert KEY not in stack.log_text()
        assert upstream.heads


async def test_an_answer_is_not_searched_for_keys(start_stack: Start) -> None:
    """Only errors are: what a model says is the client's."""

    async def echo(upstream: Scripted, say: Say) -> None:
        await say(whole_answer(f"the word is {KEY}"))

    async with scripted(echo) as upstream:
        stack = await start_stack({"providers": {"own": upstream.provider(api_key=KEY)}})
        assert KEY in await (await stack.chat(model="own/m")).text()
        assert (await hear(stack, model="gpt-5.4")).complete


# ------------------------------------------------------------ retries


async def test_a_dead_provider_is_asked_a_fifth_more_often_than_it_was_called_and_not_oftener(
    start_stack: Start,
) -> None:
    alone = {"providers": ["openai"], "limits": {"concurrency": None}}
    stack = await start_stack({"breaker": {"failures": 100_000}, "tenants": {"acme": alone}})
    await stack.fault("openai", "status", status=500)
    for _ in range(10):
        await asyncio.gather(*(stack.chat() for _ in range(30)))
    assert 300 < len(seen(stack, "openai")) <= 1.2 * 300 + 3
