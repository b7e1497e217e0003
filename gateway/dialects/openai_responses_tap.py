"""Beside a Responses stream that passes through: read what the gateway must know, forward the rest as it is.

Rule 1: only whole frames go on; the unfinished one at the end waits. So an error of our own never lands inside a frame.
Rule 2: nearly all frames are deltas, known by their event's name; of them only the text's length is taken. What opens and what
ends the response is parsed. Rule 3: a failure is swallowed: the pipeline says it, or tries elsewhere while nothing was said.
"""

from __future__ import annotations

import re
from typing import Any

import msgspec
from msgspec import Raw

from gateway.core.sse import frames_of, last_end
from gateway.dialects.openai_responses_faults import failed_of, response_failed
from gateway.dialects.openai_responses_object import failed
from gateway.dialects.openai_responses_passthrough import finish_word
from gateway.dialects.openai_responses_usage import usage_of
from gateway.dialects.openai_top import decode_top
from gateway.types import ClientError, Failed, Usage

MAX_FRAME_BYTES = 16 * 1024 * 1024

_DATA = re.compile(rb"(?:^|[\r\n])data: ?([^\r\n]*)")
_EVENT = re.compile(rb"(?:^|[\r\n])event: ?([^\r\n]*)")
_TYPE = re.compile(rb'"type":\s?"([^"\\]*)"')
_MESSAGE = re.compile(rb'"type":\s?"message"')
_DELTA = re.compile(rb'"delta":\s?"([^"\\]*(?:\\.[^"\\]*)*)"', re.DOTALL)
_NUMBER = re.compile(rb'"sequence_number":\s?(\d{1,15})')
_TEXT = b"event: response.output_text.delta\n"
_ENDS = (b"response.completed", b"response.incomplete")
_FAILS = (b"error", b"response.failed")
_OPENS = (b"response.created", b"response.in_progress", b"response.queued")


class ResponsesTap:
    """See types.Tap. After the end `response` is the bytes of the whole response object, for a store."""

    __slots__ = (
        "_held", "_last", "_opened", "content", "ended", "failed", "finish", "output_bytes", "response", "usage",
    )  # fmt: skip

    def __init__(self) -> None:
        self.content = False
        self.usage: Usage | None = None
        self.finish: str | None = None
        self.failed: Failed | None = None
        self.ended = False
        self.output_bytes = 0
        self.response = b""
        self._held = b""  # an unfinished frame
        self._opened: dict[str, Any] = {}  # the response object as the stream opened it
        self._last = b""  # the last frame that went on

    def feed(self, data: bytes) -> bytes:
        """What of `data` is to be forwarded now: after an error or the end, nothing."""
        if self.ended or self.failed is not None:
            return b""
        plain = data.startswith(_TEXT) and data.endswith(b"}\n\n") and data.find(b"\n\n") == len(data) - 2
        if plain and not self._held and b"\r" not in data:
            self._last = data  # the common case: one piece of text, in one piece
            return self._delta(data)
        if self._held or not data.endswith(b"\n\n"):
            data = self._whole_frames(data)
        kept: list[bytes] = []
        for frame in frames_of(data):
            if self.ended or self.failed is not None:
                break
            kept.append(self._frame(frame))
        if kept and kept[-1]:
            self._last = kept[-1]
        out = b"".join(kept)
        return data if out == data else out

    def eof(self) -> bytes:
        """The upstream closed. A response has its own end, so nothing changes."""
        return b""

    def broken(self, error: ClientError) -> bytes:
        """The frame that ends a relayed stream which broke: of the very response that the client has been told of."""
        found = _NUMBER.search(self._last)
        number = int(found.group(1)) + 1 if found else 0
        if not self._opened:
            members = {"code": error.code, "message": error.message, "param": error.param}
            return _frame(b"error", number, members)
        ending = failed(error)
        return _frame(
            b"response.failed", number, {"response": {**self._opened, "status": ending.status, "error": ending.error}}
        )

    def _whole_frames(self, data: bytes) -> bytes:
        seen = max(len(self._held) - 3, 0)
        data = self._held + data
        end = last_end(data, seen)
        self._held = data[end:]
        if len(self._held) > MAX_FRAME_BYTES:
            self.failed = Failed("bad_reply", f"a frame of more than {MAX_FRAME_BYTES} bytes")
        return data[:end]

    def _frame(self, frame: bytes) -> bytes:
        named = _EVENT.search(frame) or _TYPE.search(frame)
        kind = named.group(1) if named else b""
        if kind not in _FAILS and not frame.rstrip().endswith(b"}") and kind.startswith(b"response."):
            self.failed = Failed("bad_reply", "a frame that is no JSON")  # its client could not read it either
            return b""
        if kind.endswith(b".delta"):
            return self._delta(frame)
        if kind == b"response.output_item.added":
            # A message opens just before its words; a thought or a call may be all there is for a long while.
            self.content = self.content or _MESSAGE.search(frame) is None
        elif kind in _ENDS or kind in _FAILS or kind in _OPENS:
            return self._lifecycle(kind, frame)
        return frame

    def _delta(self, frame: bytes) -> bytes:
        self.content = True
        said = _DELTA.search(frame)
        self.output_bytes += said.end(1) - said.start(1) if said else len(frame)
        return frame

    def _lifecycle(self, kind: bytes, frame: bytes) -> bytes:
        event = _members(b"\n".join(_DATA.findall(frame)))
        raw = event.get("response", Raw(b"{}"))
        response = _object(raw)
        self.usage = usage_of(response.get("usage")) or self.usage
        if kind in _FAILS:
            own = {key: msgspec.json.decode(value) for key, value in event.items()}
            self.failed = response_failed(response) if kind == b"response.failed" else failed_of(own)
            return b""
        if kind in _OPENS:
            self._opened = response or self._opened
            return frame
        self.ended = True
        self.finish = finish_word(kind.removeprefix(b"response.").decode(), response.get("incomplete_details"))
        self.content = self.content or self.finish != "stop" or bool(response.get("output"))
        self.response = bytes(raw)
        return frame


def _frame(kind: bytes, number: int, members: dict[str, Any]) -> bytes:
    head = b'event: %b\ndata: {"type":"%b","sequence_number":%d,' % (kind, kind, number)
    return head + msgspec.json.encode(members)[1:] + b"\n\n"


def _members(data: bytes) -> dict[str, Raw]:
    try:
        return decode_top(data)
    except (ValueError, RecursionError):
        return {}


def _object(raw: Raw) -> dict[str, Any]:
    found = msgspec.json.decode(raw)
    return found if isinstance(found, dict) else {}
