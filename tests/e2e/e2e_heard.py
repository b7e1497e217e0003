"""What a client hears: streams read frame by frame with the time of each, and whether they ended as streams should."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import aiohttp
from msgspec import json

HELLO = [{"role": "user", "content": "Hello"}]
# What each provider is asked for by name, and how its simulator answers HELLO.
MODEL = {"openai": "gpt-5.4", "anthropic": "claude-sonnet-4-6", "gemini": "gemini-3.8-flash"}
SAID = {name: f"[simulated {model}] You said: Hello" for name, model in MODEL.items()}
COMPLETIONS, NATIVE = "/chat/completions", "/chat"
SURFACES = (COMPLETIONS, NATIVE)


@dataclass
class Frame:
    """One SSE frame: its event name ("" without), its data as text, and when it was there (unix seconds)."""

    event: str
    data: str
    at: float

    @property
    def value(self) -> Any:
        return json.decode(self.data)

    @property
    def text(self) -> str:
        """The piece of the answer that this frame carries, on either surface; "" for frames without one."""
        if self.data == "[DONE]" or self.event not in ("", "chat.chunk"):
            return ""
        value = self.value
        if self.event:
            return str(value["chunk"]["delta"])
        return "".join(choice["delta"].get("content") or "" for choice in value.get("choices", []))

    @property
    def error(self) -> Any:
        """The error that this frame carries, or None."""
        if self.event == "chat.error":
            return self.value["error"]
        return self.value.get("error") if self.data != "[DONE]" and not self.event else None


@dataclass
class Heard:
    """A stream that is over. `whole`: the connection ended as the protocol wants it."""

    status: int
    headers: Any
    frames: list[Frame] = field(default_factory=list)
    whole: bool = True

    @property
    def text(self) -> str:
        return "".join(frame.text for frame in self.frames)

    @property
    def errors(self) -> list[Any]:
        return [frame.error for frame in self.frames if frame.error]

    @property
    def complete(self) -> bool:
        """Whether the stream says of itself that nothing is missing."""
        ends = [f for f in self.frames if f.data == "[DONE]" or f.event == "chat.complete"]
        finished = [f for f in self.frames if not f.event and f.data != "[DONE]" and _finish(f.value)]
        return bool(ends or finished)


def _finish(chunk: Any) -> bool:
    return any(choice.get("finish_reason") for choice in chunk.get("choices", []))


@asynccontextmanager
async def streaming(
    stack: Any, path: str = COMPLETIONS, **more: Any
) -> AsyncIterator[tuple[aiohttp.ClientResponse, AsyncIterator[Frame]]]:
    """An open stream on acme and its frames. Keywords are members of the body; leaving the block hangs up."""
    body = {"messages": HELLO, "stream": True, **more}
    timeout = aiohttp.ClientTimeout(total=20)
    async with (
        aiohttp.ClientSession(timeout=timeout) as session,
        session.post(stack.base() + path, json=body, headers=stack.headers()) as answer,
    ):
        yield answer, frames(answer)


async def frames(answer: aiohttp.ClientResponse) -> AsyncIterator[Frame]:
    """The frames of an answer as they come in. Comments are passed over."""
    waiting = b""
    async for data in answer.content.iter_any():
        now = time.time()
        *whole, waiting = (waiting + data).split(b"\n\n")
        for block in whole:
            found = _frame(block.decode(), now)
            if found is not None:
                yield found


def _frame(block: str, now: float) -> Frame | None:
    event, lines = "", []
    for line in block.splitlines():
        name, _, value = line.partition(": ")
        if name == "event":
            event = value
        elif name == "data":
            lines.append(value)
    return Frame(event, "\n".join(lines), now) if lines else None


async def hear(stack: Any, path: str = COMPLETIONS, **more: Any) -> Heard:
    """A stream read to its end, however that comes."""
    async with streaming(stack, path, **more) as (answer, coming):
        heard = Heard(answer.status, answer.headers)
        try:
            async for frame in coming:
                heard.frames.append(frame)
        except aiohttp.ClientPayloadError:
            heard.whole = False
        return heard


async def until(true: Callable[[], Any], within_s: float = 2.0) -> float:
    """Wait for something to become true and say how long that took. Fails when it does not."""
    began = time.monotonic()
    while not true():
        assert time.monotonic() - began < within_s, "it did not happen in time"
        await asyncio.sleep(0.005)
    return time.monotonic() - began


def seen(stack: Any, provider: str) -> list[Any]:
    """The journal of a simulated provider, without a detour over HTTP."""
    return [entry for entry in stack.simulators.state.journal.entries if entry.provider == provider]


async def used_tokens(stack: Any, scope: str = "tenant:acme") -> int:
    """What is charged to one of acme's scopes today."""
    accounts = (await stack.get("/quotas"))["accounts"]
    return next(int(row["used"]) for row in accounts if row["scope"] == scope and row["window"] == "daily")


async def breaker(stack: Any, provider: str = "openai") -> Any:
    """The circuit breaker of a provider as /providers shows it."""
    rows = (await stack.get("/providers"))["providers"]
    return next(row["circuitBreaker"] for row in rows if row["name"] == provider)
