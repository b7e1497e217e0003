"""types.Reply and events into what Chat clients accept: checked by hand, and by the official client's own accumulator."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from openai.lib.streaming.chat import ChatCompletionStreamState
from openai.types.chat import ChatCompletion, ChatCompletionChunk

from gateway.dialects.openai_chat import OPENAI_CHAT
from gateway.errors import NoProviderAvailable, UpstreamError
from gateway.types import (
    Annotated,
    Choice,
    Echo,
    Ended,
    Event,
    Failed,
    Finished,
    Opaque,
    Part,
    Reasoning,
    ReasoningDelta,
    ReasoningDone,
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

ID = "0123456789abcdef01234567"
BLOCK = {"type": "thinking", "thinking": "hm", "signature": "s"}
THOUGHT = Reasoning("hm", Opaque("anthropic", "thinking", BLOCK))
SIGNATURE = Opaque("google", "thought_signature", "sig")


def echo(**members: Any) -> Echo:
    return Echo(id=ID, model="fast", created=1_790_000_000, **members)


def stream(*events: Event, **members: Any) -> list[Any]:
    """The frames' JSON values; "[DONE]" as that text."""
    text = OPENAI_CHAT.writer(echo(**members)).write(list(events)).decode()
    assert text.endswith("\n\n") or not text
    frames = [frame.removeprefix("data: ") for frame in text.split("\n\n")[:-1]]
    return [frame if frame == "[DONE]" else json.loads(frame) for frame in frames]


def deltas(*events: Event, **members: Any) -> list[Any]:
    return [frame["choices"][0]["delta"] for frame in stream(*events, **members)]


def accumulated(*events: Event, **members: Any) -> ChatCompletion:
    """What the official client makes of the stream."""
    state: Any = ChatCompletionStreamState()
    for frame in stream(*events, **members):
        if frame != "[DONE]":
            state.handle_chunk(ChatCompletionChunk.model_validate(frame))
    whole: ChatCompletion = state.get_final_completion()
    return whole


def written(*parts: Part, finish: Any = "stop", **members: Any) -> dict[str, Any]:
    reply = Reply("msg_01abc", "upstream", [Choice(list(parts), finish)], Usage(5, 2, cache_read=3, total=7))
    whole: dict[str, Any] = json.loads(OPENAI_CHAT.write_reply(reply, echo(**members)))
    return whole


# ---------------------------------------------------------------- streams

ENDING: list[Event] = [Finished("stop"), UsageSeen(Usage(5, 2, reasoning=1, total=7)), Ended()]


def test_a_stream_has_a_role_first_one_finish_and_the_end_mark() -> None:
    frames = stream(Start("msg_01abc", "upstream", 7), TextDelta("Hi"), *ENDING)

    envelope = {
        "id": "chatcmpl-01abc",
        "object": "chat.completion.chunk",
        "created": 7,
        "model": "fast",
        "system_fingerprint": None,
    }
    assert [frame["choices"][0] for frame in frames[:-1]] == [
        {"index": 0, "delta": {"role": "assistant", "content": ""}, "logprobs": None, "finish_reason": None},
        {"index": 0, "delta": {"content": "Hi"}, "logprobs": None, "finish_reason": None},
        {"index": 0, "delta": {}, "logprobs": None, "finish_reason": "stop"},
    ]
    assert all({**frame, "choices": 0} == {**envelope, "choices": 0} for frame in frames[:-1])
    assert frames[-1] == "[DONE]"


def test_usage_comes_once_in_a_frame_of_its_own_and_only_when_asked_for() -> None:
    *frames, counted, done = stream(TextDelta("Hi"), *ENDING, include_usage=True)

    assert (counted["choices"], done) == ([], "[DONE]")
    assert counted["usage"] == {
        "prompt_tokens": 5,
        "completion_tokens": 2,
        "total_tokens": 7,
        "prompt_tokens_details": {"cached_tokens": 0},
        "completion_tokens_details": {"reasoning_tokens": 1},
    }
    assert all(frame["usage"] is None for frame in frames)
    assert all("usage" not in frame for frame in stream(TextDelta("Hi"), *ENDING) if frame != "[DONE]")


