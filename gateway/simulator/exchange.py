"""One request from the socket to the journal: fault, credential, answer, pace, count.

Rule 1: faults that hit before the answer come before the credential check, as an overloaded vendor does not look at keys.
Rule 2: a frame is counted when it has been handed to the socket, never before.
Rule 3: a client that leaves is noted (`aborted`), whether we learn it by a failed write, a closed transport or a cancelled task.
"""

from __future__ import annotations

import asyncio
import itertools
import socket
import struct
import time
from collections.abc import Mapping

from aiohttp import web

from gateway.simulator.faults import Fault, FaultBook
from gateway.simulator.journal import Journal
from gateway.simulator.replies import JSON, Frame, Refused, Route, Seen, Sent, Stream, Vendor, Whole
from gateway.simulator.shelf import Shelf

MAX_BODY_BYTES = 32 * 1024 * 1024
HTML = b"<html>\r\n<head><title>502 Bad Gateway</title></head>\r\n<body>\r\n<center><h1>502 Bad Gateway</h1></center>\r\n<hr><center>cloudflare</center>\r\n</body>\r\n</html>\r\n"
POLL_S = 0.02


def _hits_first(fault: Fault) -> bool:
    """Whether the fault takes the place of the whole answer."""
    return fault.kind in ("status", "html") or (fault.kind == "reset" and not fault.after_events)


class Gone(ConnectionError):
    """The client closed its connection."""


class State:
    """What all exchanges of one simulator share. `keys`: vendor -> accepted credentials, absent means any."""

    def __init__(self, keys: Mapping[str, frozenset[str]], faults: FaultBook, chunk_delay_s: float) -> None:
        self.keys = keys
        self.faults = faults
        self.chunk_delay_s = chunk_delay_s
        self.journal = Journal()
        self.shelf = Shelf()
        self._ids = itertools.count(1)

    def request_id(self) -> str:
        return f"req_sim{next(self._ids):017d}"


