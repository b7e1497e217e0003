"""The circuits that all processes share: what this one has to say of its breakers, and what it hears. Pure.

A breaker decides in memory, as ever. The quota ledger's transactions, a few a second, carry what changed: a circuit that opened is
open for everybody a quarter of a second later, and half open, the ledger gives one process the right to probe.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from gateway.core.breaker import Breaker
from gateway.core.ledger_commands import CircuitState, Close, Free, Op, Probe, Trip

GRANT_S = 5.0  # how long the right to probe waits for a call to probe with


class Board:
    """The breakers of this process by the names that all processes give their circuits."""

    def __init__(self) -> None:
        self._breakers: dict[str, Breaker] = {}
        self._heard = False

    def watch(self, breakers: Mapping[str, Breaker]) -> None:
        """Share these, and no others any more."""
        self._breakers = dict(breakers)

    @property
    def restless(self) -> bool:
        """Whether there is something to say."""
        return any(breaker.news or breaker.asking for breaker in self._breakers.values())

    def collect(self) -> list[Op]:
        """What to tell the ledger; it counts as told."""
        ops: list[Op] = []
        for name, breaker in sorted(self._breakers.items()):
            match breaker.news:
                case "trip":
                    ops.append(Trip(name, breaker.open_s))
                case "close":
                    ops.append(Close(name))
                case "free":
                    ops.append(Free(name))
                case "probe":
                    ops.append(Probe(name, breaker.probe_lease_s))
            if breaker.asking:
                ops.append(Probe(name, GRANT_S))
            breaker.news, breaker.asking = "", False
        return ops

    def confirm(self, circuits: Iterable[CircuitState], me: str, shared: bool, now: float) -> None:
        """Take what the ledger says of all circuits that are not closed. `shared`: other processes live; `now`: monotonic.

        A process that is alone knows best, but for what it finds at its start.
        """
        listens, self._heard = shared or not self._heard, True
        known = {circuit.name: circuit for circuit in circuits}
        for name, breaker in self._breakers.items():
            breaker.shared = shared
            circuit = known.get(name)
            if breaker.news or not listens:
                continue  # what we are about to say is newer
            if circuit is None:
                breaker.learn_closed()
            else:
                breaker.learn_open(now, circuit.open_for_s, circuit.probe == me, circuit.probe_for_s)
