"""What a vendor is handed and what it gives back: values between the pure vendor modules and the socket.

Rule 1: a frame knows the tokens put out up to and including itself, so that an aborted stream is counted truly.
Rule 2: `content` frames are what faults count; `closing` frames say that an answer is complete and never follow a fault.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any, Protocol

import orjson
from msgspec import Struct, field

from gateway.simulator.faults import Fault
from gateway.simulator.shelf import Shelf

SSE = "text/event-stream; charset=utf-8"
JSON = "application/json"


class Sent(Struct, frozen=True):
    """One request as it came. `params`: what the route captured. `chunks`: x-sim-chunks. `mute`: answer with nothing, `pause`:
    stop half-way and go on when asked (faults).

    `shelf`: what was kept of earlier answers; the only thing that an endpoint may change.
    """

    method: str
    path: str
    params: Mapping[str, str]
    query: Mapping[str, str]
    headers: Mapping[str, str]
    body: bytes
    now: int
    chunks: int | None = None
    mute: bool = False
    pause: bool = False
    shelf: Shelf = field(default_factory=Shelf)


class Whole(Struct, frozen=True):
    """A whole answer. `billed`: it is a generation whose tokens count (a model list is not)."""

    body: bytes
    input_tokens: int = 0
    output_tokens: int = 0
    billed: bool = False


class Frame(Struct, frozen=True):
    """One event as bytes on the wire, separators included."""

    wire: bytes
    output_tokens: int = 0
    content: bool = False
    closing: bool = False


class Stream(Struct, frozen=True):
    """A streamed answer; `frames` is walked once. `failing`: how it breaks off after the last frame taken, given whether content
    was sent and the fault; None leaves that to the vendor's `error_frame`.
    """

    frames: Iterator[Frame]
    input_tokens: int
    content_type: str = SSE
    failing: Callable[[Fault, bool], bytes] | None = None


class Refused(Exception):
    """An answer that is an error, in the vendor's own shape."""

    def __init__(self, status: int, body: Any, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(f"{status}: {body}")
        self.status = status
        self.body = body
        self.headers = dict(headers or {})

    @property
    def wire(self) -> bytes:
        return orjson.dumps(self.body)


Endpoint = Callable[[Sent], Whole | Stream]


class Route(Struct, frozen=True):
    """`path` is an aiohttp pattern below the vendor's prefix. `generates`: faults apply to it and it is counted."""

    method: str
    path: str
    endpoint: Endpoint
    generates: bool = False


class Vendor(Protocol):
    """One provider's wire: its routes, who may call, and how it says that something is wrong."""

    name: str
    prefix: str  # below which it is served when all vendors share a port

    def routes(self) -> list[Route]: ...

    def authorize(self, sent: Sent, keys: frozenset[str] | None) -> None:
        """Raise Refused unless the credential is in the right place and, with `keys`, is one of them."""
        ...

    def headers(self, request_id: str) -> dict[str, str]:
        """What stands on every answer."""
        ...

    def not_found(self, sent: Sent) -> Refused: ...

    def too_large(self, sent: Sent) -> Refused: ...

    def failure(self, sent: Sent, fault: Fault) -> Refused:
        """The vendor's own answer with the fault's status."""
        ...

    def error_frame(self, sent: Sent, fault: Fault, begun: bool) -> bytes:
        """The vendor's way of breaking off a stream that began with status 200. `begun`: content was sent before."""
        ...

    def stamp(self, body: Any, request_id: str) -> Any:
        """The error body with the request's id where the vendor puts it."""
        ...


class Served(Struct):
    """What really went out, per vendor. Tokens of broken and abandoned streams count as far as they were written."""

    requests: int = 0
    errors: int = 0
    aborted_streams: int = 0
    input_tokens: int = 0
    output_tokens: int = 0
    total_tokens: int = 0

    def add(self, input_tokens: int, output_tokens: int) -> None:
        self.input_tokens += input_tokens
        self.output_tokens += output_tokens
        self.total_tokens += input_tokens + output_tokens


class Seen(Struct):
    """One entry of the journal. `headers` as raw pairs; they are made readable only when somebody looks."""

    provider: str
    method: str
    path: str
    raw_headers: tuple[tuple[bytes, bytes], ...]
    at: float
    body: bytes = b""
    status: int | None = None
    aborted: bool = False
    query: dict[str, str] = field(default_factory=dict)
