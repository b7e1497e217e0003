"""One client request on its way through the pipeline, and the record of what was tried for it.

A `Call` is what the web room hands in; an `Outlet` is where the answer goes; a `Trail` remembers every candidate: why it was
considered, skipped or failed. The access log, the metrics, the answer's headers and /explain all read the trail.
"""

from __future__ import annotations

from math import inf
from typing import Any, Protocol

from msgspec import Struct, field

from gateway.core.limits import TenantLimits
from gateway.errors import Fault, GatewayError
from gateway.settings import Tenant
from gateway.types import ClientHalf, Event, Notes, Peek, Reply, Tap, Usage

MAX_SESSION_CHARS = 200
LEFT = (
    "gone",
    "deadline",
)  # kinds of faults that are the client's own endings: the provider was at work for it all the same


class Terms(Struct, kw_only=True, frozen=True):
    """Who asks and how: all that a request's head says, worked out once and kept while the same head comes again.

    `until` is unix seconds, when the credential must be looked at anew. `tenant_scope`: the tenant's quota account.
    """

    surface: str
    dialect: ClientHalf
    tenant: str
    settings: Tenant
    limits: TenantLimits
    user: str = ""
    key: str = ""
    method: str = "POST"
    path: str = ""
    given_id: str = ""  # X-Request-Id
    preferred: str = ""
    session: str = ""
    strict: bool = False
    timeout_s: float | None = None
    traceparent: str = ""
    headers: tuple[tuple[str, str], ...] = ()  # vendor headers that travel on to a provider of the same dialect
    until: float = 0.0
    free: bool = False  # the vendor bills no tokens

    @property
    def tenant_scope(self) -> str:
        return f"tenant:{self.tenant}"


class Call(Struct):
    """One client request. Times ending in _at are monotonic seconds, but `at` is unix time for the log."""

    id: str  # what the client gave as X-Request-Id, else ours
    serial: str  # 24 hex characters, unique: the stem of the ids that answers carry
    terms: Terms
    body: bytes
    peek: Peek
    at: float
    received_at: float
    parsed: Any = None
    replayed: bool = False  # `parsed` has what its client gave back sealed, or lost (replay.py)

    @property
    def session(self) -> str:
        """Sticks a conversation to one provider."""
        return self.terms.session or self.peek.session[:MAX_SESSION_CHARS]

    @property
    def preferred(self) -> str:
        """The provider that the client prefers."""
        return self.terms.preferred or self.peek.preferred

    def request(self) -> Any:
        """The whole request in the inner shape (Request, EmbeddingRequest), parsed on first need. Raises BadRequest."""
        if self.parsed is None:
            self.parsed = self.terms.dialect.read_request(self.body)
        return self.parsed

    def left_s(self, now: float) -> float:
        """Seconds until the client's own deadline; endless when it set none."""
        timeout_s = self.terms.timeout_s
        return inf if timeout_s is None else self.received_at + timeout_s - now


class Step(Struct):
    """One candidate on the trail. outcome: "ok", "skipped" or the fault's kind; `reason` says why in words."""

    provider: str
    model: str
    outcome: str
    because: str = ""
    reason: str = ""
    status: int | None = None
    began_at: float = 0.0
    ended_at: float = 0.0

    def public(self) -> dict[str, Any]:
        """What a client may see: provider, status, reason."""
        return {"provider": self.provider, "status": self.status, "reason": self.reason or self.outcome}


class Trail(Struct):
    """All candidates of a call, in the order in which they were considered, and what came of it."""

    steps: list[Step] = field(default_factory=list)
    attempts: int = 0
    provider: str = ""
    model: str = ""  # the upstream's name
    notes: Notes | None = None
    clamped: int | None = None
    usage: Usage | None = None
    total_tokens: int = 0
    cost_microusd: int = 0  # of calls that a budget pays for
    estimated: bool = False
    suspect: bool = False
    status: int = 0
    outcome: str = ""
    error: str = ""
    stream: bool = False
    upstream_s: float = 0.0
    first_content_at: float = 0.0
    tap: Tap | None = None  # beside a stream that passes through

    def skip(self, provider: str, model: str, because: str, reason: str) -> None:
        self.steps.append(Step(provider, model, "skipped", because, reason))

    def public(self) -> list[dict[str, Any]]:
        """The candidates of a call that failed, as its client may see them."""
        return [step.public() for step in self.steps]

    @property
    def passed_over(self) -> list[str]:
        """Providers considered before the one that answered, each once."""
        found: list[str] = []
        for step in self.steps:
            if step.outcome != "ok" and step.provider != self.provider and step.provider not in found:
                found.append(step.provider)
        return found


class Flow(Protocol):
    def pause(self) -> None: ...

    def resume(self) -> None: ...


class Outlet(Protocol):
    """Where the answer goes: HTTP in some dialect, a WebSocket, a Socket.IO session.

    Exactly one of: `raw_answer`, `reply`, `fail`; or `begin` and then any number of `raw`/`events`, then `end` or `broken`.
    """

    def raw_answer(self, trail: Trail, body: bytes) -> None:
        """A whole answer in the client's own dialect, to be relayed as it is."""
        ...

    def reply(self, trail: Trail, reply: Reply) -> None: ...

    def begin(self, trail: Trail, flow: Flow) -> None:
        """The first content is there: a stream begins. `flow` is to be paused while the client is slow."""
        ...

    def raw(self, data: bytes) -> None: ...

    def events(self, events: list[Event]) -> None: ...

    def end(self) -> None:
        """The upstream ended its stream cleanly, and all of it was given."""
        ...

    def broken(self, error: GatewayError) -> None:
        """The stream broke after content: say so, and do not let it look complete."""
        ...

    def fail(self, trail: Trail, error: GatewayError) -> None: ...

    def on_gone(self, callback: Any) -> None:
        """Call back when the client leaves; None takes that back."""
        ...

    @property
    def gone(self) -> bool: ...


class Result(Struct):
    """How one attempt ended. `fault` None: the client has its whole answer. `used`: tokens the provider is known to have used."""

    fault: Fault | None = None
    committed: bool = False
    usage: Usage | None = None
    output_bytes: int = 0
    sent: bool = False
