"""What vendors gave us to replay reaches them again: over an answer and the next request, whole and streamed."""

from __future__ import annotations

import contextlib
import copy
import json
from typing import Any

import pytest
from anthropic_models import (
    DIALECT,
    ask,
    block,
    body_of,
    frame,
    read,
    result,
    say,
    started,
    stopped,
    target,
    text,
    thought,
)
from gemini_models import body as gemini_body
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.core.stash import Observer, Stash
from gateway.dialects.gemini import Gemini
from gateway.types import (
    BadReply,
    BlockDone,
    Ended,
    Event,
    Failed,
    Finished,
    Message,
    Notes,
    Opaque,
    Part,
    Paused,
    Reasoning,
    Reply,
    ResponseFormat,
    Start,
    Text,
    Tool,
    ToolCall,
    UsageSeen,
    VendorBlock,
    Written,
)

OPUS = "claude-opus-5-5"
SEARCH = Tool("web_search", native={"type": "web_search_20260318", "name": "web_search"})
USE = {"type": "server_tool_use", "id": "srvtoolu_1", "name": "web_search", "input": {"query": "x"}}
FOUND = {"type": "web_search_tool_result", "tool_use_id": "srvtoolu_1", "content": []}
CITED = {
    "type": "text",
    "text": "cited",
    "citations": [
        {
            "type": "web_search_result_location",
            "url": "https://x",
            "title": "X",
            "encrypted_index": "E",
            "cited_text": "c",
        }
    ],
}


def message(*content: dict[str, Any], stop: str = "end_turn", id_: str = "msg_1") -> bytes:
    usage = {"input_tokens": 10, "output_tokens": 5}
    body = {"type": "message", "id": id_, "model": "claude", "role": "assistant", "content": content}
    return json.dumps({**body, "stop_reason": stop, "usage": usage}).encode()


def written(*messages: Message, **fields: Any) -> Written:
    return DIALECT.write_request(ask(*messages, tools=[SEARCH], **fields), target(), Notes())


def last_turn(parts: list[Part], model: str = OPUS) -> list[Any]:
    messages = [say("user", "?"), Message("assistant", parts), say("user", "!")]
    return list(body_of(ask(*messages, tools=[SEARCH]), target(model))["messages"][1]["content"])


# ---------------------------------------------------------------- blocks and citations


def test_server_tools_and_citations_go_back_as_they_came() -> None:
    parts = DIALECT.read_reply(message(USE, FOUND, CITED, {"type": "text", "text": "!"})).choices[0].parts

    assert last_turn(parts) == [USE, FOUND, CITED, {"type": "text", "text": "!"}]


def test_a_text_that_was_changed_is_no_quotation_any_more() -> None:
    parts = DIALECT.read_reply(message(CITED)).choices[0].parts
    assert isinstance(parts[0], Text)
    parts[0].text = "edited"

    assert last_turn(parts) == [{"type": "text", "text": "edited"}]


def test_a_stream_gives_the_same_to_keep() -> None:
    deltas = [{"type": "citations_delta", "citation": CITED["citations"][0]}, {"type": "text_delta", "text": "cited"}]
    use = block(0, {**USE, "input": {}}, {"type": "input_json_delta", "partial_json": '{"query":"x"}'})
    stream = (
        started() + use + block(1, FOUND) + block(2, {"type": "text", "text": ""}, *deltas) + text(3, "!") + stopped()
    )
    observer = Observer()
    observer.see(read(stream))

    assert last_turn(observer.parts()) == [USE, FOUND, CITED, {"type": "text", "text": "!"}]


