"""An upstream on loopback that answers byte by byte what a test says, and hears how it was asked."""

from __future__ import annotations

import asyncio
import socket
import struct
from collections.abc import Callable
from typing import Any, Protocol, cast

from msgspec import json

Act = Callable[["StubLine", bytes], None]  # what is done about a request with this body
USAGE = {"prompt_tokens": 7, "completion_tokens": 3, "total_tokens": 10}
NOTHING = object()


class Moved(Protocol):
    """A clock that an upstream moves."""

    now: float


class Stub:
    """`script`: what the next calls meet, one each; then `usual`. `heard`: heads and bodies in order."""

    def __init__(self, clock: Moved) -> None:
        self.clock = clock
        self.takes_s = 0.25
        self.script: list[Act] = []
        self.usual: Act = says(echo)
        self.heard: list[tuple[bytes, bytes]] = []
        self.lines: list[StubLine] = []
        self.held: list[tuple[StubLine, bytes]] = []
        self.port = 0

    async def start(self) -> None:
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(lambda: StubLine(self), "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]

    async def stop(self) -> None:
        self._server.close()
        for line in self.lines:
            line.transport.abort()
        await asyncio.sleep(0)

    def meet(self, line: StubLine, head: bytes, body: bytes) -> None:
        self.heard.append((head, body))
        self.clock.now += self.takes_s
        act = self.script.pop(0) if self.script else self.usual
        act(line, body)

    def hold(self, line: StubLine, body: bytes) -> None:
        """An act: say nothing until `release`."""
        self.held.append((line, body))

    def release(self, answer: bytes = b"") -> None:
        """Give those that are held this answer, or the usual one."""
        while self.held:
            line, body = self.held.pop(0)
            (says(answer) if answer else self.usual)(line, body)


class StubLine(asyncio.Protocol):
    """One connection of the gateway's. `lost`: it is closed."""

    def __init__(self, stub: Stub) -> None:
        self._stub = stub
        self._buffer = b""
        self.lost = False
        self.transport: asyncio.Transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)
        self._stub.lines.append(self)

    def connection_lost(self, exc: Exception | None) -> None:
        self.lost = True
        self._stub.lines.remove(self)

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        while (end := self._buffer.find(b"\r\n\r\n") + 4) >= 4:
            head = self._buffer[:end]
            length = int(head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0])
            if len(self._buffer) < end + length:
                return
            body, self._buffer = self._buffer[end : end + length], self._buffer[end + length :]
            self._stub.meet(self, head, body)

    def reset(self) -> None:
        sock: socket.socket = self.transport.get_extra_info("socket")
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.transport.abort()


# ---------------------------------------------------------------- what can be said


def completion(text: str = "Hi", usage: Any = USAGE, finish: str = "stop", **more: Any) -> bytes:
    """The JSON of an answer; without `usage` where it is NOTHING."""
    choice = {"index": 0, "message": {"role": "assistant", "content": text}, "finish_reason": finish}
    found: dict[str, Any] = {"id": "c1", "object": "chat.completion", "created": 1, "model": "m", "choices": [choice]}
    return json.encode({**found, **({} if usage is NOTHING else {"usage": usage}), **more})


def echo(body: bytes) -> bytes:
    """An answer that says what was asked, as a stream where one was."""
    asked = json.decode(body)
    text = str(asked["messages"][-1]["content"])
    if not asked.get("stream"):
        return http(200, completion(text))
    frames = [
        {"choices": [{"index": 0, "delta": {"content": text}, "finish_reason": "stop"}]},
        {"choices": [], "usage": USAGE},
    ]
    return http(
        200, b"".join(b"data: %b\n\n" % json.encode(f) for f in frames) + b"data: [DONE]\n\n", kind="text/event-stream"
    )


def http(status: int, body: bytes, *headers: str, kind: str = "application/json") -> bytes:
    lines = [f"HTTP/1.1 {status} X", f"content-type: {kind}", f"content-length: {len(body)}", *headers]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


def error(status: int, *headers: str, **fields: Any) -> bytes:
    """An answer with OpenAI's error object."""
    shown = {"message": "It failed.", "type": "some_error", "param": None, "code": None, **fields}
    return http(status, json.encode({"error": shown}), *headers)


def says(what: bytes | Callable[[bytes], bytes]) -> Act:
    return lambda line, body: line.transport.write(what if isinstance(what, bytes) else what(body))


def ends(*parts: bytes) -> Act:
    """Writes the parts and closes."""

    def act(line: StubLine, body: bytes) -> None:
        line.transport.write(b"".join(parts))
        line.transport.close()

    return act


def resets(line: StubLine, body: bytes) -> None:
    line.reset()


def silent(line: StubLine, body: bytes) -> None:
    """Never answers."""
