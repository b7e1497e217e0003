"""What was measured, as Markdown. Every ratio is such that more is better."""

from __future__ import annotations

from statistics import median

from msgspec import Struct

from bench.columns import Column, added, cheaper, figure, markdown, table, times
from bench.footprint import Memory
from bench.json_calls import PACED_CONNECTIONS, PACED_PER_S, Sample, Samples
from bench.loads import Load
from bench.stream_calls import CHUNKS_PER_S, Loads
from bench.streams import StreamLoad

NGINX, BARE, DIRECT = "nginx", "bare aiohttp", "direct"


class Findings(Struct):
    """Everything that a run found out."""

    machine: list[tuple[str, str]]
    effort: str
    json: dict[int, Samples]
    big: Samples
    paced: dict[str, list[Load]]
    loaded_mb: dict[str, float]
    streams: dict[int, Loads]
    memory: dict[str, Memory]
    starts_s: list[float]
    notes: list[str]


CALLS: list[Column[Sample]] = [
    figure("calls/s", lambda s: s.per_s, "{:,.0f}"),
    times("× nginx", lambda s: s.per_s, NGINX),
    times("× bare", lambda s: s.per_s, BARE),
    figure("CPU µs/call", lambda s: s.cpu_us),
    cheaper("nginx's CPU ÷ its", lambda s: s.cpu_us, NGINX),
    cheaper("bare's CPU ÷ its", lambda s: s.cpu_us, BARE),
    figure("p50 ms", lambda s: s.p50_us / 1000, "{:.2f}"),
    figure("p99 ms", lambda s: s.p99_us / 1000, "{:.2f}"),
    figure("of its core", lambda s: s.busy, "{:.0%}"),
]

WAITS: list[Column[Load]] = [
    figure("p50 ms", lambda s: s.p50_us / 1000, "{:.2f}"),
    added("added", lambda s: s.p50_us / 1000, DIRECT),
    figure("p99 ms", lambda s: s.p99_us / 1000, "{:.2f}"),
    added("added", lambda s: s.p99_us / 1000, DIRECT),
]


def _chunk_us(load: StreamLoad) -> float:
    return load.cpu_s / max(load.chunks, 1) * 1e6


def _troubles(name: str, rows: Loads) -> str:
    loads = rows[name]
    return f"{sum(s.lost for s in loads)} / {sum(s.failed for s in loads)} / {sum(s.silent for s in loads)}"


STREAMS: list[Column[StreamLoad]] = [
    figure("chunks/s", lambda s: s.chunks / s.window_s, "{:,.0f}"),
    figure("CPU µs/chunk", _chunk_us),
    cheaper("nginx's CPU ÷ its", _chunk_us, NGINX),
    cheaper("bare's CPU ÷ its", _chunk_us, BARE),
    added("first chunk, added p50 ms", lambda s: s.first.p50 / 1000, DIRECT),
    added("p99", lambda s: s.first.p99 / 1000, DIRECT),
    added("after a pause", lambda s: s.paused_us / 1000, DIRECT),
    added("each chunk, added p50 ms", lambda s: s.delay.p50 / 1000, DIRECT),
    added("p99", lambda s: s.delay.p99 / 1000, DIRECT),
    added("gap, added p99 ms", lambda s: s.gap.p99 / 1000, DIRECT),
    figure("of its core", lambda s: s.cpu_s / s.window_s, "{:.0%}"),
    Column("lost / failed / silent", _troubles),  # type: ignore[arg-type]
]


def report(found: Findings) -> str:
    parts = [
        "# What the gateway costs\n\nMade by `make bench`. How to read it: [README.md](README.md).\n\n",
        markdown(("run", found.effort), found.machine),
    ]
    for connections, rows in found.json.items():
        parts += [_heading(f"JSON calls, {_many(connections, 'connection')}"), table(rows, CALLS)]
    parts += [_heading("JSON calls with a request of 1 MB"), table(found.big, CALLS)]
    waiting = f"Waits at {PACED_PER_S} calls/s over {_many(PACED_CONNECTIONS, 'connection')}"
    parts += [_heading(waiting), table(found.paced, WAITS)]
    for at_once, loads in found.streams.items():
        parts += [_heading(f"{at_once} streams at once, {CHUNKS_PER_S} chunks/s each"), table(loads, STREAMS)]
    parts += [_heading("Memory, resident"), _memory(found)]
    parts += [_heading("Start"), _start(found.starts_s)]
    if found.notes:
        parts += [_heading("Notes"), *(f"- {note}\n" for note in found.notes)]
    return "".join(parts)


def _heading(text: str) -> str:
    return f"\n## {text}\n\n"


def _many(number: int, word: str) -> str:
    return f"{number} {word}{'s' * (number != 1)}"


def _memory(found: Findings) -> str:
    heads = ("", "idle MB", "after JSON load MB", "streams open", "MB more per 1,000 streams", "after streams MB")
    cells = []
    for name, m in found.memory.items():
        per_1000 = (m.open_mb - m.idle_mb) / m.streams * 1000
        figures: tuple[str, ...] = (
            f"{m.idle_mb:.0f}",
            f"{found.loaded_mb[name]:.0f}",
            f"{m.streams:,}",
            f"{per_1000:.1f}",
            f"{m.after_mb:.0f}",
        )
        cells.append((name, *figures))
    return markdown(heads, cells)


def _start(starts_s: list[float]) -> str:
    milliseconds = sorted(second * 1000 for second in starts_s)
    least, most = milliseconds[0], milliseconds[-1]
    return f"From exec to the first 200 on `/readyz`: {median(milliseconds):.0f} ms ({least:.0f} to {most:.0f}, {len(starts_s)} starts).\n"
