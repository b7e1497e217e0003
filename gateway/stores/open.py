"""From store.url to the drivers. Those of Redis are imported when it names one: its client takes six megabytes of memory."""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from pathlib import Path

from gateway.stores.base import Store, StoreUnusable
from gateway.stores.memory import MemoryStore
from gateway.stores.responses import MemoryResponses, Responses, SqliteResponses
from gateway.stores.sqlite import SqliteStore

REDIS = ("redis", "rediss")


def open_store(url: str, warn: Callable[[str], None] = lambda _: None) -> Store:
    """The driver for memory://, sqlite:///path or redis://host, not opened yet. Raises StoreUnusable.

    warn: gets what an operator should know of the store.
    """
    kind, separator, rest = url.partition("://")
    if separator and kind == "memory" and rest in ("", "/"):
        return MemoryStore()
    if separator and kind == "sqlite" and rest.startswith("/") and rest.strip("/"):
        return SqliteStore(Path(rest[1:]))
    if separator and kind in REDIS:
        driver: Store = import_module("gateway.stores.redis").RedisStore(url, warn)
        return driver
    # Not quoted as a whole: the URL of a store may carry a password.
    begins = f" begins with '{kind}://' and" if separator and kind.isalnum() else ""
    raise StoreUnusable(
        f"store.url{begins} must be memory://, sqlite:///path, sqlite:////absolute/path or redis://host:port/0"
    )


def open_responses(store_url: str, report: Callable[[str], None]) -> Responses:
    """Beside the quota store that `store_url` names: in memory, in a file of its own, or on the same server."""
    kind, _, rest = store_url.partition("://")
    if kind == "sqlite":
        return SqliteResponses(Path(rest[1:] + ".responses"), report)
    if kind in REDIS:
        place = import_module("gateway.stores.redis_place").place_of(store_url)
        driver: Responses = import_module("gateway.stores.responses_redis").RedisResponses(place, report)
        return driver
    return MemoryResponses()
