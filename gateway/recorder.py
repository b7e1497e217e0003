"""What is remembered of each call: metrics, the access line, and the figures of /stats and /providers.

One call costs a dictionary look-up and a few additions; label values come from the configuration (telemetry, rule 1).
"""

from __future__ import annotations

import traceback
from collections.abc import Callable
from typing import Protocol

from gateway.call import Call, Step, Trail
from gateway.errors import Fault
from gateway.logs import AccessLine, LogWriter
from gateway.routes import Routes
from gateway.telemetry import Registry, Series
from gateway.types import Usage

MAX_SERIES = 20_000


class Seen(Protocol):
    """What is known of any request (web.context.Context)."""

    request_id: str
    tenant: str
    at: float
    received_at: float


class Tally:
    """The running figures of one provider, of all tenants or of one: what /providers and /stats show. Since the start."""

    __slots__ = ("errors", "latency_s", "requests", "successes", "tokens")

    def __init__(self) -> None:
        self.requests = self.successes = self.errors = self.tokens = 0
        self.latency_s = 0.0

    def public(self, daily_tokens: int) -> dict[str, float | int]:
        """The `metrics` object of the native API; averageLatency in milliseconds."""
        average = self.latency_s / self.successes * 1000 if self.successes else 0.0
        return {
            "requestCount": self.requests,
            "successCount": self.successes,
            "errorCount": self.errors,
            "averageLatency": round(average, 1),
            "dailyTokens": daily_tokens,
            "errorRate": round(self.errors / self.requests, 4) if self.requests else 0.0,
        }


