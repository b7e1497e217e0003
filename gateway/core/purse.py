"""What this process has of one account: its lease, what requests reserved and used of it, and what it knows of the rest.

The rules stand in gateway.core.wallet. The fields are written by the wallet's hot path directly.
"""

from __future__ import annotations

from typing import NamedTuple

from gateway.core.ledger_commands import Ask, Give, Op, Open, Settle, Standing
from gateway.core.ledger_rows import MICROUSD, TOKENS, Account, Key

ENDLESS = 1 << 62  # the `free` of a purse without a limit
FIRST_BLOCK = 20_000  # tokens leased beyond need at most, at first ...
LAST_BLOCK = 1_000_000  # ... and where leases are asked for again and again
# Of money as much as buys these tokens at 10 USD a million.
BLOCKS = {TOKENS: (FIRST_BLOCK, LAST_BLOCK), MICROUSD: (10 * FIRST_BLOCK, 10 * LAST_BLOCK)}
BUSY_S = 1.0  # two asks within this time: the block was worth less than a second of traffic, so it doubles
# So much traffic's worth of lease is kept in hand: a flush asks for it when half is gone, and no request waits.
AHEAD_S = 1.0
PLENTY = 64  # where a request takes no more than this part of what is left, lease for another like it is asked for ahead of need
MODEST_S = 2.0  # after others asked for our lease, none is asked for ahead of need


class Wanted(NamedTuple):
    """What requests wait for, in the unit of their purse: all of them together, and the smallest."""

    amount: int = 0
    least: int = 0


