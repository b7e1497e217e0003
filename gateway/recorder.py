"""What is remembered of each call: metrics, the access line, and the figures of /stats and /providers.

One call costs a dictionary look-up and a few additions; label values come from the configuration (telemetry, rule 1). Plain
calls are counted in batches, which is cheaper than one by one: at BATCH calls, with the log's next lines, and before anybody
reads.
"""

from __future__ import annotations

import traceback
from collections import defaultdict
from collections.abc import Callable
from typing import Protocol

import msgspec
from msgspec import Struct

from gateway.call import Call, Step, Terms, Trail
from gateway.core.tallies import Tallies, Tally
from gateway.errors import CLIENTS_OWN, Fault
from gateway.logs import AccessLine, LogWriter, name_of
from gateway.routes import Routes
from gateway.telemetry import Registry, Series
from gateway.types import Notes, Usage

MAX_SERIES = 20_000
BATCH = 32  # so few that nobody notices the pause
_PLAIN = (
    b'"request_id":"%b",%b,"duration_ms":%.3f,%b,"attempts":1,"total_tokens":%d,"upstream_ms":%.3f,'
    b'"input_tokens":%d,"output_tokens":%d}\n'
)
NOT_THE_PROVIDERS = (
    "gone",
    "deadline",
    "stopping",
    *CLIENTS_OWN,
)  # kinds of faults that say nothing about the provider
SeriesKey = tuple[
    str, str, str, str, str, int, bool
]  # surface, tenant, model, provider, upstream model, status, stream


class Seen(Protocol):
    """What is known of any request (web.context.Context)."""

    request_id: str
    tenant: str
    at: float
    received_at: float


class PlainLine(Struct, frozen=True, eq=False):
    """Where the figures of plain calls from one head to one place go, and what all their access lines say."""

    series: Series
    tallies: tuple[Tally, Tally]
    before: bytes  # from the request's id on, after it
    between: bytes  # from the duration on, after it


PlainFigures = tuple[float, float, None, Usage]  # telemetry.Figures, all there
PlainCall = tuple[PlainLine, bytes, float, PlainFigures]  # with its id and when it came, in unix seconds


