"""Chat answers and chunk streams into types.Reply and events."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.dialects.openai_chat import OPENAI_CHAT
from gateway.types import (
    Annotated,
    BadReply,
    Choice,
    Ended,
    Event,
    Failed,
    Finished,
    Reasoning,
    ReasoningDelta,
    Refusal,
    RefusalDelta,
    Reply,
    Start,
    Text,
    TextDelta,
    ToolCall,
    ToolDelta,
    ToolStart,
    Usage,
    UsageSeen,
)

DONE = b"data: [DONE]\n\n"


def chunk(*deltas: dict[str, Any], finish: str | None = None, **members: Any) -> bytes:
    choices = [{"index": at, "delta": delta, "finish_reason": finish} for at, delta in enumerate(deltas)]
    return (
        b"data: "
        + json.dumps({"id": "c1", "created": 7, "model": "m", "choices": choices, **members}).encode()
        + b"\n\n"
    )


def read(*frames: bytes) -> list[Event]:
    reader = OPENAI_CHAT.reader()
    return [event for frame in frames for event in reader.feed(frame)] + reader.eof()


def reply(message: Any, finish: Any = "stop", **members: Any) -> Reply:
    body = {
        "id": "c1",
        "created": 7,
        "model": "m",
        "choices": [{"index": 0, "message": message, "finish_reason": finish}],
        **members,
    }
    return OPENAI_CHAT.read_reply(json.dumps(body).encode())


# ---------------------------------------------------------------- whole answers


def test_everything_in_an_answer_is_read() -> None:
    message = {
        "content": "a",
        "refusal": "b",
        "reasoning_content": "hm",
        "annotations": [{"type": "url_citation"}],
        "tool_calls": [
            {"id": "x", "type": "function", "function": {"name": "f", "arguments": '{"a": 1.10}'}},
            {"id": "y", "type": "custom", "custom": {"name": "g", "input": ""}},
        ],
    }

    found = reply(message, "tool_calls", usage={"prompt_tokens": 1, "completion_tokens": 2}, service_tier="flex")

    assert found == Reply(
        id="c1", model="m", created=7, service_tier="flex", usage=Usage(1, 2, total=3),
        choices=[Choice([
            Reasoning("hm"), Text("a", annotations=[{"type": "url_citation"}]), Refusal("b"),
            ToolCall("x", "f", '{"a": 1.10}'), ToolCall("y", "g", "", custom=True),
        ], "tool_calls")],
    )  # fmt: skip


@pytest.mark.parametrize(
    ("reason", "meant"),
    [
        ("stop", "stop"), ("length", "length"), ("content_filter", "content_filter"), ("function_call", "tool_calls"),
        ("max_tokens", "length"), ("SAFETY", "content_filter"), ("eos", "stop"), (5, "stop"), (None, None),
    ],
)  # fmt: skip
def test_reasons_of_compatible_servers_are_understood(reason: Any, meant: str | None) -> None:
    assert reply({"content": "a"}, reason).choices[0].finish == meant


def test_a_stop_with_calls_wants_them_answered() -> None:
    call = {"id": "x", "function": {"name": "f", "arguments": "{}"}}

    assert reply({"content": None, "tool_calls": [call]}, "stop").choices[0].finish == "tool_calls"


def test_calls_without_ids_get_some_that_differ_between_answers() -> None:
    call = {"function": {"name": "f", "arguments": None}}

    first, second = (
        part for part in reply({"tool_calls": [call, call]}).choices[0].parts if isinstance(part, ToolCall)
    )

    assert first.arguments == "{}"
    assert first.id != second.id
    assert first.id == reply({"tool_calls": [call]}).choices[0].parts[0].id  # type: ignore[union-attr]


def test_odd_answers_are_read_as_far_as_they_go() -> None:
    assert reply(
        {"content": [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}], "tool_calls": None}
    ).choices[0].parts == [Text("ab")]
    assert reply(None).choices[0].parts == []
    assert reply({"function_call": {"name": "f", "arguments": "{}"}}).choices[0].parts[0].name == "f"  # type: ignore[union-attr]


@pytest.mark.parametrize("body", [b"", b"<html>", b"[]", b"{}", b'{"choices":[]}', b'{"choices":[5]}', b'{"error":{"message":"m"},"choices":[{}]}', b"[" * 100_000, b"\xff"])  # fmt: skip
def test_what_is_no_answer_is_a_bad_reply(body: bytes) -> None:
    with pytest.raises(BadReply):
        OPENAI_CHAT.read_reply(body)


# ---------------------------------------------------------------- streams


def test_a_stream_becomes_events() -> None:
    assert read(
        chunk({"role": "assistant", "content": ""}),
        chunk({"reasoning_content": "hm"}),
        chunk({"content": "a", "annotations": [{"type": "x"}]}),
        chunk({"refusal": "no"}),
        chunk({}, finish="stop"),
        chunk(usage={"prompt_tokens": 1, "completion_tokens": 2, "total_tokens": 3}),
        DONE,
    ) == [
        Start("c1", "m", 7),
        ReasoningDelta("hm"),
        TextDelta("a"),
        Annotated([{"type": "x"}]),
        RefusalDelta("no"),
        Finished("stop"),
        UsageSeen(Usage(1, 2, total=3)),
        Ended(),
    ]


def test_tool_calls_are_counted_densely_in_order_of_appearance() -> None:
    def call(index: int, **members: Any) -> dict[str, Any]:
        return {"tool_calls": [{"index": index, **members}]}

    events = read(
        chunk(call(3, id="a", function={"name": "f", "arguments": ""})),
        chunk(call(3, function={"arguments": "{}"})),
        chunk(call(1, id="b", custom={"name": "g", "input": "x"})),
        chunk(call(3, id="a", function={"arguments": " "})),
        chunk({}, finish="stop"),
        DONE,
    )

    assert events[1:-1] == [
        ToolStart(0, "a", "f"),
        ToolDelta(0, "{}"),
        ToolStart(1, "b", "g", custom=True),
        ToolDelta(1, "x"),
        ToolDelta(0, " "),
        Finished("tool_calls"),
    ]


def test_arguments_that_are_an_object_are_its_text() -> None:
    call = {"index": 0, "id": "c", "function": {"name": "f", "arguments": {"a": [1.5, "é"]}}}
    events = read(chunk({"tool_calls": [call]}, finish="tool_calls"), DONE)

    assert reply({"tool_calls": [call]}).choices[0].parts == [ToolCall("c", "f", '{"a":[1.5,"é"]}')]
    assert [event.arguments for event in events if isinstance(event, ToolDelta)] == ['{"a":[1.5,"é"]}']


def test_calls_that_share_an_index_are_told_apart_by_their_ids() -> None:
    calls = [{"index": 0, "id": name, "function": {"name": name, "arguments": "{}"}} for name in "ab"]

    events = read(chunk({"tool_calls": calls}), DONE)

    assert [(event.index, event.id) for event in events if isinstance(event, ToolStart)] == [(0, "a"), (1, "b")]


def test_choices_are_kept_apart() -> None:
    call = {"tool_calls": [{"index": 0, "id": "a", "function": {"name": "f"}}]}

    events = read(chunk({"content": "x"}, call), chunk({}, {}, finish="stop"), DONE)

    assert events[1:-1] == [
        TextDelta("x", 0),
        ToolStart(0, "a", "f", 1),
        Finished("stop", 0),
        Finished("tool_calls", 1),
    ]


@pytest.mark.parametrize(
    "pieces",
    [
        [{"id": "a", "function": {"name": "f", "arguments": "{"}}, {"function": {"arguments": "}"}}],
        [{"id": "a", "function": {"arguments": "{"}}, {"function": {"name": "f", "arguments": "}"}}],
        [{"id": "a"}, {"function": {"arguments": "{"}}, {"id": "a", "function": {"name": "f", "arguments": "}"}}],
    ],
)
def test_a_call_begins_when_its_name_is_known(pieces: list[dict[str, Any]]) -> None:
    chunks = [chunk({"tool_calls": [{"index": 0, **piece}]}) for piece in pieces]
    events = read(*chunks, chunk({}, finish="tool_calls"), DONE)[1:]

    assert events[0] == ToolStart(0, "a", "f")
    assert "".join(event.arguments for event in events if isinstance(event, ToolDelta)) == "{}"
    assert events[-2:] == [Finished("tool_calls"), Ended()]


def test_an_id_behind_the_name_is_of_the_same_call() -> None:
    pieces = [{"function": {"name": "f", "arguments": ""}}, {"id": "late", "function": {"arguments": "{}"}}]
    events = read(*(chunk({"tool_calls": [{"index": 0, **piece}]}) for piece in pieces), DONE)[1:]

    assert [type(event) for event in events] == [ToolStart, ToolDelta, Ended]


def test_a_call_whose_name_never_comes_breaks_the_stream() -> None:
    nameless = chunk({"tool_calls": [{"index": 0, "id": "a", "function": {"arguments": "{}"}}]})

    assert read(nameless, chunk({}, finish="tool_calls"), DONE)[-1] == Failed(
        "bad_reply", "a call whose name never came"
    )


def test_a_second_finish_of_a_choice_is_not_heard() -> None:
    events = read(chunk({}, finish="stop"), chunk({}, finish="length"), DONE)

    assert [event for event in events if isinstance(event, Finished)] == [Finished("stop")]


def test_log_probabilities_stay_with_their_text() -> None:
    body = {"id": "c", "choices": [{"index": 0, "delta": {"content": "a"}, "logprobs": {"content": []}}]}

    assert read(b"data: " + json.dumps(body).encode() + b"\n\n" + DONE)[1] == TextDelta("a", 0, {"content": []})


@pytest.mark.parametrize("last", [b"data: [DONE]", b"data: [DONE]\n", b"data:[DONE]\r\n\r\n"])
def test_the_end_mark_counts_without_its_empty_line(last: bytes) -> None:
    assert read(chunk({"content": "a"}), last)[-1] == Ended()


def test_without_its_end_mark_a_stream_is_truncated() -> None:
    assert read(chunk({"content": "a"}), chunk({}, finish="stop"))[-1] == Failed("truncated")
    assert read() == [Failed("truncated")]


@pytest.mark.parametrize(
    ("frame", "failed"),
    [
        (b'data: {"error":{"message":"m","type":"server_error"}}\n\n', Failed("server_error", "m")),
        (b'event: error\ndata: {"message":"m","code":"insufficient_quota"}\n\n', Failed("quota_exhausted", "m")),
        (b'data: {"error":"m"}\n\n', Failed("error_event", "m")),
        (b'data: {"error":{"code":503}}\n\n', Failed("overloaded", "", 503)),
    ],
)
def test_an_error_ends_the_stream(frame: bytes, failed: Failed) -> None:
    assert read(chunk({"content": "a"}), frame, chunk({"content": "b"}), DONE)[1:] == [TextDelta("a"), failed]


@pytest.mark.parametrize("reason", ["error", "abort"])
def test_an_answer_that_broke_off_upstream_never_looks_complete(reason: str) -> None:
    events = read(chunk({"content": "a"}), chunk({}, finish=reason, usage={"prompt_tokens": 1}), DONE)

    assert events[1:] == [TextDelta("a"), Failed("error_event", "the answer broke off")]
    with pytest.raises(BadReply) as caught:
        reply({"content": "a"}, reason)
    assert caught.value.kind == "server_error"


def test_a_bare_json_error_in_place_of_a_stream_is_told() -> None:
    assert read(b'{"error":{"message":"m","code":"rate_limit_exceeded"}}') == [Failed("rate_limited", "m")]


def test_a_frame_that_is_no_json_is_a_bad_reply() -> None:
    assert read(chunk({"content": "a"}), b"data: {oops\n\n")[-1].kind == "bad_reply"  # type: ignore[union-attr]


def test_half_a_frame_at_the_end_is_a_truncated_stream() -> None:
    assert read(chunk({"content": "a"}), b'data: {"choices":[{"del')[1:] == [TextDelta("a"), Failed("truncated")]


ANY = st.recursive(
    st.none() | st.integers() | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.sampled_from(["delta", "content", "tool_calls", "function", "index", "usage", "message", "name"]), inner, max_size=3),
    max_leaves=12,
)  # fmt: skip


@given(
    st.lists(st.dictionaries(st.sampled_from(["choices", "usage", "error", "id"]), ANY), max_size=3),
    st.lists(ANY, max_size=3),
)
def test_no_stream_and_no_answer_is_too_strange(frames: list[dict[str, Any]], choices: list[Any]) -> None:
    events = read(*[b"data: " + json.dumps(frame).encode() + b"\n\n" for frame in [*frames, {"choices": choices}]])

    assert isinstance(events[-1], Failed)
    try:
        assert OPENAI_CHAT.read_reply(json.dumps({"choices": choices}).encode()).choices
    except BadReply as error:
        assert str(error)
