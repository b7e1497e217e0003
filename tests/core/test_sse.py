"""Frames come out whole and the same, wherever the bytes are cut."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.core import sse
from gateway.core.sse import Frame, LineTooLong, Splitter, frame, frames_of, last_end


def frames(*pieces: bytes) -> list[Frame]:
    splitter = Splitter()
    found = [one for piece in pieces for one in splitter.feed(piece)]
    return found + splitter.eof()


STREAMS = {
    "lf": b"data: a\n\ndata: b\n\n",
    "crlf": b"event: x\r\ndata: a\r\n\r\ndata: b\r\n\r\n",
    "cr": b"data: a\r\rdata: b\r\r",
    "mixed ends": b"data: a\r\n\ndata: b\n\r\ndata: c\r\r\n",
    "bom": b"\xef\xbb\xbfdata: a\n\n",
    "comment between": b": ping\n\ndata: a\n\n:\n\n",
    "two data lines": b"event: e\ndata: a\ndata:  b\nid: 7\nretry: 10\n\n",
    "no space, no last line": b"data:a\n\ndata:b",
    "unicode ends of line inside": "data: {\"t\":\"\u2028\u0085é😀\"}\n\n".encode(),
    "empty data": b"data:\n\ndata\n\n",
    "stray json": b'{"error":\n{"code":5}}\n\n',
    "many empty lines": b"\n\n\ndata: a\n\n\n\ndata: b\n\n\n",
}  # fmt: skip


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("lf", [(b"", b"a"), (b"", b"b")]),
        ("crlf", [(b"x", b"a"), (b"", b"b")]),
        ("cr", [(b"", b"a"), (b"", b"b")]),
        ("mixed ends", [(b"", b"a"), (b"", b"b"), (b"", b"c")]),
        ("bom", [(b"", b"a")]),
        ("comment between", [(b"", b"a")]),
        ("two data lines", [(b"e", b"a\n b")]),
        ("no space, no last line", [(b"", b"a"), (b"", b"b")]),
        ("unicode ends of line inside", [(b"", "{\"t\":\"\u2028\u0085é😀\"}".encode())]),
        ("empty data", [(b"", b""), (b"", b"")]),
        ("stray json", []),
        ("many empty lines", [(b"", b"a"), (b"", b"b")]),
    ],
)  # fmt: skip
def test_frames_are_read_as_the_standard_says(name: str, expected: list[Frame]) -> None:
    assert frames(STREAMS[name]) == expected


@pytest.mark.parametrize("name", STREAMS)
def test_a_cut_anywhere_changes_nothing(name: str) -> None:
    stream = STREAMS[name]
    whole = frames(stream)

    for first in range(len(stream) + 1):
        for second in range(first, len(stream) + 1):
            assert frames(stream[:first], stream[first:second], stream[second:]) == whole, (first, second)
    assert frames(*[stream[at : at + 1] for at in range(len(stream))]) == whole


@given(st.text(alphabet="da:t \r\n{é", max_size=40), st.lists(st.integers(0, 60), max_size=4))
def test_any_bytes_give_the_same_frames_however_they_are_cut(text: str, places: list[int]) -> None:
    stream = text.encode()
    cuts = sorted(min(place, len(stream)) for place in places)

    pieces = [stream[start:end] for start, end in zip([0, *cuts], [*cuts, len(stream)], strict=True)]
    assert frames(*pieces) == frames(stream)


def test_lines_that_are_no_fields_are_kept_aside() -> None:
    splitter = Splitter()
    splitter.feed(STREAMS["stray json"])

    assert b"".join(splitter.stray) == b'{"error":{"code":5}}'


def test_a_frame_comes_out_as_soon_as_its_empty_line_is_there() -> None:
    splitter = Splitter()

    assert splitter.feed(b"data: a\n") == []
    assert splitter.pending
    assert splitter.feed(b"\n") == [(b"", b"a")]
    assert not splitter.pending


def test_a_frame_without_end_is_refused_before_it_fills_the_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sse, "MAX_LINE_BYTES", 100)
    splitter = Splitter()

    with pytest.raises(LineTooLong):
        for _ in range(20):
            splitter.feed(b"data: 0123456789")


def test_what_is_written_is_read_back() -> None:
    assert frames(frame(b'{"a":1}') + frame(b"x", b"chat.chunk")) == [(b"", b'{"a":1}'), (b"chat.chunk", b"x")]


@given(st.lists(st.sampled_from([b"data: a", b"\n", b"\n\n", b"\r\n", b"\r"]), max_size=8).map(b"".join))
def test_the_whole_frames_of_bytes_are_those_bytes(data: bytes) -> None:
    whole = data[: last_end(data, 0)]

    assert b"".join(frames_of(whole)) == whole
