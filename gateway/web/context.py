"""What a handler gets beside the exchange: who asks, for which tenant, under which id. And the ids themselves."""

from __future__ import annotations

import itertools
import re
import secrets

from msgspec import Struct

from gateway import settings
from gateway.call import MAX_SESSION_CHARS
from gateway.web.auth import Principal
from gateway.web.surfaces import Match

_CLIENT_ID = re.compile(r"[A-Za-z0-9._:-]{1,128}")
_TRACEPARENT = re.compile(r"[0-9a-f]{2}-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}")


class Context(Struct):
    """One request, authenticated. Times as in call.Call."""

    match: Match
    request_id: str
    serial: str
    at: float
    received_at: float
    principal: Principal | None = None
    tenant: str = ""
    settings: settings.Tenant = settings.Tenant()


class Ids:
    """Request ids: a random stem per process and a counter. 24 hex characters, no call to the system for each."""

    def __init__(self) -> None:
        self._stem = secrets.token_hex(7)
        self._request_stem = b"req_" + self._stem.encode()
        self._count = itertools.count(secrets.randbelow(1 << 20))

    def serial(self) -> str:
        """24 hexadecimal characters that nobody else has: the stem of the ids that an answer carries."""
        return self.serial_of(self.number())

    def number(self) -> int:
        """What makes a serial this call's own; `serial_of` and `request_id` spell it."""
        return next(self._count) & 0xFFFFFFFFFF

    def serial_of(self, number: int) -> str:
        return f"{self._stem}{number:010x}"

    def request_id(self, number: int) -> bytes:
        return b"%b%010x" % (self._request_stem, number)


def request_id(given: str | None, serial: str) -> str:
    """The client's own X-Request-Id where it is a plain token, else ours."""
    return given if given and _CLIENT_ID.fullmatch(given) else f"req_{serial}"


def traceparent(given: str | None) -> str:
    """A W3C trace context that is well-formed, else nothing."""
    return given if given and _TRACEPARENT.fullmatch(given) else ""


def session(given: str | None) -> str:
    """A conversation's name from a header; one that is not plain text is none."""
    return given[:MAX_SESSION_CHARS] if given and given.isprintable() else ""