def test_thoughts_are_sent_back_all_or_not_at_all() -> None:
    first, second = [thought(), Text("a")], [Reasoning("lost"), Text("b")]
    turns = [
        say("user", "?"),
        Message("assistant", first),
        say("user", "!"),
        Message("assistant", second),
        say("user", "."),
    ]

    def kinds(model: str, *messages: Message) -> list[str]:
        sent = body_of(ask(*messages), target(model))["messages"]
        return [part["type"] for turn in sent if turn["role"] == "assistant" for part in turn["content"]]

    assert kinds(OPUS, *turns) == ["text", "text"]
    assert kinds(OPUS, *turns[:3]) == ["thinking", "text"]
    assert kinds("claude-sonnet-4-6", *turns) == ["thinking", "text", "text"], "older models do not check"
    foreign = Reasoning("", Opaque("google", "thought_signature", "AA=="))
    assert kinds(OPUS, *turns[:3], Message("assistant", [foreign, Text("b")]), turns[4]) == ["thinking", "text", "text"]


def test_a_signature_that_the_client_dropped_comes_back_from_the_stash() -> None:
    signed = {"functionCall": {"name": "weather", "args": {}}, "thoughtSignature": "c2ln"}
    answer = {"candidates": [{"content": {"parts": [signed]}, "finishReason": "STOP"}], "responseId": "r"}
    reply = Gemini().read_reply(json.dumps(answer).encode())
    stash, asked = Stash(), [say("user", "?")]
    stash.remember("acme", reply.choices[0].parts, 0.0, asked)
    made = reply.choices[0].parts[0]
    assert isinstance(made, ToolCall)

    replayed = ask(*asked, say("assistant", ToolCall(made.id, made.name, made.arguments)), result(made.id))
    for tenant, signature in (("acme", "c2ln"), ("globex", "skip_thought_signature_validator")):
        request = stash.restored(tenant, replayed, 1.0)
        assert gemini_body(request)["contents"][1]["parts"][0]["thoughtSignature"] == signature


# ---------------------------------------------------------------- pauses


def whole(replies: list[bytes], undo: Any) -> tuple[Reply, list[bytes]]:
    """The last answer of a chain, and the bodies that asked for the rest."""
    bodies: list[bytes] = []
    for body in replies:
        reply = DIALECT.read_reply(body, undo)
        if reply.again is None:
            return reply, bodies
        assert reply.choices[0].finish == "length", "as long as nobody asks for the rest it is cut"
        bodies.append(reply.again.body)
        undo = reply.again.undo
    raise AssertionError("the chain has no end")


def test_every_pause_sends_back_all_that_was_said_behind_the_same_bytes() -> None:
    first = written()
    replies = [
        message({"type": "text", "text": "a"}, USE, stop="pause_turn"),
        message(FOUND, {"type": "text", "text": " "}, stop="pause_turn"),
        message({"type": "text", "text": "b"}),
    ]

    reply, bodies = whole(replies, first.undo)

    assert [part.text for part in reply.choices[0].parts if isinstance(part, Text)] == ["a", " ", "b"]
    assert reply.usage is not None and (reply.usage.input, reply.usage.output, reply.usage.total) == (30, 15, 45)
    for body, content in zip(
        bodies, [[{"type": "text", "text": "a"}, USE], [{"type": "text", "text": "a"}, USE, FOUND]], strict=True
    ):
        assert body.startswith(first.body[:-2])
        assert json.loads(body)["messages"][-1] == {"role": "assistant", "content": content}


def test_after_ten_pauses_the_answer_is_cut() -> None:
    paused = message(USE, stop="pause_turn")

    reply, bodies = whole([paused] * 11, written().undo)
    assert (len(bodies), reply.choices[0].finish) == (10, "length")


@pytest.mark.parametrize("content", [[], [{"type": "text", "text": " "}]])
def test_a_pause_with_nothing_to_send_back_is_a_cut_answer(content: list[Any]) -> None:
    reply = DIALECT.read_reply(message(*content, stop="pause_turn"), written().undo)

    assert (reply.again, reply.choices[0].finish) == (None, "length")


def test_a_request_that_cannot_pause_keeps_no_body() -> None:
    assert DIALECT.write_request(ask(), target(), Notes()).undo is None
    assert DIALECT.read_reply(message(USE, stop="pause_turn")).choices[0].finish == "length"


