"""Chats on a socket, as clients see them: what to send, and what comes back until it is over."""

from __future__ import annotations

import asyncio
from typing import Any

import aiohttp
from e2e_quota import accounts
from e2e_stack import Stack
from e2e_tools import until

RESPONSE = {
    *("id", "sessionId", "provider", "model", "content", "message", "finishReason", "usage", "latencyMs"),
    *("fallbackFrom", "attempts"),
}
OVER = ("chat.complete", "chat.error")
HELLO = [{"role": "user", "content": "Hello there, how are you today?"}]

Told = tuple[str, dict[str, Any]]


def start(request_id: str | None = None, **more: Any) -> dict[str, Any]:
    """The data of chat.stream.start."""
    named = {} if request_id is None else {"requestId": request_id}
    return {**named, "messages": HELLO, **more}


async def begin(socket: aiohttp.ClientWebSocketResponse, request_id: str | None = None, **more: Any) -> None:
    await socket.send_json({"event": "chat.stream.start", "data": start(request_id, **more)})


async def hear(socket: aiohttp.ClientWebSocketResponse, within_s: float = 5.0) -> Told:
    """The next frame."""
    frame = await socket.receive_json(timeout=within_s)
    assert set(frame) == {"event", "data"}, frame
    return frame["event"], frame["data"]


async def hear_out(socket: aiohttp.ClientWebSocketResponse, chats: int = 1) -> list[Told]:
    """All frames until so many chats are over."""
    told: list[Told] = []
    while sum(event in OVER for event, _ in told) < chats:
        told.append(await hear(socket))
    return told


def check_chat(told: list[Told], request_id: str | None = None) -> dict[str, Any]:
    """That the frames of one chat are a whole one, in order; gives its response."""
    names = [event for event, _ in told]
    assert names[0] == "chat.start"
    assert names[-1] == "chat.complete"
    assert set(names[1:-1]) == {"chat.chunk"}
    ids = {data["requestId"] for _, data in told}
    assert len(ids) == 1
    assert request_id is None or ids == {request_id}
    assert set(told[0][1]) == {"requestId", "provider", "model"}
    chunks = [data["chunk"] for _, data in told[1:-1]]
    assert [chunk["index"] for chunk in chunks] == list(range(len(chunks)))
    assert all(set(chunk) == {"index", "delta"} and chunk["delta"] for chunk in chunks)
    assert set(told[-1][1]) == {"requestId", "response"}
    response: dict[str, Any] = told[-1][1]["response"]
    check_response(response)
    assert response["content"] == "".join(chunk["delta"] for chunk in chunks)
    assert (response["provider"], response["model"]) == (told[0][1]["provider"], told[0][1]["model"])
    return response


def check_response(response: dict[str, Any]) -> None:
    """That it is shaped as POST /chat answers."""
    assert set(response) == RESPONSE
    assert response["message"] == {"role": "assistant", "content": response["content"]}
    assert response["content"]
    usage = response["usage"]
    assert set(usage) == {"promptTokens", "completionTokens", "totalTokens"}
    assert usage["promptTokens"] + usage["completionTokens"] == usage["totalTokens"] > 0
    assert response["finishReason"] in ("stop", "length")
    assert response["latencyMs"] >= 0


def error_in(told: Told, request_id: str | None, code: str) -> dict[str, Any]:
    """The error of a chat.error frame, after checking its shape."""
    event, data = told
    assert event == "chat.error", told
    assert set(data) == {"requestId", "error"}
    assert data["requestId"] == request_id
    error: dict[str, Any] = data["error"]
    assert {"message", "type", "param", "code"} <= set(error)
    assert error["code"] == code, error
    assert "Traceback" not in error["message"]
    return error


async def cancelled(stack: Stack, provider: str = "openai", count: int = 1) -> None:
    """Wait until upstream saw its clients leave, within the second that is promised, and the books are closed."""

    async def left() -> bool:
        return sum(row["aborted"] for row in await stack.calls_to(provider)) >= count

    async def settled() -> bool:
        return all(row["reserved"] == 0 for row in await accounts(stack))

    await until(left, within_s=1.0, what="upstream is cancelled")
    await until(settled, within_s=1.0, what="nothing is reserved any more")


async def first_chunk_delay_s(stack: Stack, listen: Any) -> float:
    """The best of five: seconds from the call's arrival at the simulator to the first chunk at the client.

    `listen` starts a chat and gives the unix time at which its first chunk came. The simulator sends its first word at
    once and the second much later: a gateway that collected words would be late.
    """
    delays = []
    for _ in range(5):
        heard_at = await listen()
        delays.append(heard_at - (await stack.calls_to("openai"))[-1]["at"])
        await asyncio.sleep(0.02)
    return min(delays)
