"""Events into Anthropic's event stream: its grammar, and what its SDK's accumulator makes of it."""

from __future__ import annotations

import json
from typing import Any

import anthropic
import pytest
from anthropic_oracle import blocks, check_grammar, frames, listen
from golden_case import sealed
from hypothesis import given
from hypothesis import strategies as st

from gateway.dialects.anthropic_messages import ANTHROPIC
from gateway.errors import UpstreamError
from gateway.types import (
    Annotated,
    Echo,
    Ended,
    Event,
    Failed,
    Finished,
    Image,
    ImageDone,
    Opaque,
    Reasoning,
    ReasoningDelta,
    ReasoningDone,
    RefusalDelta,
    Start,
    StreamWriter,
    TextDelta,
    ToolDelta,
    ToolStart,
    Usage,
    UsageSeen,
)

GOOGLES = Opaque("google", "thought_signature", "U0lH")


def writer(**members: Any) -> StreamWriter:
    return ANTHROPIC.writer(Echo("0" * 24, "m", 0, **{"seal": sealed, **members}))


def written(*events: Event, **members: Any) -> bytes:
    stream = writer(**members).write([Start("chatcmpl-1", "up"), *events, Ended()])
    check_grammar(stream)
    return stream


def said(*events: Event, **members: Any) -> list[dict[str, Any]]:
    """The content that the SDK accumulates."""
    return blocks(listen(written(*events, **members)))


def text(words: str) -> dict[str, Any]:
    return {"type": "text", "text": words}


def test_a_picture_that_no_block_holds_is_spoken_of() -> None:
    drawn = ImageDone(Image("image/png", "aGk="))
    instead = "[image/png: a picture, which answers of this API cannot carry]"
    assert said(drawn, Finished("stop")) == [text(instead)]
    assert said(TextDelta("Look: "), drawn, Finished("stop")) == [text("Look: " + instead)]


def call(id_: str, **arguments: Any) -> dict[str, Any]:
    return {"type": "tool_use", "id": id_, "name": "f", "input": arguments}


def thought(words: str, signature: str = "") -> dict[str, Any]:
    return {"type": "thinking", "thinking": words, "signature": signature}


def redacted(data: str) -> dict[str, Any]:
    return {"type": "redacted_thinking", "data": data}


# ---------------------------------------------------------------- the frame


def test_a_message_starts_with_its_first_content_and_not_before() -> None:
    stream = writer()

    assert stream.write([Start("msg_7", "up"), UsageSeen(Usage(input=9, output=1))]) == b""
    first = frames(stream.write([TextDelta("a")]))
    assert [event["type"] for event in first] == ["message_start", "content_block_start", "content_block_delta"]
    assert first[0]["message"]["id"] == "msg_7"
    assert first[0]["message"]["usage"]["input_tokens"] == 9
    assert [event["type"] for event in frames(stream.write([TextDelta("b")]))] == ["content_block_delta"]


def test_an_empty_answer_is_a_message_without_blocks() -> None:
    message = listen(written(Finished("stop")))

    assert (message.content, message.stop_reason, message.id) == ([], "end_turn", "msg_1")


def test_an_upstream_without_an_id_gets_ours() -> None:
    assert frames(writer().write([TextDelta("a")]))[0]["message"]["id"] == "msg_" + "0" * 24


def test_usage_that_follows_the_finish_reason_stands_in_message_delta_without_the_cache() -> None:
    usage = Usage(input=100, output=7, cache_read=60, cache_write=10, reasoning=3)
    message = listen(written(TextDelta("a"), Finished("stop"), UsageSeen(usage)))

    assert message.usage.to_dict() | {"service_tier": "standard"} == {
        "input_tokens": 30,
        "cache_creation_input_tokens": 10,
        "cache_read_input_tokens": 60,
        "output_tokens": 7,
        "output_tokens_details": {"thinking_tokens": 3},
        "service_tier": "standard",
    }


def test_after_the_end_nothing_more_is_said() -> None:
    stream = writer()
    stream.write([TextDelta("a"), Ended()])

    assert stream.write([TextDelta("b")]) == b""


def test_a_ping_comes_after_the_message_started() -> None:
    stream = ANTHROPIC.writer(Echo("0" * 24, "m", 0))

    pinged = stream.ping() + stream.ping() + stream.write([TextDelta("a"), Ended()])  # type: ignore[attr-defined]

    assert [event["type"] for event in frames(pinged)][:3] == ["message_start", "ping", "ping"]
    assert blocks(listen(pinged)) == [text("a")]
    assert pinged.count(ANTHROPIC.ping) == 2
    assert stream.ping() == b""  # type: ignore[attr-defined]


def test_an_error_replaces_the_tail_and_the_sdk_raises_it() -> None:
    stream = writer()
    broken = stream.write([Start("1", ""), TextDelta("a"), Failed("truncated")]) + stream.error(UpstreamError("broke"))

    assert [event["type"] for event in frames(broken)][-1] == "error"
    assert b"message_stop" not in broken and stream.write([Ended()]) == b""
    with pytest.raises(anthropic.APIStatusError, match="broke"):
        listen(broken)


