"""The official google-genai SDK against the simulator, thought signatures among it."""

from __future__ import annotations

import json
from base64 import b64decode

import aiohttp
import pytest
from google import genai
from google.genai import errors, types
from pydantic import BaseModel
from simulator_kit import CREDENTIALS, HELLO, QUESTION, STREAMED_GEMINI, TIME, WEATHER, Post, png

from gateway.simulator.app import Running

FLASH = "gemini-3.8-flash"
DECLARED = [
    {"name": "get_weather", "parametersJsonSchema": WEATHER},
    {"name": "get_time", "parametersJsonSchema": TIME},
]
TOOLS = types.Tool(
    function_declarations=[
        types.FunctionDeclaration(name="get_weather", parameters_json_schema=WEATHER),
        types.FunctionDeclaration(name="get_time", parameters_json_schema=TIME),
    ]
)


async def test_a_text_answer_echoes_the_question_and_its_usage_adds_up(gemini_sdk: genai.Client) -> None:
    answer = await gemini_sdk.aio.models.generate_content(model=FLASH, contents="hello there")
    usage = answer.usage_metadata

    assert answer.text == f"[simulated {FLASH}] You said: hello there"
    assert (
        usage.prompt_token_count + usage.candidates_token_count + usage.thoughts_token_count == usage.total_token_count
    )
    counted = await gemini_sdk.aio.models.count_tokens(model=FLASH, contents="hello there")
    assert counted.total_tokens == usage.prompt_token_count == 3


async def test_the_stream_says_the_same_and_its_last_part_is_signed(gemini_sdk: genai.Client) -> None:
    config = types.GenerateContentConfig(thinking_config=types.ThinkingConfig(include_thoughts=True))
    whole = await gemini_sdk.aio.models.generate_content(model=FLASH, contents="hello there", config=config)
    stream = await gemini_sdk.aio.models.generate_content_stream(model=FLASH, contents="hello there", config=config)
    chunks = [chunk async for chunk in stream]

    parts = [part for chunk in chunks for part in chunk.candidates[0].content.parts]
    assert "".join(part.text for part in parts if not part.thought) == whole.text
    assert parts[0].thought and parts[0].text == whole.candidates[0].content.parts[0].text
    assert parts[-1].thought_signature == whole.candidates[0].content.parts[-1].thought_signature
    assert [chunk.candidates[0].finish_reason for chunk in chunks[:-1]] == [None] * (len(chunks) - 1)
    assert chunks[-1].candidates[0].finish_reason == "STOP"
    assert chunks[-1].usage_metadata == whole.usage_metadata
    assert len(chunks) > 4


async def test_a_tool_round_trip_keeps_its_signature_and_quotes_both_results(gemini_sdk: genai.Client) -> None:
    config = types.GenerateContentConfig(tools=[TOOLS])
    question = types.UserContent(parts=[types.Part(text=QUESTION)])
    first = await gemini_sdk.aio.models.generate_content(model=FLASH, contents=[question], config=config)
    assert [(call.name, call.args["city"]) for call in first.function_calls] == [
        ("get_weather", "Paris"),
        ("get_time", "Rome"),
    ]
    signed = [bool(part.thought_signature) for part in first.candidates[0].content.parts]
    assert signed == [True, False]

    results = [
        types.Part(
            function_response=types.FunctionResponse(
                id=call.id, name=call.name, response={"output": f"{call.name} result"}
            )
        )
        for call in first.function_calls
    ]
    history = [question, first.candidates[0].content, types.UserContent(parts=results)]
    second = await gemini_sdk.aio.models.generate_content(model=FLASH, contents=history, config=config)
    assert "get_weather -> get_weather result; get_time -> get_time result" in second.text


class Person(BaseModel):
    name: str
    tags: list[str]
    age: int | None


async def test_structured_output_parses_into_the_model(gemini_sdk: genai.Client) -> None:
    config = types.GenerateContentConfig(response_mime_type="application/json", response_schema=Person)
    parsed = await gemini_sdk.aio.models.generate_content(model=FLASH, contents="Who is Ada Lovelace?", config=config)

    assert parsed.parsed.name == "Ada Lovelace"


async def test_an_image_is_looked_at(gemini_sdk: genai.Client) -> None:
    picture = types.Part.from_bytes(data=b64decode(png(4, 1)), mime_type="image/png")
    answer = await gemini_sdk.aio.models.generate_content(model=FLASH, contents=["look", picture])

    assert answer.text.endswith("I see a PNG image of 4x1 pixels.")


