"""Alerts: exactly one per crossing, told to a webhook until it says that it heard."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import time
from typing import Any

import pytest
from aiohttp import web
from e2e_quota import ROOMY, body_of, call, call_until_refused
from e2e_stack import Stack, Start
from e2e_tools import serving, until
from msgspec import json

from gateway import alerting

SIGNED_WITH = "what signs the alerts"
FIELDS = {"id", "level", "thresholdPercent", "scope", "period", "used", "limit", "at"}
LEVELS = [(75, "warning"), (90, "critical"), (100, "exceeded")]
# A call holds about 390 tokens and uses about 120: the first refusal comes between 90 and 100 percent of the limit.
BODY = body_of("a few words to count " * 10, cap=100)
LIMIT = 6000
ACME = {"tenants": {"acme": {"quota": {"daily_tokens": LIMIT}}}}


async def spend_all(stack: Stack) -> None:
    """Calls, many at once, until the quota has no room for one more."""
    for _ in range(20):
        await asyncio.gather(*(call(stack, BODY) for _ in range(10)))
        answer = await call(stack, BODY)
        if answer.status == 429 and json.decode(await answer.text())["error"]["code"] == "quota_exceeded":
            return
    raise AssertionError("the quota was never spent")


async def alerts_of(stack: Stack, count: int, role: str = "user") -> list[dict[str, Any]]:
    """The tenant's alerts, lowest threshold first, once there are `count`."""

    async def there() -> list[dict[str, Any]]:
        rows: list[dict[str, Any]] = (await stack.get("/alerts", role=role))["alerts"]
        return rows if len(rows) >= count else []

    return sorted(await until(there, what=f"{count} alerts"), key=lambda row: int(row["thresholdPercent"]))


def told(stack: Stack) -> list[tuple[int, str]]:
    """What the log and the webhook's own outbox were given."""
    lines = [line["alert"] for line in stack.log_lines() if line["event"] == "quota_alert"]
    return sorted((alert["thresholdPercent"], alert["level"]) for alert in lines)


# ---------------------------------------------------------------- exactly once


async def test_each_threshold_is_told_once_and_only_once_after_a_restart(start_stack: Start, tmp_path: Any) -> None:
    settings = {**ROOMY, **ACME, "store": {"url": f"sqlite:///{tmp_path}/gateway.db"}}
    stack = await start_stack(settings)
    await spend_all(stack)
    rows = await alerts_of(stack, 3)
    assert [(row["thresholdPercent"], row["level"]) for row in rows] == LEVELS
    for row in rows:
        assert set(row) == FIELDS
        assert (row["scope"], row["limit"]) == ("tenant:acme", LIMIT)
        assert row["period"] == time.strftime("%Y-%m-%d", time.gmtime())
        assert abs(row["at"] - time.time()) < 30
        assert row["id"].startswith(f"tenant:acme|{row['period']}|{row['thresholdPercent']}|")
    assert [row["used"] * 100 >= row["thresholdPercent"] * LIMIT for row in rows] == [True, True, False]
    await call_until_refused(stack, BODY)
    assert await alerts_of(stack, 3) == rows
    assert told(stack) == LEVELS
    metrics = await (await stack.session.get(stack.origin + "/metrics")).text()
    assert all(f'gateway_alerts_total{{level="{level}"}} 1.0' in metrics for _, level in LEVELS)
    await stack.stop()

    again = await start_stack(settings)
    await call_until_refused(again, BODY)
    assert await alerts_of(again, 3) == rows
    await asyncio.sleep(0.4)  # a flush later
    assert told(again) == []


async def test_a_reset_lets_alerts_stand_anew(start_stack: Start) -> None:
    stack = await start_stack({**ROOMY, **ACME})
    await spend_all(stack)
    before = await alerts_of(stack, 3)
    async with stack.session.post(stack.base() + "/quotas/reset", headers=stack.headers(role="admin")) as answer:
        assert answer.status == 200
    await spend_all(stack)
    await until(lambda: len(told(stack)) == 6)
    ids = {row["id"] for row in await alerts_of(stack, 6)}
    assert len(ids) == 6
    assert {row["id"] for row in before} < ids


