"""Sockets that live long: what changes around them changes for them too, and what they hold ends with them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
import pytest
from e2e_heard import seen
from e2e_sockets import begin, check_chat, error_in, hear, hear_out
from e2e_stack import Stack, Start
from e2e_tools import until
from msgspec import json, structs

from gateway.settings import ApiKey, Limits, Tenant

Socket = aiohttp.ClientWebSocketResponse


@asynccontextmanager
async def socket_of(stack: Stack, token: str = "", autoping: bool = True) -> AsyncIterator[Socket]:
    url = f"{stack.base()}/stream?token={token or stack.token()}"
    async with stack.session.ws_connect(url, autoping=autoping) as socket:
        yield socket


async def reload(stack: Stack, **sections: Any) -> None:
    await stack.gateway.reload(structs.replace(stack.gateway.config, **sections))


def carriers() -> int:
    """Tasks that carry what goes out on sockets."""
    return sum("Line._carry" in str(task.get_coro()) for task in asyncio.all_tasks())


# ------------------------------------------------------------ reloads


async def test_new_limits_hold_for_the_next_chat_of_an_open_socket(stack: Stack) -> None:
    async with socket_of(stack) as socket:
        await begin(socket, "a")
        check_chat(await hear_out(socket), "a")
        tenants = stack.gateway.config.tenants
        await reload(stack, tenants={**tenants, "acme": Tenant(limits=Limits(requests_per_minute=1))})
        await begin(socket, "b")
        check_chat(await hear_out(socket), "b")
        await begin(socket, "c")
        error_in(await hear(socket), "c", "rate_limit_exceeded")


async def test_new_settings_of_a_tenant_hold_for_the_next_chat_of_an_open_socket(stack: Stack) -> None:
    async with socket_of(stack) as socket:
        tenants = stack.gateway.config.tenants
        await reload(stack, tenants={**tenants, "acme": Tenant(providers=["gemini"])})
        await begin(socket, "a")
        assert check_chat(await hear_out(socket), "a")["provider"] == "gemini"


async def test_a_tenant_that_is_gone_begins_no_chat_on_an_open_socket(stack: Stack) -> None:
    async with socket_of(stack) as socket:
        await reload(stack, tenants={"default": Tenant()})
        await begin(socket, "a")
        error_in(await hear(socket), "a", "tenant_forbidden")
    assert await stack.sim("requests") == []


async def test_other_keys_begin_no_chat_on_a_socket_that_was_opened_with_the_old_ones(stack: Stack) -> None:
    async with socket_of(stack) as socket:
        await reload(stack, limits=Limits(concurrency=7))
        await begin(socket, "a")
        check_chat(await hear_out(socket), "a")
        auth = stack.gateway.config.auth
        await reload(stack, auth=structs.replace(auth, api_keys=[ApiKey(sha256="0" * 64, tenant="acme", name="ci")]))
        await begin(socket, "b")
        error_in(await hear(socket), "b", "invalid_api_key")


async def test_a_token_that_has_expired_begins_no_chat(stack: Stack, monkeypatch: pytest.MonkeyPatch) -> None:
    async with socket_of(stack, stack.token(ttl_s=5)) as socket:
        await begin(socket, "a")
        check_chat(await hear_out(socket), "a")
        wall = stack.gateway.pipeline.wall
        monkeypatch.setattr(stack.gateway.pipeline, "wall", lambda: wall() + 60)
        await begin(socket, "b")
        error_in(await hear(socket), "b", "invalid_api_key")


# ------------------------------------------------------------ too many, or too late


async def test_the_most_calls_in_flight_are_the_most_on_sockets_too(start_stack: Start) -> None:
    stack = await start_stack({"server": {"max_in_flight": 2, "drain_s": 2}})
    await stack.fault("openai", "slow_first_byte", delay_s=0.5)
    async with socket_of(stack) as socket:
        for name in "abc":
            await begin(socket, name)
        error_in(await hear(socket), "c", "overloaded")


async def test_a_gateway_that_is_stopping_begins_no_chat_and_lets_the_running_one_end(start_stack: Start) -> None:
    stack = await start_stack(chunk_delay_s=0.1)
    async with socket_of(stack) as socket:
        await begin(socket, "a")
        assert (await hear(socket))[0] == "chat.start"
        draining = asyncio.create_task(stack.gateway.drain())
        await until(lambda: stack.gateway.draining)
        await begin(socket, "b")
        told = await hear_out(socket, 2)
        error_in(next(each for each in told if each[1].get("requestId") == "b"), "b", "overloaded")
        assert [event for event, data in told if data["requestId"] == "a"][-1] == "chat.complete"
        await draining


# ------------------------------------------------------------ what ends with a socket


async def test_a_client_that_reads_nothing_is_let_go(start_stack: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gateway.web.websocket.PING_S", 0.4)
    stack = await start_stack(chunk_delay_s=0.05)
    async with socket_of(stack, autoping=False) as socket:
        await begin(socket, "a", messages=[{"role": "user", "content": "word " * 400}])
        await until(lambda: stack.gateway.handlers.in_flight.value)
        await until(lambda: not stack.gateway.handlers.in_flight.value, within_s=2.0, what="its chat is over")
        await until(lambda: seen(stack, "openai")[0].aborted)
        await until(lambda: not stack.gateway.sockets.open and not carriers())


async def test_a_client_that_says_goodbye_and_hangs_up_at_once_leaves_nothing(start_stack: Start) -> None:
    stack = await start_stack(chunk_delay_s=0.2)
    async with socket_of(stack) as socket:
        await begin(socket, "a")
        assert (await hear(socket))[0] == "chat.start"
        assert socket._response.connection is not None
        transport = socket._response.connection.transport
        await socket._writer.close()
        transport.abort()
        await until(lambda: not stack.gateway.sockets.open and not stack.gateway.handlers.in_flight.value)
    await until(lambda: not carriers(), what="nothing carries for a socket that is gone")


async def test_a_client_that_leaves_while_it_is_being_let_in_leaves_nothing(
    stack: Stack, monkeypatch: pytest.MonkeyPatch
) -> None:
    entered = asyncio.Event()
    authenticate = stack.gateway.handlers.authenticate

    async def slowly(*arguments: Any) -> Any:
        entered.set()
        await asyncio.sleep(0.2)
        return await authenticate(*arguments)

    monkeypatch.setattr(stack.gateway.handlers, "authenticate", slowly)
    url = f"{stack.origin}/socket.io/?EIO=4&transport=polling"
    async with stack.session.get(url) as opened:
        url += "&sid=" + json.decode((await opened.text())[1:])["sid"]
    entering = asyncio.create_task(stack.session.post(url, data='40/ai/stream,{"token":"' + stack.token() + '"}'))
    await entered.wait()
    async with stack.session.post(url, data="1") as answer:  # Engine.IO's goodbye
        assert answer.status == 200
    (await entering).close()
    assert stack.gateway.socketio.server._space.open == {}
    assert carriers() == 0


async def test_who_never_says_who_it_is_is_let_go(stack: Stack, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gateway.web.socketio.ENTER_S", 0.1)
    url = f"{stack.origin}/socket.io/?EIO=4&transport=websocket"
    async with stack.session.ws_connect(url) as silent, stack.session.ws_connect(url) as known:
        await silent.receive()
        await known.receive()
        await known.send_str('40/ai/stream,{"token":"' + stack.token() + '"}')
        assert (await known.receive_str()).startswith("40/ai/stream")
        for _ in range(3):
            await stack.gateway.socketio.sweep()
            await asyncio.sleep(0.08)
        assert (await silent.receive(timeout=1)).data == "1", "Engine.IO's goodbye"
        assert len(stack.gateway.socketio.server._server.environ) == 1
        await known.send_str('42/ai/stream,["chat.stream.stop",{"requestId":"x"}]')
        assert "chat.error" in await known.receive_str()


async def test_an_event_with_half_a_surrogate_pair_for_a_name_is_refused_like_any_other(stack: Stack) -> None:
    async with stack.session.ws_connect(f"{stack.origin}/socket.io/?EIO=4&transport=websocket") as socket:
        await socket.receive()
        await socket.send_str('40/ai/stream,{"token":"' + stack.token() + '"}')
        await socket.receive()
        for event in ('["\\ud800",{}]', '["chat.stream.start",{"requestId":"\\ud800"}]', '["chat.stream.stop",{}]'):
            await socket.send_str("42/ai/stream," + event)
            assert "chat.error" in await socket.receive_str(timeout=2)
    assert [line for line in stack.log_lines() if line["event"] == "library"] == []


async def polling(stack: Stack) -> str:
    """The URL of a new session of long polling, of a client that has not said who it is."""
    url = f"{stack.origin}/socket.io/?EIO=4&transport=polling"
    async with stack.session.get(url) as opened:
        return f"{url}&sid=" + json.decode((await opened.text())[1:])["sid"]


@pytest.mark.parametrize("body", [b"4" * (1024 * 1024 + 1), b"2", b"6"], ids=["over a mebibyte", "ping", "noop"])
async def test_a_post_that_no_client_may_send_ends_its_session_at_once(stack: Stack, body: bytes) -> None:
    async with asyncio.timeout(5), stack.session.post(await polling(stack), data=body) as answer:
        assert answer.status == 400
    assert stack.gateway.socketio.server._server.eio.sockets == {}


async def test_a_stranger_that_polls_no_more_keeps_nobody_else(stack: Stack, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gateway.web.socketio.ENTER_S", 0.1)
    for _ in range(2):
        await polling(stack)
    await stack.gateway.socketio.sweep()
    await asyncio.sleep(0.15)
    async with asyncio.timeout(5):
        await stack.gateway.socketio.sweep()
    assert stack.gateway.socketio.server._server.eio.sockets == {}
    assert len(stack.gateway.socketio.server._server.environ) == 0


GARBAGE = (b"\xff\xfe", b"42[", b"40/ai/stream,{bad", b'451-["x"]', b"4", b"9", b"", b"4" * 99, b'42{"a":1}', b"42[]")


async def test_what_strangers_send_is_no_error_in_the_log_and_a_fault_of_ours_is(
    stack: Stack, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    url = f"{stack.origin}/socket.io/?EIO=4&transport=websocket"
    for packet in GARBAGE:
        async with stack.session.post(await polling(stack), data=packet) as answer:
            assert answer.status in (200, 400)
        async with stack.session.ws_connect(url) as socket:
            await socket.receive()
            await socket.send_str(packet.decode("latin-1"))
            await socket.send_bytes(packet)
    await asyncio.sleep(0.1)
    assert [record.getMessage() for record in caplog.records if record.name.startswith(("engineio", "socketio"))] == []

    def broken(*_: Any) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr("gateway.web.chats.Chats.take", broken)
    async with stack.session.ws_connect(url) as socket:
        await socket.receive()
        await socket.send_str('40/ai/stream,{"token":"' + stack.token() + '"}')
        await socket.receive()
        await socket.send_str('42/ai/stream,["chat.stream.start",{}]')
        await until(lambda: [r for r in caplog.records if r.exc_info and r.exc_info[0] is ZeroDivisionError])


async def test_when_the_drain_time_is_over_a_chat_is_told_before_its_socket_closes(start_stack: Start) -> None:
    stack = await start_stack({"server": {"drain_s": 0.1}}, chunk_delay_s=0.6)
    async with socket_of(stack) as one, socket_of(stack) as other:
        for socket in (one, other):
            await begin(socket, "a")
            assert (await hear(socket))[0] == "chat.start"
        await stack.gateway.drain()
        stopping = asyncio.create_task(stack.gateway.sockets.close())
        for socket in (one, other):
            told = await hear_out(socket)
            error_in(told[-1], "a", "stream_interrupted")
            assert (await socket.receive(timeout=2)).type in (aiohttp.WSMsgType.CLOSE, aiohttp.WSMsgType.CLOSING)
            assert socket.close_code == 1001
        await stopping
