"""Legacy completions: prompts into chats, and answers into the shape that the official SDK reads."""

from __future__ import annotations

import json
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from openai.types import Completion

from gateway.dialects.openai_completions import OPENAI_COMPLETIONS as DIALECT
from gateway.errors import UpstreamError
from gateway.types import (
    BadRequest,
    Choice,
    Echo,
    Ended,
    Event,
    Failed,
    Finished,
    Message,
    ReasoningDelta,
    Refusal,
    Reply,
    Request,
    Start,
    Text,
    TextDelta,
    Usage,
    UsageSeen,
)

LOGPROBS = {
    "content": [
        {"token": "Hel", "logprob": -0.1, "top_logprobs": [{"token": "Hel", "logprob": -0.1}, {"token": "x", "logprob": -2}]},
        {"token": "lo", "logprob": -0.2, "top_logprobs": []},
    ]
}  # fmt: skip
COLUMNS = {
    "tokens": ["Hel", "lo"],
    "token_logprobs": [-0.1, -0.2],
    "top_logprobs": [{"Hel": -0.1, "x": -2}, {}],
    "text_offset": [0, 3],
}


def read(**fields: Any) -> Request:
    return DIALECT.read_request(json.dumps({"model": "m", "prompt": "Say", **fields}).encode())


def echo(include_usage: bool = False, **fields: Any) -> Echo:
    return Echo("0" * 24, "fast", 1_790_000_000, include_usage=include_usage, request=read(**fields).echo)


def stream(*events: Event, answered: Echo | None = None) -> list[Any]:
    """The frames' JSON values; "[DONE]" as that text."""
    text = DIALECT.writer(answered or echo()).write(list(events)).decode()
    frames = [frame.removeprefix("data: ") for frame in text.split("\n\n")[:-1]]
    return [frame if frame == "[DONE]" else json.loads(frame) for frame in frames]


def texts(frames: list[Any], index: int = 0) -> str:
    # The SDK's type knows no unfinished choice, though OpenAI sends them; it builds chunks without checking.
    chunks = [Completion.construct(**frame) for frame in frames if frame != "[DONE]"]
    return "".join(choice.text for chunk in chunks for choice in chunk.choices if choice.index == index)


# ---------------------------------------------------------------- requests


def test_a_prompt_becomes_one_message_of_the_user() -> None:
    assert read().messages == read(prompt=["Say"]).messages == [Message("user", [Text("Say")])]
    assert read().max_tokens == 16
    request = read(
        max_tokens=5, temperature=0.5, n=2, best_of=2, stop="x", seed=3, logprobs=2, user="ada", suffix="", foo=1
    )
    assert (request.max_tokens, request.temperature, request.n, request.stop) == (5, 0.5, 2, ["x"])
    assert (request.seed, request.logprobs, request.top_logprobs, request.user) == (3, True, 2, "ada")
    assert request.extra == {"foo": 1}


@pytest.mark.parametrize(
    ("fields", "param", "code"),
    [
        ({"prompt": None}, "prompt", "invalid_request"),
        ({"prompt": ""}, "prompt", "invalid_request"),
        ({"prompt": []}, "prompt", "invalid_request"),
        ({"prompt": 5}, "prompt", "invalid_request"),
        ({"prompt": [None]}, "prompt[0]", "invalid_request"),
        ({"prompt": ["a", "b"]}, "prompt", "unsupported_parameter"),
        ({"prompt": [1, 2]}, "prompt", "unsupported_parameter"),
        ({"prompt": [[1]]}, "prompt", "unsupported_parameter"),
        ({"suffix": "end"}, "suffix", "unsupported_parameter"),
        ({"best_of": 3}, "best_of", "unsupported_parameter"),
        ({"best_of": 3, "n": 2}, "best_of", "unsupported_parameter"),
        ({"logprobs": 6}, "logprobs", "invalid_request"),
        ({"logprobs": True}, "logprobs", "invalid_request"),
        ({"max_tokens": 0}, "max_tokens", "invalid_request"),
        ({"echo": "yes"}, "echo", "invalid_request"),
        ({"stop": [""]}, "stop[0]", "invalid_request"),
        ({"logit_bias": {"5": 101}}, "logit_bias.5", "invalid_request"),
        ({"stream_options": {"include_usage": 1}}, "stream_options.include_usage", "invalid_request"),
    ],
)
def test_what_is_wrong_or_has_no_counterpart_is_named(fields: dict[str, Any], param: str, code: str) -> None:
    with pytest.raises(BadRequest) as found:
        read(**fields)
    assert (found.value.param, found.value.code) == (param, code)


def test_admission_learns_what_it_needs() -> None:
    peek = DIALECT.peek(
        b'{"model":"m","prompt":["x"],"n":2,"stream":true,"stream_options":{"include_usage":true},"temperature":1}'
    )

    assert (peek.model, peek.stream, peek.n, peek.include_usage) == ("m", True, 2, True)
    assert peek.has_temperature and peek.max_tokens == 16
    assert DIALECT.peek(b'{"prompt":"x","max_tokens":7}').max_tokens == 7


