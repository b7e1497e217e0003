"""A client's Chat request that is refused: in OpenAI's words, with its place, and never in another way."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.dialects.openai_chat import OPENAI_CHAT, OpenAIChat
from gateway.types import BadRequest, Request

USER = {"role": "user", "content": "hi"}
CALL = {"id": "call_1", "type": "function", "function": {"name": "f", "arguments": "{}"}}
WEATHER = {"type": "function", "function": {"name": "f"}}
PNG = "data:image/png;base64,iVBORw0K"


def read(*messages: Any, **members: Any) -> Request:
    return OPENAI_CHAT.read_request(
        json.dumps({"model": "m", "messages": list(messages) or [USER], **members}).encode()
    )


def refusal(*messages: Any, **members: Any) -> BadRequest:
    with pytest.raises(BadRequest) as found:
        read(*messages, **members)
    assert found.value.message
    return found.value


@pytest.mark.parametrize(
    ("message", "param"),
    [
        (5, "messages[0]"),
        ({}, "messages[0].role"),
        ({"role": "bot", "content": "x"}, "messages[0].role"),
        ({"role": "user"}, "messages[0].content"),
        ({"role": "user", "content": []}, "messages[0].content"),
        ({"role": "user", "content": 5}, "messages[0].content"),
        ({"role": "user", "content": "x", "name": 5}, "messages[0].name"),
        ({"role": "user", "content": [5]}, "messages[0].content[0]"),
        ({"role": "user", "content": [{"type": "video"}]}, "messages[0].content[0].type"),
        ({"role": "user", "content": [{"type": "text"}]}, "messages[0].content[0].text"),
        ({"role": "system", "content": [{"type": "image_url", "image_url": {"url": PNG}}]}, "messages[0].content[0].type"),
        ({"role": "user", "content": [{"type": "image_url", "image_url": PNG}]}, "messages[0].content[0].image_url"),
        ({"role": "user", "content": [{"type": "file", "file": {}}]}, "messages[0].content[0].file.file_data"),
        ({"role": "assistant", "tool_calls": {}}, "messages[0].tool_calls"),
        ({"role": "assistant", "tool_calls": [{"function": {}}]}, "messages[0].tool_calls[0].id"),
        ({"role": "assistant", "tool_calls": [{"id": "c", "type": "x"}]}, "messages[0].tool_calls[0].type"),
        ({"role": "assistant", "tool_calls": [{"id": "c", "function": {"name": "f", "arguments": {}}}]}, "messages[0].tool_calls[0].function.arguments"),
        ({"role": "assistant", "thinking_blocks": [{"type": "x"}]}, "messages[0].thinking_blocks[0].type"),
        ({"role": "function", "name": "f", "content": "x"}, "messages[0].name"),
    ],
)  # fmt: skip
def test_a_wrong_message_is_refused_at_its_place(message: Any, param: str) -> None:
    assert refusal(message).param == param


@pytest.mark.parametrize(
    "url",
    [
        "http://example.org/a.png",
        "file:///etc/passwd",
        "ftp://x/y",
        "data:image/png,abc",
        "data:;base64,abcd",
        "data:image/png;base64,",
        "data:image/png;base64,ab*d",
        "data:image/png;base64,abc",
        "data:text/html;base64,abcd",
        "example.org/a.png",
    ],
)
def test_an_image_is_base64_of_a_declared_type_or_an_https_address(url: str) -> None:
    error = refusal({"role": "user", "content": [{"type": "image_url", "image_url": {"url": url}}]})

    assert error.param == "messages[0].content[0].image_url"


@pytest.mark.parametrize(
    ("members", "param"),
    [
        ({"tools": [{"type": "function"}]}, "tools[0].function"),
        ({"tools": [{"type": "function", "function": {"name": ""}}]}, "tools[0].function.name"),
        (
            {"tools": [{"type": "function", "function": {"name": "f", "parameters": []}}]},
            "tools[0].function.parameters",
        ),
        ({"tools": [WEATHER, WEATHER]}, "tools[1]"),
        ({"tools": [{}]}, "tools[0].type"),
        ({"tool_choice": "required"}, "tool_choice"),
        ({"tools": [WEATHER], "tool_choice": {"type": "function", "function": {"name": "g"}}}, "tool_choice"),
        ({"tools": [WEATHER], "tool_choice": {"type": "x"}}, "tool_choice.type"),
        ({"tools": [WEATHER], "tool_choice": "f"}, "tool_choice"),
        ({"temperature": 2.1}, "temperature"),
        ({"temperature": "hot"}, "temperature"),
        ({"top_p": -1}, "top_p"),
        ({"n": 0}, "n"),
        ({"seed": 2**63}, "seed"),
        ({"max_tokens": 0}, "max_tokens"),
        ({"stop": [""]}, "stop[0]"),
        ({"stop": 5}, "stop"),
        ({"logit_bias": {"1": 101}}, "logit_bias.1"),
        ({"response_format": {"type": "xml"}}, "response_format.type"),
        ({"response_format": {"type": "json_schema"}}, "response_format.json_schema"),
        ({"reasoning_effort": "huge"}, "reasoning_effort"),
        ({"stream": 1}, "stream"),
        ({"user": 5}, "user"),
        ({"metadata": []}, "metadata"),
        ({"model": 5}, "model"),
    ],
)
def test_a_wrong_parameter_is_refused_by_its_name(members: dict[str, Any], param: str) -> None:
    assert refusal(**members).param == param


def test_a_result_for_an_unknown_call_is_refused() -> None:
    error = refusal(USER, {"role": "tool", "tool_call_id": "call_9", "content": "x"})

    assert error.param == "messages[1].tool_call_id"
    assert "must be a response to a preceding message with 'tool_calls'" in error.message


def test_a_second_result_for_a_call_is_refused() -> None:
    answer = {"role": "tool", "tool_call_id": "call_1", "content": "x"}

    error = refusal(USER, {"role": "assistant", "tool_calls": [CALL]}, answer, answer)

    assert error.param == "messages[3].tool_call_id"


@pytest.mark.parametrize("after", [[], [USER], [{"role": "assistant", "content": "x"}]])
def test_a_call_without_a_result_is_refused_in_openais_words(after: list[Any]) -> None:
    error = refusal(USER, {"role": "assistant", "tool_calls": [CALL]}, *after)

    assert error.param == ("messages.[2].role" if after else "messages.[1].role")
    assert "must be followed by tool messages responding to each 'tool_call_id'" in error.message
    assert "call_1" in error.message


def test_with_repair_a_call_may_stay_without_a_result_but_no_result_without_a_call() -> None:
    dialect = OpenAIChat(repair_history=True)
    body = {"model": "m", "messages": [{"role": "assistant", "tool_calls": [CALL]}, USER]}

    assert len(dialect.read_request(json.dumps(body).encode()).messages) == 2
    body["messages"] = [{"role": "tool", "tool_call_id": "call_9", "content": "x"}]
    with pytest.raises(BadRequest):
        dialect.read_request(json.dumps(body).encode())


@pytest.mark.parametrize(
    "body",
    [b"", b"[]", b"\xff", b'{"messages":"\xff"}', b'{"messages":' + b"[" * 90 + b"]" * 90 + b"}", b"[" * 500_000],
)
def test_what_is_no_json_object_is_said_to_be_none(body: bytes) -> None:
    with pytest.raises(BadRequest) as found:
        OPENAI_CHAT.read_request(body)

    assert found.value.code == "invalid_json"


WORDS = st.sampled_from(
    [
        "role",
        "content",
        "type",
        "text",
        "image_url",
        "url",
        "messages",
        "tools",
        "tool_calls",
        "function",
        "name",
        "arguments",
        "id",
        "user",
        "assistant",
        "tool",
        "system",
        "tool_call_id",
        "data:image/png;base64,AAAA",
        "stop",
        "thinking_blocks",
        "extra_content",
        "google",
        "thought_signature",
        "custom",
        "file",
        "file_data",
    ]
)
ANY = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | WORDS | st.text(max_size=4),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(WORDS, inner, max_size=5),
    max_leaves=25,
)


@given(st.dictionaries(WORDS, ANY), st.lists(st.dictionaries(WORDS, ANY, max_size=5), max_size=3), st.dictionaries(st.sampled_from(["tools", "tool_choice", "functions", "function_call", "stop", "response_format", "logit_bias", "stream_options"]), ANY))  # fmt: skip
def test_no_json_raises_anything_but_a_refusal(
    extra: dict[str, Any], messages: list[Any], members: dict[str, Any]
) -> None:
    body = json.dumps({**extra, **members, "messages": messages}).encode()
    try:
        assert OPENAI_CHAT.read_request(body).messages
    except BadRequest as error:
        assert error.message


@given(st.binary(max_size=100))
def test_no_bytes_raise_anything_but_a_refusal(body: bytes) -> None:
    with pytest.raises(BadRequest):
        OPENAI_CHAT.read_request(body)
