"""The public keys of an issuer (JWKS), kept fresh without ever blocking the loop or hammering the issuer.

Rule 1: looking a key up is synchronous and never fetches; it may answer "refresh first". Rule 2: one fetch at a time, whoever
waits shares it. Rule 3: after a fetch, good or bad, the next comes 30 s later at the earliest, so that a storm of made-up key
ids costs one fetch. Rule 4: when the issuer is away the keys of before stay valid. Rule 5: the address is the operator's, never
a token's.
Source: RFC 7517 (JWK), RFC 7518 section 6 (parameters of the key types).
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from ipaddress import ip_address
from typing import Any
from urllib.parse import urlsplit

import aiohttp
import jwt
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePublicKey
from cryptography.hazmat.primitives.asymmetric.ed448 import Ed448PublicKey
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from jwt.algorithms import ECAlgorithm, OKPAlgorithm, RSAAlgorithm
from msgspec import Struct

from gateway.core.jsontext import NotJson, decode
from gateway.settings import Auth

TTL_S = 300.0
REFETCH_S = 30.0
FETCH_TIMEOUT_S = 3.0
MAX_BYTES = 64 * 1024
MIN_RSA_BITS = 2048

# A token without a key id is tried with each key that fits; a handful, or every forged token would cost a hundred signatures.
MAX_TRIED = 8

_READERS: dict[str, Callable[[dict[str, Any]], Any]] = {
    "RSA": RSAAlgorithm.from_jwk,
    "EC": ECAlgorithm.from_jwk,
    "OKP": OKPAlgorithm.from_jwk,
}
_CURVES = {"ES256": "secp256r1", "ES384": "secp384r1", "ES512": "secp521r1"}


class PublicKey(Struct, frozen=True):
    """One usable key of a set. `algorithm` is what the issuer wrote, None when it left that open."""

    kid: str | None
    algorithm: str | None
    key: Any

    def serves(self, algorithm: str) -> bool:
        """Whether signatures of `algorithm` may be checked with it."""
        return self.algorithm in (None, algorithm) and fits(self.key, algorithm)


class FetchFailed(Exception):
    """The issuer's answer was no key set; the message is for the operator."""


class Jwks:
    """The key set at one address. `clock` gives monotonic seconds; `report` is told in one sentence why a fetch failed."""

    def __init__(
        self,
        url: str,
        session: aiohttp.ClientSession | None = None,
        clock: Callable[[], float] = time.monotonic,
        report: Callable[[str], None] = lambda sentence: None,
    ) -> None:
        problem = url_problem(url)
        if problem:
            raise ValueError(problem)
        self._url = url
        self._host = urlsplit(url).hostname  # all of the address that may be told: the rest can carry a password
        self._session = session
        self._clock = clock
        self._report = report
        self._keys: tuple[PublicKey, ...] = ()
        self._stale_at = float("-inf")
        self._next_fetch_at = float("-inf")
        self._fetch: asyncio.Task[None] | None = None

    def find(self, kid: str | None, algorithm: str) -> list[Any] | None:
        """The keys that may have signed, at most MAX_TRIED; None: call `refresh` first and ask again."""
        now = self._clock()
        may_refresh = self._fetch is not None or now >= self._next_fetch_at
        found = [key.key for key in self._keys if kid in (None, key.kid) and key.serves(algorithm)]
        if may_refresh and (now >= self._stale_at or not found):
            return None
        return found[:MAX_TRIED]

    async def refresh(self) -> None:
        """Fetch the set, or wait for the fetch under way, or do nothing when the last one was just now.

        Never raises for what the issuer does: the old keys stay.
        """
        if self._fetch is None:
            if self._clock() < self._next_fetch_at:
                return
            self._fetch = asyncio.create_task(self._refresh(), name="jwks")
            self._fetch.add_done_callback(self._fetched)
        # The one who started it may leave; those who wait with it still need the keys. A fetch that is given up is no news.
        await asyncio.wait([self._fetch])

    async def close(self) -> None:
        """Give up the fetch under way, if any."""
        if self._fetch is not None:
            self._fetch.cancel()
            await asyncio.wait([self._fetch])

    def _fetched(self, fetch: asyncio.Task[None]) -> None:
        self._fetch = None
        if not fetch.cancelled():
            fetch.result()  # a bug goes to the loop's exception handler

    async def _refresh(self) -> None:
        self._next_fetch_at = self._clock() + REFETCH_S
        try:
            self._keys = read_keys(await self._download())
        except TimeoutError:
            self._report(f"The keys at {self._host} did not arrive within {FETCH_TIMEOUT_S:g} s")
        except (aiohttp.ClientError, OSError, ValueError, FetchFailed) as error:
            self._report(f"The keys at {self._host} could not be fetched: {error}")
        else:
            self._stale_at = self._clock() + TTL_S

    async def _download(self) -> bytes:
        if self._session is not None:
            return await self._get(self._session)
        async with aiohttp.ClientSession() as session:
            return await self._get(session)

    async def _get(self, session: aiohttp.ClientSession) -> bytes:
        # A redirect could lead to http or elsewhere: the operator's address is the only one.
        timeout = aiohttp.ClientTimeout(total=FETCH_TIMEOUT_S)
        async with session.get(self._url, timeout=timeout, allow_redirects=False) as response:
            if response.status != 200:
                raise FetchFailed(f"status {response.status}")
            body = bytearray()
            async for chunk in response.content.iter_chunked(8192):
                body += chunk
                if len(body) > MAX_BYTES:
                    raise FetchFailed(f"more than {MAX_BYTES} bytes")
            return bytes(body)


