"""A load of JSON calls from Python, for where wrk is not to be had: lean protocols, each asking again when it is answered."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Mapping
from typing import cast

LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)
OK = b"HTTP/1.1 200 "


class Wrong(Exception):
    """An answer that is no 200, has no length, or did not come."""


class Caller(asyncio.Protocol):
    """One connection; asks until there is nothing left to ask."""

    def __init__(self, load: ClosedLoop) -> None:
        self._load = load
        self._received = b""
        self._ended = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.WriteTransport, transport)  # uvloop's own have no such base
        self._ask()

    def _ask(self) -> None:
        if self._load.take():
            self._transport.write(self._load.request)
        else:
            self._ended = True
            self._transport.close()

    def data_received(self, data: bytes) -> None:
        self._received = received = self._received + data if self._received else data
        head = received.find(b"\r\n\r\n")
        if head < 0:
            return
        length = LENGTH.search(received, 0, head + 2)
        if length is None or not received.startswith(OK):
            self._load.end(Wrong(received[:500].decode(errors="replace")))
            self._ended = True
            self._transport.close()
        elif len(received) >= head + 4 + int(length[1]):
            self._received = b""
            self._load.answered()
            self._ask()

    def connection_lost(self, error: Exception | None) -> None:
        if not self._ended:
            self._load.end(Wrong(f"a connection was lost: {error}"))


class ClosedLoop:
    """So many requests over so many connections. `request` are the bytes of each."""

    def __init__(self, port: int, path: str, headers: Mapping[str, str], body: bytes) -> None:
        fields = {"host": "127.0.0.1", **headers, "content-length": str(len(body))}
        lines = "".join(f"{name}: {value}\r\n" for name, value in fields.items())
        self.request = f"POST {path} HTTP/1.1\r\n{lines}\r\n".encode() + body
        self._port = port
        self._to_ask = self._to_answer = 0
        self._done: asyncio.Future[None] | None = None

    async def run(self, requests: int, connections: int) -> None:
        """Raises Wrong when an answer is."""
        loop = asyncio.get_running_loop()
        self._to_ask = self._to_answer = requests
        self._done = loop.create_future()
        for _ in range(connections):
            await loop.create_connection(lambda: Caller(self), "127.0.0.1", self._port)
        await self._done

    def take(self) -> bool:
        """Whether one more is to be asked."""
        self._to_ask -= 1
        return self._to_ask >= 0

    def answered(self) -> None:
        self._to_answer -= 1
        if not self._to_answer:
            self.end(None)

    def end(self, error: Wrong | None) -> None:
        if self._done is None or self._done.done():
            return
        if error is None:
            self._done.set_result(None)
        else:
            self._done.set_exception(error)
