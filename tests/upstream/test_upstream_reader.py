"""The state machine alone: bytes in, calls out."""

from __future__ import annotations

import pytest
from upstream_kit import HELLO, Recorder

from gateway.upstream.reader import MAX_HEAD_BYTES, MAX_HEADERS, MAX_LINE_BYTES, BadReply, Reader
from gateway.upstream.sink import DEAF

CHUNKED = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n3;a=b\r\nhel\r\n2\r\nlo\r\n0\r\nx-check: 1\r\n\r\n"
INTERIM = b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nlink: </a>\r\n\r\n"

WHOLE = {
    "length": HELLO,
    "chunks, extension, trailer": CHUNKED,
    "interim heads first": INTERIM + HELLO,
    "empty lines first": b"\r\n\r\n" + HELLO,
    "no reason": b"HTTP/1.1 200\r\nCONTENT-LENGTH:5\r\n\r\nhello",
    "HTTP/1.0 kept alive": b"HTTP/1.0 200 OK\r\nconnection: keep-alive\r\ncontent-length: 5\r\n\r\nhello",
}


def read(*pieces: bytes, head_only: bool = False) -> tuple[Recorder, Reader, bool]:
    reader, sink = Reader(), Recorder()
    reader.begin(sink, head_only)
    ended = False
    for piece in pieces:
        ended = reader.feed(piece)
    return sink, reader, ended


@pytest.mark.parametrize("answer", WHOLE.values(), ids=WHOLE)
def test_an_answer_reads_the_same_however_it_is_cut(answer: bytes) -> None:
    for cut in range(1, len(answer)):
        sink, reader, ended = read(answer[:cut], answer[cut:])
        assert (sink.status, sink.data, ended, reader.reusable) == (200, b"hello", True, True), cut
        assert sink.words[0] == "head"
    sink, reader, ended = read(*(answer[at : at + 1] for at in range(len(answer))))
    assert (sink.status, sink.data, ended, reader.reusable) == (200, b"hello", True, True)


def test_one_reader_reads_answer_after_answer() -> None:
    reader = Reader()
    for answer in [*WHOLE.values()] * 3:
        sink = Recorder()
        reader.begin(sink, False)
        assert reader.silent
        assert reader.feed(answer) and reader.reusable
        assert (sink.status, sink.data) == (200, b"hello")


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 5\r\n\r\nhello",
        b"HTTP/1.0 200 OK\r\ncontent-length: 5\r\n\r\nhello",
    ],
)
def test_a_connection_that_the_server_will_close_is_not_reusable(answer: bytes) -> None:
    sink, reader, ended = read(answer)
    assert ended and sink.data == b"hello"
    assert not reader.reusable


@pytest.mark.parametrize(
    "garbage", [b"HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\nevil", b"H", b"xyz", b"\x00", INTERIM]
)
@pytest.mark.parametrize("answer", [HELLO, CHUNKED, HELLO.replace(b"\r\n\r\n", b"\r\nconnection: close\r\n\r\n")])
def test_bytes_after_the_end_spoil_the_connection_and_not_the_answer(answer: bytes, garbage: bytes) -> None:
    sink, reader, ended = read(answer + garbage)
    assert ended and sink.data == b"hello"
    assert sink.words.count("head") == 1
    assert not reader.reusable


@pytest.mark.parametrize("status", [204, 304])
def test_statuses_without_body_end_with_their_head(status: int) -> None:
    sink, reader, ended = read(b"HTTP/1.1 %d None\r\n\r\n" % status)
    assert ended and reader.reusable
    assert (sink.status, sink.words) == (status, ["head"])


def test_a_body_after_204_belongs_to_nobody() -> None:
    sink, reader, ended = read(b"HTTP/1.1 204 None\r\ncontent-length: 5\r\n\r\nhello")
    assert ended and not reader.reusable
    assert sink.data == b""


