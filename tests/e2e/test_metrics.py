"""GET /metrics as Prometheus reads it, and the access log: what was counted is what happened, and nothing that was said."""

from __future__ import annotations

import asyncio
import os
import re
import shutil
from typing import Any

import aiohttp
import pytest
from e2e_quota import body_of, call, spent
from e2e_sockets import begin, hear_out
from e2e_stack import Stack, Start
from e2e_tools import until
from prometheus_client.parser import text_string_to_metric_families

from gateway.telemetry import METRICS

Samples = dict[tuple[str, frozenset[tuple[str, str]]], float]

# Contract names that this traffic must have moved, and their labels.
LABELS = {
    "gateway_requests_total": {"surface", "tenant", "model", "provider", "status", "stream"},
    "gateway_request_duration_seconds": {"surface", "provider"},
    "gateway_time_to_first_token_seconds": {"provider"},
    "gateway_overhead_seconds": {"surface"},
    "gateway_tokens_total": {"tenant", "model", "provider", "type"},
    "gateway_in_flight_requests": set(),
    "gateway_streams_open": set(),
    "gateway_upstream_attempts_total": {"provider", "outcome"},
    "gateway_fallbacks_total": {"from", "to", "reason"},
    "gateway_breaker_state": {"provider"},
    "gateway_quota_used_tokens": {"scope", "period"},
    "gateway_quota_limit_tokens": {"scope", "period"},
    "gateway_quota_refusals_total": {"scope", "reason"},
    "gateway_alerts_total": {"level"},
    "gateway_rate_limited_total": {"tenant", "reason"},
    "gateway_build_info": {"version"},
    "gen_ai_client_operation_duration_seconds": {"gen_ai_operation_name", "gen_ai_provider_name"},
    "gen_ai_client_token_usage": {"gen_ai_provider_name", "gen_ai_token_type"},
    "gen_ai_server_time_to_first_token_seconds": {"gen_ai_provider_name"},
}
LIMITED = {
    "tenants": {
        "globex": {"quota": {"daily_tokens": 120}},
        "hooli": {"limits": {"requests_per_minute": 1}},
    }
}


async def scrape(stack: Stack) -> str:
    async with stack.session.get(stack.origin + "/metrics") as answer:
        assert answer.status == 200
        assert answer.headers["content-type"].startswith("text/plain; version=0.0.4")
        return await answer.text()