async def test_a_providers_alerts_are_the_operators_business(start_stack: Start) -> None:
    stack = await start_stack({"providers": {"openai": {"quota": {"daily_tokens": 500}}}})
    for _ in range(6):
        await call(stack, BODY)
    rows = await alerts_of(stack, 1, role="admin")
    assert {row["scope"] for row in rows} == {"provider:openai"}
    assert (await stack.get("/alerts"))["alerts"] == []
    assert (await stack.get("/alerts", "globex"))["alerts"] == []


# ---------------------------------------------------------------- webhooks


class Receiver:
    """Answers the first `refusals` deliveries with 500, and remembers all of them."""

    def __init__(self, refusals: int) -> None:
        self.refusals = refusals
        self.seen: list[tuple[dict[str, str], bytes]] = []

    async def __call__(self, request: web.Request) -> web.Response:
        self.seen.append(({name.lower(): value for name, value in request.headers.items()}, await request.read()))
        return web.Response(status=500 if len(self.seen) <= self.refusals else 204)

    def delivered(self) -> list[dict[str, Any]]:
        return [json.decode(body) for _, body in self.seen[self.refusals :]]


async def test_a_webhook_hears_each_alert_signed_and_once(start_stack: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(alerting, "FIRST_WAIT_S", 0.05)
    receiver = Receiver(refusals=2)
    async with serving({"/hook": receiver}) as origin:
        hook = {"webhook_url": f"{origin}/hook", "webhook_secret": SIGNED_WITH}
        stack = await start_stack({**ROOMY, **ACME, "alerts": hook})
        await spend_all(stack)
        rows = await alerts_of(stack, 3)

        async def all_delivered() -> bool:
            await stack.gateway.webhooks.deliver()  # what the process does every five seconds
            return len(receiver.seen) >= 5

        await until(all_delivered)
        for _ in range(3):
            await stack.gateway.webhooks.deliver()
    assert len(receiver.seen) == 5, "two refusals, three alerts, and nothing after them"
    assert sorted(receiver.delivered(), key=lambda row: int(row["thresholdPercent"])) == rows
    for headers, body in receiver.seen:
        assert headers["content-type"] == "application/json"
        assert headers["idempotency-key"] == json.decode(body)["id"]
        assert_signed(headers["x-gateway-signature"], body)
    refused = [headers["idempotency-key"] for headers, _ in receiver.seen[:2]]
    assert refused[0] == refused[1] == receiver.seen[2][0]["idempotency-key"], "the same alert again, in its order"
    assert SIGNED_WITH not in stack.log_text()


def assert_signed(signature: str, body: bytes) -> None:
    """`t=<unix>,v1=<hex>` over "<t>." and the body, made just now."""
    at, _, code = signature.removeprefix("t=").partition(",v1=")
    assert abs(int(at) - time.time()) < 30
    assert code == hmac.new(SIGNED_WITH.encode(), f"{at}.".encode() + body, hashlib.sha256).hexdigest()


async def test_an_alert_that_nobody_heard_is_told_after_a_restart(start_stack: Start, tmp_path: Any) -> None:
    receiver = Receiver(refusals=0)
    async with serving({"/hook": receiver}) as origin:
        hook = {"alerts": {"webhook_url": f"{origin}/hook"}, "store": {"url": f"sqlite:///{tmp_path}/gateway.db"}}
        first = await start_stack({**ROOMY, **ACME, **hook})
        await spend_all(first)
        await alerts_of(first, 3)
        await first.stop()
        assert receiver.seen == []

        second = await start_stack({**ROOMY, **ACME, **hook})
        await second.gateway.webhooks.deliver()
        await second.gateway.webhooks.deliver()
    assert sorted(row["thresholdPercent"] for row in receiver.delivered()) == [75, 90, 100]
    assert all("x-gateway-signature" not in headers for headers, _ in receiver.seen)
