"""What OpenAI refuses on /v1/responses, its simulator refuses, in its words; thoughts that come back are checked."""

from __future__ import annotations

from typing import Any

import pytest
from simulator_kit import MISSING, TIME, Post

ASKED = {"role": "user", "content": "hello"}
FUNCTION = {"type": "function", "name": "get_time", "parameters": TIME}
CALL = {"type": "function_call", "call_id": "call_1", "name": "get_time", "arguments": "{}"}
OUTPUT = {"type": "function_call_output", "call_id": "call_1", "output": "noon"}
THOUGHT = {"type": "reasoning", "id": "rs_1", "summary": []}
OPEN = {"type": "object", "properties": {"a": {"type": "string"}}, "required": ["a"]}


def part(**fields: Any) -> dict[str, Any]:
    return {"input": [{"role": "user", "content": [fields]}]}


REFUSED: list[tuple[dict[str, Any], str, str | None]] = [
    ({"foo": 1}, "Unknown parameter: 'foo'.", "foo"),
    ({"messages": []}, "this parameter has moved to 'input'", "messages"),
    ({"max_tokens": 20}, "has moved to 'max_output_tokens'", "max_tokens"),
    ({"response_format": {}}, "has moved to 'text.format'", "response_format"),
    ({"reasoning_effort": "low"}, "has moved to 'reasoning.effort'", "reasoning_effort"),
    ({"stop": ["x"]}, "Unknown parameter: 'stop'.", "stop"),
    ({"n": 2}, "Unknown parameter: 'n'.", "n"),
    ({"model": MISSING}, "Missing required parameter: 'model'.", "model"),
    ({"input": MISSING}, 'One of "input" or "previous_response_id"', "input"),
    ({"input": 5}, "expected one of a string or an array, but got an integer", "input"),
    ({"max_output_tokens": 10}, "Expected a value >= 16, but got 10", "max_output_tokens"),
    ({"reasoning": {"effort": "huge"}}, "Invalid value: 'huge'.", "reasoning.effort"),
    ({"reasoning": {"foo": 1}}, "Unknown parameter: 'reasoning.foo'.", "reasoning.foo"),
    ({"model": "gpt-6.1-sol", "reasoning": {"effort": "none"}}, "'none' is not supported with", "reasoning.effort"),
    ({"model": "gpt-4o", "reasoning": {"effort": "low"}}, "'reasoning.effort' is not supported", "reasoning.effort"),
    ({"reasoning": {"effort": "low"}, "temperature": 0.2}, "'temperature' does not support 0.2", "temperature"),
    ({"model": "gpt-6.1-sol", "top_p": 0.2}, "'top_p' does not support 0.2", "top_p"),
    ({"text": {"verbosity": "loud"}}, "Invalid value: 'loud'.", "text.verbosity"),
    ({"stream_options": {"include_obfuscation": True}}, "only allowed when 'stream' is enabled", "stream_options"),
    (
        {"stream": True, "stream_options": {"include_usage": True}},
        "Unknown parameter: 'stream_options.include_usage'.",
        "stream_options.include_usage",
    ),
    ({"include": ["everything"]}, "Invalid value: 'everything'.", "include[0]"),
    ({"metadata": {"a": 1}}, "Invalid type for 'metadata.a'", "metadata.a"),
    ({"background": True}, "not simulated", "background"),
    ({"conversation": "c", "previous_response_id": "r"}, "Mutually exclusive", "previous_response_id"),
    ({"previous_response_id": "resp_1"}, "Previous response with id 'resp_1' not found.", "previous_response_id"),
    ({"tool_choice": "required"}, "must be specified with 'tools' parameter", "tool_choice"),
    (
        {"tools": [{"type": "function", "function": {"name": "f"}}]},
        "Missing required parameter: 'tools[0].name'.",
        "tools[0].name",
    ),
    ({"tools": [{**FUNCTION, "foo": 1}]}, "Unknown parameter: 'tools[0].foo'.", "tools[0].foo"),
    ({"tools": [{**FUNCTION, "parameters": OPEN, "strict": True}]}, "'additionalProperties' is", "tools[0].parameters"),
    ({"tools": [{"type": "telepathy"}]}, "Invalid value: 'telepathy'.", "tools[0].type"),
    ({"tools": [{"type": "file_search"}]}, "'tools[0].vector_store_ids'", "tools[0].vector_store_ids"),
    (
        {"tools": [FUNCTION], "tool_choice": {"type": "function", "function": {"name": "get_time"}}},
        "Missing required parameter: 'tool_choice.name'.",
        "tool_choice.name",
    ),
    (
        {"tools": [FUNCTION], "tool_choice": {"type": "function", "name": "other"}},
        "not found in 'tools'",
        "tool_choice",
    ),
    ({"text": {"format": {"type": "json_object"}}}, "must contain the word 'json'", "input"),
    (
        {"text": {"format": {"type": "json_schema", "json_schema": {"name": "x"}}}},
        "Unknown parameter: 'text.format.json_schema'.",
        "text.format.json_schema",
    ),
    (
        {"text": {"format": {"type": "json_schema", "name": "x", "schema": OPEN, "strict": True}}},
        "'additionalProperties' is required",
        "text.format.schema",
    ),
    ({"input": [{"role": "tool", "content": "x"}]}, "Invalid value: 'tool'.", "input[0].role"),
    ({"input": [{**ASKED, "name": "ada"}]}, "Unknown parameter: 'input[0].name'.", "input[0].name"),
    ({"input": [{**ASKED, "id": "chatcmpl-1"}]}, "Expected an ID that begins with 'msg'.", "input[0].id"),
    ({"input": [{**CALL, "id": "call_1"}, OUTPUT]}, "Expected an ID that begins with 'fc'.", "input[0].id"),
    ({"input": [{**CALL, "status": None}, OUTPUT]}, "Invalid value: 'None'.", "input[0].status"),
    ({"input": [{**CALL, "call_id": "c" * 65}]}, "maximum length 64", "input[0].call_id"),
    ({"input": [{**CALL, "arguments": {}}]}, "expected a string, but got an object", "input[0].arguments"),
    ({"input": [CALL]}, "No tool output found for function call call_1.", "input"),
    ({"input": [OUTPUT]}, "No tool call found for function call output with call_id call_1.", "input"),
    ({"input": [{"type": "gossip"}]}, "Invalid value: 'gossip'.", "input[0].type"),
    (part(type="text", text="x"), "'input_text', 'input_image', and 'input_file'", "input[0].content[0]"),
    (part(type="input_text"), "'input[0].content[0].text'", "input[0].content[0].text"),
    (part(type="input_image", image_url={"url": "x"}), "expected a string", "input[0].content[0].image_url"),
    (part(type="input_file", file_data="aGVsbG8="), "without the 'data:' prefix", "input[0].content[0].file_data"),
    (
        {"input": [{"role": "assistant", "content": [{"type": "input_text", "text": "x"}]}]},
        "Supported values are: 'output_text', and 'refusal'.",
        "input[0].content[0]",
    ),
    ({"input": [ASKED, {**THOUGHT, "encrypted_content": "gAAAAmade-up"}]}, "could not be verified", None),
    ({"input": "word " * 900_000}, "exceeds the context window", "input"),
]


