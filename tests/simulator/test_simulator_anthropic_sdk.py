"""The official Anthropic SDK against the simulator, thinking and its signatures among it."""

from __future__ import annotations

import asyncio

import anthropic
import pytest
from pydantic import BaseModel
from simulator_kit import QUESTION, TIME, WEATHER, Post, png

from gateway.simulator.app import Running

TOOLS = [{"name": "get_weather", "input_schema": WEATHER}, {"name": "get_time", "input_schema": TIME}]


def user(content: object) -> list[dict]:
    return [{"role": "user", "content": content}]


async def test_a_text_answer_echoes_the_question_and_counts_its_tokens(anthropic_sdk: anthropic.AsyncAnthropic) -> None:
    answer = await anthropic_sdk.messages.create(
        model="claude-sonnet-4-6", max_tokens=500, messages=user("hello there")
    )
    counted = await anthropic_sdk.messages.count_tokens(model="claude-sonnet-4-6", messages=user("hello there"))

    assert answer.content[0].text == "[simulated claude-sonnet-4-6] You said: hello there"
    assert answer.stop_reason == "end_turn"
    assert answer.usage.input_tokens == counted.input_tokens == 3


async def test_the_stream_follows_the_grammar_and_ends_as_the_whole_answer(
    anthropic_sdk: anthropic.AsyncAnthropic,
) -> None:
    request = {
        "model": "claude-opus-4-6",
        "max_tokens": 500,
        "messages": user("think about it"),
        "thinking": {"type": "adaptive"},
    }
    whole = await anthropic_sdk.messages.create(**request)
    async with anthropic_sdk.messages.stream(**request) as stream:
        kinds = [event.type async for event in stream if event.type.startswith(("message_", "content_block_"))]
        final = await stream.get_final_message()

    said = [block.model_dump(exclude={"parsed_output"}) for block in final.content]
    assert said == [block.model_dump() for block in whole.content]
    assert final.usage == whole.usage and final.id == whole.id
    assert [block.type for block in final.content] == ["thinking", "text"]
    assert kinds[0] == "message_start" and kinds[-2:] == ["message_delta", "message_stop"]
    assert kinds.count("content_block_start") == kinds.count("content_block_stop") == 2
    assert final.usage.output_tokens_details.thinking_tokens > 0


async def test_a_tool_round_trip_brings_thinking_back_and_quotes_both_results(
    anthropic_sdk: anthropic.AsyncAnthropic,
) -> None:
    request = {"model": "claude-opus-5-5", "max_tokens": 900, "tools": TOOLS}
    async with anthropic_sdk.messages.stream(**request, messages=user(QUESTION)) as stream:
        first = await stream.get_final_message()
    calls = [block for block in first.content if block.type == "tool_use"]
    assert [(call.name, call.input["city"]) for call in calls] == [("get_weather", "Paris"), ("get_time", "Rome")]
    # This model keeps its thoughts to itself: an empty text, but signed.
    assert first.content[0].thinking == "" and first.content[0].signature

    results = [{"type": "tool_result", "tool_use_id": call.id, "content": f"{call.name} result"} for call in calls]
    history = [*user(QUESTION), first.to_param(), *user(results)]
    second = await anthropic_sdk.messages.create(**request, messages=history)
    assert "get_weather -> get_weather result; get_time -> get_time result" in second.content[-1].text


class Person(BaseModel):
    name: str
    tags: list[str]
    age: int | None


async def test_structured_output_parses_into_the_model(anthropic_sdk: anthropic.AsyncAnthropic) -> None:
    parsed = await anthropic_sdk.messages.parse(
        model="claude-sonnet-4-6", max_tokens=500, messages=user("Who is Ada Lovelace?"), output_format=Person
    )

    assert parsed.parsed_output.name == "Ada Lovelace"


async def test_an_image_must_be_what_it_says_it_is(anthropic_sdk: anthropic.AsyncAnthropic) -> None:
    def image(media_type: str) -> list[dict]:
        return user([{"type": "image", "source": {"type": "base64", "media_type": media_type, "data": png()}}])

    answer = await anthropic_sdk.messages.create(model="claude-sonnet-4-6", max_tokens=99, messages=image("image/png"))
    assert answer.content[0].text.endswith("I see a PNG image of 2x2 pixels.")
    with pytest.raises(anthropic.BadRequestError, match="appears to be a image/png image"):
        await anthropic_sdk.messages.create(model="claude-sonnet-4-6", max_tokens=99, messages=image("image/jpeg"))


async def test_limits_and_stop_sequences_are_honoured(anthropic_sdk: anthropic.AsyncAnthropic) -> None:
    short = await anthropic_sdk.messages.create(model="claude-sonnet-4-6", max_tokens=4, messages=user("hello"))
    assert short.stop_reason == "max_tokens" and short.usage.output_tokens == 4

    stopped = await anthropic_sdk.messages.create(
        model="claude-sonnet-4-6", max_tokens=99, messages=user("one two three"), stop_sequences=["three", "two"]
    )
    assert (stopped.stop_reason, stopped.stop_sequence) == ("stop_sequence", "two")

    prewarmed = await anthropic_sdk.messages.create(model="claude-sonnet-4-6", max_tokens=0, messages=user("hello"))
    assert prewarmed.content == [] and prewarmed.usage.output_tokens == 0


