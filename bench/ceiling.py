"""What this machine allows a gateway in Python at most: two asyncio protocols on httptools with the arithmetic of a call, and no more.

    python -m bench.ceiling PORT UPSTREAM_PORT

A token is looked up, the top level of the body read, a quota held and settled, usage read, five figures counted. There are no
errors, no limits, no timeouts, no streams, no second dialect, no log, nothing that lasts: a yardstick, not something to run.
"""

from __future__ import annotations

import asyncio
import sys
import time
from bisect import bisect_left

import httptools
import uvloop
from msgspec import Raw, Struct, json

PRINCIPALS = {b"Bearer sk-bench": ("acme", "user")}
SECONDS = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 1.0)
HEAD = b"POST /v1/chat/completions HTTP/1.1\r\nhost: upstream\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n%b"
ANSWER = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n%b"
BACKLOG = 4096


class _Usage(Struct):
    prompt_tokens: int
    completion_tokens: int
    total_tokens: int


class _Answer(Struct):
    usage: _Usage


_top = json.Decoder(dict[str, Raw]).decode
_answer = json.Decoder(_Answer).decode


class Figures:
    """Of all calls: the accounts of tenant and provider, and what is counted."""

    def __init__(self) -> None:
        self.accounts = {name: [10**15, 0, 0] for name in ("acme", "openai")}  # limit, used, reserved
        self.calls = self.tokens_in = self.tokens_out = self.in_flight = 0
        self.seconds = [0] * (len(SECONDS) + 1)

    def hold(self, tenant: str, tokens: int) -> None:
        self.in_flight += 1
        for name in (tenant, "openai"):
            limit, used, reserved = account = self.accounts[name]
            assert used + reserved + tokens <= limit
            account[2] += tokens

    def settle(self, tenant: str, tokens: int, usage: _Usage, seconds: float) -> None:
        for name in (tenant, "openai"):
            account = self.accounts[name]
            account[2] -= tokens
            account[1] += usage.total_tokens
        self.in_flight -= 1
        self.calls += 1
        self.tokens_in += usage.prompt_tokens
        self.tokens_out += usage.completion_tokens
        self.seconds[bisect_left(SECONDS, seconds)] += 1


class Upstream(asyncio.Protocol):
    """One connection to the upstream; `client` waits for its answer."""

    client: Client
    transport: asyncio.Transport

    def __init__(self, idle: list[Upstream]) -> None:
        self.idle = idle

    def connection_lost(self, exc: Exception | None) -> None:
        if self in self.idle:
            self.idle.remove(self)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport  # type: ignore[assignment]
        self.parser = httptools.HttpResponseParser(self)

    def on_body(self, data: bytes) -> None:
        self.body = data

    def on_message_complete(self) -> None:
        self.client.answered(self)

    def data_received(self, data: bytes) -> None:
        self.parser.feed_data(data)


class Client(asyncio.Protocol):
    """One connection of a client, one call after the other."""

    transport: asyncio.Transport

    def __init__(self, figures: Figures, idle: list[Upstream], upstream_port: int) -> None:
        self.figures, self.idle, self.upstream_port = figures, idle, upstream_port

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport  # type: ignore[assignment]
        self.parser = httptools.HttpRequestParser(self)

    def on_message_begin(self) -> None:
        self.headers: dict[bytes, bytes] = {}

    def on_header(self, name: bytes, value: bytes) -> None:
        self.headers[name] = value

    def on_body(self, data: bytes) -> None:
        self.body = data

    def data_received(self, data: bytes) -> None:
        self.parser.feed_data(data)

    def on_message_complete(self) -> None:
        self.began = time.perf_counter()
        self.tenant, _ = PRINCIPALS.get(self.headers.get(b"Authorization", b""), ("acme", ""))
        top = _top(self.body)
        cap = top.get("max_tokens")
        self.held = len(self.body) + (int(bytes(cap)) if cap is not None else 1_000)
        self.figures.hold(self.tenant, self.held)
        body = json.encode(top | {"model": "gpt-5.4"})
        if self.idle:
            self.send(self.idle.pop(), body)
        else:
            self.dialling = asyncio.ensure_future(self.dial(body))

    async def dial(self, body: bytes) -> None:
        _, upstream = await asyncio.get_running_loop().create_connection(
            lambda: Upstream(self.idle), "127.0.0.1", self.upstream_port
        )
        self.send(upstream, body)

    def send(self, upstream: Upstream, body: bytes) -> None:
        upstream.client = self
        upstream.transport.write(HEAD % (len(body), body))

    def answered(self, upstream: Upstream) -> None:
        if upstream.parser.should_keep_alive():
            self.idle.append(upstream)
        body = upstream.body
        self.figures.settle(self.tenant, self.held, _answer(body).usage, time.perf_counter() - self.began)
        self.transport.write(ANSWER % (len(body), body))


async def main(port: int, upstream_port: int) -> None:
    figures, idle = Figures(), list[Upstream]()
    server = await asyncio.get_running_loop().create_server(
        lambda: Client(figures, idle, upstream_port), "127.0.0.1", port, backlog=BACKLOG
    )
    await server.serve_forever()


if __name__ == "__main__":
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(main(int(sys.argv[1]), int(sys.argv[2])))