class Exchange:
    """One request on its way."""

    def __init__(self, state: State, vendor: Vendor, route: Route, request: web.Request) -> None:
        self.state, self.vendor, self.route, self.request = state, vendor, route, request
        self.id = state.request_id()
        self.headers = vendor.headers(self.id)
        self.counter = state.journal.counter(vendor.name)
        self.seen = Seen(
            vendor.name, request.method, request.path, request.raw_headers, time.time(), query=dict(request.query)
        )

    async def run(self) -> web.StreamResponse:
        """Answer, and write down what became of it."""
        try:
            return await self._answer()
        except Refused as refused:
            return self._refusal(refused)
        except (ConnectionError, asyncio.CancelledError):
            self.seen.aborted = True
            raise

    async def _answer(self) -> web.StreamResponse:
        fault = self.state.faults.take(self.vendor.name) if self.route.generates else None
        sent = await self._read(fault.kind if fault is not None else "")
        if fault is not None and fault.kind == "slow_first_byte":
            await self._pause(fault.pause_s)
        elif fault is not None and _hits_first(fault):
            return self._early(sent, fault)
        self.vendor.authorize(sent, self.state.keys.get(self.vendor.name))
        reply = self.route.endpoint(sent)
        if self.route.generates:
            self.counter.requests += 1
        if isinstance(reply, Whole):
            return await self._whole(sent, reply, fault)
        return await self._stream(sent, reply, fault)

    async def _read(self, fault: str) -> Sent:
        try:
            self.seen.body = await self.request.read()
        except web.HTTPRequestEntityTooLarge:
            raise self.vendor.too_large(self._sent(fault)) from None
        finally:
            self.state.journal.add(self.seen)  # with its body, which the journal weighs
        return self._sent(fault)

    def _sent(self, fault: str) -> Sent:
        request = self.request
        chunks = request.headers.get("x-sim-chunks", "")
        return Sent(
            method=request.method,
            path=request.path,
            params=request.match_info,
            query=request.query,
            headers=request.headers,
            body=self.seen.body,
            now=int(self.seen.at),
            chunks=max(1, int(chunks)) if chunks.isdecimal() else None,
            mute=fault == "empty",
            pause=fault == "pause",
            shelf=self.state.shelf,
        )

    # ------------------------------------------------------------ errors

    def _early(self, sent: Sent, fault: Fault) -> web.StreamResponse:
        if fault.kind == "status":
            raise self.vendor.failure(sent, fault)
        if fault.kind == "html":
            return self._response(fault.answer_status, HTML, "text/html; charset=UTF-8", error=True)
        self._reset()
        return self._response(500, b"", JSON, error=True)

    def _refusal(self, refused: Refused) -> web.Response:
        body = Refused(refused.status, self.vendor.stamp(refused.body, self.id)).wire
        return self._response(refused.status, body, JSON, refused.headers, error=True)

    def _response(
        self, status: int, body: bytes, content_type: str, more: Mapping[str, str] | None = None, error: bool = False
    ) -> web.Response:
        self.seen.status = status
        self.counter.errors += error
        headers = {**self.headers, "content-type": content_type, **(more or {})}
        return web.Response(status=status, body=body, headers=headers)

    # ------------------------------------------------------------ answers

    async def _whole(self, sent: Sent, reply: Whole, fault: Fault | None) -> web.StreamResponse:
        if fault is not None and fault.kind in ("cut", "stall", "reset"):
            return await self._half(reply.body, fault)
        if fault is not None and fault.kind == "error_event":
            # Vendors have been seen to send an error with status 200.
            return self._refusal(Refused(200, self.vendor.failure(sent, fault).body))
        if fault is not None and fault.kind == "bad_json":
            return self._response(200, reply.body[: len(reply.body) // 2], JSON, error=True)
        if reply.billed:
            self.counter.add(reply.input_tokens, reply.output_tokens)
        return self._response(200, reply.body, JSON)

    async def _half(self, body: bytes, fault: Fault) -> web.StreamResponse:
        """Announce the whole body, send its first half, and break (or pause and go on)."""
        response = web.StreamResponse(headers={**self.headers, "content-type": JSON, "content-length": str(len(body))})
        self.seen.status = 200
        await response.prepare(self.request)
        half = len(body) // 2
        await response.write(body[:half])
        if fault.kind == "stall":
            await self._pause(fault.pause_s)
            await response.write(body[half:])
        else:
            self._break(fault)
        return response

    async def _stream(self, sent: Sent, reply: Stream, fault: Fault | None) -> web.StreamResponse:
        headers = {**self.headers, "content-type": reply.content_type, "cache-control": "no-cache"}
        response = web.StreamResponse(headers=headers)
        self.seen.status = 200
        await response.prepare(self.request)
        pump = Pump(self, response, reply.input_tokens)
        try:
            await pump.run(sent, reply, fault)
        except (ConnectionError, asyncio.CancelledError):
            self.counter.aborted_streams += 1
            raise
        finally:
            if pump.started:
                self.counter.add(reply.input_tokens, pump.output_tokens)
        return response

    # ------------------------------------------------------------ the socket

    def _break(self, fault: Fault) -> None:
        if fault.kind == "reset":
            self._reset()
        elif self.request.transport is not None:
            self.request.transport.close()

    def _reset(self) -> None:
        """Close with RST: lingering zero seconds throws away what the peer has not read and answers it with a reset."""
        transport = self.request.transport
        if transport is not None:
            sock = transport.get_extra_info("socket")
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            transport.abort()

    async def _pause(self, seconds: float) -> None:
        """Sleep, but notice a client that leaves. Raises Gone."""
        end = time.monotonic() + seconds
        while (left := end - time.monotonic()) > 0:
            await asyncio.sleep(min(POLL_S, left))
            if self.request.transport is None or self.request.transport.is_closing():
                raise Gone("the client left")

    def chunk_delay_s(self) -> float:
        """Seconds between content events: the request's own wish, else the simulator's."""
        wish = self.request.headers.get("x-sim-chunk-delay-ms", "")
        return int(wish) / 1000 if wish.isdecimal() else self.state.chunk_delay_s


class Pump:
    """Frames to the socket, at the wished pace, with the fault where it belongs."""

    def __init__(self, exchange: Exchange, response: web.StreamResponse, input_tokens: int) -> None:
        self.exchange, self.response = exchange, response
        self.started = False  # the first content went out: the prompt is billed from here on
        self.output_tokens = 0
        self._content = 0

    async def run(self, sent: Sent, reply: Stream, fault: Fault | None) -> None:
        """Send everything, or break where the fault says."""
        delay_s = self.exchange.chunk_delay_s()
        breaking = fault if fault is not None and fault.break_after is not None else None
        for frame in reply.frames:
            if breaking is not None and self._due(frame, breaking):
                if breaking.kind != "stall":
                    return await self._break(sent, reply, frame, breaking)
                await self.exchange._pause(breaking.pause_s)
                breaking = None
            if delay_s and frame.content and self._content:
                await self.exchange._pause(delay_s)
            await self._send(frame)
        await self.response.write_eof()

    def _due(self, frame: Frame, fault: Fault) -> bool:
        return frame.closing or (frame.content and self._content >= (fault.break_after or 0))

    async def _send(self, frame: Frame) -> None:
        await self.response.write(frame.wire)
        self.output_tokens = frame.output_tokens
        self.started = self.started or frame.content or frame.closing
        self._content += frame.content

    async def _break(self, sent: Sent, reply: Stream, frame: Frame, fault: Fault) -> None:
        self.exchange.counter.errors += 1
        match fault.kind:
            case "error_event":
                await self.response.write(self._error(sent, reply, fault))
                await self.response.write_eof()
            case "bad_json":
                await self.response.write(frame.wire[: len(frame.wire) * 2 // 3] + b"\n\n")
                await self.response.write_eof()
            case _:
                # Let what was written reach the network before the connection goes.
                await asyncio.sleep(0.005)
                self.exchange._break(fault)

    def _error(self, sent: Sent, reply: Stream, fault: Fault) -> bytes:
        begun = self._content > 0
        return reply.failing(fault, begun) if reply.failing else self.exchange.vendor.error_frame(sent, fault, begun)
