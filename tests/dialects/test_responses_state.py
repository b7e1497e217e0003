"""What is kept between two requests: read from bodies, put before the next input byte for byte, shown to its owner."""

from __future__ import annotations

import json
from typing import Any

import pytest
from msgspec import Raw
from openai.types.responses import ResponseItemList
from responses_kit import echo, read

from gateway.dialects import openai_responses_state as state
from gateway.dialects.openai_responses import OPENAI_RESPONSES
from gateway.types import (
    BadRequest,
    Choice,
    Ended,
    Finished,
    Message,
    Reply,
    Text,
    TextDelta,
    ToolCall,
    ToolDelta,
    ToolResult,
    ToolStart,
)

USER = b'{"role":"user","content":"one","n":1.10}'


def body(**fields: Any) -> bytes:
    return json.dumps({"model": "m", "input": "hi", **fields}).encode()


def test_a_body_says_what_it_wants_of_the_store() -> None:
    plain = state.state_of(body())
    assert (plain.previous_response_id, plain.store, plain.references, plain.empty) == ("", True, (), True)
    found = state.state_of(
        body(previous_response_id="resp_1", store=False, input=[{"type": "item_reference", "id": "a"}, {"id": "b"}, {"role": "user", "content": "x", "id": "c"}])
    )  # fmt: skip
    assert (found.previous_response_id, found.store, found.references) == ("resp_1", False, ("a", "b"))
    assert not found.empty


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"previous_response_id": 5}, "previous_response_id"),
        ({"previous_response_id": "r", "conversation": "c"}, "previous_response_id"),
        ({"store": "yes"}, "store"),
        ({"input": [{"type": "item_reference"}, {"id": "x"}]}, "input[0].id"),
    ],
)
def test_a_wrong_wish_is_refused(fields: Any, param: str) -> None:
    with pytest.raises(BadRequest) as caught:
        state.state_of(body(**fields))
    assert caught.value.param == param


def test_odd_inputs_are_left_to_whoever_reads_them() -> None:
    for odd in (5, {}, [5, None, "x", {"id": 5}, {"type": 5, "id": "x"}]):
        assert state.state_of(body(input=odd)).references == ()


def test_history_goes_before_the_input_and_nothing_inside_is_touched() -> None:
    wire = b'{"model":"m", "previous_response_id": "resp_1", "input" : [ {"role":"user","content":"two","x":2.50} ], "t": 1.0}'

    made = state.with_history(wire, [Raw(USER)])
    assert made == (
        b'{"model":"m", "previous_response_id": null, "input" : [' + USER
        + b',{"role":"user","content":"two","x":2.50}], "t": 1.0}'
    )  # fmt: skip
    assert state.state_of(made).empty


def test_a_text_becomes_an_item_and_a_missing_input_none() -> None:
    assert json.loads(state.with_history(body(), [Raw(USER)]))["input"][1] == {
        "type": "message",
        "role": "user",
        "content": "hi",
    }
    assert json.loads(state.with_history(b'{"previous_response_id":"r"}', [Raw(USER)]))["input"] == [json.loads(USER)]


def test_references_are_replaced_by_what_they_mean() -> None:
    wire = body(input=[{"type": "item_reference", "id": "a"}, {"id": "b"}])

    made = json.loads(state.with_history(wire, [], {"a": Raw(USER), "b": Raw(b'{"id":"b","type":"message"}')}))
    assert made["input"] == [json.loads(USER), {"id": "b", "type": "message"}]
    with pytest.raises(BadRequest) as caught:
        state.with_history(wire, [], {"a": Raw(USER)})
    assert (caught.value.param, caught.value.code) == ("input[1]", "item_not_found")


def test_an_unknown_answer_is_told_as_openai_tells_it() -> None:
    refusal = state.not_found("resp_x")

    assert (refusal.param, refusal.code) == ("previous_response_id", "previous_response_not_found")
    assert refusal.message == "Previous response with id 'resp_x' not found."


def test_a_chain_of_two_is_the_conversation_that_was_held() -> None:
    first = body(input="What is the weather?", instructions="Be kind", tools=[{"type": "function", "name": "f"}])
    request = OPENAI_RESPONSES.read_request(first)
    reply = Reply("r", "m", [Choice([Text("Let me see."), ToolCall("c1", "f", '{"a": 1.0}')], "tool_calls")], None)
    kept = state.input_items(first) + state.output_items(OPENAI_RESPONSES.write_reply(reply, echo(request)))

    second = body(previous_response_id="r", input=[{"type": "function_call_output", "call_id": "c1", "output": "21"}])
    again = OPENAI_RESPONSES.read_request(state.with_history(second, kept))
    assert again.messages == [
        Message("user", [Text("What is the weather?")]),
        Message("assistant", [Text("Let me see."), ToolCall("c1", "f", '{"a": 1.0}')]),
        Message("tool", [ToolResult("c1", [Text("21")])]),
    ]


def test_no_output_is_found_where_there_is_none() -> None:
    for answer in (b"", b"[]", b"{}", b'{"output":5}', b"\xff"):
        assert state.output_items(answer) == []


def test_a_listing_has_pages_and_every_item_an_id() -> None:
    items = [Raw(USER), Raw(b'{"type":"message","id":"msg_x","role":"user","content":[]}'), Raw(b'{"type":"function_call_output","call_id":"c","output":"o","status":"completed"}')]  # fmt: skip

    page = json.loads(state.write_input_items("resp_1", items, limit=2))
    assert ([item["id"] for item in page["data"]], page["has_more"]) == (["item_1_2", "msg_x"], True)
    rest = json.loads(state.write_input_items("resp_1", items, after="msg_x"))
    parts = [{"type": "input_text", "text": json.loads(USER)["content"]}]
    first = {"id": "msg_1_0", "type": "message", **json.loads(USER), "content": parts}
    assert (rest["data"], rest["has_more"]) == ([first], False)
    upwards = ResponseItemList.model_validate(
        json.loads(state.write_input_items("resp_1", items[1:], descending=False))
    )
    assert (upwards.first_id, upwards.last_id, upwards.object) == ("msg_x", "item_1_1", "list")
    assert json.loads(state.write_input_items("resp_1", []))["data"] == []


def test_a_deletion_is_confirmed() -> None:
    assert json.loads(state.write_deleted("resp_1")) == {"id": "resp_1", "object": "response", "deleted": True}


def test_what_a_writer_told_is_what_a_store_keeps() -> None:
    request = read()
    writer = OPENAI_RESPONSES.writer(echo(request))
    reply = Reply("r", "m", [Choice([Text("Hi"), ToolCall("c", "f", "{}")], "tool_calls")], None)
    whole = [json.loads(bytes(item)) for item in state.output_items(OPENAI_RESPONSES.write_reply(reply, echo(request)))]
    writer.write([TextDelta("Hi"), ToolStart(0, "c", "f"), ToolDelta(0, "{}"), Finished("tool_calls"), Ended()])

    assert writer.output == whole
