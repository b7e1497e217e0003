"""What a quota store is: it runs ledger commands one after the other, each as one durable transaction.

A driver keeps the rows (`Reader`) and writes `Changes`; what they mean is decided in gateway.core.ledger alone.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol, runtime_checkable

from gateway.core.ledger_commands import Command, Reply


class StoreError(Exception):
    """Something is wrong with the store. The message is for the operator."""


class StoreDown(StoreError):
    """The store did not take a command, or did not say so: send the same command again later."""


class StoreUnusable(StoreError):
    """The store cannot be used as it is: damaged, of a newer version, not ours. Repeating does not help."""


class Store(Protocol):
    """One driver. `run` may be called from several tasks; commands of one holder must be sent one after the other.

    A reply means that the changes are durable. A call that was cancelled may still have run.
    """

    @property
    def local(self) -> bool:
        """Whether all its holders are processes of this machine."""
        ...

    async def open(self) -> None:
        """Raises StoreUnusable or StoreDown."""
        ...

    async def run(self, command: Command, now: float) -> Reply:
        """Apply one command at unix time `now`. Raises StoreDown."""
        ...

    async def close(self) -> None: ...


@runtime_checkable
class Notebook(Protocol):
    """A store that also keeps small things which are no part of the ledger: what was learnt, not what is owed."""

    async def note(self, name: str, change: Callable[[bytes], bytes]) -> bytes:
        """Change a note (b"" when there is none) in one step, and return what it is now. Raises StoreDown."""
        ...


@runtime_checkable
class Beating(Protocol):
    """A store that shows that it is alive while a command takes its time: `pulse` is another number then than before."""

    pulse: int
