"""/livez, /readyz and /metrics: what the platform asks. Never a paid call, never a credential but for /metrics."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from gateway.telemetry import CONTENT_TYPE
from gateway.web.context import Context
from gateway.web.exchange import Exchange
from gateway.web.relay import JSON

_TEXT = f"content-type: {CONTENT_TYPE}\r\n".encode()


class Probes:
    """`ready` gives the reason why new calls should not come here, or "" when they may. `metrics` gives the text."""

    def __init__(self, ready: Callable[[], str], metrics: Callable[[], Awaitable[bytes]]) -> None:
        self._ready = ready
        self._metrics = metrics

    def handlers(self) -> dict[str, Callable[[Exchange, Context], Awaitable[None]]]:
        return {"livez": self._livez, "readyz": self._readyz, "metrics": self._show_metrics}

    async def _livez(self, exchange: Exchange, context: Context) -> None:
        exchange.answer(200, JSON, b'{"status":"ok"}')

    async def _readyz(self, exchange: Exchange, context: Context) -> None:
        reason = self._ready()
        if reason:
            exchange.answer(503, JSON + b"retry-after: 1\r\n", f'{{"status":"not ready","reason":"{reason}"}}'.encode())
        else:
            exchange.answer(200, JSON, b'{"status":"ready"}')

    async def _show_metrics(self, exchange: Exchange, context: Context) -> None:
        exchange.answer(200, _TEXT, await self._metrics())
