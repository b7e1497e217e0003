"""The official OpenAI SDK against the simulator: it accepts every answer, and what it reads adds up."""

from __future__ import annotations

import asyncio
import json

import openai
import pytest
from pydantic import BaseModel
from simulator_kit import QUESTION, TIME, WEATHER, png

from gateway.simulator.app import Running

TOOLS = [
    {"type": "function", "function": {"name": "get_weather", "parameters": WEATHER}},
    {"type": "function", "function": {"name": "get_time", "parameters": TIME}},
]


def user(content: object) -> list[dict]:
    return [{"role": "user", "content": content}]


async def test_a_text_answer_echoes_the_question_and_its_usage_adds_up(openai_sdk: openai.AsyncOpenAI) -> None:
    answer = await openai_sdk.chat.completions.create(model="gpt-5.4", messages=user("hello there"))

    assert answer.choices[0].message.content == "[simulated gpt-5.4] You said: hello there"
    assert answer.choices[0].finish_reason == "stop"
    assert answer.usage.prompt_tokens + answer.usage.completion_tokens == answer.usage.total_tokens
    assert answer.usage.prompt_tokens == 3


async def test_the_same_request_gets_the_same_answer_streamed_or_not(openai_sdk: openai.AsyncOpenAI) -> None:
    request = {"model": "gpt-5.4", "messages": user("hello there"), "reasoning_effort": "low"}
    whole = await openai_sdk.chat.completions.create(**request)
    stream = await openai_sdk.chat.completions.create(**request, stream=True, stream_options={"include_usage": True})
    chunks = [chunk async for chunk in stream]

    said = [chunk.choices[0].delta.content for chunk in chunks if chunk.choices and chunk.choices[0].delta.content]
    assert "".join(said) == whole.choices[0].message.content
    assert len(said) > 3
    assert chunks[-1].choices == [] and chunks[-1].usage == whole.usage
    assert all(chunk.usage is None for chunk in chunks[:-1])
    assert {chunk.id for chunk in chunks} == {whole.id}
    assert whole.usage.completion_tokens_details.reasoning_tokens > 0


async def test_two_tools_are_called_and_their_results_quoted(openai_sdk: openai.AsyncOpenAI) -> None:
    messages = user(QUESTION)
    first = await openai_sdk.chat.completions.create(model="gpt-5.4", messages=messages, tools=TOOLS)
    calls = first.choices[0].message.tool_calls
    assert [(call.function.name, json.loads(call.function.arguments)["city"]) for call in calls] == [
        ("get_weather", "Paris"),
        ("get_time", "Rome"),
    ]
    assert first.choices[0].finish_reason == "tool_calls"

    results = [{"role": "tool", "tool_call_id": call.id, "content": f"{call.function.name} result"} for call in calls]
    history = [*messages, first.choices[0].message.model_dump(exclude_none=True), *results]
    second = await openai_sdk.chat.completions.create(model="gpt-5.4", messages=history, tools=TOOLS)
    assert "get_weather -> get_weather result" in second.choices[0].message.content
    assert "get_time -> get_time result" in second.choices[0].message.content


async def test_streamed_tool_calls_are_put_together_by_the_sdk(openai_sdk: openai.AsyncOpenAI) -> None:
    async with openai_sdk.chat.completions.stream(model="gpt-5.4", messages=user(QUESTION), tools=TOOLS) as stream:
        final = await stream.get_final_completion()
    whole = await openai_sdk.chat.completions.create(model="gpt-5.4", messages=user(QUESTION), tools=TOOLS)

    put_together = [
        (call.id, call.function.name, call.function.arguments) for call in final.choices[0].message.tool_calls
    ]
    assert put_together == [
        (call.id, call.function.name, call.function.arguments) for call in whole.choices[0].message.tool_calls
    ]


class Address(BaseModel):
    street: str
    number: int | None


class Person(BaseModel):
    name: str
    tags: list[str]
    home: Address


async def test_structured_output_parses_into_the_model(openai_sdk: openai.AsyncOpenAI) -> None:
    parsed = await openai_sdk.chat.completions.parse(
        model="gpt-5.4", messages=user("Who is Ada Lovelace?"), response_format=Person
    )

    assert parsed.choices[0].message.parsed.name == "Ada Lovelace"


