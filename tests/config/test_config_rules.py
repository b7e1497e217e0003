"""What must be there, and what must fit together."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from config_cases import BASE, ENVIRON, SECRET
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from gateway.config import Loaded
from gateway.config.rules import VENDOR_URLS

Problems = Callable[..., list[str]]
Load = Callable[..., Loaded]

NEW_SECRET = "Run: export GATEWAY_JWT_SECRET=$(openssl rand -hex 32)"
SHA = "a" * 64

UNFIT = [
    ("models: {fast: [lcal/m]}", "2:17: models.fast[0]: unknown provider 'lcal'. Did you mean 'local'?"),
    ("models: {fast: [openai]}", "2:17: models.fast[0]: unknown provider 'openai'. The providers are local"),
    ("models: {fast: [local/]}", "2:17: models.fast[0]: the model after the slash is missing. A provider alone means its default_model"),
    ("models: {fast: ['a b/c']}", "2:17: models.fast[0]: this is no provider of this file. The providers are local"),
    ("models: {fast: []}", "2:16: models.fast: an alias needs at least one provider or provider/model"),
    ("models: {fast: }", "2:16: models.fast: an alias needs at least one provider or provider/model"),
    ("models: {local: [local]}", "2:17: models.local: an alias must not be called like a provider. That name already means this provider's models"),
    ("models: {local/x: [local]}", "2:19: models.local/x: an alias must not be called like a provider. That name already means this provider's models"),
    ('models: {"": [local]}', "2:10: models: a name has 1 to 200 printable characters"),
    ('models: {"\\e[31m": [local]}', "2:10: models: a name has 1 to 200 printable characters"),
    ("tenants: {a: {providers: [locl]}}", "2:27: tenants.a.providers[0]: unknown provider 'locl'. Did you mean 'local'?"),
    ("tenants: {a: {provider_quota: {locl: {}}}}", "2:38: tenants.a.provider_quota.locl: unknown provider 'locl'. Did you mean 'local'?"),
    ("alerts: {thresholds_percent: [90, 75]}", "2:30: alerts.thresholds_percent: the percentages must ascend, each standing once. Write [75, 90]"),
    ("alerts: {webhook_url: ftp://x}", "2:23: alerts.webhook_url: this is no web address. It starts with https:// or http:// and a host"),
    ("store: {url: postgres://x}", "2:14: store.url: unknown kind of store. Write memory://, sqlite:///path or redis://host:6379/0"),
    ("store: {url: memory}", "2:14: store.url: unknown kind of store. Write memory://, sqlite:///path or redis://host:6379/0"),
    ("store: {url: 'redis:///0'}", "2:14: store.url: the host of the server is missing. Write redis://host:6379/0"),
    ("store: {url: 'redis://:pw@/0'}", "2:14: store.url: the host of the server is missing. Write redis://host:6379/0"),
    ("store: {url: 'redis://h:99999/0'}", "2:14: store.url: there is no host and port that could be connected to. Write redis://host:6379/0"),
    ("store: {url: 'redis://h:x/0'}", "2:14: store.url: there is no host and port that could be connected to. Write redis://host:6379/0"),
    ("store: {url: 'redis://h:0'}", "2:14: store.url: there is no host and port that could be connected to. Write redis://host:6379/0"),
    ("store: {url: 'redis://[::1/0'}", "2:14: store.url: there is no host and port that could be connected to. Write redis://host:6379/0"),
    ("store: {url: 'redis://:pw@h/main'}", "2:14: store.url: a database is a number. Write redis://host:6379/0"),
    ("store: {url: 'redis://h/0?db=1'}", "2:14: store.url: there is an option that is not known. ?allow_volatile=1 is the only one; # in a password is %23"),
    ("store: {url: 'sqlite:///'}", "2:14: store.url: the path of the database is missing. Write sqlite:///path"),
    ("store: {url: sqlite://data/x.db}", "2:14: store.url: there is a host where none can be. Write sqlite:/// with three slashes, then the path"),
    ("tenants: {acme: {allow_unlisted: true}}", "2:34: tenants.acme.allow_unlisted: only the tenant `default` heeds this. Write it under tenants.default"),
    ("server: {port: 9}\nadmin: {port: 9}", "3:15: admin.port: this is the port of server already. Write null to share it, or another number"),
    ("server: {workers: 2}\nstore: {url: memory://}", "3:14: store.url: memory:// keeps quotas within one process, and there would be 2 workers, each with quotas of its own. Use sqlite:///data/gateway.db or redis://host:6379/0, or one worker"),
    ("auth: {jwt: []}", "2:7: auth: nobody could log in: there is neither a JWT key nor an API key. " + NEW_SECRET),
    ("auth: {jwt: [{algorithm: HS256}]}", "2:14: auth.jwt[0]: HS256 needs secret. " + NEW_SECRET),
    ("auth: {jwt: [{algorithm: HS256, secret: short}]}", "2:41: auth.jwt[0].secret: the secret is too short: 5 bytes, at least 32 are needed. " + NEW_SECRET),
    ('auth: {jwt: [{algorithm: HS256, secret: "${NO}"}]}', "2:41: auth.jwt[0].secret: the environment variable NO is not set. Run: export NO=$(openssl rand -hex 32)"),
    ("auth: {jwt: [{algorithm: ES256}]}", "2:14: auth.jwt[0]: ES256 needs public_key or jwks_url"),
    (f"auth: {{jwt: [{{algorithm: RS256, secret: {SECRET}}}]}}", "2:41: auth.jwt[0].secret: RS256 needs public_key or jwks_url, not secret"),
    ("auth: {jwt: [{algorithm: HS256, jwks_url: https://x}]}", "2:43: auth.jwt[0].jwks_url: HS256 needs secret, not jwks_url"),
    ("auth: {jwt: [{algorithm: RS256, jwks_url: https://x, public_key: x}]}", "2:43: auth.jwt[0].jwks_url: public_key and jwks_url exclude each other"),
    ("auth: {jwt: [{algorithm: RS256, public_key: -----BEGIN PRIVATE KEY-----}]}", "2:45: auth.jwt[0].public_key: this is a private key; only its public half belongs here. Run: openssl pkey -pubout"),
    ("auth: {jwt: [{algorithm: RS256, public_key: -----BEGIN PUBLIC KEY-----}]}", "2:45: auth.jwt[0].public_key: this key does not work with RS256"),
    ("auth: {api_keys: [{sha256: abc, tenant: a, name: n}]}", "2:28: auth.api_keys[0].sha256: expected 64 lower-case hexadecimal digits, not 'abc'"),
    (f"auth: {{api_keys: [{{sha256: {SHA}, tenant: acm, name: n}}]}}\ntenants: {{acme: }}", "2:102: auth.api_keys[0].tenant: unknown tenant 'acm'. Did you mean 'acme'?"),
    (f"auth: {{api_keys: [{{sha256: &s {SHA}, tenant: a, name: n}}, {{sha256: *s, tenant: a, name: m}}]}}", "2:28: auth.api_keys[1].sha256: the same key as in auth.api_keys[0]"),
]  # fmt: skip

PROVIDERS = [
    ("{type: azure, default_model: m}", "1:23: providers.p.type: azure is not supported yet by this version"),
    ("{type: openai_compatible, default_model: m}", "1:13: providers.p.base_url: this key is missing: openai_compatible has no address of its own"),
    ("{default_model: m}", "1:13: providers.p.type: this key is missing"),
    ("{type: openai_compatible, base_url: 'http://h'}", "1:13: providers.p.default_model: this key is missing"),
    ("{type: openai, default_model: m}", '1:16: providers.p.api_key: there is no API key. Write api_key: "${NAME}", or remove this provider'),
    ("{type: openai, default_model: m, api_key: 'a b'}", "1:58: providers.p.api_key: the key holds white space or a character that no key has. Copy it again"),
    ("{type: openai, default_model: m, api_key: a, api_keys: [b]}", "1:71: providers.p.api_keys: api_key and api_keys exclude each other. Put all keys into api_keys"),
    ("{type: openai, default_model: m, api_keys: [a, a]}", "1:59: providers.p.api_keys: the same key stands here twice"),
    ("{type: openai, default_model: m, base_url: 'https://api.openai.com/'}", "1:59: providers.p.base_url: the version is missing. Write https://api.openai.com/v1"),
    ("{type: anthropic, default_model: m, base_url: 'http://h/v1/'}", "1:62: providers.p.base_url: this address must end before the version. Leave out the last part of the path"),
    ("{type: openai, default_model: m, base_url: 'http://u:p@h/v1'}", "1:59: providers.p.base_url: this address must not hold credentials. Put the key into api_key"),
    ("{type: openai, default_model: m, base_url: 'http://h/v1?k=v'}", "1:59: providers.p.base_url: this address must not have a query or a fragment"),
    ("{type: openai, default_model: m, base_url: 'h/v1'}", "1:59: providers.p.base_url: this is no web address. It starts with https:// or http:// and a host"),
    ("{type: openai, default_model: m, base_url: 'http://h:99999'}", "1:59: providers.p.base_url: this is no web address. It starts with https:// or http:// and a host"),
]  # fmt: skip


@pytest.mark.parametrize(("text", "problem"), UNFIT)
def test_what_does_not_fit_together_is_told(problems: Problems, text: str, problem: str) -> None:
    assert problem in problems(BASE + text)


@pytest.mark.parametrize(("text", "problem"), PROVIDERS)
def test_a_provider_that_cannot_be_called_is_told(problems: Problems, text: str, problem: str) -> None:
    assert problems("providers: {p: " + text + "}") == [problem]


def test_a_reference_to_an_entry_with_problems_is_no_second_problem(problems: Problems) -> None:
    assert len(problems("providers: {p: {type: opnai, default_model: m}}\nmodels: {fast: [p]}")) == 1


def test_a_name_from_the_environment_is_not_shown(problems: Problems) -> None:
    assert problems(BASE + 'models: {fast: ["${V}"]}', {**ENVIRON, "V": "canary"}) == [
        "2:17: models.fast[0]: this is no provider of this file. The providers are local"
    ]


def public_pem(algorithm: str) -> str:
    keys = {
        "RS256": lambda: rsa.generate_private_key(65537, 2048),
        "ES256": lambda: ec.generate_private_key(ec.SECP256R1()),
        "EdDSA": ed25519.Ed25519PrivateKey.generate,
    }
    return keys[algorithm]().public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()


@pytest.mark.parametrize("algorithm", ["RS256", "ES256", "EdDSA"])
def test_a_public_key_must_fit_its_algorithm(problems: Problems, algorithm: str) -> None:
    text = BASE + 'auth: {jwt: [{algorithm: %s, public_key: "${PEM}"}]}'
    environ = {"PEM": public_pem(algorithm)}
    other = "ES256" if algorithm != "ES256" else "RS256"
    assert problems(text % algorithm, environ) == []
    assert problems(text % other, environ) == [f"2:45: auth.jwt[0].public_key: this key does not work with {other}"]


def test_a_pem_is_no_hmac_secret(problems: Problems) -> None:
    text = BASE + 'auth: {jwt: [{algorithm: HS256, secret: "${PEM}"}]}'
    assert "a PEM key is no secret" in problems(text, {"PEM": public_pem("ES256")})[0]


@pytest.mark.parametrize("vendor", list(VENDOR_URLS))
def test_the_address_of_a_vendor_is_filled_in_and_needs_a_key(loaded: Load, vendor: str) -> None:
    text = f"providers: {{p: {{type: {vendor}, default_model: m, api_key: k}}}}"
    assert loaded(text).config.providers["p"].base_url == VENDOR_URLS[vendor]


def test_an_address_loses_its_last_slash_and_needs_no_key_when_it_is_not_the_vendors(loaded: Load) -> None:
    provider = loaded(
        "providers: {p: {type: openai, default_model: m, base_url: 'http://localhost:1/v1/'}}"
    ).config.providers["p"]
    assert (provider.base_url, provider.api_key) == ("http://localhost:1/v1", None)
