"""Streams of Gemini: the same answer as a whole one, however the bytes are cut, and never a false ending."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.dialects.gemini import Gemini
from gateway.types import (
    Annotated,
    Choice,
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

UNAVAILABLE = {"code": 503, "message": "try later", "status": "UNAVAILABLE"}


def signed(data: str) -> Opaque:
    return Opaque("google", "thought_signature", data)


def fragment(*parts: dict[str, Any], finish: str = "", index: int = 0, **fields: Any) -> dict[str, Any]:
    candidate: dict[str, Any] = {
        "index": index,
        **({"content": {"parts": list(parts), "role": "model"}} if parts else {}),
    }
    if finish:
        candidate["finishReason"] = finish
    return {"candidates": [{**candidate, **fields}], "modelVersion": "gemini-x", "responseId": "r1"}


def sse(*fragments: Any) -> bytes:
    return b"".join(b"data: " + json.dumps(one).encode() + b"\r\n\r\n" for one in fragments)


def events(stream: bytes, *cuts: int) -> list[Event]:
    reader = Gemini().reader()
    made: list[Event] = []
    for start, end in zip([0, *cuts], [*cuts, len(stream)], strict=True):
        made += reader.feed(stream[start:end])
    return made + reader.eof()


def folded(stream: list[Event]) -> Reply:
    """What a client has in the end, as a Reply: neighbouring deltas joined, a lone signature given to the text before it."""
    reply = Reply("", "", [], None)
    choices: dict[int, Choice] = {}
    for event in stream:
        choice = choices.setdefault(getattr(event, "choice", 0), Choice([], None, getattr(event, "choice", 0)))
        match event:
            case Start():
                reply.id, reply.model = event.id, event.model
            case TextDelta():
                _joined(choice.parts, Text(event.text))
            case ReasoningDelta():
                _joined(choice.parts, Reasoning(event.text))
            case ReasoningDone():
                _signed(choice.parts, event.part)
            case RefusalDelta():
                choice.parts.append(Refusal(event.text))
            case ToolStart():
                choice.parts.append(ToolCall(event.id, event.name, "", event.custom, event.opaque))
            case ToolDelta():
                calls = [part for part in choice.parts if isinstance(part, ToolCall)]
                calls[event.index].arguments += event.arguments
            case Annotated():
                [part for part in choice.parts if isinstance(part, Text)][-1].annotations = event.annotations
            case Finished():
                choice.finish = event.reason
            case UsageSeen():
                reply.usage = event.usage
    reply.choices = list(choices.values())
    return reply


def _joined(parts: list[Part], piece: Text | Reasoning) -> None:
    last = parts[-1] if parts else None
    if type(last) is type(piece) and isinstance(last, Text | Reasoning) and last.opaque is None:
        last.text += piece.text
    else:
        parts.append(piece)


def _signed(parts: list[Part], thought: Reasoning) -> None:
    last = parts[-1] if parts else None
    if isinstance(last, Reasoning) and last.text == thought.text and last.opaque is None:
        last.opaque = thought.opaque
    else:
        parts.append(thought)


ANSWER: list[dict[str, Any]] = [
    {"text": "Let me ", "thought": True},
    {"text": "see…", "thought": True, "thoughtSignature": "dGg="},
    {"text": "Zürich "},
    {"text": "is 🌞"},
    {"text": "", "thoughtSignature": "dHg="},
    {"functionCall": {"name": "weather", "args": {"city": "Zürich", "n": 1.1}}, "thoughtSignature": "Yw=="},
    {"functionCall": {"name": "time", "args": {}, "id": "own"}},
]
COUNTS = {"promptTokenCount": 9, "candidatesTokenCount": 4, "thoughtsTokenCount": 2, "totalTokenCount": 15}
GROUNDING = {
    "groundingChunks": [{"web": {"uri": "https://a.de", "title": "a"}}],
    "groundingSupports": [{"segment": {"startIndex": 0, "endIndex": 7}, "groundingChunkIndices": [0]}],
}


def whole() -> Reply:
    unsigned_thought = [{"text": "Let me see…", "thought": True, "thoughtSignature": "dGg="}, *ANSWER[2:]]
    answer = fragment(*unsigned_thought, finish="STOP", groundingMetadata=GROUNDING)
    return Gemini().read_reply(json.dumps({**answer, "usageMetadata": COUNTS}).encode())


def in_pieces() -> bytes:
    pieces = [fragment(part) for part in ANSWER]
    pieces[0]["usageMetadata"] = {"promptTokenCount": 9}
    return sse(*pieces, {**fragment({"text": ""}, finish="STOP", groundingMetadata=GROUNDING), "usageMetadata": COUNTS})


def test_a_stream_folds_to_the_whole_answer() -> None:
    assert folded(events(in_pieces())) == whole()


def test_every_cut_gives_the_same_events() -> None:
    stream = in_pieces()
    expected = events(stream)

    for cut in range(1, len(stream)):
        assert events(stream, cut) == expected
    assert events(stream, *range(1, len(stream))) == expected


TEXTS = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=5)
PIECES = st.lists(
    TEXTS.map(lambda text: {"text": text})
    | TEXTS.map(lambda text: {"text": text, "thought": True})
    | st.integers(0, 99).map(lambda n: {"functionCall": {"name": "f", "args": {"n": n}}}),
    max_size=8,
)


@given(PIECES, st.data())
def test_any_answer_in_any_pieces_is_the_same_answer(parts: list[dict[str, Any]], data: st.DataObject) -> None:
    stream = sse(*[fragment(part) for part in parts], fragment(finish="MAX_TOKENS"))
    cuts = sorted(data.draw(st.sets(st.integers(1, len(stream) - 1), max_size=4)))
    answer = fragment(*parts, finish="MAX_TOKENS")

    assert folded(events(stream, *cuts)) == Gemini().read_reply(json.dumps(answer).encode())


def test_a_stream_begins_and_ends_once() -> None:
    made = events(in_pieces())

    assert made[0] == Start("r1", "gemini-x")
    assert made[-1] == Ended()
    assert sum(isinstance(event, Start | Ended) for event in made) == 2


def test_the_calls_of_a_choice_are_counted_through_the_whole_stream() -> None:
    made = events(
        sse(
            fragment({"functionCall": {"name": "a"}}),
            fragment({"functionCall": {"name": "b"}}, index=1),
            fragment({"functionCall": {"name": "c"}}, finish="STOP"),
            fragment(finish="STOP", index=1),
        )
    )
    starts = [(event.choice, event.index, event.name) for event in made if isinstance(event, ToolStart)]

    assert starts == [(0, 0, "a"), (1, 0, "b"), (0, 1, "c")]
    assert [event for event in made if isinstance(event, Finished)] == [
        Finished("tool_calls"),
        Finished("tool_calls", 1),
    ]


def test_a_finish_after_the_call_still_says_tool_calls() -> None:
    made = events(sse(fragment({"functionCall": {"name": "a"}}), fragment(finish="STOP")))

    assert Finished("tool_calls") in made


def test_a_lone_signature_is_no_empty_text() -> None:
    made = events(sse(fragment({"text": "hi"}), fragment({"text": "", "thoughtSignature": "YQ=="}, finish="STOP")))

    assert made[1:] == [
        TextDelta("hi"),
        ReasoningDone(Reasoning("", signed("YQ=="))),
        Finished("stop"),
        Ended(),
    ]


def test_usage_is_told_when_it_changes() -> None:
    pieces = [{**fragment({"text": "a"}), "usageMetadata": {"promptTokenCount": 5}} for _ in range(3)]
    made = events(sse(*pieces, {**fragment(finish="STOP"), "usageMetadata": COUNTS}))

    assert [event.usage for event in made if isinstance(event, UsageSeen)] == [
        Usage(input=5, total=5),
        Usage(9, 6, reasoning=2, total=15),
    ]


def test_a_blocked_prompt_is_an_answer() -> None:
    made = events(sse({"promptFeedback": {"blockReason": "SAFETY"}, "usageMetadata": {"promptTokenCount": 4}}))

    assert made[2:] == [RefusalDelta("Prompt blocked: SAFETY"), Finished("content_filter"), Ended()]


def test_thinking_up_to_the_limit_is_an_answer_without_text() -> None:
    assert events(sse(fragment(finish="MAX_TOKENS")))[1:] == [Finished("length"), Ended()]


@pytest.mark.parametrize("finish", ["MALFORMED_FUNCTION_CALL", "OTHER", "NO_IMAGE"])
def test_a_broken_end_fails_unless_there_is_something_to_use(finish: str) -> None:
    assert events(sse(fragment(finish=finish, finishMessage="bad")))[1:] == [Failed("bad_reply", f"{finish}: bad")]
    assert events(sse(fragment({"text": "x"}, finish=finish)))[-2:] == [Finished("stop"), Ended()]


def test_a_restricted_account_fails() -> None:
    assert events(sse(fragment({"text": "x"}, finish="PUP_LIMITED_DISABLED")))[-1] == Failed(
        "forbidden", "PUP_LIMITED_DISABLED: "
    )


@pytest.mark.parametrize("stream", [b"", b": ping\n\n", sse(fragment({"text": "a"})), sse({"usageMetadata": COUNTS})])
def test_an_end_without_a_finish_reason_is_a_cut(stream: bytes) -> None:
    made = events(stream)

    assert isinstance(made[-1], Failed) and made[-1].kind == "truncated"
    assert not any(isinstance(event, Ended | Finished) for event in made)


@pytest.mark.parametrize(
    "error",
    [
        b"data: " + json.dumps({"error": UNAVAILABLE}).encode() + b"\n\n",
        b"data: " + json.dumps([{"error": UNAVAILABLE}]).encode() + b"\n\n",
        json.dumps({"error": UNAVAILABLE}).encode(),
        json.dumps({"error": UNAVAILABLE}).encode() + b"\n",
        json.dumps([{"error": UNAVAILABLE}], indent=2).encode() + b"\r\n\r\n",
        json.dumps({"error": UNAVAILABLE}, indent=2).encode(),
    ],
)
@pytest.mark.parametrize("before", [b"", sse(fragment({"text": "a"}))])
def test_errors_are_seen_in_each_of_their_shapes(before: bytes, error: bytes) -> None:
    stream = before + error
    expected = events(stream)

    assert expected[-1] == Failed("overloaded", "try later", 503)
    for cut in range(1, len(stream)):
        assert events(stream, cut) == expected


@pytest.mark.parametrize(
    ("error", "failed"),
    [
        ({"code": 429, "status": "RESOURCE_EXHAUSTED", "message": "m"}, Failed("rate_limited", "m", 429)),
        ({"code": 500, "status": "INTERNAL"}, Failed("server_error", "", 500)),
        ({"code": 400}, Failed("bad_request", "", 400)),
        ({"status": "PERMISSION_DENIED"}, Failed("auth")),
        ({}, Failed("error_event")),
        ("boom", Failed("error_event")),
    ],
)
def test_an_error_says_what_kind_it_is(error: Any, failed: Failed) -> None:
    assert events(sse({"error": error})) == [failed]


def test_an_error_of_null_is_none() -> None:
    assert events(sse({**fragment({"text": "a"}, finish="STOP"), "error": None}))[-1] == Ended()


def test_nothing_follows_a_failure() -> None:
    assert events(sse({"error": UNAVAILABLE}, fragment({"text": "late"}, finish="STOP"))) == [
        Failed("overloaded", "try later", 503)
    ]


@pytest.mark.parametrize("frame", [b"data: {\n\n", b"data: 7\n\n", b'data: {"candidates":7}\n\n', b"data: [1]\n\n"])
def test_a_frame_that_is_no_fragment_fails(frame: bytes) -> None:
    made = events(sse(fragment({"text": "a"}, finish="STOP")) + frame)

    assert isinstance(made[-1], Failed) and made[-1].kind == "bad_reply"


def test_the_end_mark_of_another_dialect_is_no_error() -> None:
    assert events(sse(fragment({"text": "a"}, finish="STOP")) + b"data: [DONE]\n\n")[-1] == Ended()


def test_a_line_without_end_fails() -> None:
    reader = Gemini().reader()
    made: list[Event] = []
    for _ in range(18):
        made += reader.feed(b"x" * 1024 * 1024)

    assert [type(event) for event in made] == [Failed]
    assert reader.eof() == []


def test_log_probabilities_come_with_their_text() -> None:
    logprobs = {"chosenCandidates": [{"token": "a", "logProbability": -0.5}]}
    made = events(sse(fragment({"text": "a"}, finish="STOP", logprobsResult=logprobs)))

    assert made[1] == TextDelta(
        "a", logprobs={"content": [{"token": "a", "logprob": -0.5, "bytes": None, "top_logprobs": []}], "refusal": None}
    )
