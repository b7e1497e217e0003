"""The gateway's own chat: what it takes, what it answers, and its events."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.dialects.native import NATIVE, NativeExtras, NativeStream
from gateway.errors import QuotaExceeded, UpstreamError
from gateway.types import (
    BadRequest,
    Choice,
    Echo,
    Ended,
    Finished,
    Message,
    ReasoningDelta,
    Refusal,
    RefusalDelta,
    Reply,
    Start,
    Text,
    TextDelta,
    ToolStart,
    Usage,
    UsageSeen,
)

ECHO = Echo(id="0123456789abcdef01234567", model="fast", created=1_790_000_000)
EXTRAS = NativeExtras(provider="gemini", fallback_from=["openai"], attempts=2, latency_ms=480, session_id="s1")


def body(**members: Any) -> bytes:
    return msgspec.json.encode({"messages": [{"role": "user", "content": "Hello AI!"}], **members})


def test_the_request_of_the_documentation_is_read() -> None:
    given_ = body(temperature=0.7, maxTokens=1000, sessionId="optional-session-id", preferredProvider="openai")

    peek, request = NATIVE.peek(given_), NATIVE.read_request(given_)

    assert (peek.max_tokens, peek.has_temperature, peek.session) == (1000, True, "optional-session-id")
    assert (peek.preferred, peek.model, peek.stream) == ("openai", "", False)
    assert request.messages == [Message("user", [Text("Hello AI!")])]
    assert (request.temperature, request.max_tokens, request.extra) == (0.7, 1000, {})


def test_text_parts_are_read_and_strange_members_are_kept_aside() -> None:
    request = NATIVE.read_request(
        body(messages=[{"role": "system", "content": [{"type": "text", "text": "a"}]}], tools=[1])
    )

    assert request.messages == [Message("system", [Text("a")])]
    assert request.extra == {"tools": [1]}


@pytest.mark.parametrize(
    ("members", "param"),
    [
        ({"messages": []}, "messages"),
        ({"messages": None}, "messages"),
        ({"messages": "hi"}, "messages"),
        ({"messages": [{"role": "user"}]}, "messages[0]"),
        ({"messages": [{"role": "user", "content": 5}]}, "messages[0].content"),
        ({"messages": [{"role": "tool", "content": "x"}]}, "messages[0].role"),
        ({"maxTokens": 0}, "maxTokens"),
        ({"maxTokens": "many"}, "maxTokens"),
        ({"temperature": 2.5}, "temperature"),
        ({"stream": "yes"}, "stream"),
        ({"model": 4}, "model"),
    ],
)
def test_a_wrong_member_is_named(members: dict[str, Any], param: str) -> None:
    with pytest.raises(BadRequest) as refusal:
        NATIVE.read_request(body(**members))

    assert refusal.value.param == param
    assert refusal.value.message


@pytest.mark.parametrize(
    "text", [b"", b"[]", b"{", b'"x"', b"\xff", b"[" * 100_000, b'{"messages":[{"role":"user","content":"\xff"}]}']
)
def test_what_is_no_json_object_is_said_to_be_none(text: bytes) -> None:
    with pytest.raises(BadRequest) as refusal:
        NATIVE.read_request(text)

    assert refusal.value.code == "invalid_json"


@given(st.binary(max_size=200))
def test_no_bytes_raise_anything_but_a_refusal(text: bytes) -> None:
    for read in (NATIVE.peek, NATIVE.read_request):
        with pytest.raises(BadRequest):
            read(text)


def test_the_answer_tells_who_answered_and_after_whom() -> None:
    reply = Reply("msg_1", "gemini-3.8-flash", [Choice([Text("Hi "), Text("there.")], "length")], Usage(5, 2, total=7))

    assert msgspec.json.decode(NATIVE.write_reply(reply, ECHO, EXTRAS)) == {
        "id": "chat_0123456789abcdef01234567",
        "sessionId": "s1",
        "provider": "gemini",
        "model": "fast",
        "content": "Hi there.",
        "message": {"role": "assistant", "content": "Hi there."},
        "finishReason": "length",
        "usage": {"promptTokens": 5, "completionTokens": 2, "totalTokens": 7},
        "latencyMs": 480,
        "fallbackFrom": ["openai"],
        "attempts": 2,
    }


def test_a_refusal_is_the_content() -> None:
    reply = Reply("", "m", [Choice([Refusal("I cannot.")], "content_filter")], None)

    assert msgspec.json.decode(NATIVE.write_reply(reply, ECHO))["content"] == "I cannot."


def test_only_texts_become_chunks_and_they_add_up_to_the_response() -> None:
    stream = NativeStream("r1")
    events = [
        Start("x", "m"),
        ReasoningDelta("hm"),
        TextDelta("Hé"),
        TextDelta(""),
        ToolStart(0, "c", "f"),
        RefusalDelta("llo"),
        TextDelta("!"),
    ]

    started = stream.start("gemini", "fast")
    chunks = stream.chunks([*events, Finished("stop"), UsageSeen(Usage(3, 2, total=5))])
    name, done = stream.complete(ECHO, EXTRAS)

    assert started == ("chat.start", {"requestId": "r1", "provider": "gemini", "model": "fast"})
    assert [payload["chunk"] for _, payload in chunks] == [
        {"index": 0, "delta": "Hé"},
        {"index": 1, "delta": "llo"},
        {"index": 2, "delta": "!"},
    ]
    assert {(event, payload["requestId"]) for event, payload in chunks} == {("chat.chunk", "r1")}
    assert (name, done["response"]["content"], done["response"]["finishReason"]) == ("chat.complete", "Héllo!", "stop")
    assert done["response"]["usage"]["totalTokens"] == 5


def test_an_error_event_carries_the_error() -> None:
    name, payload = NativeStream("r1").error(QuotaExceeded("No tokens left today."))

    assert name == "chat.error"
    assert payload["error"] == {
        "message": "No tokens left today.",
        "type": "insufficient_quota",
        "param": None,
        "code": "quota_exceeded",
    }


def test_over_sse_the_events_come_by_name_and_end_with_complete() -> None:
    writer = NATIVE.writer(ECHO, NativeExtras(provider="gemini", request_id="r1"))

    text = writer.write([Start("x", "m"), TextDelta("a")]) + writer.write([Finished("stop"), Ended()])

    names = [line for line in text.split(b"\n") if line.startswith(b"event: ")]
    assert names == [b"event: chat.start", b"event: chat.chunk", b"event: chat.complete"]
    assert writer.write([TextDelta("late")]) == b""


def test_over_sse_a_broken_stream_ends_with_error_and_never_completes() -> None:
    writer = NATIVE.writer(ECHO)

    text = writer.write([TextDelta("a")]) + writer.error(
        UpstreamError("The provider broke off.", attempts=[{"provider": "x"}])
    )

    assert b"event: chat.error" in text
    assert b'"attempts":[{"provider":"x"}]' in text
    assert writer.write([Ended()]) == b""
