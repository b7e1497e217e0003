"""A client's Chat request into types.Request: every shape of the API. What is refused: test_openai_refusals.py."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest

from gateway.dialects.openai_chat import OPENAI_CHAT
from gateway.types import (
    Audio,
    BadRequest,
    Document,
    Image,
    Message,
    Opaque,
    Reasoning,
    Refusal,
    Request,
    ResponseFormat,
    Text,
    Tool,
    ToolCall,
    ToolChoice,
    ToolResult,
    VendorBlock,
)

USER = {"role": "user", "content": "hi"}
CALL = {"id": "call_1", "type": "function", "function": {"name": "f", "arguments": '{"a": 1.10}'}}
WEATHER = {"type": "function", "function": {"name": "f"}}


def read(*messages: Any, **members: Any) -> Request:
    return OPENAI_CHAT.read_request(
        json.dumps({"model": "m", "messages": list(messages) or [USER], **members}).encode()
    )


def parts(message: dict[str, Any]) -> list[Any]:
    return read(message).messages[0].parts


# ---------------------------------------------------------------- messages


def test_each_role_keeps_its_place_and_its_name() -> None:
    request = read(
        {"role": "system", "content": "a"},
        {"role": "developer", "content": [{"type": "text", "text": "b"}], "name": "d"},
        {"role": "user", "content": "c", "name": "ada"},
        {"role": "assistant", "content": "d"},
        {"role": "system", "content": "e"},
    )

    assert request.messages == [
        Message("system", [Text("a")]),
        Message("developer", [Text("b")], "d"),
        Message("user", [Text("c")], "ada"),
        Message("assistant", [Text("d")]),
        Message("system", [Text("e")]),
    ]


def test_everything_a_user_can_send_is_read() -> None:
    pdf = base64.b64encode(b"%PDF-1.7 x").decode()
    content = [
        {"type": "text", "text": "look", "cache_control": {"type": "ephemeral"}},
        {"type": "image_url", "image_url": {"url": "data:image/JPG;base64,/9j/\n 4AAQ", "detail": "low"}},
        {"type": "image_url", "image_url": {"url": "https://example.org/a.png"}},
        {"type": "image_url", "image_url": {"url": f"data:application/pdf;base64,{pdf}"}},
        {"type": "input_audio", "input_audio": {"data": "UklGRg==", "format": "wav"}},
        {"type": "file", "file": {"file_data": pdf, "filename": "a.pdf"}},
        {"type": "file", "file": {"file_data": "data:text/plain;charset=utf-8;base64,w6k="}},
        {"type": "file", "file": {"file_id": "file-1"}},
    ]

    assert parts({"role": "user", "content": content}) == [
        Text("look", cache={"type": "ephemeral"}),
        Image("image/jpeg", "/9j/4AAQ", detail="low"),
        Image(url="https://example.org/a.png"),
        Document("application/pdf", pdf),
        Audio("wav", "UklGRg=="),
        Document("application/pdf", pdf, title="a.pdf"),
        Document("text/plain", text="é"),
        Document(file_id="file-1"),
    ]


def test_an_assistants_turn_is_read_in_order() -> None:
    turn = {
        "role": "assistant",
        "content": [{"type": "text", "text": "a"}, {"type": "refusal", "refusal": "b"}],
        "refusal": "c",
        "audio": {"id": "audio_1"},
        "tool_calls": [CALL, {"id": "call_2", "type": "custom", "custom": {"name": "g", "input": "raw"}}],
    }
    answers = [
        {"role": "tool", "tool_call_id": "call_2", "content": "2"},
        {"role": "tool", "tool_call_id": "call_1", "content": "1"},
    ]

    assert read(USER, turn, *answers).messages[1:] == [
        Message(
            "assistant",
            [
                Text("a"),
                Refusal("b"),
                Refusal("c"),
                VendorBlock(Opaque("openai", "audio", {"id": "audio_1"})),
                ToolCall("call_1", "f", '{"a": 1.10}'),
                ToolCall("call_2", "g", "raw", custom=True),
            ],
        ),
        Message("tool", [ToolResult("call_2", [Text("2")])]),
        Message("tool", [ToolResult("call_1", [Text("1")])]),
    ]


def test_blocks_of_server_tools_come_back_as_they_were_shown() -> None:
    used = {"type": "server_tool_use", "id": "s1", "name": "web_search", "input": {}}
    code = {"executableCode": {"code": "1"}, "thoughtSignature": "U0lH"}
    extra = {"anthropic": {"server_blocks": [{"index": 0, **used}]}, "google": {"server_blocks": [code]}}

    assert parts({"role": "assistant", "content": "a", "reasoning_content": "hm", "extra_content": extra}) == [
        Reasoning("hm"),
        VendorBlock(Opaque("anthropic", "server_block", used)),
        VendorBlock(Opaque("google", "server_block", code)),
        Text("a"),
    ]


@pytest.mark.parametrize(
    ("vendor", "blocks", "place"),
    [
        ("anthropic", "all", ""),
        ("anthropic", [1], "[0]"),
        ("anthropic", [{"type": "compaction"}, {"type": "tool_use"}], "[1]"),
        ("google", [{"functionCall": {}}], "[0]"),
        ("google", [{"thoughtSignature": "U0lH"}], "[0]"),
    ],
)
def test_what_is_no_block_of_a_server_tool_is_refused(vendor: str, blocks: Any, place: str) -> None:
    message = {"role": "assistant", "content": "a", "extra_content": {vendor: {"server_blocks": blocks}}}

    with pytest.raises(BadRequest) as caught:
        parts(message)
    assert caught.value.param == f"messages[0].extra_content.{vendor}.server_blocks{place}"


def test_thinking_blocks_come_first_and_verbatim() -> None:
    blocks = [
        {"type": "thinking", "thinking": "hm", "signature": "s", "index": 0},
        {"type": "redacted_thinking", "data": "d", "index": 1},
    ]
    expected = [
        Reasoning("hm", Opaque("anthropic", "thinking", {"type": "thinking", "thinking": "hm", "signature": "s"})),
        Reasoning("", Opaque("anthropic", "redacted_thinking", {"type": "redacted_thinking", "data": "d"})),
        Text("a"),
    ]

    assert (
        parts({"role": "assistant", "content": "a", "thinking_blocks": blocks, "reasoning_content": "hm"}) == expected
    )
    assert (
        parts({"role": "assistant", "content": "a", "extra_content": {"anthropic": {"thinking_blocks": blocks}}})
        == expected
    )
    assert parts({"role": "assistant", "content": "a", "reasoning_content": "hm"}) == [Reasoning("hm"), Text("a")]


def test_googles_signatures_stay_where_they_were() -> None:
    signature = {"extra_content": {"google": {"thought_signature": "s"}}}
    opaque = Opaque("google", "thought_signature", "s")
    answer = {"role": "tool", "tool_call_id": "call_1", "content": "1"}

    called = read(USER, {"role": "assistant", "tool_calls": [{**CALL, **signature}]}, answer).messages[1].parts
    assert called == [ToolCall("call_1", "f", '{"a": 1.10}', opaque=opaque)]
    assert parts({"role": "assistant", "content": "a", **signature}) == [Text("a", opaque=opaque)]
    assert parts({"role": "assistant", "content": None, **signature}) == [Reasoning("", opaque)]


def test_a_cache_mark_on_a_message_belongs_to_its_last_part() -> None:
    marker = {"type": "ephemeral", "ttl": "1h"}
    content = [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]

    assert parts({"role": "user", "content": content, "cache_control": marker}) == [Text("a"), Text("b", cache=marker)]
    breakpoint_ = {"type": "text", "text": "a", "prompt_cache_breakpoint": {"mode": "explicit", "ttl": "30m"}}
    assert parts({"role": "user", "content": [breakpoint_]}) == [Text("a", cache={**marker, "ttl": "30m"})]


def test_tools_of_geminis_are_known_without_a_type() -> None:
    tools = read(USER, tools=[{"google_search": {}}, {"urlContext": {}}]).tools

    assert tools == [
        Tool("googleSearch", native={"googleSearch": {}}),
        Tool("urlContext", native={"urlContext": {}}),
    ]
    with pytest.raises(BadRequest):
        read(USER, tools=[{"retrieval": {}}])


def test_the_deprecated_function_shape_is_read_as_tools() -> None:
    called = {"role": "assistant", "content": None, "function_call": {"name": "f", "arguments": "{}"}}
    answer = {"role": "function", "name": "f", "content": "1"}

    request = read(USER, called, answer, functions=[{"name": "f"}], function_call={"name": "f"})

    call = request.messages[1].parts[0]
    assert isinstance(call, ToolCall)
    assert request.messages[2].parts == [ToolResult(call.id, [Text("1")], name="f")]
    assert (request.legacy_functions, request.tools, request.tool_choice) == (
        True,
        [Tool("f")],
        ToolChoice("named", ["f"]),
    )
    assert read(USER, called, answer).messages[1].parts == [call], "the id is derived from the place, not random"


# ---------------------------------------------------------------- the rest


def test_tools_of_every_kind_are_read() -> None:
    schema = {"type": "object", "properties": {"n": {"type": "integer", "maximum": 10**30}}}
    tools = [
        {
            "type": "function",
            "function": {"name": "a", "description": "d", "parameters": schema, "strict": True},
            "cache_control": {"type": "ephemeral"},
        },
        {
            "type": "custom",
            "custom": {"name": "b", "format": {"type": "grammar", "grammar": {"syntax": "lark", "definition": "x"}}},
        },
        {"type": "custom", "custom": {"name": "c"}},
        {"type": "web_search_20260318", "name": "web_search"},
    ]

    assert read(tools=tools).tools == [
        Tool("a", "d", schema, True, cache={"type": "ephemeral"}),
        Tool("b", custom=True, grammar={"syntax": "lark", "definition": "x"}),
        Tool("c", custom=True),
        Tool("web_search", native=tools[3]),
    ]


@pytest.mark.parametrize(
    ("choice", "expected"),
    [
        ("auto", ToolChoice("auto")),
        ("none", ToolChoice("none")),
        ("required", ToolChoice("required")),
        ({"type": "function", "function": {"name": "f"}}, ToolChoice("named", ["f"])),
        (
            {"type": "allowed_tools", "allowed_tools": {"mode": "auto", "tools": [WEATHER]}},
            ToolChoice("allowed_auto", ["f"]),
        ),
        (
            {"type": "allowed_tools", "allowed_tools": {"mode": "required", "tools": [WEATHER]}},
            ToolChoice("allowed_required", ["f"]),
        ),
    ],
)
def test_tool_choices_of_every_kind_are_read(choice: Any, expected: ToolChoice) -> None:
    assert read(tools=[WEATHER], tool_choice=choice).tool_choice == expected


def test_a_choice_that_chooses_nothing_is_ignored_without_tools() -> None:
    assert read(tool_choice="auto").tool_choice is None
    assert read(tool_choice="none").tool_choice is None


def test_every_parameter_is_read() -> None:
    request = read(
        max_tokens=1, max_completion_tokens=2, temperature=1, top_p=0.5, top_k=3, stop="x", seed=-4, n=2,
        presence_penalty=-2, frequency_penalty=2, logit_bias={"50256": -100}, logprobs=True, top_logprobs=5,
        response_format={"type": "json_schema", "json_schema": {"name": "o", "schema": {"a": 1}, "strict": False, "description": "d"}},
        reasoning_effort="max", verbosity="low", user="u", safety_identifier="s", metadata={"k": "v"}, service_tier="flex",
        parallel_tool_calls=False, stream=True, stream_options={"include_usage": True}, thinking={"type": "adaptive"},
        store=True, foo={"bar": 1},
    )  # fmt: skip

    assert request == Request(
        model="m", messages=[Message("user", [Text("hi")])],
        max_tokens=2, temperature=1, top_p=0.5, top_k=3, stop=["x"], seed=-4, n=2, presence_penalty=-2, frequency_penalty=2,
        logit_bias={"50256": -100}, logprobs=True, top_logprobs=5, format=ResponseFormat("json_schema", {"a": 1}, "o", "d", False),
        effort="max", verbosity="low", user="u", safety_identifier="s", metadata={"k": "v"}, service_tier="flex",
        parallel_tool_calls=False, stream=True, include_usage=True, thinking={"type": "adaptive"},
        extra={"store": True, "foo": {"bar": 1}},
    )  # fmt: skip


def test_null_says_nothing() -> None:
    names = (
        "max_tokens",
        "temperature",
        "top_p",
        "stop",
        "seed",
        "n",
        "logit_bias",
        "response_format",
        "reasoning_effort",
        "user",
    )
    names += (
        "metadata",
        "stream",
        "stream_options",
        "tools",
        "tool_choice",
        "parallel_tool_calls",
        "verbosity",
        "service_tier",
    )

    assert read(**dict.fromkeys(names)) == read()
