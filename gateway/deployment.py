"""A provider, ready to be called: its vendor, address, credentials, breaker and retry budget.

Rule 1: the head of a request is built per credential, from the configuration alone; nothing a client sends chooses a host,
a path or a credential. Rule 2: state that must survive a reload (breaker, cool-downs, budget) is taken over when the provider
still points at the same place. Rule 3: a refused key rests for all who would use it, so it rests shortly at first, and only what the
vendor says about calls that began after the last refusal makes the next rest longer, or ends the row. Time is an argument, in
monotonic seconds.
"""

from __future__ import annotations

from msgspec import Struct, structs

from gateway import __version__, settings
from gateway.core import retry
from gateway.core.breaker import Breaker
from gateway.core.retry import RetryBudget
from gateway.core.verdict import SkipKind
from gateway.errors import Fault
from gateway.types import Vendor
from gateway.upstream.request import Origin, head

MAX_HEADS = 512
MAX_TENANTS = 10_000
MIN_KEY_CHARS = 8  # a shorter text is found in words by chance, and is no secret
# Whose rows of the catalogue describe an unknown model of this type.
FAMILY = {"vertex": "gemini", "azure": "openai"}


class Closed(Struct, frozen=True):
    """Why a provider cannot be called now, and for how many seconds."""

    kind: SkipKind
    reason: str
    wait_s: float


class Credential:
    """One key of the operator's. `until` is when it may be used again; `bad` tells a refused key from a busy one.

    `refusals` counts how often the vendor refused it without a success between.
    """

    __slots__ = ("_refused_at", "bad", "headers", "refusals", "until")

    def __init__(self, headers: list[tuple[str, str]]) -> None:
        self.headers = headers
        self.until = 0.0
        self.bad = False
        self.refusals = 0
        self._refused_at = float("-inf")

    def cool(self, fault: Fault, began: float, now: float) -> None:
        """Rest as long as the fault of a call that began then asks for. Calls that are refused together are refused once."""
        refused = fault.kind == "auth"
        if refused and began <= self._refused_at:
            return
        rest_s = retry.cooldown_s(fault, self.refusals)
        if refused:
            self.refusals, self._refused_at = self.refusals + 1, now
        if rest_s and now + rest_s > self.until:
            self.until, self.bad = now + rest_s, refused

    def served(self, began: float) -> None:
        """A call that began then was answered. One from before the last refusal tells about the past."""
        if began > self._refused_at:
            self.refusals = 0

    def pardon(self) -> None:
        """The operator may have mended what it was refused for: use it at once."""
        self.refusals = 0
        if self.bad:
            self.until, self.bad = 0.0, False


