"""Requests that both doors must answer alike: name -> how to write it, and the status it gets."""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Callable
from dataclasses import dataclass

from doors_site import COMPLETIONS, MAX_BODY_BYTES, NATIVE, Site, chat

HELLO = chat()
ROOT = "/v1/chat/completions"


@dataclass(frozen=True)
class Case:
    name: str
    status: int
    write: Callable[[Site], bytes]
    head_only: bool = False  # the answer has no body, as those to HEAD


def chunked(body: bytes, *sizes: int) -> bytes:
    """A body in chunks of these sizes, the last one the rest."""
    parts, at = [], 0
    for size in (*sizes, len(body)):
        piece, at = body[at : at + size], at + size
        if piece:
            parts.append(b"%x\r\n%b\r\n" % (len(piece), piece))
    return b"".join(parts) + b"0\r\n\r\n"


def bare(method: str, path: str, *lines: str, version: str = "HTTP/1.1") -> bytes:
    """A request without a body, to a host."""
    return "\r\n".join([f"{method} {path} {version}", "host: gateway.test", *lines, "", ""]).encode()


def _encoded(encoding: str, body: bytes) -> Case:
    status = 200 if body[:2] in (b"\x1f\x8b", b"x\x9c") else 415 if encoding == "br" else 400
    name = f"{encoding} that is {'one' if status == 200 else 'none'}"
    return Case(name, status, lambda s: s.post(body, f"content-encoding: {encoding}"))


def _raw(*lines: bytes) -> Callable[[Site], bytes]:
    """A chat whose head has these bytes in it."""
    return lambda s: s.post(HELLO).replace(b"Host: gateway.test\r\n", b"Host: gateway.test\r\n" + b"".join(lines))


def _without(line: bytes) -> Callable[[Site], bytes]:
    return lambda s: s.post(HELLO).replace(line, b"")


ANSWERS = [
    Case("a chat", 200, lambda s: s.post(HELLO)),
    Case("a native chat", 200, lambda s: s.post(HELLO, path=NATIVE)),
    Case("a stream", 200, lambda s: s.post(chat(stream=True))),
    Case("a native stream", 200, lambda s: s.post(chat(stream=True), path=NATIVE)),
    Case("a stream with usage", 200, lambda s: s.post(chat(stream=True, stream_options={"include_usage": True}))),
    Case("a stream and then goodbye", 200, lambda s: s.post(chat(stream=True), "Connection: close")),
    Case(
        "a native stream and then goodbye", 200, lambda s: s.post(chat(stream=True), "Connection: close", path=NATIVE)
    ),
    Case("a stream by HTTP/1.0", 200, lambda s: s.post(chat(stream=True)).replace(b"HTTP/1.1", b"HTTP/1.0", 1)),
    Case("a native stream by 1.0", 200, lambda s: s.post(chat(stream=True), path=NATIVE).replace(b"/1.1", b"/1.0", 1)),
    Case("HTTP/1.0", 200, lambda s: s.post(HELLO).replace(b"HTTP/1.1", b"HTTP/1.0", 1)),
    Case("HTTP/1.0 that stays", 200, lambda s: s.post(HELLO, "Connection: keep-alive").replace(b"/1.1", b"/1.0", 1)),
    Case("goodbye", 200, lambda s: s.post(HELLO, "Connection: close")),
    Case("goodbye among others", 200, lambda s: s.post(HELLO, "Connection: x-thing, CLOSE")),
    Case("keep-alive", 200, lambda s: s.post(HELLO, "Connection: keep-alive")),
]

