"""One try at one provider: the sink of an upstream transfer, for whole answers and for streams.

Rule 1: nothing reaches the client before the first content event. Until then an error, an empty answer or a cut is a
`Result` with a fault and the pipeline goes on to the next candidate; nobody saw anything.
Rule 2: after that the attempt talks to the outlet itself, chunk by chunk, without a task or a queue in between.
Rule 3: an attempt ends exactly once; late callbacks change nothing. Whoever awaits it is told in the very callback that brought
the end, without a turn of the loop in between: at tens of thousands of calls a second that turn is what costs.
"""

from __future__ import annotations

import asyncio
import contextvars
from collections.abc import Callable, Generator, Mapping
from typing import Any, Protocol

from gateway.call import LEFT, Outlet, Result, Trail
from gateway.errors import CLIENTS_OWN, Fault, FaultKind, Next
from gateway.types import BadReply, Continue, EmbeddingReply, Part, Passthrough, ProviderHalf, Reply, Vendor

MAX_ERROR_BYTES = 64 * 1024
MAX_ANSWER_BYTES = 64 * 1024 * 1024
GONE = Fault(kind="gone", next=Next.STOP)
EMPTY: Mapping[str, str] = {}


class Transfer(Protocol):
    sent: bool

    def cancel(self) -> None: ...

    def pause(self) -> None: ...

    def resume(self) -> None: ...


class Attempt:
    """What both kinds share: the head, error bodies, the one end. Implements the transport's Sink, and can be awaited once.

    To asyncio's Task it looks like a future (the protocol of PEP 3156: _asyncio_future_blocking and its methods).
    """

    _asyncio_future_blocking = False
    _waiter: Callable[[Attempt], object] | None = None
    _context: contextvars.Context | None = None
    _cancelled = False
    ended = False
    status = 0
    transfer: Transfer | None = None
    resend: Callable[[Continue], Transfer] | None = None  # whoever sent the request writes the next one of its answer
    _headers: Mapping[str, str] = EMPTY
    _size = 0

    def __init__(self, vendor: Vendor, outlet: Outlet, trail: Trail, clock: Callable[[], float]) -> None:
        self.report = Result()
        self._vendor = vendor
        self._outlet = outlet
        self._trail = trail
        self._clock = clock
        self._body: list[bytes] = []

    def go_on(self, again: Continue) -> None:
        """The vendor broke its answer off and is to be asked for the rest: `resend` writes the next request.

        Its answer is heard by this same attempt, which is one attempt for the breaker and the quotas.
        """
        assert self.resend is not None
        if self.transfer is not None:
            self.transfer.cancel()
        self._body, self._size, self.status = [], 0, 0
        self.transfer = self.resend(again)

    def belongs_to(self, outlet: Outlet, trail: Trail) -> None:
        """Whom to give the answer, and where its figures go, for an attempt that was made without."""
        self._outlet, self._trail = outlet, trail

    # ------------------------------------------------------------ waiting for the end

    def __await__(self) -> Generator[Attempt, None, Result]:
        if not self.ended:
            self._asyncio_future_blocking = True
            yield self
        if self._cancelled:
            raise asyncio.CancelledError
        return self.report

    def add_done_callback(
        self, callback: Callable[[Attempt], object], *, context: contextvars.Context | None = None
    ) -> None:
        """Without a context the callback runs at once at the end; a Task, which brings one, must not be entered that way."""
        self._waiter, self._context = callback, context

    def get_loop(self) -> asyncio.AbstractEventLoop:
        return asyncio.get_running_loop()

    def result(self) -> Result:
        if self._cancelled:
            raise asyncio.CancelledError
        return self.report

    def cancel(self, msg: object = None) -> bool:
        """The waiting task was cancelled; the transfer goes on until somebody calls `abandon`."""
        if self.ended:
            return False
        self._cancelled = True
        self._wake()
        return True

    def _wake(self) -> None:
        waiter, self._waiter = self._waiter, None
        if waiter is None:
            return
        if self._context is None:
            waiter(self)
        else:
            asyncio.get_running_loop().call_soon(waiter, self, context=self._context)

    # ------------------------------------------------------------ the transport's side

    def on_head(self, status: int, headers: Mapping[str, str]) -> None:
        self.status = status
        self._headers = headers

    def on_data(self, data: bytes) -> None:
        self._size += len(data)
        if self._size <= (MAX_ANSWER_BYTES if self.status == 200 else MAX_ERROR_BYTES):
            self._body.append(data)
        elif self.status == 200:
            self.stop(bad_reply(f"an answer of more than {MAX_ANSWER_BYTES} bytes"))
        else:  # an error that long says nothing more
            self.stop(self._vendor.fault(self.status, dict(self._headers), b"".join(self._body)))

    def on_end(self) -> None:
        if 200 <= self.status < 300:
            self._whole(b"".join(self._body))
        else:
            self._finish(self._vendor.fault(self.status, dict(self._headers), b"".join(self._body)))

    def on_fault(self, fault: Fault) -> None:
        self._finish(fault)

    def client_left(self) -> None:
        self.stop(GONE)

    def stop(self, fault: Fault) -> None:
        """End from our side: the client left, the deadline passed, the gateway stops."""
        if not self.ended:
            if self.transfer is not None:
                self.transfer.cancel()
            self._finish(fault)

    def abandon(self) -> Result:
        """The waiting task was cancelled: stop the transfer and tell what is known of it, as for a client that left.
        An attempt that came to its end in the same moment ended as it did."""
        if not self.ended:
            self.ended = True
            if self.transfer is not None:
                self.transfer.cancel()
            self._conclude(GONE)
        return self.report

    def _whole(self, body: bytes) -> None:
        raise NotImplementedError

    def _finish(self, fault: Fault | None) -> None:
        if not self.ended:
            self._conclude(fault)
            self.ended = True
            self._wake()

    def _conclude(self, fault: Fault | None) -> None:
        self.report.fault = fault
        self.report.sent = self.transfer is not None and self.transfer.sent
        self.resend = None  # it leads back here, and circles wait for the garbage collector