class Deployment:
    """See the module. `scopes` name the provider's quota accounts, `tenant_scope(tenant)` the tenant's share of it."""

    def __init__(
        self,
        name: str,
        section: settings.Provider,
        vendor: Vendor,
        address: tuple[Origin, str],
        breaker: settings.Breaker,
        retry_budget_percent: float,
    ) -> None:
        self.name = name
        self.settings = section
        self.vendor = vendor
        self.origin, self._prefix = address
        self.breaker_settings = breaker
        self.breaker = Breaker(breaker.failures, breaker.open_s, probe_lease_s=section.timeouts.total_s)
        self.budget = RetryBudget(retry_budget_percent)
        self._retry_percent = retry_budget_percent
        self.family = FAMILY.get(section.type, section.type)
        self.scope = f"provider:{name}"
        # What all processes call its breaker; another address is another server, healthy or not.
        self.circuit = f"{name} {self.origin.scheme}://{self.origin.host}:{self.origin.port}{self._prefix}"
        keys = section.api_keys or ([section.api_key] if section.api_key else [])
        self._keys = [key.reveal() for key in keys]
        # A server of one's own may need no key; whoever needs one is refused by the configuration's checks.
        self.credentials = [Credential(vendor.headers(key)) for key in self._keys] or [Credential([])]
        self._heads: dict[tuple[int, str, bool, str], bytes] = {}
        self._scopes: dict[str, tuple[str, ...]] = {}
        self._next = 0

    def take_over(self, old: Deployment) -> None:
        """Keep what is known about the provider when a reload left its address and keys alone."""
        if (old.origin, old._prefix) != (self.origin, self._prefix):
            return
        if old._retry_percent == self._retry_percent:
            self.budget = old.budget
        if old.breaker_settings == self.breaker_settings:
            self.breaker = old.breaker
        if [c.headers for c in old.credentials] == [c.headers for c in self.credentials]:
            self.credentials = old.credentials
            for credential in self.credentials:
                credential.pardon()

    def scopes(self, tenant: str) -> tuple[str, ...]:
        """The provider's quota accounts of a call: its own, and the tenant's share of it."""
        return self.call_scopes(tenant)[1:]

    def call_scopes(self, tenant: str) -> tuple[str, ...]:
        """All quota accounts of a call: the tenant's, then the provider's."""
        found = self._scopes.get(tenant)
        if found is None:
            if len(self._scopes) >= MAX_TENANTS:  # unlisted tenants are open-ended
                self._scopes.clear()
            found = self._scopes[tenant] = (f"tenant:{tenant}", self.scope, f"tenant:{tenant}/{self.scope}")
        return found

    def enter(self, now: float) -> tuple[int, int] | Closed:
        """A ticket of the breaker and the index of a credential for one call, or why there are none."""
        ticket = self.breaker.admit(now)
        if ticket is None:
            return Closed("breaker", "circuit breaker half open, a probe is under way", 1.0)
        credential = self.credential(now)
        if credential is not None:
            return ticket, credential
        self.breaker.neutral(ticket, now)
        wait_s = max(0.0, self.usable_at() - now)
        if all(credential.bad for credential in self.credentials):
            return Closed("credential", f"its credential was refused, {wait_s:.0f} s left", wait_s)
        return Closed("cooldown", f"cooling down after a rate limit, {wait_s:.0f} s left", wait_s)

    def closed(self, now: float) -> Closed:
        """Why nobody may call while the breaker is open."""
        wait_s = self.breaker.retry_at(now)
        return Closed("breaker", f"circuit breaker open, next probe in {wait_s:.0f} s", wait_s)

    def credential(self, now: float) -> int | None:
        """The index of the next usable credential, in turn; None while all cool down."""
        count = len(self.credentials)
        if count == 1:
            return 0 if self.credentials[0].until <= now else None
        for step in range(count):
            at = (self._next + step) % count
            if self.credentials[at].until <= now:
                self._next = at + 1
                return at
        return None

    def served(self, ticket: int, credential: int, began: float, now: float) -> None:
        """Let breaker and credential know that a call which began then was answered."""
        self.breaker.success(ticket, now)
        self.credentials[credential].served(began)

    def judge(self, fault: Fault, ticket: int, credential: int, began: float, now: float) -> bool:
        """Let breaker and credential draw their conclusions from an attempt that failed. True when the breaker opened."""
        effect = retry.EFFECT[fault.kind].breaker
        opened = False
        if effect == "failure":
            opened = self.breaker.failure(ticket, now)
        elif effect == "healthy":
            self.breaker.success(ticket, now)
        else:
            self.breaker.neutral(ticket, now)
        self.credentials[credential].cool(fault, began, now)
        return opened

    def dated(self, fault: Fault, now: float) -> Fault:
        """The fault of a refused key with our wait in place of the vendor's: when this provider may be asked again."""
        return structs.replace(fault, retry_after_s=max(0.0, self.usable_at() - now)) if fault.kind == "auth" else fault

    def without_keys(self, fault: Fault) -> Fault:
        """The fault without this provider's keys, should the upstream have quoted one. Its error body then goes altogether."""
        said = (fault.safe_message, fault.log_message, fault.code or "", fault.param or "")
        quoted = [
            key
            for key in self._keys
            if len(key) >= MIN_KEY_CHARS and (key in "".join(said) or key.encode() in fault.body)
        ]
        for key in quoted:
            fault = structs.replace(
                fault,
                safe_message=fault.safe_message.replace(key, "[redacted]"),
                log_message=fault.log_message.replace(key, "[redacted]"),
                code=None,
                param=None,
                body=b"",
            )
        return fault

    def usable_at(self) -> float:
        """When the first credential can be used again (monotonic seconds)."""
        return min((c.until for c in self.credentials), default=0.0)

    def resting(self, now: float) -> bool:
        """Whether any credential cannot be used at present."""
        return any(credential.until > now for credential in self.credentials)

    def head(self, credential: int, model: str, stream: bool, dialect: str) -> bytes:
        """The request line and fixed headers of a call in the dialect of that name, without length and end. Raises ValueError for a header that
        cannot be written, which the configuration's own checks make impossible."""
        key = (credential, model, stream, dialect)
        found = self._heads.get(key)
        if found is None:
            if len(self._heads) >= MAX_HEADS:  # models of a known family are open-ended
                self._heads.clear()
            found = self._heads[key] = self._build_head(*key)
        return found

    def _build_head(self, credential: int, model: str, stream: bool, dialect: str) -> bytes:
        return self.head_at(credential, self.vendor.path(model, stream, dialect), stream)

    def head_at(self, credential: int, path: str, stream: bool = False) -> bytes:
        """As `head`, for a path of the vendor's that is no call: below the base URL."""
        lines = {
            "host": self.origin.authority,
            "content-type": "application/json",
            "accept": "text/event-stream" if stream else "application/json",
            "accept-encoding": "identity",  # relayed bytes must be readable: a compressed answer could not be metered
            "user-agent": f"passerelle/{__version__}",
        }
        lines.update(self.credentials[credential].headers)
        return head("POST", self._prefix + path, lines.items())
