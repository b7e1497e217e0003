"""What types cannot say about one field or one entry. The rules between entries are in `gateway.config.crosschecks`.

Rule: nothing private is quoted; a message says what to do.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Any
from urllib.parse import SplitResult, urlsplit

import jwt
from cryptography.exceptions import UnsupportedAlgorithm

from gateway.config.masking import plausible
from gateway.config.problems import Path
from gateway.config.scalars import Wrong
from gateway.settings import NAME, Alerts, JwtKey, Provider, Secret, Store

# The vendors' own addresses. OpenAI's has the version in it, as its SDKs expect; the others' paths begin with theirs.
VENDOR_URLS = {
    "openai": "https://api.openai.com/v1",
    "anthropic": "https://api.anthropic.com",
    "gemini": "https://generativelanguage.googleapis.com",
}
UNSUPPORTED = frozenset({"azure", "bedrock", "vertex"})

MAX_KEY_CHARACTERS = 200
MIN_SECRET_BYTES = 32  # RFC 7518, section 3.2: a key as long as the hash of HS256
NEW_SECRET = "Run: export GATEWAY_JWT_SECRET=$(openssl rand -hex 32)"
HEADER_VALUE = re.compile(r"[\x21-\x7e]+\Z")
VERSION_END = re.compile(r"/v1(beta|alpha)?\Z")

Failed = frozenset[str]  # fields of the entry that are reported already
StructRule = Callable[[Any, Failed], Iterator[tuple[str, Wrong]]]


def check_name(name: str, path: Path) -> None:
    """Names of providers and tenants keep to a form; other mappings take any key but an empty one. Raises Wrong."""
    if path in (("providers",), ("tenants",)) and not NAME.match(name):
        shown = f"'{name}' " if plausible(name) or len(name) <= 16 else "this name "
        raise Wrong(
            f"{shown}cannot be a name here", "Use up to 64 letters, digits, '_', '.' and '-', a letter or digit first"
        )
    if not name or len(name) > MAX_KEY_CHARACTERS or not name.isprintable():
        raise Wrong(f"a name has 1 to {MAX_KEY_CHARACTERS} printable characters")


# ---------------------------------------------------------------- one field


def http_url(url: str) -> str:
    """A web address without credentials, query or fragment; its last slashes are cut off. Raises Wrong."""
    parts = web_address(url)
    if parts.query or parts.fragment or url.endswith(("?", "#")):
        raise Wrong("this address must not have a query or a fragment")
    if "@" in parts.netloc:
        raise Wrong("this address must not hold credentials", "Put the key into api_key")
    return url.rstrip("/")


def web_address(url: str) -> SplitResult:
    """The parts of an http or https address. Raises Wrong."""
    try:
        parts = urlsplit(url)
        usable = parts.scheme in ("http", "https") and parts.hostname and parts.port != 0
    except ValueError:
        usable = False
    if not usable or not HEADER_VALUE.match(url):
        raise Wrong("this is no web address", "It starts with https:// or http:// and a host")
    return parts


def _checked_web_address(url: str) -> str:
    web_address(url)
    return url


def _store_url(url: str) -> str:
    scheme, separator, rest = url.partition("://")
    if not separator or scheme not in ("memory", "sqlite", "redis", "rediss"):
        raise Wrong("unknown kind of store", "Write memory://, sqlite:///path or redis://host:6379/0")
    if scheme == "sqlite" and not rest[1:]:
        raise Wrong("the path of the database is missing", "Write sqlite:///path")
    if scheme == "sqlite" and not rest.startswith("/"):
        raise Wrong("there is a host where none can be", "Write sqlite:/// with three slashes, then the path")
    if scheme.startswith("redis"):
        if not rest.partition("/")[0].rpartition("@")[2]:
            raise Wrong("the host of the server is missing", "Write redis://host:6379/0")
        _redis_place(url)
    return url


def _redis_place(url: str) -> None:
    """What the driver would not start with is said here already. Nothing is quoted: there may be a password in it."""
    try:
        parts = urlsplit(url)
        known = parts.hostname and parts.port != 0
    except ValueError:  # a port that is none, brackets that do not match
        known = False
    if not known:
        raise Wrong("there is no host and port that could be connected to", "Write redis://host:6379/0")
    if not re.fullmatch("/?|/[0-9]+", parts.path):
        raise Wrong("a database is a number", "Write redis://host:6379/0")
    if parts.fragment or parts.query not in ("", "allow_volatile=0", "allow_volatile=1"):
        raise Wrong("there is an option that is not known", "?allow_volatile=1 is the only one; # in a password is %23")


def _thresholds(percents: list[int]) -> list[int]:
    if percents != sorted(set(percents)):
        raise Wrong("the percentages must ascend, each standing once", f"Write {sorted(set(percents))}")
    return percents


def _header_value(secret: Secret) -> Secret:
    if not HEADER_VALUE.match(secret.reveal()):
        raise Wrong("the key holds white space or a character that no key has", "Copy it again")
    return secret


def _header_values(secrets: list[Secret]) -> list[Secret]:
    if len(set(secrets)) != len(secrets):
        raise Wrong("the same key stands here twice")
    return [_header_value(secret) for secret in secrets]


def _signing_secret(secret: Secret) -> Secret:
    text = secret.reveal()
    if "-----BEGIN" in text:
        raise Wrong("a PEM key is no secret", "Write it as public_key, with an RS, ES or EdDSA algorithm")
    length = len(text.encode())
    if length < MIN_SECRET_BYTES:
        raise Wrong(f"the secret is too short: {length} bytes, at least {MIN_SECRET_BYTES} are needed", NEW_SECRET)
    return secret


def _public_key(pem: str) -> str:
    if "PRIVATE KEY" in pem:
        raise Wrong("this is a private key; only its public half belongs here", "Run: openssl pkey -pubout")
    if "-----BEGIN PUBLIC KEY-----" not in pem:
        raise Wrong(
            "this is no public key in PEM form",
            'Write "${file:/path/key.pem}"; it begins with -----BEGIN PUBLIC KEY-----',
        )
    return pem


FIELD_RULES: dict[tuple[type, str], Callable[[Any], object]] = {
    (Provider, "base_url"): http_url,
    (Provider, "api_key"): _header_value,
    (Provider, "api_keys"): _header_values,
    (JwtKey, "secret"): _signing_secret,
    (JwtKey, "public_key"): _public_key,
    (JwtKey, "jwks_url"): _checked_web_address,
    (Store, "url"): _store_url,
    (Alerts, "webhook_url"): _checked_web_address,
    (Alerts, "thresholds_percent"): _thresholds,
}


# ---------------------------------------------------------------- one entry


def _provider(provider: Provider, failed: Failed) -> Iterator[tuple[str, Wrong]]:
    if provider.type in UNSUPPORTED:
        yield "type", Wrong(f"{provider.type} is not supported yet by this version")
    elif provider.type not in VENDOR_URLS and provider.base_url is None and "base_url" not in failed:
        yield "base_url", Wrong(f"this key is missing: {provider.type} has no address of its own")
    if provider.api_key and provider.api_keys:
        yield "api_keys", Wrong("api_key and api_keys exclude each other", "Put all keys into api_keys")
    if provider.base_url is not None:
        yield from _base_url(provider.type, provider.base_url)


def _base_url(type: str, url: str) -> Iterator[tuple[str, Wrong]]:
    if type in ("anthropic", "gemini") and VERSION_END.search(url):
        yield "base_url", Wrong("this address must end before the version", "Leave out the last part of the path")
    if type == "openai" and url == VENDOR_URLS["openai"].removesuffix("/v1"):
        yield "base_url", Wrong("the version is missing", f"Write {VENDOR_URLS['openai']}")


def _jwt_key(key: JwtKey, failed: Failed) -> Iterator[tuple[str, Wrong]]:
    given = [name for name in ("secret", "public_key", "jwks_url") if name in failed or getattr(key, name) is not None]
    symmetric = key.algorithm.startswith("HS")
    fitting = ("secret",) if symmetric else ("public_key", "jwks_url")
    if not given:
        yield "", Wrong(f"{key.algorithm} needs {' or '.join(fitting)}", NEW_SECRET if symmetric else "")
    elif len(given) > 1:
        yield given[1], Wrong(f"{' and '.join(given)} exclude each other")
    elif given[0] not in fitting:
        # A public key taken for an HMAC secret would let everybody sign: the classic confusion of algorithms.
        yield given[0], Wrong(f"{key.algorithm} needs {' or '.join(fitting)}, not {given[0]}")
    elif key.public_key is not None and not _fits(key.algorithm, key.public_key):
        yield "public_key", Wrong(f"this key does not work with {key.algorithm}")


def _fits(algorithm: str, pem: str) -> bool:
    try:
        jwt.get_algorithm_by_name(algorithm).prepare_key(pem)
    except (jwt.InvalidKeyError, UnsupportedAlgorithm, ValueError, TypeError):
        return False
    return True


STRUCT_RULES: dict[type, StructRule] = {Provider: _provider, JwtKey: _jwt_key}