async def ask(post: Post, change: dict[str, Any]) -> tuple[int, Any]:
    body = {"model": "gpt-5.4", "input": "hello", **change}
    return await post("openai", {name: value for name, value in body.items() if value is not MISSING}, "/responses")


@pytest.mark.parametrize(("change", "message", "param"), REFUSED)
async def test_openai_refuses(post: Post, change: dict[str, Any], message: str, param: str | None) -> None:
    status, body = await ask(post, change)

    assert (status, body["error"]["type"]) == (400, "invalid_request_error")
    assert message in body["error"]["message"]
    assert body["error"]["param"] == param


@pytest.mark.parametrize(
    "change",
    [
        {"input": [{"type": "message", **ASKED}, {"role": "assistant", "content": "hi"}, ASKED]},
        {"input": [ASKED, CALL, OUTPUT], "tools": [FUNCTION]},
        {"input": [ASKED, CALL, {**OUTPUT, "output": [{"type": "input_text", "text": "noon"}]}]},
        {"tools": [FUNCTION], "model": "gpt-6-astra", "reasoning": {"effort": "max"}},
        {"tools": [{"type": "web_search"}], "tool_choice": {"type": "web_search"}},
        {"tools": [FUNCTION], "tool_choice": {"type": "allowed_tools", "mode": "auto", "tools": [FUNCTION]}},
        {"text": {"format": {"type": "json_object"}}, "instructions": "Answer in JSON"},
        {"include": ["reasoning.encrypted_content", "message.output_text.logprobs"], "top_logprobs": 2},
        {"client_metadata": {"session_id": "s-1"}},
        {"reasoning": None, "text": None, "tools": None, "metadata": None, "tool_choice": None, "stream": None},
    ],
)
async def test_openai_accepts(post: Post, change: dict[str, Any]) -> None:
    assert (await ask(post, change))[0] == 200


