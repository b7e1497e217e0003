"""Streams for Gemini clients, as events and as an array: read by Google's own readers, cut everywhere."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from gemini_clients import client, echo, fragments, received, received_as_array
from golden_case import ROOT, Case
from google.genai import errors

from gateway.dialects.gemini import GEMINI
from gateway.errors import UpstreamError
from gateway.types import (
    Annotated,
    BlockDone,
    Ended,
    Event,
    Failed,
    Finished,
    Image,
    ImageDone,
    Notes,
    Opaque,
    Reasoning,
    ReasoningDelta,
    ReasoningDone,
    RefusalDelta,
    Start,
    Text,
    TextDelta,
    ToolDelta,
    ToolStart,
    Usage,
    UsageSeen,
    VendorBlock,
)

STREAMS = sorted(ROOT.glob("*/*/stream.sse"))
BROKEN = UpstreamError("the stream broke", code="stream_interrupted")
THOUGHT = ReasoningDone(Reasoning("hm", Opaque("anthropic", "thinking", {})))
NATIVE = Opaque("google", "thought_signature", "c2ln")
DONE = [Finished("stop"), Ended()]


def parts(*events: Event, **members: Any) -> list[Any]:
    """The parts of all fragments of the first candidate, in order, without what carries nothing."""
    found = [part for one in fragments(*events, **members) for part in one["candidates"][0]["content"]["parts"]]
    return [part for part in found if part != {"text": ""}]


def test_the_last_fragment_says_how_it_ended_and_what_it_cost() -> None:
    found = fragments(
        Start("msg_1", "up"), TextDelta("Hel"), TextDelta("lo"), Finished("length"), UsageSeen(Usage(3, 2)), Ended()
    )

    assert [list(one) for one in found] == [["candidates", "modelVersion", "responseId"]] * 2 + [
        ["candidates", "usageMetadata", "modelVersion", "responseId"]
    ]
    assert [one["candidates"][0].get("finishReason") for one in found] == [None, None, "MAX_TOKENS"]
    assert {one["responseId"] for one in found} == {"1"} and {one["modelVersion"] for one in found} == {"fast"}
    assert found[2]["usageMetadata"] == {"promptTokenCount": 3, "candidatesTokenCount": 2, "totalTokenCount": 5}


def test_a_call_goes_out_complete_in_one_part() -> None:
    events = [
        ToolStart(0, "a", "f"),
        ToolStart(1, "b", "g"),
        ToolDelta(0, '{"x"'),
        ToolDelta(1, "{}"),
        ToolDelta(0, ":1}"),
    ]
    found = fragments(*events, Finished("tool_calls"), Ended())

    assert len(found) == 1
    assert found[0]["candidates"][0]["content"]["parts"] == [
        {"functionCall": {"id": "a", "name": "f", "args": {"x": 1}}},
        {"functionCall": {"id": "b", "name": "g", "args": {}}},
    ]


def test_a_text_after_a_call_stays_behind_it() -> None:
    call = [ToolStart(0, "a", "f"), ToolDelta(0, "{}")]
    open_call = [ToolStart(1, "b", "g"), ToolDelta(1, '{"x":')]
    found = parts(*call, TextDelta("t"), *open_call, TextDelta("u"), ToolDelta(1, "1}"), *DONE)

    assert [next(iter(part)) for part in found] == ["functionCall", "text", "text", "functionCall"]
    assert found[3]["functionCall"]["args"] == {"x": 1}


def test_a_call_that_never_came_whole_is_not_shown() -> None:
    out = GEMINI.writer(echo()).write([ToolStart(0, "a", "f"), ToolDelta(0, '{"x":'), Failed("reset")])
    assert out == b""


def test_thoughts_are_parts_of_their_own_or_nothing() -> None:
    assert parts(ReasoningDelta("hm"), TextDelta("hi"), *DONE) == [{"text": "hm", "thought": True}, {"text": "hi"}]
    assert parts(ReasoningDelta("hm"), TextDelta("hi"), *DONE, expose_reasoning=False) == [{"text": "hi"}]


def test_signatures_go_out_on_what_follows_the_thought() -> None:
    def seal(opaque: list[Opaque]) -> str:
        return f"gw1.{len(opaque)}"

    call = [ToolStart(0, "a", "f"), ToolDelta(0, "{}")]
    texts = parts(THOUGHT, THOUGHT, TextDelta("hi"), THOUGHT, *call, THOUGHT, *DONE, seal=seal)
    assert [part["thoughtSignature"] for part in texts] == ["Z3cxLjI=", "Z3cxLjE=", "Z3cxLjE="]
    assert texts[2]["text"] == ""
    own = parts(ReasoningDone(Reasoning("", NATIVE)), ToolStart(0, "a", "f", opaque=NATIVE), *DONE, seal=seal)
    assert [part["thoughtSignature"] for part in own] == ["c2ln", "c2ln"]


def test_pictures_and_googles_own_blocks_are_parts_and_others_blocks_wait() -> None:
    own = BlockDone(VendorBlock(Opaque("google", "server_block", {"executableCode": {"code": "1"}})))
    other = BlockDone(VendorBlock(Opaque("anthropic", "server_block", {})))
    again = BlockDone(VendorBlock(Opaque("anthropic", "text", {"type": "text"})))
    picture = ImageDone(Image("image/png", "aGk="))

    found = parts(own, other, again, picture, TextDelta("hi"), *DONE, seal=lambda opaque: f"gw1.{len(opaque)}")
    assert found == [
        {"executableCode": {"code": "1"}},
        {"inlineData": {"mimeType": "image/png", "data": "aGk="}},
        {"text": "hi", "thoughtSignature": "Z3cxLjE="},
    ]


def test_refusals_sources_and_log_probabilities_are_told() -> None:
    note = {
        "type": "url_citation",
        "url_citation": {"start_index": 1, "end_index": 2, "url": "https://x.test", "title": "X"},
    }
    logprobs = {"content": [{"token": "ä", "logprob": -1.0, "bytes": None, "top_logprobs": []}], "refusal": None}
    found = fragments(
        TextDelta("äb", logprobs=logprobs), Annotated([note]), RefusalDelta("No"), RefusalDelta("."), *DONE
    )
    last = found[-1]["candidates"][0]

    assert found[0]["candidates"][0]["logprobsResult"]["chosenCandidates"] == [{"token": "ä", "logProbability": -1.0}]
    assert (last["finishReason"], last["finishMessage"]) == ("SAFETY", "No.")
    assert last["groundingMetadata"]["groundingSupports"][0]["segment"] == {
        "partIndex": 0, "startIndex": 2, "endIndex": 3, "text": "b",
    }  # fmt: skip


def test_choices_are_told_apart_and_end_together() -> None:
    found = fragments(TextDelta("a"), TextDelta("b", 1), Finished("stop", 1), Finished("length"), Ended())

    assert [one["index"] for one in found[-1]["candidates"]] == [0, 1]
    assert [one["finishReason"] for one in found[-1]["candidates"]] == ["MAX_TOKENS", "STOP"]


def test_after_the_end_nothing_is_said() -> None:
    for array in (False, True):
        writer = GEMINI.writer(echo(array=array))
        assert writer.write(DONE)  # type: ignore[arg-type]
        assert writer.write([TextDelta("x")]) == b""


# ---------------------------------------------------------------- the array


def test_an_array_holds_the_same_fragments() -> None:
    events: list[Event] = [Start("1", "m"), TextDelta("Hel"), TextDelta("lo"), *DONE]
    out = GEMINI.writer(echo(array=True)).write(events)

    assert json.loads(out) == fragments(*events)
    assert text_of(received_as_array(out)) == "Hello"


def test_googles_reader_takes_nothing_behind_the_array() -> None:
    """Why there is no line end: the client reads character by character."""
    out = GEMINI.writer(echo(array=True)).write(DONE)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="Can only parse array"):
        received_as_array(out + b"\n")


def test_a_cut_array_never_looks_complete() -> None:
    writer = GEMINI.writer(echo(array=True))
    out = writer.write([TextDelta("Hel")]) + writer.error(BROKEN)

    with pytest.raises(ValueError):
        json.loads(out)
    with pytest.raises(ValueError, match="Unfinished stream"):
        received_as_array(out)
    assert json.loads(out + b"]")[1]["error"]["status"] == "UNAVAILABLE"
    # Closed, the error would be an empty answer and the stream a whole one: why it is not.
    assert [one.candidates for one in received_as_array(out + b"]")][1:] == [[]]


def test_the_array_form_of_a_stream_is_its_bytes() -> None:
    stream = b'data: {"a": 1.10}\r\n\r\n: ping\n\ndata: {"b":\ndata: "\xe2\x80\xa8"}\n\ndata: {"c":3}'
    form = GEMINI.array_form()
    assert form.feed(stream) + form.end() == b'[{"a": 1.10},\n{"b":\n"\xe2\x80\xa8"},\n{"c":3}]'
    assert form.end() == b"" and form.feed(b'data: {"d":4}\n\n') == b""
    assert GEMINI.array_form().end() == b"[]"


def test_the_array_form_is_the_same_wherever_it_is_cut_and_open_after_an_error() -> None:
    stream = b'data: {"a":1}\n\ndata: {"b":2}\n\n'
    for cut in range(len(stream)):
        form = GEMINI.array_form()
        assert form.feed(stream[:cut]) + form.feed(stream[cut:]) + form.end() == b'[{"a":1},\n{"b":2}]'
        form = GEMINI.array_form()
        broken = form.feed(stream[:cut]) + form.error(BROKEN)
        assert json.loads(broken + b"]")[-1]["error"]["code"] == 502
        assert form.end() == b""


# ---------------------------------------------------------------- with every provider's streams


def name_of(path: Path) -> str:
    return path.parent.relative_to(ROOT).as_posix()


@pytest.mark.parametrize("path", STREAMS, ids=name_of)
def test_google_genai_reads_every_providers_stream(path: Path) -> None:
    case, stream = Case(path.parent), path.read_bytes()
    undo = case.provider.write_request(case.request(), case.target(case.request()), Notes()).undo
    step = max(1, len(stream) // 12)
    for cut in range(0, len(stream) + 1, step):
        check(case.events(stream[:cut], undo, []))
    check(case.events(stream, undo, []))


def check(events: list[Event]) -> None:
    """What is written for `events` says what they say to both of Google's readers, and is whole only when they are."""
    failed = any(isinstance(event, Failed) for event in events)
    said = "".join(event.text for event in events if isinstance(event, TextDelta) and event.choice == 0)
    calls = sum(isinstance(event, ToolStart) and event.choice == 0 for event in events)
    for array in (False, True):
        # google-generativeai is older than thoughts: it cannot ask for them, and would take them for text.
        told = echo(array=array, seal=lambda opaque: "gw1.x", expose_reasoning=not array)
        writer = GEMINI.writer(told)
        out = b"".join(writer.write([event]) for event in events)
        assert GEMINI.writer(told).write(events) == out
        if failed:
            assert b"finishReason" not in out and b'"error"' not in out
            out += writer.error(BROKEN)
            with pytest.raises(ValueError if array else errors.ServerError):
                (received_as_array if array else received)(out)
        elif array:
            assert text_of(received_as_array(out)) == said
        else:
            found = received(out)
            assert text_of(found) == said
            assert sum(len(one.function_calls or []) for one in found) == calls
            assert found[-1].candidates is not None and found[-1].candidates[0].finish_reason is not None


