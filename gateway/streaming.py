"""One streamed try at one provider, relayed byte for byte or translated event by event.

Rule 1 of attempt.py is kept here: nothing reaches the client before the first content event. After it the stream talks to the
outlet itself, chunk by chunk, in the callback that brought the bytes: no task and no queue in between.
Rule 2: a stream is over when its vendor says so; the connection may end later, or go on for ever. Rule 3: comments are no sign
of work: the transport's idle timer cannot tell them from words, so it is told here.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from gateway.attempt import MAX_ANSWER_BYTES, Attempt, bad_reply, error_inside, truncated
from gateway.call import Outlet, Trail
from gateway.core.sse import LineTooLong
from gateway.errors import Fault, Next
from gateway.replay import Watching
from gateway.types import (
    BadReply,
    Continue,
    Ended,
    Event,
    Failed,
    Finished,
    Passthrough,
    Paused,
    ProviderHalf,
    TextDelta,
    UsageSeen,
    Vendor,
)
from gateway.upstream.faults import fault as transport_fault

_SILENT = frozenset(b":\r\n")  # how a piece begins that may hold nothing but comments and empty lines


class Stream(Attempt):
    """What the two kinds of stream share: the commit, and how a stream may end. `idle_s`: how long only comments may come."""

    committed = False
    _silent_since = 0.0  # when the first of the comments came that nothing else has followed; 0.0: none
    on_commit: Callable[[], None] | None = None  # told when content begins: a probe need not last as long as its stream

    def __init__(self, vendor: Vendor, outlet: Outlet, trail: Trail, clock: Callable[[], float], idle_s: float) -> None:
        super().__init__(vendor, outlet, trail, clock)
        self._idle_s = idle_s

    def on_head(self, status: int, headers: Mapping[str, str]) -> None:
        super().on_head(status, headers)
        self._streaming = status == 200 and "event-stream" in headers.get("content-type", "").lower()

    def on_data(self, data: bytes) -> None:
        if not self._streaming:
            super().on_data(data)
            return
        if self.ended:
            self._surplus(data)
            return
        if data[0] in _SILENT:
            self._note_silence(data)
        elif self._silent_since:
            self._silent_since = 0.0
        if not self.committed:
            self._bound(data)
        try:
            if not self.ended:
                self._chunk(data)
        except (BadReply, LineTooLong) as bad:
            self._break(bad_reply(str(bad)))

    def _surplus(self, data: bytes) -> None:
        """After the end: line ends are nothing, but a connection that goes on talking is not worth keeping."""
        if data.strip() and self.transfer is not None:
            self.transfer.cancel()

    def _note_silence(self, data: bytes) -> None:
        """Comments and empty lines alone: for idle_s they are waited through."""
        if any(line and not line.startswith(b":") for line in data.splitlines()):
            self._silent_since = 0.0
            return
        now = self._clock()
        self._silent_since = self._silent_since or now
        if now - self._silent_since > self._idle_s:
            self._break(transport_fault("idle_timeout", f"nothing but comments within {self._idle_s:g} s"))

    def _bound(self, data: bytes) -> None:
        """What comes before the first content is kept until then, and so it has a limit."""
        self._size += len(data)
        if self._size > MAX_ANSWER_BYTES:
            self._break(bad_reply(f"{MAX_ANSWER_BYTES} bytes without content"))

    def on_end(self) -> None:
        if not self._streaming:
            super().on_end()
        elif not self.ended:
            self._eof()

    def on_fault(self, fault: Fault) -> None:
        self._break(fault)

    def stop(self, fault: Fault) -> None:
        if not self.ended:
            self._break(fault)

    def _chunk(self, data: bytes) -> None:
        raise NotImplementedError

    def _eof(self) -> None:
        raise NotImplementedError

    def _whole(self, body: bytes) -> None:
        # 200 without an event stream: an error object, a page of HTML, or a vendor that forgot to stream.
        self._finish(error_inside(self._vendor, self.status, body) or bad_reply("no event stream in a 200 answer"))

    def _commit(self) -> None:
        assert self.transfer is not None
        self.committed = self.report.committed = True
        self._trail.first_content_at = self._clock()
        if self.on_commit is not None:
            self.on_commit()
        self._outlet.begin(self._trail, self)

    def pause(self) -> None:
        """The client is slow: whichever transfer brings the answer now is to wait."""
        if self.transfer is not None:
            self.transfer.pause()

    def resume(self) -> None:
        if self.transfer is not None:
            self.transfer.resume()

    def _over(self) -> None:
        """The vendor said its end. The transfer goes on to its own, so that its connection can be used again."""
        if not self.committed:
            self._break(Fault(kind="empty", next=Next.SAME, status=self.status))
        elif not self.ended:
            assert self.transfer is not None
            self.transfer.resume()  # a slow client no longer holds it back
            self._finish(None)

    def _break(self, fault: Fault) -> None:
        """End with a fault. After content the pipeline tells the client so; before it, it tries the next candidate."""
        if not self.ended:
            if self.transfer is not None:
                self.transfer.cancel()
            self._finish(fault)


class RelayedStream(Stream):
    """Client and provider speak the same dialect: bytes go through as they arrive, a tap reads beside them."""

    def __init__(
        self,
        vendor: Vendor,
        outlet: Outlet,
        trail: Trail,
        clock: Callable[[], float],
        idle_s: float,
        passthrough: Passthrough,
        swallow_usage: bool,
    ) -> None:
        super().__init__(vendor, outlet, trail, clock, idle_s)
        self._tap = trail.tap = passthrough.tap(swallow_usage)
        self._held: list[bytes] = []

    def on_data(self, data: bytes) -> None:
        """Most of a stream: bytes of frames, after the first of them, that the tap finds nothing in but words."""
        if self.committed and not self.ended and not self._silent_since and data[0] not in _SILENT:
            tap = self._tap
            try:
                out = tap.feed(data)
            except (BadReply, LineTooLong) as bad:
                self._break(bad_reply(str(bad)))
                return
            if tap.failed is None and not tap.ended:
                if out:
                    self._outlet.raw(out)
                return
            self._forward(out)
        else:
            super().on_data(data)

    def _chunk(self, data: bytes) -> None:
        self._forward(self._tap.feed(data))

    def _forward(self, out: bytes) -> None:
        tap = self._tap
        if self.committed:
            if out:
                self._outlet.raw(out)
        else:
            self._held.append(out)
            if tap.content and not tap.failed:
                self._commit()
                self._outlet.raw(b"".join(self._held))
                self._held.clear()
        if tap.failed is not None:
            self._break(self._vendor.stream_fault(tap.failed))
        elif tap.ended:
            self._over()

    def _eof(self) -> None:
        self._forward(self._tap.eof())
        self._break(truncated())

    def _conclude(self, fault: Fault | None) -> None:
        self.report.usage = self._tap.usage
        self.report.output_bytes = self._tap.output_bytes
        super()._conclude(fault)


class TranslatedStream(Stream):
    """Upstream bytes to events to the client's bytes: one parse and one render per event."""

    def __init__(
        self,
        vendor: Vendor,
        outlet: Outlet,
        trail: Trail,
        clock: Callable[[], float],
        idle_s: float,
        dialect: ProviderHalf,
        undo: object,
        watching: Watching | None,
    ) -> None:
        super().__init__(vendor, outlet, trail, clock, idle_s)
        self._dialect = dialect
        self._reader = dialect.reader(undo)
        self._watching = watching
        self._held: list[Event] = []

    def on_data(self, data: bytes) -> None:
        """Most of a stream: bytes of frames, after the first of them."""
        if self.committed and not self.ended and not self._silent_since and data[0] not in _SILENT:
            try:
                events = self._reader.feed(data)
                if len(events) == 1 and type(said := events[0]) is TextDelta:
                    self._say(said, events)
                elif events:
                    self._take(events)
            except (BadReply, LineTooLong) as bad:
                self._break(bad_reply(str(bad)))
        else:
            super().on_data(data)

    def _chunk(self, data: bytes) -> None:
        events = self._reader.feed(data)
        if events:
            self._take(events)

    def _say(self, said: TextDelta, events: list[Event]) -> None:
        """As `_take`, where `events` is one text after the first content."""
        text = said.text
        self.report.output_bytes += len(text) if text.isascii() else len(text.encode())
        if self._watching is not None:
            self._watching.heard(said)
        self._outlet.events(events)

    def _eof(self) -> None:
        over = self.transfer
        self._take(self._reader.eof())
        if self.transfer is over:  # else the vendor broke its answer off at its very end, and is asked for the rest
            self._break(truncated())

    def _take(self, events: list[Event]) -> None:
        if len(events) == 1 and events[0].content and self.committed:
            self.report.output_bytes += _size(events[0])
            self._give(events, True)
            return
        content = over = False
        again: Continue | None = None
        for at, event in enumerate(events):
            kind = type(event)
            if event.content:
                content = True
                self.report.output_bytes += _size(event)
            elif kind is UsageSeen:
                self.report.usage = event.usage  # type: ignore[union-attr]
            elif kind is Failed:
                self._give(events[:at], content)
                self._break(self._vendor.stream_fault(event))  # type: ignore[arg-type]
                return
            elif kind is Ended:
                over = True
            elif kind is Paused:
                again = event.again  # type: ignore[union-attr]
            elif kind is Finished and event.reason in ("length", "content_filter"):  # type: ignore[union-attr]
                content = True  # an empty answer that says why it is empty is an answer
        self._give(events, content)
        if again is not None and self.resend is not None and not self.ended:
            self._reader = self._dialect.reader(again.undo)
            self.go_on(again)
        elif over:
            if self._watching is not None:
                self._watching.ended()
            self._over()

    def _give(self, events: list[Event], content: bool) -> None:
        if self._watching is not None:
            self._watching.see(events)
        if self.committed:
            self._outlet.events(events)
        elif content:
            self._commit()
            self._outlet.events([*self._held, *events])
            self._held.clear()
        else:
            self._held.extend(events)


def _size(event: Event) -> int:
    text = getattr(event, "text", None) or getattr(event, "arguments", None)
    return len(text.encode()) if isinstance(text, str) and not text.isascii() else len(text or "")
