"""What OpenAI refuses, its simulator refuses, in its words. A table: a change to a good request, and what is said."""

from __future__ import annotations

from typing import Any

import pytest
from simulator_kit import MISSING, TIME, Post, changed, say

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


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ({}, "Missing required parameter: 'input'."),
        ({"input": []}, "empty array"),
        ({"input": 5}, "expected one of a string or an array"),
        ({"input": [{"type": "text"}]}, "Missing required parameter: 'input[0].text'."),
        ({"input": [{"type": "audio"}]}, "Invalid value: 'audio'."),
        ({"input": ["x", 1]}, "Invalid type for 'input[0]'"),
        ({"input": "x", "foo": 1}, "Unrecognized request argument supplied: foo"),
    ],
)
async def test_openai_refuses_moderations(post: Post, body: dict[str, Any], message: str) -> None:
    status, answer = await post("openai", body, "/moderations")
    assert status == 400 and message in answer["error"]["message"]
