"""The gateway's own chat: a small camelCase API over HTTP, SSE, WebSocket and Socket.IO. Assembles native_*.

Request: {messages, temperature?, maxTokens?, sessionId?, model?, stream?, preferredProvider?}; a message is {role, content} with
a text or text parts. Other members are ignored, and named as dropped. No provider speaks it.
Answer: {id, sessionId, provider, model, content, message, finishReason, usage, latencyMs, fallbackFrom, attempts}.
Events: chat.start, chat.chunk, chat.complete, chat.error; see native_stream.
"""

from __future__ import annotations

import msgspec

from gateway.dialects.native_request import peek, read_request
from gateway.dialects.native_stream import NativeExtras, NativeStream, NativeWriter, answer, error_object
from gateway.types import COMMENT, ClientError, Echo, Peek, Reply, Request, SameWords, StreamWriter

__all__ = ["NATIVE", "Native", "NativeExtras", "NativeStream", "NativeWriter"]


class Native(SameWords):
    """types.ClientHalf for POST /chat."""

    name = "native"
    ping = COMMENT

    def peek(self, body: bytes) -> Peek:
        return peek(body)

    def read_request(self, body: bytes) -> Request:
        return read_request(body)

    def write_reply(self, reply: Reply, echo: Echo, extras: NativeExtras | None = None) -> bytes:
        """`extras` is what only the caller knows: who answered, after whom, and how long it took."""
        return msgspec.json.encode(answer(reply, echo, extras or NativeExtras()))

    def writer(self, echo: Echo, extras: NativeExtras | None = None) -> StreamWriter:
        """The events as SSE. `extras` may be filled in until the stream ends."""
        return NativeWriter(echo, extras or NativeExtras())

    def write_error(self, error: ClientError) -> bytes:
        return msgspec.json.encode({"error": error_object(error)})


NATIVE = Native()
