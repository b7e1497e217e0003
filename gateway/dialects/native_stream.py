"""What a native chat answers: one object, or the same object after events. SSE, WebSocket and Socket.IO share the events.

chat.start {requestId, provider, model} · chat.chunk {requestId, chunk: {index, delta}} · chat.complete {requestId, response} ·
chat.error {requestId, error}. Rule: the deltas joined are the response's `content`; only texts become chunks.
"""

from __future__ import annotations

from typing import Any

import msgspec
from msgspec import Struct, field

from gateway.core.sse import frame
from gateway.types import (
    Choice,
    ClientError,
    Echo,
    Ended,
    Event,
    Finished,
    FinishReason,
    Refusal,
    RefusalDelta,
    Reply,
    Text,
    TextDelta,
    Usage,
    UsageSeen,
)

Payload = dict[str, Any]


class NativeExtras(Struct, kw_only=True):
    """What an answer tells about its call: names of providers, milliseconds."""

    provider: str = ""
    fallback_from: list[str] = field(default_factory=list)
    attempts: int = 1
    latency_ms: int = 0
    session_id: str | None = None
    request_id: str = ""


def answer(reply: Reply, echo: Echo, extras: NativeExtras) -> Payload:
    """The answer's first choice as the native API has it. A refusal is text: there is no other place for it."""
    choice = reply.choices[0] if reply.choices else Choice([], "stop")
    content = "".join(part.text for part in choice.parts if isinstance(part, Text | Refusal))
    usage = reply.usage or Usage()
    return {
        "id": f"chat_{echo.id}",
        "sessionId": extras.session_id,
        "provider": extras.provider,
        "model": echo.model,
        "content": content,
        "message": {"role": "assistant", "content": content},
        "finishReason": choice.finish or "stop",
        "usage": {
            "promptTokens": usage.input,
            "completionTokens": usage.output,
            "totalTokens": usage.total or usage.input + usage.output,
        },
        "latencyMs": extras.latency_ms,
        "fallbackFrom": list(extras.fallback_from),
        "attempts": extras.attempts,
    }


def error_object(error: ClientError) -> Payload:
    """The error in OpenAI's form; `attempts` after all candidates failed."""
    written: Payload = {"message": error.message, "type": error.type, "param": error.param, "code": error.code}
    if error.attempts is not None:
        written["attempts"] = error.attempts
    return written


class NativeStream:
    """One streamed chat: gives (event name, payload) to whatever carries them, and collects the whole answer."""

    __slots__ = ("_finish", "_index", "_request_id", "_texts", "_usage")

    def __init__(self, request_id: str) -> None:
        self._request_id = request_id
        self._index = 0
        self._texts: list[str] = []
        self._finish: FinishReason | None = None
        self._usage: Usage | None = None

    def start(self, provider: str, model: str) -> tuple[str, Payload]:
        return "chat.start", {"requestId": self._request_id, "provider": provider, "model": model}

    def chunks(self, events: list[Event]) -> list[tuple[str, Payload]]:
        """A chat.chunk for each text; the other events are remembered or mean nothing here."""
        made: list[tuple[str, Payload]] = []
        for event in events:
            match event:
                case TextDelta(text, 0) | RefusalDelta(text, 0) if text:
                    chunk = {"index": self._index, "delta": text}
                    made.append(("chat.chunk", {"requestId": self._request_id, "chunk": chunk}))
                    self._index += 1
                    self._texts.append(text)
                case Finished(reason, 0):
                    self._finish = reason
                case UsageSeen(usage):
                    self._usage = usage
        return made

    def complete(self, echo: Echo, extras: NativeExtras) -> tuple[str, Payload]:
        """chat.complete with the answer as POST /chat would have given it."""
        whole = Choice([Text("".join(self._texts))], self._finish)
        reply = Reply(echo.id, echo.model, [whole], self._usage)
        return "chat.complete", {"requestId": self._request_id, "response": answer(reply, echo, extras)}

    def error(self, error: ClientError) -> tuple[str, Payload]:
        return "chat.error", {"requestId": self._request_id, "error": error_object(error)}


class NativeWriter:
    """The events as SSE (types.StreamWriter): chat.start with the first events, chat.complete at the clean end."""

    __slots__ = ("_echo", "_extras", "_over", "_started", "_stream")

    def __init__(self, echo: Echo, extras: NativeExtras) -> None:
        self._echo = echo
        self._extras = extras  # read when it is needed: the caller may still learn what stands in it
        self._stream = NativeStream(extras.request_id or f"req_{echo.id}")
        self._started = False
        self._over = False

    def write(self, events: list[Event]) -> bytes:
        if self._over:
            return b""
        said = self._stream.chunks(events)
        if not self._started:
            self._started = True
            said.insert(0, self._stream.start(self._extras.provider, self._echo.model))
        if any(isinstance(event, Ended) for event in events):
            self._over = True
            said.append(self._stream.complete(self._echo, self._extras))
        return b"".join(_sse(name, payload) for name, payload in said)

    def error(self, error: ClientError) -> bytes:
        """chat.error, after which there is no chat.complete."""
        self._over = True
        return _sse(*self._stream.error(error))


def _sse(name: str, payload: Payload) -> bytes:
    return frame(msgspec.json.encode(payload), name.encode())
