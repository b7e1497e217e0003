"""Rate limits that all processes share: what this one let in, and what all together did. Pure.

Every process admits from its own buckets, in memory. A few times a second the quota ledger's transactions carry what it admitted,
and bring back what all admitted. So a limit holds over all processes, late by what they let in meanwhile: the first burst on a
full bucket may pass once in each process, and all of them wait for it.
Rule 1: a process that is alone says and hears nothing.
Rule 2: never more is said than is still owed: what came back meanwhile needs no telling.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from gateway.core.ledger_commands import BucketState, Op, Spend
from gateway.core.limits import Gcra, TenantLimits

EVERY_S = 0.2


class Meters:
    """The buckets of this process, by tenant and unit."""

    def __init__(self) -> None:
        self._limits: Mapping[str, TenantLimits] = {}
        self._due_s = 0.0
        self._said: dict[str, Gcra] = {}

    def watch(self, limits: Mapping[str, TenantLimits]) -> None:
        """Share these, by tenant; the mapping may change."""
        self._limits = limits

    def collect(self, shared: bool, now: float) -> list[Op]:
        """What to tell the ledger; it counts as told. `now`: monotonic."""
        self._said = {}
        if not shared or now < self._due_s:
            return []
        self._due_s = now + EVERY_S
        ops: list[Op] = []
        for tenant, limits in self._limits.items():
            for unit, bucket in limits.buckets():
                seconds = bucket.say(now)
                if seconds:
                    name = f"{tenant}|{unit}"
                    self._said[name] = bucket
                    ops.append(Spend(name, seconds))
        return ops

    def confirm(self, buckets: Iterable[BucketState], now: float) -> None:
        """Take the ledger's answer to what `collect` gave."""
        for state in buckets:
            bucket = self._said.get(state.name)
            if bucket is not None:
                bucket.hear(now, state.full_in_s)
