"""Answers that a vendor breaks off and goes on with when asked: the client sees one, whole or streamed, and pays for all of it."""

from __future__ import annotations

import pytest
from e2e_stack import Stack, Start
from e2e_surfaces import CHAT, MODELS, RESPONSES, Answer, Surface, said, send, served
from test_surfaces import CALM, logged, settled

# Anthropic pauses turns of its own tools only.
SEARCH = {"chat": {"web_search_options": {}}, "responses": {"tools": [{"type": "web_search"}]}}
TEXT = "Tell me of the seven bridges and of the man who walked them one fine Sunday"


async def long_one(stack: Stack, surface: Surface, provider: str, stream: bool) -> Answer:
    body = {**surface.body(MODELS[provider], TEXT, stream), **SEARCH[surface.name]}
    return await send(stack, surface.path(MODELS[provider], stream), body)


@pytest.mark.parametrize("provider", ["anthropic", "gemini"])
@pytest.mark.parametrize("surface", [CHAT, RESPONSES], ids=str)
@pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])
async def test_the_rest_is_asked_for_and_all_of_it_is_paid(
    stack: Stack, provider: str, surface: Surface, stream: bool
) -> None:
    for pauses in (1, 2):
        await stack.fault(provider, "pause", times=pauses)
        before = await settled(stack), (await served(stack))[provider]
        answer = await long_one(stack, surface, provider, stream)
        assert answer.status == 200, answer.body
        if stream:
            heard = surface.stream(answer.body)
            assert (heard.text, heard.complete, heard.errors) == (said(provider, TEXT), True, [])
        else:
            assert surface.text(answer.value) == said(provider, TEXT)
        assert answer.headers["x-gateway-attempts"] == "1"
        tokens = (await served(stack))[provider] - before[1]
        assert await settled(stack) - before[0] == tokens
        assert (await logged(stack, answer))["total_tokens"] == tokens
    assert len(await stack.calls_to(provider)) == 5


@pytest.mark.parametrize("provider", ["anthropic", "gemini"])
async def test_a_rest_that_does_not_come_is_no_end(start_stack: Start, provider: str) -> None:
    stack = await start_stack(CALM)
    for kind in ("status", "cut", "error_event"):
        await stack.clear_faults()
        await stack.fault(provider, "pause", times=1)
        await stack.fault(provider, kind, times=1)
        answer = await long_one(stack, CHAT, provider, True)
        heard = CHAT.stream(answer.body)
        assert not heard.complete and len(heard.errors) == 1, (kind, answer.body)
        assert (await logged(stack, answer))["total_tokens"] > 0


@pytest.mark.parametrize("provider", ["anthropic", "gemini"])
async def test_a_whole_answer_whose_rest_does_not_come_is_another_providers(stack: Stack, provider: str) -> None:
    await stack.fault(provider, "pause", times=1)
    await stack.fault(provider, "status", times=1)
    answer = await long_one(stack, CHAT, provider, False)
    other = answer.headers["x-gateway-provider"]
    assert answer.headers["x-gateway-fallback-from"] == provider
    assert CHAT.text(answer.value) == said(other, TEXT)
    assert await settled(stack) >= (await served(stack))[other]
