"""TLS with authorities of our own: verification, names, session reuse, and a tunnel through a proxy."""

from __future__ import annotations

import asyncio
import datetime
import ssl
from collections.abc import Iterator
from ipaddress import ip_address
from pathlib import Path

import pytest
import uvloop
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from upstream_kit import HELLO, Recorder, Serve, answering, read_request, request

from gateway.upstream import Origin, Tuning, Upstream, UpstreamFailed, fetch
from gateway.upstream.tls import context


@pytest.fixture(params=["uvloop", "asyncio"], scope="module")
def event_loop_policy(request: pytest.FixtureRequest) -> Iterator[asyncio.AbstractEventLoopPolicy]:
    yield uvloop.EventLoopPolicy() if request.param == "uvloop" else asyncio.DefaultEventLoopPolicy()


class Authority:
    """A certificate authority in a folder."""

    def __init__(self, folder: Path, name: str) -> None:
        self._folder = folder
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        certificate = self._sign(self._name, self._key, x509.BasicConstraints(ca=True, path_length=None))
        self.file = folder / f"{name}.pem"
        self.file.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))

    def server(self, host: str) -> ssl.SSLContext:
        """A server's context with a certificate for `host`, a name or an address."""
        key = ec.generate_private_key(ec.SECP256R1())
        alternative = x509.IPAddress(ip_address(host)) if host[0].isdigit() else x509.DNSName(host)
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, host)])
        certificate = self._sign(subject, key, x509.SubjectAlternativeName([alternative]))
        file = self._folder / f"{host}.pem"
        file.write_bytes(
            key.private_bytes(
                serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
            )
            + certificate.public_bytes(serialization.Encoding.PEM)
        )
        made = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        made.load_cert_chain(file)
        made.set_alpn_protocols(["h2", "http/1.1"])
        return made

    def _sign(
        self, subject: x509.Name, key: ec.EllipticCurvePrivateKey, extension: x509.ExtensionType
    ) -> x509.Certificate:
        now = datetime.datetime.now(datetime.UTC)
        return (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(self._name)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - datetime.timedelta(hours=1))
            .not_valid_after(now + datetime.timedelta(hours=1))
            .add_extension(extension, critical=False)
            .sign(self._key, hashes.SHA256())
        )


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path, "ours")


def trusting(origin: Origin, authority: Authority) -> Origin:
    return Origin(origin.scheme, origin.host, origin.port, str(authority.file))


async def test_a_server_with_our_authoritys_certificate_is_answered(
    serve: Serve, upstream: Upstream, authority: Authority
) -> None:
    origin = trusting(await serve(answering(HELLO), authority.server("127.0.0.1")), authority)
    for _ in range(3):
        assert (await fetch(upstream, request(origin))).body == b"hello"
    assert upstream.stats()[origin].open == 1


