"""How long either door waits for a client: the same seconds, seen by the same sweep. Here they are numbers."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from doors_cases import bare
from doors_site import Site, chat

from gateway.web.patience import IDLE_S
from gateway.web.protocol import Protocol

BEGUN = [
    ("a hot request", lambda site: site.post(chat())[:80]),
    ("another request", lambda site: bare("GET", "/livez")[:20]),
    ("a letter", lambda site: b"G"),
]


def has_begun(site: Site) -> bool:
    """Whether the one connection has bytes of a head. Asked in the site's loop."""
    (connection,) = site.gateway._connections() or [None]
    return bool(
        connection._begun and connection._idle
        if isinstance(connection, Protocol)
        else connection and connection._buffer
    )


@pytest.mark.parametrize("write", [write for _, write in BEGUN], ids=[name for name, _ in BEGUN])
@pytest.mark.parametrize("before", [0, 1, 3])
def test_a_head_has_30_seconds(any_site: Site, write: Callable[[Site], bytes], before: int) -> None:
    with any_site.connect() as client:
        for _ in range(before):
            client.send(bare("GET", "/livez") if "G" in write(any_site)[:1].decode() else any_site.post(chat()))
            client.answer()
        client.send(write(any_site))
        any_site.until(lambda: has_begun(any_site))
        any_site.pass_time(29)
        assert any_site.do(any_site.gateway._connections)
        any_site.pass_time(33)
        assert client.is_closed()
    any_site.is_well()


def test_a_head_that_comes_in_time_is_answered(any_site: Site) -> None:
    request = bare("GET", "/livez")
    with any_site.connect() as client:
        for _ in range(4):
            client.send(request[:10])
            any_site.until(lambda: has_begun(any_site))
            any_site.pass_time(20)
            client.send(request[10:])
            assert client.answer().status == 200


@pytest.mark.parametrize("line", ["Content-Length: 1000", "Transfer-Encoding: chunked", "Content-Encoding: gzip"])
def test_a_body_has_60_seconds(any_site: Site, line: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gateway.web.door.BODY_TIMEOUT_S", 0.2)  # a clock that aiohttp's door asks itself
    lines = [line] if "Encoding: gzip" not in line else [line, "Content-Length: 1000"]
    with any_site.connect() as client:
        client.send(any_site.head(*lines))
        any_site.until(lambda: any_site.gateway.handlers.arriving)
        any_site.pass_time(62)
        answer = client.answer()
        assert (answer.status, answer.code) == (408, "request_timeout")
        assert answer.closes
        assert client.is_closed()
    any_site.is_well()


def test_an_idle_connection_has_75_seconds(any_site: Site) -> None:
    with any_site.connect() as client:
        client.send(any_site.post(chat()))
        assert client.answer().status == 200
        (connection,) = any_site.do(any_site.gateway._connections)
        if isinstance(connection, Protocol):
            left = any_site.do(lambda: connection._next_keepalive_close_time - connection._loop.time())
            assert IDLE_S - 5 < left <= IDLE_S
        else:
            any_site.pass_time(74)
            assert any_site.do(any_site.gateway._connections)
            any_site.pass_time(77)
            assert client.is_closed()


def test_a_body_that_came_by_itself_is_no_head_that_has_begun(any_site: Site) -> None:
    request = any_site.post(chat())
    with any_site.connect() as client:
        client.send(request[:-10])
        any_site.until(lambda: any_site.gateway.handlers.arriving)
        client.send(request[-10:])
        assert client.answer().status == 200
        any_site.pass_time(60)
        client.send(request)
        assert client.answer().status == 200


def test_a_call_may_take_its_time(any_site: Site) -> None:
    any_site.fault("slow_first_byte", delay_s=0.3)
    with any_site.connect() as client:
        client.send(any_site.post(chat()))
        any_site.until(lambda: any_site.gateway.pipeline.live)
        any_site.pass_time(200)
        assert client.answer().status == 200


def test_a_stream_may_take_its_time(any_site: Site) -> None:
    any_site.fault("stall", after_events=2, delay_s=0.3)
    with any_site.connect() as client:
        client.send(any_site.post(chat("this takes long", stream=True)))
        any_site.until(lambda: len(any_site.gateway.streams))
        any_site.pass_time(200)
        assert client.answer().frames[-1] == b"data: [DONE]"
