"""The quota ledger: one pure function from a command to the changes and the reply. Every store driver runs exactly this.

A holder (a gateway process) takes a lease out of what an account has left; requests are paid from the lease in the holder's
memory (gateway.core.wallet), and what they used is settled here a moment later.

Rule 1: lease is granted only while `settled + leased <= limit` stays true. Exactness never depends on the size of a lease.
Rule 2: a Sync acts at most once: its holder's last (seq, reply) is kept with the changes, in the same transaction.
Rule 3: a holder that dies is charged its whole lease, since what it had in flight may have been used. Never under-count.
If it turns out to live, the charge is taken back: nobody else could have spent that room meanwhile.
Rule 4: an alert is written with the settling that crosses its threshold, under the primary key (key, threshold, epoch).
"""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from gateway.core.ledger_commands import (
    Accounts,
    Alerts,
    Arrive,
    Ask,
    Audits,
    BucketState,
    Circuits,
    CircuitState,
    Close,
    Command,
    Delivered,
    Free,
    Give,
    Holders,
    Open,
    Orphan,
    Outbox,
    Probe,
    Reap,
    Recalls,
    Refuse,
    Reply,
    Reset,
    Settle,
    Spend,
    Stale,
    Standing,
    Sync,
    Synced,
    Trip,
)
from gateway.core.ledger_draft import Changes, Draft, Reader
from gateway.core.ledger_rows import (
    MOST,
    Account,
    AlertRow,
    Audit,
    AuditAction,
    Circuit,
    Holder,
    HolderState,
    Key,
    Lease,
)

# How long a holder that left or died is remembered, so that late repeats of its commands do nothing.
FORGET_S = 7 * 86_400.0
SHARE = 4  # a lease beyond need is at most 1 / (SHARE x holders) of what is left

_reply = msgspec.msgpack.Decoder(Synced).decode


def apply(reader: Reader, command: Command, now: float) -> tuple[Changes, Reply]:
    """The changes a command makes to what `reader` shows, and the reply to its sender. `now` is unix seconds."""
    match command:
        case Sync():
            return _sync(reader, command, now)
        case Delivered(alert):
            return Changes(delivered=[alert]), None
        case Circuits():
            return Changes(), _states(reader.circuits(), now)
        case _:
            return Changes(), _answer(reader, command)


def _states(circuits: Iterable[Circuit], now: float) -> list[CircuitState]:
    return [CircuitState(c.name, max(0.0, c.until - now), c.probe, max(0.0, c.probe_until - now)) for c in circuits]


def _answer(reader: Reader, query: Accounts | Alerts | Outbox | Recalls | Holders | Audits) -> Reply:
    match query:
        case Accounts(periods, since):
            return reader.accounts(periods, since)
        case Alerts(month, limit):
            return reader.alerts(month, limit)
        case Outbox(limit):
            return reader.outbox(limit)
        case Recalls(holder):
            return reader.recalls(holder)
        case Holders():
            return reader.holders()
        case Audits(limit):
            return reader.audits(limit)


def _sync(reader: Reader, command: Sync, now: float) -> tuple[Changes, Reply]:
    draft = Draft(reader)
    holder = draft.holder(command.holder)
    if command.seq <= holder.seq:
        return Changes(), _reply(holder.reply) if command.seq == holder.seq else Stale(holder.seq)
    turn = _Turn(draft, holder, command, now)
    turn.run()
    reply = turn.reply()
    holder.seq, holder.beat_at, holder.reply = command.seq, now, msgspec.msgpack.encode(reply)
    return draft.changes, reply