PATHS = [
    Case("with the version", 200, lambda s: s.post(HELLO, path="/api/v1/acme/ai/v1/chat/completions")),
    Case("at the root", 200, lambda s: s.post(HELLO, path=ROOT)),
    Case("with a slash at its end", 200, lambda s: s.post(HELLO, path=COMPLETIONS + "/")),
    Case("with a query", 200, lambda s: s.post(HELLO, path=COMPLETIONS + "?beta=true")),
    Case("with an empty query", 200, lambda s: s.post(HELLO, path=COMPLETIONS + "?")),
    Case("key in the query", 200, lambda s: s.post(HELLO, path=f"{COMPLETIONS}?key={s.token}", credential=False)),
    Case(
        "key and a fragment", 200, lambda s: s.post(HELLO, path=f"{COMPLETIONS}?key={s.token}#here", credential=False)
    ),
    Case("bad key in the query", 401, lambda s: s.post(HELLO, path=f"{COMPLETIONS}?key=wrong", credential=False)),
    Case("with an escape", 200, lambda s: s.post(HELLO, path="/api/v1/acme/ai/%63hat/completions")),
    Case("with an escaped tenant", 200, lambda s: s.post(HELLO, path="/api/v1/ac%6De/ai/chat/completions")),
    Case("with a broken escape", 404, lambda s: s.post(HELLO, path="/api/v1/acme/ai/%zzchat")),
    Case("with two slashes", 404, lambda s: s.post(HELLO, path="/" + COMPLETIONS)),
    Case("with a semicolon", 404, lambda s: s.post(HELLO, path=COMPLETIONS + ";v=1")),
    Case("in capitals", 404, lambda s: s.post(HELLO, path=COMPLETIONS.upper())),
    Case("unknown", 404, lambda s: s.post(HELLO, path="/api/v1/acme/ai/nothing")),
    Case("a whole URL", 200, lambda s: s.post(HELLO, path="http://gateway.test" + COMPLETIONS)),
    Case("GET of a chat", 405, lambda s: bare("GET", COMPLETIONS)),
    Case("HEAD of a chat", 405, lambda s: bare("HEAD", COMPLETIONS), head_only=True),
    Case("PUT of a chat", 405, lambda s: s.post(HELLO).replace(b"POST", b"PUT", 1)),
    Case("OPTIONS of a chat", 405, lambda s: bare("OPTIONS", COMPLETIONS)),
    Case("GET of a probe", 200, lambda s: bare("GET", "/livez")),
    Case("HEAD of a probe", 200, lambda s: bare("HEAD", "/readyz"), head_only=True),
    Case("POST of a probe", 405, lambda s: s.post(HELLO, path="/livez")),
    Case("models", 200, lambda s: bare("GET", "/v1/models", f"authorization: Bearer {s.token}")),
]

HEADS = [
    Case("names in capitals", 200, lambda s: s.post(HELLO).replace(b"Authorization", b"AUTHORIZATION")),
    Case("names in small letters", 200, lambda s: s.post(HELLO).replace(b"Content-Length", b"content-length")),
    Case("space around a value", 200, _raw(b"x-session-id: \t  abc \t \r\n")),
    Case("an id of the client's", 200, _raw(b"X-Request-Id: mine-1\r\n")),
    Case(
        "space after a credential",
        200,
        lambda s: s.post(HELLO).replace(b"\r\nContent-Length", b" \t\r\nContent-Length"),
    ),
    Case("space after an id", 200, _raw(b"X-Request-Id: mine-1 \r\n")),
    Case("an id of strange bytes", 200, _raw(b"X-Request-Id: caf\xc3\xa9 \xff\r\n")),
    Case("an id twice", 200, _raw(b"X-Request-Id: first\r\n", b"X-Request-Id: second\r\n")),
    Case("an empty value", 200, _raw(b"X-Request-Id:\r\n")),
    Case("a session of strange bytes", 200, _raw(b"X-Session-Id: \xff\xfe\r\n")),
    Case("credentials, good and bad", 200, lambda s: s.post(HELLO, "Authorization: Bearer wrong")),
    Case("credentials, bad and good", 401, _raw(b"Authorization: Bearer wrong\r\n")),
    Case("a credential of strange bytes", 401, _raw(b"Authorization: Bearer \xff\xfe\r\n")),
    Case("no credential", 401, lambda s: s.post(HELLO, credential=False)),
    Case("no content type", 200, _without(b"Content-Type: application/json\r\n")),
    Case("another content type", 415, lambda s: s.post(HELLO).replace(b"application/json", b"text/plain")),
    Case("no host", 400, _without(b"Host: gateway.test\r\n")),
    Case("an empty host", 200, lambda s: s.post(HELLO).replace(b"gateway.test", b"", 1)),
    Case("two hosts", 400, _raw(b"Host: other.test\r\n")),
    Case("the same host twice", 400, _raw(b"Host: gateway.test\r\n")),
    Case("two lengths", 400, _raw(b"Content-Length: 5\r\n")),
    Case("two encodings", 400, _raw(b"Content-Encoding: gzip\r\n", b"Content-Encoding: identity\r\n")),
    Case("two forwarders", 200, _raw(b"X-Forwarded-For: 1.1.1.1\r\n", b"X-Forwarded-For: 2.2.2.2\r\n")),
    Case("an old WebSocket", 400, _raw(b"Sec-WebSocket-Key1: 4 @1\r\n")),
    Case("two user agents", 400, _raw(b"User-Agent: one\r\n", b"User-Agent: two\r\n")),
    Case("two content types", 400, _raw(b"Content-Type: application/json\r\n")),
    Case("length and chunks", 400, _raw(b"Transfer-Encoding: chunked\r\n")),
    Case("an impossible timeout", 400, _raw(b"x-gateway-timeout-ms: soon\r\n")),
    Case("a header of 10 kB", 200, _raw(b"x-long: " + b"x" * 10_000 + b"\r\n")),
    Case("a header of 17 kB", 431, _raw(b"x-long: " + b"x" * 17_000 + b"\r\n")),
    Case("30 kB of headers", 200, _raw(*[b"x-%d: " % n + b"x" * 3000 + b"\r\n" for n in range(10)])),
    Case("99 headers", 200, _raw(*[b"x-%d: 1\r\n" % n for n in range(95)])),
    Case("120 headers", 200, _raw(*[b"x-%d: 1\r\n" % n for n in range(116)])),
    Case("200 headers", 400, _raw(*[b"x-%d: 1\r\n" % n for n in range(196)])),
    Case("a header on two lines", 400, _raw(b"x-folded: one\r\n two\r\n")),
]