def test_what_says_nothing_writes_nothing() -> None:
    writer = OPENAI_CHAT.writer(echo())

    nothing: list[Event] = [
        Start("x", "m"),
        TextDelta(""),
        ReasoningDelta(""),
        ToolDelta(0, ""),
        Failed("truncated"),
        UsageSeen(Usage()),
    ]
    assert writer.write(nothing) == b""
    assert writer.write([]) == b""


def test_an_empty_answer_is_still_a_whole_stream() -> None:
    first, last, done = stream(Start("x", "m"), Ended())

    assert first["choices"][0]["delta"]["role"] == "assistant"
    assert (last["choices"][0]["finish_reason"], done) == ("stop", "[DONE]")


def test_an_id_and_a_name_are_said_once() -> None:
    calls: list[Event] = [
        ToolStart(0, "a", "f"),
        ToolDelta(0, '{"x":'),
        ToolDelta(0, "1}"),
        ToolStart(1, "b", "g", custom=True),
        ToolDelta(1, "raw"),
    ]

    assert deltas(*calls)[1:] == [
        {"tool_calls": [{"index": 0, "id": "a", "type": "function", "function": {"name": "f", "arguments": ""}}]},
        {"tool_calls": [{"index": 0, "function": {"arguments": '{"x":'}}]},
        {"tool_calls": [{"index": 0, "function": {"arguments": "1}"}}]},
        {"tool_calls": [{"index": 1, "id": "b", "type": "custom", "custom": {"name": "g", "input": ""}}]},
        {"tool_calls": [{"index": 1, "custom": {"input": "raw"}}]},
    ]


def test_the_deprecated_shape_holds_the_first_call() -> None:
    frames = stream(
        ToolStart(0, "a", "f"),
        ToolDelta(0, "{}"),
        ToolStart(1, "b", "g"),
        Finished("tool_calls"),
        legacy_functions=True,
    )

    assert [frame["choices"][0]["delta"] for frame in frames[1:]] == [
        {"function_call": {"name": "f", "arguments": ""}},
        {"function_call": {"arguments": "{}"}},
        {},
    ]
    assert frames[-1]["choices"][0]["finish_reason"] == "function_call"


def test_a_forced_tool_ends_with_stop() -> None:
    assert (
        stream(ToolStart(0, "a", "f"), Finished("tool_calls"), named_tool=True)[-1]["choices"][0]["finish_reason"]
        == "stop"
    )


def test_thoughts_are_shown_and_their_blocks_counted() -> None:
    redacted = Reasoning("", Opaque("anthropic", "redacted_thinking", {"type": "redacted_thinking", "data": "d"}))
    thinking: list[Event] = [
        ReasoningDelta("hm"),
        ReasoningDone(THOUGHT),
        ReasoningDone(redacted),
        ReasoningDone(Reasoning("hm")),
    ]

    assert deltas(*thinking)[1:] == [
        {"reasoning_content": "hm"},
        {"thinking_blocks": [{"index": 0, **BLOCK}]},
        {"thinking_blocks": [{"index": 1, "type": "redacted_thinking", "data": "d"}]},
    ]
    assert deltas(*thinking, expose_reasoning=False) == []


def test_googles_signatures_are_said_once_and_even_when_thoughts_are_hidden() -> None:
    google = {"google": {"thought_signature": "sig"}}

    said = deltas(
        ToolStart(0, "a", "f", opaque=SIGNATURE), ReasoningDone(Reasoning("", SIGNATURE)), expose_reasoning=False
    )

    assert said[1]["tool_calls"][0]["extra_content"] == google
    assert said[2] == {"extra_content": google}


NOTE = {"type": "url_citation"}


