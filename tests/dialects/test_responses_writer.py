"""types.Reply and events into what Responses clients accept. Whole streams of every provider: test_responses_streams.py."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from openai.types.responses import Response
from responses_kit import accumulated, echo, frames, read, stream

from gateway.dialects.openai_responses import OPENAI_RESPONSES
from gateway.errors import ContextLengthExceeded, QuotaExceeded, RateLimitExceeded, UpstreamError
from gateway.types import (
    Annotated,
    BlockDone,
    Choice,
    Ended,
    Event,
    Failed,
    Finished,
    Image,
    ImageDone,
    Opaque,
    Part,
    Reasoning,
    ReasoningDelta,
    ReasoningDone,
    Refusal,
    RefusalDelta,
    Reply,
    Request,
    Start,
    Text,
    TextDelta,
    ToolCall,
    ToolDelta,
    ToolStart,
    Usage,
    UsageSeen,
    VendorBlock,
)

SEEN = read(reasoning={"effort": "low", "summary": "auto"})
THINKING = Opaque("anthropic", "thinking", {"type": "thinking"})
SIGNATURE = Opaque("google", "thought_signature", "c2ln")
ENDING: list[Event] = [Finished("stop"), UsageSeen(Usage(5, 2, cache_read=3, total=7)), Ended()]
CODEX = [
    {"type": "custom", "name": "patch"},
    {"type": "namespace", "name": "ns", "description": "", "tools": [{"type": "function", "name": "f"}]},
    {"type": "shell"},
]


def types(found: list[dict[str, Any]]) -> list[str]:
    return [event["type"].removeprefix("response.") for event in found]


def whole(*parts: Part, finish: Any = "stop", request: Request | None = None, **members: Any) -> dict[str, Any]:
    reply = Reply("msg_1", "upstream", [Choice(list(parts), finish)], Usage(5, 2))
    body: dict[str, Any] = json.loads(OPENAI_RESPONSES.write_reply(reply, echo(request, **members)))
    Response.model_validate(body)
    return body


def item(found: list[dict[str, Any]], kind: str) -> Any:
    done = [event["item"] for event in found if event["type"] == "response.output_item.done"]
    return next(given for given in done if given["type"] == kind)


# ---------------------------------------------------------------- streams


def test_an_empty_answer_is_whole_and_holds_nothing() -> None:
    found = stream([Start("r", "m"), *ENDING])

    assert types(found) == ["created", "in_progress", "completed"]
    assert found[-1]["response"]["output"] == []
    assert found[-1]["response"]["usage"] == {
        "input_tokens": 5,
        "input_tokens_details": {"cached_tokens": 3, "cache_write_tokens": 0},
        "output_tokens": 2,
        "output_tokens_details": {"reasoning_tokens": 0},
        "total_tokens": 7,
    }


def test_an_end_has_figures_where_the_provider_gave_none() -> None:
    found = stream([Start("1", "up"), TextDelta("hi"), Finished("stop"), Ended()])
    reply = Reply("1", "up", [Choice([Text("hi")], "length")], None)
    cut = json.loads(OPENAI_RESPONSES.write_reply(reply, echo()))

    assert found[0]["response"]["usage"] is None
    assert (found[-1]["response"]["usage"]["input_tokens"], cut["usage"]["output_tokens"]) == (0, 0)


def test_thoughts_are_shown_to_whoever_asked_and_kept_for_all() -> None:
    events = [ReasoningDelta("hm"), ReasoningDone(Reasoning("hm", THINKING)), TextDelta("Hi"), *ENDING]

    shown, hidden = item(stream(events, SEEN), "reasoning"), item(stream(events, read()), "reasoning")
    assert (shown["summary"][0]["text"], shown["encrypted_content"]) == ("hm", "gw1.anthropic.thinking")
    assert (hidden["summary"], hidden["encrypted_content"]) == ([], "gw1.anthropic.thinking")
    assert item(stream(events, SEEN, expose_reasoning=False), "reasoning")["summary"] == []
    assert "encrypted_content" not in item(stream(events, SEEN, seal=None), "reasoning")
    assert types(stream(events, read(), seal=None))[2] == "output_item.added"  # of the message: no thought is left


def test_a_thought_that_comes_whole_is_told_whole() -> None:
    found = stream([ReasoningDone(Reasoning("hm")), ReasoningDone(Reasoning("", THINKING)), *ENDING], SEEN)

    assert types(found)[2:-1] == [
        *("output_item.added", "reasoning_summary_part.added", "reasoning_summary_text.delta"),
        *("reasoning_summary_text.done", "reasoning_summary_part.done", "output_item.done"),
        *("output_item.added", "output_item.done"),
    ]


def test_openais_own_thoughts_are_not_sealed() -> None:
    own = Opaque("openai", "encrypted_content", {"id": "rs", "encrypted_content": "gAAA"})

    assert item(stream([ReasoningDone(Reasoning("", own)), *ENDING]), "reasoning")["encrypted_content"] == "gAAA"


SEARCH = {"type": "server_tool_use", "id": "s1", "name": "web_search", "input": {"query": "weather"}}
FETCH = {"type": "server_tool_use", "id": "s2", "name": "web_fetch", "input": {"url": "https://example.org"}}
FOUND = {"type": "web_search_tool_result", "tool_use_id": "s1", "content": []}
FAILED = {"type": "web_fetch_tool_result", "tool_use_id": "s2", "content": {"type": "web_fetch_tool_result_error"}}
CALLED = {"toolCall": {"id": "g1", "toolType": "GOOGLE_SEARCH_WEB", "args": {"queries": ["a", "b"]}}}
ANSWERED = {"toolResponse": {"id": "g1", "toolType": "GOOGLE_SEARCH_WEB", "response": {}}}


def block(vendor: str, given: dict[str, Any]) -> VendorBlock:
    return VendorBlock(Opaque(vendor, "server_block", given))


def searches(output: list[dict[str, Any]]) -> list[tuple[str, Any]]:
    return [(given["status"], given["action"]) for given in output if given["type"] == "web_search_call"]


def test_a_search_runs_until_its_result_comes() -> None:
    blocks = [block("anthropic", given) for given in (SEARCH, FETCH, FOUND, FAILED)]
    found = stream([*map(BlockDone, blocks), TextDelta("Sun"), *ENDING], seal=None)

    assert types(found)[2:12] == [
        *("output_item.added", "web_search_call.in_progress", "web_search_call.searching"),
        *("output_item.added", "web_search_call.in_progress", "web_search_call.searching"),
        *("web_search_call.completed", "output_item.done", "output_item.done", "output_item.added"),
    ]
    expected = [
        ("completed", {"type": "search", "query": "weather", "queries": ["weather"]}),
        ("failed", {"type": "open_page", "url": "https://example.org"}),
    ]
    assert searches(found[-1]["response"]["output"]) == expected
    assert accumulated(found) is not None
    assert searches(whole(*blocks, Text("Sun"))["output"]) == expected


def test_a_search_without_an_end_ends_with_the_answer_and_a_broken_one_is_left_out() -> None:
    search = BlockDone(block("anthropic", SEARCH))
    other = BlockDone(block("anthropic", {**SEARCH, "input": {}}))  # of the same id
    writer = OPENAI_RESPONSES.writer(echo())
    broken = frames((writer.write([search]) + writer.error(UpstreamError("it broke"))).decode())

    found = stream([search, other, *ENDING])
    assert [status for status, _ in searches(found[-1]["response"]["output"])] == ["completed", "completed"]
    assert searches(broken[-1]["response"]["output"]) == []


def test_what_a_vendor_says_beside_its_answer_is_said_once() -> None:
    blocks = [block("google", CALLED), block("google", ANSWERED)]
    said = Annotated([], searches=("a", "b", "c"))
    expected = [
        ("completed", {"type": "search", "query": "a", "queries": ["a", "b"]}),
        ("completed", {"type": "search", "query": "c", "queries": ["c"]}),
    ]

    streamed = stream([*map(BlockDone, blocks), TextDelta("Hi"), said, said, *ENDING])[-1]["response"]["output"]
    reply = Reply("", "m", [Choice([*blocks, Text("Hi")], "stop", searches=["a", "b", "c"])], None)
    body = json.loads(OPENAI_RESPONSES.write_reply(reply, echo()))
    assert searches(streamed) == searches(body["output"]) == expected
    assert [given["type"] for given in body["output"]][-2:] == ["web_search_call", "message"]


def test_a_search_that_comes_back_is_no_loss() -> None:
    output = whole(block("anthropic", SEARCH), block("anthropic", FOUND), Text("Sun"))["output"]
    request = read(input=[{"role": "user", "content": "Weather?"}, *output, {"role": "user", "content": "Thanks"}])

    assert request.left_out == []
    assert [len(message.parts) for message in request.messages] == [1, 3, 1]


def test_calls_beside_each_other_keep_their_places() -> None:
    found = stream(
        [
            ToolStart(0, "a", "f"),
            ToolStart(1, "b", "g", opaque=SIGNATURE),
            ToolDelta(1, "{}"),
            ToolDelta(0, '{"x":1}'),
            Finished("tool_calls"),
            Ended(),
        ]
    )

    output = found[-1]["response"]["output"]
    assert [(given["type"], given.get("call_id")) for given in output] == [
        ("function_call", "a"), ("reasoning", None), ("function_call", "b"),
    ]  # fmt: skip
    assert (output[0]["arguments"], output[2]["arguments"]) == ('{"x":1}', "{}")
    assert output[1]["encrypted_content"] == "gw1.google.thought_signature"
    assert accumulated(found) is not None


def test_tools_are_called_by_the_names_and_shapes_they_were_offered_with() -> None:
    request = read(tools=CODEX)
    found = stream(
        [ToolStart(0, "a", "patch"), ToolDelta(0, '{"input":"*** \\'), ToolDelta(0, 'u00e9"}'), ToolStart(1, "b", "ns__f"),
         ToolStart(2, "c", "shell"), ToolDelta(2, '{"commands":["ls"]}'), ToolStart(3, "d", "patch", custom=True),
         ToolDelta(3, "raw"), Finished("tool_calls"), Ended()],
        request,
    )  # fmt: skip

    output = found[-1]["response"]["output"]
    assert [given["type"] for given in output] == [
        "custom_tool_call", "function_call", "shell_call", "custom_tool_call",
    ]  # fmt: skip
    assert (output[0]["input"], output[3]["input"]) == ("*** é", "raw")
    assert (output[1]["name"], output[1]["namespace"], output[1]["arguments"]) == ("f", "ns", "{}")
    assert output[2]["action"] == {"commands": ["ls"], "timeout_ms": None, "max_output_length": None}
    assert accumulated(found) is not None


@pytest.mark.parametrize(
    "arguments", ["", "{", "[]", '{"commands":"ls"}', '{"commands":[5]}', '{"type":"create_file"}']
)
@pytest.mark.parametrize("tool", ["shell", "local_shell", "apply_patch"])
def test_a_typed_call_that_does_not_fit_is_a_function_call(tool: str, arguments: str) -> None:
    request = read(tools=[{"type": tool}])
    found = stream([ToolStart(0, "a", tool), ToolDelta(0, arguments), Finished("tool_calls"), Ended()], request)

    assert found[-1]["response"]["output"][0]["type"] == "function_call"
    assert whole(ToolCall("a", tool, arguments), request=request)["output"][0]["type"] == "function_call"


def test_annotations_count_from_their_own_message() -> None:
    note = {"type": "url_citation", "url_citation": {"url": "u", "title": "t", "start_index": 7, "end_index": 9}}
    events = [TextDelta("Before"), ToolStart(0, "a", "f"), TextDelta("After"), Annotated([note]), *ENDING]
    found = stream(events)

    flat = {"type": "url_citation", "url": "u", "title": "t", "start_index": 1, "end_index": 3}
    told = [event["annotation"] for event in found if event["type"] == "response.output_text.annotation.added"]
    assert told == [flat]
    assert found[-1]["response"]["output"][2]["content"][0]["annotations"] == [flat]
    body = whole(Text("Before"), ToolCall("a", "f", "{}"), Text("After", annotations=[note]))
    assert body["output"][2]["content"][0]["annotations"] == [flat]


def test_a_picture_comes_whole_and_what_only_its_vendor_reads_rides_along() -> None:
    block = VendorBlock(Opaque("anthropic", "server_block", {"type": "server_tool_use"}))
    once_more = VendorBlock(Opaque("anthropic", "text", {"type": "text", "text": "See"}))
    found = stream([TextDelta("See"), BlockDone(once_more), BlockDone(block), ImageDone(Image("image/png", "aGk=")), *ENDING])  # fmt: skip

    output = found[-1]["response"]["output"]
    assert [given["type"] for given in output] == ["message", "reasoning", "image_generation_call"]
    assert (output[1]["encrypted_content"], output[2]["result"]) == ("gw1.anthropic.server_block", "aGk=")
    assert accumulated(found) is not None
    assert whole(Text("See"), once_more, block, Image("image/png", "aGk="))["output"] == output


def test_log_probabilities_lie_flat() -> None:
    entry = {"token": "Hi", "logprob": -0.1, "bytes": [72, 105], "top_logprobs": []}
    found = stream([TextDelta("Hi", logprobs={"content": [entry], "refusal": None}), *ENDING])

    assert next(e for e in found if e["type"] == "response.output_text.delta")["logprobs"] == [entry]
    assert found[-1]["response"]["output"][0]["content"][0]["logprobs"] == [entry]


def test_after_the_end_nothing_is_said_and_other_choices_are_not_heard() -> None:
    writer = OPENAI_RESPONSES.writer(echo())

    assert writer.write([TextDelta("x", choice=1), Failed("reset")]) == b""
    assert writer.write(list(ENDING)) != b""
    assert writer.write([TextDelta("late")]) == b""
    assert [given["type"] for given in writer.output] == []


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (UpstreamError("x", code="stream_interrupted"), "server_error"),
        (RateLimitExceeded("x, try again in 1.2s"), "rate_limit_exceeded"),
        (QuotaExceeded("x"), "insufficient_quota"),
        (ContextLengthExceeded("x"), "context_length_exceeded"),
    ],
)
def test_a_failure_has_a_code_that_clients_know(error: Any, code: str) -> None:
    writer = OPENAI_RESPONSES.writer(echo())
    found = frames((writer.write([TextDelta("Hi")]) + writer.error(error)).decode())

    assert found[-1]["response"]["error"] == {"code": code, "message": error.message}
    assert found[-1]["response"]["output"][0]["status"] == "incomplete"
    assert writer.write(list(ENDING)) == b""


def test_a_failure_before_anything_was_said_is_a_bare_error() -> None:
    (event,) = frames(OPENAI_RESPONSES.writer(echo()).error(UpstreamError("x")).decode())

    assert event == {"type": "error", "sequence_number": 0, "code": "upstream_error", "message": "x", "param": None}


TEXTS = st.text(max_size=5)
EVENTS = st.one_of(
    st.builds(TextDelta, TEXTS),
    st.builds(ReasoningDelta, TEXTS),
    st.builds(ReasoningDone, st.builds(Reasoning, TEXTS, st.sampled_from([None, THINKING, SIGNATURE]))),
    st.builds(RefusalDelta, TEXTS),
    st.builds(ToolDelta, st.integers(0, 3), st.sampled_from(["{", "}", '{"input":"', "x", '"}', '{"commands":["a"]}'])),
    st.builds(Annotated, st.just([{"type": "url_citation", "url_citation": {"url": "u", "title": "t", "start_index": 0, "end_index": 1}}])),
    st.just("call"),
)  # fmt: skip


@settings(max_examples=300, deadline=None)
@given(
    st.lists(EVENTS, max_size=14), st.sampled_from(["stop", "length", "tool_calls", "content_filter"]), st.booleans()
)
def test_any_events_make_a_stream_that_the_official_client_reads(drawn: list[Any], finish: Any, shows: bool) -> None:
    calls, events = 0, []
    for event in drawn:
        if event == "call":
            names = ("f", "patch", "ns__f", "shell")
            event = ToolStart(calls, f"call_{calls}", names[calls % 4], opaque=SIGNATURE if calls % 2 else None)
            calls += 1
        events.append(event)
    summary = {"summary": "auto"} if shows else {}
    request = read(tools=CODEX, reasoning=summary)
    events += [Finished(finish), UsageSeen(Usage(1, 2)), Ended()]

    found = stream(events, request)
    assert (accumulated(found) is not None) == (finish in ("stop", "tool_calls"))
    writer = OPENAI_RESPONSES.writer(echo(request))
    assert frames(b"".join(writer.write([event]) for event in events).decode()) == found


# ---------------------------------------------------------------- whole answers


def test_a_response_repeats_what_it_was_asked() -> None:
    request = read(
        instructions="Be kind", temperature=0.5, tools=[{"type": "function", "name": "f"}], metadata={"a": "b"},
        reasoning={"effort": "low"}, text={"verbosity": "low"}, store=False, max_output_tokens=9, truncation="auto",
    )  # fmt: skip
    body = whole(Text("Hi"), request=request, previous="resp_0")

    assert (body["instructions"], body["temperature"], body["metadata"]) == ("Be kind", 0.5, {"a": "b"})
    assert body["reasoning"] == {"effort": "low", "summary": None}
    assert body["text"] == {"format": {"type": "text"}, "verbosity": "low"}
    assert body["tools"] == [{"type": "function", "name": "f", "parameters": None, "strict": None}]
    assert (body["store"], body["max_output_tokens"], body["truncation"]) == (False, 9, "auto")
    assert (body["previous_response_id"], body["model"], body["parallel_tool_calls"]) == ("resp_0", "fast", True)


def test_parts_of_an_answer_are_items_in_its_order() -> None:
    body = whole(
        Reasoning("hm", THINKING), Text("One "), Text("two"), Refusal("no"), ToolCall("a", "f", ""), Text("signed", opaque=SIGNATURE),
        Image("image/png", "aGk="), request=SEEN,
    )  # fmt: skip

    assert [given["type"] for given in body["output"]] == [
        "reasoning", "message", "function_call", "message", "reasoning", "image_generation_call",
    ]  # fmt: skip
    assert [part["type"] for part in body["output"][1]["content"]] == ["output_text", "refusal"]
    assert body["output"][1]["content"][0]["text"] == "One two"
    assert len({given["id"] for given in body["output"]}) == 6


@pytest.mark.parametrize(
    ("finish", "status", "reason"),
    [("stop", "completed", None), ("tool_calls", "completed", None), ("length", "incomplete", "max_output_tokens"), ("content_filter", "incomplete", "content_filter"), (None, "completed", None)],
)  # fmt: skip
def test_why_an_answer_ended(finish: Any, status: str, reason: str | None) -> None:
    body = whole(Text("x"), finish=finish)

    assert (body["status"], (body["incomplete_details"] or {}).get("reason")) == (status, reason)
    assert body["output"][0]["status"] == ("incomplete" if finish == "length" else "completed")


def test_an_error_has_openais_shape() -> None:
    body = json.loads(OPENAI_RESPONSES.write_error(UpstreamError("x", attempts=[{"provider": "a"}])))

    assert body == {
        "error": {"message": "x", "type": "api_error", "param": None, "code": "upstream_error", "attempts": [{"provider": "a"}]}
    }  # fmt: skip
