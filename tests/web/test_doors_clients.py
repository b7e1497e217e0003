"""Clients that are slow, or leave: at either door, whatever happens, the provider is told, the hold is settled, nothing stays.

Each phase of a request is one way to leave. A client leaves by closing (FIN), by half-closing, or by a reset (RST).
"""

from __future__ import annotations

import asyncio
import socket
import struct
from collections.abc import Callable

import pytest
from doors_site import COMPLETIONS, NATIVE, Site, chat
from doors_wire import Client

from gateway.web.relay import STUCK_AFTER_S

WORDS = 8000
LONG = "word " * WORDS  # as many events: more than all buffers on the way hold


def close(client: Client) -> None:
    client.socket.close()


def half_close(client: Client) -> None:
    client.half_close()


def reset(client: Client) -> None:
    client.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    client.socket.close()


WAYS = pytest.mark.parametrize("leave", [close, half_close, reset], ids=["closes", "half-closes", "resets"])


def is_forgotten(site: Site) -> None:
    """Within a second nothing is left of the connection and its call."""
    site.until(lambda: site.is_at_rest() and not site.gateway._connections(), within_s=1.0)
    assert site.trouble == []


# ---------------------------------------------------------------- leaving


@WAYS
def test_in_the_middle_of_its_head(any_site: Site, leave: Callable[[Client], None]) -> None:
    with any_site.connect() as client:
        client.send(any_site.post(chat())[:60])
        any_site.until(any_site.gateway._connections)
        leave(client)
        is_forgotten(any_site)


@WAYS
@pytest.mark.parametrize("line", ["Content-Length: 1000", "Transfer-Encoding: chunked"])
def test_in_the_middle_of_its_body(any_site: Site, leave: Callable[[Client], None], line: str) -> None:
    with any_site.connect() as client:
        client.send(any_site.head(line) + b'3e8\r\n{"messages": ')
        any_site.until(lambda: any_site.gateway.handlers.arriving)
        leave(client)
        is_forgotten(any_site)
    any_site.until(lambda: any_site.gateway.handlers.arriving == 0)


@WAYS
def test_before_the_answer_to_a_second_call_like_the_first(any_site: Site, leave: Callable[[Client], None]) -> None:
    """The first call teaches the connection its head; the second one takes the express, and has no task to be cancelled."""
    with any_site.connect() as client:
        client.send(any_site.post(chat("first")))
        assert client.answer().status == 200
        any_site.fault("slow_first_byte", delay_s=30)
        client.send(any_site.post(chat("and a second one")))
        any_site.until(lambda: any_site.gateway.handlers.in_flight.value)
        leave(client)
        is_forgotten(any_site)


@WAYS
@pytest.mark.parametrize("stream", [False, True])
def test_while_the_provider_thinks(any_site: Site, leave: Callable[[Client], None], stream: bool) -> None:
    marker = any_site.marker()
    any_site.fault("slow_first_byte", delay_s=30)
    with any_site.connect() as client:
        client.send(any_site.post(chat(marker, stream=stream)))
        any_site.until(lambda: any(marker.encode() in s.body for s in any_site.simulators.state.journal.entries))
        assert any_site.reserved() > 0
        leave(client)
        is_forgotten(any_site)
    any_site.until(lambda: any_site.simulators.state.journal.entries[-1].aborted, within_s=1.0)


@WAYS
@pytest.mark.parametrize("path", [COMPLETIONS, NATIVE])
def test_in_the_middle_of_a_stream(any_site: Site, leave: Callable[[Client], None], path: str) -> None:
    marker = any_site.marker()
    any_site.fault("stall", after_events=2, delay_s=30)
    with any_site.connect() as client:
        client.send(any_site.post(chat(marker, stream=True), path=path))
        client.head()
        assert client.piece()
        leave(client)
        is_forgotten(any_site)
    any_site.until(lambda: any_site.simulators.state.journal.entries[-1].aborted, within_s=1.0)


@WAYS
@pytest.mark.parametrize("stream", [False, True])
def test_right_after_its_answer(any_site: Site, leave: Callable[[Client], None], stream: bool) -> None:
    with any_site.connect() as client:
        client.send(any_site.post(chat(stream=stream)))
        client.answer()
        leave(client)
        is_forgotten(any_site)


