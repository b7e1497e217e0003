"""What the vendors refuse, the simulators refuse, in the vendor's words. Tables: a change to a good request, and what is said."""

from __future__ import annotations

from typing import Any

import pytest
from simulator_kit import HELLO, TIME, WEATHER, Post, png

MISSING = object()


def changed(provider: str, change: dict[str, Any]) -> dict[str, Any]:
    body = {**HELLO[provider][1], **change}
    return {name: value for name, value in body.items() if value is not MISSING}


def say(*turns: tuple[str, Any], **more: Any) -> dict[str, Any]:
    return {"messages": [{"role": role, "content": content} for role, content in turns], **more}


# ---------------------------------------------------------------- OpenAI

CALL = {"id": "call_1", "type": "function", "function": {"name": "get_time", "arguments": "{}"}}
CALLING = {"role": "assistant", "content": None, "tool_calls": [CALL]}
ASKED = {"role": "user", "content": "hello"}
FUNCTION = {"type": "function", "function": {"name": "get_time", "parameters": TIME}}
OPEN = {"type": "object", "properties": {"a": {"type": "string"}}, "required": ["a"]}


def format_of(schema: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"response_format": {"type": "json_schema", "json_schema": {"name": "x", "schema": schema, **more}}}


def tool_of(**function: Any) -> dict[str, Any]:
    return {"tools": [{"type": "function", "function": {"name": "f", **function}}]}


OPENAI: list[tuple[dict[str, Any], str, str | None]] = [
    ({"foo": 1}, "Unrecognized request argument supplied: foo", None),
    ({"foo": 1, "bar": 2}, "Unrecognized request arguments supplied: foo, bar", None),
    ({"model": MISSING}, "you must provide a model parameter", None),
    ({"messages": MISSING}, "Missing required parameter: 'messages'.", "messages"),
    ({"messages": []}, "Invalid 'messages': empty array.", "messages"),
    ({"messages": "hi"}, "Invalid type for 'messages': expected an array, but got a string instead.", "messages"),
    ({"temperature": "hot"}, "expected a decimal, but got a string", "temperature"),
    ({"n": True}, "expected an integer, but got a boolean", "n"),
    ({"n": 0}, "integer below minimum value", "n"),
    ({"stop": list("abcde")}, "array too long", "stop"),
    ({"verbosity": "loud"}, "Invalid value: 'loud'.", "verbosity"),
    ({"max_tokens": 9}, "Use 'max_completion_tokens' instead.", "max_tokens"),
    (
        {"temperature": 0.2, "reasoning_effort": "low"},
        "'temperature' does not support 0.2 with this model",
        "temperature",
    ),
    ({"model": "gpt-6-sol", "top_p": 0.5}, "'top_p' does not support 0.5 with this model", "top_p"),
    ({"model": "gpt-4o", "reasoning_effort": "low"}, "Unrecognized request argument supplied: reasoning_effort", None),
    (
        {"model": "gpt-6.1-sol", "reasoning_effort": "none"},
        "'reasoning_effort' does not support 'none'",
        "reasoning_effort",
    ),
    ({"tools": [FUNCTION], "reasoning_effort": "low"}, "Please use /v1/responses instead.", "reasoning_effort"),
    ({"model": "gpt-6-astra", "tools": [FUNCTION]}, "Please use /v1/responses instead.", "reasoning_effort"),
    ({"model": "o3", "stop": ["x"]}, "'stop' is not supported with this model", "stop"),
    ({"stream_options": {"include_usage": True}}, "only allowed when 'stream' is enabled", "stream_options"),
    ({"top_logprobs": 2}, "only allowed when 'logprobs' is enabled", "top_logprobs"),
    ({"modalities": ["text", "audio"]}, "does not support audio output", "modalities"),
    ({"tool_choice": "auto"}, "'tool_choice' is only allowed when 'tools' are specified.", "tool_choice"),
    ({"parallel_tool_calls": False}, "only allowed when 'tools' are specified.", "parallel_tool_calls"),
    ({"tools": []}, "Invalid 'tools': empty array.", "tools"),
    ({"tools": [{"type": "web"}]}, "Invalid value: 'web'.", "tools[0].type"),
    (tool_of(name="get time"), "string does not match pattern", "tools[0].function.name"),
    (tool_of(foo=1), "Unknown parameter: 'tools[0].function.foo'.", "tools[0].function.foo"),
    (tool_of(parameters={"type": "string"}), "got 'type: \"string\"'", "tools[0].function.parameters"),
    (tool_of(parameters={"type": "object", "required": 5}), "5 is not of type 'array'", "tools[0].function.parameters"),
    (format_of({"type": "object", "properties": []}), "[] is not of type 'object'", "response_format"),
    (tool_of(parameters=OPEN, strict=True), "'additionalProperties' is required", "tools[0].function.parameters"),
    (
        {"tools": [FUNCTION], "tool_choice": {"type": "function", "function": {"name": "other"}}},
        "not found in 'tools' parameter",
        "tool_choice",
    ),
    ({"response_format": {"type": "json_object"}}, "must contain the word 'json'", "messages"),
    ({"response_format": {"type": "xml"}}, "Invalid value: 'xml'.", "response_format.type"),
    (
        format_of(OPEN, strict=True),
        "'additionalProperties' is required to be supplied and to be false",
        "response_format",
    ),
    (
        format_of({**OPEN, "additionalProperties": False, "required": []}, strict=True),
        "Missing 'a'.",
        "response_format",
    ),
    ({"messages": [{"role": "wizard", "content": "x"}]}, "Invalid value: 'wizard'.", "messages[0].role"),
    ({"messages": [{"role": "user"}]}, "expected a string, got null", "messages.[0].content"),
    ({"messages": [{**ASKED, "foo": 1}]}, "Unknown parameter: 'messages[0].foo'.", "messages[0].foo"),
    (
        {"messages": [ASKED, {"role": "assistant", "content": "x", "reasoning_content": "y"}]},
        "Unknown parameter: 'messages[1].reasoning_content'.",
        "messages[1].reasoning_content",
    ),
    ({"messages": [ASKED, CALLING]}, "did not have response messages: call_1", "messages.[1].role"),
    ({"messages": [ASKED, CALLING, ASKED]}, "did not have response messages: call_1", "messages.[1].role"),
    (
        {"messages": [ASKED, {"role": "tool", "tool_call_id": "call_9", "content": "x"}]},
        "must be a response to a preceeding message with 'tool_calls'",
        "messages.[1].role",
    ),
    (
        {"messages": [ASKED, {**CALLING, "tool_calls": [{**CALL, "function": {"name": "f", "arguments": {}}}]}]},
        "expected a string, but got an object",
        "messages[1].tool_calls[0].function.arguments",
    ),
    (
        {"messages": [{"role": "system", "content": [{"type": "image_url"}]}]},
        "Invalid value: 'image_url'.",
        "messages[0].content[0]",
    ),
    (say(("user", [{"type": "image_url", "image_url": {"url": "data:image/png;base64,???"}}])), "Invalid base64", None),
    (
        say(("user", [{"type": "image_url", "image_url": {"url": "data:image/png;base64,aGVsbG8="}}])),
        "unsupported image",
        None,
    ),
    (say(("user", "word " * 900_000)), "maximum context length is 1050000 tokens", "messages"),
]