class WholeAnswer(Attempt):
    """A call without streaming, relayed (same dialect) or translated."""

    _again: Continue | None = None
    _answer = b""  # here, since web.express begins without __init__
    _reply: Any = None  # a Reply, or an EmbeddingReply

    def __init__(
        self,
        vendor: Vendor,
        outlet: Outlet,
        trail: Trail,
        clock: Callable[[], float],
        dialect: ProviderHalf,
        passthrough: Passthrough | None,
        undo: object = None,
    ) -> None:
        super().__init__(vendor, outlet, trail, clock)
        self._dialect = dialect
        self._passthrough = passthrough
        self._undo = undo

    def deliver(self) -> None:
        """Give the client its answer."""
        if self._reply is not None:
            self._outlet.reply(self._trail, self._reply)
        else:
            self._outlet.raw_answer(self._trail, self._answer)

    @property
    def parts(self) -> list[Part]:
        """Of the first choice of a translated answer."""
        choices = getattr(self._reply, "choices", None)
        return choices[0].parts if choices else []

    def _conclude(self, fault: Fault | None) -> None:
        if fault is not None and fault.kind in LEFT and self.status == 200:
            self.report.output_bytes = self._size  # the vendor had written it all when the first byte came
        super()._conclude(fault)

    def _whole(self, body: bytes) -> None:
        try:
            empty = self._relay(body) if self._passthrough is not None else self._translate(body)
        except BadReply as bad:
            self._finish(error_inside(self._vendor, self.status, body) or bad_reply(str(bad), bad.kind))
            return
        again, self._again = self._again, None
        if again is not None:
            self._undo = again.undo
            self.go_on(again)
            return
        self._finish(Fault(kind="empty", next=Next.SAME, status=self.status) if empty else None)

    def _relay(self, body: bytes) -> bool:
        assert self._passthrough is not None
        glance = self._passthrough.glance(body)
        self.report.usage = glance.usage
        self.report.output_bytes = len(body)
        self._answer = body
        return glance.empty

    def _translate(self, body: bytes) -> bool:
        reply = self._dialect.read_reply(body, self._undo)
        self._again = getattr(reply, "again", None) if self.resend is not None else None
        self.report.usage = reply.usage
        self.report.output_bytes = len(body)
        if isinstance(reply, EmbeddingReply) and reply.again is not None and self._again is None:
            raise BadReply("the inputs are more than one batch, and the others were not asked for")
        self._reply = reply
        return nothing_in(reply)


def nothing_in(reply: Reply | EmbeddingReply) -> bool:
    """Whether an answer says nothing, and gives no reason for that either."""
    if isinstance(reply, EmbeddingReply):
        return not reply.vectors
    for choice in reply.choices:  # noqa: SIM110 - all() costs as much again as the loop
        if choice.parts or choice.finish not in ("stop", None):
            return False
    return True


def bad_reply(log_message: str, kind: FaultKind = "bad_reply") -> Fault:
    return Fault(kind=kind, next=Next.SAME, log_message=log_message)


def truncated() -> Fault:
    return Fault(kind="truncated", next=Next.SAME, log_message="the stream ended without the vendor's ending")


def error_inside(vendor: Vendor, status: int, body: bytes) -> Fault | None:
    """A 200 whose body is an error object counts as what the object says, not as an answer."""
    start = body[:4096].lstrip()
    if not start.startswith((b"{", b"[")) or b'"error"' not in start:
        return None
    fault = vendor.fault(status, {}, body)
    return Fault(
        kind="error_event" if fault.kind in ("server_error", *CLIENTS_OWN) else fault.kind,
        next=Next.SAME if fault.next is Next.STOP else fault.next,
        status=status,
        log_message=fault.log_message or fault.safe_message,
        retry_after_s=fault.retry_after_s,
    )
