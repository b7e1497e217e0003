"""What Gemini refuses, its simulator refuses, in its words. A table: a change to a good request, and what is said."""

from __future__ import annotations

from typing import Any

import pytest
from simulator_kit import HELLO, TIME, WEATHER, Post, changed


def contents(*turns: tuple[str, dict[str, Any]]) -> dict[str, Any]:
    return {"contents": [{"role": role, "parts": [part]} for role, part in turns]}


def config(**more: Any) -> dict[str, Any]:
    return {"generationConfig": more}


def declared(**more: Any) -> dict[str, Any]:
    return {"tools": [{"functionDeclarations": [{"name": "f", **more}]}]}


HI = ("user", {"text": "hello"})
CALLED = ("model", {"functionCall": {"name": "f", "args": {}}})
RESPONDED = ("user", {"functionResponse": {"name": "f", "response": {"output": 1}}})
OLD, NEWEST = "gemini-2.5-flash", "gemini-3.8-flash"

GEMINI: list[tuple[str, dict[str, Any], str]] = [
    (OLD, {"foo": 1}, 'Unknown name "foo": Cannot find field.'),
    (OLD, config(foo=1), "Unknown name \"foo\" at 'generation_config': Cannot find field."),
    (OLD, contents(("user", {"txt": "x"})), "Unknown name \"txt\" at 'contents[0].parts[0]': Cannot find field."),
    (OLD, config(temperature="hot"), "Invalid value at 'generation_config.temperature' (TYPE_FLOAT), \"hot\""),
    (OLD, config(temperature=[1]), "Proto field is not repeating, cannot start list."),
    (OLD, config(maxOutputTokens=1.5), "Invalid value at 'generation_config.max_output_tokens' (TYPE_INT32), 1.5"),
    (OLD, config(temperature=3), "generation_config.temperature: must be in the range [0.0, 2.0]."),
    (OLD, config(maxOutputTokens=0), "max_output_tokens must be positive."),
    (OLD, config(stopSequences=list("abcdef")), "generation_config.stop_sequences"),
    (OLD, config(candidateCount=9), "Multiple candidates is not enabled"),
    (NEWEST, config(candidateCount=2), "Multiple candidates is not enabled"),
    (NEWEST, config(presencePenalty=0.5), "Penalty is not enabled for models/gemini-3.8-flash"),
    (NEWEST, config(thinkingConfig={"thinkingLevel": "MINIMAL"}), "Thinking level MINIMAL is not supported"),
    (
        NEWEST,
        config(thinkingConfig={"thinkingLevel": "LOW", "thinkingBudget": 5}),
        "only one of thinking budget and thinking level",
    ),
    (OLD, config(thinkingConfig={"thinkingLevel": "LOW"}), "Thinking level is not supported for this model."),
    ("gemini-2.5-pro", config(thinkingConfig={"thinkingBudget": 0}), "Budget 0 is invalid."),
    (
        OLD,
        config(thinkingConfig={"thinkingLevel": "ENORMOUS"}),
        "Invalid value at 'generation_config.thinking_config.thinking_level'",
    ),
    (OLD, {"contents": []}, "contents is not specified"),
    (OLD, contents(("system", {"text": "x"})), "Please use a valid role: user, model."),
    (OLD, {"contents": [{"role": "user", "parts": []}]}, "contents[0].parts: contents.parts must not be empty."),
    (OLD, contents(("user", {"text": ""})), "required oneof field 'data' must have one initialized field"),
    (OLD, contents(HI, HI, RESPONDED), "function response turn comes immediately after a function call turn"),
    (OLD, contents(CALLED, RESPONDED), "function call turn comes immediately after a user turn"),
    (OLD, contents(HI, CALLED), "number of function response parts is equal to"),
    (OLD, contents(HI, CALLED, HI), "number of function response parts is equal to"),
    (
        OLD,
        contents(HI, CALLED, ("user", {"functionResponse": {"response": {}}})),
        "function_response.name: Name cannot be empty.",
    ),
    (
        OLD,
        contents(HI, CALLED, ("user", {"functionResponse": {"name": "g", "response": {}}})),
        "does not match any function call",
    ),
    (OLD, contents(HI, CALLED, ("user", {"functionResponse": {"name": "f", "response": [1]}})), "cannot start list"),
    (NEWEST, contents(HI, ("model", {"text": "so"})), "requests end with a user role"),
    (
        OLD,
        contents(("user", {"inlineData": {"mimeType": "image/png", "data": "?"}})),
        "(TYPE_BYTES), Base64 decoding failed",
    ),
    (
        OLD,
        contents(("user", {"inlineData": {"mimeType": "image/png", "data": "aGVsbG8="}})),
        "Unable to process input image.",
    ),
    (OLD, declared(parameters=WEATHER | {"additionalProperties": False}), 'Unknown name "additionalProperties"'),
    (OLD, declared(parameters={"type": ["string", "null"]}), "Proto field is not repeating, cannot start list."),
    (OLD, declared(parameters={"type": "OBJECT", "properties": {}}), "should be non-empty for OBJECT type"),
    (OLD, declared(parameters={"type": "OBJECT", "properties": {"a": {"type": "ARRAY"}}}), "items: missing field."),
    (OLD, declared(parameters={**TIME, "required": ["b"]}), "required[0]: property is not defined"),
    (OLD, declared(parameters={"type": "STRING", "enum": [""]}), "enum[0]: cannot be empty"),
    (OLD, declared(parameters={"type": "STRING", "enum": [1]}), "enum[0]' (TYPE_STRING), 1"),
    (OLD, declared(parameters=TIME, parametersJsonSchema=TIME), "only one of parameters and parameters_json_schema"),
    (OLD, declared(parametersJsonSchema={"anyOf": 5}), "invalid JSON Schema: 5 is not of type 'array'"),
    (OLD, declared(name="9f"), "Invalid function name."),
    (OLD, {"tools": declared()["tools"] * 2}, "Multiple tools are supported only when they are all search tools."),
    (OLD, {**declared(), **config(responseMimeType="application/json")}, "Function calling with a response mime type"),
    (OLD, {"toolConfig": {"functionCallingConfig": {"mode": "ANY"}}}, "Function calling config is set without"),
    (
        OLD,
        {**declared(), "toolConfig": {"functionCallingConfig": {"mode": "AUTO", "allowedFunctionNames": ["f"]}}},
        "Allowed function names should only be set when",
    ),
    (OLD, config(responseSchema=TIME), "Response schema is only supported with response mime type"),
    (OLD, contents(("user", {"text": "word " * 900_000})), "exceeds the maximum number of tokens allowed (1048576)."),
]