def test_the_answer_to_head_has_a_length_and_no_body() -> None:
    sink, reader, ended = read(b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\n", head_only=True)
    assert ended and not reader.reusable
    assert sink.headers["content-length"] == "5"


def test_a_body_without_length_ends_with_the_connection() -> None:
    sink, reader, ended = read(b"HTTP/1.1 200 OK\r\n\r\nhel", b"lo")
    assert not ended
    assert reader.eof()
    assert sink.data == b"hello"


@pytest.mark.parametrize(
    "cut_short",
    [
        b"",
        b"HTTP/1.1 200 OK\r\n",
        b"HTTP/1.1 100 Continue\r\n\r\n",
        HELLO[:-1],
        CHUNKED[:-1],
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: gzip\r\n\r\nhello",
    ],
)
def test_everything_else_that_ends_with_the_connection_was_cut_short(cut_short: bytes) -> None:
    _, reader, ended = read(cut_short) if cut_short else read()
    assert not ended
    assert not reader.eof()


@pytest.mark.parametrize(
    "nonsense",
    [
        b"xyz",
        b"SSH-2.0-OpenSSH_9\r\n",
        b"RTSP/1.0 200 OK\r\ncontent-length: 0\r\n\r\n",
        b"HTTP/2.0 200 OK\r\ncontent-length: 0\r\n\r\n",
        b"\r\nHTTP/0.9 200 OK\r\ncontent-length: 0\r\n\r\n",
        b"HTTP/1.1 20 OK\r\n\r\n",
        b"HTTP/1.1 099 OK\r\ncontent-length: 0\r\n\r\n",
        b"HTTP/1.1 600 OK\r\ncontent-length: 0\r\n\r\n",
        b"HTTP/1.1 101 Switching Protocols\r\nupgrade: websocket\r\nconnection: upgrade\r\n\r\n",
        b"HTTP/1.1 200 OK\ncontent-length: 0\n\n",
        b"HTTP/1.1 200 OK\r\na: b\r\n folded\r\n\r\n",
        b"HTTP/1.1 200 OK\r\na: b\x00c\r\n\r\n",
        b"HTTP/1.1 200 OK\r\na : b\r\n\r\n",
        b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\ncontent-length: 6\r\n\r\n",
        b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\ntransfer-encoding: chunked\r\n\r\n",
        b"HTTP/1.1 200 OK\r\ncontent-length: -5\r\n\r\n",
        b"HTTP/1.1 200 OK\r\ncontent-length: 99999999999999999999\r\n\r\n",
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n",
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n1\r\nab\r\n",
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nffffffffffffffffff\r\n",
    ],
)
def test_what_is_no_answer_is_refused(nonsense: bytes) -> None:
    with pytest.raises(BadReply):
        read(nonsense)
    with pytest.raises(BadReply):
        read(*(nonsense[at : at + 1] for at in range(len(nonsense))))


def head_of(*lines: bytes) -> bytes:
    return b"HTTP/1.1 200 OK\r\n" + b"".join(line + b"\r\n" for line in lines)


@pytest.mark.parametrize(
    "too_much",
    [
        head_of(*[b"x-%d: %s" % (n, b"y" * 30) for n in range(MAX_HEADERS + 1)]),
        head_of(b"x: " + b"y" * MAX_LINE_BYTES),
        head_of(*[b"x-%d: %s" % (n, b"y" * 1000) for n in range(MAX_HEAD_BYTES // 1000)]),
        b"HTTP/1.1 200 " + b"y" * MAX_LINE_BYTES + b"\r\n",
        b"HTTP/1.1 100 Continue\r\n\r\n" * (MAX_HEAD_BYTES // 25 + 1),
    ],
    ids=["headers", "line", "head", "status line", "interim heads"],
)
def test_a_head_too_large_is_refused_in_one_piece_and_in_many(too_much: bytes) -> None:
    whole = too_much + b"content-length: 5\r\n\r\nhello"
    with pytest.raises(BadReply):
        read(whole)
    with pytest.raises(BadReply):
        read(*(whole[at : at + 1400] for at in range(0, len(whole), 1400)))


def test_a_head_just_within_its_limits_is_read() -> None:
    lines = [b"x-%d: %s" % (n, b"y" * 250) for n in range(MAX_HEADERS - 1)]
    sink, _, ended = read(head_of(*lines, b"content-length: 0") + b"\r\n")
    assert ended and len(sink.headers) == MAX_HEADERS


@pytest.mark.parametrize(
    "endless",
    [b"HTTP/1.1 200 OK\r\nx: ", CHUNKED[:-2] + b"x-more: ", CHUNKED[: CHUNKED.index(b"3;")] + b"3;ext="],
    ids=["header", "trailer", "chunk extension"],
)
def test_framing_without_end_is_cut_off(endless: bytes) -> None:
    reader = Reader()
    reader.begin(DEAF, False)
    reader.feed(endless)
    with pytest.raises(BadReply):
        for _ in range(MAX_HEAD_BYTES // 1000 + 1):
            reader.feed(b"y" * 1000)


def test_many_small_chunks_are_no_endless_framing() -> None:
    reader, sink = Reader(), Recorder()
    reader.begin(sink, False)
    reader.feed(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n")
    for _ in range(20_000):
        reader.feed(b"1\r\nx\r\n")
    assert reader.feed(b"0\r\n\r\n") and len(sink.data) == 20_000


def test_a_silenced_sink_hears_nothing_more_of_the_same_bytes() -> None:
    reader = Reader()
    sink = Recorder(lambda word: reader.silence())
    reader.begin(sink, False)
    reader.feed(CHUNKED)
    assert sink.words == ["head"]


def test_what_a_sink_raises_comes_out_as_it_is() -> None:
    def fail(word: str) -> None:
        raise ZeroDivisionError(word)

    reader = Reader()
    reader.begin(Recorder(fail), False)
    with pytest.raises(ZeroDivisionError, match="head"):
        reader.feed(HELLO)
