"""The official OpenAI SDK's Responses API against the simulator: its own stream accumulator checks every event."""

from __future__ import annotations

import json
from typing import Any

import openai
import pytest
from pydantic import BaseModel
from simulator_kit import QUESTION, TIME, WEATHER, png

MODEL = "gpt-5.4"
TOOLS: list[Any] = [
    {"type": "function", "name": "get_weather", "parameters": WEATHER, "strict": False},
    {"type": "function", "name": "get_time", "parameters": TIME, "strict": False},
]
THINKING: Any = {"effort": "low", "summary": "auto"}


async def events(client: openai.AsyncOpenAI, **request: Any) -> list[Any]:
    stream = await client.responses.create(**{"model": MODEL, "input": "hello there", "stream": True, **request})
    return [event async for event in stream]


async def test_a_text_answer_echoes_the_question_and_its_usage_adds_up(openai_sdk: openai.AsyncOpenAI) -> None:
    answer = await openai_sdk.responses.create(model=MODEL, input="hello there")

    assert answer.output_text == "[simulated gpt-5.4] You said: hello there"
    assert (answer.status, answer.object, answer.error) == ("completed", "response", None)
    assert answer.id.startswith("resp_") and answer.output[0].id.startswith("msg_")
    assert answer.usage.input_tokens == 3
    assert answer.usage.input_tokens + answer.usage.output_tokens == answer.usage.total_tokens


async def test_what_was_asked_for_is_repeated_in_the_answer(openai_sdk: openai.AsyncOpenAI) -> None:
    answer = await openai_sdk.responses.create(
        model=MODEL, input="hi", instructions="be brief", metadata={"a": "b"}, temperature=0.5, tools=TOOLS, store=False
    )

    assert (answer.instructions, answer.metadata, answer.temperature) == ("be brief", {"a": "b"}, 0.5)
    assert [tool.name for tool in answer.tools] == ["get_weather", "get_time"]
    assert (answer.tool_choice, answer.parallel_tool_calls, answer.truncation) == ("auto", True, "disabled")


async def test_the_same_request_gets_the_same_answer_streamed_or_not(openai_sdk: openai.AsyncOpenAI) -> None:
    whole = await openai_sdk.responses.create(model=MODEL, input="hello there", reasoning=THINKING)
    async with openai_sdk.responses.stream(model=MODEL, input="hello there", reasoning=THINKING) as stream:
        final = await stream.get_final_response()

    assert [item.type for item in whole.output] == ["reasoning", "message"]
    assert whole.output[0].encrypted_content and whole.output[0].summary[0].text.startswith("The user said")
    assert [item.id for item in final.output] == [item.id for item in whole.output]
    assert final.output[0] == whole.output[0] and final.output_text == whole.output_text
    assert (
        final.id == whole.id and final.usage == whole.usage and final.usage.output_tokens_details.reasoning_tokens > 0
    )


async def test_events_are_numbered_without_gaps_in_the_order_of_the_grammar(openai_sdk: openai.AsyncOpenAI) -> None:
    seen = await events(openai_sdk, reasoning=THINKING)
    kinds = [event.type for event in seen]
    once = [kind for place, kind in enumerate(kinds) if place == 0 or kinds[place - 1] != kind]

    assert [event.sequence_number for event in seen] == list(range(len(seen)))
    assert once == [
        "response.created",
        "response.in_progress",
        "response.output_item.added",
        "response.reasoning_summary_part.added",
        "response.reasoning_summary_text.delta",
        "response.reasoning_summary_text.done",
        "response.reasoning_summary_part.done",
        "response.output_item.done",
        "response.output_item.added",
        "response.content_part.added",
        "response.output_text.delta",
        "response.output_text.done",
        "response.content_part.done",
        "response.output_item.done",
        "response.completed",
    ]
    said = "".join(event.delta for event in seen if event.type == "response.output_text.delta")
    assert said == seen[-1].response.output_text


async def test_two_tools_are_called_and_their_results_quoted(openai_sdk: openai.AsyncOpenAI) -> None:
    first = await openai_sdk.responses.create(
        model="gpt-6.1-sol", input=QUESTION, tools=TOOLS, store=False, reasoning={"effort": "low"}
    )
    calls = [item for item in first.output if item.type == "function_call"]
    assert [(call.name, json.loads(call.arguments)["city"]) for call in calls] == [
        ("get_weather", "Paris"),
        ("get_time", "Rome"),
    ]

    results = [
        {"type": "function_call_output", "call_id": call.call_id, "output": f"{call.name} result"} for call in calls
    ]
    history: Any = [{"role": "user", "content": QUESTION}, *first.output, *results]
    second = await openai_sdk.responses.create(model="gpt-6.1-sol", input=history, tools=TOOLS, store=False)
    assert "get_weather -> get_weather result" in second.output_text
    assert "get_time -> get_time result" in second.output_text


