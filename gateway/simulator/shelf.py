"""What OpenAI keeps of answers when `store` is on: responses by their id, with what led to them, and every item by its own.

Rule: the oldest go when there are too many. A simulator's memory must not grow with the tests that run on it.
"""

from __future__ import annotations

from typing import Any

from msgspec import Struct

MOST = 1000


class Kept(Struct, frozen=True):
    """A response object, and the whole input that it answered (earlier turns included) as items."""

    response: dict[str, Any]
    input: list[Any]


class Shelf:
    """Kept responses, oldest first."""

    def __init__(self, most: int = MOST) -> None:
        self._most = most
        self._kept: dict[str, Kept] = {}
        self._items: dict[str, dict[str, Any]] = {}

    def put(self, kept: Kept) -> None:
        """Keep a response under its id."""
        self.drop(kept.response["id"])
        self._kept[kept.response["id"]] = kept
        self._items |= {item["id"]: item for item in kept.response["output"]}
        while len(self._kept) > self._most:
            self.drop(next(iter(self._kept)))

    def get(self, id: str) -> Kept | None:
        """What is kept under a response's id."""
        return self._kept.get(id)

    def item(self, id: str) -> dict[str, Any] | None:
        """An output item of any kept response."""
        return self._items.get(id)

    def drop(self, id: str) -> bool:
        """Forget a response and its items; False when there is none."""
        kept = self._kept.pop(id, None)
        for item in kept.response["output"] if kept else ():
            self._items.pop(item["id"], None)
        return kept is not None