def path_of(model: str, method: str = "generateContent") -> str:
    return f"/v1beta/models/{model}:{method}"


@pytest.mark.parametrize(("model", "change", "message"), GEMINI)
async def test_gemini_refuses(post: Post, model: str, change: dict[str, Any], message: str) -> None:
    status, body = await post("gemini", changed("gemini", change), path_of(model))

    assert (status, body["error"]["code"], body["error"]["status"]) == (400, 400, "INVALID_ARGUMENT")
    assert message in body["error"]["message"]


@pytest.mark.parametrize(
    ("model", "change"),
    [
        (OLD, {"contents": {"parts": {"text": "hello"}}, "system_instruction": {"parts": {"text": "x"}}}),
        (OLD, {"generation_config": {"max_output_tokens": "50", "temperature": 0.5, "top_k": 4}}),
        (OLD, contents(HI, CALLED, RESPONDED) | declared()),
        (OLD, contents(HI, ("model", {"text": "so"}))),
        (NEWEST, config(temperature=0.1, thinkingConfig={"thinkingLevel": "low"})),
        (NEWEST, {**declared(parametersJsonSchema=WEATHER), **config(responseMimeType="application/json")}),
        (OLD, {**declared(), "toolConfig": {"functionCallingConfig": {"mode": "VALIDATED"}}}),
        (OLD, declared(parameters={"type": 6, "properties": {"city": {"type": 1}}})),
    ],
)
async def test_gemini_accepts(post: Post, model: str, change: dict[str, Any]) -> None:
    assert (await post("gemini", changed("gemini", change), path_of(model)))[0] == 200


async def test_gemini_counts_a_whole_request_with_its_tools(post: Post) -> None:
    plain = {"contents": [{"parts": [{"text": "hello"}]}]}
    full = {"generateContentRequest": {"model": f"models/{OLD}", **plain, **declared(parametersJsonSchema=WEATHER)}}

    _, without = await post("gemini", plain, path_of(OLD, "countTokens"))
    _, with_tools = await post("gemini", full, path_of(OLD, "countTokens"))
    assert without["totalTokens"] == 2 and with_tools["totalTokens"] > 20


async def test_gemini_embeds_only_with_embedding_models_and_small_batches(post: Post) -> None:
    one = {"model": "models/gemini-embedding-001", "content": {"parts": [{"text": "x"}]}, "outputDimensionality": 8}
    path = path_of("gemini-embedding-001", "batchEmbedContents")

    status, body = await post("gemini", {"requests": [one]}, path)
    assert status == 200 and len(body["embeddings"][0]["values"]) == 8
    assert (await post("gemini", {"requests": [one] * 101}, path))[0] == 400
    assert (await post("gemini", one, path_of(OLD, "embedContent")))[0] == 404
    assert (await post("gemini", HELLO["gemini"][1], path_of("gemini-embedding-001")))[0] == 404
