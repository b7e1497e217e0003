"""Names that come from outside: they fill no memory, forge no line, and no record tells what was said."""

from __future__ import annotations

import io
import time
from typing import Any

import pytest
from e2e_stack import Stack, Start
from e2e_tools import send_raw
from msgspec import json

from gateway.core.limits import TenantLimits
from gateway.logs import AccessLine, LogWriter
from gateway.recorder import Recorder
from gateway.telemetry import Registry


def written(text: bool, *lines: AccessLine, **event: Any) -> str:
    """What a log of these lines and an event looks like."""
    stream = io.BytesIO()
    log = LogWriter(stream, text=text)
    for line in lines:
        log.access(0.0, line)
    if event:
        log.event("warning", "something", **event)
    log.close()
    return stream.getvalue().decode()


# ------------------------------------------------------------ lines


@pytest.mark.parametrize("evil", ["\n", "\r\n", "\x1b[2J", "\u2028", "\x85", "\x00"])
async def test_a_line_of_text_is_one_line_whatever_stands_in_it(evil: str) -> None:
    forged = f"/x{evil}12:00:00 200 POST /forged"
    told = written(True, AccessLine("id", "GET", forged, 404, 1.0, error=forged), detail=forged)
    assert len(told.splitlines()) == 2
    assert evil not in told.replace("\n", "") or evil in "\r\n"
    assert "\x1b" not in told


async def test_half_a_surrogate_pair_in_a_line_of_text_is_written_somehow() -> None:
    assert "d800" in written(True, AccessLine("id", "GET", "/\ud800", 404, 1.0))


async def test_a_bug_is_told_by_its_place_and_not_by_what_it_quotes() -> None:
    stream = io.BytesIO()
    log = LogWriter(stream)
    recorder = Recorder(Registry(), log, time.monotonic)
    try:
        {}["my bank account is empty"]
    except KeyError as bug:
        recorder.bug("id", bug)
    log.close()
    [line] = [json.decode(x) for x in stream.getvalue().splitlines()]
    assert line["error"] == "KeyError"
    assert "test_review_bounds.py" in line["where"][-1]
    assert "bank" not in stream.getvalue().decode()


@pytest.mark.parametrize("path", ["/%ed%a0%80", "/%ff%fe", "/v1/models/%ed%a0%80", "/%0a%0dx", "/%00", "/%e2%80%a8"])
async def test_paths_of_any_bytes_are_refused_and_logged(start_stack: Start, path: str) -> None:
    stack = await start_stack({"log": {"format": "text"}})
    head = f"GET {path} HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {stack.token()}\r\n\r\n"
    told = await send_raw(stack.port, head.encode())
    assert told.startswith((b"HTTP/1.1 404", b"HTTP/1.1 400"))
    assert b"internal_error" not in told
    assert "internal_error" not in written_by(stack)


def written_by(stack: Stack) -> str:
    stack.gateway.log.flush()
    time.sleep(0.02)
    return stack._log.getvalue().decode()


# ------------------------------------------------------------ memories


async def test_limits_of_tenants_without_end_are_forgotten_the_oldest_first(
    stack: Stack, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gateway.routes.MAX_TENANTS", 5)
    routes = stack.gateway.pipeline.routes
    kept = routes.limits_of("acme")
    for n in range(50):
        routes.limits_of(f"tenant{n}")
        assert routes.limits_of("acme") is kept
    assert len(routes._limits) == 5


async def test_a_tenant_with_calls_in_flight_is_not_forgotten(stack: Stack, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gateway.routes.MAX_TENANTS", 2)
    routes = stack.gateway.pipeline.routes
    busy = routes.limits_of("acme")
    busy.admit(0.0, 1)
    for n in range(5):
        routes.limits_of(f"tenant{n}")
    assert routes.limits_of("acme") is busy


async def test_figures_of_tenants_without_end_are_forgotten_but_those_of_providers_stay(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("gateway.core.tallies.MAX_TALLIES", 5)
    log = LogWriter(io.BytesIO())
    recorder = Recorder(Registry(), log, time.monotonic)
    total, first = recorder.tallies.own("openai"), recorder.tallies.own("openai", "tenant0")
    for n in range(50):
        recorder.tallies.own("openai", f"tenant{n}")
    assert recorder.tallies.own("openai") is total
    assert recorder.tallies.own("openai", "tenant0") is not first
    assert len(recorder.tallies._own) == 5
    log.close()


# ------------------------------------------------------------ limits that change


async def test_limits_change_in_place_and_what_is_owed_stays_owed() -> None:
    limits = TenantLimits(requests_per_minute=2, concurrency=9)
    assert limits.admit(0.0, 1) is None
    assert limits.admit(0.0, 1) is None
    limits.change(60, None, 2)
    refusal = limits.admit(0.0, 1)
    assert refusal is not None and refusal.reason == "concurrency"
    limits.done(1, 1)
    refusal = limits.admit(0.0, 1)
    assert refusal is not None and (refusal.reason, refusal.limit, refusal.wait_s) == ("requests", 60, 1.0)
    assert limits.admit(1.0, 1) is None


async def test_limits_that_come_or_go_while_a_call_runs_harm_nobody() -> None:
    limits = TenantLimits()
    assert limits.admit(0.0, 500) is None
    limits.change(None, 100, 1)
    limits.done(500, 10)
    assert limits.admit(0.0, 100) is None
    limits.change(None, None, None)
    limits.done(100, 10)
    assert (limits.running, limits.headers(0.0)) == (0, [])


# ------------------------------------------------------------ headers


@pytest.mark.parametrize("value", ["assistants=中", "caf\u00e9"])
@pytest.mark.parametrize("name", ["openai-beta", "x-session-id", "x-preferred-provider", "x-request-id", "traceparent"])
async def test_a_header_of_odd_bytes_never_fails_in_our_hands(stack: Stack, name: str, value: str) -> None:
    body = b'{"model":"gpt-5.4","messages":[{"role":"user","content":"Hello"}]}'
    head = f"POST /api/v1/acme/ai/chat/completions HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {stack.token()}\r\n"
    head += f"content-type: application/json\r\n{name}: {value}\r\ncontent-length: {len(body)}\r\n\r\n"
    told = await send_raw(stack.port, head.encode() + body)
    assert told.startswith((b"HTTP/1.1 200", b"HTTP/1.1 400")), told
    assert [line for line in stack.log_lines() if line["event"] in ("internal_error", "library")] == []
