"""From store.url to a driver."""

from __future__ import annotations

from pathlib import Path

from gateway.stores.base import Store, StoreUnusable
from gateway.stores.memory import MemoryStore
from gateway.stores.sqlite import SqliteStore


def open_store(url: str) -> Store:
    """The driver for memory://, sqlite:///relative/path or sqlite:////absolute/path, not opened yet. Raises StoreUnusable."""
    kind, separator, rest = url.partition("://")
    if separator and kind == "memory" and rest in ("", "/"):
        return MemoryStore()
    if separator and kind == "sqlite" and rest.startswith("/") and rest.strip("/"):
        return SqliteStore(Path(rest[1:]))
    # Not quoted as a whole: the URL of a store may carry a password.
    begins = f" begins with '{kind}://' and" if separator and kind.isalnum() else ""
    raise StoreUnusable(f"store.url{begins} must be memory://, sqlite:///path or sqlite:////absolute/path")