async def test_only_http_1_1_is_offered(serve: Serve, upstream: Upstream, authority: Authority) -> None:
    chosen: list[str | None] = []

    async def look(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        chosen.append(writer.get_extra_info("ssl_object").selected_alpn_protocol())
        await answering(HELLO)(reader, writer)

    origin = trusting(await serve(look, authority.server("127.0.0.1")), authority)
    await fetch(upstream, request(origin))
    assert chosen == ["http/1.1"]


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
async def test_a_second_connection_takes_up_the_session_of_the_first(
    serve: Serve, upstream: Upstream, authority: Authority, version: ssl.TLSVersion
) -> None:
    reused: list[bool] = []

    async def look(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        reused.append(writer.get_extra_info("ssl_object").session_reused)
        await answering(HELLO, pause_s=0.05)(reader, writer)

    tls = authority.server("127.0.0.1")
    tls.minimum_version = tls.maximum_version = version
    origin = trusting(await serve(look, tls), authority)
    await fetch(upstream, request(origin))
    await asyncio.gather(*(fetch(upstream, request(origin)) for _ in range(3)))
    assert reused == [False, True, True]


async def test_a_paused_reader_slows_its_server_down_through_tls_too(
    serve: Serve, upstream: Upstream, authority: Authority
) -> None:
    sent = 0

    async def flood(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal sent
        await read_request(reader)
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 33554432\r\n\r\n")
        for sent in range(1, 129):  # noqa: B007
            writer.write(bytes(262_144))
            await writer.drain()
        await reader.read()

    origin = trusting(await serve(flood, authority.server("127.0.0.1")), authority)
    sink = Recorder()
    transfer = upstream.send(request(origin), sink)
    transfer.pause()  # before there is a connection
    await asyncio.sleep(0.3)
    assert sink.words == [] and sent < 128
    transfer.resume()
    await asyncio.wait_for(sink.over.wait(), 5)
    assert len(sink.data) == 33_554_432 and sink.words[-1] == "end"


async def fault_of(upstream: Upstream, origin: Origin) -> str:
    with pytest.raises(UpstreamFailed) as failed:
        await asyncio.wait_for(fetch(upstream, request(origin)), 5)
    assert failed.value.fault.kind == "connect"
    return failed.value.fault.log_message


async def test_strangers_are_refused(serve: Serve, upstream: Upstream, authority: Authority, tmp_path: Path) -> None:
    origin = await serve(answering(HELLO), authority.server("127.0.0.1"))
    assert "certificate verify failed" in await fault_of(upstream, origin)
    other = Authority(tmp_path, "other")
    assert "certificate verify failed" in await fault_of(upstream, trusting(origin, other))
    assert (await fetch(upstream, request(trusting(origin, authority)))).status == 200
    assert "certificate verify failed" in await fault_of(upstream, origin)


async def test_a_certificate_for_another_name_is_refused(
    serve: Serve, upstream: Upstream, authority: Authority
) -> None:
    origin = await serve(answering(HELLO), authority.server("provider.test"))
    assert "certificate verify failed" in await fault_of(upstream, trusting(origin, authority))


async def test_plain_text_in_place_of_tls_is_a_connect_fault(
    serve: Serve, upstream: Upstream, authority: Authority
) -> None:
    async def shout(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(1)
        writer.write(HELLO)

    plain = await serve(shout)
    await fault_of(upstream, Origin("https", plain.host, plain.port, str(authority.file)))


async def test_an_authority_file_that_is_not_there_is_a_connect_fault(upstream: Upstream) -> None:
    await fault_of(upstream, Origin("https", "127.0.0.1", 1, "/nowhere/ca.pem"))


def test_the_systems_authorities_are_the_default_and_nothing_below_tls_1_2() -> None:
    made = context(None)
    assert made.verify_mode == ssl.CERT_REQUIRED and made.check_hostname
    assert made.minimum_version == ssl.TLSVersion.TLSv1_2


async def test_https_goes_through_a_proxy_that_sees_no_more_than_the_name(serve: Serve, authority: Authority) -> None:
    hidden = await serve(answering(HELLO), authority.server("provider.test"))
    asked: list[bytes] = []

    async def pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(65536):
            writer.write(data)
        writer.close()

    async def proxy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        asked.append(await read_request(reader))
        to_reader, to_writer = await asyncio.open_connection(hidden.host, hidden.port)
        writer.write(b"HTTP/1.1 200 Connection established\r\nvia: test\r\n\r\n")
        await asyncio.gather(pump(reader, to_writer), pump(to_reader, writer))

    place = await serve(proxy)
    upstream = Upstream(Tuning(), environ={"HTTPS_PROXY": f"http://u:p@127.0.0.1:{place.port}"})
    origin = Origin("https", "provider.test", 8443, str(authority.file))
    for _ in range(2):
        assert (await fetch(upstream, request(origin))).body == b"hello"
    assert asked == [
        b"CONNECT provider.test:8443 HTTP/1.1\r\nhost: provider.test:8443\r\nproxy-authorization: Basic dTpw\r\n\r\n"
    ]
    await upstream.close()
