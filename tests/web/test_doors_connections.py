"""What one connection may carry at either door: many requests, in any pieces, ahead of their answers, of either kind."""

from __future__ import annotations

import gzip
import time
from itertools import pairwise

import pytest
from doors_cases import bare, chunked
from doors_site import COMPLETIONS, MAX_BODY_BYTES, NATIVE, Site, chat

PROBE = bare("GET", "/livez")


def said(body: bytes) -> str:
    return body.partition(b"You said: ")[2].partition(b'"')[0].decode()


# ---------------------------------------------------------------- one after the other


def test_a_connection_carries_requests_of_every_kind(any_site: Site) -> None:
    site = any_site
    requests = [
        (site.post(chat("one")), b"one"),
        (site.post(chat("two"), path=NATIVE), b"two"),
        (site.post(chat("three", stream=True)), b"[DONE]"),
        (PROBE, b"ok"),
        (site.post(chat("four")), b"four"),
        (site.head("Transfer-Encoding: chunked") + chunked(chat("five"), 7), b"five"),
        (site.post(chat("six", stream=True), path=NATIVE), b"chat.complete"),
        (site.post(b"no json"), b"invalid_json"),
        (site.post(chat("seven")), b"seven"),
    ]
    with site.connect() as client:
        for request, expected in requests:
            client.send(request)
            answer = client.answer()
            assert expected in answer.body
            assert not answer.closes
        client.half_close()
        assert client.is_closed()


def test_hundreds_of_calls_on_one_connection_leave_nothing_behind(any_site: Site) -> None:
    with any_site.connect() as client:
        for _ in range(200):
            client.send(any_site.post(chat()))
            assert client.answer().status == 200
    any_site.until(any_site.is_at_rest)
    any_site.until(lambda: not any_site.gateway._connections())


@pytest.mark.parametrize("version", ["HTTP/1.1", "HTTP/1.0"])
def test_goodbye_closes_the_connection_after_its_answer(any_site: Site, version: str) -> None:
    request = any_site.post(chat(), "Connection: close").replace(b"HTTP/1.1", version.encode(), 1)
    with any_site.connect() as client:
        client.send(request)
        assert client.answer().status == 200
        assert client.is_closed()


def test_after_goodbye_nothing_is_served(any_site: Site) -> None:
    marker = any_site.marker()
    with any_site.connect() as client:
        client.send(any_site.post(chat(), "Connection: close") + any_site.post(chat(marker)))
        # aiohttp finds fault with both when they come in one packet; the lean door serves the first.
        assert client.answer().status == (200 if any_site.lean else 400)
        assert client.is_closed()
    any_site.until(any_site.is_at_rest)
    assert any_site.upstream(marker) == []


# ---------------------------------------------------------------- ahead of their answers


def test_three_at_once_are_answered_in_order(any_site: Site) -> None:
    any_site.fault("slow_first_byte", delay_s=0.1)
    with any_site.connect() as client:
        client.send(b"".join(any_site.post(chat(word)) for word in ("first", "second", "third")))
        assert [said(client.answer().body) for _ in range(3)] == ["first", "second", "third"]


def test_a_mixture_at_once_is_answered_in_order(any_site: Site) -> None:
    site = any_site
    stream = site.post(chat("a stream", stream=True))
    bodies = [site.post(chat("first")), stream, PROBE, site.post(chat("second")), PROBE, site.post(chat("third"))]
    with site.connect() as client:
        client.send(b"".join(bodies))
        found = [client.answer().body for _ in bodies]
    for body, expected in zip(found, (b"first", b"[DONE]", b"ok", b"second", b"ok", b"third"), strict=True):
        assert expected in body


def test_a_thousand_refusals_at_once_do_not_hold_up_others(any_site: Site) -> None:
    with any_site.connect() as rude, any_site.connect() as polite:
        rude.send(any_site.post(b"", credential=False) * 1000)
        polite.send(any_site.post(chat()))
        began = time.monotonic()
        assert polite.answer().status == 200
        waited = time.monotonic() - began
        assert {rude.answer().status for _ in range(1000)} == {401}
        assert waited < (time.monotonic() - began) / 2 + 0.2
    any_site.is_well()


# ---------------------------------------------------------------- in pieces


def test_a_request_may_be_cut_at_every_byte(site: Site) -> None:
    request = site.post(chat("cut"), "X-Request-Id: pieces")
    with site.connect() as client:
        for first, second in ((request[:at], request[at:]) for at in range(1, len(request))):
            client.send(first)
            time.sleep(0.0005)
            client.send(second)
            assert said(client.answer().body) == "cut"


