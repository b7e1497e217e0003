"""The figures of /providers and /stats, shared by all processes of a store (gateway.core.tallies)."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import suppress
from functools import partial

from gateway.core.ledger_rows import day_of
from gateway.core.tallies import Tallies, merged
from gateway.stores.base import StoreDown
from gateway.stores.keeper import Keeper

NAME = "figures"
STEP_S = 2.0
ALONE_S = 30.0  # a process alone tells its own figures only for the next start to know them


class SharedFigures:
    """`step` is to be called every STEP_S, `close` at the end. A store that is away is told another time."""

    def __init__(self, keeper: Keeper, tallies: Tallies, clock: Callable[[], float] = time.time) -> None:
        self._keeper = keeper
        self._tallies = tallies
        self._clock = clock
        self._told_at = float("-inf")

    async def step(self) -> None:
        """Tell what is new, and hear what others counted."""
        now = self._clock()
        self._tallies.turn(day_of(now))
        if not self._keeper.alone or now - self._told_at >= ALONE_S:
            self._told_at = now
            await self._exchange()

    async def close(self) -> None:
        self._tallies.turn(day_of(self._clock()))
        if self._tallies.fresh:
            await self._exchange()

    async def _exchange(self) -> None:
        day, fresh = self._tallies.day, self._tallies.collect()
        # Whoever is cancelled here cannot know whether its counts were taken: they are not told again.
        with suppress(StoreDown):
            stored = await self._keeper.note(NAME, partial(_with, fresh, day))
            if self._tallies.day != day:
                return
            if stored is not None:
                self._tallies.confirm(stored)
                return
        self._tallies.failed()


def _with(fresh: dict[str, list[int]], day: str, stored: bytes) -> bytes:
    return merged(stored, fresh, day)
