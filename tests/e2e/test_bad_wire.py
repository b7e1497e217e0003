"""Bytes on the socket that are no request, or half of one: refused in JSON or closed, by both doors alike."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Callable

import pytest
from e2e_quota import body_of, call
from e2e_stack import Stack, Start
from e2e_tools import send_raw
from msgspec import json

from gateway.web import door, fastlane

BODY = b'{"model":"gpt-5.4","messages":[{"role":"user","content":"Hi"}]}'
POST = b"POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\n"
LENGTH = b"content-length: %d\r\n" % len(BODY)
DICE = random.Random(7)

Case = tuple[bytes, set[int]]  # what follows the credential, and the statuses that are right
doors = pytest.mark.parametrize("fast_lane", [True, False])


def whole(head: bytes, statuses: set[int] | None = None) -> Case:
    return LENGTH + head + b"\r\n" + BODY, statuses or {400}


# Requests whose head or framing is wrong, after a good credential: nothing of them may reach a provider.
HEADS: dict[str, Case] = {
    "two lengths": whole(b"content-length: 5\r\n"),
    "a length and chunks": (LENGTH + b"transfer-encoding: chunked\r\n\r\n0\r\n\r\n", {400}),
    "a negative length": (b"content-length: -5\r\n\r\n" + BODY, {400}),
    "a length with a plus": (b"content-length: +5\r\n\r\n" + BODY, {400}),
    "a length in words": (b"content-length: many\r\n\r\n" + BODY, {400}),
    "a length beyond 64 bits": (b"content-length: 99999999999999999999\r\n\r\n" + BODY, {400}),
    "a length beyond the cap": (b"content-length: 20000001\r\n\r\n", {413}),
    "an unknown coding": (b"transfer-encoding: gzip, identity\r\n\r\n" + BODY, {400, 501}),
    "chunks without sizes": (b"transfer-encoding: chunked\r\n\r\nzz\r\n" + BODY + b"\r\n0\r\n\r\n", {400}),
    "a chunk that is too large": (b"transfer-encoding: chunked\r\n\r\nffffffffffffffffff\r\n", {400}),
    "a folded line": whole(b"x-a: b\r\n c\r\n"),
    "a line without a colon": whole(b"nocolon\r\n"),
    "a space before the colon": whole(b"x-a : b\r\n"),
    "a name with a space": whole(b"x a: b\r\n"),
    "no name": whole(b": b\r\n"),
    "NUL in a header": whole(b"x-a: b\0c\r\n"),
    "a bare CR in a header": whole(b"x-a: b\rc\r\n"),
    "a header of 17 KiB": whole(b"x-a: " + b"a" * 17_000 + b"\r\n", {431}),
    "5000 headers": whole(b"".join(b"x-%d: a\r\n" % n for n in range(5000)), {400, 431}),
    "an expectation": whole(b"expect: 200-maybe\r\n", {400, 417}),
}
STARTS: dict[str, Case] = {
    "noise": (DICE.randbytes(64) + b"\r\n\r\n", {400}),
    "NUL bytes": (b"\0" * 64 + b"\r\n\r\n", {400}),
    "HTTP/2": (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", {400, 505}),
    "HTTP/9.9": (b"GET /livez HTTP/9.9\r\nhost: x\r\n\r\n", {400, 505}),
    "no host": (b"GET /livez HTTP/1.1\r\n\r\n", {400}),
    "no such method": (b"BREW /v1/chat HTTP/1.1\r\nhost: x\r\n\r\n", {400, 405, 501}),
    "TRACE": (b"TRACE /v1/chat HTTP/1.1\r\nhost: x\r\n\r\n", {405}),
    "a path of 20 KB": (b"GET /" + b"a" * 20_000 + b" HTTP/1.1\r\nhost: x\r\n\r\n", {400, 414, 431}),
    "a path of raw bytes": (b"GET /\xff\xfe\x00 HTTP/1.1\r\nhost: x\r\n\r\n", {400}),
    "a path of escapes": (b"GET /%ff%fe%00 HTTP/1.1\r\nhost: x\r\n\r\n", {404}),
    "a path that climbs": (b"GET /api/v1/acme/ai/../../../../etc/passwd HTTP/1.1\r\nhost: x\r\n\r\n", {404}),
    "a proxy's CONNECT": (b"CONNECT evil:443 HTTP/1.1\r\nhost: evil:443\r\n\r\n", {400, 404, 405, 501}),
    "a server's OPTIONS": (b"OPTIONS * HTTP/1.1\r\nhost: x\r\n\r\n", {404, 405}),
    "SMTP": (b"EHLO example.com\r\n\r\n", {400}),
}
SILENT: dict[str, bytes] = {
    "nothing": b"",
    "line breaks": b"\r\n\r\n\r\n",
    "noise": DICE.randbytes(3000).replace(b"\r\n\r\n", b""),
    "a TLS greeting": bytes.fromhex("16030100c8010000c40303") + DICE.randbytes(190),
    "HTTP/0.9": b"GET /\r\n",
    "half a head": POST[:40],
    "half a body": POST + LENGTH + b"\r\n" + BODY[:20],
    "half a chunk": POST + b"transfer-encoding: chunked\r\n\r\n40\r\nabc",
}


def check_refusal(answer: bytes, statuses: set[int], how: str) -> None:
    """That it is one refusal: a right status, JSON that names its request, and nothing of what was sent."""
    head, _, body = answer.partition(b"\r\n\r\n")
    status = int(head.split(b" ", 2)[1])
    assert status in statuses, (how, head)
    assert b"Traceback" not in body
    assert b"aiohttp" not in head.lower()
    assert b"content-type: application/json" in head.lower(), (how, head)
    error = json.decode(body)["error"]
    assert {"message", "type", "param", "code"} <= set(error)
    assert "request id: req_" in error["message"]


async def still_serves(stack: Stack) -> None:
    assert (await call(stack, body_of(cap=10))).status == 200
    assert [line for line in stack.log_lines() if line["event"] in ("internal_error", "library")] == []
    assert stack.gateway.handlers.in_flight.value == 0


# ---------------------------------------------------------------- whole, and wrong


@doors
async def test_a_head_that_can_be_read_in_two_ways_is_read_in_none(start_stack: Start, fast_lane: bool) -> None:
    stack = await start_stack({"server": {"fast_lane": fast_lane}})
    credential = f"authorization: Bearer {stack.token()}\r\n".encode()
    for how, (rest, statuses) in HEADS.items():
        check_refusal(await send_raw(stack.port, POST + credential + rest), statuses, how)
    assert await stack.sim("requests") == []
    await still_serves(stack)


@doors
async def test_what_does_not_begin_as_a_request_is_refused(start_stack: Start, fast_lane: bool) -> None:
    stack = await start_stack({"server": {"fast_lane": fast_lane}})
    for how, (data, statuses) in STARTS.items():
        check_refusal(await send_raw(stack.port, data), statuses, how)
    await still_serves(stack)


@doors
async def test_a_refusal_repeats_nothing_of_what_was_sent(start_stack: Start, fast_lane: bool) -> None:
    stack = await start_stack({"server": {"fast_lane": fast_lane}})
    for bad in (b"authorization : Bearer sk-canary\r\n", b"x-api-key sk-canary\r\n", b"x-api-key: sk-canary\0\r\n"):
        answer = await send_raw(stack.port, POST + LENGTH + bad + b"\r\n" + BODY)
        assert b" 400 " in answer
        assert b"canary" not in answer
    assert "canary" not in stack.log_text()
    refused = [line for line in stack.log_lines() if line.get("status") == 400]
    assert len(refused) == 3, "one line each"


@doors
async def test_headers_of_strange_bytes_are_nobodys_credential(start_stack: Start, fast_lane: bool) -> None:
    stack = await start_stack({"server": {"fast_lane": fast_lane}})
    for bad in (
        b"authorization: \xff\xfe\r\n",
        b"authorization: Bearer \xc3\xa9.\xff.\x80\r\n",
        b"x-api-key: \xe2\x82\r\n",
    ):
        answer = await send_raw(stack.port, POST + LENGTH + bad + b"\r\n" + BODY)
        check_refusal(answer, {401}, "strange bytes")
    good = f"authorization: Bearer {stack.token()}\r\nx-session-id: \xff\xfe\r\nx-request-id: \xff\r\n".encode(
        "latin-1"
    )
    assert b" 200 " in (await send_raw(stack.port, POST + LENGTH + good + b"\r\n" + BODY)).split(b"\r\n")[0]
    await still_serves(stack)


@doors
async def test_requests_sent_ahead_are_answered_in_order(start_stack: Start, fast_lane: bool) -> None:
    stack = await start_stack({"server": {"fast_lane": fast_lane}})
    credential = f"authorization: Bearer {stack.token()}\r\n".encode()
    asked = b"".join(
        POST + credential + b"x-request-id: n%d\r\n" % number + LENGTH + b"\r\n" + BODY for number in range(5)
    )
    last = b"GET /livez HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n"
    reader, writer = await asyncio.open_connection("127.0.0.1", stack.port)
    writer.write(asked + last)
    answers = await asyncio.wait_for(reader.read(), 5)
    writer.close()
    assert answers.count(b"HTTP/1.1 200 OK") == 6
    places = [answers.lower().index(b"x-request-id: n%d\r\n" % number) for number in range(5)]
    assert places == sorted(places)


# ---------------------------------------------------------------- half, then the end


@doors
@pytest.mark.parametrize("how", sorted(SILENT))
async def test_who_stops_in_the_middle_and_closes_leaves_nothing_behind(
    start_stack: Start, how: str, fast_lane: bool
) -> None:
    stack = await start_stack({"server": {"fast_lane": fast_lane}})
    data = SILENT[how]
    if data.startswith(POST):
        data = POST + f"authorization: Bearer {stack.token()}\r\n".encode() + data.removeprefix(POST)
    answer = await send_raw(stack.port, data, within_s=3, eof=True)
    assert answer == b"" or b" 400 " in answer, answer
    assert await stack.sim("requests") == []
    await still_serves(stack)


def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Wait for heads and bodies a moment only."""
    for module, name in ((door, "BODY_TIMEOUT_S"), (fastlane, "BODY_TIMEOUT_S"), (fastlane, "HEAD_TIMEOUT_S")):
        monkeypatch.setattr(module, name, 0.3)


