"""What a request changed that its answer must give back: tools under other names, and stop sequences that were not sent.

Ids of calls are changed too where they are longer than OpenAI takes; nobody sees what stands for them.
"""

from __future__ import annotations

import hashlib
import re

from msgspec import Struct, field

MAX_NAME_CHARS = 64
_ILLEGAL = re.compile(r"[^a-zA-Z0-9_-]")


class Undo(Struct, frozen=True):
    """names: the client's, by those that the model saw. stops: where the answer's text ends."""

    names: dict[str, str] = field(default_factory=dict)
    stops: tuple[str, ...] = ()

    def name(self, seen: str) -> str:
        return self.names.get(seen, seen)


NOTHING = Undo()


def legal_name(name: str) -> str:
    """A name that OpenAI takes: `name` itself where it is one, else the same other one every time."""
    if name and len(name) <= MAX_NAME_CHARS and not _ILLEGAL.search(name):
        return name
    tail = "_" + hashlib.sha256(name.encode("utf-8", "replace")).hexdigest()[:8]
    return _ILLEGAL.sub("_", name)[: MAX_NAME_CHARS - len(tail)] + tail


def legal_id(call_id: str, most_chars: int) -> str:
    """An id that OpenAI takes: other vendors' may be longer. The same for a call and its result."""
    if len(call_id) <= most_chars:
        return call_id
    return "call_" + hashlib.sha256(call_id.encode("utf-8", "replace")).hexdigest()[:32]
