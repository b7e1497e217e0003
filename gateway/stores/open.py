"""From store.url to a driver."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from gateway.stores.base import Store, StoreUnusable
from gateway.stores.memory import MemoryStore
from gateway.stores.redis import RedisStore
from gateway.stores.sqlite import SqliteStore


def open_store(url: str, warn: Callable[[str], None] = lambda _: None) -> Store:
    """The driver for memory://, sqlite:///path or redis://host, not opened yet. Raises StoreUnusable.

    warn: gets what an operator should know of the store.
    """
    kind, separator, rest = url.partition("://")
    if separator and kind == "memory" and rest in ("", "/"):
        return MemoryStore()
    if separator and kind == "sqlite" and rest.startswith("/") and rest.strip("/"):
        return SqliteStore(Path(rest[1:]))
    if separator and kind in ("redis", "rediss"):
        return RedisStore(url, warn)
    # Not quoted as a whole: the URL of a store may carry a password.
    begins = f" begins with '{kind}://' and" if separator and kind.isalnum() else ""
    raise StoreUnusable(
        f"store.url{begins} must be memory://, sqlite:///path, sqlite:////absolute/path or redis://host:port/0"
    )
