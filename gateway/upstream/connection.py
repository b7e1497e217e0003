"""One connection to an upstream: an asyncio protocol that carries one exchange at a time.

Rule 1: a connection goes back to its pool only after an answer that ended, asked for no closing, left no byte over and found
        its request fully written. Everything else (cancel, fault, garbage) closes it: no answer can reach another call.
Rule 2: a connection that had already served and dies without one byte of the next answer was dead before we wrote. That one
        exchange is moved to a fresh connection, once (RFC 9110, 9.2.2; browsers and Go's net/http do the same).
"""

from __future__ import annotations

import asyncio
from typing import Protocol

from gateway.upstream.reader import BadReply, Reader
from gateway.upstream.round import Round
from gateway.upstream.transfer import Home, Transfer

_LARGE_BODY_BYTES = 64 * 1024
_BODYLESS = (b"GET ", b"HEAD ", b"DELETE ", b"OPTIONS ")


class Keeper(Home, Protocol):
    """The pool, as its connections see it."""

    round: Round
    plain: bool  # heads go out as they are

    def give_back(self, connection: Connection) -> None:
        """The connection is free and clean."""
        ...

    def forget(self, connection: Connection) -> None:
        """The connection is gone."""
        ...

    def replace(self, transfer: Transfer) -> None:
        """The transfer needs a fresh connection."""
        ...

    def final_head(self, head: bytes) -> bytes:
        """The request's head as this way to the origin wants it."""
        ...


class Connection(asyncio.Protocol):
    """See the module. `uses` counts exchanges; `idle_since` is when it last came back to its pool."""

    __slots__ = ("_keeper", "_large", "_plain", "_reader", "_transfer", "_unwritten", "idle_since", "transport", "uses")

    transport: asyncio.Transport

    def __init__(self, keeper: Keeper) -> None:
        self._keeper = keeper
        self._plain = keeper.plain
        self._reader = Reader()
        self._transfer: Transfer | None = None
        self._unwritten = b""  # a request that goes out with the end of the round
        self._large = b""  # its body, where that is large
        self.idle_since = 0.0
        self.uses = 0

    @property
    def closing(self) -> bool:
        return self.transport.is_closing()

    def start(self, transfer: Transfer, now: float) -> None:
        """Write the request of `transfer` and wait for its answer."""
        request = transfer.request
        self._transfer = transfer
        self._reader.begin(transfer.sink, request.method_head)
        self.uses += 1
        transfer.sent = True
        transfer.work(self, "first_byte_timeout", request.timeouts.first_byte_s, now)
        if transfer.paused:
            self.transport.pause_reading()
        head, body = request.head if self._plain else self._keeper.final_head(request.head), request.body
        if not body and head.startswith(_BODYLESS):
            self._unwritten = head + b"\r\n"
        elif len(body) <= _LARGE_BODY_BYTES:
            self._unwritten = b"%bcontent-length: %d\r\n\r\n%b" % (head, len(body), body)
        else:  # one more system call is cheaper than one more copy
            self._unwritten, self._large = b"%bcontent-length: %d\r\n\r\n" % (head, len(body)), body
        self._keeper.round.add(self)

    def flush(self) -> None:
        """Write the request that `start` kept back until the end of the round."""
        data, self._unwritten = self._unwritten, b""
        if data and not self.transport.is_closing():
            self.transport.write(data)
            if self._large:
                self.transport.write(self._large)
                self._large = b""

    def _withdraw(self, transfer: Transfer | None) -> None:
        """What was not yet written never will be."""
        if self._unwritten and transfer is not None:
            transfer.sent = False
        self._unwritten = self._large = b""

    # ------------------------------------------------ called by the transfer

    def drop(self) -> None:
        """Nobody waits any more: close at once, what was not yet written included."""
        self._withdraw(self._transfer)
        self._transfer = None
        self._reader.silence()
        self.transport.abort()

    def pause(self) -> None:
        self.transport.pause_reading()

    def resume(self) -> None:
        self.transport.resume_reading()

    # ------------------------------------------------ called by the transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport  # type: ignore[assignment]  # create_connection gives a stream transport

    def data_received(self, data: bytes) -> None:
        transfer = self._transfer
        if transfer is None:  # bytes that nobody asked for
            self.transport.abort()
            return
        if self._unwritten:  # an answer to a request that has not gone out: this connection is worth nothing
            self._break(transfer, "spoke before it was asked")
            return
        try:
            ended = self._reader.feed(data)
        except BadReply as error:
            transfer.fail("bad_reply", str(error))
            return
        if ended:
            self._finish(transfer)
        elif self._reader.in_body:
            transfer.stirred = True

    def eof_received(self) -> None:
        transfer = self._transfer
        if transfer is None:  # idle: the transport closes itself and tells of it
            return
        if self._reader.eof():
            self._finish(transfer)
        else:
            self._break(transfer, "closed by the other side")

    def connection_lost(self, exc: Exception | None) -> None:
        self._keeper.forget(self)
        if self._transfer is not None:
            self._break(self._transfer, str(exc) if exc else "closed")

    def _finish(self, transfer: Transfer) -> None:
        if transfer.ended:  # the sink cancelled while it was told the last of it
            return
        self._transfer = None
        if transfer.paused:
            self.transport.resume_reading()
        # An answer may overtake its request (413 to a large body): the rest of the body would be read as the next request.
        if self._reader.reusable and not self.transport.get_write_buffer_size():
            self._keeper.give_back(self)
        else:
            self.transport.abort()
        transfer.finish()

    def _break(self, transfer: Transfer, why: str) -> None:
        self._transfer = None
        self._withdraw(transfer)
        self.transport.abort()
        if self._reader.silent and self.uses > 1:
            self._keeper.replace(transfer)
        else:
            transfer.fail("reset", why)
