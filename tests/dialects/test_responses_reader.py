"""A Responses answer into types.Reply and events: the same however it is cut, and never complete when it is not."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from responses_kit import echo, read

from gateway.dialects.openai_responses import OPENAI_RESPONSES
from gateway.dialects.openai_undo import Undo
from gateway.types import (
    Abilities,
    Annotated,
    BadReply,
    Choice,
    Ended,
    Event,
    Failed,
    Finished,
    Image,
    Message,
    Notes,
    Opaque,
    Reasoning,
    ReasoningDelta,
    ReasoningDone,
    Refusal,
    RefusalDelta,
    Reply,
    Start,
    Target,
    Text,
    TextDelta,
    ToolCall,
    ToolDelta,
    ToolResult,
    ToolStart,
    Usage,
    UsageSeen,
)

OPEN = {"type": "response.created", "response": {"id": "r", "model": "m", "created_at": 7.0}}
DONE = {"type": "response.completed", "response": {"status": "completed", "output": [], "usage": {"input_tokens": 5, "output_tokens": 2}}}  # fmt: skip
CALL = {"id": "fc_1", "type": "function_call", "call_id": "c1", "name": "f", "arguments": '{"a":1}'}
THOUGHT = {"id": "rs", "type": "reasoning", "summary": [{"type": "summary_text", "text": "hm"}], "encrypted_content": "gAAA"}  # fmt: skip
USAGE = UsageSeen(Usage(5, 2, total=7))


def wire(*events: Any) -> bytes:
    return b"".join(b"data: " + json.dumps(event).encode() + b"\n\n" for event in events)


def events(*given_: Any, undo: Undo | None = None) -> list[Event]:
    reader = OPENAI_RESPONSES.reader(undo)
    return reader.feed(wire(*given_)) + reader.eof()


def delta(kind: str, text: Any, index: int = 0, **members: Any) -> dict[str, Any]:
    return {"type": f"response.{kind}.delta", "output_index": index, "item_id": f"i{index}", "delta": text, **members}


def item(step: str, index: int, given_: Any) -> dict[str, Any]:
    return {"type": f"response.output_item.{step}", "output_index": index, "item": given_}


# ---------------------------------------------------------------- streams


def test_an_answer_with_everything_in_it() -> None:
    seen = events(
        OPEN,
        item("added", 0, {"type": "reasoning", "id": "rs"}),
        delta("reasoning_summary_text", "h"),
        {"type": "response.reasoning_summary_part.added", "output_index": 0, "summary_index": 1},
        delta("reasoning_summary_text", "m"),
        item("done", 0, THOUGHT),
        delta("output_text", "Hi", 1, logprobs=[{"token": "Hi", "logprob": -1}]),
        delta("refusal", "no", 1),
        item("added", 2, {**CALL, "arguments": ""}),
        item("added", 3, {"type": "custom_tool_call", "call_id": "c2", "name": "p", "input": ""}),
        delta("custom_tool_call_input", "raw", 3),
        delta("function_call_arguments", '{"a":1}', 2),
        item("done", 2, CALL),
        DONE,
    )

    assert seen == [
        Start("r", "m", 7),
        ReasoningDelta("h"),
        ReasoningDelta("\n\n"),
        ReasoningDelta("m"),
        ReasoningDone(Reasoning("h\n\nm", Opaque("openai", "encrypted_content", THOUGHT))),
        TextDelta("Hi", logprobs={"content": [{"token": "Hi", "logprob": -1}], "refusal": None}),
        RefusalDelta("no"),
        ToolStart(0, "c1", "f"),
        ToolStart(1, "c2", "p", custom=True),
        ToolDelta(1, "raw"),
        ToolDelta(0, '{"a":1}'),
        USAGE,
        Finished("tool_calls"),
        Ended(),
    ]


def test_a_server_that_only_says_the_end_is_understood() -> None:
    message = {"type": "message", "id": "m", "content": [{"type": "output_text", "text": "Hi"}, {"type": "refusal", "refusal": "no"}]}  # fmt: skip
    whole = {**DONE, "response": {**DONE["response"], "id": "r", "output": [THOUGHT, message, CALL]}}  # type: ignore[dict-item]

    assert events(whole) == [
        Start("r", ""),
        ReasoningDelta("hm"),
        ReasoningDone(Reasoning("hm", Opaque("openai", "encrypted_content", THOUGHT))),
        TextDelta("Hi"),
        RefusalDelta("no"),
        ToolStart(0, "c1", "f"),
        ToolDelta(0, '{"a":1}'),
        USAGE,
        Finished("tool_calls"),
        Ended(),
    ]


def test_what_the_end_repeats_is_not_said_twice() -> None:
    message = {"type": "message", "id": "i0", "content": [{"type": "output_text", "text": "Hi"}]}
    whole = {**DONE, "response": {**DONE["response"], "output": [message, CALL]}}  # type: ignore[dict-item]
    for known in ({"output_index": 0}, {"item_id": "i0"}):
        said = {"type": "response.output_text.delta", "delta": "Hi", **known}
        assert [e for e in events(OPEN, said, item("done", 1, CALL), whole) if isinstance(e, TextDelta | ToolStart)] == [
            TextDelta("Hi"), ToolStart(0, "c1", "f"),
        ]  # fmt: skip


def test_a_call_whose_opening_is_missing_begins_when_its_name_comes() -> None:
    parts = [delta("function_call_arguments", '{"a"'), delta("function_call_arguments", ":1}")]

    for ending in ([item("done", 0, CALL), DONE], [{**DONE, "response": {**DONE["response"], "output": [CALL]}}]):  # type: ignore[dict-item]
        assert events(OPEN, *parts, *ending)[1:3] == [ToolStart(0, "c1", "f"), ToolDelta(0, '{"a":1}')]
    lost = events(OPEN, *parts, DONE)[-1]
    assert isinstance(lost, Failed) and lost.kind == "bad_reply"


def test_annotations_count_all_text_of_the_answer() -> None:
    note = {"type": "url_citation", "url": "u", "title": "t", "start_index": 1, "end_index": 2}
    second = {"type": "message", "content": [{"type": "output_text", "text": "ab", "annotations": [note]}]}
    seen = events(OPEN, delta("output_text", "xyz"), delta("output_text", "ab", 1), item("done", 1, second), DONE)

    cited = {"url": "u", "title": "t", "start_index": 4, "end_index": 5}
    assert [e for e in seen if isinstance(e, Annotated)] == [Annotated([{"type": "url_citation", "url_citation": cited}])]  # fmt: skip


@pytest.mark.parametrize(
    ("reason", "finish"),
    [("max_output_tokens", "length"), ("content_filter", "content_filter"), ("steered", "length"), (None, "length")],
)
def test_what_is_not_whole_never_looks_whole(reason: Any, finish: str) -> None:
    whole = {"type": "response.incomplete", "response": {"incomplete_details": {"reason": reason} if reason else None}}

    assert events(OPEN, whole)[-2:] == [Finished(finish), Ended()]  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("event", "kind", "message"),
    [
        ({"type": "error", "code": "insufficient_quota", "message": "m"}, "quota_exhausted", "m"),
        ({"type": "error", "code": "rate_limit_exceeded", "message": "m", "sequence_number": 3}, "rate_limited", "m"),
        ({"type": "error", "error": {"type": "server_error", "message": "m"}}, "server_error", "m"),
        ({"error": {"message": "m", "code": 503}}, "overloaded", "m"),
        ({"type": "response.failed", "response": {"error": {"code": "server_error", "message": "m"}}}, "server_error", "m"),
        ({"type": "response.failed", "response": {"error": {"code": "invalid_image_url", "message": "m"}}}, "bad_request", "m"),
        ({"type": "response.failed", "response": {"error": {"code": "context_length_exceeded"}}}, "context_overflow", ""),
        ({"type": "response.failed"}, "error_event", ""),
        ({"type": "response.completed", "response": {"status": "failed", "error": {"code": "server_error"}}}, "server_error", ""),
    ],
)  # fmt: skip
def test_a_failure_is_one_wherever_it_comes(event: Any, kind: str, message: str) -> None:
    for before in ([], [OPEN], [OPEN, delta("output_text", "Hi")]):
        seen = events(*before, event, DONE)
        assert seen[-1] == Failed(kind, message, seen[-1].status)  # type: ignore[union-attr]
        assert not any(isinstance(e, Ended) for e in seen)


@pytest.mark.parametrize(
    ("tail", "kind"),
    [
        (b"", "truncated"),
        (b"data: [DONE]\n\n", "truncated"),
        (b'data: {"type":"response.comp', "truncated"),
        (b"data: nonsense\n\n", "bad_reply"),
        (b"data: [1]\n\n", "bad_reply"),
        (b'{"error":{"code":"insufficient_quota"}}\n', "quota_exhausted"),
    ],
)
def test_a_stream_without_its_end_has_failed(tail: bytes, kind: str) -> None:
    reader = OPENAI_RESPONSES.reader()
    seen = reader.feed(wire(OPEN, delta("output_text", "Hi")) + tail) + reader.eof()

    assert isinstance(seen[-1], Failed) and seen[-1].kind == kind
    assert reader.feed(wire(DONE)) == [] and reader.eof() == []


def test_a_last_frame_without_its_empty_line_counts() -> None:
    reader = OPENAI_RESPONSES.reader()

    assert (reader.feed(wire(OPEN, DONE)[:-2]) + reader.eof())[-1] == Ended()


def test_names_and_stops_of_the_request_are_undone() -> None:
    seen = events(OPEN, delta("output_text", "One EN"), delta("output_text", "D two"), item("done", 1, {**CALL, "name": "a_b"}), DONE,
                  undo=Undo({"a_b": "a.b"}, ("END",)))  # fmt: skip
    named = events(OPEN, item("done", 1, {**CALL, "name": "a_b"}), DONE, undo=Undo({"a_b": "a.b"}))

    assert seen == [Start("r", "m", 7), TextDelta("One "), Finished("stop", stop_sequence="END"), USAGE, Ended()]
    assert named[1] == ToolStart(0, "c1", "a.b")


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.sampled_from(["type", "id", "text", "content", "summary", "name", "call_id", "arguments", "output", "error", "code", "status", "usage", "input_tokens"]), inner, max_size=4),
    max_leaves=8,
)  # fmt: skip
TYPES = ["response.created", "response.output_text.delta", "response.refusal.delta", "response.reasoning_summary_text.delta", "response.function_call_arguments.delta", "response.output_item.added", "response.output_item.done", "response.completed", "response.incomplete", "response.failed", "response.output_text.annotation.added", "response.reasoning_summary_part.added", "error", "new.event"]  # fmt: skip
ITEMS = st.builds(lambda kind, rest: {**rest, "type": kind}, st.sampled_from(["message", "reasoning", "function_call", "custom_tool_call", "image_generation_call"]), st.dictionaries(st.sampled_from(["id", "content", "summary", "name", "call_id", "arguments", "input", "result", "encrypted_content"]), VALUES))  # fmt: skip
FRAMES = st.builds(lambda kind, rest: {**rest, "type": kind}, st.sampled_from(TYPES), st.dictionaries(st.sampled_from(["delta", "output_index", "item_id", "item", "response", "error", "annotation", "logprobs", "code", "message"]), VALUES | ITEMS))  # fmt: skip


@settings(max_examples=300, deadline=None)
@given(st.lists(FRAMES, max_size=6), st.integers(0, 400))
def test_any_bytes_make_events_that_end_once_and_do_not_depend_on_the_cut(given_: list[Any], cut: int) -> None:
    data = wire(*given_)
    seen = events(*given_)
    reader = OPENAI_RESPONSES.reader(None)
    assert reader.feed(data[:cut]) + reader.feed(data[cut:]) + reader.eof() == seen
    assert [e for e in seen if isinstance(e, Ended | Failed)] == [seen[-1]]
    OPENAI_RESPONSES.writer(echo()).write(seen)
    tap = OPENAI_RESPONSES.tap(False)
    tap.feed(data)
    assert not (tap.ended and tap.failed)


@given(st.dictionaries(st.sampled_from(["id", "status", "output", "usage", "error", "created_at", "model", "incomplete_details"]), VALUES | st.lists(ITEMS, max_size=3)))  # fmt: skip
def test_any_whole_answer_is_a_reply_or_a_bad_one(answer: Any) -> None:
    body = json.dumps(answer).encode()
    try:
        reply = OPENAI_RESPONSES.read_reply(body)
        OPENAI_RESPONSES.write_reply(reply, echo())
        OPENAI_RESPONSES.glance(body)
    except BadReply:
        pass


# ---------------------------------------------------------------- round trips

PARTS = [Reasoning("hm"), Text("One"), ToolCall("c1", "f", '{"a":1}'), ToolCall("c2", "p", "raw", custom=True), Refusal("no"), Text("two"), Image("image/png", "aGk=")]  # fmt: skip


@given(st.lists(st.sampled_from(PARTS), max_size=5), st.sampled_from(["stop", "length", "content_filter"]))
def test_an_answer_written_and_read_again_is_the_same(parts: Any, finish: Any) -> None:
    calls = any(isinstance(part, ToolCall) for part in parts)
    reply = Reply("r", "m", [Choice(parts, finish)], Usage(5, 2, 1, 1, 1, 7), 7)
    again = OPENAI_RESPONSES.read_reply(OPENAI_RESPONSES.write_reply(reply, echo(read(reasoning={"summary": "auto"}))))

    assert said(again.choices[0].parts) == said(parts)
    assert again.choices[0].finish == ("tool_calls" if calls and finish == "stop" else finish)
    assert (again.usage, again.created) == (reply.usage, 7)


def said(parts: Any) -> list[Any]:
    """Parts with neighbouring texts as one: a message holds one text."""
    found: list[Any] = []
    for part in parts:
        if isinstance(part, Text) and found and isinstance(found[-1], Text):
            found[-1] = Text(found[-1].text + part.text)
        else:
            found.append(part)
    return found


def test_a_conversation_goes_to_openai_and_comes_back_as_it_was() -> None:
    own = Opaque("openai", "encrypted_content", {"type": "reasoning", "summary": [], "id": "rs", "encrypted_content": "gAAA"})  # fmt: skip
    messages = [
        Message("system", [Text("Be kind")]),
        Message("user", [Text("hi"), Image(url="https://a.example/x")]),
        Message("assistant", [Reasoning("", own), Text("Let me"), ToolCall("c1", "f", '{"a":1}')]),
        Message("tool", [ToolResult("c1", [Text("21")])]),
    ]
    first = read(input="x", tools=[{"type": "function", "name": "f", "parameters": {"type": "object"}, "strict": True}], temperature=0.5,
                 tool_choice="required", reasoning={"effort": "low"}, text={"verbosity": "low", "format": {"type": "json_object"}}, max_output_tokens=99)  # fmt: skip
    first.messages = messages
    target = Target("m", Abilities(reasoning=True))
    again = OPENAI_RESPONSES.read_request(OPENAI_RESPONSES.write_request(first, target, Notes()).body)

    for field in ("messages", "tools", "tool_choice", "temperature", "max_tokens", "effort", "verbosity", "format"):
        assert getattr(again, field) == getattr(first, field)
