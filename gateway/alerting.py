"""Alerts on their way to a webhook: signed, repeated until somebody said 2xx, never lost with the process.

The keeper's outbox remembers what is to be delivered; this only carries. Rule 1: the URL comes from the configuration.
Rule 2: at least once, with an Idempotency-Key that makes repeats harmless. Rule 3: waits double from 5 s to 5 min.
"""

from __future__ import annotations

import hashlib
import hmac
import time

import aiohttp
import msgspec

from gateway.core.ledger_views import Alert
from gateway.logs import LogWriter
from gateway.settings import Alerts
from gateway.stores.base import StoreDown
from gateway.stores.keeper import Keeper

FIRST_WAIT_S = 5.0
LONGEST_WAIT_S = 300.0
BUSY = (408, 429)  # statuses below 500 that are about the receiver and not about the alert


class Webhooks:
    """Delivers what is pending each time `deliver` is called, one after the other, oldest first."""

    def __init__(self, keeper: Keeper, settings: Alerts, log: LogWriter) -> None:
        self.settings = settings
        self._keeper = keeper
        self._log = log
        self._session: aiohttp.ClientSession | None = None
        self._wait_s = 0.0
        self._not_before = 0.0

    async def deliver(self) -> None:
        """One round. An alert that is refused does not hold back the others; one to which nobody has an answer ends the round.
        After either the next one waits longer."""
        if self.settings.webhook_url is None or time.monotonic() < self._not_before:
            return
        try:
            taken = await self._round(self.settings.webhook_url)
        except StoreDown:
            return  # the outbox is still there when the store is
        self._wait_s = 0.0 if taken else min(LONGEST_WAIT_S, self._wait_s * 2 or FIRST_WAIT_S)
        self._not_before = time.monotonic() + self._wait_s

    async def _round(self, url: str) -> bool:
        """Whether all that is pending was taken."""
        all_taken = True
        for alert in await self._keeper.pending_webhooks():
            status = await self._send(url, alert)
            if 200 <= status < 300:
                await self._keeper.mark_delivered(alert.id)
            elif 400 <= status < 500 and status not in BUSY:
                all_taken = False  # something about this one alert
            else:
                return False
        return all_taken

    async def close(self) -> None:
        if self._session is not None:
            await self._session.close()

    async def _send(self, url: str, alert: Alert) -> int:
        """The status of the answer, 0 when there was none."""
        if self._session is None:
            self._session = aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=10))
        body = msgspec.json.encode(alert)
        headers = {"content-type": "application/json", "idempotency-key": alert.id}
        if self.settings.webhook_secret is not None:
            headers["x-gateway-signature"] = sign(self.settings.webhook_secret.reveal(), body, int(time.time()))
        try:
            async with self._session.post(url, data=body, headers=headers, allow_redirects=False) as answer:
                status = answer.status
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            self._log.event("warning", "webhook_failed", alert=alert.id, error=type(error).__name__)
            return 0
        if not 200 <= status < 300:
            self._log.event("warning", "webhook_failed", alert=alert.id, status=status)
        return status


def sign(secret: str, body: bytes, at: int) -> str:
    """`t=<unix>,v1=<hex>`: HMAC-SHA256 of "<t>." and the body."""
    digest = hmac.new(secret.encode(), f"{at}.".encode() + body, hashlib.sha256).hexdigest()
    return f"t={at},v1={digest}"