class _Turn:
    """One Sync being applied."""

    def __init__(self, draft: Draft, holder: Holder, command: Sync, now: float) -> None:
        self.draft = draft
        self.holder = holder
        self.command = command
        self.now = now
        self.silence = max(0.0, now - holder.beat_at) if holder.seq else 0.0
        self.alerts: list[AlertRow] = []
        self.before: list[Account] = []
        self.orphans: list[Orphan] = []

    def run(self) -> None:
        if self.holder.state != "live":
            self._revive()
        self.holder.state = "live"
        for op in self.command.ops:
            self._do(op)
        if self.command.leave:
            self._bury(self.holder.id, "left")

    def reply(self) -> Synced:
        """Finishes the draft: versions are known only now."""
        changes = self.draft.finish()
        recalled = [
            key for (owner, key), lease in changes.leases.items() if lease and lease.recall and self._owns(owner)
        ]
        standings = [self._standing(account) for account in changes.accounts.values()]
        circuits = _states(self.draft.circuits().values(), self.now)
        buckets = [BucketState(name, max(0.0, at - self.now)) for name, at in self.draft.changes.buckets.items()]
        return Synced(standings, self._live(), self.alerts, self.before, self.orphans, recalled, circuits, buckets)

    def _standing(self, account: Account) -> Standing:
        mine = self.draft.peek(self.holder.id, account.key)
        return Standing(
            account.key, account.limit, account.epoch, account.settled, account.leased, mine, account.version
        )

    def _owns(self, holder: str) -> bool:
        return holder == self.holder.id

    def _live(self) -> int:
        return max(1, sum(holder.state == "live" for holder in self.draft.holders()))

    def _do(self, op: object) -> None:
        match op:
            case Settle():
                self._settle(op)
            case Give(key, amount):
                self._give(key, amount)
            case Ask():
                self._ask(op)
            case Open(key, limit):
                self._open(key, limit)
            case Refuse(key):
                self._alarm(self.draft.account(key), refused=True)
            case Reset(key, note):
                self._reset(key, note)
            case Arrive(process):
                self.holder.process = process
            case Reap():
                self._reap(op)
            case Trip() | Probe() | Close() | Free():
                self._circuit(op)
            case Spend(name, seconds):
                self.draft.changes.buckets[name] = max(self.draft.bucket(name), self.now) + seconds

    # ------------------------------------------------------------ usage and leases

    def _settle(self, op: Settle) -> None:
        account = self.draft.account(op.key)
        account.settled = min(MOST, account.settled + op.used)
        account.estimated = min(MOST, account.estimated + op.estimated)
        account.suspect = min(MOST, account.suspect + op.suspect)
        if op.covered:
            self._shrink(account, op.covered)
        self._alarm(account)

    def _give(self, key: Key, amount: int) -> None:
        self._shrink(self.draft.account(key), amount).recall = False

    def _shrink(self, account: Account, amount: int) -> Lease:
        # A store that was replaced under a running holder knows less of its lease than the holder does.
        lease = self.draft.lease(self.holder.id, account.key)
        amount = min(amount, lease.amount)
        lease.amount -= amount
        account.leased -= amount
        return lease

    def _ask(self, op: Ask) -> None:
        key, need = op.key, op.need
        account = self.draft.account(key)
        if account.limit is None:
            return
        room = max(0, account.limit - account.settled - account.leased)
        grant = min(need, room) if room >= op.least else 0
        if grant < need:
            self._recall(key)
        else:
            beyond = min(op.want - need, (room - need) // (SHARE * self._live()))
            grant += beyond if beyond >= op.least else 0  # less than a request would only have to be called back
        if grant:
            self.draft.lease(self.holder.id, key).amount += grant
            account.leased += grant

    def _recall(self, key: Key) -> None:
        for lease in self.draft.leases_on(key):
            if not self._owns(lease.holder) and not lease.orphan:
                lease.recall = True

    # ------------------------------------------------------------ limits, resets, alerts

    def _open(self, key: Key, limit: int | None) -> None:
        new = not self.draft.knows(key)
        account = self.draft.account(key)
        if account.limit == limit:
            return
        account.limit = limit
        if not new:
            account.epoch += 1
            self._audit("limit", key, -1 if limit is None else limit)
        self._alarm(account)

    def _reset(self, key: Key, note: str) -> None:
        if not self.draft.knows(key):
            return
        account = self.draft.account(key)
        self.before.append(msgspec.structs.replace(account))
        self._audit("reset", key, account.settled, note)
        for lease in self.draft.leases_on(key):
            if lease.orphan:  # its charge goes with the rest: nothing is left to take back
                lease.amount = 0
        account.settled = account.orphaned = account.estimated = account.suspect = 0
        account.epoch += 1

    def _alarm(self, account: Account, refused: bool = False) -> None:
        limit = account.limit
        if limit is None:
            return
        for threshold in self.command.thresholds:
            crossed = account.settled > 0 and account.settled * 100 >= threshold * limit
            if crossed or (refused and threshold == 100):
                row = AlertRow(
                    account.key, threshold, account.epoch, account.settled, limit, self.now, self.command.notify
                )
                if self.draft.alert(row):
                    self.alerts.append(row)

    def _audit(self, action: AuditAction, key: Key, amount: int, note: str = "") -> None:
        self.draft.changes.audits.append(Audit(self.now, action, key, amount, note))

    # ------------------------------------------------------------ circuits

    def _circuit(self, op: Trip | Probe | Close | Free) -> None:
        row, now, me = self.draft.circuits().get(op.name), self.now, self.holder.id
        changed: Circuit | None = None
        match op:
            case Trip(name, open_s) if row is None or now >= row.until:
                changed = Circuit(name, now + open_s)
            case Probe(name, lease_s) if row and now >= row.until and (row.probe in ("", me) or now >= row.probe_until):
                changed = Circuit(name, row.until, me, now + lease_s)
            case Free(name) if row and row.probe == me:
                changed = Circuit(name, row.until)
            case Close() if row:
                pass
            case _:
                return
        self.draft.changes.circuits[op.name] = changed

    # ------------------------------------------------------------ holders that die

    def _reap(self, op: Reap) -> None:
        self.draft.changes.full_by = self.now
        # While nothing of ours got through, the store may have been away for all: such a silence of others tells nothing.
        after_s = op.after_s + (self.silence if self.silence > op.after_s / 2 else 0.0)
        for holder in self.draft.holders():
            age = self.now - holder.beat_at
            if self._owns(holder.id):
                continue
            if holder.state == "live" and (holder.id in op.gone or age > after_s):
                self._bury(holder.id, "dead")
            elif holder.state != "live" and age > FORGET_S:
                self._forget(holder.id)

    def _bury(self, id: str, state: HolderState) -> None:
        holder = self.draft.holder(id)
        holder.state, holder.beat_at = state, self.now
        for lease in self.draft.leases_of(id):
            if lease.amount and not lease.orphan:
                self._orphan(lease)

    def _orphan(self, lease: Lease) -> None:
        account = self.draft.account(lease.key)
        account.leased -= lease.amount
        account.settled = min(MOST, account.settled + lease.amount)
        account.orphaned = min(MOST, account.orphaned + lease.amount)
        lease.orphan, lease.recall = True, False
        self.orphans.append(Orphan(lease.holder, lease.key, lease.amount))
        self._audit("orphan", lease.key, lease.amount, lease.holder)
        self._alarm(account)

    def _revive(self) -> None:
        for lease in self.draft.leases_of(self.holder.id):
            if lease.orphan:
                account = self.draft.account(lease.key)
                account.settled -= lease.amount
                account.orphaned -= lease.amount
                account.leased += lease.amount
                lease.orphan = False
                self._audit("revive", lease.key, lease.amount, lease.holder)

    def _forget(self, id: str) -> None:
        for lease in self.draft.leases_of(id):
            lease.amount = 0
        self.draft.changes.holders[id] = None