def test_a_request_may_come_byte_by_byte(any_site: Site) -> None:
    request = any_site.post(chat("crumbs"))
    with any_site.connect() as client:
        client.send(*(request[at : at + 1] for at in range(len(request))))
        assert said(client.answer().body) == "crumbs"


def test_a_chunked_request_may_be_cut_at_every_byte(site: Site) -> None:
    head, body = site.head("Transfer-Encoding: chunked"), chunked(chat("cut"), 1, 20)
    with site.connect() as client:
        for at in range(len(body) + 1):
            client.send(head + body[:at])
            time.sleep(0.0005)
            client.send(body[at:])
            assert said(client.answer().body) == "cut"


def test_a_large_body_may_come_in_packets_of_any_size(any_site: Site) -> None:
    request = any_site.post(chat("large").ljust(MAX_BODY_BYTES))
    cuts = [0, 1, 100, 1000, 70_000, 70_001, 150_000, len(request)]
    with any_site.connect() as client:
        client.send(*(request[one:other] for one, other in pairwise(cuts)))
        assert said(client.answer().body) == "large"


# ---------------------------------------------------------------- bodies that want asking


def test_who_expects_100_is_told_to_continue(any_site: Site) -> None:
    body = chat("continued")
    with any_site.connect() as client:
        client.send(any_site.head("Expect: 100-continue", f"Content-Length: {len(body)}"))
        assert client.answer().status == 100
        client.send(body)
        assert said(client.answer().body) == "continued"
        client.send(any_site.post(chat("and again")))
        assert said(client.answer().body) == "and again"


def test_a_compressed_chat_is_a_chat(any_site: Site) -> None:
    body = gzip.compress(chat("squeezed"))
    head = any_site.head("Content-Encoding: gzip", "Transfer-Encoding: chunked")
    assert said(any_site.ask(head + chunked(body, 10)).body) == "squeezed"


# ---------------------------------------------------------------- refused before the body is read


@pytest.mark.parametrize(
    ("lines", "credential", "status"),
    [
        (["Content-Length: 150000"], False, 401),
        (["Content-Length: 100000000000"], False, 401),
        (["Content-Length: 100000000000"], True, 413),
        (["Transfer-Encoding: chunked"], False, 401),
        (["Content-Length: 150000", "Content-Encoding: gzip"], False, 401),
    ],
)
def test_a_refusal_does_not_wait_for_the_body(any_site: Site, lines: list[str], credential: bool, status: int) -> None:
    with any_site.connect() as client:
        client.send(any_site.head(*lines, credential=credential) + b"1000\r\n" + b"x" * 1000)
        answer = client.answer()
        assert answer.status == status
        assert answer.closes
        assert client.is_closed(), "what follows could be taken for a request"
    any_site.until(lambda: not any_site.gateway._connections())


def test_the_rest_of_a_refused_body_is_no_request(any_site: Site) -> None:
    marker = any_site.marker()
    inner = any_site.post(chat(marker))
    head = any_site.head(f"Content-Length: {len(inner) + 100_000}", credential=False)
    with any_site.connect() as client:
        client.send(head + inner)
        assert client.answer().status == 401
        assert client.is_closed()
    any_site.until(any_site.is_at_rest)
    assert any_site.upstream(marker) == []


def test_a_client_that_sends_all_of_it_all_the_same_still_hears_why(any_site: Site) -> None:
    size = 8_000_000
    with any_site.connect() as client:
        client.send(any_site.head(f"Content-Length: {size}"), *([b"x" * 100_000] * (size // 100_000)))
        answer = client.answer()
        assert (answer.status, answer.code) == (413, "request_too_large")
        assert client.is_closed()


def test_a_body_that_was_sent_with_its_head_does_not_cost_the_connection(any_site: Site) -> None:
    with any_site.connect() as client:
        client.send(any_site.post(chat(), credential=False))
        assert client.answer().status == 401
        client.send(any_site.post(chat()))
        assert client.answer().status == 200


def test_what_is_no_path_of_ours_is_refused_before_its_body_too(any_site: Site) -> None:
    with any_site.connect() as client:
        client.send(any_site.head("Content-Length: 150000", path=COMPLETIONS + "/nothing"))
        assert client.answer().status == 404
        assert client.is_closed()
