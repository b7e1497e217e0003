"""The answers on one connection, one after another: bytes in, calls of a sink out. No socket, no clock.

Rule 1: llhttp alone decides where a body ends (length, chunks, nothing); this file decides what of it may be believed.
Rule 2: on_end is not called here. The connection must first be back in its pool or closed, and that only after the parser has
        seen all bytes at hand: an exchange begun inside its callbacks could be handed bytes that belong to nobody.
Rule 3: bytes after the end spoil the connection, never the answer.
Rule 4: everything that is not body is bounded: heads, interim heads, chunk extensions and trailers share one allowance.

Facts of httptools 0.9 (llhttp 9), each held by a test: lines end in CRLF only and are never folded, so the first empty line of
the raw bytes ends the head; without an on_header callback the parser keeps no header in memory; it accepts RTSP, HTTP/0.9,
HTTP/2.0 and any three digits as a status; it cannot be told that an answer belongs to HEAD, nor that the connection ended.
"""

from __future__ import annotations

import httptools

from gateway.upstream.headers import Headers
from gateway.upstream.sink import DEAF, Sink

MAX_HEAD_BYTES = 64 * 1024  # also the most bytes in a row that carry no body
MAX_LINE_BYTES = 32 * 1024
MAX_HEADERS = 200
# Where so little has come, no head can do harm, and it is not measured: that would cost as much as parsing it.
SMALL_HEAD_BYTES = 4096

_EMPTY_LINE = b"\r\n\r\n"


class BadReply(ValueError):
    """What came is no answer in HTTP/1.x, or more of it than is taken."""


class Reader:
    """Reads one answer per `begin`. `reusable` tells after the end whether the connection may carry another exchange."""

    __slots__ = ("_ended", "_framing", "_head", "_head_only", "_headers", "_parser", "_sink", "in_body", "reusable")

    def __init__(self) -> None:
        self._parser = httptools.HttpResponseParser(self)
        self._headers: Headers | None = None
        self.begin(DEAF, False)

    def begin(self, sink: Sink, head_only: bool) -> None:
        """Get ready for the next answer. Allowed before the first and after one that ended `reusable`."""
        self._sink = sink
        self._head_only = head_only
        self._head = b""  # raw bytes until the final head is complete
        self._framing = 0  # bytes since the last piece of body
        self._ended = False
        self.in_body = False
        self.reusable = False

    @property
    def silent(self) -> bool:
        """Whether not a single byte has come since `begin`."""
        return not self._framing and not self.in_body

    def silence(self) -> None:
        """The sink hears nothing more."""
        self._sink = DEAF

    def feed(self, data: bytes) -> bool:
        """Take bytes, tell whether the answer is complete. Raises BadReply; what a sink raises passes through."""
        if not self.in_body:
            self._head = self._head + data if self._head else data
        self._framing += len(data)
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserError as error:
            if not self._ended:
                raise _cause(error) from None
            self.reusable = False  # a parser that failed never reads again
        if self._ended:
            return True
        if self._framing > MAX_HEAD_BYTES:
            raise BadReply(f"more than {MAX_HEAD_BYTES} bytes in a row without a body")
        return False

    def eof(self) -> bool:
        """The other side closed: whether that is the proper end of this answer (RFC 9112, 6.3, rule 8)."""
        headers = self._headers
        if not self.in_body or headers is None:
            return False
        return "content-length" not in headers and "transfer-encoding" not in headers

    # ------------------------------------------------ called by the parser, inside feed_data

    def on_message_begin(self) -> None:
        if self._ended:  # the first byte of something after the end
            self.reusable = False

    def on_headers_complete(self) -> None:
        if self._ended:
            return
        raw = self._head if self._head.startswith(b"HTTP/1.") else _answer(self._head)
        if len(raw) > SMALL_HEAD_BYTES:
            raw = _measured(raw)
        status = self._parser.get_status_code()
        if 100 <= status < 200 and status != 101:  # interim: the answer is still to come
            self._head = self._head[self._head.find(_EMPTY_LINE, self._head.find(b"H")) + 4 :]
            return
        if not 200 <= status <= 599:  # 101 too: nobody asked to switch protocols
            raise BadReply(f"the status {status}")
        self._head = b""
        self.in_body = True
        self._headers = headers = Headers(raw)
        self._sink.on_head(status, headers)
        if self._head_only:  # the parser would wait for a body; its state is worthless from here
            self._ended = True
            self._sink = DEAF

    def on_body(self, data: bytes) -> None:
        self._framing = 0
        self._sink.on_data(data)

    def on_message_complete(self) -> None:
        if self.in_body and not self._ended:  # else a 1xx, HEAD, or what followed the end
            self._ended = True
            self._sink = DEAF
            self._headers = None
            self.reusable = self._parser.should_keep_alive()


def _answer(raw: bytes) -> bytes:
    # Empty lines before an answer are skipped, as the parser does (RFC 9112, 2.2).
    raw = raw.lstrip(b"\r\n")
    if not raw.startswith(b"HTTP/1."):
        raise BadReply("another protocol than HTTP/1")
    return raw


def _measured(raw: bytes) -> bytes:
    # The head without what followed it, so that whoever keeps it keeps no more. Raises BadReply where it is too large.
    end = raw.find(_EMPTY_LINE)
    if end > MAX_HEAD_BYTES:
        raise BadReply(f"a head of {end} bytes")
    lines = raw[:end].split(b"\r\n")
    if len(lines) - 1 > MAX_HEADERS:
        raise BadReply(f"{len(lines) - 1} headers")
    if max(map(len, lines)) > MAX_LINE_BYTES:
        raise BadReply(f"a header line of more than {MAX_LINE_BYTES} bytes")
    return raw[: end + 4]


def _cause(error: httptools.HttpParserError) -> BaseException:
    # An exception raised in a callback comes back as the context of the parser's own.
    return error.__context__ or BadReply(str(error))
