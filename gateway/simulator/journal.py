"""What a simulator was sent and what it served: the memory behind /_sim/requests and /_sim/served."""

from __future__ import annotations

from collections import deque
from typing import Any

import orjson

from gateway.simulator.replies import Seen, Served

MAX_ENTRIES = 1000
MAX_BYTES = 64 * 1024 * 1024


class Journal:
    """The last MAX_ENTRIES requests, fewer when their bodies are large, and a counter per vendor."""

    def __init__(self) -> None:
        self.entries: deque[Seen] = deque()
        self.served: dict[str, Served] = {}
        self._bytes = 0

    def add(self, seen: Seen) -> None:
        """Keep one request, forgetting the oldest when there are too many or too large ones."""
        self.entries.append(seen)
        self._bytes += len(seen.body)
        while len(self.entries) > MAX_ENTRIES or (self._bytes > MAX_BYTES and len(self.entries) > 1):
            self._bytes -= len(self.entries.popleft().body)

    def clear(self) -> None:
        """Forget the requests; the counters stay."""
        self.entries.clear()
        self._bytes = 0

    def counter(self, provider: str) -> Served:
        """The counter of a vendor."""
        return self.served.setdefault(provider, Served())


def readable(seen: Seen) -> dict[str, Any]:
    """An entry as plain JSON: header names in lower case, the body as JSON where it is, else as text."""
    headers: dict[str, str] = {}
    for raw_name, raw_value in seen.raw_headers:
        name, value = raw_name.decode("latin-1").lower(), raw_value.decode("utf-8", "replace")
        headers[name] = f"{headers[name]}, {value}" if name in headers else value
    return {
        "provider": seen.provider,
        "method": seen.method,
        "path": seen.path,
        "query": seen.query,
        "headers": headers,
        "body": _body(seen.body),
        "at": seen.at,
        "status": seen.status,
        "aborted": seen.aborted,
    }


def _body(raw: bytes) -> Any:
    if not raw:
        return None
    try:
        return orjson.loads(raw)
    except orjson.JSONDecodeError:
        return raw.decode("utf-8", "replace")