@doors
async def test_who_stops_in_the_body_and_waits_is_told_that_it_did_not_come(
    start_stack: Start, monkeypatch: pytest.MonkeyPatch, fast_lane: bool
) -> None:
    impatient(monkeypatch)
    stack = await start_stack({"server": {"fast_lane": fast_lane}})
    credential = f"authorization: Bearer {stack.token()}\r\n".encode()
    for framing in (LENGTH + b"\r\n" + BODY[:20], b"transfer-encoding: chunked\r\n\r\n40\r\nabc"):
        answer = await send_raw(stack.port, POST + credential + framing, within_s=4)
        check_refusal(answer, {408}, "silence")
        assert b'"code":"request_timeout"' in answer
    await still_serves(stack)


async def test_who_stops_in_the_head_and_waits_is_let_go(stack: Stack, monkeypatch: pytest.MonkeyPatch) -> None:
    impatient(monkeypatch)
    began = time.monotonic()
    for data in (POST[:30], POST, b"GET /livez HTTP/1.1\nhost: x\n\n"):
        answer = await send_raw(stack.port, data, within_s=4)
        assert answer == b"" or b" 400 " in answer
    assert time.monotonic() - began < 10
    await still_serves(stack)


async def test_many_who_say_nothing_keep_nobody_waiting(stack: Stack) -> None:
    silent = [await asyncio.open_connection("127.0.0.1", stack.port) for _ in range(200)]
    for number, (_, writer) in enumerate(silent):
        writer.write(POST[: number % 90])
    began = time.monotonic()
    for _ in range(5):
        assert (await call(stack, body_of(cap=10))).status == 200
    assert time.monotonic() - began < 2
    for _, writer in silent:
        writer.close()


