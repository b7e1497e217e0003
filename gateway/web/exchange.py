"""One HTTP request and its answer, whichever door it came through. Handlers know this and nothing of aiohttp.

Rule 1: everything but `body()` is synchronous. `write` never blocks: when the client is slow the exchange calls `on_pause`,
and the relay stops reading upstream until `on_resume`.
Rule 2: an answer is either `answer` (whole) or `begin`, `write`…, then `end` or `cut`. `cut` closes the connection so that
the client sees a broken answer, never a complete one.
Rule 3: header blocks are bytes, `name: value\\r\\n` lines in lower case, prepared ahead wherever the configuration fixes them.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol


class Flow(Protocol):
    """What can be told to stop and go on: the upstream's transfer."""

    def pause(self) -> None: ...

    def resume(self) -> None: ...


class Exchange(Protocol):
    method: str
    path: str  # percent-decoded, without the query
    query: str  # raw, without the question mark
    ready: bytes | None  # the body, when it has arrived whole
    kept: object  # what the handlers worked out of this very head before, on this connection; None when it is new

    def header(self, name: str) -> str | None:
        """A request header by its lower-case name; the first one when there are several."""
        ...

    async def body(self) -> bytes:
        """The whole body, decoded. Raises RequestTooLarge, RequestTimeout, UnsupportedMediaType or ClientGone."""
        ...

    def answer(self, status: int, headers: bytes, body: bytes) -> None: ...

    def begin(self, status: int, headers: bytes) -> None: ...

    def begin_events(self, headers: bytes) -> None:
        """Begin an event stream of our own making: every `write` is one or more whole events."""
        ...

    def write(self, data: bytes) -> None: ...

    def end(self) -> None: ...

    def cut(self) -> None: ...

    @property
    def closed(self) -> bool:
        """Whether the client is gone."""
        ...

    def on_closed(self, callback: Callable[[], None] | None) -> None:
        """Call back once when the client leaves before the answer is complete."""
        ...

    def flow(self, flow: Flow | None) -> None:
        """Whom to pause while the client reads slower than we write."""
        ...


class Owner(Protocol):
    """Who is told that its exchange came to its end, where no task awaits that (web.steps)."""

    def done(self) -> None: ...

    def failed(self) -> None: ...


class OwnedExchange(Exchange, Owner, Protocol):
    """An exchange whose door need not await its end."""


class ClientGone(Exception):
    """The client left while its request was being read: nobody is there to answer."""
