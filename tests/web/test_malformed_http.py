"""What is no HTTP/1.1 is refused or closed at either door: never served, never an error of ours, never left waiting.

Each payload is sent on a connection of its own; afterwards a good request on a new one is answered.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterable
from contextlib import suppress

import pytest
from doors_cases import chunked
from doors_site import Site, chat
from doors_wire import Client
from malformed_corpus import Payload, bad_chunks, bad_heads, bad_lengths, mutants, others

STATUS_LINE = re.compile(rb"HTTP/1\.[01] (\d{3}) ")
QUIET_S = 0.15


class Heard:
    """What came back: the statuses, and whether the server closed by itself."""

    def __init__(self, client: Client, payload: bytes, patience_s: float) -> None:
        self.bytes = b""
        self.closed = self.silent = False
        with suppress(ConnectionError):  # it had enough
            client.send(payload)
        self._listen(client, patience_s)
        self.silent = not self.bytes and not self.closed
        if not self.closed:
            client.socket.settimeout(2.0)
            client.half_close()
            self.bytes += client.rest()

    def _listen(self, client: Client, patience_s: float) -> None:
        while not self.closed:
            client.socket.settimeout(patience_s)
            try:
                data = client._receive()
            except TimeoutError:
                return
            self.bytes += data
            self.closed, patience_s = not data, min(QUIET_S, patience_s)

    @property
    def statuses(self) -> list[int]:
        return [int(status) for status in STATUS_LINE.findall(self.bytes)]


def refuses(status: int) -> bool:
    return 400 <= status < 500 or status in (501, 505)


def heard(site: Site, payload: bytes, patience_s: float) -> Heard:
    with site.connect() as client:
        return Heard(client, payload, patience_s)


def wrongs(
    site: Site, payloads: Iterable[Payload], wrong: Callable[[Heard], str], patience_s: float = 1.0
) -> dict[str, str]:
    """What was wrong about the answers, by payload."""
    found = {}
    for name, payload in payloads:
        answer = heard(site, payload, patience_s)
        if said := wrong(answer):
            found[name] = f"{said}: {answer.statuses} {answer.bytes[-200:]!r}"
    site.until(site.is_at_rest)
    site.is_well()
    assert not [line for line in site.log_lines() if line["event"] == "internal_error"]
    return found


def not_refused(answer: Heard) -> str:
    if answer.silent:
        return "nothing was said"
    if answer.bytes and not answer.bytes.startswith((b"HTTP/1.1 ", b"HTTP/1.0 ")):
        return "not said in HTTP/1"
    return "" if all(refuses(status) for status in answer.statuses) else "served, or a bug"


def not_refused_once(answer: Heard) -> str:
    if len(answer.statuses) > 1 or not answer.closed:
        return "what follows was taken for a request"
    return not_refused(answer)


def test_bad_heads_are_refused(site: Site) -> None:
    marker = site.marker()
    assert wrongs(site, bad_heads(site, marker), not_refused) == {}
    assert site.upstream(marker) == []


def test_no_second_request_is_smuggled_past_a_length(site: Site) -> None:
    marker = site.marker()
    assert wrongs(site, bad_lengths(site, marker), not_refused_once) == {}
    assert site.upstream(marker) == []


def test_bad_chunks_are_refused(site: Site) -> None:
    marker = site.marker()
    assert wrongs(site, bad_chunks(site, marker), not_refused_once) == {}
    assert site.upstream(marker) == []


def test_other_protocols_and_noise_are_refused(site: Site) -> None:
    assert wrongs(site, others(), not_refused) == {}


def test_mutants_are_answered_or_refused_or_wait_for_more(any_site: Site) -> None:
    """A mutant may be good, or good but longer than what was sent."""

    def wrong(answer: Heard) -> str:
        return "" if all(status == 200 or refuses(status) for status in answer.statuses) else "a bug"

    assert wrongs(any_site, mutants(any_site, "mutant", 150), wrong, patience_s=0.02) == {}


def test_the_corpus_is_large(site: Site) -> None:
    names = [name for group in (bad_heads, bad_lengths, bad_chunks) for name, _ in group(site, "x")]
    names += [name for name, _ in others()]
    assert len(set(names)) == len(names) >= 300


# ---------------------------------------------------------------- good ones that look odd


@pytest.mark.parametrize(
    "body",
    [
        lambda body: b"%x\r\n%b\r\n0\r\n\r\n" % (len(body), body),
        lambda body: b"%X\r\n%b\r\n0\r\n\r\n" % (len(body), body),
        lambda body: b"0000%x\r\n%b\r\n000\r\n\r\n" % (len(body), body),
        lambda body: b"%x;name=value\r\n%b\r\n0;end\r\n\r\n" % (len(body), body),
        lambda body: b'%x;name="a quoted; value"\r\n%b\r\n0\r\n\r\n' % (len(body), body),
        lambda body: b"%x\r\n%b\r\n0\r\nX-Trailer: one\r\nX-Other: two\r\n\r\n" % (len(body), body),
        lambda body: chunked(body, *([1] * len(body))),
    ],
    ids=["plain", "capitals", "zeros", "extension", "quoted extension", "trailers", "single bytes"],
)
def test_odd_chunks_are_chunks(site: Site, body: Callable[[bytes], bytes]) -> None:
    with site.connect() as client:
        for _ in range(2):
            client.send(site.head("Transfer-Encoding: chunked") + body(chat("odd but right")))
            assert b"odd but right" in client.answer().body


@pytest.mark.parametrize("before", [b"\r\n", b"\r\n\r\n", b"\n"], ids=["a line", "two lines", "LF"])
def test_empty_lines_before_a_request_are_nothing(site: Site, before: bytes) -> None:
    with site.connect() as client:
        for _ in range(2):
            client.send(before + site.post(chat("after nothing")))
            assert b"after nothing" in client.answer().body


def test_a_request_inside_of_a_body_is_a_body(site: Site) -> None:
    marker = site.marker()
    inner = site.post(chat(marker))
    with site.connect() as client:
        for request in (site.post(inner), site.head("Transfer-Encoding: chunked") + chunked(inner, 10)):
            client.send(request)
            assert client.answer().code == "invalid_json"
        client.send(site.post(chat()))
        assert client.answer().status == 200
    assert site.upstream(marker) == []


# ---------------------------------------------------------------- cut short


def cuts(site: Site, marker: str) -> list[bytes]:
    """Two good requests, cut after each of their bytes but the last."""
    plain = site.post(chat(marker))
    odd = site.head("Transfer-Encoding: chunked") + chunked(chat(marker), 10)
    return [whole[:at] for whole in (plain, odd) for at in range(len(whole))]


def test_a_request_that_is_cut_short_and_closed_is_forgotten(site: Site) -> None:
    marker = site.marker()
    for payload in cuts(site, marker):
        with site.connect() as client:
            client.send(payload)
            client.half_close()
            assert all(refuses(int(status)) for status in STATUS_LINE.findall(client.rest()))
    site.until(lambda: site.is_at_rest() and not site.gateway._connections())
    assert site.upstream(marker) == []
    site.is_well()


def test_a_request_that_is_cut_short_and_left_is_closed_in_time(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gateway.web.door.BODY_TIMEOUT_S", 0.5)
    payloads = list(filter(None, cuts(site, "left")))[::4]
    clients = []
    for payload in payloads:
        clients.append(site.connect())
        clients[-1].send(payload)
    site.until(lambda: len(site.gateway._connections()) == len(clients))
    time.sleep(0.2)  # until what was sent is there
    site.pass_time(62)
    for client in clients:
        assert all(refuses(int(status)) for status in STATUS_LINE.findall(client.rest()))
        client.socket.close()
    site.until(lambda: site.is_at_rest() and not site.gateway._connections())
    site.is_well()
