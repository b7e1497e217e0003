"""Responses bodies and streams that pass through: what is read beside them, and the few bytes that change."""

from __future__ import annotations

import json
import time
from typing import Any

import pytest
from responses_kit import accumulated, echo, frames, read

from gateway.dialects import openai_responses_tap
from gateway.dialects.openai_responses import OPENAI_RESPONSES
from gateway.errors import UpstreamError
from gateway.types import (
    BadReply,
    BadRequest,
    Change,
    Ended,
    Event,
    Finished,
    ReasoningDelta,
    Start,
    TextDelta,
    ToolDelta,
    ToolStart,
    Usage,
    UsageSeen,
)

EVENTS: list[Event] = [
    Start("r", "m"), ReasoningDelta("hm"), TextDelta("Hel"), TextDelta('lo "é"'), ToolStart(0, "c", "f"), ToolDelta(0, '{"a":1}'),
    Finished("tool_calls"), UsageSeen(Usage(5, 2, reasoning=1, total=7)), Ended(),
]  # fmt: skip
STREAM = OPENAI_RESPONSES.writer(echo(read(reasoning={"summary": "auto"}))).write(EVENTS)
FAILED = b'event: response.failed\ndata: {"type":"response.failed","sequence_number":9,"response":{"error":{"code":"server_error","message":"Sorry"},"usage":{"input_tokens":1,"output_tokens":2}}}\n\n'
SEALED = {"type": "reasoning", "id": "rs", "summary": [], "encrypted_content": "gw1.abc"}


def change(body: Any, **members: Any) -> bytes:
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    return OPENAI_RESPONSES.change(raw, OPENAI_RESPONSES.peek(raw), Change(**members))


# ---------------------------------------------------------------- the top level


@pytest.mark.parametrize(
    ("body", "found"),
    [
        ({"model": "m", "input": "x"}, ("m", False, None, False)),
        ({"model": None, "stream": None, "max_output_tokens": None, "temperature": None}, ("", False, None, False)),
        ({"model": "é", "stream": True, "max_output_tokens": 9, "temperature": 0}, ("é", True, 9, True)),
        ({"input": [{"model": "inner"}], "model": "outer"}, ("outer", False, None, False)),
    ],
)
def test_admission_reads_the_top_level(body: Any, found: Any) -> None:
    for ascii_ in (True, False):
        peek = OPENAI_RESPONSES.peek(json.dumps(body, ensure_ascii=ascii_).encode())
        assert (peek.model, peek.stream, peek.max_tokens, peek.has_temperature) == found
        assert (peek.include_usage, peek.n, peek.foreign) == (True, 1, False)


@pytest.mark.parametrize(
    ("body", "param"),
    [
        (b'{"model":5}', "model"),
        (b'{"stream":"yes"}', "stream"),
        (b'{"max_output_tokens":0}', "max_output_tokens"),
        (b'{"max_output_tokens":1.5}', "max_output_tokens"),
        (b'{"max_output_tokens":99999999999999999999}', "max_output_tokens"),
        (b'{"model":"' + b"m" * 300 + b'"}', "model"),
        (b'{"model":"a","model":"b"}', None),
        (b'{"model":"a","m\\u006fdel":"b"}', None),
        (b"[]", None),
        (b"\xff", None),
    ],
)
def test_a_top_level_that_can_be_read_in_two_ways_or_not_at_all_is_refused(body: bytes, param: str | None) -> None:
    with pytest.raises(BadRequest) as caught:
        OPENAI_RESPONSES.peek(body)
    assert caught.value.param == param


def test_only_the_named_places_change() -> None:
    body = b'{ "model" : "m",  "input":[{"a":1.10,"model":"x"}], "temperature":0.50 }'

    assert change(body, model="n") == body.replace(b'"model" : "m"', b'"model" : "n"')
    assert change(body, temperature=1.0) is body
    assert change(body) is body
    assert json.loads(change({"input": "x"}, max_tokens=9, temperature=0.5)) == {
        "input": "x", "max_output_tokens": 9, "temperature": 0.5,
    }  # fmt: skip
    assert b'"max_output_tokens": 5' in change({"max_output_tokens": 5}, max_tokens=9)


def test_thoughts_of_other_vendors_do_not_reach_openai() -> None:
    own = {**SEALED, "encrypted_content": "gAAA"}
    body = {"model": "m", "input": [{"role": "user", "content": 'say "gw1."'}, SEALED, own, 1.10]}

    assert json.loads(change(body))["input"] == [body["input"][0], own, 1.1]
    assert change({"model": "m", "input": "gw1.x"}) == json.dumps({"model": "m", "input": "gw1.x"}).encode()
    assert b"1.10" in change(b'{"input":[1.10,' + json.dumps(SEALED).encode() + b"]}")


# ---------------------------------------------------------------- whole answers


def answer(**fields: Any) -> bytes:
    usage = {"input_tokens": 5, "output_tokens": 2, "total_tokens": 7, "output_tokens_details": {"reasoning_tokens": 1}}
    return json.dumps({"status": "completed", "output": [{"type": "message"}], "usage": usage, **fields}).encode()