async def thinking(post: Post, **change: Any) -> Any:
    status, body = await ask(post, {"reasoning": {"effort": "low"}, "store": False, **change})
    assert status == 200
    return body["output"]


async def test_a_thought_that_comes_back_unchanged_is_taken(post: Post) -> None:
    said = await thinking(post)
    status, body = await ask(post, {"input": [ASKED, *said, ASKED]})
    without_id = {name: value for name, value in said[0].items() if name != "id"}

    assert status == 200 and "input_transformations" not in body
    assert (await ask(post, {"input": [ASKED, without_id, said[1], ASKED]}))[0] == 200


async def test_a_thought_is_bound_to_its_item_and_to_what_it_led_to(post: Post) -> None:
    thought, message = await thinking(post)

    moved = await ask(post, {"input": [ASKED, {**thought, "id": "rs_other"}, message]})
    assert moved[0] == 400 and moved[1]["error"]["code"] == "invalid_encrypted_content"
    for tail in ([], [ASKED], [CALL, OUTPUT][1:]):
        status, body = await ask(post, {"input": [ASKED, thought, *tail]})
        assert status == 400 and "without its required following item" in body["error"]["message"]


async def test_a_thought_of_another_model_is_left_out_and_told(post: Post) -> None:
    said = await thinking(post)
    status, body = await ask(post, {"model": "gpt-5.5", "input": [ASKED, *said, ASKED]})

    assert status == 200
    assert body["input_transformations"] == [
        {"id": said[0]["id"], "action": "removed", "reason": "model_mismatch", "type": "reasoning"}
    ]


async def test_an_item_without_its_content_is_looked_up_among_what_was_stored(post: Post) -> None:
    thought, message = await thinking(post)
    bare = {"type": "reasoning", "id": thought["id"], "summary": []}
    status, body = await ask(post, {"input": [ASKED, bare, message]})
    assert status == 404 and "Items are not persisted when `store` is set to false" in body["error"]["message"]

    await thinking(post, store=True)
    assert (await ask(post, {"input": [ASKED, bare, message]}))[0] == 200
    assert (await ask(post, {"input": [ASKED, {"id": thought["id"]}, {"id": message["id"]}, ASKED]}))[0] == 200


async def test_counting_takes_no_fields_of_generating(post: Post) -> None:
    request = {"model": "gpt-5.4", "input": "hello"}
    counted = await post("openai", request, "/responses/input_tokens")
    refused = await post("openai", {**request, "temperature": 1}, "/responses/input_tokens")

    assert counted == (200, {"object": "response.input_tokens", "input_tokens": 2})
    assert refused[0] == 400 and refused[1]["error"]["param"] == "temperature"
