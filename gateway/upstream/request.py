"""What a call to an upstream is made of: where it goes, the bytes of its head, its body, its patience.

Rule 1: an origin comes from the configuration, never from a client. Rule 2: no CR, LF or NUL reaches the wire inside a header:
`head` refuses them, so that a value taken from a client cannot become a header or a request of its own.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from ipaddress import ip_address
from urllib.parse import urlsplit

from msgspec import Struct

from gateway.settings import Timeouts

_PORTS = {"http": 80, "https": 443}
_NAME = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")  # RFC 9110, 5.6.2: token
_VALUE = re.compile(r"[\t\x20-\x7e\x80-\xff]*")
_TARGET = re.compile(r"[\x21-\x7e]+")


class Origin(Struct, frozen=True, cache_hash=True):
    """One server as connections see it: the same origin shares connections, another `ca_file` does not.

    scheme: "http" or "https". host: lower-case name in its ASCII form, or an address without brackets.
    ca_file: a PEM file trusted instead of the system's authorities; None for the system's.
    """

    scheme: str
    host: str
    port: int
    ca_file: str | None = None

    @classmethod
    def from_url(cls, base_url: str, ca_file: str | None = None) -> tuple[Origin, str]:
        """The origin of a base URL and the path to put before every request path ("" or "/v1", without a final slash).

        Raises ValueError, without repeating the URL (it may hold a password), for what is no plain http(s) base URL.
        """
        url = urlsplit(base_url)
        if url.scheme not in _PORTS or not url.hostname:
            raise ValueError("a base URL starts with http:// or https:// and names a host")
        if url.username is not None or url.query or url.fragment:
            raise ValueError("a base URL has no user name, query or fragment")
        if url.path and not _TARGET.fullmatch(url.path):
            raise ValueError("the path of a base URL is printable ASCII without spaces")
        port = url.port if url.port is not None else _PORTS[url.scheme]
        return cls(url.scheme, _ascii_host(url.hostname), port, ca_file), url.path.rstrip("/")

    @property
    def host_port(self) -> str:
        """`host:port`, with brackets around an IPv6 address: the target of CONNECT, and the name in logs."""
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"

    @property
    def authority(self) -> str:
        """The value of the Host header: the port is left out where it is the scheme's own (RFC 9110, 7.2)."""
        return self.host_port.removesuffix(f":{_PORTS[self.scheme]}")


class UpstreamRequest(Struct, gc=False):
    """One request, cheap to build per call.

    head: request line and headers as `head` writes them, without content-length and without the final empty line; the caller
    keeps it between calls and appends `header_lines` of the single call. method_head: the answer to HEAD has no body.
    """

    origin: Origin
    head: bytes
    body: bytes
    timeouts: Timeouts
    method_head: bool = False


def head(method: str, target: str, headers: Iterable[tuple[str, str]]) -> bytes:
    """The request line and headers, each ending in CRLF. Raises ValueError for what would not stay inside its line."""
    if not _NAME.fullmatch(method) or not _TARGET.fullmatch(target):
        raise ValueError("a request line is made of a method and a target without white space")
    return f"{method} {target} HTTP/1.1\r\n".encode("latin-1") + header_lines(headers)


def header_lines(headers: Iterable[tuple[str, str]]) -> bytes:
    """Headers as they stand on the wire. Raises ValueError for a name that is no token and a value with control characters."""
    lines = []
    for name, value in headers:
        if not _NAME.fullmatch(name) or not _VALUE.fullmatch(value):
            raise ValueError(f"the header {name!r} cannot be written")  # never its value: it may be a credential
        lines.append(f"{name}: {value}\r\n")
    return "".join(lines).encode("latin-1")


def _ascii_host(host: str) -> str:
    try:
        return str(ip_address(host))
    except ValueError:
        return host.encode("idna").decode("ascii").lower()