def samples(text: str) -> Samples:
    return {
        (sample.name, frozenset(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def total(found: Samples, name: str, **labels: str) -> float:
    """The sum over the series of `name` that have these labels."""
    return sum(value for (n, series), value in found.items() if n == name and labels.items() <= set(series))


async def traffic(stack: Stack) -> None:
    """A little of everything: answers, streams, translations, fallbacks, refusals, limits, sockets."""
    for _ in range(3):
        assert (await call(stack, body_of(cap=20))).status == 200
    await call(stack, body_of(cap=20, stream=True))
    await call(stack, body_of(cap=20).replace(b"gpt-5.4", b"claude-sonnet-4-6"))
    await stack.fault("openai", "status", status=503, times=1)
    await call(stack, body_of(cap=20))
    assert (await call(stack, body_of(temperature=77))).status == 400
    assert (await call(stack, body_of().replace(b"gpt-5.4", b"no-such-model"))).status == 404
    for _ in range(5):
        await call(stack, body_of(cap=10), "globex")
    for status in (200, 429, 429):
        assert (await call(stack, body_of(cap=10), "hooli")).status == status
    assert (await call(stack, body_of(cap=10), "somebody-unlisted")).status == 200
    async with stack.session.ws_connect(stack.base() + "/stream", headers=stack.headers()) as socket:
        await begin(socket)
        await hear_out(socket)
    await until(lambda: alerted(stack))


async def alerted(stack: Stack) -> bool:
    return "gateway_alerts_total{" in await scrape(stack)


async def test_promtool_finds_nothing_to_say(start_stack: Start) -> None:
    promtool = shutil.which("promtool")
    assert promtool or os.environ.get("CI") != "true", "promtool comes with Debian's package prometheus"
    stack = await start_stack(LIMITED)
    await traffic(stack)
    text = await scrape(stack)
    assert text.endswith("\n")
    if promtool:
        process = await asyncio.create_subprocess_exec(
            *(promtool, "check", "metrics"), stdin=-1, stdout=-1, stderr=asyncio.subprocess.STDOUT
        )
        said, _ = await asyncio.wait_for(process.communicate(text.encode()), 20)
        assert (process.returncode, said.decode()) == (0, "")


async def test_every_documented_name_is_there_with_its_labels(start_stack: Start) -> None:
    stack = await start_stack(LIMITED)
    await traffic(stack)
    families = {family.name: family for family in text_string_to_metric_families(await scrape(stack))}
    for name, labels in LABELS.items():
        family = families.get(name) or families[name.removesuffix("_total")]
        assert family.documentation
        assert family.type == METRICS[name].kind
        assert family.samples, name
        for sample in family.samples:
            assert set(sample.labels) - {"le"} == labels, (name, sample)


async def test_counters_say_what_happened(start_stack: Start) -> None:
    stack = await start_stack(LIMITED)
    await traffic(stack)
    found = samples(await scrape(stack))
    ok = {"tenant": "acme", "status": "200", "surface": "chat_completions"}
    requests = "gateway_requests_total"
    assert total(found, requests, **ok, provider="openai", stream="false", model="gpt-5.4") == 3
    assert total(found, requests, **ok, provider="openai", stream="true") == 1
    assert total(found, requests, **ok, provider="anthropic", model="claude-sonnet-4-6") == 1
    assert total(found, requests, **ok, provider="anthropic", model="gpt-5.4") == 1
    assert total(found, requests, tenant="acme", status="400") == 1
    assert total(found, requests, tenant="acme", status="404", model="other", provider="none") == 1
    assert total(found, requests, surface="websocket", stream="true", status="200") == 1
    assert total(found, requests, tenant="globex") == 5
    assert total(found, requests, tenant="other", status="200") == 1
    attempts = "gateway_upstream_attempts_total"
    answered = total(found, attempts, outcome="ok")
    assert answered == total(found, requests, status="200")
    assert total(found, attempts, provider="openai", outcome="overloaded") == 1
    assert total(found, "gateway_fallbacks_total", **{"from": "openai", "to": "anthropic", "reason": "overloaded"}) == 1
    tokens = sum(total(found, "gateway_tokens_total", type=kind) for kind in ("input", "output"))
    assert tokens == sum([await spent(stack, name) for name in ("openai", "anthropic")])
    assert total(found, "gateway_quota_used_tokens", scope="provider:openai", period="daily") == await spent(
        stack, "openai"
    )
    assert total(found, "gateway_quota_limit_tokens", scope="tenant:globex", period="daily") == 120
    refusals = total(found, "gateway_quota_refusals_total", scope="tenant:globex")
    assert refusals == total(found, requests, tenant="globex", status="429") > 0
    assert total(found, "gateway_rate_limited_total") == total(found, requests, tenant="hooli", status="429") == 2
    assert total(found, "gateway_time_to_first_token_seconds_count") == 2
    assert total(found, "gateway_request_duration_seconds_count") == total(found, requests)
    assert total(found, "gateway_overhead_seconds_count") == total(found, requests)
    assert total(found, "gateway_in_flight_requests") == total(found, "gateway_streams_open") == 0


async def test_gauges_show_what_runs_now(start_stack: Start) -> None:
    stack = await start_stack(chunk_delay_s=0.1)
    body = {"model": "gpt-5.4", "messages": [{"role": "user", "content": "Hello"}], "stream": True}
    async with aiohttp.ClientSession() as session:
        answer = await session.post(stack.base() + "/chat/completions", json=body, headers=stack.headers())
        await answer.content.readany()
        found = samples(await scrape(stack))
        assert total(found, "gateway_in_flight_requests") == total(found, "gateway_streams_open") == 1
    await until(lambda: quiet(stack), within_s=2)
    await stack.fault("openai", "status", status=500)
    for _ in range(5):
        await call(stack, body_of(cap=10))
    found = samples(await scrape(stack))
    assert total(found, "gateway_breaker_state", provider="openai") == 2
    assert total(found, "gateway_breaker_state", provider="anthropic") == 0


async def quiet(stack: Stack) -> bool:
    found = samples(await scrape(stack))
    return total(found, "gateway_in_flight_requests") == total(found, "gateway_streams_open") == 0


async def test_label_values_come_from_the_configuration_only(start_stack: Start) -> None:
    stack = await start_stack({"models": {"fast": ["gemini"]}})
    for number in range(20):
        body = body_of(cap=10).replace(b"gpt-5.4", f"gpt-canary-{number}".encode())
        await call(stack, body, f"canary-{number}")
        await stack.post("/chat", {"messages": [{"role": "user", "content": "Hi"}], "model": f"canary-{number}"})
    text = await scrape(stack)
    assert "canary" not in text
    found = samples(text)
    assert {dict(series)["tenant"] for (name, series) in found if name == "gateway_requests_total"} == {"other", "acme"}
    models = {dict(series)["model"] for (name, series) in found if name == "gateway_requests_total"}
    assert models == {"other"}
    assert {dict(series).get("scope", "") for (name, series) in found if name.startswith("gateway_quota")} <= {
        *(f"tenant:{name}" for name in ("default", "acme", "globex")),
        *(f"provider:{name}" for name in ("openai", "anthropic", "gemini")),
    }


# ---------------------------------------------------------------- the access log


async def test_each_request_has_one_line_that_tells_the_whole_trail(stack: Stack) -> None:
    await stack.fault("openai", "status", status=500, times=1)
    answer = await call(stack, body_of(cap=30))
    whole = await answer.json()
    [line] = [line for line in stack.log_lines() if line["event"] == "request"]
    assert line["request_id"] == answer.headers["x-request-id"]
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", line["at"])
    assert (line["level"], line["method"], line["path"]) == ("info", "POST", "/api/v1/acme/ai/chat/completions")
    assert (line["status"], line["outcome"], line["surface"]) == (200, "ok", "chat_completions")
    assert (line["tenant"], line["user"]) == ("acme", "tester")
    assert (line["provider"], line["model"], line["upstream_model"]) == ("anthropic", "gpt-5.4", "claude-sonnet-4-6")
    usage = whole["usage"]
    assert (line["input_tokens"], line["output_tokens"]) == (usage["prompt_tokens"], usage["completion_tokens"])
    assert line["total_tokens"] == usage["total_tokens"]
    assert 0 < line["upstream_ms"] <= line["duration_ms"] < 5000
    assert line["attempts"] == 2
    assert [(step["provider"], step["outcome"]) for step in line["trail"]] == [
        ("openai", "server_error"),
        ("anthropic", "ok"),
    ]
    assert line["trail"][0]["status"] == 500


async def test_a_request_id_of_the_clients_own_leads_to_its_line(stack: Stack) -> None:
    answer = await stack.chat(x_request_id="mine-123")
    assert answer.headers["x-request-id"] == answer.headers["request-id"] == "mine-123"
    await stack.chat(x_request_id="bad id with spaces")
    await stack.post("/nowhere", {}, **{"x-request-id": "lost"})
    ids = [line["request_id"] for line in stack.log_lines() if line["event"] == "request"]
    assert (ids[0], ids[2]) == ("mine-123", "lost")
    assert ids[1].startswith("req_")


CANARIES = ("canary-in-the-prompt", "canary-in-the-answer-key", "canary-credential", "canary-upstream-key")


@pytest.mark.parametrize("kind", ["ok", "status", "bad_json", "error_event", "refused", "broken"])
async def test_neither_content_nor_credentials_reach_the_log_or_the_metrics(start_stack: Start, kind: str) -> None:
    stack = await start_stack({"providers": {"openai": {"api_key": CANARIES[3]}}})
    if kind in ("status", "bad_json", "error_event"):
        await stack.fault("openai", kind)
    said: dict[str, Any] = {"role": "user", "content": CANARIES[0]}
    body: dict[str, Any] = {"model": "gpt-5.4", "messages": [said], "user": CANARIES[1]}
    if kind == "refused":
        body["messages"] = [{"role": CANARIES[0], "content": CANARIES[1]}]
    headers = {"x-api-key": CANARIES[2], "cookie": CANARIES[2], "x-custom": CANARIES[2]}
    token = stack.token()
    for path in ("/chat/completions", f"/chat/completions?key={token}&other={CANARIES[2]}"):
        for stream in (False, True):
            async with stack.session.post(
                stack.base() + path, json={**body, "stream": stream}, headers=stack.headers() | headers
            ) as answer:
                text = await answer.text()
                assert answer.status == (400 if kind == "refused" else 200), text
    if kind == "broken":
        bad = b'{"messages": [{"role": "user", "content": "' + CANARIES[0].encode()
        assert (await call(stack, bad)).status == 400
    async with stack.session.post(stack.base() + "/chat/completions", headers={"x-api-key": CANARIES[2]}) as answer:
        assert answer.status == 401
        assert CANARIES[2] not in await answer.text()
    written = stack.log_text() + await scrape(stack)
    assert token not in written
    for canary in CANARIES:
        assert canary not in written
    sent = await stack.calls_to("openai")
    assert all(CANARIES[2] not in str(row["headers"]) for row in sent), "the client's headers do not travel"
