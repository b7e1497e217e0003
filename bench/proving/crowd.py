"""Callers that ask all at once: connections first, then every request in the same moment."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Sequence
from typing import cast

from msgspec import Struct, json

LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)
CODE = re.compile(rb'"code": ?"([a-z_]+)"')
USAGE = re.compile(rb'"total_tokens": ?(\d+)')
BROKEN = "broken"  # the connection ended before the answer did
LEFT = "left"  # we hung up
KNOWN = ("ok", "quota_exceeded", "quota_reserved", BROKEN, LEFT)
DEAF_S = 60.0  # a call that takes longer counts as broken
KNOCKS = 100  # connections that are opened side by side


class Ask(Struct, frozen=True):
    """One request as bytes. `leave_s`: hang up so long after it was sent."""

    wire: bytes
    stream: bool
    leave_s: float | None = None


class Answer(Struct):
    """What came of it. `code`: "ok", the error's code, "broken" or "left". Times are monotonic seconds."""

    code: str
    first_at: float
    ended_at: float
    tokens: int = 0  # that the answer itself reports
    told: str = ""  # what a strange one says


def request(port: int, tenant: str, token: str, body: bytes, keep: bool) -> bytes:
    """The bytes of a chat completion."""
    lines = (
        f"POST /api/v1/{tenant}/ai/chat/completions HTTP/1.1\r\nhost: 127.0.0.1:{port}\r\nauthorization: Bearer {token}\r\n"
        f"content-type: application/json\r\ncontent-length: {len(body)}\r\n"
    )
    return (lines + ("" if keep else "connection: close\r\n") + "\r\n").encode() + body


class Caller(asyncio.Protocol):
    """One connection: sends its requests one after the other, each when the last was answered."""

    def __init__(self, asks: Sequence[Ask], loop: asyncio.AbstractEventLoop) -> None:
        self._asks = list(asks)
        self._loop = loop
        self._received = b""
        self._first_at = 0.0
        self._leaving: asyncio.TimerHandle | None = None
        self.answers: list[Answer] = []
        self.done: asyncio.Future[None] = loop.create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.WriteTransport, transport)

    def begin(self) -> None:
        """Send the next request, or end."""
        if not self._asks:
            self._transport.abort()
            self._finish()
            return
        ask = self._asks[0]
        self._received, self._first_at = b"", 0.0
        self._transport.write(ask.wire)
        if ask.leave_s is not None:
            self._leaving = self._loop.call_later(ask.leave_s, self._leave)

    def data_received(self, data: bytes) -> None:
        self._first_at = self._first_at or self._loop.time()
        self._received += data
        head = self._received.find(b"\r\n\r\n")
        if head < 0:
            return
        length = LENGTH.search(self._received, 0, head + 2)
        ended = (
            self._received.endswith(b"0\r\n\r\n")
            if length is None
            else len(self._received) >= head + 4 + int(length[1])
        )
        if ended:
            self._note(read(self._received))
            self.begin()

    def connection_lost(self, error: Exception | None) -> None:
        self._finish()

    def _leave(self) -> None:
        self._note(LEFT)
        self._asks.clear()
        self._transport.abort()

    def _note(self, code: str) -> None:
        if self._leaving is not None:
            self._leaving.cancel()
        tokens = sum(map(int, USAGE.findall(self._received)[-1:])) if code == "ok" else 0
        told = "" if code in KNOWN else self._received.partition(b"\r\n\r\n")[2][:300].decode(errors="replace")
        self.answers.append(Answer(code, self._first_at, self._loop.time(), tokens, told))
        del self._asks[:1]

    def give_up(self) -> None:
        """It takes too long."""
        self._transport.abort()
        self._finish()

    def _finish(self) -> None:
        while self._asks:
            self._note(BROKEN)
        if not self.done.done():
            self.done.set_result(None)


def read(answer: bytes) -> str:
    """The code of a whole answer."""
    head, _, body = answer.partition(b"\r\n\r\n")
    if head.startswith(b"HTTP/1.1 200 "):
        if b"text/event-stream" in head:
            return "ok" if b"[DONE]" in body else "cut"
        return "ok" if "choices" in json.decode(body) else "empty"
    code = CODE.search(body)
    return code[1].decode() if code else head.partition(b"\r")[0].decode()


class Crowd:
    """Callers on connections of their own. `ports` are taken in turn."""

    def __init__(self, ports: Sequence[int], plans: Sequence[Sequence[Ask]]) -> None:
        self._ports = ports
        self._plans = plans
        self.began_at = 0.0
        self.connected = asyncio.Event()

    async def run(self) -> list[Answer]:
        """Connect all, send all, and wait for every answer."""
        loop = asyncio.get_running_loop()
        gate = asyncio.Semaphore(KNOCKS)

        async def connect(number: int, asks: Sequence[Ask]) -> Caller:
            async with gate:
                port = self._ports[number % len(self._ports)]
                _, caller = await loop.create_connection(lambda: Caller(asks, loop), "127.0.0.1", port)
                return caller

        callers = await asyncio.gather(*(connect(number, asks) for number, asks in enumerate(self._plans)))
        self.began_at = loop.time()
        self.connected.set()
        for caller in callers:
            caller.begin()
        _, late = await asyncio.wait({caller.done for caller in callers}, timeout=DEAF_S)
        for caller in callers:
            if caller.done in late:
                caller.give_up()
        return [answer for caller in callers for answer in caller.answers]
