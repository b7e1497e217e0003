"""Who asks? One function for all surfaces: a credential becomes a Principal, or 401.

Rule 1: wherever a credential may stand it is looked for, and one that is valid wins; an empty or stale one hides nothing.
Rule 2: what was verified is remembered under the SHA-256 of the whole token, for as long as it and its key may be trusted, and
that is checked on each hit; the tokens themselves are kept nowhere. Rule 3: `now` is unix seconds here, because that is what tokens speak of.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Mapping, Sequence
from hashlib import sha256
from typing import Any

import jwt
from cryptography.exceptions import UnsupportedAlgorithm
from msgspec import Struct

from gateway.errors import InvalidApiKey, TenantForbidden
from gateway.settings import NAME, ApiKey, Auth, JwtKey
from gateway.web import jws
from gateway.web.jwks import Jwks, fits, open_jwks, url_problem

HeaderGet = Callable[[str], str | None]  # lower-case name -> value

MAX_REMEMBERED = 20_000
# A key that its issuer withdrew must not live on in the memory of its tokens: they are verified again as often as key sets are.
REMEMBER_S = 300.0
MIN_SECRET_BYTES = 32  # RFC 7518, section 3.2: a key as long as the hash of HS256
_MAX_NAMES = 256  # tenants or roles in one token
_MAX_NAME_CHARS = 256

_KEY_HEADERS = ("x-api-key", "x-goog-api-key", "api-key")

MISSING = (
    "No credential was sent. Send 'Authorization: Bearer <token>' with an API key or a JWT of this gateway; "
    "the headers x-api-key, x-goog-api-key and api-key and the query ?key= are read too."
)
UNKNOWN_KEY = (
    "The API key is not one of this gateway. Check that it was copied whole; keys of OpenAI, Anthropic or Google do not "
    "work here, ask the gateway's operator for one."
)
NOT_SIGNED = (
    "The token's signature fits no key of this gateway. Get a token from the issuer that the operator configured."
)
FORBIDDEN = "This credential may not act for the tenant in the path. Use one of that tenant, or correct the path."


class Principal(Struct, frozen=True):
    """Who asks, and for which tenants they may. `expires_at` is unix seconds, None for API keys, which do not end."""

    tenants: frozenset[str]
    user: str
    roles: frozenset[str]
    key_name: str  # the name of the API key, "" for a JWT
    expires_at: float | None = None

    @property
    def is_admin(self) -> bool:
        return "admin" in self.roles

    def may(self, tenant: str) -> bool:
        """Whether it may act for `tenant`. An unknown tenant is nobody's: the answer is the same."""
        return tenant in self.tenants


def authorize(principal: Principal, tenant: str) -> None:
    """Raises TenantForbidden, in the same words whether the tenant exists or not."""
    if tenant not in principal.tenants:
        raise TenantForbidden(FORBIDDEN)


class _Way(Struct, frozen=True):
    """One accepted way to sign, ready for use: its key, or the set to find it in."""

    entry: JwtKey
    key: Any
    jwks: Jwks | None
    audiences: frozenset[str]

    def signed(self, token: jws.Token, wanted: set[Jwks]) -> bool:
        """Whether the token was signed this way. Key sets that must be refreshed to tell are added to `wanted`."""
        if self.jwks is None:
            return token.is_signed_by(self.key)
        keys = self.jwks.find(token.kid, token.algorithm)
        if keys is None:
            wanted.add(self.jwks)
            return False
        return any(token.is_signed_by(key) for key in keys)

    def accept(self, claims: dict[str, Any], now: float) -> float:
        """The expiry of a token that was signed this way. Raises InvalidApiKey when its claims do not hold."""
        expires_at = jws.expiry(claims, self.entry.leeway_s, now)
        if self.entry.issuer is not None and claims.get("iss") != self.entry.issuer:
            raise InvalidApiKey("The token is from an issuer (iss) that is not accepted here.")
        if self.audiences and self.audiences.isdisjoint(_names(claims, "aud") or ()):
            raise InvalidApiKey("The token is meant for another audience (aud).")
        return expires_at


_Known = tuple[Principal, float]  # and until when that may be believed without looking again


