"""The sections of the configuration: frozen, typed, with their defaults. Leaves of the import tree.

`gateway.config` reads gateway.yaml into these; every part of the program is handed the section it needs and no more.
Rule 1: units stand in names (_s, _ms, _mb, _tokens, _usd). Rule 2: secrets are `Secret`, which prints as ***.
Rule 3: inheritance is resolved at load: a tenant here has its own limits, whatever it inherited them from.
"""

from __future__ import annotations

import re
from decimal import Decimal
from typing import Annotated, Literal

from msgspec import Meta, Struct, field

from gateway.types import Translation

Positive = Annotated[int, Meta(ge=1)]
PositiveSeconds = Annotated[float, Meta(gt=0)]
Port = Annotated[int, Meta(ge=0, le=65535)]
Tokens = Annotated[int, Meta(ge=0, le=10**15)]  # exact in every store, with room to add up
Usd = Decimal  # US dollars as the file writes them; gateway.config takes 0 to MOST_USD with at most six decimals
MOST_USD = 10**9  # in micro-USD as many as there may be tokens
MICRO = 1_000_000  # micro-USD in a dollar
Words = Annotated[str, Meta(min_length=1)]
Private = Annotated[str, Meta(min_length=1, extra={"private": True})]  # may carry a password: no message quotes it

# Names of tenants and providers: "/" and ":" separate them from other things in scopes, models and paths.
NAME_PATTERN = "^[A-Za-z0-9][A-Za-z0-9_.-]{0,63}$"
NAME = re.compile(NAME_PATTERN.replace("$", r"\Z"))


class Secret:
    """A text that does not show itself: `reveal()` gives it, everything else prints ***. Not a str, so that no join leaks it."""

    __slots__ = ("_text",)

    def __init__(self, text: str) -> None:
        self._text = text

    def reveal(self) -> str:
        return self._text

    def __repr__(self) -> str:
        return "***"

    __str__ = __repr__

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and other._text == self._text

    def __hash__(self) -> int:
        return hash(self._text)