BODIES = [
    Case("no JSON", 400, lambda s: s.post(b"{")),
    Case("nothing", 400, lambda s: s.post(b"")),
    Case("neither length nor chunks", 400, lambda s: s.head()),
    Case("a length of nothing, and goodbye", 400, lambda s: s.post(b"", "Connection: close")),
    Case("too large by its length", 413, lambda s: s.head(f"Content-Length: {MAX_BODY_BYTES + 1}")),
    Case("of the utmost size", 200, lambda s: s.post(HELLO.ljust(MAX_BODY_BYTES))),
    # Without an end, or whether that was there in time would say whether the connection stays.
    Case(
        "too large by its chunks",
        413,
        lambda s: s.head("Transfer-Encoding: chunked") + chunked(b" " * 300_000, 1000).removesuffix(b"0\r\n\r\n"),
    ),
    Case("in chunks", 200, lambda s: s.head("Transfer-Encoding: chunked") + chunked(HELLO, 1, 2, 3)),
    Case("in one chunk", 200, lambda s: s.head("Transfer-Encoding: chunked") + chunked(HELLO)),
    Case("in no chunk", 400, lambda s: s.head("Transfer-Encoding: chunked") + chunked(b"")),
    _encoded("gzip", gzip.compress(HELLO)),
    _encoded("deflate", zlib.compress(HELLO)),
    _encoded("gzip", HELLO),
    _encoded("br", HELLO),
    Case("gzip that grows", 413, lambda s: s.post(gzip.compress(b" " * 1_000_000), "content-encoding: gzip")),
    Case("no encoding", 200, lambda s: s.post(HELLO, "content-encoding: identity")),
    Case("a model that nobody has", 404, lambda s: s.post(chat(model="none-such"))),
    Case("expectation unknown", 417, lambda s: s.post(HELLO, "Expect: the-unexpected")),
]

BASE = "/api/v1/acme/ai"
GEMINI_PATH = BASE + "/v1beta/models/gpt-5.4"
MESSAGES = b'{"model":"gpt-5.4","max_tokens":%d,"stream":%b,"messages":[{"role":"user","content":"Hello"}]}'
RESPONSES = b'{"model":"gpt-5.4","stream":%b,"input":"Hello"}'
CONTENTS = b'{"contents":[{"role":"user","parts":[{"text":"Hello"}]}]}'
YES, NO = b"true", b"false"
REFUSALS = [
    ("responses", RESPONSES % NO),
    ("v1/messages", MESSAGES % (50, NO)),
    ("v1beta/models/x:generateContent", CONTENTS),
]


