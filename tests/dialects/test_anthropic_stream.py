"""Streams of Anthropic's: events in, events out, however the bytes are cut."""

from __future__ import annotations

import json
from typing import Any

import pytest
from anthropic_models import DIALECT, block, frame, of, read, started, stopped, text, tool
from hypothesis import given
from hypothesis import strategies as st
from msgspec import structs

from gateway.types import (
    Annotated,
    BlockDone,
    Ended,
    Event,
    Failed,
    Finished,
    Opaque,
    Reasoning,
    ReasoningDelta,
    ReasoningDone,
    RefusalDelta,
    Start,
    TextDelta,
    ToolDelta,
    ToolStart,
    Usage,
    UsageSeen,
)

THINKING = {"type": "thinking", "thinking": "", "signature": ""}


def thinking(index: int, *pieces: str, signature: str = "sig==") -> bytes:
    deltas: list[dict[str, Any]] = [{"type": "thinking_delta", "thinking": piece} for piece in pieces]
    return block(index, THINKING, *deltas, {"type": "signature_delta", "signature": signature})


def error(type_: str, **fields: Any) -> bytes:
    return frame({"type": "error", "error": {"type": type_, "message": "Overloaded", **fields}})


def test_a_plain_answer() -> None:
    assert read(started(), text(0, "Hel", "lo"), stopped()) == [
        Start("msg_1", "claude"),
        UsageSeen(Usage(3, 1, total=4, own={"anthropic": {"input_tokens": 3, "output_tokens": 1}})),
        TextDelta("Hel"),
        TextDelta("lo"),
        UsageSeen(Usage(3, 7, total=10, own={"anthropic": {"input_tokens": 3, "output_tokens": 7}})),
        Finished("stop"),
        Ended(),
    ]


def test_tool_calls_are_counted_densely_and_named_once() -> None:
    stream = [
        thinking(0, "hm"),
        text(1, "so"),
        tool(2, "a", '{"x"', ": 1}"),
        tool(3, "b", "", "{}", name="g"),
        stopped("tool_use"),
    ]
    events = read(started(), *stream)

    assert list(of(events, ToolStart, ToolDelta)) == [
        ToolStart(0, "a", "get_weather"),
        ToolDelta(0, '{"x"'),
        ToolDelta(0, ": 1}"),
        ToolStart(1, "b", "g"),
        ToolDelta(1, "{}"),
    ]
    assert list(of(events, Finished)) == [Finished("tool_calls")]


def test_a_call_without_arguments_has_empty_ones() -> None:
    assert list(of(read(started(), tool(0, "a"), stopped("tool_use")), ToolDelta)) == [ToolDelta(0, "{}")]


def test_arguments_that_came_with_the_start_are_not_lost() -> None:
    assert list(of(read(started(), tool(0, "a", input_={"x": 1}), stopped()), ToolDelta)) == [ToolDelta(0, '{"x":1}')]


def test_a_thought_is_shown_as_it_comes_and_kept_whole_at_its_end() -> None:
    whole = {"type": "thinking", "thinking": "hm, so", "signature": "sig=="}

    assert list(
        of(read(started(), thinking(0, "hm,", " so"), text(1, "x"), stopped()), ReasoningDelta, ReasoningDone)
    ) == [
        ReasoningDelta("hm,"),
        ReasoningDelta(" so"),
        ReasoningDone(Reasoning("hm, so", Opaque("anthropic", "thinking", whole))),
    ]


def test_a_hidden_thought_shows_nothing_and_is_kept() -> None:
    (done,) = of(read(started(), thinking(0), stopped()), ReasoningDelta, ReasoningDone)

    assert done.part.text == ""
    assert done.part.opaque.data["signature"] == "sig=="


def test_a_thought_that_cannot_be_replayed_is_only_shown() -> None:
    events = read(started(), thinking(0, "hm", signature=""), thinking(1, signature=""), stopped())

    assert list(of(events, ReasoningDone)) == [ReasoningDone(Reasoning("hm"))]


