"""Socket.IO, namespace /ai/stream: the same chats for the stock clients of Python and of npm."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import socketio
from e2e_quota import account
from e2e_sockets import OVER, Told, cancelled, check_chat, error_in, first_chunk_delay_s, start
from e2e_stack import Stack, Start
from e2e_tools import until
from msgspec import json

NAMESPACE = "/ai/stream"
NODE_CLIENT = Path(__file__).parents[1] / "clients" / "node"


class Client:
    """A connected python-socketio client and what it hears."""

    def __init__(self, client: socketio.AsyncClient, heard: asyncio.Queue[Told]) -> None:
        self.client = client
        self._heard = heard

    async def say(self, event: str, *data: Any) -> None:
        await self.client.emit(event, *data, namespace=NAMESPACE)

    async def hear(self) -> Told:
        return await asyncio.wait_for(self._heard.get(), 5)

    async def hear_out(self, chats: int = 1) -> list[Told]:
        told: list[Told] = []
        while sum(event in OVER for event, _ in told) < chats:
            told.append(await self.hear())
        return told


@asynccontextmanager
async def connected(stack: Stack, auth: dict[str, Any] | None = None, **more: Any) -> AsyncIterator[Client]:
    client, heard = socketio.AsyncClient(reconnection=False), asyncio.Queue[Told]()

    async def listen(event: str, data: Any = None) -> None:
        heard.put_nowait((event, data))

    client.on("*", listen, namespace=NAMESPACE)
    given = {"token": stack.token(), "tenantId": "acme", "userId": "ada"} if auth is None else auth
    await client.connect(stack.origin, namespaces=[NAMESPACE], auth=given, wait_timeout=5, **more)
    try:
        yield Client(client, heard)
    finally:
        await leave(client)


async def leave(client: socketio.AsyncClient) -> None:
    """Disconnect. A client that polls would wait for its last poll to time out: its session is closed under it."""
    leaving = asyncio.ensure_future(client.disconnect())
    await asyncio.wait([leaving], timeout=0.3)
    if not leaving.done():
        await client.eio.http.close()
    await asyncio.wait_for(leaving, 5)


async def refusal(stack: Stack, auth: dict[str, Any]) -> Any:
    """What a client that is not let in is told."""
    client, told = socketio.AsyncClient(reconnection=False), asyncio.get_running_loop().create_future()

    async def listen(data: Any) -> None:
        told.set_result(data)

    client.on("connect_error", listen, namespace=NAMESPACE)
    with pytest.raises(socketio.exceptions.ConnectionError):
        await client.connect(stack.origin, namespaces=[NAMESPACE], auth=auth, wait_timeout=5)
    await leave(client)
    return await asyncio.wait_for(told, 5)


# ---------------------------------------------------------------- who may speak


@pytest.mark.parametrize("transports", [["polling"], ["websocket"], ["polling", "websocket"]])
async def test_a_chat_over_every_transport(stack: Stack, transports: list[str]) -> None:
    async with connected(stack, transports=transports) as client:
        await client.say("chat.stream.start", start("r", preferredProvider="anthropic"))
        response = check_chat(await client.hear_out(), "r")
    assert response["provider"] == "anthropic"
    [line] = [line for line in stack.log_lines() if line.get("surface") == "socketio"]
    # The token says who asks; what the client calls its user is not believed.
    assert (line["tenant"], line["user"], line["outcome"]) == ("acme", "tester", "ok")


async def test_who_may_not_is_told_why(stack: Stack) -> None:
    good, both = stack.token(), stack.token(["acme", "globex"])
    cases = [
        ({"token": "sk-wrong", "tenantId": "acme"}, "invalid_api_key", 401),
        ({"token": stack.token(ttl_s=-60), "tenantId": "acme"}, "invalid_api_key", 401),
        ({"tenantId": "acme"}, "invalid_api_key", 401),
        ({"token": {"a": 1}}, "invalid_api_key", 401),
        ({"token": good, "tenantId": "globex"}, "tenant_forbidden", 403),
        ({"token": good, "tenantId": "nobody"}, "tenant_forbidden", 403),
        ({"token": both}, "invalid_request", 400),
    ]
    for auth, code, status in cases:
        told = await refusal(stack, auth)
        assert told["data"] == {"code": code, "status": status}, (auth, told)
        assert told["message"]
    assert await stack.sim("requests") == []


async def test_a_token_for_one_tenant_need_not_name_it(stack: Stack) -> None:
    async with connected(stack, {"token": stack.token("globex")}) as client:
        await client.say("chat.stream.start", start("r"))
        check_chat(await client.hear_out(), "r")
    assert (await account(stack, "tenant:globex"))["used"] > 0


async def test_a_credential_in_a_header_is_read_as_well(stack: Stack) -> None:
    headers = {"authorization": f"Bearer {stack.token()}"}
    async with connected(stack, {"tenantId": "acme"}, headers=headers) as client:
        await client.say("chat.stream.start", start("r"))
        check_chat(await client.hear_out(), "r")


async def test_there_is_no_other_namespace(stack: Stack) -> None:
    for namespace in ("/", "/ai", "/admin"):
        client = socketio.AsyncClient(reconnection=False)
        with pytest.raises(socketio.exceptions.ConnectionError):
            await client.connect(stack.origin, namespaces=[namespace], auth={"token": stack.token()}, wait_timeout=2)
        await leave(client)


# ---------------------------------------------------------------- chats


async def test_several_chats_at_once_and_one_of_them_stopped(start_stack: Start) -> None:
    stack = await start_stack(chunk_delay_s=0.05)
    async with connected(stack) as client:
        for name, model in (("one", "claude-sonnet-4-6"), ("two", "gemini-3.8-flash"), ("stopped", "gpt-5.4")):
            await client.say("chat.stream.start", start(name, model=model))
        told: list[Told] = []
        while not any(event == "chat.chunk" and data["requestId"] == "stopped" for event, data in told):
            told.append(await client.hear())
        await client.say("chat.stream.stop", {"requestId": "stopped"})
        await cancelled_upstream(stack)
        told += await client.hear_out(chats=2)
        assert stack.gateway.handlers.in_flight.value == 0
    for name in ("one", "two"):
        check_chat([(event, data) for event, data in told if data["requestId"] == name], name)
    assert not [event for event, data in told if data["requestId"] == "stopped" and event in OVER]


async def cancelled_upstream(stack: Stack) -> None:
    ends_at = time.monotonic() + 1.0
    while not any(row["aborted"] for row in await stack.calls_to("openai")):
        assert time.monotonic() < ends_at, "not cancelled within a second"
        await asyncio.sleep(0.01)


@pytest.mark.parametrize("transport", ["polling", "websocket"])
async def test_a_client_that_disconnects_cancels_its_chats(start_stack: Start, transport: str) -> None:
    stack = await start_stack(chunk_delay_s=0.2)
    async with connected(stack, transports=[transport]) as client:
        await client.say("chat.stream.start", start("r"))
        while (await client.hear())[0] != "chat.chunk":
            pass
    await cancelled(stack)
    served = (await stack.sim("served"))["openai"]["total_tokens"]
    assert (await account(stack, "tenant:acme"))["used"] >= served > 0


async def test_the_first_words_are_not_kept_back(start_stack: Start) -> None:
    stack = await start_stack(chunk_delay_s=0.15)
    async with connected(stack, transports=["websocket"]) as client:

        async def listen() -> float:
            await client.say("chat.stream.start", start("r"))
            while (await client.hear())[0] != "chat.chunk":
                pass
            heard_at = time.time()
            await client.say("chat.stream.stop", {"requestId": "r"})
            return heard_at

        assert await first_chunk_delay_s(stack, listen) < 0.05


# ---------------------------------------------------------------- what goes wrong


async def test_what_is_wrong_with_a_message_is_said_and_the_connection_goes_on(stack: Stack) -> None:
    cases: list[tuple[str, tuple[Any, ...], str | None, str]] = [
        ("chat.stream.start", (), None, "invalid_request"),
        ("chat.stream.start", ("text",), None, "invalid_request"),
        ("chat.stream.start", ([1],), None, "invalid_request"),
        ("chat.stream.start", ({"requestId": "r"},), "r", "invalid_request"),
        ("chat.stream.start", (start("r", messages=[]),), "r", "invalid_request"),
        ("chat.stream.start", (start("r", temperature=[]),), "r", "invalid_request"),
        ("chat.stream.start", (start("r", maxTokens=10**30),), "r", "invalid_request"),
        ("chat.stream.start", (start("r", messages=b"\x00\xff"),), "r", "invalid_request"),
        ("chat.stream.start", (start("r", messages=[{"role": "user", "content": b"\xff"}]),), "r", "invalid_request"),
        ("chat.stream.start", (start("r", model="no-such-model"),), "r", "model_not_found"),
        ("chat.stream.stop", ({"requestId": "nobody"},), "nobody", "invalid_request"),
        ("chat.stream.stop", ({"requestId": {}},), None, "invalid_request"),
        ("chat.stream.stop", (b"\x00",), None, "invalid_request"),
        ("no.such.event", ({"requestId": "r"},), "r", "invalid_request"),
        ("on_connect", ({},), None, "invalid_request"),
    ]
    async with connected(stack) as client:
        for event, data, request_id, code in cases:
            await client.say(event, *data)
            error_in(await client.hear(), request_id, code)
        await client.say("chat.stream.start", start("still here"))
        check_chat(await client.hear_out(), "still here")
    assert [line for line in stack.log_lines() if line["event"] in ("internal_error", "library")] == []


async def test_quotas_hold_here_too(start_stack: Start) -> None:
    stack = await start_stack({"tenants": {"acme": {"quota": {"daily_tokens": 500}}}})
    async with connected(stack) as client:
        await client.say("chat.stream.start", start("large", maxTokens=5000))
        assert error_in(await client.hear(), "large", "quota_exceeded")["type"] == "insufficient_quota"
        await client.say("chat.stream.start", start("small", maxTokens=20))
        check_chat(await client.hear_out(), "small")


async def test_a_chat_that_breaks_off_never_looks_complete(stack: Stack) -> None:
    await stack.fault("openai", "cut", after_events=2, times=1)
    async with connected(stack) as client:
        await client.say("chat.stream.start", start("r"))
        told = await client.hear_out()
    error_in(told[-1], "r", "stream_interrupted")


TRANSPORTS = pytest.mark.parametrize("transport", ["polling", "websocket"])


@TRANSPORTS
@pytest.mark.parametrize(
    "chunk_delay_s", [0.6, 0.01]
)  # the end finds the client waiting in a poll, or between two of them
async def test_when_the_drain_time_is_over_chats_are_told_before_their_connections_end(
    start_stack: Start, transport: str, chunk_delay_s: float
) -> None:
    stack = await start_stack({"server": {"drain_s": 0.1}}, chunk_delay_s=chunk_delay_s)
    long = [{"role": "user", "content": "word " * 500}]
    async with connected(stack, transports=[transport]) as one, connected(stack, transports=[transport]) as other:
        for client in (one, other):
            await client.say("chat.stream.start", start("r", messages=long))
            assert (await client.hear())[0] == "chat.start"
        await stack.gateway.drain()
        stopping = asyncio.create_task(stack.gateway.socketio.close())
        for client in (one, other):
            error_in((await client.hear_out())[-1], "r", "stream_interrupted")
        await stopping
        await until(lambda: not one.client.connected and not other.client.connected)


@TRANSPORTS
async def test_a_chat_that_ends_within_the_drain_time_is_whole(start_stack: Start, transport: str) -> None:
    stack = await start_stack(chunk_delay_s=0.1)
    async with connected(stack, transports=[transport]) as client:
        await client.say("chat.stream.start", start("r", messages=[{"role": "user", "content": "word " * 20}]))
        told = [await client.hear()]
        draining = asyncio.create_task(stack.gateway.drain())
        check_chat(told + await client.hear_out(), "r")
        await draining


async def test_a_message_over_a_mebibyte_ends_the_connection(stack: Stack) -> None:
    async with connected(stack, transports=["websocket"]) as client:
        await client.say("chat.stream.start", start("big", pad="x" * (1024 * 1024 + 1)))
        await asyncio.wait_for(client.client.wait(), 5)
        assert not client.client.connected
    assert await stack.sim("requests") == []


# ---------------------------------------------------------------- npm's own client


async def test_the_stock_client_from_npm_connects_upgrades_and_chats(stack: Stack) -> None:
    assert (NODE_CLIENT / "node_modules").is_dir(), "run scripts/test-system-packages first"
    command = ("node", str(NODE_CLIENT / "chat.mjs"), stack.origin, stack.token(), "acme")
    process = await asyncio.create_subprocess_exec(
        *command, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
    )
    try:
        out, err = await asyncio.wait_for(process.communicate(), 30)
    except TimeoutError:
        process.kill()
        raise
    assert process.returncode == 0, err.decode()
    found = json.decode(out)
    for how, transport in (("upgraded", "websocket"), ("polling", "polling"), ("websocket", "websocket")):
        heard = found[how]
        assert heard["transport"] == transport
        assert (
            "Hello from a browser" in check_chat([(event, data) for event, data in heard["heard"]], "first")["content"]
        )
        providers = [check_chat([(event, data) for event, data in one])["provider"] for one in heard["both"]]
        assert providers == ["openai", "anthropic"]
        [(event, data)] = heard["wrong"]
        error_in((event, data), "wrong", "invalid_request")
    assert found["badToken"]["data"] == {"code": "invalid_api_key", "status": 401}
    assert found["noToken"]["data"] == {"code": "invalid_api_key", "status": 401}
    assert found["otherTenant"]["data"] == {"code": "tenant_forbidden", "status": 403}
