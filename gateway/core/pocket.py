"""What calls of the same scopes have in hand of their purses, so that a call takes and settles in one place instead of six.

A pocket takes from the purses of its scopes what is free in all of them, or a half, and calls take from the pocket. `empty` puts back
what is left, what is reserved and what was used; whoever reads a purse empties all pockets first (gateway.core.wallet).

Rule 1: on each of its purses a pocket stands for `taken` tokens: `free` of them, `used`, and what its calls have reserved.
Rule 2: as long as a pocket is filled none of its purses is in debt: only an overdraft can bring that about, and empties all first.
Rule 3: a call that ends after its pocket was emptied is settled with the purses; one whose pocket was filled again, with that.
"""

from __future__ import annotations

from collections.abc import Iterable

from gateway.core.purse import Purse


class Pocket:
    """`low` is the least that was free since it was last emptied. The fields are written by the wallet's hot path directly."""

    __slots__ = ("free", "low", "purses", "taken", "used")

    def __init__(self, purses: tuple[Purse, ...]) -> None:
        self.purses = purses
        self.taken = self.free = self.used = self.low = 0

    def fill(self, tokens: int, short: set[Purse]) -> bool:
        """Take enough for a call of `tokens`, and half of what is free where that is more: others may share the purses. False when
        there is not enough. The pockets must be empty. Purses of which another such call would have to wait go into `short`."""
        least = min(purse.free for purse in self.purses)
        if least < tokens:
            return False
        part = max(tokens, least // 2)
        self.taken = self.free = self.low = part
        for purse in self.purses:
            if purse.free - tokens < tokens <= purse.ample:
                purse.short = tokens
                short.add(purse)
            purse.free -= part
        return True


def empty(pockets: Iterable[Pocket]) -> set[Purse]:
    """Put everything back. Returns the purses of which something was used."""
    dirty: set[Purse] = set()
    for pocket in pockets:
        for purse in pocket.purses:
            purse.free += pocket.low
    for pocket in pockets:  # all that was free at once, when each pocket had least
        for purse in pocket.purses:
            purse.low = min(purse.low, purse.free)
    for pocket in pockets:
        for purse in pocket.purses:
            purse.free += pocket.free - pocket.low
            purse.used += pocket.used
            purse.reserved += pocket.taken - pocket.free - pocket.used
        if pocket.used:
            dirty.update(pocket.purses)
        pocket.taken = pocket.free = pocket.used = pocket.low = 0
    return dirty