async def test_models_are_listed_with_their_capabilities(anthropic_sdk: anthropic.AsyncAnthropic) -> None:
    listed = {model.id: model async for model in anthropic_sdk.models.list()}

    assert listed["claude-opus-5-5"].capabilities.thinking.types.enabled.supported is False
    assert (await anthropic_sdk.models.retrieve("claude-haiku-4-5")).lifecycle == "active"


async def test_the_sdk_recognises_the_errors(anthropic_sdk: anthropic.AsyncAnthropic) -> None:
    with pytest.raises(anthropic.NotFoundError) as missing:
        await anthropic_sdk.messages.create(model="gpt-5.4", max_tokens=9, messages=user("x"))
    assert missing.value.request_id.startswith("req_")
    assert missing.value.body["request_id"] == missing.value.request_id


async def test_the_synchronous_client_works_too(sim: Running) -> None:
    def ask() -> str:
        with anthropic.Anthropic(base_url=sim.url_for("anthropic"), api_key="k") as client:
            return client.messages.create(model="claude-haiku-4-5", max_tokens=99, messages=user("hi")).content[0].text

    assert await asyncio.to_thread(ask) == "[simulated claude-haiku-4-5] You said: hi"


# ---------------------------------------------------------------- signatures


async def thought(post: Post, model: str, **more: object) -> tuple[dict, dict]:
    """A first turn that was thought about: the request and the thinking block."""
    request = {"model": model, "max_tokens": 900, "messages": user("hello"), **more}
    status, answer = await post("anthropic", request)
    assert status == 200
    return request, answer["content"][0]


async def replay(post: Post, request: dict, block: dict, beta: str = "") -> tuple[int, str]:
    messages = [
        *request["messages"],
        {"role": "assistant", "content": [block, {"type": "text", "text": "so"}]},
        *user("and now?"),
    ]
    headers = {"anthropic-beta": beta} if beta else None
    status, answer = await post("anthropic", {**request, "messages": messages}, headers=headers)
    return status, answer.get("error", {}).get("message", "")


async def test_a_changed_thought_and_an_invented_signature_are_refused(post: Post) -> None:
    request, block = await thought(post, "claude-opus-4-6", thinking={"type": "adaptive"})

    assert (await replay(post, request, block))[0] == 200
    for forged in (
        {**block, "thinking": "something else"},
        {**block, "signature": "c2lnbmF0dXJl"},
        {**block, "signature": ""},
    ):
        status, said = await replay(post, request, forged)
        assert status == 400 and said == "messages.1.content.0: Invalid `signature` in `thinking` block"


async def test_newer_models_bind_a_thought_to_everything_before_it(post: Post) -> None:
    request, block = await thought(post, "claude-opus-5-5", system="be brief")
    marked = [{"type": "text", "text": "hello", "cache_control": {"type": "ephemeral"}}]

    assert (await replay(post, request, block))[0] == 200
    assert (await replay(post, {**request, "messages": user(marked)}, block))[0] == 200  # cache markers may move
    for changed in ({"system": "be long"}, {"messages": user("hi")}, {"tools": TOOLS}):
        status, said = await replay(post, {**request, **changed}, block)
        assert status == 400 and "bound to a different conversation" in said


async def test_a_mismatch_may_be_dropped_with_the_beta_header_alone(post: Post) -> None:
    request, block = await thought(post, "claude-opus-5-5")
    binding = {"type": "adaptive", "block_binding": {"prefix_mismatch_behavior": "drop_block"}}
    changed = {**request, "system": "new", "thinking": binding}

    assert (await replay(post, changed, block, beta="thinking-binding-controls-2026-08-01"))[0] == 200
    status, said = await replay(post, changed, block)
    assert status == 400 and said.endswith("block_binding: Extra inputs are not permitted")


async def test_manual_thinking_wants_the_thought_of_a_tool_loop_back(post: Post) -> None:
    thinking = {"type": "enabled", "budget_tokens": 1024}
    request = {"model": "claude-haiku-4-5", "max_tokens": 4000, "tools": TOOLS, "thinking": thinking}
    _, first = await post("anthropic", {**request, "messages": user("get_time for Rome")})
    call = next(block for block in first["content"] if block["type"] == "tool_use")
    results = user([{"type": "tool_result", "tool_use_id": call["id"], "content": "noon"}])

    for content, wanted in ((first["content"], 200), ([call], 400)):
        messages = [*user("get_time for Rome"), {"role": "assistant", "content": content}, *results]
        status, _ = await post("anthropic", {**request, "messages": messages})
        assert status == wanted
