"""What is said to a quota store, and what it answers. Every driver understands these and gives the same replies.

A holder changes the ledger with `Sync` alone: a list of operations that is applied in one transaction, at most once, known by
(holder, seq). The queries change nothing.
"""

from __future__ import annotations

from msgspec import Struct

from gateway.core.ledger_rows import Account, AlertRow, Audit, Holder, Key, Process

# ---------------------------------------------------------------- operations of a Sync


class Arrive(Struct, frozen=True, tag=True):
    """The holder introduces itself."""

    process: Process


class Open(Struct, frozen=True, tag=True):
    """What the holder's configuration says of an account. A limit that differs from the stored one begins a new epoch."""

    key: Key
    limit: int | None


class Settle(Struct, frozen=True, tag=True):
    """`used` is charged; `covered` of it (<= used) is paid from the holder's lease, the rest is overdraft."""

    key: Key
    used: int
    covered: int
    estimated: int = 0
    suspect: int = 0


class Give(Struct, frozen=True, tag=True):
    """Lease goes back. Answers a recall, also with amount 0."""

    key: Key
    amount: int


class Ask(Struct, frozen=True, tag=True):
    """More lease: `need` for requests that wait, up to `want` when there is plenty.

    Less than `least` helps none of them: it is not granted, or scraps in many hands would keep everybody from a whole request.
    """

    key: Key
    need: int
    want: int
    least: int = 0


class Refuse(Struct, frozen=True, tag=True):
    """A request was refused because the account is spent: fires the 100 % alert."""

    key: Key


class Reset(Struct, frozen=True, tag=True):
    """An operator sets what is settled to 0. `note` says who."""

    key: Key
    note: str = ""


class Reap(Struct, frozen=True, tag=True):
    """Charges in full what dead holders leased: those named, and those without a heartbeat for `after_s`.

    A sender that was silent itself for more than half of that adds its own silence: the store was away."""

    gone: tuple[str, ...] = ()
    after_s: float = 30.0


class Trip(Struct, frozen=True, tag=True):
    """A circuit opens for `open_s`. One that is open already stays as it is."""

    name: str
    open_s: float


class Probe(Struct, frozen=True, tag=True):
    """The holder wants to be the one that tries a half-open circuit, for `lease_s`; or keeps being it."""

    name: str
    lease_s: float


class Close(Struct, frozen=True, tag=True):
    """The probe succeeded."""

    name: str


class Free(Struct, frozen=True, tag=True):
    """The holder's probe told nothing: the next may try."""

    name: str


class Spend(Struct, frozen=True, tag=True):
    """What a process let in under a rate limit: the bucket is full so many seconds later. Negative: it was too much."""

    name: str
    seconds: float


Op = Arrive | Open | Settle | Give | Ask | Refuse | Reset | Reap | Trip | Probe | Close | Free | Spend

# ---------------------------------------------------------------- commands


class Sync(Struct, frozen=True, tag=True):
    """All that a holder has to say, applied in order in one transaction. `leave`: it is its last word; open lease is charged."""

    holder: str
    seq: int
    ops: tuple[Op, ...] = ()
    thresholds: tuple[int, ...] = ()
    notify: bool = False  # new alerts go to the outbox
    leave: bool = False


class Delivered(Struct, frozen=True, tag=True):
    """The webhook of an alert reached its receiver."""

    alert: str


class Accounts(Struct, frozen=True, tag=True):
    """Accounts of these periods written after version `since`."""

    periods: tuple[str, ...]
    since: int = 0


class Alerts(Struct, frozen=True, tag=True):
    """Alerts of the month `month` and its days, newest first."""

    month: str
    limit: int = 10_000


class Outbox(Struct, frozen=True, tag=True):
    """Alerts whose webhook is not delivered, oldest first."""

    limit: int = 100


class Recalls(Struct, frozen=True, tag=True):
    """Which of a holder's leases others are waiting for."""

    holder: str


class Holders(Struct, frozen=True, tag=True):
    """All holders, dead ones included."""


class Audits(Struct, frozen=True, tag=True):
    """The newest lines of the audit trail, newest first."""

    limit: int = 100


class Circuits(Struct, frozen=True, tag=True):
    """All circuits that are not closed."""


Command = Circuits | Sync | Delivered | Accounts | Alerts | Outbox | Recalls | Holders | Audits

# ---------------------------------------------------------------- replies


class Standing(Struct, frozen=True):
    """An account after a Sync, as its sender needs it: `mine` is the sender's own lease out of `leased`."""

    key: Key
    limit: int | None
    epoch: int
    settled: int
    leased: int
    mine: int
    version: int


class Orphan(Struct, frozen=True):
    """A dead holder's lease that was charged in full."""

    holder: str
    key: Key
    amount: int


class CircuitState(Struct, frozen=True):
    """A circuit that is not closed, as of now: open for so long (0.0: half open), and whose probe it is for so long."""

    name: str
    open_for_s: float
    probe: str
    probe_for_s: float


class BucketState(Struct, frozen=True):
    """In how many seconds a bucket is full, for all processes together."""

    name: str
    full_in_s: float


class Synced(Struct, frozen=True):
    """The answer to a Sync: every account it touched, what it caused, and all circuits that are not closed."""

    standings: list[Standing]
    holders: int = 1
    alerts: list[AlertRow] = []
    before: list[Account] = []  # accounts as they were before a reset
    orphans: list[Orphan] = []
    recalled: list[Key] = []  # of the accounts touched: those whose lease others wait for
    circuits: list[CircuitState] = []
    buckets: list[BucketState] = []  # that the command spent of


class Stale(Struct, frozen=True):
    """A Sync that came again after a later one was applied. It did nothing."""

    seq: int


Reply = (
    Synced | Stale | list[CircuitState] | list[Account] | list[AlertRow] | list[Key] | list[Holder] | list[Audit] | None
)
