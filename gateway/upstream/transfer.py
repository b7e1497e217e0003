"""One request on its way and its answer: the handle a caller keeps, with the two moments by which it must have moved on.

Rule 1: a transfer ends once: by on_end, by on_fault or by cancel. Rule 2: no timers here. `due_at` (this phase) and `total_at`
are floats that a sweeper compares with the clock; moving a deadline costs an assignment.
"""

from __future__ import annotations

from collections.abc import Callable
from math import inf
from typing import Protocol

from gateway.errors import FaultKind
from gateway.upstream.faults import fault
from gateway.upstream.request import UpstreamRequest
from gateway.upstream.sink import DEAF, Sink


class Worker(Protocol):
    """Who works for a transfer at the moment: a dial, later a connection."""

    def drop(self) -> None: ...

    def pause(self) -> None: ...

    def resume(self) -> None: ...


class Home(Protocol):
    """Where a transfer is registered while it runs."""

    active: set[Transfer]
    clock: Callable[[], float]


class Transfer:
    """The handle of one exchange. `sent`: request bytes were written, so the upstream may have acted on them."""

    __slots__ = (
        "_home",
        "_limit_s",
        "_waiting_for",
        "_worker",
        "due_at",
        "ended",
        "paused",
        "request",
        "sent",
        "sink",
        "stirred",
        "total_at",
    )

    def __init__(self, home: Home, request: UpstreamRequest, sink: Sink, now: float) -> None:
        self._home = home
        self._worker: Worker | None = None
        self._waiting_for: FaultKind = "connect"
        self._limit_s = inf
        self.request = request
        self.sink = sink
        self.due_at = inf
        self.total_at = now + request.timeouts.total_s
        self.sent = False
        self.paused = False
        self.stirred = (
            False  # a piece of the answer came since the last sweep: cheaper than to look at the clock each time
        )
        self.ended = False
        home.active.add(self)

    # ------------------------------------------------ for the caller

    def cancel(self) -> None:
        """Stop: the sink hears nothing more and the connection is closed. After the end it does nothing."""
        if not self.ended:
            self._leave()

    def pause(self) -> None:
        """Stop reading, so that TCP slows the upstream down. What has already been read is still delivered.

        The idle clock stands still meanwhile: it is we who do not listen. The total goes on.
        """
        if self.paused or self.ended:
            return
        self.paused = True
        if self.sent:
            self.due_at = inf
        if self._worker is not None:
            self._worker.pause()

    def resume(self) -> None:
        """Read on; the idle clock starts anew."""
        if not self.paused or self.ended:
            return
        self.paused = False
        if self.sent:
            now = self._home.clock()
            self.due_at = now + self._limit_s
            self._settle_down(now)
        if self._worker is not None:
            self._worker.resume()

    # ------------------------------------------------ for who works on it

    def work(self, worker: Worker, waiting_for: FaultKind, limit_s: float, now: float) -> None:
        """`worker` takes over and has `limit_s` to get to the next phase."""
        self._worker = worker
        self._waiting_for = waiting_for
        self._limit_s = limit_s
        self.due_at = inf if self.paused and self.sent else now + limit_s

    def overdue(self, now: float) -> bool:
        """For the sweep: whether `due_at` or `total_at` has come. What was heard since the last one starts the idle clock now."""
        self._settle_down(now)
        return now >= self.due_at or now >= self.total_at

    def _settle_down(self, now: float) -> None:
        """A piece of the answer came: the next one is waited for as long as an answer may be idle."""
        if self.stirred:
            self.stirred = False
            self._waiting_for = "idle_timeout"
            self._limit_s = limit_s = self.request.timeouts.idle_s
            self.due_at = inf if self.paused else now + limit_s

    def expire(self, now: float) -> None:
        """Fail a transfer whose `due_at` or `total_at` has come."""
        if now >= self.total_at:
            self.fail("total_timeout", f"not complete within {self.request.timeouts.total_s:g} s")
        else:
            what = "not connected" if self._waiting_for == "connect" else "nothing heard"
            self.fail(self._waiting_for, f"{what} within {self._limit_s:g} s")

    def finish(self) -> None:
        """The answer is whole. A sink that raises hears a fault: it must not wait for an end that nobody else will tell."""
        sink, heard = self.sink, False
        self._worker = None  # it is already free for others
        self.ended = True  # as `_leave` does it
        self._home.active.discard(self)
        self.sink = DEAF
        try:
            sink.on_end()
            heard = True
        finally:
            if not heard:
                sink.on_fault(fault("bad_reply", f"{self.request.origin.host_port}: its answer could not be taken in"))

    def fail(self, kind: FaultKind, why: str) -> None:
        """The exchange broke; its connection or dial is dropped. After the end it does nothing."""
        if self.ended:
            return
        sink = self.sink
        self._leave()
        sink.on_fault(fault(kind, f"{self.request.origin.host_port}: {why}"))

    def _leave(self) -> None:
        self.ended = True
        self._home.active.discard(self)
        # A sink usually keeps its transfer. Cutting the knot here lets both go at once, without the garbage collector.
        self.sink = DEAF
        worker, self._worker = self._worker, None
        if worker is not None:
            worker.drop()
