from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import cast

import pytest
from upstream_kit import Serve, answering, request

from gateway.upstream import Sink, Transfer, Upstream, UpstreamFailed, fetch
from gateway.upstream.faults import fault
from gateway.upstream.fetch import MAX_ERROR_BYTES


def answer(status: int, size: int) -> bytes:
    return b"HTTP/1.1 %d X\r\nx-request-id: r1\r\ncontent-length: %d\r\n\r\n%b" % (status, size, b"y" * size)


async def test_an_answer_has_status_headers_and_body(serve: Serve, upstream: Upstream) -> None:
    origin = await serve(answering(answer(200, 300_000)))
    whole = await fetch(upstream, request(origin))
    assert (whole.status, whole.headers["x-request-id"], len(whole.body)) == (200, "r1", 300_000)


async def test_a_body_over_the_limit_is_a_bad_reply(serve: Serve, upstream: Upstream) -> None:
    origin = await serve(answering(answer(200, 100_000)))
    assert len((await fetch(upstream, request(origin), max_body_bytes=100_000)).body) == 100_000
    with pytest.raises(UpstreamFailed) as failed:
        await fetch(upstream, request(origin), max_body_bytes=99_999)
    assert failed.value.fault.kind == "bad_reply"
    assert upstream.stats()[origin].idle == 0


@pytest.mark.parametrize("size", [10, MAX_ERROR_BYTES, MAX_ERROR_BYTES + 1, 5_000_000])
async def test_an_error_body_is_cut_and_still_an_answer(serve: Serve, upstream: Upstream, size: int) -> None:
    origin = await serve(answering(answer(500, size)))
    whole = await fetch(upstream, request(origin))
    assert (whole.status, len(whole.body)) == (500, min(size, MAX_ERROR_BYTES))
    assert upstream.stats()[origin].idle == (1 if size <= MAX_ERROR_BYTES else 0)


async def test_a_fault_tells_the_operator_where_and_the_client_only_what(serve: Serve, upstream: Upstream) -> None:
    origin = await serve(answering(b"nonsense"))
    with pytest.raises(UpstreamFailed) as failed:
        await fetch(upstream, request(origin))
    told = failed.value.fault
    assert (told.kind, told.status) == ("bad_reply", None)
    assert origin.host_port in told.log_message
    assert "127.0.0.1" not in told.safe_message and told.safe_message.endswith(".")


async def test_who_stops_waiting_stops_the_exchange(serve: Serve, upstream: Upstream) -> None:
    origin = await serve(answering(answer(200, 10)[:-1]))
    waiting = asyncio.ensure_future(fetch(upstream, request(origin)))
    await asyncio.sleep(0.05)
    assert upstream.stats()[origin].in_flight == 1
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    assert upstream.stats()[origin].in_flight == 0
    await asyncio.sleep(0.02)
    assert upstream.stats()[origin].open == 0


@pytest.mark.parametrize("word", ["end", "fault"])
async def test_an_answer_in_the_very_moment_of_giving_up_is_dropped(word: str) -> None:
    class Sender:
        def send(self, request: object, sink: Sink) -> Transfer:
            self.sink = sink
            return cast("Transfer", SimpleNamespace(cancel=lambda: None))

    sender = Sender()
    waiting = asyncio.ensure_future(fetch(cast("Upstream", sender), request()))
    await asyncio.sleep(0)
    waiting.cancel()
    if word == "end":
        sender.sink.on_end()
    else:
        sender.sink.on_fault(fault("reset", "too late"))
    with pytest.raises(asyncio.CancelledError):
        await waiting


async def test_a_call_that_is_not_awaited_sends_nothing(serve: Serve, upstream: Upstream) -> None:
    call = fetch(upstream, request(await serve(answering(answer(200, 1)))))
    await asyncio.sleep(0)
    assert upstream.stats() == {}
    call.close()