def streams(parts: list[bytes], undo: Any) -> list[Event]:
    events: list[Event] = []
    for part in parts:
        events += read(part, undo=undo)
        if isinstance(events[-1], Paused):
            undo = events.pop().again.undo  # type: ignore[union-attr]
    return events


def test_a_paused_stream_is_one_stream() -> None:
    tool = {"type": "tool_use", "id": "t", "name": "get_weather", "input": {}}
    parts = [
        started() + text(0, "a") + block(1, USE) + stopped("pause_turn"),
        started() + block(0, FOUND) + block(1, tool) + stopped("tool_use"),
    ]

    events = streams(parts, written().undo)

    assert sum(isinstance(event, Start) for event in events) == sum(isinstance(event, Ended) for event in events) == 1
    assert [event.reason for event in events if isinstance(event, Finished)] == ["tool_calls"]
    assert [event.block.opaque.data for event in events if isinstance(event, BlockDone)] == [USE, FOUND]
    assert [event.usage.output for event in events if isinstance(event, UsageSeen)] == [1, 7, 8, 14]


def test_a_paused_stream_that_is_cut_in_its_rest_never_looks_complete() -> None:
    paused = started() + block(0, USE) + stopped("pause_turn")
    events = streams([paused, started() + text(0, "b")], written().undo)

    assert not any(isinstance(event, Finished | Ended) for event in events)
    assert getattr(events[-1], "kind", "") == "truncated"


def test_a_fence_that_a_pause_parts_is_taken_off_all_the_same() -> None:
    undo = written(format=ResponseFormat("json_object")).undo
    parts = [
        started() + text(0, "```js") + block(1, USE) + stopped("pause_turn"),
        started() + text(0, 'on\n{"a":1}\n```') + stopped(),
    ]
    said = "".join(getattr(event, "text", "") for event in streams(parts, undo))
    reply, _ = whole(
        [
            message({"type": "text", "text": "```js"}, USE, stop="pause_turn"),
            message({"type": "text", "text": 'on\n{"a":1}\n```'}),
        ],
        undo,
    )

    assert said == "".join(part.text for part in reply.choices[0].parts if isinstance(part, Text)) == '{"a":1}'


def test_an_odd_rest_is_no_answer_and_no_crash() -> None:
    for rest in (frame({"type": "message_start", "message": {"id": 5}}), b"data: {\n\n", b""):
        again = read(started() + block(0, USE) + stopped("pause_turn"), undo=written().undo)[-1]
        assert isinstance(again, Paused)
        assert getattr(read(rest, undo=again.again.undo)[-1], "kind", "") in ("bad_reply", "truncated")


# ---------------------------------------------------------------- Gemini's


def fragment(parts: list[dict[str, Any]], reason: str = "", token: str = "", count: int = 5) -> bytes:
    candidate: dict[str, Any] = {
        "content": {"parts": parts},
        "finishReason": reason or None,
        "continuationToken": token or None,
    }
    usage = {"promptTokenCount": 10, "candidatesTokenCount": count}
    return json.dumps(
        {"candidates": [candidate], "usageMetadata": usage, "responseId": "r", "modelVersion": "g"}
    ).encode()


def gemini_written() -> Written:
    return Gemini().write_request(ask(), target(), Notes())


def test_gemini_goes_on_eight_times_and_never_twice_with_one_token() -> None:
    for tokens, hops in (([f"t{n}" for n in range(12)], 8), (["t"] * 12, 1)):
        undo, asked = gemini_written().undo, []
        for token in tokens:
            reply = Gemini().read_reply(fragment([{"text": "x"}], "CONTINUATION", token), undo)
            if reply.again is None:
                break
            asked.append(json.loads(reply.again.body)["continuationToken"])
            undo = reply.again.undo
        assert asked == tokens[:hops]
        assert reply.choices[0].finish == "length"
        assert reply.choices[0].parts == [Text("x" * (hops + 1))]
        assert reply.usage is not None and reply.usage.output == 5 * (hops + 1)


