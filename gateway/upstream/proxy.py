"""Proxies, as the environment names them: which one for which origin, and the tunnel through it.

https goes through CONNECT, so that the proxy sees a host name and no more; plain http is asked for in absolute form.
Precedents: curl for the names, Go's net/http for loopback, which is never proxied: a proxy could not reach it.
"""

from __future__ import annotations

import asyncio
from base64 import b64encode
from collections.abc import Mapping
from ipaddress import ip_address, ip_network
from socket import socket
from urllib.parse import unquote, urlsplit

from msgspec import Struct

from gateway.upstream.request import Origin

MAX_ANSWER_BYTES = 16 * 1024


class Proxy(Struct, frozen=True):
    """An HTTP proxy reached by plain TCP. `headers`: Proxy-Authorization as a header line, or nothing."""

    host: str
    port: int
    headers: bytes = b""


class Proxies:
    """HTTPS_PROXY, HTTP_PROXY and NO_PROXY in either case, lower case first. Raises ValueError for a proxy that cannot be used.

    NO_PROXY: names (with all names below them), addresses, networks, each with or without a port, separated by commas; * is all.
    """

    def __init__(self, environ: Mapping[str, str]) -> None:
        self._by_scheme = {scheme: _proxy(_variable(environ, f"{scheme}_proxy")) for scheme in ("http", "https")}
        entries = _variable(environ, "no_proxy").replace(",", " ").split()
        self._spared = [entry.lower().removeprefix("*.").removeprefix(".") for entry in entries]

    def for_origin(self, origin: Origin) -> Proxy | None:
        """The proxy on the way to `origin`, if there is one."""
        proxy = self._by_scheme[origin.scheme]
        if proxy is None or _loopback(origin.host) or any(_matches(entry, origin) for entry in self._spared):
            return None
        return proxy


async def tunnel(loop: asyncio.AbstractEventLoop, sock: socket, origin: Origin, proxy: Proxy) -> None:
    """Have the proxy at the other end of `sock` connect it to `origin`. Raises OSError when it will not."""
    target = origin.host_port.encode("ascii")
    await loop.sock_sendall(sock, b"CONNECT %b HTTP/1.1\r\nhost: %b\r\n%b\r\n" % (target, target, proxy.headers))
    answer = b""
    while b"\r\n\r\n" not in answer:
        data = await loop.sock_recv(sock, MAX_ANSWER_BYTES)
        answer += data
        if not data or len(answer) > MAX_ANSWER_BYTES:
            raise ConnectionError("the proxy gave no answer to CONNECT")
    if answer[:7] != b"HTTP/1." or answer[8:10] != b" 2":
        raise ConnectionError(f"the proxy refused CONNECT: {answer[:12]!r}")
    if not answer.endswith(b"\r\n\r\n"):  # a TLS server waits for its client: these bytes are not its
        raise ConnectionError("the proxy sent more than its answer to CONNECT")


def _variable(environ: Mapping[str, str], name: str) -> str:
    return environ.get(name) or environ.get(name.upper()) or ""


def _proxy(text: str) -> Proxy | None:
    if not text:
        return None
    url = urlsplit(text if "://" in text else f"http://{text}")
    if url.scheme != "http" or not url.hostname:
        raise ValueError("a proxy is given as http://host:port; TLS to the proxy itself and SOCKS are not supported")
    headers = b""
    if url.username is not None:
        pair = f"{unquote(url.username)}:{unquote(url.password or '')}"
        headers = b"proxy-authorization: Basic %b\r\n" % b64encode(pair.encode())
    return Proxy(url.hostname, url.port or 80, headers)


def _loopback(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost" or host.endswith(".localhost")


def _matches(entry: str, origin: Origin) -> bool:
    name, colon, port = entry.rpartition(":")
    if colon and port.isdecimal() and (":" not in name or name.endswith("]")):  # else an IPv6 address
        if int(port) != origin.port:
            return False
        entry = name
    entry = entry.strip("[]")
    if entry == "*" or origin.host == entry or origin.host.endswith(f".{entry}"):
        return True
    try:
        return ip_address(origin.host) in ip_network(entry, strict=False)
    except ValueError:
        return False