def test_a_redacted_thought_is_kept() -> None:
    redacted = {"type": "redacted_thinking", "data": "xyz"}

    (done,) = of(read(started(), block(0, redacted), stopped()), ReasoningDone)
    assert done.part == Reasoning("", Opaque("anthropic", "redacted_thinking", redacted))


def test_what_a_block_starts_with_counts() -> None:
    events = read(
        started(), block(0, {"type": "text", "text": "He"}), block(1, {**THINKING, "thinking": "h"}), stopped()
    )

    assert list(of(events, TextDelta, ReasoningDelta)) == [TextDelta("He"), ReasoningDelta("h")]


def test_server_tools_and_blocks_to_come_stay_hidden() -> None:
    used = {"type": "server_tool_use", "id": "srvtoolu_1", "name": "web_search", "input": {}}
    found = {"type": "web_search_tool_result", "tool_use_id": "srvtoolu_1", "content": []}
    stream = [
        block(0, used, {"type": "input_json_delta", "partial_json": "{}"}),
        block(1, found),
        block(2, {"type": "new"}),
        text(3, "x"),
    ]

    assert list(of(read(started(), *stream, stopped()), ToolStart, ToolDelta, TextDelta)) == [TextDelta("x")]


def test_citations_come_once_with_their_place_in_the_whole_text() -> None:
    citation = {
        "type": "web_search_result_location",
        "url": "https://x",
        "title": "X",
        "cited_text": "c",
        "encrypted_index": "e",
    }
    cited = block(
        1,
        {"type": "text", "text": ""},
        {"type": "text_delta", "text": "cited"},
        {"type": "citations_delta", "citation": citation},
    )
    events = read(started(), text(0, "é😀 "), cited, stopped())

    (annotated,) = of(events, Annotated)
    assert annotated.annotations[0]["url_citation"] == {
        "url": "https://x",
        "title": "X",
        "start_index": 3,
        "end_index": 8,
    }
    assert isinstance(events[events.index(annotated) + 1], BlockDone)  # while the text is the last that was said


def test_later_usage_replaces_and_never_adds() -> None:
    first = {"input_tokens": 10, "cache_read_input_tokens": 100, "cache_creation_input_tokens": 5, "output_tokens": 1}
    last = {"output_tokens": 20, "cache_read_input_tokens": 90, "output_tokens_details": {"thinking_tokens": 4}}
    seen = [event.usage for event in of(read(started(first), text(0, "x"), stopped(usage=last)), UsageSeen)]

    assert [structs.replace(usage, own=None) for usage in seen] == [
        Usage(115, 1, 100, 5, 0, 116),
        Usage(105, 20, 90, 5, 4, 125),
    ]
    assert seen[-1].own == {"anthropic": {**first, **last}}


def test_a_refusal_says_why() -> None:
    events = read(
        started(), text(0, "Well"), stopped("refusal", stop_details={"type": "refusal", "explanation": "Not this."})
    )

    assert events[-3:] == [RefusalDelta("Not this."), Finished("content_filter"), Ended()]


@pytest.mark.parametrize(
    ("reason", "finish"),
    [("max_tokens", "length"), ("pause_turn", "length"), (None, "tool_calls"), ("brand_new", "tool_calls")],
)
def test_being_cut_wins_over_calls(reason: Any, finish: str) -> None:
    assert next(of(read(started(), tool(0, "a", "{}"), stopped(reason)), Finished)).reason == finish


def test_the_stop_text_that_was_met_is_told() -> None:
    assert next(of(read(started(), stopped("stop_sequence", stop_sequence="END")), Finished)).stop_sequence == "END"


def test_pings_events_to_come_and_deltas_to_come_are_ignored() -> None:
    odd = [
        frame({"type": "ping"}),
        frame({"type": "foo", "delta": "x", "index": "y"}),
        frame({"type": "content_block_delta", "index": 0, "delta": {"type": "smell_delta", "text": {"nested": 1}}}),
        frame({"type": "content_block_delta", "index": 9, "delta": {"type": "text_delta", "text": "of no block"}}),
        frame({"type": "content_block_stop", "index": 9}),
    ]

    assert read(started(), *odd, text(0, "x"), stopped()) == read(started(), text(0, "x"), stopped())