@pytest.mark.parametrize(("change", "message", "param"), OPENAI)
async def test_openai_refuses(post: Post, change: dict[str, Any], message: str, param: str | None) -> None:
    status, body = await post("openai", changed("openai", change))

    assert (status, body["error"]["type"]) == (400, "invalid_request_error")
    assert message in body["error"]["message"]
    assert body["error"]["param"] == param


@pytest.mark.parametrize(
    "change",
    [
        {"temperature": 0.2},
        {"model": "gpt-4o", "temperature": 0.2, "max_tokens": 20, "logprobs": True, "top_logprobs": 2},
        {"tools": [FUNCTION], "reasoning_effort": "none", "tool_choice": None},
        {"response_format": {"type": "json_object"}, "messages": [{"role": "user", "content": "JSON please"}]},
        {
            "messages": [
                ASKED,
                CALLING,
                {"role": "tool", "tool_call_id": "call_1", "content": [{"type": "text", "text": "x"}]},
            ]
        },
        {"messages": [{"role": "developer", "content": "be brief"}, {**ASKED, "name": "ada"}]},
        format_of(OPEN),
    ],
)
async def test_openai_accepts(post: Post, change: dict[str, Any]) -> None:
    assert (await post("openai", changed("openai", change)))[0] == 200


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ({"input": ""}, "'$.input' is invalid."),
        ({"input": []}, "'$.input' is invalid."),
        ({"input": ["a", 1]}, "'$.input' is invalid."),
        ({"input": "a", "dimensions": 9999}, "Must be between 1 and 1536"),
        ({"input": "a", "foo": 1}, "Unrecognized request argument supplied: foo"),
        ({"input": "a", "encoding_format": "hex"}, "Invalid value: 'hex'."),
    ],
)
async def test_openai_refuses_embeddings(post: Post, body: dict[str, Any], message: str) -> None:
    status, answer = await post("openai", {"model": "text-embedding-3-small", **body}, "/embeddings")
    assert status == 400 and message in answer["error"]["message"]


