"""OpenAI's Agents SDK, `openai-agents`: `chat`, or `responses`, which is what it uses by itself."""

from __future__ import annotations

import asyncio
import sys
from typing import Any

import agents
import kit
import openai
from pydantic import BaseModel

LOOP = asyncio.new_event_loop()  # one for all jobs: connections live in it
CLIENT = openai.AsyncOpenAI(base_url=f"{kit.BASE}/v1", api_key=kit.TOKEN)
MODEL = agents.OpenAIChatCompletionsModel if sys.argv[1] == "chat" else agents.OpenAIResponsesModel
agents.set_tracing_disabled(True)  # else it reports to its vendor


class Person(BaseModel):
    """A person."""

    name: str
    tags: list[str]


def agent(model: str, **more: Any) -> agents.Agent[Any]:
    return agents.Agent(name="tester", model=MODEL(model, CLIENT), **more)


def run(asked: agents.Agent[Any], prompt: Any) -> Any:
    return LOOP.run_until_complete(agents.Runner.run(asked, prompt)).final_output


def text(model: str) -> dict[str, Any]:
    return {"text": run(agent(model), kit.HELLO)}


def stream(model: str) -> dict[str, Any]:
    async def pieces() -> list[str]:
        events = agents.Runner.run_streamed(agent(model), kit.HELLO).stream_events()
        deltas = [event.data async for event in events if event.type == "raw_response_event"]
        return [delta.delta for delta in deltas if delta.type == "response.output_text.delta"]

    return kit.streamed(LOOP.run_until_complete(pieces()))


def tools(model: str) -> dict[str, Any]:
    calls = kit.Calls()
    functions: list[Any] = [agents.function_tool(one) for one in (calls.get_weather, calls.get_time)]
    text = run(agent(model, tools=functions), kit.QUESTION)
    return {"text": text, "calls": sorted(calls.made, reverse=True)}


def structured(model: str) -> dict[str, Any]:
    return {"parsed": run(agent(model, output_type=Person), kit.ABOUT).model_dump()}


def image(model: str) -> dict[str, Any]:
    parts = [{"type": "input_text", "text": kit.LOOK}, {"type": "input_image", "image_url": kit.PICTURE_URL, "detail": "auto"}]  # fmt: skip
    return {"text": run(agent(model), [{"role": "user", "content": parts}])}


kit.serve(text=text, stream=stream, tools=tools, structured=structured, image=image)
