"""Beside a Chat stream: bytes go on as they came, and what the gateway must know is read."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.dialects import openai_chat_tap
from gateway.dialects.openai_chat import OPENAI_CHAT
from gateway.types import Failed, Tap, Usage

ENVELOPE = {
    "id": "chatcmpl-1",
    "object": "chat.completion.chunk",
    "created": 1_790_000_000,
    "model": "gpt-5.4-2026-03-05",
}
DONE = b"data: [DONE]\n\n"
USAGE = {"prompt_tokens": 5, "completion_tokens": 2, "total_tokens": 7}


def chunk(delta: dict[str, Any], finish: str | None = None, **members: Any) -> bytes:
    choices = [{"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish}]
    return frame({**ENVELOPE, "choices": choices, **members})


def frame(value: Any) -> bytes:
    return b"data: " + json.dumps(value, separators=(",", ":"), ensure_ascii=False).encode() + b"\n\n"


ROLE = chunk({"role": "assistant", "content": ""}, usage=None)
HELLO = chunk({"content": "Hello"}, usage=None, obfuscation="x")
WORLD = chunk({"content": ' "wörld"\n\\ data: [DONE] "usage":null'}, usage=None, obfuscation="abcdef")
TOOL = chunk(
    {"tool_calls": [{"index": 0, "id": "c", "type": "function", "function": {"name": "f", "arguments": ""}}]},
    usage=None,
)
ARGUMENTS = chunk({"tool_calls": [{"index": 0, "function": {"arguments": '{"error":1}'}}]}, usage=None)
STOP = chunk({}, "stop", usage=None)
COUNTED = frame({**ENVELOPE, "choices": [], "usage": USAGE})
WHOLE = ROLE + HELLO + WORLD + TOOL + ARGUMENTS + ARGUMENTS + STOP + COUNTED + DONE


def tapped(stream: bytes, swallow: bool = False, cuts: tuple[int, ...] = ()) -> tuple[bytes, Tap]:
    tap = OPENAI_CHAT.tap(swallow)
    pieces = [stream[start:end] for start, end in zip((0, *cuts), (*cuts, len(stream)), strict=True)]
    return b"".join([tap.feed(piece) for piece in pieces]), tap


def state(tap: Tap) -> tuple[Any, ...]:
    return tap.content, tap.usage, tap.finish, tap.failed, tap.ended, tap.output_bytes


def test_a_piece_that_ends_with_a_frame_goes_on_as_the_very_same_object() -> None:
    tap = OPENAI_CHAT.tap(False)

    for piece in (ROLE, HELLO, WORLD, HELLO + WORLD, TOOL, ARGUMENTS, STOP + COUNTED, DONE):
        assert tap.feed(piece) is piece


def test_usage_finish_and_end_are_read() -> None:
    out, tap = tapped(WHOLE)

    assert out == WHOLE
    assert state(tap)[:5] == (True, Usage(input=5, output=2, total=7), "stop", None, True)


def test_a_client_that_did_not_ask_for_usage_gets_none() -> None:
    out, tap = tapped(WHOLE, swallow=True)

    assert out == (WHOLE.replace(COUNTED, b"")).replace(b',"usage":null', b"")
    assert b'\\"usage\\":null' in out, "what the model wrote stays"
    assert tap.usage == Usage(input=5, output=2, total=7)


def test_usage_in_other_spellings_is_swallowed_too() -> None:
    spaced = b'data: {"usage": null, "choices": [{"index": 0, "delta": {"content": "a"}, "finish_reason": null}]}\n\n'

    out, _ = tapped(spaced + spaced, swallow=True)

    assert out == spaced.replace(b'"usage": null,', b"") * 2


@pytest.mark.parametrize("swallow", [False, True])
@pytest.mark.parametrize("ends", [b"\n", b"\r\n", b"\r"])
def test_a_cut_anywhere_changes_nothing(swallow: bool, ends: bytes) -> None:
    stream = WHOLE.replace(b"\n", ends)
    out, tap = tapped(stream, swallow)

    for cut in range(1, len(stream)):
        cut_out, cut_tap = tapped(stream, swallow, (cut,))
        assert (cut_out.rstrip(), state(cut_tap)) == (out.rstrip(), state(tap)), cut
    bytewise, byte_tap = tapped(stream, swallow, tuple(range(1, len(stream))))
    assert (bytewise.rstrip(), state(byte_tap)) == (out.rstrip(), state(tap))


def test_only_whole_frames_go_on() -> None:
    tap = OPENAI_CHAT.tap(False)

    assert tap.feed(ROLE + HELLO[:50]) == ROLE
    assert tap.feed(HELLO[50:]) == HELLO


@pytest.mark.parametrize("last", [b"data: [DONE]", b"data: [DONE]\n", b"data:[DONE]\r\n"])
def test_the_end_counts_without_its_empty_line(last: bytes) -> None:
    out, tap = tapped(HELLO + last)

    assert tap.ended
    assert out.startswith(HELLO)
    assert out.endswith(b"[DONE]\n\n")


def test_a_role_and_an_empty_end_are_no_content() -> None:
    _, tap = tapped(ROLE + STOP + COUNTED + DONE)

    assert (tap.content, tap.finish, tap.output_bytes) == (False, "stop", 0)


@pytest.mark.parametrize(
    "piece",
    [
        chunk({"content": "a"}),
        chunk({"refusal": "a"}),
        chunk({"reasoning_content": "a"}),
        chunk({"tool_calls": [{"index": 0}]}),
        chunk({}, "length"),
        chunk({}, "content_filter"),
    ],
)
def test_content_is_what_tells_the_client_something(piece: bytes) -> None:
    _, tap = tapped(ROLE + piece)

    assert tap.content


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        ({"message": "m", "type": "server_error", "code": None}, "server_error"),
        ({"message": "m", "type": "insufficient_quota", "code": "credit_balance_exhausted"}, "quota_exhausted"),
        ({"message": "m", "code": "rate_limit_exceeded"}, "rate_limited"),
        ({"message": "m", "code": 429}, "rate_limited"),
        ({"message": "m", "code": "502"}, "server_error"),
        ({"message": "m"}, "error_event"),
    ],
)
@pytest.mark.parametrize("before", [b"", ROLE, HELLO])
def test_an_error_frame_is_read_and_not_forwarded(error: dict[str, Any], kind: str, before: bytes) -> None:
    out, tap = tapped(before + frame({"error": error}) + HELLO + DONE)

    assert out == before
    assert tap.failed is not None
    assert (tap.failed.kind, tap.failed.message, tap.ended) == (kind, "m", False)


def test_an_error_event_is_an_error_whatever_its_data() -> None:
    out, tap = tapped(HELLO + b'event: error\ndata: {"message":"m"}\n\n' + HELLO)

    assert (out, tap.failed) == (HELLO, Failed("error_event", "m"))


def test_an_error_in_pieces_is_never_forwarded_in_part() -> None:
    stream = HELLO + frame({"error": {"message": "m"}})

    for cut in range(len(HELLO), len(stream)):
        assert tapped(stream, cuts=(cut,))[0] == HELLO


def test_comments_and_strange_frames_go_on() -> None:
    stream = b": ping\n\n" + b"data: [1]\n\n" + b'data: {"choices":[5],"usage":"x"}\n\n'

    out, tap = tapped(stream)

    assert out == stream
    assert not tap.content


def test_a_frame_without_end_fails_before_it_fills_the_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(openai_chat_tap, "MAX_FRAME_BYTES", 1000)
    tap = OPENAI_CHAT.tap(False)

    for _ in range(20):
        tap.feed(b"data: " + b"x" * 100)

    assert tap.failed is not None
    assert tap.failed.kind == "bad_reply"


def test_the_bound_of_what_was_generated_is_close_for_ordinary_texts() -> None:
    _, tap = tapped(ROLE + HELLO * 100 + STOP + DONE)

    assert 500 <= tap.output_bytes <= 500 + 100 * 8


DELTAS = st.one_of(
    st.text(max_size=6).map(lambda text: {"content": text}),
    st.text(max_size=6).map(lambda text: {"reasoning_content": text}),
    st.text(max_size=6).map(lambda text: {"tool_calls": [{"index": 0, "function": {"arguments": text}}]}),
)


@given(st.lists(st.tuples(DELTAS, st.sampled_from([{}, {"usage": None}, {"obfuscation": "abc"}, {"usage": None, "obfuscation": ""}])), max_size=12), st.booleans(), st.booleans())  # fmt: skip
def test_the_bound_is_never_below_the_truth_and_bytes_survive(
    deltas: list[tuple[dict[str, Any], dict[str, Any]]], swallow: bool, at_once: bool
) -> None:
    frames = [chunk(delta, **members) for delta, members in deltas]
    tap = OPENAI_CHAT.tap(swallow)

    out = b"".join([tap.feed(piece) for piece in ([b"".join(frames)] if at_once else frames)])

    said = [
        delta.get("content") or delta.get("reasoning_content") or delta.get("tool_calls") or "" for delta, _ in deltas
    ]
    texts = [text if isinstance(text, str) else text[0]["function"]["arguments"] for text in said]
    assert tap.output_bytes >= sum(len(text.encode()) for text in texts)
    expected = b"".join(frames)
    assert out == (expected.replace(b',"usage":null', b"") if swallow else expected)
