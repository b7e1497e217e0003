"""What is no HTTP/1.1, in many ways: name -> bytes. Every payload carries a good credential and a good chat, so that only its
form can be the reason to refuse it.

Sources: RFC 9112 (sections 2.2, 3, 5, 6, 7); the request-smuggling corpora of PortSwigger ("HTTP Desync Attacks"), of Narf's
http-garden and of llhttp's own tests.
"""

from __future__ import annotations

import random
from collections.abc import Iterator

from doors_site import COMPLETIONS, Site, chat

Payload = tuple[str, bytes]
LINE = f"POST {COMPLETIONS} HTTP/1.1".encode()
SIZE = b"Content-Length: %d"

METHODS = [b"", b" POST", b"P OST", b"POST\t", b"PO\x00ST", b"POST\x80", b"P@ST", b"POST:", b"post", b"Post", b"P\xd6ST", b"FETCH", b"POSTPOST", b"\x7fPOST", b'"POST"', b"PO(ST", b"\xef\xbb\xbfPOST", b"0", b"-", b"POST\x0b", b"POST\r", b"P\nOST"]  # fmt: skip
VERSIONS = [b"", b"HTTP", b"HTTP/", b"HTTP/1", b"HTTP/1.", b"HTTP/.1", b"HTTP/1.2", b"HTTP/1.9", b"HTTP/0.9", b"HTTP/2.0", b"HTTP/2", b"HTTP/3.0", b"HTTP/11", b"HTTP/1.10", b"HTTP/01.1", b"HTTP/1.1.1", b"HTTP/-1.1", b"HTTP/1,1", b"http/1.1", b"Http/1.1", b"HTTPS/1.1", b"ICE/1.0", b"HTTP /1.1", b"HTTP/ 1.1", b"HTTP/1. 1", b"HTTP/1.1 x", b"HTTP/1.1\x00", b"HTTP/1.1\t", b"HTTP\\1.1", b"HTTP/\xef\xbc\x91.1", b"xHTTP/1.1", b"HTTP/1.1\r"]  # fmt: skip
TARGETS = [b"", b"*", b"chat", b"?key=x", b":443", b"gateway.test:443", b"/a b", b"/a\tb", b"/a\x00b", b"/a\x01b", b"/a\x7fb", b"/a\rb", b"/a\nb", b"/\xff\xfe", b"/caf\xc3\xa9", b"\\chat", b"http:", b"http://", b"http:///chat", b"http://[::1", b"http://a b/", b"http://u@h:p/chat", b"ftp://gateway.test/chat", b"://chat", b"/%", b"/%0", b"/%0d%0aX:%20y", b"/%00", b"/" + b"a" * 20_000, b"/..;/", b"/../../etc/passwd", b"/%2e%2e/%2e%2e/etc/passwd", b"//", b"/#", b"#"]  # fmt: skip