@WAYS
def test_with_more_requests_on_their_way(any_site: Site, leave: Callable[[Client], None]) -> None:
    any_site.fault("slow_first_byte", delay_s=30)
    with any_site.connect() as client:
        client.send(any_site.post(chat()) * 5)
        any_site.until(lambda: any_site.gateway.pipeline.live)
        leave(client)
        is_forgotten(any_site)


def test_a_client_that_left_is_written_down_as_such(any_site: Site) -> None:
    name = any_site.marker()
    any_site.fault("slow_first_byte", delay_s=30)
    with any_site.connect() as client:
        client.send(any_site.post(chat(), f"X-Request-Id: {name}"))
        any_site.until(lambda: any_site.gateway.pipeline.live)
    is_forgotten(any_site)
    (line,) = [
        line for line in any_site.log_lines() if line.get("request_id") == name and "status" in line and "path" in line
    ]
    assert (line["status"], line["outcome"]) == (499, "client_gone")


# ---------------------------------------------------------------- slow


def is_paused(site: Site) -> Callable[[], bool]:
    """Whether some stream's provider is not read at present."""
    return lambda: any(outlet._paused_at is not None for outlet in site.gateway.streams._open)


@pytest.mark.parametrize("path", [COMPLETIONS, NATIVE])
def test_a_client_that_stops_reading_stops_the_provider_and_loses_nothing(any_site: Site, path: str) -> None:
    site = any_site
    with site.connect(receive_bytes=4096) as client:
        client.send(site.post(chat(LONG, stream=True), path=path))
        head = client.head()
        assert head.status == 200
        site.until(is_paused(site), within_s=10)
        assert len(site.do(lambda: site.gateway.streams._open)) == 1
        client._chunks(head)
    assert head.body.count(b'"word "}') == WORDS
    assert head.frames[-1].startswith((b"data: [DONE]", b"event: chat.complete"))
    is_forgotten(site)


def test_a_client_that_takes_nothing_is_cut_after_a_while(any_site: Site) -> None:
    site = any_site
    with site.connect(receive_bytes=4096) as client:
        client.send(site.post(chat(LONG, stream=True)))
        client.head()
        site.until(is_paused(site), within_s=10)

        def sweep(after_s: float) -> None:
            for outlet in list(site.gateway.streams._open):
                assert outlet._paused_at is not None
                outlet.tick(outlet._paused_at + after_s)

        site.do(lambda: sweep(STUCK_AFTER_S - 1))
        assert site.do(lambda: len(site.gateway.streams)) == 1
        site.do(lambda: sweep(STUCK_AFTER_S + 1))
        is_forgotten(site)


@pytest.mark.parametrize("goodbye", ["keep-alive", "close"])
def test_an_answer_that_nobody_takes_is_given_up(any_site: Site, goodbye: str) -> None:
    site = any_site
    with site.connect(receive_bytes=4096) as client:
        client.send(site.post(chat("word " * 30_000), f"Connection: {goodbye}"))
        client.head()
        site.until(lambda: site.gateway.handlers.in_flight.value == 0)
        site.pass_time(20)  # the gateway's own sweep may have begun to count before
        assert site.do(site.gateway._connections)
        site.pass_time(32)
        is_forgotten(site)


def test_an_answer_that_is_taken_slowly_arrives(any_site: Site) -> None:
    site = any_site
    with site.connect(receive_bytes=4096) as client:
        client.send(site.post(chat("word " * 30_000)))
        head = client.head()
        left = int(head.header("content-length") or 0)
        while left:
            left -= len(client._take(min(left, 20_000)))
            if site.do(lambda: sum(each.transport.get_write_buffer_size() for each in site.gateway._connections())):
                site.pass_time(20)
        client.send(site.post(chat()))
        assert client.answer().status == 200


# ---------------------------------------------------------------- afterwards


def test_clients_that_left_leave_no_task_behind(any_site: Site) -> None:
    any_site.until(lambda: any_site.is_at_rest() and not any_site.gateway._connections())
    before = any_site.do(lambda: len(asyncio.all_tasks()))
    requests = (
        any_site.post(chat(stream=True)),
        any_site.post(chat()),
        any_site.post(chat())[:-3],
        any_site.head("Transfer-Encoding: chunked"),
    )
    for request in requests * 10:
        with any_site.connect() as client:
            client.send(request)
    is_forgotten(any_site)
    any_site.until(lambda: len(asyncio.all_tasks()) <= before)