def _posted(name: str, status: int, path: str, body: bytes, *lines: str) -> Case:
    return Case(name, status, lambda s: s.post(body, *lines, path=BASE + path))


def _got(name: str, status: int, path: str, *lines: str, method: str = "GET") -> Case:
    return Case(name, status, lambda s: bare(method, BASE + path, f"authorization: Bearer {s.token}", *lines))


def _refused(path: str, body: bytes) -> list[Case]:
    """What every surface refuses in its own words."""
    return [
        Case(f"{path} without a credential", 401, lambda s: s.post(body, path=f"{BASE}/{path}", credential=False)),
        Case(f"{path} of another tenant", 403, lambda s: s.post(body, path=f"/api/v1/other/ai/{path}")),
        _posted(f"{path} that is no JSON", 400, f"/{path}", b"{"),
        _got(f"GET of {path}", 405, f"/{path}"),
        Case(
            f"{path} too large", 413, lambda s: s.head(f"Content-Length: {MAX_BODY_BYTES + 1}", path=f"{BASE}/{path}")
        ),
        Case(
            f"{path} as text",
            415,
            lambda s: s.post(body, path=f"{BASE}/{path}").replace(b"application/json", b"text/plain"),
        ),
    ]


SURFACES = [
    _posted("a message", 200, "/v1/messages", MESSAGES % (50, NO)),
    _posted("a message streamed", 200, "/v1/messages?beta=true", MESSAGES % (50, YES)),
    _posted("a cache to be filled", 200, "/v1/messages", MESSAGES % (0, NO)),
    _posted("a cache to be filled by a stream", 200, "/v1/messages", MESSAGES % (0, YES)),
    _posted("tokens of a message", 200, "/v1/messages/count_tokens", MESSAGES % (50, NO)),
    _posted("a response", 200, "/responses", RESPONSES % NO),
    _posted("a response streamed", 200, "/responses", RESPONSES % YES),
    _posted("tokens of a response", 200, "/responses/input_tokens", RESPONSES % NO),
    _posted("a response to nothing", 400, "/responses", b'{"model":"gpt-5.4","input":"x","previous_response_id":"resp_no"}'),
    _got("a response that is not there", 404, "/responses/resp_no"),
    _got("items that are not there", 404, "/responses/resp_no/input_items"),
    _got("a response deleted that is not there", 404, "/responses/resp_no", method="DELETE"),
    _posted("contents", 200, "/v1beta/models/gpt-5.4:generateContent", CONTENTS),
    _posted("contents streamed", 200, "/v1beta/models/gpt-5.4:streamGenerateContent?alt=sse", CONTENTS),
    _posted("contents in an array", 200, "/v1beta/models/gpt-5.4:streamGenerateContent", CONTENTS),
    _posted("tokens of contents", 200, "/v1beta/models/gpt-5.4:countTokens", CONTENTS),
    Case("contents with a key", 200, lambda s: s.post(CONTENTS, path=f"{GEMINI_PATH}:generateContent?key={s.token}", credential=False)),
    _posted("a completion", 200, "/completions", b'{"model":"gpt-5.4","prompt":"Hello"}'),
    _posted("a completion streamed", 200, "/completions", b'{"model":"gpt-5.4","prompt":"Hello","stream":true}'),
    _posted("a vector", 200, "/embeddings", b'{"model":"text-embedding-3-small","input":"Hello","dimensions":8}'),
    _posted("a moderation", 200, "/moderations", b'{"input":"Hello"}'),
    _got("models for OpenAI's", 200, "/models"),
    _got("models for Anthropic's", 200, "/v1/models", "anthropic-version: 2023-06-01"),
    _got("models for Google's", 200, "/v1beta/models"),
    _got("a model that is not listed, for Google's", 404, "/v1beta/models/none-such"),
    *(case for path, body in REFUSALS for case in _refused(path, body)),
]  # fmt: skip

CASES = [*ANSWERS, *PATHS, *HEADS, *BODIES, *SURFACES]
