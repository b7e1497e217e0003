"""The Redis driver: which servers it takes, and what its URL looks like."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID
from redis_server import RedisServer, free_port
from redis_story import DAY, NOON

from gateway.core.ledger_commands import (
    Open,
    Sync,
    Synced,
)
from gateway.stores.base import StoreDown, StoreUnusable
from gateway.stores.open import open_store
from gateway.stores.redis import PREFIX, RedisStore
from gateway.stores.redis_place import Fitness, doubts, faults, fitness, place_of

# ---------------------------------------------------------------- which servers it takes


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"maxmemory-policy": "allkeys-lru"}, r"\(maxmemory-policy allkeys-lru\): set maxmemory-policy noeviction"),
        ({"maxmemory-policy": "volatile-ttl"}, "set maxmemory-policy noeviction"),
        ({"appendonly": "no", "save": ""}, r"keeps nothing on disk .*set appendonly yes"),
    ],
)
async def test_a_server_that_may_forget_is_refused_with_what_to_do_unless_the_url_allows_it(
    server: RedisServer, settings: dict[str, str], message: str
) -> None:
    with server.client() as client:
        for name, value in settings.items():
            client.config_set(name, value)
    store = RedisStore(server.url)
    with pytest.raises(StoreUnusable, match=message) as refused:
        await store.open()
    assert "allow_volatile=1" in str(refused.value)
    allowed = RedisStore(server.url + "?allow_volatile=1")
    await allowed.open()
    await allowed.close()


async def test_a_server_that_keeps_snapshots_only_is_taken_with_a_warning(server: RedisServer) -> None:
    with server.client() as client:
        client.config_set("appendonly", "no")
        client.config_set("save", "60 1")
    warnings: list[str] = []
    store = RedisStore(server.url, warnings.append)
    await store.open()
    await store.close()
    assert len(warnings) == 1 and "set appendonly yes" in warnings[0]


@pytest.mark.parametrize(
    ("rights", "words"),
    [
        (("-config",), []),  # INFO tells the same
        (("-@all", "+@read", "+@write", "+@scripting", "+@connection", "+time"), ["whether it evicts", "on disk"]),
        (("-config", "-info"), ["does not say whether it evicts", "does not say whether it keeps its data"]),
    ],
)
async def test_a_server_that_does_not_say_is_taken_with_a_warning(
    server: RedisServer, rights: tuple[str, ...], words: list[str]
) -> None:
    with server.client() as client:
        client.execute_command("ACL", "SETUSER", "app", "on", ">s3cret", "~{gateway:quota}*", "+@all", *rights)
    warnings: list[str] = []
    store = RedisStore(f"redis://app:s3cret@127.0.0.1:{server.port}/0", warnings.append)
    await store.open()
    assert isinstance(await store.run(Sync("a", 1, (Open(DAY, 9),)), NOON), Synced)
    await store.close()
    assert [word in warning for word, warning in zip(words, warnings, strict=True)] == [True] * len(words)


async def test_over_tls_a_certificate_must_be_vouched_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    certificate, key = self_signed(tmp_path)
    port = free_port()
    tls = ("--tls-port", str(port), "--tls-cert-file", str(certificate), "--tls-key-file", str(key))
    server = RedisServer(tmp_path, "--appendonly", "yes", *tls, "--tls-auth-clients", "no")
    url = f"rediss://localhost:{port}/0"
    with pytest.raises(StoreDown, match="certificate verify failed"):
        await RedisStore(url).open()
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    store = RedisStore(url)
    await store.open()
    assert isinstance(await store.run(Sync("a", 1), NOON), Synced)
    await store.close()
    with pytest.raises(StoreDown, match="certificate"):  # it is localhost's
        await RedisStore(url.replace("localhost", "127.0.0.1")).open()
    server.stop()


def self_signed(folder: Path) -> tuple[Path, Path]:
    """A certificate for localhost and its key, as PEM files."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    now = datetime.now(UTC)
    builder = x509.CertificateBuilder(name, name, key.public_key(), 1, now - timedelta(days=1), now + timedelta(days=1))
    builder = builder.add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
    signed = builder.sign(key, SHA256())
    certificate, secret = folder / "server.pem", folder / "server.key"
    certificate.write_bytes(signed.public_bytes(Encoding.PEM))
    secret.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    return certificate, secret


async def test_an_evicting_server_is_refused_even_where_config_is_forbidden(server: RedisServer) -> None:
    with server.client() as client:
        client.config_set("maxmemory-policy", "allkeys-random")
        client.execute_command("ACL", "SETUSER", "app", "on", ">s3cret", "~*", "+@all", "-config")
    with pytest.raises(StoreUnusable, match="allkeys-random"):
        await RedisStore(f"redis://app:s3cret@127.0.0.1:{server.port}/0").open()


@pytest.mark.parametrize("login", ["", "app:hunter2@", ":hunter2@"])
async def test_a_server_that_does_not_let_us_in_is_told_without_the_password(server: RedisServer, login: str) -> None:
    with server.client() as client:
        client.config_set("requirepass", "s3cret")
    with pytest.raises(StoreUnusable, match="does not let us in") as refused:
        await RedisStore(f"redis://{login}127.0.0.1:{server.port}/0").open()
    assert "hunter2" not in str(refused.value)


async def test_a_server_that_is_not_there_is_down(server: RedisServer) -> None:
    server.kill()
    with pytest.raises(StoreDown, match=f"127.0.0.1:{server.port}/0"):
        await RedisStore(server.url).open()
    server.start()


async def test_a_ledger_of_a_newer_gateway_is_refused(redis_server: RedisServer) -> None:
    with redis_server.client() as client:
        client.set(f"{PREFIX}:schema", 99)
    with pytest.raises(StoreUnusable, match=r"newer version of the gateway \(schema 99\)"):
        await RedisStore(redis_server.url).open()


def test_an_old_server_and_one_that_says_nothing() -> None:
    assert fitness({"redis_version": "5.0.14"}, None).version == (5, 0)
    assert fitness(None, None) == Fitness(None, None, None, None)
    assert list(faults(fitness(None, None))) == []
    assert len(list(doubts(fitness(None, None)))) == 2
    assert list(doubts(fitness({"maxmemory_policy": "noeviction", "aof_enabled": 1}, None))) == []


# ---------------------------------------------------------------- its URL


def test_a_url_tells_everything() -> None:
    place = place_of("rediss://app:p%40ss@quota.internal:7000/3?allow_volatile=1")
    assert (place.host, place.port, place.database) == ("quota.internal", 7000, 3)
    assert (place.username, place.password, place.tls, place.volatile) == ("app", "p@ss", True, True)
    assert "p@ss" not in repr(place) and "p@ss" not in place.name
    plain = place_of("redis://quota")
    assert (plain.port, plain.database, plain.tls, plain.volatile) == (6379, 0, False, False)
    assert place_of("redis://[::1]:7000").host == "::1"


@pytest.mark.parametrize(
    "url",
    [
        *(
            "redis://",
            "redis:///0",
            "redis://h:port",
            "redis://h:99999",
            "redis://h/x",
            "redis://h/0/1",
            "redis://h/-1",
        ),
        *("redis://h?allow_volatile=yes", "redis://h?timeout=1", "redis://h?x", "redis://h#x", "redis://[::1"),
    ],
)
def test_a_url_that_tells_something_else_is_refused_without_its_password(url: str) -> None:
    with pytest.raises(StoreUnusable, match=r"store\.url must be redis://") as raised:
        open_store(url.replace("://", "://:hunter2@", 1))
    assert "hunter2" not in str(raised.value)
