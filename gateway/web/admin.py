"""The operator's own listener (admin.port): /metrics, /livez and /readyz, apart from the tenants' port.

Whoever reaches it may read: it binds loopback unless the operator says otherwise, and it changes nothing. The main port then
serves no /metrics at all.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from aiohttp import web

from gateway.telemetry import CONTENT_TYPE


async def start_admin(
    host: str, port: int, metrics: Callable[[], Awaitable[bytes]], not_ready: Callable[[], str]
) -> web.AppRunner:
    """Listen; raises OSError. Several workers share the port: the one that is asked answers for all."""

    async def show_metrics(request: web.Request) -> web.Response:
        return web.Response(body=await metrics(), headers={"content-type": CONTENT_TYPE})

    async def livez(request: web.Request) -> web.Response:
        return web.json_response({"status": "ok"})

    async def readyz(request: web.Request) -> web.Response:
        reason = not_ready()
        if reason:
            return web.json_response({"status": "not ready", "reason": reason}, status=503)
        return web.json_response({"status": "ready"})

    app = web.Application()
    app.router.add_get("/metrics", show_metrics)
    app.router.add_get("/livez", livez)
    app.router.add_get("/readyz", readyz)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, host, port, reuse_port=True).start()
    return runner