# ---------------------------------------------------------------- blocks


def test_each_kind_has_its_block_and_the_piece_that_opens_it_is_in_it() -> None:
    events = [
        ReasoningDelta("Hm,"), ReasoningDelta(" so."), TextDelta("a"), TextDelta("b"), ToolStart(0, "t0", "f"),
        ToolDelta(0, '{"a":'), ToolDelta(0, "1}"), TextDelta("c"), Finished("tool_calls"),
    ]  # fmt: skip
    assert said(*events) == [thought("Hm, so."), text("ab"), call("t0", a=1), text("c")]


def test_empty_pieces_open_nothing() -> None:
    assert said(TextDelta(""), ReasoningDelta(""), RefusalDelta(""), TextDelta("a"), Annotated([{}])) == [text("a")]


def test_of_several_choices_the_first_is_told() -> None:
    assert said(
        TextDelta("a", 1), TextDelta("b"), ReasoningDelta("x", 1), RefusalDelta("x", 1), ToolStart(0, "t", "f", 1),
        ToolDelta(0, "{}", 1), ReasoningDone(Reasoning("x"), 1), Finished("length", 1), Finished("stop"),
    ) == [text("b")]  # fmt: skip


def test_interleaved_calls_come_one_after_the_other() -> None:
    events = [
        ToolStart(0, "t0", "f"), ToolStart(1, "t1", "f"), ToolDelta(1, '{"b":'), ToolDelta(0, '{"a":'), ToolDelta(1, "2}"),
        ToolDelta(0, "1}"), ToolStart(2, "t2", "f"), ToolDelta(2, '{"c":3}'), Finished("tool_calls"),
    ]  # fmt: skip
    assert said(*events) == [call("t0", a=1), call("t1", b=2), call("t2", c=3)]


def test_a_second_call_streams_once_the_first_is_whole() -> None:
    stream = writer()
    stream.write([ToolStart(0, "t0", "f"), ToolDelta(0, '{"a":1}'), ToolStart(1, "t1", "f")])

    assert frames(stream.write([ToolDelta(1, '{"b"')]))[0]["delta"]["partial_json"] == '{"b"'


def test_text_inside_a_call_waits_for_its_end() -> None:
    events = [
        ToolStart(0, "t0", "f"), ToolDelta(0, '{"a":'), TextDelta("x"), ReasoningDelta("y"), TextDelta("z"),
        ToolDelta(0, "1}"), ToolStart(1, "t1", "f"), Finished("tool_calls"),
    ]  # fmt: skip
    assert said(*events) == [call("t0", a=1), text("x"), thought("y"), text("z"), call("t1")]


def test_arguments_that_are_no_json_do_not_lose_what_follows() -> None:
    stream = written(ToolStart(0, "t0", "f"), ToolDelta(0, '{"a":'), TextDelta("x"), Finished("length"))

    assert [event["type"] for event in frames(stream)].count("content_block_start") == 2


def test_a_call_without_arguments_gets_an_empty_object_and_one_without_an_id_an_id() -> None:
    (made, second) = said(ToolStart(0, "", "f"), ToolStart(1, "bad id!", "f"), Finished("tool_calls"))

    assert made["input"] == second["input"] == {}
    assert made["id"].startswith("toolu_") and second["id"].startswith("toolu_") and made["id"] != second["id"]


def test_a_free_form_tools_text_becomes_an_object() -> None:
    events = [ToolStart(0, "t0", "f", custom=True), ToolDelta(0, 'say "'), ToolDelta(0, 'hi"'), Finished("tool_calls")]

    assert said(*events) == [call("t0", input='say "hi"')]


# ---------------------------------------------------------------- what is to come back


def test_a_thought_of_anthropics_has_its_own_signature() -> None:
    own = Opaque("anthropic", "thinking", thought("Hm.", "EqQB"))
    omitted = Opaque("anthropic", "thinking", thought("", "EqQC"))
    hidden = Opaque("anthropic", "redacted_thinking", redacted("Ex=="))

    assert said(
        ReasoningDelta("Hm."), ReasoningDone(Reasoning("Hm.", own)), ReasoningDone(Reasoning("", omitted)),
        ReasoningDone(Reasoning("", hidden)), TextDelta("a"),
    ) == [thought("Hm.", "EqQB"), thought("", "EqQC"), redacted("Ex=="), text("a")]  # fmt: skip


def test_what_another_vendor_wants_back_is_sealed_where_clients_keep_it() -> None:
    events = [
        ReasoningDelta("Hm."), ReasoningDone(Reasoning("Hm.", GOOGLES)), TextDelta("a"), ReasoningDone(Reasoning("", GOOGLES)),
        ToolStart(0, "t0", "f", opaque=GOOGLES), ToolDelta(0, "{}"), Finished("tool_calls"),
    ]  # fmt: skip
    seal = sealed([GOOGLES])

    assert said(*events) == [thought("Hm.", seal), text("a"), redacted(seal), redacted(seal), call("t0")]
    assert said(*events, seal=None) == [thought("Hm."), text("a"), call("t0")]