def test_annotations_refusals_and_log_probabilities_have_their_places() -> None:
    said = TextDelta("a", logprobs={"content": []})
    frames = stream(said, Annotated([NOTE]), RefusalDelta("no"), Annotated([NOTE]), Finished("stop"))

    assert frames[1]["choices"][0]["logprobs"] == {"content": []}
    assert [frame["choices"][0]["delta"] for frame in frames[2:]] == [
        {"refusal": "no"},
        {"annotations": [{"index": 0, **NOTE}, {"index": 1, **NOTE}]},
        {},
    ]


def test_each_choice_has_its_own_role_and_finish() -> None:
    frames = stream(TextDelta("a", 0), TextDelta("b", 1), Finished("stop", 0), Finished("stop", 0), Ended())[:-1]

    assert [(frame["choices"][0]["index"], frame["choices"][0]["delta"].get("role")) for frame in frames] == [
        (0, "assistant"), (0, None), (1, "assistant"), (1, None), (0, None), (1, None),
    ]  # fmt: skip
    assert [frame["choices"][0]["finish_reason"] for frame in frames] == [None, None, None, None, "stop", "stop"]


def test_a_broken_stream_ends_with_its_error_and_nothing_after_it() -> None:
    writer = OPENAI_CHAT.writer(echo())

    assert writer.error(UpstreamError("It broke off.", code="stream_interrupted")) == (
        b'data: {"error":{"message":"It broke off.","type":"api_error","param":null,"code":"stream_interrupted"}}\n\n'
    )
    assert writer.write([TextDelta("late"), Ended()]) == b""


@st.composite
def said(draw: st.DrawFn, *kinds: str) -> list[Event]:
    """Thoughts, texts, calls and `kinds` in any order a provider may stream them."""
    events: list[Event] = [Start("chatcmpl-1", "m")]
    calls = 0
    for kind in draw(st.lists(st.sampled_from(["text", "thought", "block", "call", "refusal", *kinds]), max_size=8)):
        text = draw(st.text(max_size=4))
        match kind:
            case "text":
                events.append(TextDelta(text))
            case "thought":
                events.append(ReasoningDelta(text))
            case "block":
                events.append(ReasoningDone(THOUGHT))
            case "refusal":
                events.append(RefusalDelta(text))
            case _:
                events += [
                    ToolStart(calls, f"call_{calls}", f"f{calls}", custom=kind == "custom"),
                    ToolDelta(calls, text),
                    ToolDelta(calls, "}"),
                ]
                calls += 1
    return [*events, Finished("tool_calls" if calls else "stop"), UsageSeen(Usage(5, 2, total=7)), Ended()]


@given(said())  # without free-form tools: the client's chunk type does not know them yet
def test_the_official_client_adds_a_stream_up_to_the_whole_answer(events: list[Event]) -> None:
    message = accumulated(*events, include_usage=True)

    texts = "".join(event.text for event in events if isinstance(event, TextDelta))
    starts = [event for event in events if isinstance(event, ToolStart)]
    assert (message.choices[0].message.content or "") == texts
    calls: list[Any] = message.choices[0].message.tool_calls or []
    assert [(call.id, call.function.name) for call in calls] == [(start.id, start.name) for start in starts]
    for index, call in enumerate(calls):
        arguments = [event.arguments for event in events if isinstance(event, ToolDelta) and event.index == index]
        assert call.function.arguments == "".join(arguments)
    assert message.usage is not None
    assert message.usage.total_tokens == 7


@given(said("custom"))
def test_what_is_written_is_read_back_as_the_same_events(events: list[Event]) -> None:
    reader = OPENAI_CHAT.reader()
    text = OPENAI_CHAT.writer(echo(include_usage=True)).write(events)

    again = reader.feed(text) + reader.eof()

    mine = [
        event
        for event in events
        if not isinstance(event, ReasoningDone | Start)
        and getattr(event, "text", "x")
        and getattr(event, "arguments", "x")
    ]
    assert [event for event in again if not isinstance(event, Start)] == mine


# ---------------------------------------------------------------- whole answers


