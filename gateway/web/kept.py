"""What one request head came to, kept while its connection sends the same head again and again."""

from __future__ import annotations

from typing import Protocol

from msgspec import Struct, field

from gateway.call import Terms
from gateway.pipeline import Pipeline
from gateway.routes import Routes
from gateway.types import Peek
from gateway.web.auth import Authenticator
from gateway.web.relay import HttpOutlet
from gateway.web.roads import Road

KEPT_S = 60.0  # a head that comes again is looked at anew after this


class Current(Protocol):
    """What holds now (web.handlers)."""

    authenticator: Authenticator
    pipeline: Pipeline


class Kept(Struct):
    """The terms of a head, and under which configuration they were worked out. `roads`: by model, what plain calls need.

    `peeked`: the body of this moment and what was read of it, for the long way: to read a long one twice costs a millisecond.
    """

    terms: Terms
    routes: Routes
    authenticator: Authenticator
    outlet: type[HttpOutlet]
    roads: dict[str, Road | None] = field(default_factory=dict)
    peeked: tuple[bytes, Peek] | None = None

    def peek(self, body: bytes) -> Peek:
        """What admission needs of a body. Raises BadRequest."""
        peeked, self.peeked = self.peeked, None
        return peeked[1] if peeked is not None and peeked[0] is body else self.terms.dialect.peek(body)

    def holds(self, current: Current, at: float) -> bool:
        """Whether nothing has changed since: the configuration, the keys, the time the credential is good for."""
        same = self.routes is current.pipeline.routes and self.authenticator is current.authenticator
        return same and at < self.terms.until
