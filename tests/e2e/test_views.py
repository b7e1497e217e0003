"""/providers, /health, /stats, /alerts, /models: exactly the documented shapes, and nobody else's figures."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path
from typing import Any

import pytest
from e2e_quota import body_of, call
from e2e_stack import Stack, Start
from e2e_tools import error_of, until

from gateway import __version__

METRICS = {"requestCount", "successCount", "errorCount", "averageLatency", "dailyTokens", "errorRate"}
WINDOW = {"limit", "used", "reserved", "remaining", "resetAt"}
NOTHING = {"requestCount": 0, "successCount": 0, "errorCount": 0, "averageLatency": 0, "dailyTokens": 0, "errorRate": 0}


def check_quota(quota: dict[str, Any]) -> None:
    assert set(quota) == {"daily", "monthly"}
    for window in quota.values():
        assert set(window) == WINDOW
        assert window["resetAt"] > time.time()


async def providers_of(stack: Stack, tenant: str = "acme") -> dict[str, dict[str, Any]]:
    return {row["name"]: row for row in (await stack.get("/providers", tenant))["providers"]}


# ---------------------------------------------------------------- providers


async def test_providers_as_documented(start_stack: Start) -> None:
    stack = await start_stack({"providers": {"openai": {"quota": {"daily_tokens": 5000}}}})
    for _ in range(3):
        await call(stack, body_of(cap=10))
    shown = await stack.get("/providers")
    assert set(shown) == {"providers", "fallbackOrder"}
    assert shown["fallbackOrder"] == [row["name"] for row in shown["providers"]] == ["openai", "anthropic", "gemini"]
    for row in shown["providers"]:
        fields = {"name", "type", "priority", "model", "status", "circuitBreaker", "quota", "metrics"}
        assert set(row) == fields
        assert row["type"] == row["name"]
        assert row["circuitBreaker"] == {"state": "closed", "consecutiveFailures": 0, "retryAt": None}
        assert row["status"] == "available"
        check_quota(row["quota"])
        assert set(row["metrics"]) == METRICS
    openai, anthropic, _ = shown["providers"]
    assert (openai["priority"], openai["model"]) == (9, "gpt-5.4")
    used = (await stack.sim("served"))["openai"]["total_tokens"]
    assert openai["quota"]["daily"]["used"] == openai["metrics"]["dailyTokens"] == used
    assert openai["quota"]["daily"]["remaining"] == 5000 - used
    assert openai["quota"]["monthly"]["limit"] is None
    counts = {name: openai["metrics"][name] for name in ("requestCount", "successCount", "errorCount", "errorRate")}
    assert counts == {"requestCount": 3, "successCount": 3, "errorCount": 0, "errorRate": 0}
    assert 0 < openai["metrics"]["averageLatency"] < 1000
    assert anthropic["metrics"] == NOTHING


async def test_a_failing_provider_is_shown_degraded_then_unavailable(start_stack: Start) -> None:
    stack = await start_stack({"breaker": {"failures": 3}})
    await stack.fault("openai", "status", status=500)
    seen = []
    for _ in range(3):
        await call(stack, body_of(cap=10))
        row = (await providers_of(stack))["openai"]
        seen.append((row["status"], row["circuitBreaker"]["state"], row["circuitBreaker"]["consecutiveFailures"]))
        health = await stack.get("/health")
        assert (health["status"], health["providers"]["openai"]) == ("degraded", row["status"])
    assert seen == [("degraded", "closed", 1), ("degraded", "closed", 2), ("unavailable", "open", 3)]
    assert 55 < row["circuitBreaker"]["retryAt"] - time.time() < 65
    assert (row["metrics"]["errorCount"], row["metrics"]["errorRate"]) == (3, 1)


async def test_a_tenant_sees_the_providers_that_it_may_use(start_stack: Start) -> None:
    stack = await start_stack({"tenants": {"acme": {"providers": ["gemini", "anthropic"]}}})
    shown = await stack.get("/providers")
    assert shown["fallbackOrder"] == ["anthropic", "gemini"]
    assert set((await stack.get("/health"))["providers"]) == {"anthropic", "gemini"}
    assert set((await stack.get("/stats"))["providers"]) == {"anthropic", "gemini"}
    assert (await stack.get("/providers", "globex"))["fallbackOrder"] == ["openai", "anthropic", "gemini"]


# ---------------------------------------------------------------- health


async def test_health_is_healthy_degraded_or_503(start_stack: Start) -> None:
    stack = await start_stack({"breaker": {"failures": 1}, "tenants": {"acme": {"providers": ["openai"]}}})
    shown = await stack.get("/health")
    assert shown == {
        "status": "healthy",
        "providers": {"openai": "available"},
        "version": __version__,
        "uptimeSeconds": shown["uptimeSeconds"],
    }
    assert 0 <= shown["uptimeSeconds"] < 60
    await stack.fault("openai", "status", status=500)
    await call(stack, body_of(cap=10))
    async with stack.session.get(stack.base() + "/health", headers=stack.headers()) as answer:
        assert answer.status == 503
        assert (await answer.json())["status"] == "unhealthy"
    async with stack.session.get(stack.base("globex") + "/health", headers=stack.headers("globex")) as answer:
        assert answer.status == 200
        assert (await answer.json())["status"] == "degraded"
    assert len(await stack.sim("requests")) == 1, "asking for health calls nobody"


# ---------------------------------------------------------------- stats and alerts


async def test_stats_are_this_tenants_figures_only(start_stack: Start) -> None:
    stack = await start_stack({"tenants": {"acme": {"quota": {"daily_tokens": 9000}}}})
    bodies = {"acme": body_of(cap=10), "globex": body_of("a much longer question " * 20, cap=10)}
    used = {"acme": 0, "globex": 0}
    for tenant, times in (("acme", 2), ("globex", 5)):
        for _ in range(times):
            usage = (await (await call_json(stack, bodies[tenant], tenant)))["usage"]
            used[tenant] += usage["total_tokens"]
    shown = {tenant: await stack.get("/stats", tenant) for tenant in used}
    for tenant, times in (("acme", 2), ("globex", 5)):
        stats = shown[tenant]
        assert set(stats) == {"tenant", "quota", "providers", "alerts"}
        assert stats["tenant"] == tenant
        check_quota(stats["quota"])
        assert stats["quota"]["daily"]["used"] == stats["quota"]["monthly"]["used"] == used[tenant]
        assert set(stats["providers"]) == {"openai", "anthropic", "gemini"}
        assert all(set(metrics) == METRICS for metrics in stats["providers"].values())
        metrics = stats["providers"]["openai"]
        assert (metrics["requestCount"], metrics["dailyTokens"]) == (times, used[tenant])
        assert stats["providers"]["gemini"] == NOTHING
        assert stats["alerts"] == []
    assert shown["acme"]["quota"]["daily"]["limit"] == 9000
    assert shown["globex"]["quota"]["daily"]["limit"] is None
    nobody = await stack.get("/stats", "initech")
    assert nobody["quota"]["daily"]["used"] == 0
    assert nobody["providers"]["openai"] == NOTHING


async def call_json(stack: Stack, body: bytes, tenant: str) -> Any:
    answer = await call(stack, body, tenant)
    assert answer.status == 200, await answer.text()
    return answer.json()


async def test_alerts_stand_in_stats_too_and_only_where_they_belong(start_stack: Start) -> None:
    stack = await start_stack({"tenants": {"acme": {"quota": {"daily_tokens": 150}}}})
    for _ in range(20):
        await call(stack, body_of(cap=10))
    for _ in range(100):
        alerts = (await stack.get("/alerts"))["alerts"]
        if alerts:
            break
        await asyncio.sleep(0.02)
    assert [(row["level"], row["thresholdPercent"]) for row in alerts] == [("exceeded", 100)]
    assert (await stack.get("/stats"))["alerts"] == alerts
    assert (await stack.get("/alerts", "globex")) == {"alerts": []}


# ---------------------------------------------------------------- models


async def test_models_are_those_that_the_tenant_may_ask_for(start_stack: Start) -> None:
    stack = await start_stack({"tenants": {"globex": {"models": ["fast"]}}})
    listed = await stack.get("/models")
    assert set(listed) == {"object", "data"}
    assert listed["object"] == "list"
    ids = [row["id"] for row in listed["data"]]
    assert {"fast", "gpt-4", "gpt-5.4", "claude-sonnet-4-6", "gemini-3.8-flash"} <= set(ids)
    assert len(ids) == len(set(ids))
    for row in listed["data"]:
        assert set(row) == {"id", "object", "created", "owned_by"}
        assert row["object"] == "model"
        assert abs(row["created"] - time.time()) < 60
        assert await stack.get(f"/models/{row['id']}") == row
    assert [row["id"] for row in (await stack.get("/v1/models", "globex"))["data"]] == ["fast"]
    for tenant, name in (("acme", "no-such-model"), ("globex", "gpt-5.4"), ("acme", "..%2f..%2fetc")):
        async with stack.session.get(stack.base(tenant) + f"/models/{name}", headers=stack.headers(tenant)) as answer:
            await error_of(answer, 404, "model_not_found")


@pytest.mark.parametrize("kind", ["sqlite", "redis"])
async def test_every_process_tells_the_figures_of_all(
    start_stack: Start, tmp_path: Path, request: pytest.FixtureRequest, kind: str
) -> None:
    url = f"sqlite:///{tmp_path}/shared.db" if kind == "sqlite" else request.getfixturevalue("redis_server").url
    one, two = [await start_stack({"store": {"url": url}}) for _ in range(2)]
    for stack, calls in ((one, 2), (two, 3)):
        for _ in range(calls):
            await call(stack, body_of())

    async def told() -> bool:
        stats = [(await stack.get("/stats"))["providers"]["openai"]["requestCount"] for stack in (one, two)]
        rows = [(await stack.get("/providers"))["providers"] for stack in (one, two)]
        counts = [row["metrics"]["requestCount"] for each in rows for row in each if row["name"] == "openai"]
        return stats == counts == [5, 5]

    await until(told, within_s=15, what="both tell of five calls")
    await two.gateway.figures_shared.close()
    again = await start_stack({"store": {"url": url}})
    assert (await again.get("/stats"))["providers"]["openai"]["requestCount"] == 5, "a restart forgets nothing"


SDKS = {
    "anthropic": ({"anthropic-version": "2023-06-01"}, lambda said: said["type"] == "error" and said["error"]["type"]),
    "gemini": ({"x-goog-api-client": "genai/3"}, lambda said: said["error"]["code"] and said["error"]["status"]),
    "openai": ({}, lambda said: said["error"]["type"]),
}


@pytest.mark.parametrize("sdk", SDKS)
async def test_refusals_of_shared_paths_have_the_shape_of_the_sdk_that_asks(stack: Stack, sdk: str) -> None:
    own, kind = SDKS[sdk]
    asked = [("/models/nope", stack.headers(), 404), ("/models", {}, 401), ("/files/none", stack.headers(), 404)]
    for path, headers, status in asked:
        async with stack.session.get(stack.base() + path, headers=headers | own) as answer:
            said = await answer.json()
            assert answer.status == status
            assert kind(said), said
            assert ("param" in said["error"]) == (sdk == "openai"), said


async def test_every_view_has_a_line_in_the_log_and_calls_nobody(stack: Stack) -> None:
    paths = ["/providers", "/health", "/stats", "/alerts", "/quotas", "/models"]
    for path in paths:
        async with stack.session.get(stack.base() + path, headers=stack.headers()) as answer:
            assert answer.headers["x-request-id"] == answer.headers["request-id"]
            assert answer.headers["cache-control"] == "no-store"
    lines = [line for line in stack.log_lines() if line["event"] == "request"]
    assert [line["path"] for line in lines] == ["/api/v1/acme/ai" + path for path in paths]
    assert {(line["tenant"], line["status"], line["method"]) for line in lines} == {("acme", 200, "GET")}
    assert await stack.sim("requests") == []