async def test_limits_stops_and_alternatives_are_honoured(gemini_sdk: genai.Client) -> None:
    short = await gemini_sdk.aio.models.generate_content(
        model=FLASH, contents="hello", config=types.GenerateContentConfig(max_output_tokens=6)
    )
    assert short.candidates[0].finish_reason == "MAX_TOKENS"
    assert short.usage_metadata.candidates_token_count + short.usage_metadata.thoughts_token_count == 6

    config = types.GenerateContentConfig(candidate_count=2, stop_sequences=["two"])
    several = await gemini_sdk.aio.models.generate_content(model="gemini-2.5-flash", contents="one two", config=config)
    assert [candidate.content.parts[-1].text.endswith("You said: one ") for candidate in several.candidates] == [
        True,
        True,
    ]


async def test_embeddings_of_a_batch_keep_their_order(gemini_sdk: genai.Client) -> None:
    one = await gemini_sdk.aio.models.embed_content(model="gemini-embedding-001", contents="two")
    both = await gemini_sdk.aio.models.embed_content(model="gemini-embedding-001", contents=["one", "two"])

    assert both.embeddings[1].values == one.embeddings[0].values
    assert sum(value * value for value in one.embeddings[0].values) == pytest.approx(1, abs=1e-4)


async def test_models_are_listed_and_shown(gemini_sdk: genai.Client) -> None:
    listed = [model.name async for model in await gemini_sdk.aio.models.list()]

    assert f"models/{FLASH}" in listed
    assert (await gemini_sdk.aio.models.get(model=FLASH)).output_token_limit == 65536


async def test_the_sdk_recognises_the_errors(gemini_sdk: genai.Client) -> None:
    with pytest.raises(errors.ClientError) as missing:
        await gemini_sdk.aio.models.generate_content(model="gpt-5.4", contents="x")
    assert (missing.value.code, missing.value.status) == (404, "NOT_FOUND")


async def test_without_alt_sse_the_stream_is_one_json_array(sim: Running, http: aiohttp.ClientSession) -> None:
    url = sim.url_for("gemini") + STREAMED_GEMINI
    async with http.post(url, json=HELLO["gemini"][1], headers=CREDENTIALS["gemini"]) as answer:
        fragments = json.loads(await answer.read())
    assert answer.content_type == "application/json"
    assert fragments[-1]["candidates"][0]["finishReason"] == "STOP"

    async with http.post(url, json={"contents": []}, headers=CREDENTIALS["gemini"]) as answer:
        wrong = await answer.json()
    assert wrong[0]["error"]["status"] == "INVALID_ARGUMENT"


# ---------------------------------------------------------------- signatures


async def called(post: Post, model: str) -> list[dict]:
    """A conversation whose model called two tools and got their results."""
    question = [{"role": "user", "parts": [{"text": QUESTION}]}]
    _, first = await post(
        "gemini",
        {"contents": question, "tools": [{"functionDeclarations": DECLARED}]},
        f"/v1beta/models/{model}:generateContent",
    )
    content = first["candidates"][0]["content"]
    results = [
        {"functionResponse": {"name": part["functionCall"]["name"], "response": {"output": "ok"}}}
        for part in content["parts"]
    ]
    return [*question, content, {"role": "user", "parts": results}]


async def answered(post: Post, model: str, contents: list[dict]) -> tuple[int, str]:
    body = {"contents": contents, "tools": [{"functionDeclarations": DECLARED}]}
    status, answer = await post("gemini", body, f"/v1beta/models/{model}:generateContent")
    return status, answer.get("error", {}).get("message", "")


def signed_with(contents: list[dict], signature: str | None) -> list[dict]:
    question, model, *rest = json.loads(json.dumps(contents))
    model["parts"][0].pop("thoughtSignature", None)
    if signature is not None:
        model["parts"][0]["thoughtSignature"] = signature
    return [question, model, *rest]


async def test_the_first_call_of_a_step_must_bring_its_signature_back(post: Post) -> None:
    contents = await called(post, FLASH)

    assert (await answered(post, FLASH, contents))[0] == 200
    status, said = await answered(post, FLASH, signed_with(contents, None))
    assert status == 400 and said.startswith("Function call is missing a thought_signature in functionCall parts.")
    assert "`default_api:get_weather` , position 2" in said
    assert await answered(post, FLASH, signed_with(contents, "c2lnbmF0dXJl")) == (400, "Corrupted thought signature.")


async def test_the_sentinel_stands_in_for_a_signature(post: Post) -> None:
    contents = await called(post, FLASH)

    assert (await answered(post, FLASH, signed_with(contents, "skip_thought_signature_validator")))[0] == 200


async def test_older_turns_and_older_models_need_no_signature(post: Post) -> None:
    unsigned = signed_with(await called(post, FLASH), None)
    later = [
        *unsigned,
        {"role": "model", "parts": [{"text": "there you are"}]},
        {"role": "user", "parts": [{"text": "thanks"}]},
    ]

    assert (await answered(post, FLASH, later))[0] == 200
    assert (await answered(post, "gemini-2.5-flash", signed_with(await called(post, "gemini-2.5-flash"), None)))[
        0
    ] == 200
