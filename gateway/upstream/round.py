"""Writes that wait for the end of the event loop's round, so that all of a round go out together.

Why: a write to a peer that sleeps wakes it, and waking a process on another core costs several times the write itself. A peer that
is given all of a round's bytes in a row is woken once. The wait is the rest of a round: what is ready at this moment, and no timer.
"""

from __future__ import annotations

import asyncio
from typing import Protocol


class Writer(Protocol):
    """Whoever keeps bytes back."""

    def flush(self) -> None:
        """Write what was kept back. Does nothing when that has happened already, or the connection is gone."""
        ...


class Round:
    """The writers of one event loop that have kept something back since its last round, in order."""

    __slots__ = ("_loop", "_waiting")

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._waiting: list[Writer] = []

    def add(self, writer: Writer) -> None:
        """`writer.flush()` is called when this round's callbacks have run."""
        waiting = self._waiting
        if not waiting:
            self._loop.call_soon(self._end)
        waiting.append(writer)

    def _end(self) -> None:
        waiting, self._waiting = self._waiting, []
        waiting.reverse()
        try:
            while waiting:
                waiting.pop().flush()
        finally:
            for writer in reversed(waiting):  # one that raised must not keep back the rest
                self.add(writer)
