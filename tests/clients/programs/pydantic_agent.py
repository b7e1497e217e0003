"""`pydantic-ai`, which checks answers strictly: `chat`, `responses`, `messages` or `gemini`."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable
from typing import Any

import kit
from pydantic import BaseModel
from pydantic_ai import Agent, BinaryContent, NativeOutput
from pydantic_ai.models.anthropic import AnthropicModel
from pydantic_ai.models.google import GoogleModel
from pydantic_ai.models.openai import OpenAIChatModel, OpenAIResponsesModel
from pydantic_ai.providers.anthropic import AnthropicProvider
from pydantic_ai.providers.google import GoogleProvider
from pydantic_ai.providers.openai import OpenAIProvider

LOOP = asyncio.new_event_loop()  # one for all jobs: connections live in it


class Person(BaseModel):
    """A person."""

    name: str
    tags: list[str]


def openai() -> OpenAIProvider:
    return OpenAIProvider(base_url=f"{kit.BASE}/v1", api_key=kit.TOKEN)


MODELS: dict[str, Callable[[str], Any]] = {
    "chat": lambda model: OpenAIChatModel(model, provider=openai()),
    "responses": lambda model: OpenAIResponsesModel(model, provider=openai()),
    "messages": lambda model: AnthropicModel(model, provider=AnthropicProvider(base_url=kit.BASE, api_key=kit.TOKEN)),
    "gemini": lambda model: GoogleModel(model, provider=GoogleProvider(base_url=kit.BASE, api_key=kit.TOKEN)),
}


def agent(model: str, **more: Any) -> Agent[None, Any]:
    return Agent(MODELS[sys.argv[1]](model), **more)


def run(asked: Agent[None, Any], prompt: Any) -> Any:
    return LOOP.run_until_complete(asked.run(prompt)).output


def text(model: str) -> dict[str, Any]:
    return {"text": run(agent(model), kit.HELLO)}


def stream(model: str) -> dict[str, Any]:
    async def pieces() -> list[str]:
        async with agent(model).run_stream(kit.HELLO) as result:
            return [piece async for piece in result.stream_text(delta=True, debounce_by=None)]

    return kit.streamed(LOOP.run_until_complete(pieces()))


def tools(model: str) -> dict[str, Any]:
    calls = kit.Calls()
    asked = agent(model, tools=[calls.get_weather, calls.get_time])
    return {"text": run(asked, kit.QUESTION), "calls": sorted(calls.made, reverse=True)}


def structured(model: str) -> dict[str, Any]:
    # Through a tool on Messages: there this client believes that only names it knows have native structured output.
    output: Any = Person if sys.argv[1] == "messages" else NativeOutput(Person)
    return {"parsed": run(agent(model, output_type=output), kit.ABOUT).model_dump()}


def image(model: str) -> dict[str, Any]:
    return {"text": run(agent(model), [kit.LOOK, BinaryContent(kit.PICTURE, media_type="image/png")])}


kit.serve(text=text, stream=stream, tools=tools, structured=structured, image=image)