def test_blocks_left_open_are_closed_at_the_end() -> None:
    unclosed = frame(
        {
            "type": "content_block_start",
            "index": 0,
            "content_block": {"type": "tool_use", "id": "a", "name": "f", "input": {}},
        }
    )

    assert list(of(read(started(), unclosed, stopped("tool_use")), ToolDelta)) == [ToolDelta(0, "{}")]


@pytest.mark.parametrize(
    ("type_", "fields", "failed"),
    [
        ("overloaded_error", {}, Failed("overloaded", "Overloaded", 529)),
        ("rate_limit_error", {}, Failed("rate_limited", "Overloaded", 429)),
        (
            "rate_limit_error",
            {"details": {"error_code": "enforced_spend_limit_reached"}},
            Failed("quota_exhausted", "Overloaded", 429),
        ),
        ("api_error", {}, Failed("error_event", "Overloaded", 500)),
        ("invalid_request_error", {"details": "odd"}, Failed("bad_request", "Overloaded", 400)),
        ("new_error", {}, Failed("error_event", "Overloaded", None)),
    ],
)
def test_an_error_ends_the_stream_by_its_kind(type_: str, fields: Any, failed: Failed) -> None:
    events = read(started(), text(0, "x"), error(type_, **fields), text(1, "late"), stopped())

    assert events[-2:] == [TextDelta("x"), failed]


@pytest.mark.parametrize("cut", [b"", text(0, "x"), text(0, "x") + stopped()[:-30]])
def test_a_stream_without_its_end_is_truncated(cut: bytes) -> None:
    assert read(started(), cut)[-1] == Failed("truncated")


def test_the_last_empty_line_may_be_missing() -> None:
    assert read(started(), stopped()[:-2])[-1] == Ended()


@pytest.mark.parametrize(
    "bad", [b"data: {nope\n\n", b'data: {"type":"message_start"}\n\n', b"data: [1]\n\n", b"data: \xff\n\n"]
)
def test_what_cannot_be_read_fails_the_stream(bad: bytes) -> None:
    (failed,) = of(read(bad, text(0, "x")), Failed, TextDelta)

    assert failed.kind == "bad_reply"


def test_an_error_written_as_plain_json_is_understood() -> None:
    plain = {"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}}

    assert read(json.dumps(plain).encode() + b"\n") == [Failed("overloaded", "Overloaded", 529)]


def test_nothing_follows_the_end() -> None:
    assert read(started(), stopped(), text(0, "x"), stopped())[-1] == Ended()
    assert len(list(of(read(started(), stopped(), stopped()), Ended))) == 1


WHOLE = (
    started()
    + thinking(0, "hm é")
    + text(1, "Hi \u2028 there")
    + frame({"type": "ping"})
    + tool(2, "a", '{"x": "\U0001f600"}')
    + stopped("tool_use")
)


@pytest.mark.parametrize(
    "stream", [WHOLE, WHOLE.replace(b"\n", b"\r\n"), b": hi\n\n" + WHOLE], ids=["lf", "crlf", "comment"]
)
def test_the_events_are_the_same_wherever_the_bytes_are_cut(stream: bytes) -> None:
    whole = read(stream)

    for cut in range(1, len(stream)):
        assert read(stream[:cut], stream[cut:]) == whole
    assert read(*(stream[i : i + 1] for i in range(len(stream)))) == whole


@given(st.lists(st.binary(max_size=30), max_size=5))
def test_no_bytes_make_it_raise_and_it_always_says_how_it_ended(pieces: list[bytes]) -> None:
    reader = DIALECT.reader()
    events: list[Event] = [event for piece in pieces for event in reader.feed(piece)] + reader.eof()

    assert isinstance(events[-1], Failed | Ended)
    assert reader.eof() == []
