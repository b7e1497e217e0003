"""Socket.IO seen from outside the process: what its clients can write to the log, and that none of them delays its end."""

from __future__ import annotations

import asyncio
import time
from typing import Any

import aiohttp
import pytest
import socketio
from e2e_tools import until
from e2e_workers import Fleet, Run
from msgspec import json
from yarl import URL

FORGED = '{"event":"forged"}'
LINE = "x%0A%7B%22event%22%3A%22forged%22%7D%0A"  # FORGED on a line of its own
ENGINE_OPEN, ENGINE_CLOSE, CONNECT, EVENT = "0", "1", "40", "42"


def engine(fleet: Fleet, query: str) -> URL:
    return URL(f"http://127.0.0.1:{fleet.port}/socket.io/?{query}", encoded=True)


async def opened(fleet: Fleet) -> str:
    """The session of a client that polls and is no further than the transport's own handshake."""
    async with fleet.keeping.get(engine(fleet, "EIO=4&transport=polling")) as answer:
        text = await answer.text()
    assert text.startswith(ENGINE_OPEN)
    return str(json.decode(text[1:])["sid"])


async def test_nothing_that_a_client_sends_stands_raw_in_the_log(run: Run) -> None:
    fleet = await run(1)

    async def get(query: str, **more: Any) -> int:
        async with fleet.session.get(engine(fleet, query), **more) as answer:
            return answer.status

    async def post(query: str, body: bytes) -> int:
        async with fleet.session.post(engine(fleet, query), data=body) as answer:
            return answer.status

    sid = await opened(fleet)
    for query in (
        f"EIO=4&transport=polling&sid={LINE}",
        f"EIO=4&transport={LINE}",
        f"EIO=4&transport={LINE}&sid={sid}",
        f"EIO={LINE}&transport=polling",
        f"EIO=3&transport=polling&b={LINE}",
        f"EIO=4&transport=websocket&sid={LINE}",
        f"EIO=4&transport=polling&j={LINE}&sid={sid}",
    ):
        assert await get(query) == 400, query
    await get("EIO=4&transport=polling&sid=x", headers={"origin": f"http://x/{LINE}"})
    assert await post(f"EIO=4&transport=polling&sid={LINE}", b"x") == 400
    await post(f"EIO=4&transport=polling&sid={sid}", f"\n{FORGED}\n".encode())
    await post(f"EIO=4&transport=polling&sid={await opened(fleet)}", f"{CONNECT}\n{FORGED}\n,".encode())
    async with fleet.session.ws_connect(engine(fleet, "EIO=4&transport=websocket")) as socket:
        await socket.receive()
        for text in (
            f"\n{FORGED}\n",
            f"{EVENT}/\n{FORGED}\n,[]",
            f'{EVENT}/ai/stream,["\n{FORGED}\n"',
            f"4\n{FORGED}\n",
        ):
            await socket.send_str(text)
    await asyncio.sleep(0.2)
    fleet.process.terminate()
    assert await fleet.ends() == 0

    assert fleet.plain == []
    assert fleet.told("forged") == []
    assert fleet.told("library") == []


async def test_what_a_client_gets_wrong_with_the_transport_is_no_event(run: Run) -> None:
    fleet = await run(1)
    async with fleet.session.get(engine(fleet, f"EIO=4&transport=polling&sid={LINE}")) as answer:
        assert answer.status == 400
    with_version_3 = engine(fleet, "EIO=3&transport=polling")
    try:
        async with fleet.session.ws_connect(with_version_3):
            raise AssertionError("an old client was let in")
    except aiohttp.WSServerHandshakeError as error:
        assert error.status == 400
    fleet.process.terminate()
    assert await fleet.ends() == 0
    assert fleet.told("library") == []


# ---------------------------------------------------------------- SIGTERM

STOP_S = 2.5  # idle connections are given one second, what is left another half; the rest is for the interpreter to end


async def stops(fleet: Fleet) -> float:
    """How long it takes from SIGTERM to an orderly end."""
    began_at = time.monotonic()
    fleet.process.terminate()
    assert await fleet.ends(20) == 0
    assert fleet.plain == []
    assert fleet.told("library") == []
    return time.monotonic() - began_at


@pytest.mark.parametrize("transports", [["websocket"], ["polling"], ["polling", "websocket"]])
async def test_clients_that_wait_are_told_and_do_not_delay_the_end(run: Run, transports: list[str]) -> None:
    fleet, told = await run(1), []
    clients = [socketio.AsyncClient(reconnection=False) for _ in range(2)]
    for client in clients:
        client.on("disconnect", told.append, namespace="/ai/stream")
        auth = {"token": fleet.headers["authorization"].removeprefix("Bearer ")}
        await client.connect(
            f"http://127.0.0.1:{fleet.port}",
            namespaces=["/ai/stream"],
            auth=auth,
            transports=transports,
            wait_timeout=5,
        )
    assert await stops(fleet) < STOP_S
    await until(lambda: len(told) == 2, what="both were told")
    assert told == [clients[0].reason.SERVER_DISCONNECT] * 2
    for client in clients:  # one that polls would itself go on for seconds
        if client.eio.http is not None:
            await client.eio.http.close()


async def test_a_client_that_is_halfway_in_does_not_delay_the_end(run: Run) -> None:
    fleet = await run(1)
    await opened(fleet)  # and never asks again
    sid = await opened(fleet)

    async def poll() -> str:
        async with fleet.keeping.get(engine(fleet, f"EIO=4&transport=polling&sid={sid}")) as answer:
            assert answer.status == 200
            return await answer.text()

    polling = asyncio.create_task(poll())
    async with fleet.session.ws_connect(engine(fleet, "EIO=4&transport=websocket")) as socket:
        await socket.receive()
        probing = await opened(fleet)
        async with fleet.session.ws_connect(engine(fleet, f"EIO=4&transport=websocket&sid={probing}")) as probe:
            await probe.send_str("2probe")
            assert (await probe.receive()).data == "3probe"
            assert await stops(fleet) < STOP_S
    assert await polling == ENGINE_CLOSE


async def mute(fleet: Fleet, path: str) -> asyncio.StreamWriter:
    """A WebSocket whose client answers nothing."""
    reader, writer = await asyncio.open_connection("127.0.0.1", fleet.port)
    writer.write(
        f"GET {path} HTTP/1.1\r\nhost: x\r\nconnection: upgrade\r\nupgrade: websocket\r\n"
        "sec-websocket-version: 13\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n".encode()
    )
    assert (await reader.readline()).startswith(b"HTTP/1.1 101 ")
    return writer


@pytest.mark.parametrize("path", ["/socket.io/?EIO=4&transport=websocket", "/v1/stream", "/v1/stream?token=TOKEN"])
async def test_clients_that_never_say_goodbye_do_not_delay_the_end(run: Run, path: str) -> None:
    fleet = await run(1)
    token = fleet.headers["authorization"].removeprefix("Bearer ")
    writers = [await mute(fleet, path.replace("TOKEN", token)) for _ in range(3)]
    assert await stops(fleet) < STOP_S
    for writer in writers:
        writer.close()
