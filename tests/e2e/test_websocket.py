"""GET {base}/stream: chats over a WebSocket, several at once."""

from __future__ import annotations

import asyncio
import time
from collections import defaultdict
from typing import Any

import aiohttp
import pytest
import websockets
from e2e_quota import account
from e2e_sockets import HELLO, Told, begin, cancelled, check_chat, error_in, first_chunk_delay_s, hear, hear_out, start
from e2e_stack import Stack, Start
from e2e_tools import error_of, until
from msgspec import json

from gateway.web import websocket as door

Socket = aiohttp.ClientWebSocketResponse


def connect(stack: Stack, tenant: str = "acme", **more: Any) -> Any:
    more.setdefault("headers", stack.headers(tenant))
    return stack.session.ws_connect(stack.base(tenant) + "/stream", max_msg_size=0, **more)


async def closed_with(socket: Socket) -> int | None:
    """The close code that ends the socket."""
    while not socket.closed:
        await socket.receive(timeout=5)
    return socket.close_code


# ---------------------------------------------------------------- who may speak


@pytest.mark.parametrize("way", ["header", "x-api-key", "?token=", "first frame"])
async def test_a_credential_may_come_in_three_ways(stack: Stack, way: str) -> None:
    token = stack.token()
    headers = {"header": {"authorization": f"Bearer {token}"}, "x-api-key": {"x-api-key": token}}.get(way, {})
    params = {"token": token} if way == "?token=" else {}
    async with connect(stack, headers=headers, params=params) as socket:
        if way == "first frame":
            await socket.send_json({"event": "auth", "data": {"token": token}})
        await begin(socket, "one")
        check_chat(await hear_out(socket), "one")
    assert token not in stack.log_text()


@pytest.mark.parametrize("path", ["/api/v1/acme/ai/stream", "/api/v1/acme/ai/v1/stream", "/v1/stream"])
async def test_the_socket_stands_wherever_the_rest_of_the_api_does(stack: Stack, path: str) -> None:
    async with stack.session.ws_connect(stack.origin + path, headers=stack.headers()) as socket:
        await begin(socket)
        check_chat(await hear_out(socket))


BAD_FIRST = [
    "not JSON",
    '{"event":"auth"}',
    '{"event":"auth","data":{}}',
    '{"event":"auth","data":{"token":5}}',
    '{"event":"auth","data":{"token":"sk-wrong"}}',
    '{"event":"auth","data":{"token":""}}',
    '{"event":"chat.stream.start","data":{}}',
    "[]",
    b"\x00\xff",
]


@pytest.mark.parametrize("frame", BAD_FIRST)
async def test_a_first_frame_without_a_good_credential_closes_the_socket(stack: Stack, frame: str | bytes) -> None:
    async with connect(stack, headers={}) as socket:
        await (socket.send_bytes(frame) if isinstance(frame, bytes) else socket.send_str(frame))
        assert await closed_with(socket) == 4401
    assert await stack.sim("requests") == []


async def test_bad_credentials_are_4401_and_other_tenants_4403(stack: Stack) -> None:
    expired, good = stack.token(ttl_s=-60), stack.token("acme")
    both = stack.token(["acme", "globex"])
    for token, code in ((expired, 4401), ("sk-wrong", 4401), (good, 4403)):
        for headers, params in (({"authorization": f"Bearer {token}"}, {}), ({}, {"token": token})):
            async with connect(stack, "globex", headers=headers, params=params) as socket:
                assert await closed_with(socket) == code
        async with connect(stack, "globex", headers={}) as socket:
            await socket.send_json({"event": "auth", "data": {"token": token}})
            assert await closed_with(socket) == code
    async with connect(stack, "no-such-tenant", headers={"authorization": f"Bearer {good}"}) as socket:
        assert await closed_with(socket) == 4403
    at_root = stack.session.ws_connect(stack.origin + "/v1/stream", headers={"authorization": f"Bearer {both}"})
    async with at_root as socket:
        assert await closed_with(socket) in (4401, 4403)


