"""Whole answers of Anthropic's, and what is none."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest
from anthropic.types import StopReason
from anthropic_models import DIALECT
from hypothesis import given
from hypothesis import strategies as st
from msgspec import structs

from gateway.types import BadReply, Opaque, Reasoning, Refusal, Reply, Text, ToolCall, Usage, VendorBlock

CALL = {"type": "tool_use", "id": "toolu_1", "name": "f", "input": {}}


def reply(*content: Any, stop_reason: Any = "end_turn", **fields: Any) -> Reply:
    message = {"id": "msg_1", "type": "message", "role": "assistant", "model": "claude", "content": list(content)}
    return DIALECT.read_reply(json.dumps({**message, "stop_reason": stop_reason, **fields}).encode())


def parts(*content: Any, **fields: Any) -> list[Any]:
    return list(reply(*content, **fields).choices[0].parts)


def words(text: str, **fields: Any) -> dict[str, Any]:
    return {"type": "text", "text": text, **fields}


def counted(read: Any) -> Usage:
    """The counts alone, without what Anthropic said in its own words."""
    return structs.replace(read.usage, own=None)


def test_an_answer_says_who_it_is_and_what_it_cost() -> None:
    usage = {
        "input_tokens": 10,
        "cache_creation_input_tokens": 3,
        "cache_read_input_tokens": 5,
        "output_tokens": 20,
        "output_tokens_details": {"thinking_tokens": 8},
        "service_tier": "standard",
    }
    read = reply(words("hi"), usage=usage)

    assert (read.id, read.model, read.service_tier) == ("msg_1", "claude", "default")
    assert counted(read) == Usage(input=18, output=20, cache_read=5, cache_write=3, reasoning=8, total=38)
    assert msgspec.json.decode(msgspec.json.encode(read.usage.own)) == {"anthropic": usage}
    assert read.choices[0].parts == [Text("hi")]
    assert read.choices[0].finish == "stop"


@pytest.mark.parametrize(
    ("creation", "hour_long"),
    [
        ({"ephemeral_5m_input_tokens": 1, "ephemeral_1h_input_tokens": 2}, 2),
        ({}, 0),
        (None, 0),
        ("odd", 0),
        ({"ephemeral_1h_input_tokens": "x"}, 0),
    ],
)
def test_what_is_kept_for_an_hour_is_told_apart(creation: Any, hour_long: int) -> None:
    usage = {"input_tokens": 10, "output_tokens": 1, "cache_creation_input_tokens": 3, "cache_creation": creation}

    assert counted(reply(words("hi"), usage=usage)) == Usage(13, 1, cache_write=3, total=14, cache_write_1h=hour_long)


@pytest.mark.parametrize(
    "usage", [None, {"input_tokens": "many"}, [], {"input_tokens": 1.5}, {"input_tokens": 10**400}]
)
def test_a_figure_gone_wrong_costs_the_figure_and_not_the_answer(usage: Any) -> None:
    read = reply(words("hi"), usage=usage)

    assert read.usage is None
    assert read.choices[0].parts == [Text("hi")]


def test_a_fast_answer_was_a_priority() -> None:
    assert reply(usage={"input_tokens": 1, "output_tokens": 1, "speed": "fast"}).service_tier == "priority"


FINISH = {
    "end_turn": "stop",
    "stop_sequence": "stop",
    "max_tokens": "length",
    "model_context_window_exceeded": "length",
    "tool_use": "stop",
    "pause_turn": "length",
    "refusal": "content_filter",
    "something_new": "stop",
    None: "stop",
}


@pytest.mark.parametrize("stop_reason", FINISH)
def test_every_reason_to_stop_has_a_name(stop_reason: Any) -> None:
    assert reply(words("x"), stop_reason=stop_reason).choices[0].finish == FINISH[stop_reason]


def test_all_reasons_of_the_sdk_are_known() -> None:
    assert set(StopReason.__args__) <= FINISH.keys()


@pytest.mark.parametrize(
    ("stop_reason", "finish"),
    [("tool_use", "tool_calls"), ("end_turn", "tool_calls"), ("max_tokens", "length"), (None, "tool_calls")],
)
def test_calls_name_the_end_unless_it_was_a_cut(stop_reason: Any, finish: str) -> None:
    assert reply(CALL, stop_reason=stop_reason).choices[0].finish == finish


def test_the_stop_text_that_was_met_is_told() -> None:
    assert reply(words("x"), stop_reason="stop_sequence", stop_sequence="END").choices[0].stop_sequence == "END"


def test_a_call_keeps_the_order_and_spelling_of_its_input() -> None:
    body = b'{"id":"msg_1","type":"message","content":[{"type":"tool_use","id":"t","name":"f","input":{"b": 1.10, "a": "\\u00e9"}}]}'

    assert DIALECT.read_reply(body).choices[0].parts == [ToolCall("t", "f", '{"b":1.10,"a":"\\u00e9"}')]


def test_thoughts_are_kept_whole_and_in_place() -> None:
    thinking = {"type": "thinking", "thinking": "hm", "signature": "s=="}
    redacted = {"type": "redacted_thinking", "data": "xyz"}
    hidden = {"type": "thinking", "thinking": "", "signature": "t=="}

    assert parts(thinking, redacted, words("a"), hidden, CALL) == [
        Reasoning("hm", Opaque("anthropic", "thinking", thinking)),
        Reasoning("", Opaque("anthropic", "redacted_thinking", redacted)),
        Text("a"),
        Reasoning("", Opaque("anthropic", "thinking", hidden)),
        ToolCall("toolu_1", "f", "{}"),
    ]


def test_a_thought_without_a_signature_cannot_be_replayed() -> None:
    assert parts({"type": "thinking", "thinking": "hm"}) == [Reasoning("hm")]


def test_server_tools_are_the_vendors_business() -> None:
    used = {"type": "server_tool_use", "id": "srvtoolu_1", "name": "web_search", "input": {"query": "x"}}

    assert parts(used, {"type": "block_of_the_future"})[0] == VendorBlock(Opaque("anthropic", "server_block", used))


def test_a_refusal_says_why_and_keeps_what_was_said() -> None:
    details = {"type": "refusal", "category": "bio", "explanation": "Not this."}

    assert parts(words("Well"), stop_reason="refusal", stop_details=details) == [Text("Well"), Refusal("Not this.")]
    assert parts(stop_reason="refusal", stop_details=None) == [Refusal("The model declined to respond.")]


def test_web_citations_are_placed_by_characters_of_the_whole_text() -> None:
    web = {
        "type": "web_search_result_location",
        "url": "https://x",
        "title": None,
        "cited_text": "c",
        "encrypted_index": "e",
    }
    page = {"type": "page_location", "document_index": 0, "cited_text": "c"}
    first, second = parts(words("é😀 "), words("cited", citations=[web, page]))

    assert first == Text("é😀 ")
    assert second.annotations == [
        {"type": "url_citation", "url_citation": {"url": "https://x", "title": "", "start_index": 3, "end_index": 8}}
    ]


def test_empty_texts_are_no_parts() -> None:
    assert parts(words("")) == []


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"<html>",
        b"[]",
        b"{}",
        b'{"type":"error","error":{"type":"api_error","message":"x"}}',
        b'{"type":"completion","id":"x","content":[]}',
        b'{"type":"message","id":"x","content":["text"]}',
        b'{"type":"message","id":"x","content":[{"type":"text","text":1}]}',
        b'{"type":"message","id":"x","content":' + b"[" * 100_000,
        b'{"type":"message","id":"\xff","content":[]}',
    ],
)
def test_what_is_no_message_is_a_bad_reply(body: bytes) -> None:
    with pytest.raises(BadReply):
        DIALECT.read_reply(body)


@given(st.binary(max_size=60))
def test_nothing_else_is_ever_raised(body: bytes) -> None:
    with pytest.raises(BadReply):
        DIALECT.read_reply(b'{"type":"message","content":' + body)