class Recorder:
    """See the module."""

    def __init__(self, registry: Registry, log: LogWriter, clock: Callable[[], float]) -> None:
        self.registry = registry
        self.log = log
        self._clock = clock
        self._series: dict[SeriesKey, Series] = {}
        self._pairs: dict[tuple[str, str], tuple[Tally, Tally]] = {}
        self.tallies = Tallies(self.hand_in)
        self._late: list[PlainCall] = []
        registry.before(self.hand_in)
        log.before(self.hand_in)
        self._routes: Routes | None = None  # whose labels the series have
        self.in_flight = registry.cell("gateway_in_flight_requests")
        self.streams = registry.cell("gateway_streams_open")

    def call(self, routes: Routes, call: Call, trail: Trail) -> None:
        """A call is over: count it and write its line."""
        if self._late:  # lines stand in the order in which calls ended
            self.hand_in()
        now = self._clock()
        duration = now - call.received_at
        terms = call.terms
        if routes is not self._routes:  # what was "other" may have a name since the reload
            self._routes = routes
            self._series.clear()
        key = (terms.surface, terms.tenant, call.peek.model, trail.provider, trail.model, trail.status, trail.stream)
        series = self._series.get(key) or self._bind(routes, key)
        first_s = trail.first_content_at - call.received_at if trail.first_content_at else None
        series.answered(((duration, trail.upstream_s, first_s, trail.usage),))
        if trail.notes is not None and trail.notes.dropped:
            self.registry.count("gateway_translation_dropped_total", series.provider, by=len(trail.notes.dropped))
        if trail.outcome == "ok":
            latency_us = int(trail.upstream_s * 1e6)
            for tally in self._tallies_of(trail.provider, terms.tenant):
                tally.succeeded(1, latency_us, trail.total_tokens)
            series.attempts_ok.value += 1
        if self.log.writes_access:
            self.log.access(call.at, self._line(call, trail, duration))

    def plain_line(self, routes: Routes, terms: Terms, model: str, provider: str, upstream_model: str) -> PlainLine:
        """What `plain` needs, for as long as these routes hold."""
        if routes is not self._routes:
            self._routes = routes
            self._series.clear()
        key = (terms.surface, terms.tenant, model, provider, upstream_model, 200, False)
        series = self._series.get(key) or self._bind(routes, key)
        same = {"surface": terms.surface, "tenant": terms.tenant, "user": terms.user, "key": terms.key}
        same |= {"provider": provider, "model": model, "upstream_model": upstream_model, "outcome": "ok"}
        same["trace"] = terms.traceparent
        head = {"method": terms.method, "path": terms.path, "status": 200}
        before, between = (msgspec.json.encode(fields)[1:-1] for fields in (head, {k: v for k, v in same.items() if v}))
        return PlainLine(series, self._tallies_of(provider, terms.tenant), before, between)

    def plain(self, line: PlainLine, id_: bytes, at: float, duration_s: float, upstream_s: float, usage: Usage) -> None:
        """As `call`, for a call that its first candidate answered whole and of which there is nothing more to say."""
        late = self._late
        late.append((line, id_, at, (duration_s, upstream_s, None, usage)))
        if len(late) == 1:
            self.log.soon()
        elif len(late) >= BATCH:
            self.hand_in()

    def hand_in(self) -> None:
        """Count the plain calls that were kept back, and write their lines."""
        late, self._late = self._late, []
        of_line = defaultdict(list)
        for line, _, _, figures in late:
            of_line[line].append(figures)
        for line, rows in of_line.items():
            line.series.answered(rows)
            line.series.attempts_ok.value += len(rows)
            latency_us = sum([int(figures[1] * 1e6) for figures in rows])
            tokens = sum([figures[3].total for figures in rows])
            for tally in line.tallies:
                tally.succeeded(len(rows), latency_us, tokens)
        if late and self.log.writes_access:
            self.log.plain([(at, _plain_text(line, id_, figures)) for line, id_, at, figures in late])

    def fault(self, call: Call, step: Step, fault: Fault) -> None:
        """One attempt failed: for the operator, with what must not reach the client."""
        self.registry.count("gateway_upstream_attempts_total", step.provider, fault.kind)
        ours = fault.kind in NOT_THE_PROVIDERS
        if not ours:
            tally = self.tallies.own(step.provider)
            tally.requests += 1
            tally.errors += 1
            mine = self.tallies.own(step.provider, call.terms.tenant)
            mine.requests += 1
            mine.errors += 1
        self.log.event(
            "info" if ours else "warning",
            "attempt_failed",
            request_id=call.id,
            provider=step.provider,
            model=step.model,
            kind=fault.kind,
            status=fault.status,
            detail=_detail(fault),
        )

    def credential_refused(self, provider: str, fault: Fault, times: int, rest_s: float) -> None:
        """One of the operator's keys was refused, so often in a row, and rests for so long."""
        rests_s = round(max(0.0, rest_s), 1)
        self.log.event(
            "error", "credential_refused", provider=provider, status=fault.status, times=times, rests_s=rests_s
        )

    def fallback(self, left: str, reason: str, to: str) -> None:
        self.registry.count("gateway_fallbacks_total", left, to, reason)

    def mended(self, provider: str, kind: str) -> None:
        """A vendor refused what our translation made of a request, and is asked once more with another one."""
        self.registry.count("gateway_translation_repairs_total", provider, kind)

    def breaker_opened(self, provider: str, fault: Fault) -> None:
        self.log.event("warning", "breaker_opened", provider=provider, kind=fault.kind)

    def limited(self, tenant_label: str, reason: str) -> None:
        self.registry.count("gateway_rate_limited_total", tenant_label, reason)

    def suspect(self, call: Call, provider: str, usage: Usage | None) -> None:
        self.registry.count("gateway_suspect_usage_total", provider)
        self.log.event("warning", "suspect_usage", request_id=call.id, provider=provider, usage=repr(usage))

    def unpriced(self, tenant: str, provider: str, model_label: str) -> None:
        """A budget paid nothing for a call, since nobody knows what its model costs."""
        self.registry.count("gateway_unpriced_calls_total", provider, model_label)
        self.tallies.own(provider, tenant).unpriced += 1

    def other(self, context: Seen, method: str, path: str, status: int, error: str) -> None:
        """A request that made no call: a view, or a refusal before one."""
        if self._late:
            self.hand_in()
        self.log.access(
            context.at,
            AccessLine(
                context.request_id,
                method,
                path[:500],
                status,
                round((self._clock() - context.received_at) * 1000, 3),
                tenant=context.tenant,
                error=error,
                outcome="" if status < 400 else "refused",
            ),
        )

    def bug(self, request_id: str, bug: BaseException) -> None:
        """Something of ours failed: where, for the log alone."""
        where = [
            f"{f.filename.rpartition('/')[2]}:{f.lineno} {f.name}" for f in traceback.extract_tb(bug.__traceback__)
        ]
        self.log.event("error", "internal_error", request_id=request_id, error=name_of(bug), where=where[-6:])

    def _bind(self, routes: Routes, key: SeriesKey) -> Series:
        surface, tenant, model, provider, _, status, stream = key
        if len(self._series) >= MAX_SERIES:
            self._series.clear()  # unlisted tenants and models make keys, not series: cells are shared by label
        labels = (surface, routes.tenant_label(tenant), routes.label(model) if model else "auto", provider or "none")
        series = self._series[key] = Series(self.registry, labels, str(status), "true" if stream else "false")
        return series

    def _tallies_of(self, provider: str, tenant: str) -> tuple[Tally, Tally]:
        key = (provider, tenant)
        found = self._pairs.get(key)
        if found is None:
            if len(self._pairs) >= MAX_SERIES:
                self._pairs.clear()
            found = self._pairs[key] = (self.tallies.own(provider), self.tallies.own(provider, tenant))
        return found

    def _line(self, call: Call, trail: Trail, duration: float) -> AccessLine:
        terms = call.terms
        steps = trail.steps
        line = AccessLine(
            call.id,
            terms.method,
            terms.path,
            trail.status,
            round(duration * 1000, 3),
            terms.surface,
            terms.tenant,
            terms.user,
            terms.key,
            trail.provider,
            call.peek.model,
            trail.model,
            trail.stream,
            trail.outcome,
            len(steps),
            trail.total_tokens,
            round(trail.upstream_s * 1000, 3),
        )
        if trail.usage is not None:
            line.input_tokens, line.output_tokens = trail.usage.input, trail.usage.output
        if trail.cost_microusd:
            line.cost_microusd = trail.cost_microusd
        if len(steps) > 1 or trail.outcome != "ok" or trail.stream or trail.estimated or _noted(trail.notes):
            self._more(line, call, trail)
        if call.terms.traceparent or call.session:
            line.trace, line.session = terms.traceparent, call.session
        return line

    def _more(self, line: AccessLine, call: Call, trail: Trail) -> None:
        """What only calls that were not plain have to say."""
        line.error = trail.error
        line.estimated = trail.estimated
        if trail.first_content_at:
            line.first_token_ms = round((trail.first_content_at - call.received_at) * 1000, 3)
        if trail.notes is not None:
            line.dropped = trail.notes.dropped
        line.attempts = trail.attempts
        line.trail = [_shown(step) for step in trail.steps]


