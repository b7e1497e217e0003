"""Signs of life in long silences: in each dialect's own form, and no client's parser stumbles over them. Time is ticked by hand."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import anthropic
import openai
import pytest
from e2e_stack import Stack, Start
from e2e_surfaces import MODELS, PROVIDERS, SURFACES, Surface, ask, said
from google import genai

TEXT = "Tell me of bridges"
PING = b'event: ping\ndata: {"type":"ping"}\n\n'
# Google's SDK takes a comment for JSON that is broken; empty lines stand in its streams and arrays alike.
FORMS = {"messages": PING, "gemini": b"\n\n\n\n", "gemini array": b"\n\n"}
EACH = pytest.mark.parametrize("provider", PROVIDERS)


@asynccontextmanager
async def ticking(stack: Stack) -> AsyncIterator[None]:
    """Between any two frames of a stream much time seems to pass."""
    streams = stack.gateway.handlers.streams
    seconds = itertools.count(0.0, 16.0)
    streams.clock = lambda: next(seconds)

    async def sweep() -> None:
        while True:
            streams.sweep()
            await asyncio.sleep(0.001)

    sweeping = asyncio.ensure_future(sweep())
    try:
        yield
    finally:
        sweeping.cancel()


@EACH
@pytest.mark.parametrize("surface", SURFACES, ids=str)
async def test_silence_is_filled_in_each_dialects_own_way(start_stack: Start, surface: Surface, provider: str) -> None:
    stack = await start_stack(chunk_delay_s=0.005)
    async with ticking(stack):
        answer = await ask(stack, surface, MODELS[provider], text=TEXT, stream=True)
    heard = surface.stream(answer.body)
    assert (heard.text, heard.complete, heard.errors) == (said(provider, TEXT), True, [])
    assert FORMS.get(surface.name, b": ping\n\n") in answer.body.replace(b"\r", b""), answer.body


@EACH
async def test_the_sdks_do_not_stumble(start_stack: Start, provider: str) -> None:
    stack = await start_stack(chunk_delay_s=0.005)
    model, user = MODELS[provider], [{"role": "user", "content": TEXT}]
    options = genai.types.HttpOptions(base_url=stack.base())
    google = genai.Client(api_key=stack.token(), http_options=options, vertexai=False)
    async with (
        ticking(stack),
        openai.AsyncOpenAI(base_url=stack.base(), api_key=stack.token()) as client,
        anthropic.AsyncAnthropic(base_url=stack.base(), api_key=stack.token()) as claude,
    ):
        async with client.chat.completions.stream(model=model, messages=user) as chat:  # type: ignore[arg-type]
            assert (await chat.get_final_completion()).choices[0].message.content == said(provider, TEXT)
        async with client.responses.stream(model=model, input=TEXT) as responses:
            assert (await responses.get_final_response()).output_text == said(provider, TEXT)
        async with claude.messages.stream(model=model, max_tokens=500, messages=user) as messages:  # type: ignore[arg-type]
            assert await messages.get_final_text() == said(provider, TEXT)
        pieces = [
            piece.text or ""
            async for piece in await google.aio.models.generate_content_stream(model=model, contents=TEXT)
        ]
        assert "".join(pieces) == said(provider, TEXT)
