"""The gateway stops: what runs comes to its end, what is idle is closed, nobody new comes in. At either door."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp
import pytest
from doors_cases import bare
from doors_site import COMPLETIONS, Site, chat
from doors_wire import Client

Leave = Callable[[float], Site]
LAST_S = 0.3


@pytest.fixture(
    params=[(True, "asyncio"), (False, "asyncio"), (True, "uvloop")], ids=["lean", "aiohttp", "lean on uvloop"]
)
def begin(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Leave]:
    """Begins a site with so many seconds to drain, and little patience with idle clients."""
    monkeypatch.setattr("gateway.app.LAST_S", LAST_S)
    lean, loop = request.param
    sites: list[Site] = []

    def start(drain_s: float) -> Site:
        sites.append(Site(tmp_path, lean=lean, loop=loop, drain_s=drain_s).start())
        return sites[-1]

    yield start
    for site in sites:
        site.stop()
        assert site.trouble == []


def drain(site: Site) -> asyncio.Future[None]:
    """Begin to drain, and wait until the listener is closed."""
    drained = site.do(lambda: asyncio.ensure_future(site.gateway.drain()))
    site.until(lambda: site.gateway.draining)
    return drained


def is_refused(site: Site) -> bool:
    try:
        with site.connect() as client:
            return client.is_closed()
    except ConnectionError:
        return True


def test_idle_connections_are_closed_and_new_ones_refused(begin: Leave) -> None:
    site = begin(5)
    with site.connect() as fresh, site.connect() as used, site.connect() as other:
        used.send(site.post(chat()))
        assert used.answer().status == 200
        other.send(bare("GET", "/livez"))
        assert other.answer().status == 200
        drain(site)
        assert is_refused(site)
        assert used.is_closed(3)
        assert other.is_closed(1)
        assert fresh.is_closed(1)


def test_a_request_that_crosses_the_news_is_answered_and_told(begin: Leave) -> None:
    site = begin(5)
    with site.connect() as hot, site.connect() as other:
        for client, request in ((hot, site.post(chat())), (other, bare("GET", "/livez"))):
            client.send(request)
            assert not client.answer().closes
        drain(site)
        for client, request in ((hot, site.post(chat())), (other, bare("GET", "/livez"))):
            client.send(request)
            answer = client.answer()
            assert (answer.status, answer.closes) == (200, True)
            assert client.is_closed()


@pytest.mark.parametrize("stream", [False, True])
def test_a_call_comes_to_its_end(begin: Leave, stream: bool) -> None:
    site = begin(5)
    site.fault("stall", after_events=1, delay_s=LAST_S + 0.3) if stream else site.fault(
        "slow_first_byte", delay_s=LAST_S + 0.3
    )
    with site.connect() as client:
        client.send(site.post(chat("to the end", stream=stream)))
        site.until(lambda: site.gateway.pipeline.live)
        if stream:
            site.until(lambda: len(site.gateway.streams))
        drain(site)
        answer = client.answer()
        assert answer.status == 200
        assert stream or answer.closes
        assert b"[DONE]" in answer.body if stream else b"to the end" in answer.body
        assert client.is_closed()


def test_a_body_on_its_way_is_waited_for(begin: Leave) -> None:
    site = begin(5)
    request = site.post(chat("late but there"))
    with site.connect() as client:
        client.send(request[:-5])
        site.until(lambda: site.gateway.handlers.arriving)
        drained = drain(site)
        assert not client.is_closed(LAST_S + 0.3)
        assert not drained.done()
        client.send(request[-5:])
        answer = client.answer()
        assert (answer.status, answer.closes) == (200, True)
        assert client.is_closed()
    site.until(drained.done)


def test_what_does_not_come_to_its_end_is_cut_with_a_word(begin: Leave) -> None:
    site = begin(0.2)
    site.fault("stall", after_events=2, delay_s=60)
    with site.connect() as client:
        client.send(site.post(chat("for ever", stream=True)))
        site.until(lambda: len(site.gateway.streams))
        drain(site)
        client.head()
        heard = client.rest()
    assert b'"error"' in heard
    assert not heard.endswith(b"0\r\n\r\n")
    site.until(site.is_at_rest)


def test_nothing_is_left_when_the_gateway_has_stopped(begin: Leave, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        "gateway.web.door.BODY_TIMEOUT_S", 0.5
    )  # aiohttp has some patience even when all others are gone
    monkeypatch.setattr("gateway.web.protocol.LINGER_S", 0.2)
    site = begin(0.1)
    clients: list[Client] = [site.connect() for _ in range(4)]
    clients[0].send(site.post(chat())[:-3])
    clients[1].send(bare("GET", "/livez")[:-3])
    clients[2].send(site.head("Content-Length: 150000", credential=False) + b"x" * 1000)
    site.until(lambda: len(site.gateway._connections()) == 4)
    site.stop()
    assert site.gateway._connections() == []
    assert site.gateway.handlers.in_flight.value == site.gateway.handlers.arriving == 0
    for client in clients:
        client.rest()
        client.socket.close()


# ---------------------------------------------------------------- sockets


@asynccontextmanager
async def websocket(site: Site) -> AsyncIterator[aiohttp.ClientWebSocketResponse]:
    url = f"http://127.0.0.1:{site.port}{COMPLETIONS.replace('chat/completions', 'stream')}"
    async with aiohttp.ClientSession() as session, session.ws_connect(url, params={"token": site.token}) as socket:
        yield socket


def test_a_websocket_stays_until_the_end(begin: Leave) -> None:
    """What it was asked for before is answered, what comes later is refused, and only the end closes it."""
    site = begin(5)
    site.fault("stall", after_events=1, delay_s=LAST_S + 0.3)

    async def ask(socket: aiohttp.ClientWebSocketResponse) -> None:
        await socket.send_json(
            {"event": "chat.stream.start", "data": {"messages": [{"role": "user", "content": "Hi"}]}}
        )

    async def last_event(socket: aiohttp.ClientWebSocketResponse) -> str:
        while (frame := await socket.receive_json(timeout=5))["event"] not in ("chat.complete", "chat.error"):
            pass
        return str(frame["event"])

    async def talk() -> tuple[list[str], int | None]:
        async with websocket(site) as socket:
            await ask(socket)
            assert (await socket.receive_json())["event"] == "chat.start"
            drained = asyncio.ensure_future(site.gateway.drain())
            heard = [await last_event(socket)]
            await drained
            await ask(socket)
            heard.append(await last_event(socket))
            stopping = asyncio.ensure_future(site.gateway.sockets.close())
            await socket.receive()
            await stopping
            return heard, socket.close_code

    assert site.wait(talk) == (["chat.complete", "chat.error"], 1001)
