"""The same request gets the same answer at either door: status, body and headers, but for ids and times."""

from __future__ import annotations

import re

import pytest
from doors_cases import CASES, SURFACES, Case, bare
from doors_site import COMPLETIONS, NATIVE, Site, chat
from doors_wire import Answer, Broken

OWN = ("date", "server-timing")  # of one answer alone
PASSING = re.compile(
    rb"req_[0-9a-f]{24}|(?<=_)[0-9a-f]{24}|(?<=-)[0-9a-f]{24}|(?<=\"created\":)\d+|(?<=latencyMs\":)\d+"
    rb"|(?<=created_at\":)\d+|(?<=completed_at\":)\d+|(?<=created_at\":\")[0-9TZ:-]+"
)


def comparable(answer: Answer) -> tuple[object, ...]:
    """What must be the same. How a stream is cut into chunks is the network's business."""
    headers = [(name, PASSING.sub(b"...", value.encode())) for name, value in answer.headers]
    headers = sorted((name, value) for name, value in headers if name not in OWN and value != b"keep-alive")
    return answer.status, headers, answer.framing, PASSING.sub(b"...", answer.body)


def answer_to(site: Site, case: Case) -> Answer:
    with site.connect() as client:
        client.send(case.write(site))
        answer = client.answer(to_head=case.head_only)
        if answer.closes:
            assert client.is_closed()
        return answer


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_the_doors_do_not_differ(both: tuple[Site, Site], case: Case) -> None:
    lean, plain = (answer_to(site, case) for site in both)
    assert lean.status == case.status, lean
    assert comparable(lean) == comparable(plain)


@pytest.mark.parametrize("case", [case for case in SURFACES if case.status == 200], ids=lambda case: case.name)
def test_the_second_on_a_connection_is_answered_as_the_first(site: Site, case: Case) -> None:
    """The second takes the express where it can: nobody may notice, but for ids and times."""
    with site.connect() as client:
        answers = []
        for _ in range(3):
            client.send(case.write(site))
            answers.append(comparable(client.answer()))
    assert answers[0] == answers[1] == answers[2]


# ---------------------------------------------------------------- each kind of answer, on either loop


def test_a_whole_answer_has_its_length_a_date_and_our_name(any_site: Site) -> None:
    answer = any_site.ask(any_site.post(chat("the whole")))
    assert (answer.status, answer.framing) == (200, "length")
    assert b"You said: the whole" in answer.body
    assert answer.header("server") == "passerelle"
    assert re.fullmatch(r"\w{3}, \d\d \w{3} \d{4} \d\d:\d\d:\d\d GMT", answer.header("date") or "")
    assert answer.header("x-request-id") == answer.header("request-id")


@pytest.mark.parametrize(("path", "last"), [(COMPLETIONS, b"data: [DONE]"), (NATIVE, b"event: chat.complete\n")])
def test_a_stream_comes_in_chunks_and_ends_properly(any_site: Site, path: str, last: bytes) -> None:
    answer = any_site.ask(any_site.post(chat("a stream of words", stream=True), path=path))
    assert (answer.status, answer.framing) == (200, "chunked")
    assert answer.header("content-type") == "text/event-stream; charset=utf-8"
    assert answer.frames[-1].startswith(last)
    any_site.do(lambda: None)
    any_site.until(any_site.is_at_rest)


@pytest.mark.parametrize("path", [COMPLETIONS, NATIVE])
def test_a_stream_that_breaks_has_an_error_and_no_ending(any_site: Site, path: str) -> None:
    any_site.fault("cut", after_events=2)
    with any_site.connect() as client:
        client.send(any_site.post(chat("this will be cut", stream=True), path=path))
        head = client.head()
        heard = client.rest()
    assert (head.status, head.header("transfer-encoding")) == (200, "chunked")
    assert b'"error"' in heard
    assert b"[DONE]" not in heard
    assert b"chat.complete" not in heard
    assert not heard.endswith(b"\r\n0\r\n\r\n"), "the last chunk would make it look complete"
    any_site.until(any_site.is_at_rest)


def test_a_provider_that_fails_is_an_error_and_the_connection_stays(any_site: Site) -> None:
    with any_site.connect() as client:
        any_site.fault("status", status=500)
        client.send(any_site.post(chat()))
        failed = client.answer()
        client.send(any_site.post(chat()))
        assert (failed.status, failed.code, client.answer().status) == (502, "upstream_error", 200)


def test_an_error_names_its_request(any_site: Site) -> None:
    answer = any_site.ask(any_site.post(chat(), "X-Request-Id: find-me", credential=False))
    assert (answer.status, answer.code) == (401, "invalid_api_key")
    assert answer.header("x-request-id") == "find-me"
    assert b"find-me" in answer.body


def test_a_stream_by_http_1_0_ends_with_its_connection(any_site: Site) -> None:
    answer = any_site.ask(any_site.post(chat(stream=True)).replace(b"HTTP/1.1", b"HTTP/1.0", 1))
    assert (answer.status, answer.framing) == (200, "close")
    assert answer.frames[-1] == b"data: [DONE]"


def test_head_is_answered_with_the_length_that_get_would_have(any_site: Site) -> None:
    with any_site.connect() as client:
        client.send(bare("HEAD", "/livez"), bare("GET", "/livez"))
        head, whole = client.answer(to_head=True), client.answer()
    assert (head.status, head.header("content-length")) == (200, str(len(whole.body)))


def test_the_reader_of_these_tests_sees_what_is_wrong(any_site: Site) -> None:
    with any_site.connect() as client:
        client.unread = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabcd\r\n"
        with pytest.raises(Broken):
            client.answer()