async def test_an_image_is_looked_at(openai_sdk: openai.AsyncOpenAI) -> None:
    content = [
        {"type": "text", "text": "look"},
        {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{png(3, 5)}"}},
    ]
    answer = await openai_sdk.chat.completions.create(model="gpt-5.4", messages=user(content))

    assert answer.choices[0].message.content.endswith("You said: look I see a PNG image of 3x5 pixels.")


async def test_a_forced_tool_a_custom_tool_and_the_deprecated_functions_have_their_own_shapes(
    openai_sdk: openai.AsyncOpenAI,
) -> None:
    named = {"type": "function", "function": {"name": "get_time"}}
    forced = await openai_sdk.chat.completions.create(
        model="gpt-5.4", messages=user("x"), tools=TOOLS, tool_choice=named
    )
    assert forced.choices[0].finish_reason == "stop"
    assert [call.function.name for call in forced.choices[0].message.tool_calls] == ["get_time"]

    custom = await openai_sdk.chat.completions.create(
        model="gpt-5.4",
        messages=user("run it"),
        tools=[{"type": "custom", "custom": {"name": "shell"}}],
        tool_choice="required",
    )
    assert custom.choices[0].message.tool_calls[0].custom.input == "run it"

    legacy = await openai_sdk.chat.completions.create(
        model="gpt-4o", messages=user(QUESTION), functions=[{"name": "get_weather", "parameters": WEATHER}]
    )
    assert legacy.choices[0].finish_reason == "function_call"
    assert json.loads(legacy.choices[0].message.function_call.arguments)["city"] == "Paris"


async def test_limits_stops_and_alternatives_are_honoured(openai_sdk: openai.AsyncOpenAI) -> None:
    short = await openai_sdk.chat.completions.create(model="gpt-5.4", messages=user("hello"), max_completion_tokens=4)
    assert short.choices[0].finish_reason == "length" and short.usage.completion_tokens == 4

    stopped = await openai_sdk.chat.completions.create(model="gpt-4o", messages=user("one two three"), stop=["two"])
    assert stopped.choices[0].message.content.endswith("You said: one ")

    several = await openai_sdk.chat.completions.create(model="gpt-4o", messages=user("hi"), n=3)
    assert len({choice.message.content for choice in several.choices}) == 3


async def test_embeddings_come_as_base64_and_as_numbers_alike(openai_sdk: openai.AsyncOpenAI) -> None:
    packed = await openai_sdk.embeddings.create(model="text-embedding-3-small", input=["one", "two"], dimensions=8)
    plain = await openai_sdk.embeddings.create(
        model="text-embedding-3-small", input=["one", "two"], dimensions=8, encoding_format="float"
    )
    tokens = await openai_sdk.embeddings.create(model="text-embedding-3-small", input=[[1, 2, 3], [4]])

    assert packed.data[1].embedding == pytest.approx(plain.data[1].embedding)
    assert sum(value * value for value in plain.data[0].embedding) == pytest.approx(1, abs=1e-5)
    assert len(tokens.data[0].embedding) == 1536 and tokens.usage.prompt_tokens == 4


async def test_texts_are_moderated(openai_sdk: openai.AsyncOpenAI) -> None:
    answer = await openai_sdk.moderations.create(input=["hello", "I will attack"])

    assert [result.flagged for result in answer.results] == [False, True]
    assert answer.results[1].categories.violence and answer.model == "omni-moderation-latest"


async def test_models_are_listed_and_shown(openai_sdk: openai.AsyncOpenAI) -> None:
    listed = [model.id async for model in openai_sdk.models.list()]

    assert "gpt-5.4" in listed
    assert (await openai_sdk.models.retrieve("gpt-5.4")).id == "gpt-5.4"


async def test_the_sdk_recognises_the_errors(openai_sdk: openai.AsyncOpenAI) -> None:
    with pytest.raises(openai.NotFoundError) as missing:
        await openai_sdk.chat.completions.create(model="llama-9", messages=user("x"))
    assert missing.value.code == "model_not_found"
    assert missing.value.request_id.startswith("req_")

    with pytest.raises(openai.BadRequestError) as bad:
        await openai_sdk.chat.completions.create(model="gpt-5.4", messages=user("x"), temperature=9)
    assert (bad.value.param, bad.value.code) == ("temperature", "decimal_above_max_value")


async def test_the_synchronous_client_works_too(sim: Running) -> None:
    def ask() -> str:
        with openai.OpenAI(base_url=sim.url_for("openai"), api_key="sk-test") as client:
            return client.chat.completions.create(model="gpt-5.4", messages=user("hi")).choices[0].message.content

    assert await asyncio.to_thread(ask) == "[simulated gpt-5.4] You said: hi"
