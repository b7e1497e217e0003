"""Request heads that the lean door may read by itself: plain POSTs of HTTP/1.1 with a length and a body as it is.

Everything else is left to aiohttp, which has one place for every oddity. llhttp says what a head means, here as there.
"""

from __future__ import annotations

import httptools

MAX_HEAD_BYTES = 16 * 1024
MAX_LENGTH_DIGITS = 15  # of a body
MAX_HEADERS = 100  # aiohttp refuses more than 128; those between are read by aiohttp as well
# What makes a request anything but plain. `te` and `trailer` go with chunked bodies.
ODD = frozenset(
    {b"expect", b"upgrade", b"transfer-encoding", b"content-encoding", b"te", b"trailer", b"sec-websocket-key1"}
)
# What aiohttp refuses to see twice (RFC 9110 calls them singletons), and a plain request may have.
ONCE = frozenset({b"host", b"content-type", b"user-agent", b"etag", b"server", b"max-forwards", b"content-location", b"content-range"})  # fmt: skip


class Head:
    """A request head as llhttp read it. Implements the parser's callbacks."""

    __slots__ = ("_parser", "headers", "keep_alive", "length", "method", "odd", "path", "query", "url")

    def __init__(self, raw: bytes) -> None:
        """Raises httptools.HttpParserError for what is no HTTP/1 request, UnicodeDecodeError for a path that is not ASCII."""
        self.headers: dict[bytes, bytes] = {}
        self.url = b""
        self.odd = False
        self.length = -1
        self.keep_alive = False
        self._parser = parser = httptools.HttpRequestParser(self)
        try:
            parser.feed_data(raw)
        except httptools.HttpParserUpgrade:
            self.odd = True
        self.method = parser.get_method()
        if parser.get_http_version() != "1.1":
            self.odd = True
        path, _, query = self.url.partition(b"?")
        self.path, self.query = path.decode("ascii"), query.decode("ascii")
        del self._parser  # a circle of references, for a head that is kept

    def on_url(self, url: bytes) -> None:
        self.url += url

    def on_header(self, name: bytes, value: bytes) -> None:
        name = name.lower()
        if name in ODD:
            self.odd = True
        elif name == b"content-length":
            self.length = int(value)
            return  # it is not the head's own: another body comes with the same head (Mould)
        elif name in self.headers:
            self.odd = self.odd or name in ONCE
            return  # the first one counts, as at aiohttp's door
        self.headers[name] = value.rstrip(b" \t")  # llhttp has stripped the other side

    def on_headers_complete(self) -> None:
        self.keep_alive = self._parser.should_keep_alive()  # after an empty body it would have been forgotten

    @property
    def plain(self) -> bool:
        """Whether nothing about it needs aiohttp. A path with escapes does, and one that is a whole URL or has a fragment."""
        return (
            not self.odd
            and self.method == b"POST"
            and self.length >= 0
            and b"host" in self.headers
            and self.path.startswith("/")
            and "%" not in self.path
            and b"#" not in self.url
        )


class Mould:
    """What a kept head looks like: a client's next one usually differs in the length of its body alone.

    before, after: all of the head on both sides of the digits of its content-length.
    """

    __slots__ = ("after", "before", "head")

    def __init__(self, raw: bytes, head: Head) -> None:
        """`raw` came to `head`, which is a plain one."""
        start = raw.lower().find(b"\r\ncontent-length:") + len(b"\r\ncontent-length:")
        while raw[start : start + 1] in (b" ", b"\t"):
            start += 1
        self.before, self.after = raw[:start], raw[raw.find(b"\r", start) :]
        self.head = head

    def fits(self, data: bytes) -> int:
        """How long the head is with which `data` begins, when it is one of these: `head` then has its length. 0 when it is not."""
        before = self.before
        if not data.startswith(before):
            return 0
        at = len(before)
        end = data.find(b"\r", at, at + MAX_LENGTH_DIGITS + 1)
        digits = data[at:end]
        if not (digits.isdigit() and data.startswith(self.after, end)):
            return 0
        self.head.length = int(digits)
        return end + len(self.after)


def read_plain(raw: bytes) -> Head | None:
    """The head, when it is a plain one."""
    if raw.count(b"\n") > MAX_HEADERS:
        return None
    try:
        head = Head(raw)
    except (httptools.HttpParserError, ValueError):
        return None
    return head if head.plain else None


def may_become_plain(begun: bytes) -> bool:
    """Whether the first bytes of a head are worth waiting for the rest: for anything else aiohttp has the right refusal at once."""
    beginning = b"POST /"
    line_ends = begun.count(b"\r\n")
    whole_ends = begun.count(b"\n") == line_ends == begun.count(b"\r") - begun.endswith(b"\r")
    return whole_ends and begun.startswith(beginning[: len(begun)])