class Recorder:
    """See the module."""

    def __init__(self, registry: Registry, log: LogWriter, clock: Callable[[], float]) -> None:
        self.registry = registry
        self.log = log
        self._clock = clock
        self._series: dict[tuple[str, str, str, str, int, bool], Series] = {}
        self._tallies: dict[tuple[str, str], Tally] = {}
        self.in_flight = registry.cell("gateway_in_flight_requests")
        self.streams = registry.cell("gateway_streams_open")

    def tally(self, provider: str, tenant: str = "") -> Tally:
        """The figures of a provider, of one tenant when named."""
        key = (tenant, provider)
        found = self._tallies.get(key)
        if found is None:
            found = self._tallies[key] = Tally()
        return found

    def call(self, routes: Routes, call: Call, trail: Trail) -> None:
        """A call is over: count it and write its line."""
        now = self._clock()
        duration = now - call.received_at
        provider = trail.provider or "none"
        key = (call.surface, call.tenant, call.peek.model, provider, trail.status, trail.stream)
        series = self._series.get(key) or self._bind(routes, key)
        series.requests.value += 1
        series.duration.observe(duration)
        if trail.usage is not None:
            self._tokens(series, trail.usage)
        if trail.first_content_at:
            series.first_token.observe(trail.first_content_at - call.received_at)
            series.overhead.observe(max(0.0, trail.first_content_at - call.received_at - trail.upstream_s))
        else:
            series.overhead.observe(max(0.0, duration - trail.upstream_s))
        if trail.notes is not None and trail.notes.dropped:
            self.registry.count("gateway_translation_dropped_total", provider, by=len(trail.notes.dropped))
        self._count_tallies(call, trail)
        self.log.access(self._line(call, trail, duration))

    def attempt(self, provider: str, outcome: str) -> None:
        self.registry.count("gateway_upstream_attempts_total", provider, outcome)

    def fault(self, call: Call, step: Step, fault: Fault) -> None:
        """One attempt failed: for the operator, with what must not reach the client."""
        tally = self.tally(step.provider)
        if fault.kind not in ("gone", "bad_request", "deadline"):
            tally.requests += 1
            tally.errors += 1
            mine = self.tally(step.provider, call.tenant)
            mine.requests += 1
            mine.errors += 1
        level = "info" if fault.kind in ("gone", "bad_request", "deadline") else "warning"
        self.log.event(
            level,
            "attempt_failed",
            request_id=call.id,
            provider=step.provider,
            model=step.model,
            kind=fault.kind,
            status=fault.status,
            detail=fault.log_message or fault.safe_message,
        )
        if fault.kind == "auth":
            self.log.event("error", "credential_refused", provider=step.provider, status=fault.status)

    def fallback(self, left: str, reason: str, to: str) -> None:
        self.registry.count("gateway_fallbacks_total", left, to, reason)

    def breaker_opened(self, provider: str, fault: Fault) -> None:
        self.log.event("warning", "breaker_opened", provider=provider, kind=fault.kind)

    def limited(self, tenant_label: str, reason: str) -> None:
        self.registry.count("gateway_rate_limited_total", tenant_label, reason)

    def suspect(self, call: Call, provider: str, usage: Usage | None) -> None:
        self.registry.count("gateway_suspect_usage_total", provider)
        self.log.event("warning", "suspect_usage", request_id=call.id, provider=provider, usage=repr(usage))

    def other(self, context: Seen, method: str, path: str, status: int, error: str) -> None:
        """A request that made no call: a view, or a refusal before one."""
        self.log.access(
            AccessLine(
                at=context.at,
                request_id=context.request_id,
                method=method,
                path=path[:500],
                status=status,
                duration_ms=round((self._clock() - context.received_at) * 1000, 3),
                tenant=context.tenant,
                error=error,
                outcome="" if status < 400 else "refused",
            )
        )

    def bug(self, request_id: str, bug: BaseException) -> None:
        """Something of ours failed: where, for the log alone."""
        where = [
            f"{f.filename.rpartition('/')[2]}:{f.lineno} {f.name}" for f in traceback.extract_tb(bug.__traceback__)
        ]
        self.log.event("error", "internal_error", request_id=request_id, error=repr(bug), where=where[-6:])

    def _bind(self, routes: Routes, key: tuple[str, str, str, str, int, bool]) -> Series:
        surface, tenant, model, provider, status, stream = key
        if len(self._series) >= MAX_SERIES:
            self._series.clear()  # unlisted tenants and models make keys, not series: cells are shared by label
        series = self._series[key] = Series(
            self.registry,
            surface,
            routes.tenant_label(tenant),
            routes.label(model) if model else "auto",
            provider,
            str(status),
            "true" if stream else "false",
        )
        return series

    def _tokens(self, series: Series, usage: Usage) -> None:
        series.input.value += usage.input
        series.output.value += usage.output
        series.token_input.observe(usage.input)
        series.token_output.observe(usage.output)
        if usage.cache_read:
            series.cache_read.value += usage.cache_read
        if usage.cache_write:
            series.cache_write.value += usage.cache_write
        if usage.reasoning:
            series.reasoning.value += usage.reasoning

    def _count_tallies(self, call: Call, trail: Trail) -> None:
        if trail.outcome != "ok":
            return
        for tally in (self.tally(trail.provider), self.tally(trail.provider, call.tenant)):
            tally.requests += 1
            tally.successes += 1
            tally.latency_s += trail.upstream_s
            tally.tokens += trail.total_tokens

    def _line(self, call: Call, trail: Trail, duration: float) -> AccessLine:
        line = AccessLine(
            at=call.at,
            request_id=call.id,
            method=call.method,
            path=call.path,
            status=trail.status,
            duration_ms=round(duration * 1000, 3),
            surface=call.surface,
            tenant=call.tenant,
            user=call.user,
            key=call.key,
            provider=trail.provider,
            model=call.peek.model,
            upstream_model=trail.model,
            stream=trail.stream,
            total_tokens=trail.total_tokens,
            estimated=trail.estimated,
            upstream_ms=round(trail.upstream_s * 1000, 3),
            error=trail.error,
            outcome=trail.outcome,
            session=call.session,
            trace=call.traceparent,
        )
        if trail.usage is not None:
            line.input_tokens, line.output_tokens = trail.usage.input, trail.usage.output
        if trail.first_content_at:
            line.first_token_ms = round((trail.first_content_at - call.received_at) * 1000, 3)
        if trail.notes is not None:
            line.dropped = trail.notes.dropped
        line.attempts = [_shown(s) for s in trail.steps if s.outcome != "skipped"]
        line.skipped = [{"provider": s.provider, "reason": s.reason} for s in trail.steps if s.outcome == "skipped"]
        return line


def _shown(step: Step) -> dict[str, object]:
    shown: dict[str, object] = {
        "provider": step.provider,
        "outcome": step.outcome,
        "ms": round((step.ended_at - step.began_at) * 1000, 1),
    }
    if step.status not in (None, 200):
        shown["status"] = step.status
    return shown