async def test_who_says_nothing_is_let_go(stack: Stack, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(door, "FIRST_FRAME_S", 0.2)
    began = time.monotonic()
    async with connect(stack, headers={}) as socket:
        assert await closed_with(socket) == 4408
    assert time.monotonic() - began < 2


async def test_without_an_upgrade_the_path_says_what_it_is(stack: Stack) -> None:
    async with stack.session.get(stack.base() + "/stream", headers=stack.headers()) as answer:
        await error_of(answer, 426, "upgrade_required")
        assert answer.headers["upgrade"] == "websocket"
    async with stack.session.post(stack.base() + "/stream", headers=stack.headers(), json={}) as answer:
        assert (answer.status, answer.headers["allow"]) == (405, "GET")


# ---------------------------------------------------------------- chats


async def test_a_chat_is_answered_as_over_http(stack: Stack) -> None:
    async with connect(stack) as socket:
        await begin(socket, "r1", model="claude-sonnet-4-6", temperature=0.5, maxTokens=50, sessionId="s-1")
        response = check_chat(await hear_out(socket), "r1")
    whole = await (
        await stack.post("/chat", {"messages": HELLO, "model": "claude-sonnet-4-6", "sessionId": "s-1"})
    ).json()
    assert set(response) == set(whole)
    for name in (
        "sessionId",
        "provider",
        "model",
        "content",
        "message",
        "finishReason",
        "usage",
        "fallbackFrom",
        "attempts",
    ):
        assert response[name] == whole[name], name
    [sent, _] = await stack.calls_to("anthropic")
    assert (sent["body"]["max_tokens"], sent["body"]["stream"]) == (50, True)
    lines = [line for line in stack.log_lines() if line.get("surface") == "websocket"]
    assert [(line["tenant"], line["provider"], line["status"], line["outcome"]) for line in lines] == [
        ("acme", "anthropic", 200, "ok")
    ]


async def test_the_preferred_provider_goes_first_and_a_failed_one_is_named(stack: Stack) -> None:
    await stack.fault("gemini", "status", status=500)
    async with connect(stack) as socket:
        await begin(socket, preferredProvider="anthropic")
        assert check_chat(await hear_out(socket))["provider"] == "anthropic"
        await begin(socket, preferredProvider="gemini")
        response = check_chat(await hear_out(socket))
    assert (response["provider"], response["fallbackFrom"], response["attempts"]) == ("openai", ["gemini"], 2)


async def test_several_chats_at_once_keep_to_their_own_ids(start_stack: Start) -> None:
    stack = await start_stack(chunk_delay_s=0.005)
    names = [f"chat-{number}" for number in range(8)]
    async with connect(stack) as socket:
        for name in names:
            messages = [{"role": "user", "content": f"Please say the word {name} again"}]
            await begin(socket, name, messages=messages)
        told = await hear_out(socket, chats=len(names))
    by_id: dict[str, list[Told]] = defaultdict(list)
    for event, data in told:
        by_id[data["requestId"]].append((event, data))
    assert set(by_id) == set(names)
    for name, mine in by_id.items():
        assert name in check_chat(mine, name)["content"]
    starts = [number for number, (event, _) in enumerate(told) if event == "chat.start"]
    assert max(starts) < next(number for number, (event, _) in enumerate(told) if event == "chat.complete")


async def test_over_a_hundred_chats_are_too_many_for_one_socket(start_stack: Start) -> None:
    stack = await start_stack({"limits": {"concurrency": None}})
    await stack.fault("openai", "slow_first_byte", delay_s=1.0)
    async with connect(stack) as socket:
        for number in range(103):
            await begin(socket, f"r{number}")
        refused = [await hear(socket) for _ in range(3)]
        for number, told in enumerate(refused):
            error_in(told, f"r{100 + number}", "concurrency_exceeded")
        done = await hear_out(socket, chats=100)
    assert {data["requestId"] for event, data in done if event == "chat.complete"} == {f"r{n}" for n in range(100)}


async def test_the_first_words_are_not_kept_back(start_stack: Start) -> None:
    stack = await start_stack(chunk_delay_s=0.15)

    async with connect(stack) as socket:

        async def listen() -> float:
            await begin(socket, "r")
            while (await hear(socket))[0] != "chat.chunk":
                pass
            heard_at = time.time()
            await socket.send_json({"event": "chat.stream.stop", "data": {"requestId": "r"}})
            return heard_at

        assert await first_chunk_delay_s(stack, listen) < 0.05


# ---------------------------------------------------------------- stopping


async def test_a_stopped_chat_is_over_upstream_too_and_others_go_on(start_stack: Start) -> None:
    stack = await start_stack(chunk_delay_s=0.1)
    async with connect(stack) as socket:
        await begin(socket, "stopped")
        await begin(socket, "other", model="claude-sonnet-4-6")
        while (await hear(socket))[1].get("requestId") != "stopped":
            pass
        await socket.send_json({"event": "chat.stream.stop", "data": {"requestId": "stopped"}})
        await until(lambda: aborted(stack), within_s=1.0)
        told = await hear_out(socket)
    after = [event for event, data in told[-3:] if data["requestId"] == "stopped"]
    assert after == []
    assert told[-1][0] == "chat.complete"
    assert (await account(stack, "provider:openai"))["used"] > 0
    assert [line["outcome"] for line in stack.log_lines() if line.get("surface") == "websocket"] == [
        "client_gone",
        "ok",
    ]


async def aborted(stack: Stack) -> bool:
    return any(row["aborted"] for row in await stack.calls_to("openai"))


@pytest.mark.parametrize("how", ["close", "vanish"])
async def test_closing_the_socket_cancels_all_its_chats(start_stack: Start, how: str) -> None:
    stack = await start_stack({"tenants": {"acme": {"quota": {"daily_tokens": 1_000_000}}}}, chunk_delay_s=0.2)
    async with aiohttp.ClientSession() as leaving:
        socket = await leaving.ws_connect(stack.base() + "/stream", headers=stack.headers())
        for number in range(3):
            await begin(socket, f"r{number}")
        heard = set()
        while len(heard) < 3:
            event, data = await hear(socket)
            heard |= {data["requestId"]} if event == "chat.chunk" else set()
        if how == "close":
            await socket.close()
        else:
            assert socket._response.connection is not None  # the network breaks without a word
            socket._response.connection.transport.abort()
        await cancelled(stack, count=3)
    served = (await stack.sim("served"))["openai"]["total_tokens"]
    assert (await account(stack, "tenant:acme"))["used"] >= served > 0
    assert stack.gateway.handlers.in_flight.value == 0


# ---------------------------------------------------------------- what goes wrong


async def test_what_is_wrong_with_a_message_is_said_and_the_socket_goes_on(stack: Stack) -> None:
    no_list: dict[str, Any] = {"requestId": "r", "messages": "Hello"}
    cases: list[tuple[str | dict[str, Any], str | None, str]] = [
        ("not JSON", None, "invalid_json"),
        ("[1, 2]", None, "invalid_json"),
        ('{"event": 5, "data": {}}', None, "invalid_json"),
        ('{"event": "chat.stream.start", "data": []}', None, "invalid_json"),
        ({"event": "chat.stream.begin", "data": {"requestId": "r"}}, "r", "invalid_request"),
        ({"event": "chat.stream.start", "data": no_list}, "r", "invalid_request"),
        ({"event": "chat.stream.start", "data": {"requestId": "r"}}, "r", "invalid_request"),
        ({"event": "chat.stream.start", "data": start("r", messages=[])}, "r", "invalid_request"),
        ({"event": "chat.stream.start", "data": start("r", temperature="hot")}, "r", "invalid_request"),
        ({"event": "chat.stream.start", "data": start("r", maxTokens=0)}, "r", "invalid_request"),
        ({"event": "chat.stream.start", "data": start("r", messages=[{"role": "cat", "content": "Hi"}])}, "r", "invalid_request"),
        ({"event": "chat.stream.start", "data": start("r" * 129)}, "r" * 129, "invalid_request"),
        ({"event": "chat.stream.start", "data": {**start(), "requestId": 5}}, None, "invalid_request"),
        ({"event": "chat.stream.start", "data": start("r", model="no-such-model")}, "r", "model_not_found"),
        ({"event": "chat.stream.start", "data": start("r", preferredProvider="nobody")}, "r", "invalid_request"),
        ({"event": "chat.stream.start", "data": start("r", maxTokens=10**30)}, "r", "invalid_request"),
        ('{"event": "chat.stream.start", "data": {"messages": ' + "[" * 100_000 + "]" * 100_000 + "}}", None, "invalid_json"),
        ({"event": "chat.stream.stop", "data": {"requestId": "unknown"}}, "unknown", "invalid_request"),
        ({"event": "chat.stream.stop", "data": {}}, None, "invalid_request"),
        ({"event": "chat.stream.stop", "data": {"requestId": []}}, None, "invalid_request"),
    ]  # fmt: skip
    async with connect(stack) as socket:
        for frame, request_id, code in cases:
            await socket.send_str(frame if isinstance(frame, str) else json.encode(frame).decode())
            error_in(await hear(socket), request_id, code)
        await socket.send_bytes(b"\x00\x01\x02")
        error_in(await hear(socket), None, "invalid_request")
        await begin(socket, "still here")
        check_chat(await hear_out(socket), "still here")
    assert [line for line in stack.log_lines() if line["event"] == "internal_error"] == []


async def test_a_chat_that_still_runs_keeps_its_id(start_stack: Start) -> None:
    stack = await start_stack(chunk_delay_s=0.02)
    async with connect(stack) as socket:
        await begin(socket, "same")
        told = [await hear(socket)]
        await begin(socket, "same")
        while told[-1][0] != "chat.error":
            told.append(await hear(socket))
        assert error_in(told.pop(), "same", "invalid_request")["param"] == "requestId"
        check_chat(told + await hear_out(socket), "same")
        await begin(socket, "same")
        check_chat(await hear_out(socket), "same")
    assert len(await stack.calls_to("openai")) == 2


async def test_the_id_of_a_stopped_chat_is_free_at_once(start_stack: Start) -> None:
    stack = await start_stack(chunk_delay_s=0.02)
    async with connect(stack) as socket:
        await begin(socket, "same")
        assert (await hear(socket))[0] == "chat.start"
        await socket.send_json({"event": "chat.stream.stop", "data": {"requestId": "same"}})
        await begin(socket, "same", preferredProvider="anthropic")
        told = [await hear(socket)]
        while told[-1][0] == "chat.chunk":  # of the first, from before it was stopped
            told = [await hear(socket)]
        assert check_chat(told + await hear_out(socket), "same")["provider"] == "anthropic"
        await begin(socket, "same")
        check_chat(await hear_out(socket), "same")


async def test_when_every_provider_fails_the_error_tells_of_each(stack: Stack) -> None:
    for provider in ("openai", "anthropic", "gemini"):
        await stack.fault(provider, "status", status=500)
    async with connect(stack) as socket:
        await begin(socket, "r")
        error = error_in(await hear(socket), "r", "upstream_error")
    assert [row["provider"] for row in error["attempts"]] == ["openai", "anthropic", "gemini"]


async def test_a_chat_that_breaks_off_never_looks_complete(stack: Stack) -> None:
    await stack.fault("openai", "cut", after_events=2, times=1)
    async with connect(stack) as socket:
        await begin(socket, "r")
        told = await hear_out(socket)
        assert [event for event, _ in told[:2]] == ["chat.start", "chat.chunk"]
        error_in(told[-1], "r", "stream_interrupted")
        await begin(socket, "r")
        check_chat(await hear_out(socket), "r")


async def test_quotas_and_limits_hold_on_a_socket(start_stack: Start) -> None:
    stack = await start_stack({"tenants": {"acme": {"quota": {"daily_tokens": 500}}}})
    async with connect(stack) as socket:
        await begin(socket, "large", maxTokens=5000)
        error = error_in(await hear(socket), "large", "quota_exceeded")
        assert error["type"] == "insufficient_quota"
        await begin(socket, "small", maxTokens=20)
        response = check_chat(await hear_out(socket), "small")
    assert (await account(stack, "tenant:acme"))["used"] == response["usage"]["totalTokens"]


# ---------------------------------------------------------------- the frames themselves


async def test_a_frame_of_one_mebibyte_is_read_and_a_larger_one_closes_the_socket(stack: Stack) -> None:
    bare = len(json.encode({"event": "chat.stream.start", "data": start("big", pad="")}))
    for extra, code in ((0, None), (1, 1009)):
        frame = json.encode(
            {"event": "chat.stream.start", "data": start("big", pad="x" * (1024 * 1024 - bare + extra))}
        )
        assert len(frame) == 1024 * 1024 + extra
        async with connect(stack) as socket:
            await socket.send_str(frame.decode())
            if code is None:
                check_chat(await hear_out(socket), "big")
            else:
                assert await closed_with(socket) == code


async def test_another_library_is_served_as_well(stack: Stack) -> None:
    url = stack.base().replace("http", "ws") + "/stream"
    async with websockets.connect(url, additional_headers=stack.headers()) as socket:
        # One message in three fragments, with a ping between them.
        text = json.encode({"event": "chat.stream.start", "data": start("w")}).decode()
        await socket.send([text[:10], text[10:20], text[20:]])
        await (await socket.ping())
        told: list[Told] = []
        while not told or told[-1][0] != "chat.complete":
            frame = json.decode(await asyncio.wait_for(socket.recv(), 5))
            told.append((frame["event"], frame["data"]))
    check_chat(told, "w")


async def test_a_gateway_that_stops_says_goodbye(start_stack: Start) -> None:
    stack = await start_stack()
    session = aiohttp.ClientSession()
    async with session, session.ws_connect(stack.base() + "/stream", headers=stack.headers()) as socket:
        stopping = asyncio.ensure_future(stack.stop())
        assert await closed_with(socket) == 1001
        await stopping