class Authenticator:
    """Credentials to principals. Built anew at each reload; `jwks` may be handed over so that keys need not be fetched again."""

    def __init__(
        self, auth: Auth, jwks: Mapping[str, Jwks] | None = None, max_remembered: int = MAX_REMEMBERED
    ) -> None:
        """Raises ValueError when an entry of `auth.jwt` cannot be used (`startup_problems` says all of them)."""
        problems = [problem for entry in auth.jwt for problem in _entry_problems(entry)]
        if problems:
            raise ValueError("; ".join(problems))
        self._auth = auth
        self._ways = _ways(auth, open_jwks(auth) if jwks is None else jwks)
        self._api_keys = {bytes.fromhex(key.sha256): _key_principal(key) for key in auth.api_keys}
        # Two halves, the younger first. When it is full it becomes the older one: a bounded memory of the tokens in use,
        # without any bookkeeping on a hit.
        self._half = max(1, max_remembered // 2)
        self._young: dict[bytes, _Known] = {}
        self._old: dict[bytes, _Known] = {}

    def authenticate(self, header_get: HeaderGet, query_key: str | None, now: float) -> Principal | None:
        """Who sent these headers; None: ask `authenticate_slow`, a key set must be fetched first. Raises InvalidApiKey."""
        token = _bearer(header_get("authorization") or "") or header_get("x-api-key")
        if token and token.isascii():
            principal = self._recall(sha256(token.encode()).digest(), now)
            if principal is not None:
                return principal
        wanted: set[Jwks] = set()
        try:
            return self._examine(offered(header_get, query_key), now, wanted)
        except InvalidApiKey:
            if wanted:
                return None
            raise

    async def authenticate_slow(self, header_get: HeaderGet, query_key: str | None, now: float) -> Principal:
        """As `authenticate`, after fetching the key sets that may hold the key. Raises InvalidApiKey."""
        tokens, wanted = offered(header_get, query_key), set[Jwks]()
        try:
            return self._examine(tokens, now, wanted)
        except InvalidApiKey:
            if not wanted:
                raise
        await asyncio.gather(*(jwks.refresh() for jwks in wanted))
        return self._examine(tokens, now, set())

    def _recall(self, digest: bytes, now: float) -> Principal | None:
        known = self._young.get(digest) or self._old.get(digest)
        if known is not None and now < known[1]:
            return known[0]
        return self._api_keys.get(digest)

    def _remember(self, digest: bytes, principal: Principal, until: float) -> None:
        if len(self._young) >= self._half:
            self._young, self._old = {}, self._young
        self._young[digest] = principal, until

    def _examine(self, tokens: Iterable[str], now: float, wanted: set[Jwks]) -> Principal:
        """The first of `tokens` that is valid. Raises what is wrong with the first one when none is."""
        refusal: InvalidApiKey | None = None
        for token in tokens:
            try:
                return self._one(token, now, wanted)
            except InvalidApiKey as error:
                refusal = refusal or error
        raise refusal or InvalidApiKey(MISSING)

    def _one(self, text: str, now: float, wanted: set[Jwks]) -> Principal:
        if not text.isascii():
            raise InvalidApiKey(UNKNOWN_KEY)
        digest = sha256(text.encode()).digest()
        principal = self._recall(digest, now)
        if principal is None:
            if "." not in text:
                raise InvalidApiKey(UNKNOWN_KEY)
            principal = self._verify(jws.read(text), now, wanted)
            self._remember(digest, principal, min(principal.expires_at or now, now + REMEMBER_S))
        return principal

    def _verify(self, token: jws.Token, now: float, wanted: set[Jwks]) -> Principal:
        ways = [way for way in self._ways.get(token.algorithm, ()) if way.signed(token, wanted)]
        if not ways:
            raise InvalidApiKey(NOT_SIGNED)
        claims, refusal = token.claims(), None
        for way in ways:
            try:
                return self._principal(claims, way.accept(claims, now))
            except InvalidApiKey as error:
                refusal = refusal or error
        raise refusal or InvalidApiKey(NOT_SIGNED)

    def _principal(self, claims: dict[str, Any], expires_at: float) -> Principal:
        auth = self._auth
        tenants = _names(claims, auth.tenant_claim)
        if not tenants or not all(NAME.match(tenant) for tenant in tenants):
            raise InvalidApiKey(
                f"The token names no tenant: its claim '{auth.tenant_claim}' must be a tenant or a list of them."
            )
        roles = _names(claims, auth.roles_claim) if auth.roles_claim in claims else frozenset({"user"})
        user = claims.get(auth.user_claim, "")
        # The user's name goes into logs: it must be a short text on one line.
        if roles is None or not isinstance(user, str) or len(user) > _MAX_NAME_CHARS or not user.isprintable():
            raise InvalidApiKey(f"The token's claims '{auth.user_claim}' and '{auth.roles_claim}' must be plain names.")
        return Principal(tenants, user, roles, "", expires_at)


def offered(header_get: HeaderGet, query_key: str | None) -> list[str]:
    """The credentials of a request: those that are not empty, each once, in the order in which they are tried."""
    found = [_bearer(header_get("authorization") or "")]
    found += [(header_get(name) or "").strip() for name in _KEY_HEADERS]
    found.append((query_key or "").strip())
    return [token for token in dict.fromkeys(found) if token]


def mint(auth: Auth, tenant: str | list[str], user: str, roles: Sequence[str], ttl_s: float, now: float) -> str:
    """A JWT signed with the first HMAC secret of the configuration. Raises ValueError when there is none."""
    entry = next((entry for entry in auth.jwt if entry.secret is not None), None)
    if entry is None or entry.secret is None:
        raise ValueError("auth.jwt has no entry with a secret: tokens of other issuers cannot be minted here")
    claims: dict[str, Any] = {auth.user_claim: user, auth.tenant_claim: tenant, auth.roles_claim: list(roles)}
    claims |= {"iat": int(now), "exp": int(now + ttl_s)}
    if entry.issuer is not None:
        claims["iss"] = entry.issuer
    if entry.audience is not None:
        claims["aud"] = entry.audience
    return jwt.encode(claims, entry.secret.reveal(), algorithm=entry.algorithm)


def startup_problems(auth: Auth) -> list[str]:
    """What must be put right before the gateway may start, in sentences for the operator; no secret is quoted."""
    problems = [
        f"auth.jwt[{index}]: {problem}" for index, entry in enumerate(auth.jwt) for problem in _entry_problems(entry)
    ]
    if not auth.jwt and not auth.api_keys:
        problems.append("auth: there is neither a JWT key nor an API key, so nobody could call; set GATEWAY_JWT_SECRET")
    return problems


def _entry_problems(entry: JwtKey) -> list[str]:
    given = [name for name in ("secret", "public_key", "jwks_url") if getattr(entry, name) is not None]
    if len(given) != 1:
        return ["exactly one of secret, public_key and jwks_url is needed"]
    if (given[0] == "secret") != entry.algorithm.startswith("HS"):
        return [f"{entry.algorithm} does not work with {given[0]}"]
    if entry.jwks_url is not None:
        problem = url_problem(entry.jwks_url)
        return [problem] if problem else []
    if entry.secret is not None and len(entry.secret.reveal().encode()) < MIN_SECRET_BYTES:
        return [f"the secret is shorter than {MIN_SECRET_BYTES} bytes; make one with: openssl rand -hex 32"]
    try:
        key = _prepared(entry)
    except (jwt.PyJWTError, UnsupportedAlgorithm, ValueError, TypeError):
        # For a secret this means: it is a PEM or another key in disguise, which everybody may know.
        return [f"the {given[0]} is no key for {entry.algorithm}"]
    return (
        []
        if entry.secret is not None or fits(key, entry.algorithm)
        else [f"the public_key is no key for {entry.algorithm}"]
    )


def _prepared(entry: JwtKey) -> Any:
    """The key as PyJWT's algorithm wants it, None for a key set."""
    text = entry.secret.reveal() if entry.secret is not None else entry.public_key
    return None if text is None else jwt.get_algorithm_by_name(entry.algorithm).prepare_key(text)


def _ways(auth: Auth, jwks: Mapping[str, Jwks]) -> dict[str, list[_Way]]:
    """The accepted ways to sign, by algorithm. A header's algorithm that is no key here is not accepted."""
    ways: dict[str, list[_Way]] = {}
    for entry in auth.jwt:
        audience = entry.audience or []
        audiences = frozenset([audience] if isinstance(audience, str) else audience)
        way = _Way(entry, _prepared(entry), jwks[entry.jwks_url] if entry.jwks_url else None, audiences)
        ways.setdefault(entry.algorithm, []).append(way)
    return ways


def _key_principal(key: ApiKey) -> Principal:
    tenants = [key.tenant] if isinstance(key.tenant, str) else key.tenant
    return Principal(frozenset(tenants), key.name, frozenset(key.roles), key.name)


def _bearer(authorization: str) -> str:
    """The credential of `Authorization: Bearer`, "" for other schemes."""
    return authorization[7:].strip() if authorization[:7].lower() == "bearer " else ""


def _names(claims: dict[str, Any], claim: str) -> frozenset[str] | None:
    """A claim that is a text or a list of texts, as a set; None when it is anything else."""
    value = claims.get(claim)
    values = [value] if isinstance(value, str) else value
    if not isinstance(values, list) or len(values) > _MAX_NAMES:
        return None
    if not all(isinstance(name, str) and 0 < len(name) <= _MAX_NAME_CHARS for name in values):
        return None
    return frozenset(values)