async def test_streamed_calls_of_every_kind_are_put_together_by_the_sdk(openai_sdk: openai.AsyncOpenAI) -> None:
    tools: list[Any] = [
        *TOOLS[:1],
        {"type": "custom", "name": "run_code"},
        {"type": "namespace", "name": "clock", "description": "time", "tools": TOOLS[1:]},
        {"type": "web_search"},
    ]
    request: Any = {"model": MODEL, "input": "get_weather in Paris, get_time in Rome, run_code", "tools": tools}
    whole = await openai_sdk.responses.create(**request)
    async with openai_sdk.responses.stream(**request) as stream:
        final = await stream.get_final_response()

    assert [(item.type, item.name) for item in whole.output] == [
        ("function_call", "get_weather"),
        ("function_call", "get_time"),
        ("custom_tool_call", "run_code"),
    ]
    assert whole.output[1].namespace == "clock" and whole.output[2].input == request["input"]
    assert [(item.id, item.call_id) for item in final.output] == [(item.id, item.call_id) for item in whole.output]
    assert final.output[0].arguments == whole.output[0].arguments


class Person(BaseModel):
    name: str
    tags: list[str]


async def test_structured_output_parses_into_the_model(openai_sdk: openai.AsyncOpenAI) -> None:
    parsed = await openai_sdk.responses.parse(model=MODEL, input="Who is Ada Lovelace?", text_format=Person)

    assert parsed.output_parsed is not None and parsed.output_parsed.name == "Ada Lovelace"


async def test_pictures_and_files_are_looked_at(openai_sdk: openai.AsyncOpenAI) -> None:
    content: Any = [
        {"type": "input_text", "text": "look"},
        {"type": "input_image", "image_url": f"data:image/png;base64,{png(3, 5)}", "detail": "auto"},
        {"type": "input_file", "filename": "a.pdf", "file_data": "data:application/pdf;base64,aGVsbG8="},
    ]
    answer = await openai_sdk.responses.create(model=MODEL, input=[{"role": "user", "content": content}])

    assert answer.output_text.endswith("You said: look I see a PNG image of 3x5 pixels. I see a file of 5 bytes.")


async def test_a_limit_makes_the_answer_incomplete(openai_sdk: openai.AsyncOpenAI) -> None:
    long = "one two three four five six seven eight nine ten eleven twelve thirteen fourteen"
    short = await openai_sdk.responses.create(model=MODEL, input=long, max_output_tokens=16)
    seen = await events(openai_sdk, input=long, max_output_tokens=16)

    assert (short.status, short.incomplete_details.reason) == ("incomplete", "max_output_tokens")
    assert short.usage.output_tokens == 16 and short.output[0].status == "incomplete"
    assert seen[-1].type == "response.incomplete" and seen[-1].response.output == short.output


async def test_a_conversation_goes_on_from_a_kept_response(openai_sdk: openai.AsyncOpenAI) -> None:
    first = await openai_sdk.responses.create(model=MODEL, input=QUESTION, tools=TOOLS)
    outputs: Any = [
        {"type": "function_call_output", "call_id": item.call_id, "output": "fine"} for item in first.output
    ]
    second = await openai_sdk.responses.create(model=MODEL, input=outputs, tools=TOOLS, previous_response_id=first.id)

    assert "get_weather -> fine" in second.output_text and second.previous_response_id == first.id
    assert (await openai_sdk.responses.retrieve(second.id)).output == second.output
    listed = [item async for item in openai_sdk.responses.input_items.list(second.id, order="asc")]
    assert [item.type for item in listed] == [
        "message", "function_call", "function_call", "function_call_output", "function_call_output",
    ]  # fmt: skip

    await openai_sdk.responses.delete(first.id)
    with pytest.raises(openai.NotFoundError):
        await openai_sdk.responses.retrieve(first.id)
    with pytest.raises(openai.BadRequestError) as gone:
        await openai_sdk.responses.create(model=MODEL, input="and?", previous_response_id=first.id)
    assert (gone.value.code, gone.value.param) == ("previous_response_not_found", "previous_response_id")


async def test_what_is_not_to_be_stored_is_not_found_again(openai_sdk: openai.AsyncOpenAI) -> None:
    answer = await openai_sdk.responses.create(model=MODEL, input="hello", store=False)

    with pytest.raises(openai.NotFoundError):
        await openai_sdk.responses.retrieve(answer.id)


async def test_a_synchronous_response_cannot_be_cancelled(openai_sdk: openai.AsyncOpenAI) -> None:
    answer = await openai_sdk.responses.create(model=MODEL, input="hello")

    with pytest.raises(openai.BadRequestError, match="Cannot cancel a synchronous response"):
        await openai_sdk.responses.cancel(answer.id)


async def test_input_tokens_are_those_that_the_answer_reports(openai_sdk: openai.AsyncOpenAI) -> None:
    request: Any = {"model": MODEL, "input": QUESTION, "instructions": "be brief", "tools": TOOLS}
    counted = await openai_sdk.responses.input_tokens.count(**request)
    answer = await openai_sdk.responses.create(**request)

    assert counted.input_tokens == answer.usage.input_tokens > 30


async def test_a_function_that_does_not_say_is_made_strict(openai_sdk: openai.AsyncOpenAI) -> None:
    silent: Any = {"type": "function", "name": "get_weather", "parameters": WEATHER}
    open_ended: Any = {**silent, "parameters": {**WEATHER, "additionalProperties": True}}
    answer = await openai_sdk.responses.create(model=MODEL, input="hello", tools=[silent, open_ended])

    made, left = answer.tools
    assert made.strict and made.parameters["required"] == ["city", "unit"]
    assert not left.strict and left.parameters["required"] == ["city"]
