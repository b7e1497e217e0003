"""The official OpenAI SDK against the gateway, whoever answers: whole answers, streams, models."""

from __future__ import annotations

from typing import Any

import openai
import pytest
from clients_house import House
from clients_kit import BASE, MODELS, PROVIDERS, answer_of, user

BASES = [BASE, f"{BASE}/v1", "/v1"]


@pytest.mark.parametrize("provider", PROVIDERS)
@pytest.mark.parametrize("path", BASES)
def test_the_client_works_with_every_base_url_that_people_type(house: House, path: str, provider: str) -> None:
    with house.openai(path) as client:
        answer = client.chat.completions.create(model=MODELS[provider], messages=user("hello there"))

    assert answer.choices[0].message.content == answer_of(provider, "hello there")
    assert answer.choices[0].finish_reason == "stop"
    assert answer.model == MODELS[provider]
    assert answer.usage is not None
    assert answer.usage.prompt_tokens + answer.usage.completion_tokens == answer.usage.total_tokens > 3
    assert len(house.sent(provider)) == 1


@pytest.mark.parametrize("provider", PROVIDERS)
def test_the_headers_name_who_answered(client: openai.OpenAI, provider: str) -> None:
    raw = client.chat.completions.with_raw_response.create(model=MODELS[provider], messages=user("hi"))

    assert raw.headers["x-gateway-provider"] == provider
    assert raw.headers["x-gateway-model"] == MODELS[provider]
    assert raw.headers["x-gateway-attempts"] == "1"
    assert raw.parse()._request_id == raw.headers["x-request-id"]


@pytest.mark.parametrize("provider", PROVIDERS)
def test_a_preferred_provider_is_a_header_of_the_client(house: House, provider: str) -> None:
    with house.openai(default_headers={"X-Preferred-Provider": provider}) as client:
        answer = client.chat.completions.create(model="auto", messages=user("hi"))

    assert answer.choices[0].message.content == answer_of(provider, "hi")


@pytest.mark.parametrize("provider", PROVIDERS)
def test_a_system_prompt_and_earlier_turns_reach_the_model(house: House, client: openai.OpenAI, provider: str) -> None:
    messages: list[Any] = [
        {"role": "system", "content": "Be brief."},
        *user("My name is Ada."),
        {"role": "assistant", "content": "Noted."},
        *user("Say my name"),
    ]
    answer = client.chat.completions.create(model=MODELS[provider], messages=messages)

    assert answer.choices[0].message.content == answer_of(provider, "Say my name")
    (row,) = house.sent(provider)
    assert all(text in str(row["body"]) for text in ("Be brief.", "My name is Ada.", "Noted.", "Say my name"))


@pytest.mark.parametrize("provider", PROVIDERS)
def test_a_stream_says_what_the_whole_answer_says_and_ends_with_its_usage(client: openai.OpenAI, provider: str) -> None:
    request: dict[str, Any] = {"model": MODELS[provider], "messages": user("one two three four")}
    whole = client.chat.completions.create(**request)
    chunks = list(client.chat.completions.create(**request, stream=True, stream_options={"include_usage": True}))

    said = [chunk.choices[0].delta.content for chunk in chunks if chunk.choices and chunk.choices[0].delta.content]
    assert "".join(said) == whole.choices[0].message.content
    assert len(said) > 2
    assert chunks[-1].choices == [] and chunks[-1].usage is not None and whole.usage is not None
    assert chunks[-1].usage.total_tokens == whole.usage.total_tokens
    assert all(chunk.usage is None for chunk in chunks[:-1])
    assert [chunk.choices[0].finish_reason for chunk in chunks if chunk.choices][-1] == "stop"
    assert len({(chunk.id, chunk.created, chunk.model) for chunk in chunks}) == 1


@pytest.mark.parametrize("provider", PROVIDERS)
def test_a_stream_carries_no_usage_that_nobody_asked_for(client: openai.OpenAI, provider: str) -> None:
    chunks = list(client.chat.completions.create(model=MODELS[provider], messages=user("hi"), stream=True))

    assert all(chunk.usage is None and chunk.choices for chunk in chunks)


@pytest.mark.parametrize("provider", PROVIDERS)
def test_the_accumulator_of_the_sdk_puts_a_stream_together(client: openai.OpenAI, provider: str) -> None:
    with client.chat.completions.stream(
        model=MODELS[provider], messages=user("hello there"), stream_options={"include_usage": True}
    ) as stream:
        kinds = [event.type for event in stream]
        final = stream.get_final_completion()

    assert final.choices[0].message.content == answer_of(provider, "hello there")
    assert final.choices[0].finish_reason == "stop"
    assert final.usage is not None and final.usage.total_tokens > 3
    assert kinds.count("content.done") == 1 and kinds.count("content.delta") > 2


@pytest.mark.parametrize("provider", PROVIDERS)
async def test_the_asynchronous_client_reads_the_same(async_client: openai.AsyncOpenAI, provider: str) -> None:
    request: dict[str, Any] = {"model": MODELS[provider], "messages": user("hello there")}
    whole = await async_client.chat.completions.create(**request)
    stream = await async_client.chat.completions.create(**request, stream=True)
    said = [chunk.choices[0].delta.content or "" async for chunk in stream]
    async with async_client.chat.completions.stream(**request) as accumulated:
        final = await accumulated.get_final_completion()

    assert whole.choices[0].message.content == answer_of(provider, "hello there")
    assert "".join(said) == final.choices[0].message.content == whole.choices[0].message.content


@pytest.mark.parametrize("provider", PROVIDERS)
def test_a_limit_of_tokens_ends_the_answer(client: openai.OpenAI, provider: str) -> None:
    answer = client.chat.completions.create(
        model=MODELS[provider], messages=user("a long story, please"), max_completion_tokens=4
    )

    assert answer.choices[0].finish_reason == "length"
    assert answer.usage is not None and answer.usage.completion_tokens == 4


@pytest.mark.parametrize("path", BASES)
def test_models_are_listed_and_shown(house: House, path: str) -> None:
    with house.openai(path) as client:
        listed = {model.id: model.owned_by for model in client.models.list()}
        shown = [client.models.retrieve(name).id for name in listed]

    assert {"fast", *MODELS.values()} <= set(listed)
    assert listed["claude-sonnet-4-6"] == "anthropic"
    assert shown == list(listed)
