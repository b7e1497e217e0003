"""Beside a Messages stream: bytes go on as they came, and what the gateway must know is read."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.dialects import anthropic_client_tap
from gateway.dialects.anthropic_messages import ANTHROPIC
from gateway.types import Failed, Tap, Usage


def frame(kind: str, **members: Any) -> bytes:
    value = json.dumps({"type": kind, **members}, separators=(",", ":"), ensure_ascii=False)
    return f"event: {kind}\ndata: {value}\n\n".encode()


def delta(index: int, kind: str, **members: Any) -> bytes:
    return frame("content_block_delta", index=index, delta={"type": kind, **members})


def opened(index: int, kind: str, **members: Any) -> bytes:
    return frame("content_block_start", index=index, content_block={"type": kind, **members})


USAGE = {"input_tokens": 10, "cache_read_input_tokens": 5, "cache_creation_input_tokens": 2, "output_tokens": 1}
START = frame("message_start", message={"id": "msg_1", "content": [], "usage": USAGE})
PING = frame("ping")
THINKS = opened(0, "thinking", thinking="", signature="")
THOUGHT = delta(0, "thinking_delta", thinking="Hm.")
SIGNED = delta(0, "signature_delta", signature="EqQB")
CLOSED = frame("content_block_stop", index=0)
SPEAKS = opened(1, "text", text="")
HELLO = delta(1, "text_delta", text="Hello")
PADDED = HELLO.replace(b"}}\n", b"}      }\n").replace(b"Hello", ' "wörld"\\n'.replace('"', '\\"').encode())
CALLS = opened(2, "tool_use", id="t", name="f", input={})
ARGUMENTS = delta(2, "input_json_delta", partial_json='{"error":1}')
COUNTED = frame("message_delta", delta={"stop_reason": "tool_use", "stop_sequence": None}, usage={"output_tokens": 40})
STOP = frame("message_stop")
WHOLE = START + PING + THINKS + THOUGHT + THOUGHT + SIGNED + CLOSED + SPEAKS + HELLO + PADDED + HELLO + CALLS + ARGUMENTS + COUNTED + STOP  # fmt: skip
ERROR = frame("error", error={"type": "overloaded_error", "message": "Overloaded"})


def tapped(stream: bytes, cuts: tuple[int, ...] = ()) -> tuple[bytes, Tap]:
    tap = ANTHROPIC.tap(False)
    pieces = [stream[start:end] for start, end in zip((0, *cuts), (*cuts, len(stream)), strict=True)]
    return b"".join([tap.feed(piece) for piece in pieces]), tap


def state(tap: Tap) -> tuple[Any, ...]:
    return tap.content, tap.usage, tap.finish, tap.failed, tap.ended, tap.output_bytes


def test_a_piece_that_ends_with_a_frame_goes_on_as_the_very_same_object() -> None:
    tap = ANTHROPIC.tap(False)

    for piece in (
        START,
        PING,
        THINKS + THOUGHT,
        THOUGHT,
        SIGNED + CLOSED,
        SPEAKS,
        HELLO,
        PADDED,
        HELLO + HELLO,
        COUNTED + STOP,
    ):
        assert tap.feed(piece) is piece


def test_usage_is_cumulative_and_finish_and_end_are_read() -> None:
    out, tap = tapped(WHOLE)

    assert out == WHOLE
    assert state(tap)[:5] == (True, Usage(17, 40, 5, 2, 0, 57), "tool_calls", None, True)


def test_nothing_is_swallowed_because_usage_is_part_of_every_stream() -> None:
    assert ANTHROPIC.tap(True).feed(WHOLE) == WHOLE


def test_where_the_bytes_are_cut_makes_no_difference() -> None:
    whole = state(tapped(WHOLE)[1])

    for cut in range(1, len(WHOLE)):
        out, tap = tapped(WHOLE, (cut,))
        assert (out, state(tap)) == (WHOLE, whole), cut
    out, tap = tapped(WHOLE, tuple(range(1, len(WHOLE))))
    assert (out, state(tap)) == (WHOLE, whole)


@pytest.mark.parametrize("eol", [b"\r\n", b"\r"])
def test_other_line_ends_are_lines_ends_too(eol: bytes) -> None:
    stream = WHOLE.replace(b"\n", eol)

    for cuts in ((), tuple(range(1, len(stream)))):
        out, tap = tapped(stream, cuts)
        assert out.replace(b"\r\n", b"\n").replace(b"\r", b"\n") == WHOLE
        assert state(tap)[:5] == state(tapped(WHOLE)[1])[:5]


def test_output_bytes_are_never_below_what_was_generated() -> None:
    text = tapped(START + SPEAKS + HELLO * 3)[1]
    padded = tapped(START + SPEAKS + HELLO + PADDED)[1]

    assert text.output_bytes == 15
    assert padded.output_bytes >= len(b"Hello" + b' "w\xc3\xb6rld"\n')
    assert tapped(WHOLE)[1].output_bytes >= len(b"Hm." * 2 + b"Hello" * 2 + b'{"error":1}')


@pytest.mark.parametrize("content", [THOUGHT, SIGNED, HELLO, CALLS, opened(0, "redacted_thinking", data="x"), opened(0, "text", text="a"),
                                     delta(0, "citations_delta", citation={}), frame("message_delta", delta={"stop_reason": "refusal"})])  # fmt: skip
def test_content_is_what_tells_the_client_something(content: bytes) -> None:
    assert tapped(START + content)[1].content


@pytest.mark.parametrize("silent", [START, PING, THINKS, SPEAKS, CLOSED, delta(0, "text_delta", text=""), b": comment\n\n",
                                    frame("message_delta", delta={"stop_reason": "end_turn"}), frame("to_come", x=[1]), b"data: nonsense\n\n"])  # fmt: skip
def test_the_rest_is_no_content(silent: bytes) -> None:
    out, tap = tapped(START + silent)

    assert (out, tap.content, tap.failed) == (START + silent, False, None)


def test_an_error_event_is_swallowed_with_what_follows() -> None:
    for cuts in ((), (len(START + HELLO) + 9,)):
        out, tap = tapped(START + HELLO + ERROR + HELLO, cuts)
        assert out == START + HELLO
        assert tap.failed == Failed("overloaded", "Overloaded", 529)
        assert tap.feed(STOP) == b"" and not tap.ended


@pytest.mark.parametrize("odd", [b"event: error\ndata: x\n\n", b'data: {"type":"error"}\n\n', b'data: {"type":"error","error":5}\n\n',
                                 b'event:error\ndata:{"error":{"type":null}}\n\n'])  # fmt: skip
def test_an_error_is_one_however_it_is_spelled(odd: bytes) -> None:
    out, tap = tapped(START + odd)

    assert (out, tap.failed) == (START, Failed("error_event"))


@pytest.mark.parametrize("rest", [b"", b"\n", b"\n\n", b"\n\n: more\n\n"])
def test_the_last_event_needs_no_empty_line(rest: bytes) -> None:
    for cuts in ((), (len(START),)):
        out, tap = tapped(START + STOP.rstrip() + rest, cuts)
        assert tap.ended
        assert out.startswith(START + STOP)


def test_a_stream_that_breaks_off_has_not_ended() -> None:
    out, tap = tapped(WHOLE[: -len(STOP)] + STOP[:30])

    assert out == WHOLE[: -len(STOP)]
    assert not tap.ended and tap.failed is None


def test_a_frame_without_end_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(anthropic_client_tap, "MAX_FRAME_BYTES", 100)

    assert tapped(START + b"data: " + b"x" * 200, (len(START),))[1].failed == Failed(
        "bad_reply", "a frame of more than 100 bytes"
    )


FRAMES = [START, PING, THINKS, THOUGHT, SIGNED, CLOSED, SPEAKS, HELLO, PADDED, CALLS, ARGUMENTS, COUNTED, ERROR, STOP]


@given(st.lists(st.sampled_from(FRAMES) | st.binary(max_size=20), max_size=12).map(b"".join), st.data())
def test_any_bytes_go_through_in_order_and_say_the_same_however_they_are_cut(
    stream: bytes, data: st.DataObject
) -> None:
    cuts = tuple(sorted(set(data.draw(st.lists(st.integers(0, len(stream)), max_size=4)))))
    whole, tap = tapped(stream)
    out, other = tapped(stream, cuts)

    assert (out == whole and state(tap) == state(other)) or b"\r" in stream
    assert stream.startswith(whole) or tap.failed is not None or tap.ended