def test_gemini_streams_go_on_with_their_calls_counted_through() -> None:
    call_ = {"functionCall": {"name": "f", "args": {}}}
    events: list[Event] = []
    undo = gemini_written().undo
    for data in (fragment([call_], "CONTINUATION", "t1"), fragment([call_], "STOP")):
        reader = Gemini().reader(undo)
        events += reader.feed(b"data: " + data + b"\n\n") + reader.eof()
        if isinstance(events[-1], Paused):
            undo = events.pop().again.undo  # type: ignore[union-attr]

    calls = [(event.index, event.id) for event in events if hasattr(event, "id") and hasattr(event, "index")]
    assert [index for index, _ in calls] == [0, 1] and calls[0][1] != calls[1][1]
    assert [event.reason for event in events if isinstance(event, Finished)] == ["tool_calls"]
    assert [event.usage.output for event in events if isinstance(event, UsageSeen)] == [5, 10]


@pytest.mark.parametrize("token", ["", None])
def test_a_continuation_without_a_token_is_cut(token: str | None) -> None:
    assert (
        Gemini().read_reply(fragment([{"text": "x"}], "CONTINUATION", token or ""), gemini_written().undo).again is None
    )
    assert Gemini().read_reply(fragment([{"text": "x"}], "CONTINUATION", "t")).choices[0].finish == "length"


def test_blocks_of_geminis_own_tools_come_out_of_a_stream_with_their_signatures() -> None:
    code = {"executableCode": {"language": "PYTHON", "code": "1"}, "thoughtSignature": "c2ln"}
    reader = Gemini().reader()
    events = reader.feed(b"data: " + fragment([code], "STOP") + b"\n\n") + reader.eof()

    blocks = [event.block for event in events if isinstance(event, BlockDone)]
    assert blocks == [VendorBlock(Opaque("google", "server_block", code))]
    assert blocks == Gemini().read_reply(fragment([code], "STOP")).choices[0].parts


DEEP: Any = json.loads('{"a":' * 300 + "1" + "}" * 300)
VALUES = st.sampled_from([None, 0, -1, 2**70, 1.5, True, "", "x", "\ud800", [], [1], {}, {"type": "text"}, DEEP])


@given(st.data())
@settings(max_examples=300, deadline=None)
def test_no_odd_value_anywhere_in_a_pause_is_a_crash(data: st.DataObject) -> None:
    """Any member of any frame of a paused stream may be anything: events come, and Failed where it makes no sense."""
    compaction = [{"type": "compaction_delta", "content": "s", "encrypted_content": None, "signature": "s"}]
    use = [{"type": "input_json_delta", "partial_json": '{"a":1}'}]
    stream = (
        started()
        + block(0, USE, *use)
        + block(1, {"type": "compaction"}, *compaction)
        + block(2, CITED)
        + stopped("pause_turn")
    )
    frames = [json.loads(piece.partition(b"data: ")[2]) for piece in stream.strip().split(b"\n\n")]
    for _ in range(data.draw(st.integers(1, 3))):
        place: Any = data.draw(st.sampled_from(frames))
        while True:
            key = data.draw(st.sampled_from(sorted(place)))
            if not isinstance(place[key], dict) or not place[key] or data.draw(st.booleans()):
                break
            place = place[key]
        place[key] = copy.deepcopy(data.draw(VALUES))
    undo = written().undo

    events = read(*(b"data: " + json.dumps(value).encode() + b"\n\n" for value in frames), undo=undo)
    assert isinstance(events[-1], Paused | Ended | Failed)
    if isinstance(events[-1], Paused):
        assert json.loads(events[-1].again.body)["messages"][-1]["role"] == "assistant"
    whole_body = json.dumps(
        {**_object(frames[0].get("message")), "content": [frames[1].get("content_block")], "stop_reason": "pause_turn"}
    )
    with contextlib.suppress(BadReply):
        DIALECT.read_reply(whole_body.encode(), undo)


def _object(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}
