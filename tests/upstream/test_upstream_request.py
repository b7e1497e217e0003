from __future__ import annotations

import pytest

from gateway.upstream import Origin, head, header_lines


@pytest.mark.parametrize(
    ("url", "origin", "prefix"),
    [
        ("https://api.openai.com/v1", Origin("https", "api.openai.com", 443), "/v1"),
        ("https://API.Anthropic.com", Origin("https", "api.anthropic.com", 443), ""),
        ("http://127.0.0.1:8081/openai/v1/", Origin("http", "127.0.0.1", 8081), "/openai/v1"),
        ("http://[::1]:80/", Origin("http", "::1", 80), ""),
        ("https://bücher.example", Origin("https", "xn--bcher-kva.example", 443), ""),
    ],
)
def test_a_base_url_is_an_origin_and_a_prefix(url: str, origin: Origin, prefix: str) -> None:
    assert Origin.from_url(url) == (origin, prefix)


@pytest.mark.parametrize(
    "url",
    [
        "ftp://a",
        "api.openai.com",
        "https:///path",
        "https://key@a/",
        "https://a/?key=1",
        "https://a/#x",
        "https://a/b c",
        "https://a:99999/",
    ],
)
def test_what_is_no_base_url_is_refused_without_repeating_it(url: str) -> None:
    with pytest.raises(ValueError) as refused:
        Origin.from_url(url)
    assert url not in str(refused.value)


def test_the_host_header_leaves_out_the_schemes_own_port() -> None:
    assert Origin("https", "a.test", 443).authority == "a.test"
    assert Origin("https", "a.test", 80).authority == "a.test:80"
    assert Origin("http", "::1", 80).authority == "[::1]"
    assert Origin("http", "::1", 81).authority == "[::1]:81"
    assert Origin("https", "a.test", 443).host_port == "a.test:443"


def test_another_certificate_authority_is_another_origin() -> None:
    origin, _ = Origin.from_url("https://a.test", ca_file="/etc/ca.pem")
    assert origin != Origin("https", "a.test", 443)
    assert hash(origin) == hash(Origin("https", "a.test", 443, "/etc/ca.pem"))


def test_a_head_is_a_request_line_and_headers() -> None:
    assert (
        head("POST", "/v1/x?a=b", [("host", "a"), ("x-note", "é\t1")])
        == b"POST /v1/x?a=b HTTP/1.1\r\nhost: a\r\nx-note: \xe9\t1\r\n"
    )


@pytest.mark.parametrize("value", ["a\r\nx: y", "a\ny", "a\ry", "a\x00", "\x7f", "\u2028", "a\n"])
def test_no_value_leaves_its_line(value: str) -> None:
    with pytest.raises(ValueError) as refused:
        header_lines([("authorization", value)])
    assert value not in str(refused.value)


@pytest.mark.parametrize("name", ["", "a b", "a:", "a\r\n", "é"])
def test_no_name_is_anything_but_a_token(name: str) -> None:
    with pytest.raises(ValueError):
        header_lines([(name, "x")])


@pytest.mark.parametrize(
    ("method", "target"), [("GET ", "/"), ("GET", "/a b"), ("GET", "/a\r\nx: y"), ("GET", ""), ("", "/"), ("GET", "/é")]
)
def test_no_request_line_leaves_its_line(method: str, target: str) -> None:
    with pytest.raises(ValueError):
        head(method, target, [])
