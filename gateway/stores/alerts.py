"""The alerts that a process remembers, for its operators. The store keeps all."""

from __future__ import annotations

from collections.abc import Iterable

from gateway.core.ledger_views import Alert

ALERTS = 10_000


class RecentAlerts:
    """The newest ones, each once."""

    def __init__(self) -> None:
        self._alerts: dict[str, Alert] = {}

    def add(self, alert: Alert) -> None:
        """Remember an alert, unless it is known."""
        self._alerts.setdefault(alert.id, alert)
        if len(self._alerts) > ALERTS:
            del self._alerts[next(iter(self._alerts))]

    def of(self, month: str, scopes: Iterable[str] | None) -> list[Alert]:
        """Those of a month and its days, newest first; `scopes` as `matches` reads them, None for all."""
        found = [alert for alert in reversed(self._alerts.values()) if alert.period.startswith(month)]
        if scopes is None:
            return found
        wanted = tuple(scopes)
        return [alert for alert in found if any(matches(pattern, alert.scope) for pattern in wanted)]


def matches(pattern: str, scope: str) -> bool:
    """Whether a scope is meant: a pattern that ends with `*` stands for all that begin so."""
    return scope.startswith(pattern[:-1]) if pattern.endswith("*") else scope == pattern