@pytest.mark.parametrize(
    "body",
    [b"", b"[]", b"{}", b'{"prompt":null}', b'{"prompt":5}', b'{"prompt":"x","n":0}', b'{"prompt":"x","stream":1}',
     b'{"prompt":"x","stream_options":5}', b'{"prompt":"x","model":"a","model":"b"}', b'{"prompt":"x","max_tokens":"5"}'],
)  # fmt: skip
def test_admission_refuses_what_it_cannot_understand(body: bytes) -> None:
    with pytest.raises(BadRequest):
        DIALECT.peek(body)


# ---------------------------------------------------------------- answers


def test_an_answer_has_the_old_shape() -> None:
    reply = Reply("msg_01AB", "up", [Choice([Text("Hello")], "stop", logprobs=LOGPROBS)], Usage(3, 5, total=8))
    body = json.loads(DIALECT.write_reply(reply, echo(logprobs=2)))

    answer = Completion.model_validate(body)
    assert (answer.id, answer.object, answer.model, answer.created) == (
        "cmpl-01AB",
        "text_completion",
        "fast",
        1_790_000_000,
    )
    assert body["choices"] == [{"text": "Hello", "index": 0, "logprobs": COLUMNS, "finish_reason": "stop"}]
    assert answer.usage is not None and answer.usage.total_tokens == 8


def test_the_prompt_is_repeated_when_that_is_wanted() -> None:
    reply = Reply("", "up", [Choice([Text("Hello")], "length", logprobs=LOGPROBS)], None)
    [choice] = json.loads(DIALECT.write_reply(reply, echo(echo=True, logprobs=1)))["choices"]

    assert (choice["text"], choice["finish_reason"]) == ("SayHello", "length")
    assert choice["logprobs"]["text_offset"] == [3, 6]
    streamed = stream(TextDelta("Hel"), TextDelta("lo"), Finished("stop"), Ended(), answered=echo(echo=True))
    assert texts(streamed) == "SayHello"


def test_a_refusal_is_said_as_text_and_ends_for_its_reason() -> None:
    reply = Reply("", "up", [Choice([Refusal("No.")], "content_filter")], None)
    [choice] = json.loads(DIALECT.write_reply(reply, echo()))["choices"]
    assert (choice["text"], choice["finish_reason"], choice["logprobs"]) == ("No.", "content_filter", None)


def test_a_stream_has_the_shape_of_whole_answers() -> None:
    events: list[Event] = [
        Start("chatcmpl-7", "up", 1_700_000_000),
        ReasoningDelta("hm"),
        TextDelta("Hel", logprobs={"content": LOGPROBS["content"][:1]}),
        TextDelta("lo", logprobs={"content": LOGPROBS["content"][1:]}),
        TextDelta("Bye", choice=1),
        Finished("length"),
        Finished("tool_calls", choice=1),
        UsageSeen(Usage(3, 5, total=8)),
        Ended(),
    ]
    frames = stream(*events, answered=echo(include_usage=True, logprobs=2, n=2))

    assert frames[-1] == "[DONE]" and frames[-2]["choices"] == [] and frames[-2]["usage"]["total_tokens"] == 8
    assert (texts(frames), texts(frames, 1)) == ("Hello", "Bye")
    assert {frame["id"] for frame in frames[:-1]} == {"cmpl-7"} and frames[0]["created"] == 1_700_000_000
    assert all(frame["usage"] is None for frame in frames[:-2])
    assert [frame["choices"][0]["logprobs"]["text_offset"] for frame in frames[:2]] == [[0], [3]]
    endings = [
        choice["finish_reason"] for frame in frames[:-1] for choice in frame["choices"] if choice["finish_reason"]
    ]
    assert endings == ["length", "stop"]


def test_a_stream_without_events_and_one_that_is_unfinished_end_in_good_shape() -> None:
    for events in ([Ended()], [TextDelta("x"), Ended()]):
        frames = stream(*events)
        assert frames[-1] == "[DONE]" and frames[-2]["choices"][0]["finish_reason"] == "stop"
        assert "usage" not in frames[0]


def test_a_broken_stream_ends_with_an_error_and_without_done() -> None:
    writer = DIALECT.writer(echo())
    out = writer.write([TextDelta("x"), Failed("broken")]) + writer.error(UpstreamError("gone"))

    assert b"[DONE]" not in out and b'"error":{' in out.split(b"\n\n")[-2]
    assert writer.write([Ended()]) == b""


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=4),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["prompt", "model", "n", "stop", "echo", "stream_options"]), inner, max_size=4
        )
    ),
    max_leaves=10,
)


@given(value=JSON, prompt=st.just("x") | JSON)
def test_any_body_is_read_or_refused(value: Any, prompt: Any) -> None:
    whole = {"prompt": prompt, **value} if isinstance(value, dict) else value
    for half in (DIALECT.peek, DIALECT.read_request):
        with suppress(BadRequest):
            half(json.dumps(whole).encode())


@given(logprobs=JSON)
def test_whatever_an_upstream_calls_logprobs_is_written(logprobs: Any) -> None:
    reply = Reply("", "m", [Choice([Text("x")], "stop", logprobs={"content": logprobs})], None)
    assert json.loads(DIALECT.write_reply(reply, echo(logprobs=1)))["choices"][0]["text"] == "x"