def test_a_glance_reads_usage_and_how_it_ended() -> None:
    seen = OPENAI_RESPONSES.glance(answer(error=None))

    assert (seen.usage, seen.empty, seen.finish) == (Usage(5, 2, reasoning=1, total=7), False, "stop")
    assert OPENAI_RESPONSES.glance(answer(output=[])).empty
    assert not OPENAI_RESPONSES.glance(answer(output=[], status="queued")).empty
    cut = OPENAI_RESPONSES.glance(answer(output=[], status="incomplete", incomplete_details={"reason": "content_filter"}))  # fmt: skip
    assert (cut.empty, cut.finish) == (False, "content_filter")
    assert OPENAI_RESPONSES.glance(answer(usage={"input_tokens": "5"})).usage is None


@pytest.mark.parametrize("body", [b"", b"[]", b"<html>", b'{"output":5}', b"{}", answer(error={"code": "x"}), answer(status="failed"), b"[" * 99_999])  # fmt: skip
def test_what_is_no_answer_is_none(body: bytes) -> None:
    with pytest.raises(BadReply):
        OPENAI_RESPONSES.glance(body)


# ---------------------------------------------------------------- streams


def fed(pieces: list[bytes]) -> tuple[Any, bytes]:
    tap = OPENAI_RESPONSES.tap(False)
    return tap, b"".join([tap.feed(piece) for piece in pieces])


def test_a_stream_goes_on_untouched_wherever_it_is_cut() -> None:
    for line_end in (b"\n", b"\r\n"):
        wire = STREAM.replace(b"\n", line_end)
        for cut in range(0, len(wire) + 1, 7):
            tap, out = fed([wire[:cut], wire[cut:]])
            assert out == wire
            assert (tap.ended, tap.failed, tap.content, tap.finish) == (True, None, True, "stop")
            assert tap.usage == Usage(5, 2, reasoning=1, total=7)
    assert fed([STREAM[at : at + 1] for at in range(len(STREAM))])[1] == STREAM


def test_what_was_said_is_counted_and_never_below_the_truth() -> None:
    tap, _ = fed([STREAM])

    said = len("hm") + len('Hello "é"'.encode()) + len('{"a":1}')
    assert said <= tap.output_bytes <= said + 8  # escapes


def test_the_whole_response_is_kept_for_a_store_byte_for_byte() -> None:
    tap, _ = fed([STREAM])

    assert tap.response and STREAM.endswith(b'"response":' + tap.response + b"}\n\n")
    assert tap.eof() == b""


def test_opening_commits_nothing_and_an_item_does() -> None:
    tap = OPENAI_RESPONSES.tap(False)
    pieces = [frame + b"\n\n" for frame in STREAM.split(b"\n\n")[:-1]]
    for piece in pieces[:2]:
        assert tap.feed(piece) is piece
    assert not tap.content
    tap.feed(pieces[2])
    assert tap.content


@pytest.mark.parametrize(
    ("frame", "kind"),
    [
        (FAILED, "server_error"),
        (b'event: error\ndata: {"type":"error","code":"rate_limit_exceeded","message":"m","sequence_number":1}\n\n', "rate_limited"),
        (b'data: {"type":"error","error":{"code":"insufficient_quota"}}\n\n', "quota_exhausted"),
        (b'event: response.failed\ndata: {"type":"response.failed","response":{"error":{"code":"invalid_image"}}}\n\n', "bad_request"),
        (b"event: response.failed\ndata: nonsense\n\n", "error_event"),
    ],
)  # fmt: skip
def test_a_failure_is_swallowed_and_told(frame: bytes, kind: str) -> None:
    half = STREAM[: STREAM.index(b"event: response.output_text.done")]
    for cut in (0, 5, len(frame) - 1, len(frame)):
        tap, out = fed([half + frame[:cut], frame[cut:] + STREAM])
        assert out == half
        assert tap.failed is not None and tap.failed.kind == kind
        assert not tap.ended


def test_a_relayed_stream_that_breaks_fails_in_its_own_name() -> None:
    half = STREAM[: STREAM.index(b"event: response.output_text.done")]
    tap, out = fed([half])
    found = frames((out + tap.broken(UpstreamError("it broke"))).decode())

    assert found[-1]["type"] == "response.failed"
    assert found[-1]["response"]["id"] == found[0]["response"]["id"]
    assert accumulated(found) is None
    (alone,) = frames(OPENAI_RESPONSES.tap(False).broken(UpstreamError("it broke")).decode())
    assert alone["type"] == "error"


def test_frames_without_event_names_are_known_by_their_type() -> None:
    bare = b"".join(b"data: " + frame.split(b"\ndata: ")[1] + b"\n\n" for frame in STREAM.split(b"\n\n")[:-1])

    tap, out = fed([bare])
    assert (out, tap.ended, tap.content) == (bare, True, True)


def test_a_frame_without_end_is_not_kept_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(openai_responses_tap, "MAX_FRAME_BYTES", 1000)
    tap, _ = fed([b"data: " + b"x" * 600, b"x" * 600])

    assert tap.failed is not None and tap.failed.kind == "bad_reply"


def test_the_tap_costs_little_for_each_token() -> None:
    start = STREAM.index(b"event: response.output_text.delta")
    frame = STREAM[start : STREAM.index(b"\n\n", start) + 2]
    tap = OPENAI_RESPONSES.tap(False)
    began = time.process_time()
    for _ in range(5_000):
        tap.feed(frame)
    assert (time.process_time() - began) / 5_000 < 60e-6
