"""A wallet with the ledger that it talks to, in memory."""

from __future__ import annotations

from gateway.core.ledger import apply
from gateway.core.ledger_commands import Op, Sync, Synced
from gateway.core.ledger_rows import Key
from gateway.core.purse import Wanted
from gateway.core.wallet import Hold, Wallet
from gateway.settings import Quota
from gateway.stores.memory import MemoryBook

NOON = 1_795_435_200.0  # 2026-11-23 12:00 UTC
MIDNIGHT = NOON + 12 * 3600
ACME = ("tenant:acme",)
BOTH = ("tenant:acme", "provider:openai")
DAY = Key("tenant:acme", "tokens", "2026-11-23")
MONTH = Key("tenant:acme", "tokens", "2026-11")


class Desk:
    """A wallet and the ledger it talks to."""

    def __init__(self, **limits: Quota) -> None:
        self.limits = {f"tenant:{name}": quota for name, quota in limits.items()}
        self.wallet = Wallet(lambda scope: self.limits.get(scope, Quota()))
        self.book = MemoryBook()
        self.now = NOON
        self.seq = 0

    def talk(self, wanted: tuple[str, ...] = (), tokens: int = 0) -> tuple[Op, ...]:
        """One round with the ledger; returns what it was told."""
        purses = self.wallet.current(wanted, self.now) if wanted else ()
        ops = tuple(self.wallet.collect(dict.fromkeys(purses, Wanted(tokens, tokens)), self.now))
        self.confirm(ops)
        return ops

    def confirm(self, ops: tuple[Op, ...]) -> None:
        self.seq += 1
        changes, reply = apply(self.book, Sync("me", self.seq, ops), self.now)
        self.book.write(changes)
        assert isinstance(reply, Synced)
        self.wallet.confirm(reply, self.now)

    def take(self, tokens: int, scopes: tuple[str, ...] = ACME) -> Hold:
        """A hold, leased first when there is too little in hand."""
        hold = self.wallet.take(scopes, tokens, self.now)
        if hold is None:
            self.talk(scopes, tokens)
            hold = self.wallet.take(scopes, tokens, self.now)
        assert hold is not None
        return hold

    def settled(self, key: Key = DAY) -> int:
        account = self.book.account(key)
        return 0 if account is None else account.settled

    def leased(self, key: Key = DAY) -> int:
        account = self.book.account(key)
        return 0 if account is None else account.leased
