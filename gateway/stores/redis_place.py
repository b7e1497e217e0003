"""Where a Redis or Valkey server is, from a store URL; and whether it is fit to keep quotas."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

from msgspec import Struct
from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff

from gateway.stores.base import StoreUnusable

PORT = 6379
OLDEST = (6, 2)
FORM = "redis://[user:password@]host:port/database, with rediss:// for TLS and ?allow_volatile=1 where quotas may be forgotten"


class Place(Struct, frozen=True):
    """One server. `volatile`: the operator allows that it forgets."""

    host: str
    port: int
    database: int
    username: str | None
    password: str | None
    tls: bool
    volatile: bool

    def __repr__(self) -> str:
        return f"Place({self.host}:{self.port}/{self.database})"  # never the password

    @property
    def name(self) -> str:
        """For messages."""
        return f"{self.host}:{self.port}/{self.database}"


def place_of(url: str) -> Place:
    """Reads redis:// and rediss:// URLs. Raises StoreUnusable, without quoting what may hold a password."""
    try:
        parts = urlsplit(url)
        options = dict(parse_qsl(parts.query, keep_blank_values=True, strict_parsing=bool(parts.query)))
        volatile = {"0": False, "1": True}[options.pop("allow_volatile", "0")]
        database = parts.path.removeprefix("/") or "0"
        if options or parts.fragment or not parts.hostname or not (database.isascii() and database.isdigit()):
            raise ValueError
        return Place(
            parts.hostname,
            PORT if parts.port is None else parts.port,
            int(database),
            unquote(parts.username) if parts.username else None,
            unquote(parts.password) if parts.password else None,
            parts.scheme == "rediss",
            volatile,
        )
    except (ValueError, KeyError):
        raise StoreUnusable(f"store.url must be {FORM}") from None


def connect(place: Place, name: str, moved: tuple[str, int] | None = None, **options: Any) -> Redis:
    """A client of that server, or of the node of its cluster that it named; not connected yet, and it tries nothing twice."""
    host, port = moved or (place.host, place.port)
    if place.tls:
        options |= {"ssl": True, "ssl_check_hostname": True}
    return Redis(
        host=host,
        port=port,
        db=place.database,
        username=place.username,
        password=place.password,
        client_name=name,
        socket_keepalive=True,
        retry=Retry(NoBackoff(), 0),
        **options,
    )


class Fitness(Struct, frozen=True):
    """What a server says of itself. None: it does not say."""

    version: tuple[int, int] | None
    policy: str | None
    appends: bool | None
    snapshots: bool | None


def fitness(info: Mapping[str, object] | None, config: Mapping[str, object] | None) -> Fitness:
    """From the answers to INFO and CONFIG GET; None where they are forbidden, as on many managed servers."""
    told, settings = info or {}, config or {}
    policy = settings.get("maxmemory-policy", told.get("maxmemory_policy"))
    appends = settings.get("appendonly", told.get("aof_enabled"))
    save = settings.get("save")
    return Fitness(
        _version(str(told["redis_version"])) if "redis_version" in told else None,
        None if policy is None else str(policy),
        None if appends is None else str(appends) in ("yes", "1"),
        None if save is None else bool(str(save).strip()),
    )


def _version(text: str) -> tuple[int, int]:
    major, _, rest = text.partition(".")
    minor = rest.partition(".")[0]
    return int(major) if major.isdigit() else 0, int(minor) if minor.isdigit() else 0


def faults(server: Fitness) -> Iterator[str]:
    """Why quotas cannot be kept there, each with what to do."""
    if server.policy not in (None, "noeviction"):
        yield (
            f"it may throw quotas away when its memory is full (maxmemory-policy {server.policy}): set maxmemory-policy "
            "noeviction, best on a server of its own"
        )
    if server.appends is False and server.snapshots is False:
        yield "it keeps nothing on disk (appendonly no, save ''): set appendonly yes"


def doubts(server: Fitness) -> Iterator[str]:
    """What an operator should know of a server that is used all the same."""
    if server.policy is None:
        yield "it does not say whether it evicts: make sure that maxmemory-policy is noeviction"
    if server.appends is None or (server.appends is False and server.snapshots is None):
        yield "it does not say whether it keeps its data on disk: make sure that it does"
    if server.appends is False and server.snapshots:
        yield "it keeps snapshots only: a crash loses what was used since the last one, beyond the last 60 s; set appendonly yes"
