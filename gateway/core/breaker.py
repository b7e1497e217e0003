"""A circuit breaker: closed, open, half open. Pure; the time is an argument.

    closed --N consecutive failures--> open --open_s--> half open --success--> closed
                                        ^                   |
                                        +------failure------+

Rule 1: half open lets ONE probe through. It is held as a lease: a probe that never reports frees itself after probe_lease_s.
Rule 2: every transition and every lease is a new generation, and a ticket is the generation it was issued in. What is reported
        with an older ticket tells about the past and is ignored: a late success cannot close, a late failure cannot reopen.
Rule 3: a neutral outcome (429, a bad credential, the client left) says nothing about health. It neither counts nor clears.
"""

from __future__ import annotations

from typing import Literal

State = Literal["closed", "open", "half_open"]
Ticket = int

# Half open with nobody probing: the next call may.
_NO_LEASE = float("-inf")


class Breaker:
    """The health of one provider and base URL. `now` is monotonic seconds everywhere.

    A call asks `admit`, and reports exactly once with the ticket it got: `success`, `failure` or `neutral`.
    `closed_ticket` is what `admit` gives while it is closed, None while it is not.
    """

    __slots__ = (
        "_failures",
        "_generation",
        "_lease_until",
        "_limit",
        "_open_s",
        "_open_until",
        "_probe_lease_s",
        "closed_ticket",
    )

    def __init__(self, failures: int = 5, open_s: float = 60.0, probe_lease_s: float = 60.0) -> None:
        """`failures` in a row open it for `open_s`; `probe_lease_s` is best the longest a call may last."""
        self._limit = failures
        self._open_s = open_s
        self._probe_lease_s = probe_lease_s
        self._generation: Ticket = 0
        # The ticket of a closed breaker, None when it is not closed: one look decides the common case.
        self.closed_ticket: Ticket | None = 0
        self._failures = 0
        self._open_until = 0.0
        self._lease_until = _NO_LEASE

    @property
    def consecutive_failures(self) -> int:
        """Failures since the last success."""
        return self._failures

    def admit(self, now: float) -> Ticket | None:
        """A ticket to call the provider with, or None: do not call."""
        ticket = self.closed_ticket
        return ticket if ticket is not None else self._admit_probe(now)

    def _admit_probe(self, now: float) -> Ticket | None:
        if now < self._open_until or now < self._lease_until:
            return None
        self._generation += 1
        self._lease_until = now + self._probe_lease_s
        return self._generation

    def success(self, ticket: Ticket, now: float) -> None:
        """The provider answered, if only to say that the request is wrong. A probe's success closes the breaker."""
        if ticket != self._generation:
            return
        self._failures = 0
        if self.closed_ticket is None:
            self._generation += 1
            self.closed_ticket = self._generation
            self._lease_until = _NO_LEASE

    def failure(self, ticket: Ticket, now: float) -> bool:
        """The provider failed. True when that opened the breaker, for the first time or again after a probe."""
        if ticket != self._generation:
            return False
        self._failures += 1
        if self.closed_ticket is not None and self._failures < self._limit:
            return False
        self._generation += 1
        self.closed_ticket = None
        self._open_until = now + self._open_s
        self._lease_until = _NO_LEASE
        return True

    def neutral(self, ticket: Ticket, now: float) -> None:
        """Nothing was learnt. A probe gives its lease back, so that the next call may probe at once."""
        if ticket == self._generation and self.closed_ticket is None:
            self._generation += 1
            self._lease_until = _NO_LEASE

    def state(self, now: float) -> State:
        """What the next call would meet: half open begins when the time is up, not when somebody asks."""
        if self.closed_ticket is not None:
            return "closed"
        return "open" if now < self._open_until else "half_open"

    def retry_at(self, now: float) -> float:
        """Seconds from `now` until a call may be admitted; 0.0 when one would be now."""
        if self.closed_ticket is not None:
            return 0.0
        return max(0.0, self._open_until - now, self._lease_until - now)