# Lines that spoil a head wherever they stand in it.
BAD_LINES = {
    "no colon": b"X-Thing",
    "no name": b": thing",
    "space before the colon": b"X-Thing : 1",
    "tab before the colon": b"X-Thing\t: 1",
    "space in the name": b"X Thing: 1",
    "NUL in the name": b"X\x00Thing: 1",
    "DEL in the name": b"X\x7fThing: 1",
    "a letter above ASCII in the name": b"X\xe9Thing: 1",
    "UTF-8 in the name": b"X\xc3\xa9Thing: 1",
    "a bracket in the name": b"X(Thing): 1",
    "an at sign in the name": b"X@Thing: 1",
    "a comma in the name": b"X,Thing: 1",
    "a slash in the name": b"X/Thing: 1",
    "a quote in the name": b'"X-Thing": 1',
    "an equals sign in the name": b"X=Thing: 1",
    "NUL in the value": b"X-Thing: a\x00b",
    "SOH in the value": b"X-Thing: a\x01b",
    "VT in the value": b"X-Thing: a\x0bb",
    "ESC in the value": b"X-Thing: \x1b[31m",
    "DEL in the value": b"X-Thing: a\x7fb",
    "CR in the value": b"X-Thing: a\rb",
    "CR at the end": b"X-Thing: a\r",
    "two lines by CR": b"X-Thing: a\rX-Other: b",
    "only CR": b"\r",
    "only a colon": b":",
    "only a space": b" ",
    "a request line": LINE,
    "an answer": b"HTTP/1.1 200 OK",
    "binary": bytes(range(128, 160)),
}
FOLDED = {"a folded line": b"X-Thing: a\r\n b", "a line folded by a tab": b"X-Thing: a\r\n\tb"}
LENGTHS = [b"-1", b"+5", b"5x", b"x5", b"0x5", b"5 5", b"5,5", b"5, 6", b"", b";", b"5;", b"1e3", b"5.0", b"five", b"\xd9\xa5", b"5\x00", b"\x0b5", b"5\t6", b"99999999999999999999", b"18446744073709551616", b"18446744073709551621", b"9" * 400, b"0" * 30 + b"x", b"--5", b"5-", b"NaN"]  # fmt: skip
ENCODINGS = [b"xchunked", b"chunkedx", b"chunk", b"chunked, identity", b"chunked, gzip", b"chunked, chunked", b"chunked,", b",chunked,x", b'"chunked"', b"chunked\x0b", b"\x0bchunked", b"chunked\x00", b"\x00chunked", b"chunked x", b"chunked;q=1", b"identity", b"gzip", b"x", b"", b"chu\tnked", b"ch\xc3\xbcnked", b"\xef\xbb\xbfchunked", b"cow, chunked, x", b"chunked\r", b"CHUNKED, cow", b"gzip, chunked", b"cow, chunked", b"identity, chunked"]  # fmt: skip
HIDDEN = [b"Transfer-Encoding : chunked", b"Transfer-Encoding\t: chunked", b" Transfer-Encoding: chunked", b"\tTransfer-Encoding: chunked", b"X: y\nTransfer-Encoding: chunked", b"X: y\rTransfer-Encoding: chunked", b"Transfer-Encoding:\r\n chunked", b"Transfer-Encoding:\n chunked", b"Transfer\x00-Encoding: chunked", b"Transfer-Encoding\r\n : chunked", b"Transfer-Encoding:chunked\nX: y", b"Transfer-Encoding\xa0: chunked", b"Transfer-Encoding: chunked\r\nTransfer-Encoding: identity", b"Transfer-Encoding: identity\r\nTransfer-Encoding: chunked", b"Transfer-Encoding: chunked\r\nTransfer-Encoding: cow", b"Transfer-Encoding: chunked\r\ntransfer-encoding: chunked"]  # fmt: skip

# Bodies that are no chunks; each would be the chat if it were read kindly. %b is the chat.
CHUNKS = {
    "a size that is no number": (b"zz\r\n", b"\r\n0\r\n\r\n"),
    "a negative size": (b"-%x\r\n", b"\r\n0\r\n\r\n"),
    "a size with a plus": (b"+%x\r\n", b"\r\n0\r\n\r\n"),
    "a size with 0x": (b"0x%x\r\n", b"\r\n0\r\n\r\n"),
    "no size": (b"\r\n", b"\r\n0\r\n\r\n"),
    "a size after a space": (b" %x\r\n", b"\r\n0\r\n\r\n"),
    "a size with an underscore": (b"0_%x\r\n", b"\r\n0\r\n\r\n"),
    "a size of 17 digits": (b"1" + b"0" * 16 + b"\r\n", b"\r\n0\r\n\r\n"),
    "a size of 16 Fs and one": (b"f" * 17 + b"\r\n", b"\r\n0\r\n\r\n"),
    "a size ended by LF": (b"%x\n", b"\r\n0\r\n\r\n"),
    "a size ended by CR": (b"%x\r", b"\r\n0\r\n\r\n"),
    "a size ended by CR CR LF": (b"%x\r\r\n", b"\r\n0\r\n\r\n"),
    "a size and NUL": (b"%x\x00\r\n", b"\r\n0\r\n\r\n"),
    "an extension with LF": (b"%x;a\nb\r\n", b"\r\n0\r\n\r\n"),
    "an extension with NUL": (b"%x;a\x00\r\n", b"\r\n0\r\n\r\n"),
    "an extension with CR": (b"%x;a\rb\r\n", b"\r\n0\r\n\r\n"),
    "an extension without a name": (b"%x;\r\n", b"\r\n0\r\n\r\n"),
    "a chunk ended by LF": (b"%x\r\n", b"\n0\r\n\r\n"),
    "a chunk ended by nothing": (b"%x\r\n", b"0\r\n\r\n"),
    "a chunk ended by letters": (b"%x\r\n", b"xx0\r\n\r\n"),
    "a chunk longer than its size": (b"5\r\n", b"\r\n0\r\n\r\n"),
    "a last chunk with letters": (b"%x\r\n", b"\r\n0x\r\n\r\n"),
    "an end with CR alone": (b"%x\r\n", b"\r\n0\r\n\rX\n"),
    "a trailer without a colon": (b"%x\r\n", b"\r\n0\r\nX-Thing\r\n\r\n"),
    "a trailer with NUL": (b"%x\r\n", b"\r\n0\r\nX-Thing: \x00\r\n\r\n"),
    "a trailer with a space": (b"%x\r\n", b"\r\n0\r\nX Thing: a\r\n\r\n"),
    "a trailer of a bare LF": (b"%x\r\n", b"\r\n0\r\nX: a\nY: b\r\n\r\n"),
}

