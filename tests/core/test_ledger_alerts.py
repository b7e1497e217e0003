"""Each alert once, in many random runs: two holders, messages that come twice, limits that change, resets, refusals.

GATEWAY_STORIES=100000 tells as many (about three minutes); the seed is fixed.
"""

from __future__ import annotations

import os
import random
from collections import Counter

from gateway.core.ledger import apply
from gateway.core.ledger_commands import Ask, Give, Op, Open, Refuse, Reset, Settle, Sync, Synced
from gateway.core.ledger_rows import Key
from gateway.stores.memory import MemoryBook

STORIES = int(os.environ.get("GATEWAY_STORIES", "1500"))
STEPS = 16
NOON = 1_795_435_200.0
DAY = Key("tenant:acme", "tokens", "2026-11-23")
THRESHOLDS = (75, 90, 100)


class Run:
    """One account and all alerts that anybody was told of. `due`: what must have fired, by (threshold, epoch)."""

    def __init__(self, dice: random.Random) -> None:
        self.dice = dice
        self.book = MemoryBook()
        self.seq = {"a": 0, "b": 0}
        self.last: dict[str, Sync] = {}
        self.fired: Counter[tuple[int, int]] = Counter()
        self.due: set[tuple[int, int]] = set()
        self.say("a", Open(DAY, dice.randrange(1, 400)))

    def say(self, by: str, *ops: Op) -> None:
        self.seq[by] += 1
        self.last[by] = Sync(by, self.seq[by], ops, THRESHOLDS)
        first = self.tell(self.last[by])
        if self.dice.random() < 0.3:  # its answer was lost, and it is said again
            assert self.tell(self.last[by]) == first
        self.fired.update((row.threshold, row.epoch) for row in first.alerts)
        self.look(any(isinstance(op, Refuse) for op in ops))

    def tell(self, sync: Sync) -> Synced:
        changes, reply = apply(self.book, sync, NOON)
        self.book.write(changes)
        assert isinstance(reply, Synced)
        return reply

    def look(self, refused: bool) -> None:
        """What is due after a message: all that its account has crossed, and the last one for a refusal."""
        account = self.book.account(DAY)
        assert account is not None
        if account.limit is None:
            return
        crossed = [t for t in THRESHOLDS if account.settled and account.settled * 100 >= t * account.limit]
        self.due |= {(threshold, account.epoch) for threshold in crossed}
        if refused:
            self.due.add((100, account.epoch))

    def step(self) -> None:
        dice, by = self.dice, self.dice.choice("ab")
        used = dice.choice((0, 1, 7, 40, 150))
        op = dice.choice(
            (
                *(Settle(DAY, used, dice.randrange(used + 1)),) * 4,
                Ask(DAY, dice.randrange(60), 60 + dice.randrange(100)),
                Give(DAY, dice.randrange(60)),
                Refuse(DAY),
                Open(DAY, dice.choice((None, *range(1, 400, 50)))),
                Reset(DAY, "by hand"),
            )
        )
        self.say(by, op)


def test_each_alert_fires_once_and_none_is_missing() -> None:
    dice = random.Random(20_261_128)
    alerts = 0
    for number in range(STORIES):
        run = Run(dice)
        for _ in range(STEPS):
            run.step()
        assert set(run.fired) == run.due, number
        assert set(run.fired.values()) <= {1}, (number, run.fired)
        alerts += len(run.due)
    assert alerts > STORIES, "a story without alerts shows nothing"