class Section(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A section of gateway.yaml: unknown keys are errors."""


class Server(Section, frozen=True, kw_only=True):
    host: Words = "127.0.0.1"
    port: Port = 8080
    workers: Annotated[int, Meta(ge=1, le=512)] | Literal["auto"] = 1
    max_body_mb: Annotated[float, Meta(gt=0)] = 20
    max_in_flight: Positive = 2000
    drain_s: Annotated[float, Meta(ge=0)] = 300
    fast_lane: bool = True


class Admin(Section, frozen=True, kw_only=True):
    port: Port | None = None
    host: Words = "127.0.0.1"
    metrics_public: bool = False


class JwtKey(Section, frozen=True, kw_only=True):
    """One accepted way to sign. Exactly one of secret, public_key, jwks_url; the algorithm is pinned."""

    algorithm: Literal["HS256", "HS384", "HS512", "RS256", "RS384", "RS512", "ES256", "ES384", "ES512", "EdDSA"]
    secret: Secret | None = None
    public_key: Private | None = None  # PEM
    jwks_url: Private | None = None
    issuer: Words | None = None
    audience: Words | list[Words] | None = None
    leeway_s: Annotated[float, Meta(ge=0, le=300)] = 30


class ApiKey(Section, frozen=True, kw_only=True):
    sha256: Annotated[str, Meta(pattern="^[0-9a-f]{64}$")]
    tenant: Words | list[Words]
    name: Words
    roles: list[Literal["user", "admin"]] = field(default_factory=lambda: ["user"])


class Auth(Section, frozen=True, kw_only=True):
    jwt: list[JwtKey] = field(default_factory=list)
    tenant_claim: Words = "tenant"
    user_claim: Words = "sub"
    roles_claim: Words = "roles"
    api_keys: list[ApiKey] = field(default_factory=list)


class Store(Section, frozen=True, kw_only=True):
    url: Private = "sqlite:///data/gateway.db"

    def __repr__(self) -> str:
        return f"Store(url={self.url.partition('://')[0] + '://***'!r})"  # redis URLs carry passwords


class Quota(Section, frozen=True, kw_only=True):
    """Tokens per UTC day and per UTC month; None means no limit."""

    daily_tokens: Tokens | None = None
    monthly_tokens: Tokens | None = None


class Budget(Section, frozen=True, kw_only=True):
    """US dollars per UTC day and per UTC month; None means no limit. The properties are what counts: whole micro-USD."""

    daily_usd: Usd | None = None
    monthly_usd: Usd | None = None

    @property
    def daily_microusd(self) -> int | None:
        return None if self.daily_usd is None else int(self.daily_usd * MICRO)

    @property
    def monthly_microusd(self) -> int | None:
        return None if self.monthly_usd is None else int(self.monthly_usd * MICRO)

    @property
    def is_limited(self) -> bool:
        """Whether there is anything to count money for."""
        return self.daily_usd is not None or self.monthly_usd is not None


class Timeouts(Section, frozen=True, kw_only=True):
    connect_s: PositiveSeconds = 3
    first_byte_s: PositiveSeconds = 30
    idle_s: PositiveSeconds = 45
    total_s: PositiveSeconds = 600


class Provider(Section, frozen=True, kw_only=True):
    type: Literal["openai", "anthropic", "gemini", "openai_compatible", "azure", "bedrock", "vertex"]
    api_key: Secret | None = None
    api_keys: list[Secret] = field(default_factory=list)
    base_url: Private | None = None  # resolved at load to the vendor's own when absent
    default_model: Words
    priority: int = 5
    models: dict[str, Words] = field(default_factory=dict)  # public name -> upstream name; "*" lets any name through
    quota: Quota = Quota()
    budget: Budget = Budget()
    timeouts: Timeouts = Timeouts()


class Fallback(Section, frozen=True, kw_only=True):
    enabled: bool = True
    max_attempts: Positive = 3
    across_providers: bool = True
    retry_budget_percent: Annotated[float, Meta(ge=0, le=100)] = 20


class Breaker(Section, frozen=True, kw_only=True):
    failures: Positive = 5
    open_s: PositiveSeconds = 60


class Limits(Section, frozen=True, kw_only=True):
    requests_per_minute: Positive | None = None
    tokens_per_minute: Positive | None = None
    concurrency: Positive | None = 100


class Tenant(Section, frozen=True, kw_only=True):
    """Resolved: `quota`, `budget` and `limits` hold what applies, own or inherited."""

    quota: Quota = Quota()
    budget: Budget = Budget()
    limits: Limits = Limits()
    providers: list[Words] | None = None  # None: all
    models: list[Words] | None = None  # None: all
    default_temperature: Annotated[float, Meta(ge=0, le=2)] | None = None
    provider_quota: dict[str, Quota] = field(default_factory=dict)
    provider_budget: dict[str, Budget] = field(default_factory=dict)
    allow_unlisted: bool = False  # only meaningful on `default`: tenants that are not listed get its settings


class Alerts(Section, frozen=True, kw_only=True):
    thresholds_percent: list[Annotated[int, Meta(ge=1, le=100)]] = field(default_factory=lambda: [75, 90, 100])
    webhook_url: Private | None = None
    webhook_secret: Secret | None = None


class Cache(Section, frozen=True, kw_only=True):
    enabled: bool = False
    ttl_s: PositiveSeconds = 300
    max_mb: PositiveSeconds = 64


class Log(Section, frozen=True, kw_only=True):
    level: Literal["debug", "info", "warning", "error"] = "info"
    format: Literal["json", "text"] = "json"
    content: bool = False


class Config(Section, frozen=True, kw_only=True):
    """The whole of gateway.yaml. Only `gateway.app` and `gateway.config` see it."""

    server: Server = Server()
    admin: Admin = Admin()
    auth: Auth = Auth()
    store: Store = Store()
    providers: dict[str, Provider] = field(default_factory=dict)  # at least one, as gateway.config sees to
    models: dict[str, list[Words]] = field(default_factory=dict)  # alias -> "provider/model" or "provider"
    fallback: Fallback = Fallback()
    breaker: Breaker = Breaker()
    limits: Limits = Limits()
    tenants: dict[str, Tenant] = field(default_factory=dict)
    alerts: Alerts = Alerts()
    cache: Cache = Cache()
    log: Log = Log()
    translation: Translation = Translation()

    def quota_of(self, scope: str) -> Quota:
        """The quota of "tenant:acme", "provider:openai" or "tenant:acme/provider:openai". Unlisted tenants have that of `default`."""
        section, at = self._section(scope)
        if isinstance(section, Tenant) and at:
            return section.provider_quota.get(at, Quota())
        return section.quota if section is not None else Quota()

    def budget_of(self, scope: str) -> Budget:
        """The budget of a scope, likewise."""
        section, at = self._section(scope)
        if isinstance(section, Tenant) and at:
            return section.provider_budget.get(at, Budget())
        return section.budget if section is not None else Budget()

    def _section(self, scope: str) -> tuple[Provider | Tenant | None, str]:
        """Where the limits of a scope stand, and for which provider when they are a tenant's share of one."""
        kind, _, name = scope.partition(":")
        if kind == "provider":
            return self.providers.get(name), ""
        tenant, _, provider = name.partition("/provider:")
        return self.tenants.get(tenant) or self.tenants.get("default"), provider

    def tenant(self, name: str) -> Tenant | None:
        """The settings of the tenant `name`; those of `default` when it is not listed and default says allow_unlisted."""
        own = self.tenants.get(name)
        if own is not None:
            return own
        default = self.tenants.get("default")
        return default if default is not None and default.allow_unlisted and NAME.match(name) else None
