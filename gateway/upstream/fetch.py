"""A whole answer in one await: for JSON calls, which want their body at once."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping

from msgspec import Struct

from gateway.errors import Fault
from gateway.upstream.client import Upstream
from gateway.upstream.faults import fault
from gateway.upstream.request import UpstreamRequest
from gateway.upstream.transfer import Transfer

MAX_BODY_BYTES = 64 * 1024 * 1024
MAX_ERROR_BYTES = 64 * 1024


class UpstreamFailed(Exception):
    """There is no answer, but a `fault`."""

    def __init__(self, fault: Fault) -> None:
        super().__init__(fault.log_message)
        self.fault = fault


class Answer(Struct, frozen=True):
    """An answer of any status. headers: lower-case names. body: of an error status at most MAX_ERROR_BYTES, then cut."""

    status: int
    headers: Mapping[str, str]
    body: bytes


async def fetch(upstream: Upstream, request: UpstreamRequest, max_body_bytes: int = MAX_BODY_BYTES) -> Answer:
    """Send `request` and wait for its whole answer. Raises UpstreamFailed; a body over the limit is a bad_reply.

    Cancelling it cancels the exchange. Nothing is sent before it is awaited.
    """
    sink = _Collector(asyncio.get_running_loop().create_future(), max_body_bytes)
    sink.transfer = transfer = upstream.send(request, sink)
    try:
        return await sink.answer
    finally:
        transfer.cancel()  # after the end it does nothing


class _Collector:
    """Puts an answer together and hands it to a future."""

    __slots__ = ("_headers", "_parts", "_room", "_status", "answer", "transfer")

    transfer: Transfer

    def __init__(self, answer: asyncio.Future[Answer], max_body_bytes: int) -> None:
        self.answer = answer
        self._room = max_body_bytes
        self._status = 0
        self._headers: Mapping[str, str] = {}
        self._parts: list[bytes] = []

    def on_head(self, status: int, headers: Mapping[str, str]) -> None:
        self._status = status
        self._headers = headers
        if status >= 400:
            self._room = MAX_ERROR_BYTES

    def on_data(self, data: bytes) -> None:
        self._parts.append(data)
        self._room -= len(data)
        if self._room < 0:
            self._overflow()

    def on_end(self) -> None:
        if not self.answer.done():  # cancelled in this very round of the loop
            parts = self._parts
            body = parts[0] if len(parts) == 1 else b"".join(parts)
            self.answer.set_result(Answer(self._status, self._headers, body))

    def on_fault(self, fault: Fault) -> None:
        if not self.answer.done():
            self.answer.set_exception(UpstreamFailed(fault))

    def _overflow(self) -> None:
        self.transfer.cancel()
        if self._status >= 400:
            self._parts[-1] = self._parts[-1][: self._room]
            self.on_end()
        else:
            self.on_fault(fault("bad_reply", f"{self.transfer.request.origin.host_port}: the body is too large"))
