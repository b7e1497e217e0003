"""One JSON Web Token, read strictly: form, header, signature, times. PyJWT's algorithms check the signature.

Rule 1: the algorithm comes from our configuration; the header's is only compared with it (RFC 8725, 3.1).
Rule 2: a header that brings its own key, or that must be understood and is not (crit), is refused before anything else.
Rule 3: nothing but InvalidApiKey leaves this file, whatever the bytes. Claims are parsed after the signature fits, not before.
Source: RFC 7515 (JWS), RFC 7519 (JWT).
"""

from __future__ import annotations

from base64 import urlsafe_b64decode, urlsafe_b64encode
from math import isfinite
from typing import Any

import jwt
from msgspec import Struct

from gateway.core.jsontext import NotJson, decode
from gateway.errors import InvalidApiKey

# As much as all headers of a request may have together; real tokens are 300 bytes to 4 KB.
MAX_TOKEN_CHARS = 16_384

# Keys, or places to fetch keys from, that the sender chose; extensions; a payload that is not base64 (RFC 7797).
FORBIDDEN_HEADERS = frozenset({"jku", "jwk", "x5u", "x5c", "crit", "b64"})
TYPES = frozenset({"jwt", "at+jwt", "application/jwt", "application/at+jwt"})

# The year 9999. A later time is one in milliseconds, or nonsense.
MAX_TIME = 253_402_300_799

MALFORMED = (
    "The token is malformed: it is not a JWT of three base64url parts. Send it whole, without quotes or line breaks."
)


class Token(Struct, frozen=True):
    """A token whose form is right and of which nothing is proven yet. `signed` are the bytes that `signature` covers."""

    algorithm: str
    kid: str | None
    signed: bytes
    payload: bytes
    signature: bytes

    def is_signed_by(self, key: Any) -> bool:
        """Whether `key`, prepared for this token's algorithm, made the signature."""
        return bool(jwt.get_algorithm_by_name(self.algorithm).verify(self.signed, key, self.signature))

    def claims(self) -> dict[str, Any]:
        """The claims. Raises InvalidApiKey when they are no JSON object. Not to be called before the signature fits."""
        return _json_object(self.payload)


def read(text: str) -> Token:
    """Take a token apart. Raises InvalidApiKey for all that is not exactly a signed JWT in compact form."""
    if len(text) > MAX_TOKEN_CHARS:
        raise InvalidApiKey(f"The token is too long: more than {MAX_TOKEN_CHARS} characters.")
    parts = text.split(".")
    if len(parts) != 3 or not text.isascii():
        raise InvalidApiKey(MALFORMED)
    header = _json_object(_bytes_of(parts[0]))
    forbidden = FORBIDDEN_HEADERS.intersection(header)
    if forbidden:
        raise InvalidApiKey(
            f"The token's header holds '{min(forbidden)}', which is not accepted. Ask its issuer to leave it out."
        )
    algorithm, kid, typ = header.get("alg"), header.get("kid"), header.get("typ", "JWT")
    if not isinstance(algorithm, str) or not isinstance(kid, str | None):
        raise InvalidApiKey(MALFORMED)
    if not isinstance(typ, str) or typ.lower() not in TYPES:
        raise InvalidApiKey(
            "The token is of a type that is not accepted here: its header's 'typ' must be JWT or at+jwt."
        )
    signed = text[: text.rindex(".")].encode()
    return Token(algorithm, kid, signed, _bytes_of(parts[1]), _bytes_of(parts[2]))


def expiry(claims: dict[str, Any], leeway_s: float, now: float) -> float:
    """Unix seconds from which the token is no longer accepted. Raises InvalidApiKey when its times do not hold at `now`."""
    expires = _time(claims, "exp")
    if expires is None:
        raise InvalidApiKey("The token has no expiry: the claim 'exp' is required. Ask for a token that ends.")
    if now >= expires + leeway_s:
        raise InvalidApiKey("The token has expired. Get a new one and try again.")
    not_before, issued = _time(claims, "nbf"), _time(claims, "iat")
    if not_before is not None and now < not_before - leeway_s:
        raise InvalidApiKey("The token is not valid yet (nbf). Wait, or check the clocks.")
    if issued is not None and now < issued - leeway_s:
        raise InvalidApiKey("The token was issued in the future (iat). Check the clock of its issuer.")
    return expires + leeway_s


def _time(claims: dict[str, Any], name: str) -> float | None:
    """A NumericDate, None when the claim is absent. null is no absence: somebody wrote it."""
    if name not in claims:
        return None
    value = claims[name]
    if (
        isinstance(value, bool)
        or not isinstance(value, int | float)
        or not 0 <= value <= MAX_TIME
        or not isfinite(value)
    ):
        raise InvalidApiKey(f"The token's claim '{name}' is not a time in seconds since 1970.")
    return float(value)


def _bytes_of(segment: str) -> bytes:
    """base64url without padding, spelled in the one canonical way: to decode and encode again must give the same."""
    try:
        raw = urlsafe_b64decode(segment + "=" * (-len(segment) % 4))
    except ValueError:
        raise InvalidApiKey(MALFORMED) from None
    if urlsafe_b64encode(raw).rstrip(b"=") != segment.encode():
        raise InvalidApiKey(MALFORMED)
    return raw


def _json_object(raw: bytes) -> dict[str, Any]:
    try:
        value = decode(raw, max_depth=8)
    except NotJson:
        raise InvalidApiKey(MALFORMED) from None
    if not isinstance(value, dict):
        raise InvalidApiKey(MALFORMED)
    return value