def open_jwks(
    auth: Auth,
    session: aiohttp.ClientSession | None = None,
    clock: Callable[[], float] = time.monotonic,
    report: Callable[[str], None] = lambda sentence: None,
) -> dict[str, Jwks]:
    """A key set for each address in the configuration. Entries with the same address share one."""
    urls = {entry.jwks_url for entry in auth.jwt if entry.jwks_url}
    return {url: Jwks(url, session, clock, report) for url in urls}


def read_keys(body: bytes) -> tuple[PublicKey, ...]:
    """The usable keys of a set; what is of another kind, private, weak or broken is left out. Raises FetchFailed."""
    try:
        found = decode(body, max_depth=8)
    except NotJson as error:
        raise FetchFailed(str(error)) from None
    keys = found.get("keys") if isinstance(found, dict) else None
    if not isinstance(keys, list):
        raise FetchFailed('no JSON object with a list "keys"')
    return tuple(key for jwk in keys if isinstance(jwk, dict) and (key := _read_key(jwk)))


def _read_key(jwk: dict[str, Any]) -> PublicKey | None:
    kty, kid, algorithm = jwk.get("kty"), jwk.get("kid"), jwk.get("alg")
    reader = _READERS.get(kty) if isinstance(kty, str) else None
    if reader is None or "d" in jwk or not _may_verify(jwk):  # a private key that got out proves nothing any more
        return None
    if not isinstance(kid, str | None) or not isinstance(algorithm, str | None):
        return None
    try:
        key = reader(jwk)
    except (jwt.PyJWTError, UnsupportedAlgorithm, ValueError, TypeError, KeyError):
        return None
    weak = isinstance(key, RSAPublicKey) and key.key_size < MIN_RSA_BITS
    return None if weak else PublicKey(kid, algorithm, key)


def _may_verify(jwk: dict[str, Any]) -> bool:
    operations = jwk.get("key_ops", ["verify"])
    return jwk.get("use", "sig") == "sig" and isinstance(operations, list) and "verify" in operations


def fits(key: Any, algorithm: str) -> bool:
    """Whether a public key is of the kind (and the curve) that `algorithm` wants."""
    match key:
        case RSAPublicKey():
            return algorithm.startswith("RS")
        case EllipticCurvePublicKey():
            return _CURVES.get(algorithm) == key.curve.name
        case Ed25519PublicKey() | Ed448PublicKey():
            return algorithm == "EdDSA"
        case _:
            return False


def url_problem(url: str) -> str | None:
    """Why keys must not be fetched from `url`: whoever can change them on the way can sign in as anybody."""
    try:
        parts = urlsplit(url)
        host = parts.hostname
    except ValueError:
        host = None
    if not host or parts.scheme not in ("https", "http"):
        return "jwks_url is not a web address"
    if parts.scheme == "http" and not _is_loopback(host):
        return f"jwks_url must use https: {host} is not this machine"
    return None


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False
