"""Answers on their way out: an outlet that writes a dialect over an exchange, and the sweep over open streams.

Header blocks are bytes; the part that the configuration fixes is built once per (provider, model) and kept.
Rule 1: a stream that breaks is cut: an error frame, then the connection closes without the clean ending.
Rule 2: a comment goes out after 15 s of silence (a tick sooner or later), only between frames; a client that takes nothing for 30 s is let go.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from gateway.call import Call, Flow, Trail
from gateway.errors import GatewayError
from gateway.replay import Replay
from gateway.telemetry import Cell
from gateway.types import Echo, Event, Reply, Request, StreamWriter, Translation
from gateway.web.exchange import Exchange

PING_AFTER_S = 15.0
STUCK_AFTER_S = 30.0
_EMPTY_LINES = (b"\n\n", b"\n\r\n", b"\r\r")  # how a frame ends, by its sender's line ends
JSON = b"content-type: application/json\r\n"
EVENT_STREAM = b"content-type: text/event-stream; charset=utf-8\r\ncache-control: no-cache, no-transform\r\nx-accel-buffering: no\r\n"
MAX_BLOCKS = 4096


class Headers:
    """Builds the header blocks of answers."""

    def __init__(self) -> None:
        self._blocks: dict[tuple[str, str], bytes] = {}

    def answered(self, call: Call, trail: Trail, now: float) -> bytes:
        """x-request-id, x-gateway-* and x-ratelimit-* of an answer that a provider gave."""
        block = self.block(trail.provider, trail.model)
        ours_s = now - call.received_at - trail.upstream_s
        ids = (
            f"x-request-id: {call.id}\r\nrequest-id: {call.id}\r\nx-gateway-attempts: {trail.attempts}\r\n"
            f"server-timing: gateway;dur={ours_s * 1000:.2f}, upstream;dur={trail.upstream_s * 1000:.1f}\r\n"
        )
        # The step that answers is on the trail once it is over: a stream's headers go out before that.
        passed_over = trail.steps and trail.steps[0].outcome != "ok"
        rate_limits = call.terms.limits.headers(now)
        if passed_over or trail.clamped or rate_limits or (trail.notes and _noted(trail)):
            ids += _extras(trail, rate_limits)
        return block + ids.encode()

    def block(self, provider: str, model: str) -> bytes:
        """The headers that say who answered; the same bytes for the same names."""
        block = self._blocks.get((provider, model))
        if block is None:
            if len(self._blocks) >= MAX_BLOCKS:
                self._blocks.clear()
            block = f"x-gateway-provider: {_safe(provider)}\r\nx-gateway-model: {_safe(model)}\r\n".encode()
            self._blocks[provider, model] = block
        return block

    def plain(self, block: bytes, id_: bytes, ours_s: float, upstream_s: float) -> bytes:
        """As `answered`, for a first attempt of which there is nothing more to say. `block` begins it."""
        return (
            b"%bx-request-id: %b\r\nrequest-id: %b\r\nx-gateway-attempts: 1\r\n"
            b"server-timing: gateway;dur=%.2f, upstream;dur=%.1f\r\n"
            % (block, id_, id_, ours_s * 1000, upstream_s * 1000)
        )

    def failed(self, error: GatewayError, attempts: int, rate_limits: Sequence[tuple[str, str]] = ()) -> bytes:
        """The headers of an error: ids, how often we tried, whether and when to try again, and what is left."""
        lines = [f"x-request-id: {error.request_id}", f"request-id: {error.request_id}"]
        if attempts:
            lines.append(f"x-gateway-attempts: {attempts}")
        if error.should_retry is not None:
            lines.append("x-should-retry: " + ("true" if error.should_retry else "false"))
        if error.retry_after_s is not None:
            lines.append(f"retry-after: {max(1, -int(-error.retry_after_s // 1))}")
        lines += [f"{name}: {value}" for name, value in rate_limits]
        lines += [f"{name}: {_safe(value)}" for name, value in error.headers.items()]
        return ("\r\n".join(lines) + "\r\n").encode()


def _noted(trail: Trail) -> bool:
    return trail.notes is not None and bool(trail.notes.dropped or trail.notes.warnings)


def _extras(trail: Trail, rate_limits: list[tuple[str, str]]) -> str:
    lines = [f"{name}: {value}" for name, value in rate_limits]
    if passed := trail.passed_over:
        lines.append("x-gateway-fallback-from: " + ", ".join(passed))
    if trail.notes is not None and trail.notes.dropped:
        lines.append("x-gateway-dropped: " + ", ".join(_safe(name) for name in trail.notes.dropped[:50]))
    if trail.notes is not None and trail.notes.warnings:
        lines.append("x-gateway-warnings: " + ", ".join(_safe(code) for code in trail.notes.warnings[:50]))
    if trail.clamped:
        lines.append(f"x-gateway-quota-clamped: {trail.clamped}")
    return "".join(f"{line}\r\n" for line in lines)


def _safe(text: str) -> str:
    """Printable ASCII of at most 200 characters: what a client wrote must not become a header of its own."""
    return "".join(c if " " < c < "\x7f" or c == " " else "?" for c in text[:200])


class OpenStreams:
    """Every stream that is being written, for the sweep: pings in silence, and the end of clients that take nothing."""

    def __init__(self, gauge: Cell, clock: Callable[[], float]) -> None:
        self.clock = clock
        self._gauge = gauge
        self._open: set[HttpOutlet] = set()

    def add(self, outlet: HttpOutlet) -> None:
        self._open.add(outlet)
        self._gauge.value += 1

    def remove(self, outlet: HttpOutlet) -> None:
        if outlet in self._open:
            self._open.remove(outlet)
            self._gauge.value -= 1

    def __len__(self) -> int:
        return len(self._open)

    def sweep(self) -> None:
        """Once a second."""
        now = self.clock()
        for outlet in list(self._open):
            outlet.tick(now)


class HttpOutlet:
    """Writes one call's answer over an exchange, in the dialect of its client."""

    # What only streams need has its first value here: most answers are whole.
    _writer: StreamWriter | None = None
    _trail: Trail
    _paused_at: float | None = None
    _flow: Flow | None = None
    _last = b""  # what passed through last
    _quiet = False  # nothing was written since the last tick; since when
    _quiet_since = 0.0

    def __init__(
        self,
        exchange: Exchange,
        call: Call,
        headers: Headers,
        streams: OpenStreams,
        translation: Translation,
        replay: Replay,
    ) -> None:
        self._exchange = exchange
        self._call = call
        self._headers = headers
        self._streams = streams
        self._translation = translation
        self._replay = replay

    # -------------------------------------------------------- whole answers

    def raw_answer(self, trail: Trail, body: bytes) -> None:
        block = self._headers.answered(self._call, trail, self._streams.clock())
        self._exchange.answer(200, JSON + block, body)

    def reply(self, trail: Trail, reply: Reply) -> None:
        self.raw_answer(trail, self._call.terms.dialect.write_reply(reply, self.echo(trail.model)))

    def fail(self, trail: Trail, error: GatewayError) -> None:
        body = error.body or self._call.terms.dialect.write_error(error)
        self._exchange.answer(error.status, JSON + self._headers.failed(error, trail.attempts, self._limits()), body)

    def _limits(self) -> list[tuple[str, str]]:
        return self._call.terms.limits.headers(self._streams.clock())

    def echo(self, model: str) -> Echo:
        """What the answer repeats of the request. `model`: the upstream's name of it."""
        call, parsed, translation = self._call, self._call.parsed, self._translation
        asked = call.peek.model
        echo = Echo(
            id=call.serial,
            model=asked if asked and translation.model_echo == "requested" else model,
            expose_reasoning=translation.expose_reasoning,
            expose_opaque=translation.expose_opaque,
            created=int(call.at),
            include_usage=call.peek.include_usage,
            seal=self._replay.seal(call),
        )
        if isinstance(parsed, Request):
            if parsed.tools:
                echo.legacy_functions = parsed.legacy_functions
                echo.named_tool = parsed.tool_choice is not None and parsed.tool_choice.mode == "named"
            echo.request = parsed.echo
            if parsed.show_thoughts is False or (parsed.thinking and parsed.thinking.get("display") == "omitted"):
                echo.expose_reasoning = False
        else:
            echo.request = parsed
        return echo

    # -------------------------------------------------------- streams

    def begin(self, trail: Trail, flow: Flow) -> None:
        self._trail, self._flow = trail, flow
        block = self._headers.answered(self._call, trail, self._streams.clock())
        self._begin(block)
        self._exchange.flow(self)
        self._streams.add(self)

    def _begin(self, headers: bytes) -> None:
        self._exchange.begin(200, EVENT_STREAM + headers)

    def raw(self, data: bytes) -> None:
        self._exchange.write(data)
        self._last, self._quiet = data, False

    def events(self, events: list[Event]) -> None:
        if self._writer is None:
            self._writer = self._call.terms.dialect.writer(self.echo(self._trail.model))
        data = self._writer.write(events)
        if data:
            self._exchange.write(data)
            self._quiet = False

    def end(self) -> None:
        self._streams.remove(self)
        self._exchange.end()

    def broken(self, error: GatewayError) -> None:
        self._streams.remove(self)
        if not self._between_frames():
            self._exchange.write(b"\n\n")  # close the frame that was cut, so that ours is read as one
        self._exchange.write(self._error_frame(error))
        self._exchange.cut()

    def _error_frame(self, error: GatewayError) -> bytes:
        if self._writer is None:
            self._writer = self._call.terms.dialect.writer(self.echo(self._trail.model))
        return self._writer.error(error)

    def _between_frames(self) -> bool:
        """Whether something of ours may be written now: not into the middle of a frame that passes through."""
        return not self._last or self._last.endswith(_EMPTY_LINES)

    # -------------------------------------------------------- the client's side

    def on_gone(self, callback: Callable[[], None] | None) -> None:
        if callback is None and self._flow is not None:
            self._streams.remove(self)
        self._exchange.on_closed(callback)

    @property
    def gone(self) -> bool:
        return self._exchange.closed

    def pause(self) -> None:
        """The client is slow: stop reading upstream."""
        self._paused_at = self._streams.clock()
        if self._flow is not None:
            self._flow.pause()

    def resume(self) -> None:
        self._paused_at = None
        if self._flow is not None:
            self._flow.resume()

    def tick(self, now: float) -> None:
        if self._paused_at is not None:
            if now - self._paused_at > STUCK_AFTER_S:
                self._streams.remove(self)
                self._exchange.cut()
        elif not self._quiet:
            self._quiet, self._quiet_since = True, now
        elif now - self._quiet_since >= PING_AFTER_S and self._between_frames():
            self._quiet_since = now
            self._exchange.write(self._call.terms.dialect.ping)
