"""The official OpenAI SDK against the gateway, whoever answers: tools, structured output, images, reasoning."""

from __future__ import annotations

import json
from typing import Any

import openai
import pytest
from clients_house import House
from clients_kit import MODELS, PROVIDERS, QUESTION, RESULTS, TOOLS, Person, png, user

CALLED = [("get_weather", "Paris"), ("get_time", "Rome")]
QUOTED = "The tools answered: get_weather -> 21 degrees; get_time -> noon"


def called(message: Any) -> list[tuple[str, str]]:
    """The tools that a message calls, each with its city."""
    return [(call.function.name, json.loads(call.function.arguments)["city"]) for call in message.tool_calls]


def with_results(message: Any, said: Any = None) -> list[Any]:
    """The conversation as an application goes on with it: the SDK's own message (or `said`), then a result for each call."""
    results = [
        {"role": "tool", "tool_call_id": call.id, "content": RESULTS[call.function.name]} for call in message.tool_calls
    ]
    return [*user(QUESTION), said or message, *results]


@pytest.mark.parametrize("provider", PROVIDERS)
def test_two_parallel_calls_go_round_and_their_results_are_read(client: openai.OpenAI, provider: str) -> None:
    request: dict[str, Any] = {"model": MODELS[provider], "tools": TOOLS}
    first = client.chat.completions.create(**request, messages=user(QUESTION))
    message = first.choices[0].message
    second = client.chat.completions.create(**request, messages=with_results(message))

    assert first.choices[0].finish_reason == "tool_calls"
    assert called(message) == CALLED
    assert len({call.id for call in message.tool_calls or []}) == 2
    assert QUOTED in (second.choices[0].message.content or "")
    assert second.choices[0].finish_reason == "stop"


@pytest.mark.parametrize("provider", PROVIDERS)
def test_streamed_calls_are_put_together_and_go_round(client: openai.OpenAI, provider: str) -> None:
    request: dict[str, Any] = {"model": MODELS[provider], "tools": TOOLS}
    with client.chat.completions.stream(**request, messages=user(QUESTION)) as stream:
        message = stream.get_final_completion().choices[0].message
    # The accumulator's message has fields of its own, all None here, that the API does not take back.
    history = with_results(message, message.model_dump(exclude_none=True))
    with client.chat.completions.stream(**request, messages=history) as stream:
        said = stream.get_final_completion().choices[0].message.content

    assert called(message) == CALLED
    assert QUOTED in (said or "")


@pytest.mark.parametrize("provider", PROVIDERS)
async def test_the_asynchronous_client_gets_the_calls_too(async_client: openai.AsyncOpenAI, provider: str) -> None:
    answer = await async_client.chat.completions.create(
        model=MODELS[provider], messages=user(QUESTION), tools=TOOLS, tool_choice="required"
    )

    assert called(answer.choices[0].message) == CALLED


@pytest.mark.parametrize("provider", PROVIDERS)
def test_one_call_at_a_time_and_a_named_tool_are_obeyed(client: openai.OpenAI, provider: str) -> None:
    request: dict[str, Any] = {"model": MODELS[provider], "messages": user(QUESTION), "tools": TOOLS}
    single = client.chat.completions.create(**request, parallel_tool_calls=False)
    named = client.chat.completions.create(
        **request, tool_choice={"type": "function", "function": {"name": "get_time"}}
    )
    none = client.chat.completions.create(**request, tool_choice="none")

    assert called(single.choices[0].message)[0] == CALLED[0]
    assert {name for name, _ in called(named.choices[0].message)} == {"get_time"}
    assert none.choices[0].message.tool_calls is None and none.choices[0].message.content


@pytest.mark.parametrize("provider", PROVIDERS)
def test_structured_output_becomes_an_instance_of_the_model(client: openai.OpenAI, provider: str) -> None:
    answer = client.chat.completions.parse(
        model=MODELS[provider], messages=user("Who is Ada Lovelace, born 1815?"), response_format=Person
    )
    person = answer.choices[0].message.parsed

    assert isinstance(person, Person)
    assert (person.name, person.born) == ("Ada Lovelace", 1815)


@pytest.mark.parametrize("provider", PROVIDERS)
def test_structured_output_is_streamed_as_well(client: openai.OpenAI, provider: str) -> None:
    with client.chat.completions.stream(
        model=MODELS[provider], messages=user("Who is Ada Lovelace, born 1815?"), response_format=Person
    ) as stream:
        person = stream.get_final_completion().choices[0].message.parsed

    assert isinstance(person, Person) and person.name == "Ada Lovelace"


@pytest.mark.parametrize("provider", PROVIDERS)
def test_an_image_in_the_question_is_seen(house: House, client: openai.OpenAI, provider: str) -> None:
    picture = {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{png(3, 5)}"}}
    answer = client.chat.completions.create(
        model=MODELS[provider], messages=user([{"type": "text", "text": "What is this?"}, picture])
    )

    assert "I see a PNG image of 3x5 pixels." in (answer.choices[0].message.content or "")
    assert png(3, 5) in json.dumps(house.sent(provider)[0]["body"])


@pytest.mark.parametrize("provider", PROVIDERS)
def test_reasoning_is_asked_for_and_counted(client: openai.OpenAI, provider: str) -> None:
    answer = client.chat.completions.create(
        model=MODELS[provider], messages=user("think about it"), reasoning_effort="high"
    )

    assert answer.usage is not None and answer.usage.completion_tokens_details is not None
    assert answer.usage.completion_tokens_details.reasoning_tokens
    assert answer.usage.prompt_tokens + answer.usage.completion_tokens == answer.usage.total_tokens
    assert (answer.choices[0].message.content or "").endswith("You said: think about it")


@pytest.mark.parametrize("provider", ["anthropic", "gemini"])  # OpenAI itself refuses the two together on this path
def test_thoughts_and_their_signatures_survive_a_tool_round_trip(client: openai.OpenAI, provider: str) -> None:
    request: dict[str, Any] = {"model": MODELS[provider], "tools": TOOLS, "reasoning_effort": "low"}
    message = client.chat.completions.create(**request, messages=user(QUESTION)).choices[0].message
    second = client.chat.completions.create(**request, messages=with_results(message))

    assert QUOTED in (second.choices[0].message.content or "")