def test_a_signature_that_comes_late_does_not_repeat_the_thought() -> None:
    late = ReasoningDone(Reasoning("Hm.", GOOGLES))

    assert said(ReasoningDelta("Hm."), TextDelta("a"), late, TextDelta("b")) == [
        thought("Hm."), text("a"), redacted(sealed([GOOGLES])), text("b"),
    ]  # fmt: skip
    assert said(ReasoningDone(Reasoning("Hm.", GOOGLES)), TextDelta("a")) == [
        thought("Hm.", sealed([GOOGLES])),
        text("a"),
    ]


def test_the_last_block_is_what_was_said_and_not_what_is_kept_behind_it() -> None:
    late = ReasoningDone(Reasoning("", GOOGLES))

    assert said(TextDelta("a"), late, Finished("stop")) == [text("a")]
    assert said(TextDelta("a"), late, ToolStart(0, "t0", "f"), ToolDelta(0, "{}"), Finished("tool_calls")) == [
        text("a"), redacted(sealed([GOOGLES])), call("t0"),
    ]  # fmt: skip


def test_where_thoughts_are_not_shown_only_what_must_come_back_is_kept() -> None:
    own = Opaque("anthropic", "thinking", thought("Hm.", "EqQB"))
    stream = written(
        ReasoningDelta("Hm."), ReasoningDone(Reasoning("Hm.", GOOGLES)), TextDelta("a"), expose_reasoning=False
    )

    assert b"Hm." not in stream
    assert blocks(listen(stream)) == [redacted(sealed([GOOGLES])), text("a")]
    assert said(ReasoningDone(Reasoning("", own)), expose_reasoning=False, seal=None) == []


# ---------------------------------------------------------------- why it stopped


@pytest.mark.parametrize(
    ("events", "reason"),
    [
        ([TextDelta("a"), Finished("stop")], "end_turn"),
        ([TextDelta("a"), Finished("stop", stop_sequence="END")], "stop_sequence"),
        ([TextDelta("a"), Finished("length")], "max_tokens"),
        ([Finished("content_filter")], "refusal"),
        ([RefusalDelta("no"), Finished("stop")], "refusal"),
        ([ToolStart(0, "t", "f"), Finished("stop")], "tool_use"),
        ([ToolStart(0, "t", "f"), ToolDelta(0, '{"a'), Finished("length")], "max_tokens"),
        ([TextDelta("a"), Finished("tool_calls")], "end_turn"),
        ([TextDelta("a")], "end_turn"),
    ],
)
def test_the_stop_reason_says_what_happened(events: list[Event], reason: str) -> None:
    message = listen(written(*events))

    assert message.stop_reason == reason
    assert message.stop_sequence == ("END" if reason == "stop_sequence" else None)
    assert (message.stop_details is not None) == (reason == "refusal")


# ---------------------------------------------------------------- any events at all

ARGUMENTS = st.dictionaries(st.text(max_size=3), st.integers() | st.text(max_size=5), max_size=3).map(json.dumps)


@st.composite
def answers(draw: st.DrawFn) -> tuple[list[Event], dict[str, Any]]:
    """Texts, thoughts and calls whose pieces interleave, and what they amount to."""
    events: list[Event] = []
    queues: list[list[Event]] = []
    amount: dict[str, Any] = {"text": "", "calls": {}}
    for index in range(draw(st.integers(0, 3))):
        arguments = draw(ARGUMENTS)
        cut = draw(st.integers(0, len(arguments)))
        pieces: list[Event] = [ToolDelta(index, arguments[:cut]), ToolDelta(index, arguments[cut:])]
        queues.append([ToolStart(index, f"t{index}", "f"), *pieces])
        amount["calls"][f"t{index}"] = json.loads(arguments)
    words: list[Event] = draw(st.lists(st.text(max_size=4).map(TextDelta) | st.text(max_size=4).map(ReasoningDelta), max_size=5))  # fmt: skip
    amount["text"] = "".join(event.text for event in words if isinstance(event, TextDelta))
    amount["thoughts"] = "".join(event.text for event in words if isinstance(event, ReasoningDelta))
    queues.append(words)
    while any(queues):
        events.append(draw(st.sampled_from([queue for queue in queues if queue])).pop(0))
    starts = [event for event in events if isinstance(event, ToolStart)]
    amount["order"] = [event.id for event in starts]
    return events, amount


@given(answers())
def test_whatever_the_order_of_events_nothing_is_lost_and_the_grammar_holds(answer: tuple[list[Event], Any]) -> None:
    events, amount = answer

    content = said(*events, Finished("stop"))

    calls = [block for block in content if block["type"] == "tool_use"]
    assert "".join(block.get("text", "") for block in content) == amount["text"]
    assert "".join(block.get("thinking", "") for block in content) == amount["thoughts"]
    assert [block["id"] for block in calls] == amount["order"]
    assert {block["id"]: block["input"] for block in calls} == amount["calls"]


@given(answers())
def test_events_are_written_the_same_one_by_one(answer: tuple[list[Event], Any]) -> None:
    events = [Start("1", "up"), *answer[0], Finished("stop"), Ended()]
    one, other = writer(), writer()

    assert b"".join([one.write([event]) for event in events]) == other.write(events)