def text_of(found: list[Any]) -> str:
    firsts = [one.candidates[0] for one in found if one.candidates and (one.candidates[0].index or 0) == 0]
    parts = [part for first in firsts for part in (first.content.parts or [])]
    return "".join(part.text or "" for part in parts if not getattr(part, "thought", None))


def test_a_chat_of_google_genai_goes_on_after_a_stream() -> None:
    """The client keeps the pieces as it got them and sends them back with the next turn."""
    bodies: list[bytes] = []
    seal = lambda opaque: "gw1.x"  # noqa: E731
    events = [Start("1", "m"), ReasoningDelta("hm"), THOUGHT, TextDelta("Hel"), TextDelta("lo"), *DONE]

    def answer(body: bytes) -> bytes:
        bodies.append(body)
        return GEMINI.writer(echo(seal=seal)).write(events)

    chat = client(answer, "text/event-stream").chats.create(model="m")
    for _ in range(2):
        assert "".join(one.text or "" for one in chat.send_message_stream("hi")) == "Hello"
    turn = GEMINI.read_request(bodies[1]).messages[1]

    assert turn.parts == [Reasoning("hm"), Text("Hello", opaque=Opaque("gateway", "sealed", "gw1.x"))]


def test_google_genai_takes_the_ping_and_no_comment() -> None:
    out = GEMINI.writer(echo()).write([TextDelta("hi")]) + GEMINI.ping + GEMINI.writer(echo()).write(DONE)  # type: ignore[arg-type]
    assert text_of(received(out)) == "hi"
    with pytest.raises(errors.UnknownApiResponseError):
        received(out.replace(b"\n\n\n\n", b"\n\n: ping\n\n"))
    array = GEMINI.writer(echo(array=True))
    assert json.loads(array.write([TextDelta("hi")]) + GEMINI.ping + array.write(DONE))  # type: ignore[arg-type]
