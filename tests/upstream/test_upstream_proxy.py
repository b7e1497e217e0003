from __future__ import annotations

import asyncio

import pytest
from upstream_kit import HELLO, Handler, Serve, read_request, request

from gateway.upstream import Origin, Tuning, Upstream, UpstreamFailed, fetch
from gateway.upstream.proxy import Proxies, Proxy

OPENAI = Origin("https", "api.openai.com", 443)


def test_without_variables_there_is_no_proxy() -> None:
    assert Proxies({}).for_origin(OPENAI) is None
    assert Proxies({"HTTPS_PROXY": ""}).for_origin(OPENAI) is None


def test_each_scheme_has_its_own_proxy_and_lower_case_wins() -> None:
    proxies = Proxies({"HTTPS_PROXY": "http://upper:1", "https_proxy": "http://lower:3128", "HTTP_PROXY": "plain:8888"})
    assert proxies.for_origin(OPENAI) == Proxy("lower", 3128)
    assert proxies.for_origin(Origin("http", "api.openai.com", 80)) == Proxy("plain", 8888)


def test_a_proxy_may_want_a_password() -> None:
    proxy = Proxies({"https_proxy": "http://us%40er:p%3Aw@proxy"}).for_origin(OPENAI)
    assert proxy == Proxy("proxy", 80, b"proxy-authorization: Basic dXNAZXI6cDp3\r\n")


@pytest.mark.parametrize("url", ["https://proxy:3128", "socks5://proxy", "http://", "http://proxy:x"])
def test_a_proxy_that_cannot_be_used_is_refused(url: str) -> None:
    with pytest.raises(ValueError):
        Proxies({"https_proxy": url})


@pytest.mark.parametrize(
    ("no_proxy", "host", "port", "spared"),
    [
        ("openai.com", "api.openai.com", 443, True),
        (".openai.com", "api.openai.com", 443, True),
        ("*.openai.com", "api.openai.com", 443, True),
        ("api.openai.com", "api.openai.com", 443, True),
        ("ai.com", "api.openai.com", 443, False),
        ("a.test, OPENAI.com", "api.openai.com", 443, True),
        ("openai.com:8443", "api.openai.com", 443, False),
        ("openai.com:443", "api.openai.com", 443, True),
        ("*", "api.openai.com", 443, True),
        ("10.0.0.0/8", "10.1.2.3", 443, True),
        ("10.0.0.0/8", "11.1.2.3", 443, False),
        ("10.1.2.3:444", "10.1.2.3", 443, False),
        ("2001:db8::/32", "2001:db8::1", 443, True),
        ("[2001:db8::1]:443", "2001:db8::1", 443, True),
        ("2001:db8::1", "2001:db8::1", 443, True),
        ("", "127.0.0.1", 8080, True),
        ("", "::1", 8080, True),
        ("", "localhost", 8080, True),
    ],
)
def test_who_is_spared_the_proxy(no_proxy: str, host: str, port: int, spared: bool) -> None:
    proxies = Proxies({"https_proxy": "http://proxy:1", "no_proxy": no_proxy})
    assert (proxies.for_origin(Origin("https", host, port)) is None) is spared


async def test_plain_http_is_asked_for_in_absolute_form(serve: Serve) -> None:
    seen: list[bytes] = []

    async def proxy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while whole := await read_request(reader):
            seen.append(whole)
            writer.write(HELLO)

    place = await serve(proxy)
    upstream = Upstream(Tuning(), environ={"http_proxy": f"http://u:p@127.0.0.1:{place.port}"})
    assert (await fetch(upstream, request(Origin("http", "provider.test", 8000)))).body == b"hello"
    assert seen == [
        b"POST http://provider.test:8000/v1/chat HTTP/1.1\r\nhost: provider.test:8000\r\n"
        b"proxy-authorization: Basic dTpw\r\ncontent-length: 2\r\n\r\n{}"
    ]
    await upstream.close()


def refusing(answer: bytes) -> Handler:
    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await read_request(reader)
        writer.write(answer)

    return handle


@pytest.mark.parametrize(
    "answer",
    [
        b"",
        b"HTTP/1.1 407 Proxy Authentication Required\r\ncontent-length: 0\r\n\r\n",
        b"HTTP/1.1 502 Bad Gateway\r\n\r\n",
        b"SSH-2.0-x 200\r\n\r\n",
        b"HTTP/1.1 200 OK\r\n",
        b"HTTP/1.1 200 OK\r\n" + b"x: y\r\n" * 4000,
        b"HTTP/1.1 200 OK\r\n\r\nsurprise",
    ],
)
async def test_a_proxy_that_will_not_connect_is_a_connect_fault(serve: Serve, answer: bytes) -> None:
    place = await serve(refusing(answer))
    upstream = Upstream(Tuning(), environ={"https_proxy": f"http://127.0.0.1:{place.port}"})
    with pytest.raises(UpstreamFailed) as failed:
        await asyncio.wait_for(fetch(upstream, request(Origin("https", "provider.test", 443))), 5)
    assert failed.value.fault.kind == "connect"
    assert "proxy" in failed.value.fault.log_message
    await upstream.close()


async def test_a_proxy_that_says_nothing_is_cut_by_the_connect_timeout(serve: Serve) -> None:
    async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()

    place = await serve(silent)
    upstream = Upstream(Tuning(sweep_s=0.02), environ={"https_proxy": f"http://127.0.0.1:{place.port}"})
    impatient = request(Origin("https", "provider.test", 443))
    impatient.timeouts = type(impatient.timeouts)(connect_s=0.1)
    with pytest.raises(UpstreamFailed) as failed:
        await asyncio.wait_for(fetch(upstream, impatient), 5)
    assert failed.value.fault.kind == "connect"
    await upstream.close()