# ---------------------------------------------------------------- thousands of them


def mutated(dice: random.Random, request: bytes) -> bytes:
    """`request` with a few bytes changed, cut out, doubled or put in."""
    data = bytearray(request)
    changes: list[Callable[[int], None]] = [
        lambda at: data.__setitem__(at, dice.randrange(256)),
        lambda at: data.__delitem__(slice(at, at + dice.randrange(1, 9))),
        lambda at: data.__setitem__(slice(at, at), data[at : at + dice.randrange(1, 30)]),
        lambda at: data.__setitem__(slice(at, at), dice.choice([b"\r\n", b"\0", b":", b" ", b"\xff", b"\n", b"0"])),
    ]
    for _ in range(dice.randrange(1, 4)):
        dice.choice(changes)(dice.randrange(max(1, len(data))))
        if not data:
            return b""
    return bytes(data)


@doors
async def test_mutated_requests_are_answered_or_closed_and_never_with_500(start_stack: Start, fast_lane: bool) -> None:
    stack = await start_stack({"server": {"fast_lane": fast_lane}})
    dice = random.Random(20261123)
    head = POST + f"authorization: Bearer {stack.token()}\r\nconnection: close\r\n".encode()
    requests = [head + LENGTH + b"\r\n" + BODY, b"GET /livez HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n"]

    async def one() -> int:
        answer = await send_raw(stack.port, mutated(dice, dice.choice(requests)), within_s=5, eof=True)
        return int(answer.split(b" ", 2)[1]) if answer.startswith(b"HTTP/") else 0

    for _ in range(20):
        statuses = await asyncio.gather(*(one() for _ in range(20)))
        assert not [status for status in statuses if status >= 500 and status not in (501, 505)], statuses
    await still_serves(stack)
