"""What Anthropic refuses, its simulator refuses, in its words. A table: a change to a good request, and what is said."""

from __future__ import annotations

from typing import Any

import pytest
from simulator_kit import HELLO, MISSING, TIME, Post, changed, png, say

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