def test_an_answer_is_what_the_official_client_expects() -> None:
    whole = written(THOUGHT, Text("Hé"), Text("llo"))

    assert ChatCompletion.model_validate(whole, strict=True).choices[0].message.content == "Héllo"
    assert whole == {
        "id": "chatcmpl-01abc", "object": "chat.completion", "created": 1_790_000_000, "model": "fast", "system_fingerprint": None,
        "choices": [{
            "index": 0, "logprobs": None, "finish_reason": "stop",
            "message": {"role": "assistant", "content": "Héllo", "refusal": None, "reasoning_content": "hm", "thinking_blocks": [BLOCK]},
        }],
        "usage": {"prompt_tokens": 5, "completion_tokens": 2, "total_tokens": 7, "prompt_tokens_details": {"cached_tokens": 3}},
    }  # fmt: skip


@pytest.mark.parametrize(
    ("parts", "content", "refusal"),
    [
        ([], "", None),
        ([ToolCall("a", "f", "{}")], None, None),
        ([Refusal("no")], None, "no"),
        ([Text("a"), Refusal("no")], "a", "no"),
    ],
)
def test_content_is_null_only_where_something_else_is_said(
    parts: list[Part], content: str | None, refusal: str | None
) -> None:
    message = written(*parts)["choices"][0]["message"]

    assert (message["content"], message["refusal"]) == (content, refusal)
    assert ("tool_calls" in message) == (parts == [ToolCall("a", "f", "{}")])


def test_calls_keep_their_arguments_byte_for_byte_and_their_signatures() -> None:
    calls = [ToolCall("a", "f", '{"x": 1.10}', opaque=SIGNATURE), ToolCall("b", "g", "raw", custom=True)]

    choice = written(*calls, finish="tool_calls")["choices"][0]

    assert choice["message"]["tool_calls"] == [
        {"id": "a", "type": "function", "function": {"name": "f", "arguments": '{"x": 1.10}'}, "extra_content": {"google": {"thought_signature": "sig"}}},
        {"id": "b", "type": "custom", "custom": {"name": "g", "input": "raw"}},
    ]  # fmt: skip
    assert choice["finish_reason"] == "tool_calls"


def test_the_forms_that_a_request_asked_for_are_given() -> None:
    call = ToolCall("a", "f", "{}")

    legacy = written(call, finish="tool_calls", legacy_functions=True)["choices"][0]
    assert (legacy["finish_reason"], legacy["message"]["function_call"]) == (
        "function_call",
        {"name": "f", "arguments": "{}"},
    )
    assert written(call, finish="tool_calls", named_tool=True)["choices"][0]["finish_reason"] == "stop"
    hidden = written(THOUGHT, Text("a", opaque=SIGNATURE), expose_reasoning=False)["choices"][0]["message"]
    assert hidden == {
        "role": "assistant",
        "content": "a",
        "refusal": None,
        "extra_content": {"google": {"thought_signature": "sig"}},
    }


def test_an_answer_of_a_vendor_without_ids_gets_ours() -> None:
    reply = Reply("", "", [Choice([Text("a", annotations=[{"type": "x"}])], None, stop_sequence="END")], None)

    whole = json.loads(OPENAI_CHAT.write_reply(reply, echo()))

    assert whole["id"] == f"chatcmpl-{ID}"
    assert "usage" not in whole
    assert whole["choices"][0]["finish_reason"] == "stop"
    assert (whole["choices"][0]["message"]["annotations"], whole["choices"][0]["message"]["stop_sequence"]) == (
        [{"type": "x"}],
        "END",
    )


def test_an_error_has_all_four_keys_and_its_attempts() -> None:
    error = NoProviderAvailable("Nobody is left.", attempts=[{"provider": "openai", "status": 500}])

    assert json.loads(OPENAI_CHAT.write_error(error)) == {
        "error": {
            "message": "Nobody is left.",
            "type": "service_unavailable",
            "param": None,
            "code": "no_provider_available",
            "attempts": [{"provider": "openai", "status": 500}],
        }
    }
