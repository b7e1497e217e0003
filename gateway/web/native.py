"""POST /chat: the native dialect over HTTP, whole or as events (the same ones that the sockets carry)."""

from __future__ import annotations

from gateway.call import Call, Trail
from gateway.dialects.native import NATIVE, NativeExtras
from gateway.errors import GatewayError
from gateway.types import Echo, Event, Reply
from gateway.web.relay import JSON, HttpOutlet


class NativeOutlet(HttpOutlet):
    """An HttpOutlet whose answers also tell who answered, after whom, and how long it took."""

    _extras: NativeExtras | None = None

    def reply(self, trail: Trail, reply: Reply) -> None:
        extras = extras_of(self._call, trail, self._streams.clock())
        self.raw_answer(trail, NATIVE.write_reply(reply, self.echo(trail.model), extras))

    def fail(self, trail: Trail, error: GatewayError) -> None:
        headers = self._headers.failed(error, trail.attempts, self._limits())
        self._exchange.answer(error.status, JSON + headers, NATIVE.write_error(error))

    def echo(self, model: str) -> Echo:
        return echo_of(self._call, model)

    def _begin(self, headers: bytes) -> None:
        self._exchange.begin_events(headers)

    def events(self, events: list[Event]) -> None:
        now = self._streams.clock()
        if self._extras is None:
            self._extras = extras_of(self._call, self._trail, now)
            self._writer = NATIVE.writer(self.echo(self._trail.model), self._extras)
        self._extras.latency_ms = milliseconds(self._call, now)
        super().events(events)


def echo_of(call: Call, model: str) -> Echo:
    """What a native answer repeats. Its model is the upstream's: who answered is what this API tells."""
    return Echo(id=call.serial, model=model, created=int(call.at))


def extras_of(call: Call, trail: Trail, now: float) -> NativeExtras:
    """What a native answer tells beyond the model's words."""
    return NativeExtras(
        provider=trail.provider,
        fallback_from=trail.passed_over,
        attempts=trail.attempts,
        latency_ms=milliseconds(call, now),
        session_id=call.session or None,
        request_id=call.id,
    )


def milliseconds(call: Call, now: float) -> int:
    """How long a call has taken until `now` (monotonic seconds)."""
    return round((now - call.received_at) * 1000)
