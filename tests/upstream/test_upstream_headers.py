from __future__ import annotations

import pytest

from gateway.upstream import Headers

RAW = (
    b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream \r\nset-cookie: a=1\r\nX-Note:\t caf\xe9\r\n"
    b"Set-Cookie: b=2\r\nx-empty:\r\nlast: one\r\n\r\ndata: x-body: 1\r\n\r\nlast: two\r\n\r\n"
)
EXPECTED = {
    "content-type": "text/event-stream",
    "set-cookie": "a=1, b=2",
    "x-note": "café",
    "x-empty": "",
    "last": "one",
}


def test_all_headers_are_a_plain_mapping_with_lower_case_names() -> None:
    assert dict(Headers(RAW)) == EXPECTED
    assert list(Headers(RAW)) == list(EXPECTED)
    assert len(Headers(RAW)) == 5


def test_a_single_header_is_found_without_reading_the_others() -> None:
    for name, value in EXPECTED.items():
        assert Headers(RAW)[name] == value


def test_a_header_is_the_same_before_and_after_reading_all() -> None:
    headers = Headers(RAW)
    before = {name: headers[name] for name in EXPECTED}
    assert dict(headers) == before == {name: headers[name] for name in EXPECTED}


@pytest.mark.parametrize("name", ["x-body", "data", "type", "content", "Content-Type", "", "http/1.1 200 ok"])
def test_what_is_no_header_is_not_found(name: str) -> None:
    headers = Headers(RAW)
    assert name not in headers
    assert headers.get(name, "none") == "none"
    assert len(headers) == 5
    assert name not in headers


def test_a_head_without_headers_is_empty() -> None:
    assert dict(Headers(b"HTTP/1.1 204 None\r\n\r\n")) == {}
    assert "a" not in Headers(b"HTTP/1.1 204 None\r\n\r\n")
