"""A circuit breaker: closed, open, half open. Pure; the time is an argument.

    closed --N consecutive failures--> open --open_s--> half open --success--> closed
                                        ^                   |
                                        +------failure------+

Rule 1: half open lets ONE probe through. It is held as a lease: a probe that never reports frees itself after probe_lease_s.
Rule 2: every transition and every lease is a new generation, and a ticket is the generation it was issued in. What is reported
        with an older ticket tells about the past and is ignored: a late success cannot close, a late failure cannot reopen.
Rule 3: a neutral outcome (429, a bad credential, the client left) says nothing about health. It neither counts nor clears.
Rule 4: where processes share their circuits (core.board) the one probe is the one of all: it is asked for, and the call that asks
        goes elsewhere. Who hears nothing for PATIENCE_S probes all the same: the store is away.
"""

from __future__ import annotations

from typing import Literal

PATIENCE_S = 2.0  # how long a right to probe is waited for

News = Literal["", "trip", "close", "free", "probe"]
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
        "_asked_at",
        "_failures",
        "_generation",
        "_granted_until",
        "_lease_until",
        "_limit",
        "_open_until",
        "asking",
        "closed_ticket",
        "news",
        "open_s",
        "probe_lease_s",
        "shared",
    )

    def __init__(self, failures: int = 5, open_s: float = 60.0, probe_lease_s: float = 60.0) -> None:
        """`failures` in a row open it for `open_s`; `probe_lease_s` is best the longest a call may last."""
        self._limit = failures
        self.open_s = open_s
        self.probe_lease_s = probe_lease_s
        self.shared = False  # other processes have this circuit too
        self.news: News = ""  # what they were not told yet
        self.asking = False  # for the right to probe
        self._asked_at: float | None = None
        self._granted_until = _NO_LEASE
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
        if self.shared and not self._may_probe(now):
            return None
        self._generation += 1
        self._lease_until = now + self.probe_lease_s
        return self._generation

    def _may_probe(self, now: float) -> bool:
        if now < self._granted_until:
            self.news = "probe"  # the right was for a few seconds, the probe may take longer
        elif self._asked_at is None:
            self._asked_at, self.asking = now, True
            return False
        elif now < self._asked_at + PATIENCE_S:
            return False
        self._granted_until, self._asked_at = _NO_LEASE, None
        return True

    # ------------------------------------------------------------ what other processes did

    def learn_open(self, now: float, open_for_s: float, mine: bool, probe_for_s: float) -> None:
        """The circuit is not closed: open for so long, and the probe is ours or another's for so long (0.0: nobody's)."""
        if self.closed_ticket is not None:
            self._generation += 1
            self.closed_ticket = None
            self._lease_until = _NO_LEASE
        self._open_until = now + open_for_s
        if not mine:
            self._lease_until = now + probe_for_s if probe_for_s else _NO_LEASE
            self._granted_until = _NO_LEASE
        elif now >= self._lease_until:
            self._granted_until = now + probe_for_s
        self._asked_at, self.asking = None, False

    def learn_closed(self) -> None:
        """The circuit is closed: another process's probe succeeded."""
        if self.closed_ticket is None:
            self._failures = 0
            self._close()

    def _close(self) -> None:
        self._generation += 1
        self.closed_ticket = self._generation
        self._lease_until = self._granted_until = _NO_LEASE
        self._asked_at, self.asking = None, False

    # ------------------------------------------------------------ what came of a call

    def success(self, ticket: Ticket, now: float) -> None:
        """The provider answered, if only to say that the request is wrong. A probe's success closes the breaker."""
        if ticket != self._generation:
            return
        self._failures = 0
        if self.closed_ticket is None:
            self._close()
            self.news = "close"

    def failure(self, ticket: Ticket, now: float) -> bool:
        """The provider failed. True when that opened the breaker, for the first time or again after a probe."""
        if ticket != self._generation:
            return False
        self._failures += 1
        if self.closed_ticket is not None and self._failures < self._limit:
            return False
        self._generation += 1
        self.closed_ticket = None
        self._open_until = now + self.open_s
        self._lease_until = _NO_LEASE
        self.news = "trip"
        return True

    def neutral(self, ticket: Ticket, now: float) -> None:
        """Nothing was learnt. A probe gives its lease back, so that the next call may probe at once."""
        if ticket == self._generation and self.closed_ticket is None:
            self._generation += 1
            self._lease_until = _NO_LEASE
            self.news = "free"

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