OTHERS = {
    "TLS": bytes.fromhex("16030100c8010000c40303") + bytes(range(200)),
    "TLS in one record of 5": bytes.fromhex("1603010200010001fc0303"),
    "SSLv2": bytes.fromhex("802e0100020015000000100700c0"),
    "HTTP/2": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\x00\x00\x12\x04\x00\x00\x00\x00\x00",
    "HTTP/2 without the preface": b"\x00\x00\x12\x04\x00\x00\x00\x00\x00\x00\x03\x00\x00\x00\x64",
    "HTTP/0.9": b"GET /livez\r\n\r\n",
    "SSH": b"SSH-2.0-OpenSSH_9.9\r\n\r\n",
    "SMTP": b"EHLO gateway.test\r\n\r\n",
    "Redis": b"*1\r\n$4\r\nPING\r\n\r\n",
    "memcached": b"stats\r\n\r\n",
    "PROXY": b"PROXY TCP4 10.0.0.1 10.0.0.2 1 2\r\nGET /livez HTTP/1.1\r\nhost: x\r\n\r\n",
    "an answer": b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n",
    "a WebSocket frame": bytes.fromhex("818537fa213d7f9f4d5158"),
    "zeros": bytes(1000),
    "a UTF-16 request": "POST /chat HTTP/1.1\r\n\r\n".encode("utf-16"),
    "40 kB of letters": b"A" * 40_000 + b"\r\n\r\n",
    "40 kB of line ends": b"\r\n" * 20_000 + b"x\r\n\r\n",
    "40 kB of LF": b"\n" * 40_000 + b"x\r\n\r\n",
    "a chunk": b"5\r\nhello\r\n0\r\n\r\n",
}


def lines_of(site: Site, body: bytes) -> list[bytes]:
    """The head of a good request, line by line, without its end."""
    return site.post(body)[: -len(body) - 4].split(b"\r\n")


def joined(lines: list[bytes], body: bytes) -> bytes:
    return b"\r\n".join(lines) + b"\r\n\r\n" + body


def bad_heads(site: Site, marker: str) -> Iterator[Payload]:
    """Whole requests whose request line, or one line of whose head, is wrong."""
    body = chat(marker)
    good = lines_of(site, body)
    path = COMPLETIONS.encode()
    for method in METHODS:
        yield f"method {method!r}", joined([method + b" " + path + b" HTTP/1.1", *good[1:]], body)
    for version in VERSIONS:
        yield f"version {version!r}", joined([b"POST " + path + b" " + version, *good[1:]], body)
    for target in TARGETS:
        yield f"target {target[:30]!r}", joined([b"POST " + target + b" HTTP/1.1", *good[1:]], body)
    for name, line in {**BAD_LINES, **FOLDED}.items():
        for where, at in (("first", 1), ("amid", 3), ("last", len(good))):
            yield f"{name}, {where}", joined([*good[:at], line, *good[at:]], body)
    yield "a fold at the start", joined([good[0], b" " + good[1], *good[2:]], body)
    yield "LF for CRLF", joined(good, body).replace(b"\r\n", b"\n")
    yield "CR for CRLF", joined(good, body).replace(b"\r\n", b"\r")
    yield "LF CR for CRLF", joined(good, body).replace(b"\r\n", b"\n\r")
    yield "CR CR LF for CRLF", joined(good, body).replace(b"\r\n", b"\r\r\n")
    yield "LF after the request line", joined(good, body).replace(b"\r\n", b"\n", 1)
    yield "LF at the end of the head", b"\r\n".join(good) + b"\n\n" + body
    yield "no host", joined([good[0], *good[2:]], body)
    yield "two hosts", joined([*good, b"Host: other.test"], body)
    yield "a name of 20 kB", joined([*good, b"X" * 20_000 + b": 1"], body)
    yield "a value of 20 kB", joined([*good, b"X: " + b"y" * 20_000], body)
    yield "1000 headers", joined([*good, *[b"X-%d: 1" % n for n in range(1000)]], body)
    yield "10000 headers", joined([*good, *[b"X: 1"] * 10_000], body)


