"""Who hears an answer: the four calls, and somebody who does not listen."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

from gateway.errors import Fault


class Sink(Protocol):
    """Receives one answer, synchronously, as its bytes come in.

    Order: at most one on_head, then any number of on_data, then exactly one of on_end and on_fault as the last call. A fault
    may come at any point. Nothing is called after `Transfer.cancel()`, and nothing from inside `Upstream.send()`.
    An exception raised here breaks this connection alone: it ends in on_fault("reset") and in the loop's exception handler.
    """

    def on_head(self, status: int, headers: Mapping[str, str]) -> None:
        """The final head, never a 1xx. Names are lower-case, values of repeated names are joined by ", "."""
        ...

    def on_data(self, data: bytes) -> None:
        """A piece of the body, without its chunk framing, never empty."""
        ...

    def on_end(self) -> None:
        """The answer is whole. The connection is free again: a call sent from here may reuse it."""
        ...

    def on_fault(self, fault: Fault) -> None:
        """The exchange failed; what came before is all there is."""
        ...


class Deaf:
    """Takes the place of a sink that must hear no more: after the end, after a cancel, for bytes nobody asked for."""

    __slots__ = ()

    def on_head(self, status: int, headers: Mapping[str, str]) -> None:
        pass

    def on_data(self, data: bytes) -> None:
        pass

    def on_end(self) -> None:
        pass

    def on_fault(self, fault: Fault) -> None:
        pass


DEAF = Deaf()
