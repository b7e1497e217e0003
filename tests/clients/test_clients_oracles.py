"""The vendors' own SDKs, pointed at the simulators: what they read there is what the gateway's clients must read too.

They are the wire oracles of this repository: they never stand between a client and a provider, they only say whether what our
simulators write and what our dialects make of it is what the vendors mean.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import anthropic
import google.generativeai as legacy
import pytest
from clients_house import House
from clients_kit import MODELS, PROVIDERS, QUESTION, RESULTS, TOOLS, png, user
from google import genai
from google.genai import types

CALLED = [("get_weather", {"city": "Paris"}), ("get_time", {"city": "Rome"})]
HELLO = "hello there"


def through_the_gateway(house: House, provider: str, **request: Any) -> Any:
    with house.openai() as client:
        return client.chat.completions.create(model=MODELS[provider], **request)


def calls_in(completion: Any) -> list[tuple[str, Any]]:
    called = completion.choices[0].message.tool_calls
    return [(call.function.name, json.loads(call.function.arguments)) for call in called]


@pytest.fixture
def claude(house: House) -> Iterator[anthropic.Anthropic]:
    with anthropic.Anthropic(base_url=house.simulators.url_for("anthropic"), api_key="k", max_retries=0) as client:
        yield client


@pytest.fixture
def gemini(house: House) -> Iterator[genai.Client]:
    with genai.Client(api_key="k", http_options={"base_url": house.simulators.url_for("gemini")}) as client:
        yield client


ANTHROPIC_TOOLS: list[Any] = [
    {"name": tool["function"]["name"], "input_schema": tool["function"]["parameters"]} for tool in TOOLS
]
GEMINI_TOOLS = types.GenerateContentConfig(
    tools=[
        types.Tool(
            function_declarations=[
                types.FunctionDeclaration(
                    name=tool["function"]["name"], parameters_json_schema=tool["function"]["parameters"]
                )
                for tool in TOOLS
            ]
        )
    ]
)


def test_anthropics_sdk_reads_what_our_client_reads(house: House, claude: anthropic.Anthropic) -> None:
    request: Any = {"model": MODELS["anthropic"], "max_tokens": 500}
    answer = claude.messages.create(**request, messages=user(HELLO))
    with claude.messages.stream(**request, messages=user(HELLO)) as stream:
        streamed = stream.get_final_message()
    ours = through_the_gateway(house, "anthropic", messages=user(HELLO))

    assert isinstance(answer.content[0], anthropic.types.TextBlock)
    assert answer.content[0].text == ours.choices[0].message.content
    assert streamed.usage == answer.usage
    assert (answer.usage.input_tokens, answer.usage.output_tokens) == (
        ours.usage.prompt_tokens,
        ours.usage.completion_tokens,
    )


def test_googles_sdk_reads_what_our_client_reads(house: House, gemini: genai.Client) -> None:
    answer = gemini.models.generate_content(model=MODELS["gemini"], contents=HELLO)
    streamed = list(gemini.models.generate_content_stream(model=MODELS["gemini"], contents=HELLO))
    ours = through_the_gateway(house, "gemini", messages=user(HELLO))

    assert answer.text == ours.choices[0].message.content == "".join(chunk.text or "" for chunk in streamed)
    assert answer.usage_metadata is not None
    assert answer.usage_metadata == streamed[-1].usage_metadata
    assert answer.usage_metadata.total_token_count == ours.usage.total_tokens


def test_the_tools_round_trip_reads_the_same_in_anthropics_words(house: House, claude: anthropic.Anthropic) -> None:
    request: Any = {"model": MODELS["anthropic"], "max_tokens": 500, "tools": ANTHROPIC_TOOLS}
    first = claude.messages.create(**request, messages=user(QUESTION))
    calls = [block for block in first.content if isinstance(block, anthropic.types.ToolUseBlock)]
    results = [{"type": "tool_result", "tool_use_id": call.id, "content": RESULTS[call.name]} for call in calls]
    second = claude.messages.create(
        **request,
        messages=[*user(QUESTION), {"role": "assistant", "content": first.content}, *user(results)],
    )
    ours = through_the_gateway(house, "anthropic", messages=user(QUESTION), tools=TOOLS)

    assert [(call.name, call.input) for call in calls] == CALLED == calls_in(ours)
    assert first.stop_reason == "tool_use" and ours.choices[0].finish_reason == "tool_calls"
    assert "get_weather -> 21 degrees; get_time -> noon" in str(second.content)


def test_the_tools_round_trip_reads_the_same_in_googles_words(house: House, gemini: genai.Client) -> None:
    question = types.UserContent(QUESTION)
    first = gemini.models.generate_content(model=MODELS["gemini"], contents=[question], config=GEMINI_TOOLS)
    calls = first.function_calls or []
    results = [
        types.Part(function_response=types.FunctionResponse(id=c.id, name=c.name, response={"output": RESULTS[c.name]}))
        for c in calls
        if c.name
    ]
    assert first.candidates and first.candidates[0].content
    second = gemini.models.generate_content(
        model=MODELS["gemini"],
        contents=[question, first.candidates[0].content, types.UserContent(list(results))],
        config=GEMINI_TOOLS,
    )
    ours = through_the_gateway(house, "gemini", messages=user(QUESTION), tools=TOOLS)

    assert [(call.name, call.args) for call in calls] == CALLED == calls_in(ours)
    assert "21 degrees" in (second.text or "") and "noon" in (second.text or "")


def test_a_picture_is_the_same_picture_for_everybody(
    house: House, claude: anthropic.Anthropic, gemini: genai.Client
) -> None:
    picture = png(3, 5)
    source = {"type": "base64", "media_type": "image/png", "data": picture}
    claudes = claude.messages.create(
        model=MODELS["anthropic"], max_tokens=500, messages=user([{"type": "image", "source": source}])
    )
    geminis = gemini.models.generate_content(
        model=MODELS["gemini"],
        contents=[types.Part(inline_data=types.Blob(mime_type="image/png", data=picture))],
    )
    url = {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{picture}"}}
    ours = [through_the_gateway(house, provider, messages=user([url])) for provider in PROVIDERS]

    seen = "I see a PNG image of 3x5 pixels."
    assert seen in str(claudes.content) and seen in (geminis.text or "")
    assert all(seen in answer.choices[0].message.content for answer in ours)


def test_googles_retired_sdk_still_reads_the_simulator_over_rest(house: House) -> None:
    legacy.configure(api_key="k", transport="rest", client_options={"api_endpoint": house.simulators.url_for("gemini")})
    model = legacy.GenerativeModel(
        "gemini-2.5-flash", generation_config={"temperature": 0.5, "stop_sequences": ["four"]}
    )
    answer = model.generate_content("one two three four")
    streamed = model.generate_content("one two three four", stream=True)
    pieces = [chunk.text for chunk in streamed if chunk.parts]

    assert answer.text == "[simulated gemini-2.5-flash] You said: one two three "
    assert "".join(pieces) == answer.text
    assert answer.candidates[0].finish_reason.name == "STOP"
    assert streamed.usage_metadata.total_token_count == answer.usage_metadata.total_token_count > 0
