"""An upstream that does exactly what a test says, byte by byte: what no simulator should be able to do."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

from msgspec import json

Say = Callable[[bytes], Awaitable[None]]
Script = Callable[["Scripted", Say], Awaitable[None]]

SSE = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"


def chunk(data: bytes) -> bytes:
    """One piece of a chunked body."""
    return b"%x\r\n%b\r\n" % (len(data), data)


def chat_frame(text: str | None = None, finish: str | None = None, end: bytes = b"\n\n", **more: Any) -> bytes:
    """A frame of a Chat stream; without text and finish its `choices` are those of `more`, or none."""
    delta = {} if text is None else {"content": text}
    choices = [{"index": 0, "delta": delta, "finish_reason": finish}] if text is not None or finish else []
    frame = {"id": "c1", "object": "chat.completion.chunk", "created": 1, "model": "m", "choices": choices} | more
    return b"data: " + json.encode(frame) + end


USAGE = chat_frame(usage={"prompt_tokens": 7, "completion_tokens": 3, "total_tokens": 10})
DONE = b"data: [DONE]\n\n"


def whole_answer(text: str = "Hi") -> bytes:
    """A Chat completion with its HTTP head; 10 tokens."""
    said = {"index": 0, "message": {"role": "assistant", "content": text}, "finish_reason": "stop"}
    usage = {"prompt_tokens": 7, "completion_tokens": 3, "total_tokens": 10}
    return http(200, {"id": "c1", "object": "chat.completion", "created": 1, "model": "m", "choices": [said], "usage": usage})  # fmt: skip


def http(status: int, body: Any, *headers: str) -> bytes:
    """A whole HTTP answer with a JSON body."""
    data = json.encode(body)
    lines = [f"HTTP/1.1 {status} X", "content-type: application/json", f"content-length: {len(data)}", *headers]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + data


class Scripted:
    """Follows `script` for each request. `heads` and `bodies` are those received; `left` counts connections that the gateway closed."""

    def __init__(self, script: Script) -> None:
        self.script = script
        self.heads: list[bytes] = []
        self.bodies: list[bytes] = []
        self.left = self.connections = 0
        self.port = 0

    def provider(self, **more: Any) -> dict[str, Any]:
        """The section of gateway.yaml for it: first of all providers."""
        base_url = f"http://127.0.0.1:{self.port}/v1"
        return {"type": "openai_compatible", "api_key": "k", "base_url": base_url, "default_model": "m", "priority": 99, **more}  # fmt: skip

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        try:
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                sizes = [x for x in head.lower().split(b"\r\n") if x.startswith(b"content-length:")]
                self.heads.append(head)
                self.bodies.append(await reader.readexactly(int(sizes[0].split(b":")[1])))
                await self._answer(reader, writer)
        except (ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
            return
        finally:
            writer.close()

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        async def say(data: bytes) -> None:
            if writer.is_closing() or reader.at_eof():
                self.left += 1
                raise ConnectionResetError
            writer.write(data)
            await writer.drain()

        await self.script(self, say)


@asynccontextmanager
async def scripted(script: Script) -> AsyncIterator[Scripted]:
    """A server on loopback that follows the script."""
    upstream = Scripted(script)
    server = await asyncio.start_server(upstream.serve, "127.0.0.1", 0)
    upstream.port = server.sockets[0].getsockname()[1]
    try:
        yield upstream
    finally:
        server.close()
