"""Alerts on their way out: one that nobody takes does not stand in the way of the others."""

from __future__ import annotations

from typing import Any

from aiohttp import web
from e2e_stack import Start
from e2e_tools import serving, until


async def test_an_alert_that_is_refused_again_and_again_does_not_hold_back_the_others(start_stack: Start) -> None:
    heard: list[tuple[str, int]] = []

    async def refuse_the_first(request: web.Request) -> web.StreamResponse:
        threshold = int(request.headers["idempotency-key"].split("|")[2])
        heard.append((request.headers["idempotency-key"], threshold))
        return web.Response(status=400 if threshold == 75 else 204)

    async with serving({"/hook": refuse_the_first}) as origin:
        alerts: dict[str, Any] = {"webhook_url": f"{origin}/hook", "webhook_secret": "s" * 32}
        stack = await start_stack({"alerts": alerts, "tenants": {"acme": {"quota": {"daily_tokens": 100}}}})
        keeper, webhooks = stack.gateway.keeper, stack.gateway.webhooks
        for tokens in (80, 12):
            count = len(keeper.alerts())
            keeper.charge(("tenant:acme",), tokens)
            await until(lambda count=count: len(keeper.alerts()) > count)
        await webhooks.deliver()
        assert [threshold for _, threshold in heard] == [75, 90]
        webhooks._not_before = 0.0
        await webhooks.deliver()
        assert [threshold for _, threshold in heard] == [75, 90, 75], "what was taken is not told again"
        assert len({key for key, threshold in heard if threshold == 75}) == 1


async def test_an_address_where_nobody_is_is_tried_once_a_round(start_stack: Start) -> None:
    alerts = {"webhook_url": "http://127.0.0.1:9/hook"}
    stack = await start_stack({"alerts": alerts, "tenants": {"acme": {"quota": {"daily_tokens": 100}}}})
    stack.gateway.keeper.charge(("tenant:acme",), 95)
    await until(lambda: len(stack.gateway.keeper.alerts()) == 2)
    await stack.gateway.webhooks.deliver()
    failed = [line for line in stack.log_lines() if line["event"] == "webhook_failed"]
    assert [line["error"] for line in failed] == ["ClientConnectorError"]