class Purse:
    """One account's share. `settled` and `total` (leased by all holders) are the ledger's, as of `version`."""

    __slots__ = (
        "ample",
        "announced",
        "asked_s",
        "block",
        "epoch",
        "estimated",
        "flushing",
        "flushing_marks",
        "free",
        "giving",
        "idle",
        "key",
        "leased",
        "limit",
        "low",
        "opening",
        "pace",
        "paced_s",
        "recalled",
        "recalled_s",
        "reserved",
        "seen_s",
        "settled",
        "short",
        "surplus",
        "suspect",
        "total",
        "used",
        "version",
    )

    def __init__(self, key: Key, limit: int | None) -> None:
        self.key = key
        self.limit = limit
        self.announced = False  # the ledger knows the limit
        self.epoch = 1
        self.version = 0
        self.settled = 0
        self.total = 0
        self.leased = 0
        self.reserved = 0
        self.used = 0  # not known to the ledger yet, `flushing` included
        self.flushing = 0
        self.estimated = 0  # of `used`
        self.suspect = 0
        self.flushing_marks = (0, 0)
        self.surplus = 0  # set aside to go back
        self.giving = 0  # on its way back
        self.opening: tuple[int | None, ...] = ()  # the limit on its way to the ledger
        self.recalled = False
        self.free = ENDLESS if limit is None else 0
        # The least that was free since the last flush, and between the sweep and that flush.
        self.low = self.idle = self.free
        self.short = 0  # what the last request took, when another like it would have to wait
        self.ample = 0  # the largest request for which that counts, as of the ledger's last answer
        self.pace = 0.0  # tokens used a second, as of the last flush
        self.paced_s = self.recalled_s = float("-inf")
        self.block = 0
        self.asked_s = float("-inf")
        self.seen_s = float("-inf")  # when the ledger last answered

    # ------------------------------------------------------------ requests

    def reserve(self, amount: int) -> None:
        """Move an amount from free to reserved; the caller has looked whether it is there."""
        self.reserved += amount
        self.free -= amount
        self.low = min(self.low, self.free)

    def spend(self, reserved: int, used: int) -> None:
        """End a reservation with what was used."""
        self.reserved -= reserved
        self.used += used
        self.free += reserved - used

    # ------------------------------------------------------------ what is known

    @property
    def spent(self) -> int:
        """Everything used in this period, as far as this process knows."""
        return self.settled + self.used

    @property
    def others(self) -> int:
        """What other processes have leased."""
        return max(0, self.total - self.leased)

    @property
    def room(self) -> int | None:
        """What requests of this process can still get; None without a limit. May be negative after an overdraft."""
        if self.limit is None:
            return None
        return self.limit - self.spent - self.reserved - self.others

    @property
    def empty(self) -> bool:
        """Whether the purse can be forgotten: nothing is in flight and the ledger knows everything."""
        return not (self.leased or self.reserved or self.used)

    @property
    def returns(self) -> bool:
        """Whether lease is to go back."""
        return bool(self.surplus or self.recalled or (self.limit is None and self.leased))

    @property
    def outdated(self) -> bool:
        """Whether the ledger has a row with another limit than the configuration."""
        return not self.announced and self.version > 0

    def set_limit(self, limit: int | None) -> None:
        """Another limit holds from now on: what is free goes back, so that the next request asks under the new limit."""
        if limit != self.limit:
            self.limit = limit
            self.announced = False
            self._balance()
            self.recall()

    def learn(self, account: Account) -> None:
        """Take the ledger's row, unless what is known is newer.

        Only the first row tells whether our limit must be announced: two processes that read different configurations
        for a moment would otherwise overwrite each other for ever.
        """
        if account.version > self.version:
            if self.version == 0:
                self.announced = account.limit == self.limit
            self.version, self.epoch = account.version, account.epoch
            self.settled, self.total = account.settled, account.leased

    def doubt(self) -> None:
        """The ledger went back to an older state: the next thing it says is believed, and our limit announced again."""
        self.version, self.announced = 0, False

    # ------------------------------------------------------------ to and from the ledger

    def sweep(self, now_s: float) -> None:
        """Set aside what was free all the time since the last sweep and is more than traffic is about to need."""
        if now_s - self.paced_s > AHEAD_S:
            self.pace = 0.0
        if self.limit is not None:
            self._set_aside(min(self.idle, self.low, self.free) - int(self.pace * AHEAD_S))
            self.low = self.idle = self.free

    def recall(self) -> None:
        """Set aside all that is free."""
        self.recalled = True
        if self.limit is not None:
            self._set_aside(self.free)

    def _set_aside(self, amount: int) -> None:
        if amount > 0:
            self.surplus += amount
            self.free -= amount
            self.low = min(self.low, self.free)

    def collect(self, wanted: Wanted, now_s: float, leave: bool = False) -> list[Op]:
        """What the ledger is to know of this purse."""
        if leave:
            self.recall()
        ops: list[Op] = []
        if not self.announced:
            ops.append(Open(self.key, self.limit))
            self.opening = (self.limit,)
        # What calls in flight reserved stays leased; without a limit nothing needs to.
        held = self.leased - (0 if self.limit is None else self.reserved)
        wish = self.leased if self.limit is None else self.surplus
        self.giving = max(0, min(wish, held - self.used))
        covered = max(0, min(self.used, held - self.giving))
        if self.used:
            ops.append(self._flush(covered, now_s))
        if self.giving or (self.recalled and self.leased):
            ops.append(Give(self.key, self.giving))
        if self.recalled:
            self.recalled_s = now_s
        self.surplus, self.recalled = 0, False
        if self.limit is not None and not leave:
            if wanted.amount or self.free < 0:
                lacking = self.reserved - (self.leased - covered - self.giving)
                ops += self._ask(lacking, wanted, now_s)
            elif now_s - self.recalled_s > MODEST_S:
                if self.free < self.short:
                    ops += self._ask_soon(now_s)
                elif self.used:
                    ops += self._ask_ahead()
        self.short = 0
        self.idle, self.low = min(self.idle, self.low), self.free
        return ops

    def _flush(self, covered: int, now_s: float) -> Settle:
        self.pace = self.used / max(now_s - self.paced_s, AHEAD_S / 20)  # what a moment used tells nothing of a second
        self.paced_s = now_s
        self.flushing = self.used
        self.flushing_marks = (self.estimated, self.suspect)
        return Settle(self.key, self.used, covered, self.estimated, self.suspect)

    def _ask(self, lacking: int, wanted: Wanted, now_s: float) -> list[Op]:
        """`lacking`: beside what is wanted; below 0, so much is free."""
        need, least = lacking + wanted.amount, lacking + wanted.least if wanted.amount else 0
        if need <= 0:
            return []
        return [Ask(self.key, need, need + self._beyond(max(need, wanted.amount), now_s), max(0, least))]

    def _beyond(self, need: int, now_s: float) -> int:
        """How much more than is needed now: it doubles while leases are asked for again and again."""
        first, last = BLOCKS[self.key.unit]
        if now_s - self.asked_s < BUSY_S:
            self.block = min(max(2 * self.block, need), last)
        else:
            self.block = min(need, first)
        self.asked_s = now_s
        return max(self.block, int(self.pace * AHEAD_S))

    def _ask_soon(self, now_s: float) -> list[Op]:
        """Another request like the last one would wait. In a burst that comes again and again; so only its first one waits."""
        return [Ask(self.key, 0, self._beyond(self.short, now_s), self.short)]

    def _ask_ahead(self) -> list[Op]:
        """In a flush that happens anyway: lease that nobody waits for, so little of it where room is scarce (ledger.SHARE)."""
        ahead = int(self.pace * AHEAD_S)
        return [Ask(self.key, 0, ahead - self.low)] if 2 * self.low < ahead else []

    def confirm(self, standing: Standing, now_s: float) -> None:
        """Take the ledger's answer to what `collect` gave."""
        if self.version == 0:
            self.announced = standing.limit == self.limit
        self.version, self.epoch = standing.version, standing.epoch
        self.settled, self.total, self.leased = standing.settled, standing.leased, standing.mine
        if self.opening:
            self.announced, self.opening = self.opening == (self.limit,), ()
        self.used -= self.flushing
        self.estimated -= self.flushing_marks[0]
        self.suspect -= self.flushing_marks[1]
        self.flushing, self.flushing_marks, self.giving = 0, (0, 0), 0
        self.seen_s = now_s
        room = self.room
        self.ample = 0 if room is None else room // PLENTY
        self._balance()
        self.low = self.free  # what was just granted counts from the moment on in which it was asked for

    def _balance(self) -> None:
        if self.limit is None:
            self.free = self.low = self.idle = ENDLESS
        else:
            self.free = self.leased - self.reserved - self.used - self.surplus - self.giving
            self.low = min(self.low, self.free)