# ---------------------------------------------------------------- Anthropic

NEW = {"anthropic-version": "2026-10-21"}
USE = {"type": "tool_use", "id": "toolu_1", "name": "get_time", "input": {}}
RESULT = {"type": "tool_result", "tool_use_id": "toolu_1", "content": "noon"}
TOOL = {"name": "get_time", "input_schema": TIME}
THOUGHT = {"type": "enabled", "budget_tokens": 2000}

ANTHROPIC: list[tuple[dict[str, Any], str]] = [
    ({"foo": 1}, "foo: Extra inputs are not permitted"),
    ({"context_management": {}}, "context_management: Extra inputs are not permitted"),
    ({"max_tokens": MISSING}, "max_tokens: Field required"),
    ({"max_tokens": "9"}, "max_tokens: Input should be a valid integer"),
    ({"max_tokens": 999_999}, "max_tokens: 999999 > 128000, which is the maximum allowed"),
    ({"messages": []}, "messages: at least one message is required"),
    ({"stop_sequences": [" "]}, "stop_sequences: each stop sequence must contain non-whitespace"),
    ({"temperature": 1.5}, "temperature: range: 0..1"),
    ({"model": "claude-opus-5-5", "temperature": 0.2}, "`temperature` is deprecated for this model."),
    ({"model": "claude-opus-4-8", "top_p": 1}, "`top_p` is deprecated for this model."),
    ({"metadata": {"team": "x"}}, "metadata.team: Extra inputs are not permitted"),
    ({"model": "claude-opus-5-5", "thinking": THOUGHT}, '"thinking.type.enabled" is not supported for this model.'),
    ({"model": "claude-sonnet-5-5", "thinking": {"type": "disabled"}}, '"thinking.type.disabled" is not supported'),
    ({"thinking": THOUGHT}, "`max_tokens` must be greater than `thinking.budget_tokens`"),
    ({"thinking": {"type": "enabled", "budget_tokens": 9}}, "greater than or equal to 1024"),
    ({"thinking": {"type": "adaptive"}, "temperature": 0.5}, "`temperature` may only be set to 1"),
    ({"model": "claude-haiku-4-5", "output_config": {"effort": "low"}}, "does not support the effort parameter"),
    ({"output_config": {"effort": "xhigh"}}, "does not support effort level 'xhigh'"),
    (say(("assistant", "x")), 'messages: first message must use the "user" role'),
    (say(("user", "x"), ("wizard", "y")), "messages.1.role: Input should be"),
    (say(("user", "x"), ("system", "y")), "role 'system' is not supported on this model"),
    (say(("user", "")), "all messages must have non-empty content"),
    (say(("user", [{"type": "text", "text": ""}])), "messages: text content blocks must be non-empty"),
    (say(("user", [{"type": "text", "text": " \n"}])), "must contain non-whitespace text"),
    (
        say(("user", [{"type": "text", "text": "x", "foo": 1}])),
        "messages.0.content.0.text.foo: Extra inputs are not permitted",
    ),
    (say(("user", [{"type": "audio"}])), "Input tag 'audio' found using 'type'"),
    (say(("user", "x"), ("assistant", "so")), "does not support assistant message prefill"),
    (
        say(("user", "x"), ("assistant", "so "), model="claude-haiku-4-5"),
        "final assistant content cannot end with trailing whitespace",
    ),
    (
        say(("user", "x"), ("assistant", [USE]), ("user", "y")),
        "without `tool_result` blocks immediately after: toolu_1.",
    ),
    (
        say(("user", "x"), ("assistant", [USE]), ("user", [{"type": "text", "text": "y"}, RESULT])),
        "messages.1: `tool_use` ids were found without `tool_result` blocks",
    ),
    (say(("user", [RESULT])), "unexpected `tool_use_id` found in `tool_result` blocks: toolu_1."),
    (say(("user", "x"), ("assistant", [USE, USE]), ("user", [RESULT])), "`tool_use` ids must be unique"),
    (say(("user", "x"), ("assistant", [{**USE, "id": "a.b"}])), "String should match pattern '^[a-zA-Z0-9_-]+$'"),
    (say(("user", "x"), ("assistant", [{**USE, "input": "{}"}])), "input: Input should be a valid dictionary"),
    (say(("user", "x"), ("assistant", [{"type": "thinking", "thinking": "t"}])), "thinking.signature: Field required"),
    (say(("user", [{"type": "text", "text": "x", "cache_control": {"type": "ephemeral"}}] * 5)), "maximum of 4 blocks"),
    (
        say(("user", [{"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "?"}}])),
        "Invalid base64 data",
    ),
    (
        say(("user", [{"type": "image", "source": {"type": "base64", "media_type": "image/tiff", "data": png()}}])),
        "media_type: Input should be 'image/jpeg'",
    ),
    ({"tools": [{"name": "a b", "input_schema": TIME}]}, "tools.0.custom.name: String should match pattern"),
    ({"tools": [{"name": "f"}]}, "tools.0.custom.input_schema: Field required"),
    ({"tools": [{"name": "f", "input_schema": {}}]}, "tools.0.custom.input_schema.type: Field required"),
    (
        {"tools": [{"name": "f", "input_schema": {"type": "object", "anyOf": []}}]},
        "does not support oneOf, allOf, or anyOf",
    ),
    ({"tools": [{"name": "f", "input_schema": {"type": "object", "properties": 5}}]}, "JSON schema is invalid."),
    ({"tools": [TOOL, TOOL]}, "tools: Tool names must be unique."),
    ({"tools": [{**TOOL, "parameters": {}}]}, "tools.0.custom.parameters: Extra inputs are not permitted"),
    ({"tools": [{**TOOL, "strict": True}]}, "'additionalProperties' must be explicitly set to false"),
    ({"tool_choice": {"type": "any"}}, "tool_choice may only be specified while providing tools"),
    ({"tools": [TOOL], "tool_choice": {"type": "tool", "name": "x"}}, "Tool 'x' not found in provided tools"),
    ({"tools": [TOOL], "tool_choice": {"type": "required"}}, "Input tag 'required' found"),
    (
        {"tools": [TOOL], "tool_choice": {"type": "any"}, "thinking": {"type": "adaptive"}},
        "Thinking may not be enabled when tool_choice forces tool use.",
    ),
    *(
        ({"model": model, "tools": [TOOL], "tool_choice": {"type": "any"}}, "is not supported for this model")
        for model in ("claude-opus-5-5", "claude-sonnet-5-5", "claude-fable-5-1")
    ),
    (
        {"output_config": {"format": {"type": "json_schema", "schema": {"type": "object", "properties": {}}}}},
        "'additionalProperties' must be explicitly set to false",
    ),
    (
        {"output_config": {"format": {"type": "json_schema", "schema": {"type": "integer", "minimum": 1}}}},
        "For 'integer' type, properties minimum are not supported",
    ),
    (say(("user", "word " * 900_000)), "prompt is too long: 1125000 tokens > 1000000 maximum"),
]


@pytest.mark.parametrize(("change", "message"), ANTHROPIC)
async def test_anthropic_refuses(post: Post, change: dict[str, Any], message: str) -> None:
    status, body = await post("anthropic", changed("anthropic", change))

    assert (status, body["type"], body["error"]["type"]) == (400, "error", "invalid_request_error")
    assert message in body["error"]["message"]
    assert body["request_id"].startswith("req_")


@pytest.mark.parametrize(
    "change",
    [
        {"temperature": 0.2, "top_p": 0.9, "top_k": 5},
        {"stream": False, "system": [{"type": "text", "text": "x", "cache_control": {"type": "ephemeral"}}]},
        say(("user", "x"), ("user", "y"), ("assistant", [USE]), ("user", [RESULT, {"type": "text", "text": "and?"}])),
        say(("user", "x"), ("system", "new rule"), model="claude-opus-4-8"),
        say(("user", "x"), ("assistant", "so"), model="claude-haiku-4-5"),
        {"tools": [TOOL, {"type": "web_search_20260318", "name": "web_search"}], "tool_choice": {"type": "any"}},
    ],
)
async def test_anthropic_accepts(post: Post, change: dict[str, Any]) -> None:
    assert (await post("anthropic", changed("anthropic", change)))[0] == 200


@pytest.mark.parametrize("name", ["temperature", "top_p", "top_k"])
async def test_the_new_anthropic_version_knows_no_sampling(post: Post, name: str) -> None:
    status, body = await post("anthropic", changed("anthropic", {name: 1}), headers=NEW)
    assert (status, body["error"]["message"]) == (400, f"{name}: Extra inputs are not permitted")


async def test_an_anthropic_version_must_be_named_and_known(post: Post) -> None:
    for version, message in (("", "anthropic-version: header is required"), ("2024-01-01", "is not a valid version")):
        status, body = await post("anthropic", HELLO["anthropic"][1], headers={"anthropic-version": version})
        assert status == 400 and message in body["error"]["message"]


# ---------------------------------------------------------------- Gemini


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
