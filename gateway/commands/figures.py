"""The supervisor's book of figures: what every worker counted, the ended ones included, so that no counter ever goes backwards.

Rule 1: what a scrape has shown is in the book, since every scrape goes through it. Rule 2: a worker that does not answer in time
counts with what it said last. Rule 3: of a worker that ended its counters and histograms stay, its gauges go.
A worker says its figures every few seconds and when it ends in order. One that is killed takes with it what it counted
since it spoke last, which no scrape has seen.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping

from gateway.commands.leash import Collect, Counts, FromWorker, Leash
from gateway.telemetry import Registry, Snapshot, merge, totals

ANSWER_S = 1.0


class Book:
    """`own`: what the supervisor itself counts."""

    def __init__(self, own: Registry) -> None:
        self._own = own
        self._ended: Snapshot = {}
        self._last: dict[int, Snapshot] = {}  # by pid
        self._waiting: dict[int, asyncio.Event] = {}  # by serial
        self._serial = 0

    def take(self, pid: int, counts: Counts) -> None:
        """A worker says its figures."""
        self._last[pid] = counts.snapshot
        waiting = self._waiting.pop(counts.serial, None)
        if waiting is not None:
            waiting.set()

    def close(self, pid: int) -> None:
        """A worker has ended."""
        self._ended = merge([self._ended, totals(self._last.pop(pid, {}))])

    async def all(self, others: Mapping[int, Leash[FromWorker]]) -> Snapshot:
        """Everybody's figures now. `others`: the workers to ask; what the asking one has is taken before."""
        asked = [self._ask(leash) for leash in others.values()]
        try:
            async with asyncio.timeout(ANSWER_S):
                for event in asked:
                    await event.wait()
        except TimeoutError:
            for serial in [serial for serial, event in self._waiting.items() if event in asked]:
                del self._waiting[serial]
        return merge([self._own.snapshot(), self._ended, *self._last.values()])

    def _ask(self, leash: Leash[FromWorker]) -> asyncio.Event:
        self._serial += 1
        event = self._waiting[self._serial] = asyncio.Event()
        leash.send(Collect(self._serial))
        return event
