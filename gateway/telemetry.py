"""Every metric, log event and their names, in one place. Counting is plain arithmetic; rendering happens at the scrape.

Rule 1: label values come from the configuration only; a model or tenant that is not configured is "other".
Rule 2: a hot call touches bound cells and nothing else: no lock (one loop owns them), no label look-up, no string work.
Rule 3: what one process counted is a plain JSON value (`Registry.snapshot`), so that many workers merge by adding.
Names ending in gen_ai_* follow OpenTelemetry's GenAI conventions, written the Prometheus way.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Iterable, Sequence
from typing import Any, Literal

from msgspec import Struct
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
)
from prometheus_client.core import (
    Metric as Family,
)
from prometheus_client.process_collector import ProcessCollector

from gateway.types import Usage

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"

# The boundaries of OpenTelemetry's gen_ai.client.operation.duration, so that one histogram serves both names.
SECONDS = (0.01, 0.02, 0.04, 0.08, 0.16, 0.32, 0.64, 1.28, 2.56, 5.12, 10.24, 20.48, 40.96, 81.92)
FIRST_TOKEN = (0.001, 0.005, 0.01, 0.02, 0.04, 0.06, 0.08, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0, 30.0)
OVERHEAD = (0.00005, 0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.1, 0.5)
TOKEN_TYPES = ("input", "output", "cache_read", "cache_write", "reasoning")
TOKENS = tuple(float(4**n) for n in range(14))


class Metric(Struct, frozen=True):
    kind: Literal["counter", "gauge", "histogram"]
    help: str
    labels: tuple[str, ...] = ()
    buckets: tuple[float, ...] = ()


METRICS: dict[str, Metric] = {
    "gateway_requests_total": Metric(
        "counter", "Calls answered.", ("surface", "tenant", "model", "provider", "status", "stream")
    ),
    "gateway_request_duration_seconds": Metric(
        "histogram", "From the first byte of a call to the last byte of its answer.", ("surface", "provider"), SECONDS
    ),
    "gateway_time_to_first_token_seconds": Metric(
        "histogram", "From the call to its first content, streams only.", ("provider",), FIRST_TOKEN
    ),
    "gateway_overhead_seconds": Metric(
        "histogram", "Time in the gateway: everything but waiting for upstream.", ("surface",), OVERHEAD
    ),
    "gateway_tokens_total": Metric(
        "counter",
        "Tokens by type: input, output, cache_read, cache_write, reasoning.",
        ("tenant", "model", "provider", "type"),
    ),
    "gateway_in_flight_requests": Metric("gauge", "Calls being served."),
    "gateway_streams_open": Metric("gauge", "Streams being served."),
    "gateway_upstream_attempts_total": Metric("counter", "Upstream calls by outcome.", ("provider", "outcome")),
    "gateway_fallbacks_total": Metric("counter", "Moves to another provider.", ("from", "to", "reason")),
    "gateway_breaker_state": Metric("gauge", "0 closed, 1 half open, 2 open.", ("provider",)),
    "gateway_quota_used_tokens": Metric("gauge", "Tokens used in the current period.", ("scope", "period")),
    "gateway_quota_limit_tokens": Metric("gauge", "The limit of the current period.", ("scope", "period")),
    "gateway_budget_used_microusd": Metric(
        "gauge",
        "Money spent in the current period, where there is a budget, in millionths of a US dollar.",
        ("scope", "period"),
    ),
    "gateway_budget_limit_microusd": Metric("gauge", "The budget of the current period.", ("scope", "period")),
    "gateway_unpriced_calls_total": Metric(
        "counter", "Calls that a budget paid nothing for, since their model has no price.", ("provider", "model")
    ),
    "gateway_quota_refusals_total": Metric("counter", "Calls refused for a quota or a budget.", ("scope", "reason")),
    "gateway_alerts_total": Metric("counter", "Quota alerts raised.", ("level",)),
    "gateway_rate_limited_total": Metric("counter", "Calls refused by a limit.", ("tenant", "reason")),
    "gateway_suspect_usage_total": Metric(
        "counter", "Answers whose usage was missing or absurd and was replaced by a bound.", ("provider",)
    ),
    "gateway_translation_repairs_total": Metric(
        "counter",
        "Requests sent once more because a provider refused what our translation made of them.",
        ("provider", "kind"),
    ),
    "gateway_translation_dropped_total": Metric(
        "counter", "Parameters left out because the provider does not take them.", ("provider",)
    ),
    "gateway_config_reloads_total": Metric("counter", "Reloads of the configuration: ok, error.", ("result",)),
    "gateway_log_lines_dropped_total": Metric("counter", "Access log lines lost because the log could not keep up."),
    "gateway_background_errors_total": Metric("counter", "Failures of background tasks.", ("task",)),
    "gateway_worker_restarts_total": Metric("counter", "Workers that ended unasked; each is replaced."),
    "gateway_build_info": Metric("gauge", "Always 1; the version is a label.", ("version",)),
    "gen_ai_client_operation_duration_seconds": Metric(
        "histogram", "Duration of GenAI calls.", ("gen_ai_operation_name", "gen_ai_provider_name"), SECONDS
    ),
    "gen_ai_client_token_usage": Metric(
        "histogram", "Tokens of GenAI calls.", ("gen_ai_provider_name", "gen_ai_token_type"), TOKENS
    ),
    "gen_ai_server_time_to_first_token_seconds": Metric(
        "histogram", "Time to the first token.", ("gen_ai_provider_name",), FIRST_TOKEN
    ),
}

# What prometheus_client tells of a process where there is /proc. Of many workers: the sums, and the first start.
PROCESS: dict[str, Metric] = {
    "process_virtual_memory_bytes": Metric("gauge", "Virtual memory size in bytes."),
    "process_resident_memory_bytes": Metric("gauge", "Resident memory size in bytes."),
    "process_start_time_seconds": Metric("gauge", "Start time of the process since unix epoch in seconds."),
    "process_cpu_seconds_total": Metric("counter", "Total user and system CPU time spent in seconds."),
    "process_open_fds": Metric("gauge", "Number of open file descriptors."),
    "process_max_fds": Metric("gauge", "Maximum number of open file descriptors."),
}
_THIS_PROCESS = ProcessCollector(registry=None)


class Cell:
    """A counter or gauge with its labels bound."""

    __slots__ = ("value",)

    def __init__(self) -> None:
        self.value = 0.0


class Histogram:
    """A histogram with its labels bound. `counts` has one more entry than `bounds`: what is above all of them."""

    __slots__ = ("bounds", "counts", "total")

    def __init__(self, bounds: tuple[float, ...]) -> None:
        self.bounds = bounds
        self.counts = [0] * (len(bounds) + 1)
        self.total = 0.0

    def observe(self, value: float) -> None:
        self.counts[bisect_left(self.bounds, value)] += 1
        self.total += value


Labels = tuple[str, ...]
Sampler = Callable[[], Iterable[tuple[str, Labels, float]]]
Snapshot = dict[str, list[tuple[list[str], Any]]]


class Registry:
    """What this process counted. Cells are made once and kept by whoever counts."""

    def __init__(self) -> None:
        self._cells: dict[tuple[str, Labels], Cell] = {}
        self._histograms: dict[tuple[str, Labels], Histogram] = {}
        self._samplers: list[Sampler] = []
        self._before: list[Callable[[], None]] = []

    def cell(self, name: str, *labels: str) -> Cell:
        """The counter or gauge `name` with these label values, made on first use."""
        key = (name, labels)
        if key not in self._cells:
            assert len(labels) == len(METRICS[name].labels), name
            self._cells[key] = Cell()
        return self._cells[key]

    def histogram(self, name: str, *labels: str) -> Histogram:
        key = (name, labels)
        if key not in self._histograms:
            assert len(labels) == len(METRICS[name].labels), name
            self._histograms[key] = Histogram(METRICS[name].buckets)
        return self._histograms[key]

    def count(self, name: str, *labels: str, by: float = 1) -> None:
        """Add to a counter off the hot path."""
        self.cell(name, *labels).value += by

    def sample(self, sampler: Sampler) -> None:
        """Ask `sampler` at each scrape for (name, labels, value) of gauges that others keep."""
        self._samplers.append(sampler)

    def before(self, hand_in: Callable[[], None]) -> None:
        """Call `hand_in` before each scrape: whoever counts in batches hands in what is kept back."""
        self._before.append(hand_in)

    def snapshot(self) -> Snapshot:
        """Everything counted so far as plain lists: name -> [(labels, value or [counts, total])]."""
        for hand_in in self._before:
            hand_in()
        found: Snapshot = {name: [] for name in METRICS}
        for (name, labels), cell in self._cells.items():
            found[name].append((list(labels), cell.value))
        for (name, labels), histogram in self._histograms.items():
            found[name].append((list(labels), [list(histogram.counts), histogram.total]))
        for sampler in self._samplers:
            for name, labels, value in sampler():
                found[name].append((list(labels), value))
        for family in _THIS_PROCESS.collect():
            found.update({sample.name: [([], sample.value)] for sample in family.samples})
        return found


# Gauges that every worker would report alike (they come from shared state): merging takes the largest, not the sum.
_SHARED = frozenset(
    {
        *("gateway_breaker_state", "gateway_build_info"),
        *("gateway_quota_used_tokens", "gateway_quota_limit_tokens"),
        *("gateway_budget_used_microusd", "gateway_budget_limit_microusd"),
    }
)


def merge(snapshots: list[Snapshot]) -> Snapshot:
    """One snapshot of many workers: counters and histograms add up, shared gauges take the largest."""
    merged: dict[str, dict[Labels, Any]] = {name: {} for name in METRICS}
    for snapshot in snapshots:
        for name, rows in snapshot.items():
            into = merged.setdefault(name, {})
            for labels, value in rows:
                key = tuple(labels)
                into[key] = value if key not in into else _join(name, into[key], value)
    return {name: [(list(labels), value) for labels, value in rows.items()] for name, rows in merged.items()}


def _join(name: str, one: Any, other: Any) -> Any:
    if isinstance(one, list):
        return [[a + b for a, b in zip(one[0], other[0], strict=True)], one[1] + other[1]]
    if name == "process_start_time_seconds":
        return min(one, other)
    return max(one, other) if name in _SHARED else one + other


def totals(snapshot: Snapshot) -> Snapshot:
    """What must not be forgotten when its process ends: counters and histograms. Gauges end with it."""
    kinds = {name: metric.kind for name, metric in (METRICS | PROCESS).items()}
    return {name: rows for name, rows in snapshot.items() if kinds.get(name, "gauge") != "gauge"}


def render(snapshot: Snapshot) -> bytes:
    """Prometheus text of a snapshot."""
    registry = CollectorRegistry(auto_describe=False)
    registry.register(_Collector(snapshot))
    return generate_latest(registry)


class _Collector:
    def __init__(self, snapshot: Snapshot) -> None:
        self._snapshot = snapshot

    def collect(self) -> Iterable[Family]:
        for name, metric in (METRICS | PROCESS).items():
            rows = self._snapshot.get(name, [])
            if rows:
                yield _family(name, metric, rows)


def _family(name: str, metric: Metric, rows: list[tuple[list[str], Any]]) -> Family:
    if metric.kind == "histogram":
        family = HistogramMetricFamily(name, metric.help, labels=metric.labels)
        for labels, (counts, total) in rows:
            family.add_metric(labels, _cumulative(metric.buckets, counts), total)
        return family
    kind = CounterMetricFamily if metric.kind == "counter" else GaugeMetricFamily
    scalar = kind(name, metric.help, labels=metric.labels)
    for labels, value in rows:
        scalar.add_metric(labels, value)
    return scalar


def _cumulative(bounds: tuple[float, ...], counts: list[int]) -> list[tuple[str, float]]:
    buckets, running = [], 0
    for bound, count in zip(bounds, counts, strict=False):
        running += count
        buckets.append((repr(bound), float(running)))
    return [*buckets, ("+Inf", float(running + counts[-1]))]


# ---------------------------------------------------------------- one call


# Of one call: its duration, its wait for the upstream and for the first content, in seconds; and what it used.
Figures = tuple[float, float, float | None, Usage | None]


class Series:
    """The bound cells of one kind of call: same surface, tenant, model, provider, status and stream."""

    __slots__ = ("_duration", "_first_token", "_overhead", "_requests", "_sizes", "_tokens", "attempts_ok", "provider")  # fmt: skip

    def __init__(self, r: Registry, labels: tuple[str, str, str, str], status: str, stream: str) -> None:
        """`labels`: surface, tenant, model, provider."""
        surface, tenant, model, self.provider = labels
        self._requests = r.cell("gateway_requests_total", *labels, status, stream)
        self._duration = r.histogram("gateway_request_duration_seconds", surface, self.provider)
        self._overhead = r.histogram("gateway_overhead_seconds", surface)
        self._first_token = r.histogram("gateway_time_to_first_token_seconds", self.provider)
        self.attempts_ok = r.cell("gateway_upstream_attempts_total", self.provider, "ok")
        self._tokens = [r.cell("gateway_tokens_total", tenant, model, self.provider, kind) for kind in TOKEN_TYPES]
        self._sizes = [r.histogram("gen_ai_client_token_usage", self.provider, kind) for kind in TOKEN_TYPES[:2]]

    def answered(self, rows: Sequence[Figures]) -> None:
        """Count calls. The additions of `Histogram.observe` stand here in line: this runs for every call."""
        durations, overheads = self._duration.counts, self._overhead.counts
        cells, sizes = self._tokens, self._sizes
        inputs, outputs = sizes[0].counts, sizes[1].counts
        seconds = ours_s = 0.0
        tokens_in = tokens_out = 0
        for duration_s, upstream_s, first_s, usage in rows:
            seconds += duration_s
            durations[bisect_left(SECONDS, duration_s)] += 1
            if first_s is None:
                ours = duration_s - upstream_s
            else:
                ours = first_s - upstream_s
                self._first_token.observe(first_s)
            overheads[bisect_left(OVERHEAD, ours)] += 1
            if ours > 0:
                ours_s += ours
            if usage is None:
                continue
            given, made = usage.input, usage.output
            tokens_in += given
            tokens_out += made
            inputs[bisect_left(TOKENS, given)] += 1
            outputs[bisect_left(TOKENS, made)] += 1
            if usage.cache_read or usage.cache_write or usage.reasoning:
                cells[2].value += usage.cache_read
                cells[3].value += usage.cache_write
                cells[4].value += usage.reasoning
        self._requests.value += len(rows)
        self._duration.total += seconds
        self._overhead.total += ours_s
        cells[0].value += tokens_in
        cells[1].value += tokens_out
        sizes[0].total += tokens_in
        sizes[1].total += tokens_out


def derived(snapshot: Snapshot) -> Snapshot:
    """Add the gen_ai_* histograms that are ours under another name: nothing is counted twice on the hot path."""
    durations: dict[Labels, Any] = {}
    for labels, value in snapshot.get("gateway_request_duration_seconds", []):
        key = ("chat", labels[1])
        durations[key] = (
            value if key not in durations else _join("gateway_request_duration_seconds", durations[key], value)
        )
    snapshot["gen_ai_client_operation_duration_seconds"] = [(list(k), v) for k, v in durations.items()]
    snapshot["gen_ai_server_time_to_first_token_seconds"] = list(
        snapshot.get("gateway_time_to_first_token_seconds", [])
    )
    return snapshot


def exposition(snapshots: list[Snapshot]) -> bytes:
    """/metrics of all workers."""
    return render(derived(merge(snapshots)))
