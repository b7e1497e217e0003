"""The writing half of the lean door: one connection's answers, kept back until the end of the loop's round (upstream.round).

Rule: bytes leave in the order in which they were written, so whoever closes the connection flushes first.
"""

from __future__ import annotations

import asyncio
from http import HTTPStatus
from typing import Protocol

from gateway.upstream.round import Round
from gateway.web.plainhead import Head
from gateway.web.relay import EVENT_STREAM

MAX_KEPT_BACK_BYTES = 16 * 1024
STATUS = {s.value: f"HTTP/1.1 {s.value} {s.phrase}\r\nserver: passerelle\r\n".encode() for s in HTTPStatus}
CLOSE = b"connection: close\r\n"


class Shared(Protocol):
    """What all connections of a listening socket share, as far as it concerns writing."""

    date: bytes
    draining: bool
    round: Round


class LaneWriter(asyncio.Protocol):
    """Writes answers of HTTP/1.1. The reading half (web.fastlane) says what is to be answered, and when no more is written."""

    __slots__ = ("_closing", "_head", "_lane", "_unwritten", "ready", "transport")

    transport: asyncio.Transport

    def __init__(self, lane: Shared) -> None:
        self._lane = lane
        self._closing = False
        self._head: Head | None = None
        self._unwritten = b""
        self.ready: bytes | None = None

    def answer(self, status: int, headers: bytes, body: bytes) -> None:
        if not self._closing:
            self._write(
                b"%b%b%b%bcontent-length: %d\r\n\r\n%b"
                % (STATUS[status], self._lane.date, headers, self._last(), len(body), body)
            )

    def _write(self, data: bytes) -> None:
        """Keep bytes back until the end of the round (upstream.round); not many, or a slow client would be noticed late."""
        if self._unwritten:
            self._unwritten += data
            if len(self._unwritten) > MAX_KEPT_BACK_BYTES:
                self.flush()
        else:
            self._unwritten = data
            self._lane.round.add(self)

    def flush(self) -> None:
        data, self._unwritten = self._unwritten, b""
        if data and not self.transport.is_closing():
            self.transport.write(data)

    def _last(self) -> bytes:
        """The header that says so, when the connection closes after this answer."""
        head = self._head
        if head is not None and head.keep_alive and self.ready is not None and not self._lane.draining:
            return b""
        return CLOSE

    def begin(self, status: int, headers: bytes) -> None:
        if not self._closing:
            self._write(
                b"%b%b%b%btransfer-encoding: chunked\r\n\r\n" % (STATUS[status], self._lane.date, headers, self._last())
            )

    def begin_events(self, headers: bytes) -> None:
        self.begin(200, EVENT_STREAM + headers)

    def write(self, data: bytes) -> None:
        if data and not self._closing:  # an empty chunk would be the end
            if self._unwritten:
                self._write(b"%x\r\n%b\r\n" % (len(data), data))
            else:
                self._unwritten = b"%x\r\n%b\r\n" % (len(data), data)
                self._lane.round.add(self)

    def end(self) -> None:
        if not self._closing:
            self._write(b"0\r\n\r\n")