def _plain_text(line: PlainLine, id_: bytes, figures: PlainFigures) -> bytes:
    duration_s, upstream_s, _, usage = figures
    given, made = usage.input, usage.output
    values = (id_, line.before, duration_s * 1000, line.between, usage.total, upstream_s * 1000, given, made)
    if given and made:
        return _PLAIN % values
    # What is zero is left out, as of any line.
    return (_PLAIN % values).replace(b',"input_tokens":0', b"").replace(b',"output_tokens":0', b"")


def _detail(fault: Fault) -> str:
    """The vendor's words, but of a client's own mistake its code only: such a text quotes what the client wrote."""
    if fault.kind in (*CLIENTS_OWN, "context_overflow"):
        return fault.code or ""
    return fault.log_message or fault.safe_message


def _noted(notes: Notes | None) -> bool:
    """Whether a translation had anything to say."""
    return notes is not None and bool(notes.dropped or notes.warnings)


def _shown(step: Step) -> dict[str, object]:
    if step.outcome == "skipped":
        return {"provider": step.provider, "outcome": "skipped", "reason": step.reason}
    shown: dict[str, object] = {
        "provider": step.provider,
        "outcome": step.outcome,
        "ms": round((step.ended_at - step.began_at) * 1000, 1),
    }
    if step.status not in (None, 200):
        shown["status"] = step.status
    return shown