def bad_lengths(site: Site, marker: str) -> Iterator[Payload]:
    """Requests whose length nobody can tell, and which hide a second request in what might be their body."""
    inner = site.post(chat(marker))
    good = [line for line in lines_of(site, b"0\r\n\r\n") if not line.startswith(b"Content-Length")]
    rest = b"0\r\n\r\n" + inner
    for length in LENGTHS:
        yield f"length {length[:30]!r}", joined([*good, b"Content-Length: " + length], rest)
    for one, other in ((5, 6), (0, len(rest)), (len(rest), 0), (5, 5)):
        yield f"lengths {one} and {other}", joined([*good, SIZE % one, SIZE % other], rest)
        yield f"length {one}, {other}", joined([*good, b"Content-Length: %d, %d" % (one, other)], rest)
    for encoding in ENCODINGS:
        line = b"Transfer-Encoding: " + encoding
        yield f"encoding {encoding!r}", joined([*good, line], rest)
        yield f"length and encoding {encoding!r}", joined([*good, SIZE % len(rest), line], rest)
        yield f"encoding {encoding!r} and length", joined([*good, line, SIZE % 5], rest)
    for line in HIDDEN:
        yield f"hidden {line!r} and all", joined([*good, SIZE % len(rest), line], rest)
        yield f"hidden {line!r} and 5", joined([*good, line, SIZE % 5], rest)
    old = [good[0].replace(b"/1.1", b"/1.0"), *good[1:], b"Connection: keep-alive"]
    yield "chunks by HTTP/1.0", joined([*old, b"Transfer-Encoding: chunked"], rest)
    for encoding in (b"chunked", b"Chunked", b"\tchunked", b"chunked "):
        line = b"Transfer-Encoding: " + encoding
        yield f"length and {encoding!r}", joined([*good, SIZE % len(rest), line], rest)
        yield f"{encoding!r} and length", joined([*good, line, SIZE % 5], rest)


def bad_chunks(site: Site, marker: str) -> Iterator[Payload]:
    """Chunked requests whose chunks are none."""
    body = chat(marker)
    head = site.head("Transfer-Encoding: chunked")
    for name, (before, after) in CHUNKS.items():
        yield name, head + (before % len(body) if b"%x" in before else before) + body + after
    yield "a trailer of 20 kB", head + b"%x\r\n" % len(body) + body + b"\r\n0\r\nX: " + b"y" * 20_000 + b"\r\n\r\n"


def others() -> Iterator[Payload]:
    """Other protocols, and noise."""
    yield from OTHERS.items()
    dice = random.Random(9112)
    for n in range(40):
        yield f"noise {n}", dice.randbytes(dice.randrange(1, 2000)) + b"\r\n\r\n"
    for n in range(20):
        letters = bytes(dice.randrange(32, 127) for _ in range(dice.randrange(1, 500)))
        yield f"letters {n}", letters + b"\r\n\r\n"


def mutants(site: Site, marker: str, count: int) -> Iterator[Payload]:
    """A good request with a few bytes changed, lost or added: most are wrong, some are not."""
    good = site.post(chat(marker))
    dice = random.Random(count)
    spice = b"\r\n\x00 \t:;,%\x7f\xff0-+" + bytes(range(256))
    for n in range(count):
        mutant = bytearray(good)
        for _ in range(dice.randrange(1, 4)):
            at = dice.randrange(len(mutant))
            how = dice.randrange(3)
            mutant[at : at + (how != 2)] = b"" if how == 1 else bytes([dice.choice(spice)])
        yield f"mutant {n}", bytes(mutant)
