"""How a relayed stream ends where the wire has no mark for it: decided when the upstream closes."""

from __future__ import annotations

from typing import Any

import pytest

from gateway.call import Trail
from gateway.dialects.gemini import GEMINI
from gateway.dialects.openai_chat import OPENAI_CHAT
from gateway.providers.gemini import GeminiVendor
from gateway.streaming import RelayedStream
from gateway.types import Usage

TEXT = b'data: {"candidates":[{"content":{"parts":[{"text":"hi"}]}}],"usageMetadata":{"promptTokenCount":3}}\n\n'
LAST = b'data: {"candidates":[{"finishReason":"STOP"}],"usageMetadata":{"promptTokenCount":3,"candidatesTokenCount":2}}\n\n'


class Client:
    """An outlet that remembers, and the transfer it holds back."""

    def __init__(self) -> None:
        self.given = b""
        self.begun = False
        self.cancelled = False

    def begin(self, trail: Trail, flow: Any) -> None:
        self.begun = True

    def raw(self, data: bytes) -> None:
        self.given += data

    sent = True

    def resume(self) -> None: ...

    def cancel(self) -> None:
        self.cancelled = True


def relayed(*pieces: bytes, passthrough: Any = GEMINI) -> tuple[RelayedStream, Client]:
    client: Any = Client()
    stream = RelayedStream(GeminiVendor(), client, Trail(), lambda: 0.0, 45.0, passthrough, False)
    stream.transfer = client
    stream.on_head(200, {"content-type": "text/event-stream"})
    for piece in pieces:
        stream.on_data(piece)
    stream.on_end()
    return stream, client


@pytest.mark.parametrize("last", [LAST, LAST[:-2]])
def test_a_stream_without_an_end_mark_ends_well_when_its_vendor_gave_a_reason(last: bytes) -> None:
    stream, client = relayed(TEXT, last)

    assert stream.ended and stream.report.fault is None
    assert client.given == TEXT + last
    assert stream.report.usage == Usage(3, 2, total=5)


@pytest.mark.parametrize("cut", [0, 1, len(LAST) - 10])
def test_a_stream_that_closes_without_a_reason_is_cut(cut: int) -> None:
    stream, client = relayed(TEXT, *([LAST[:cut]] if cut else []))

    assert stream.report.fault is not None and stream.report.fault.kind == "truncated"
    assert client.given == TEXT


def test_an_answer_that_is_all_in_the_last_frame_is_still_given() -> None:
    both = TEXT[:-2].replace(b'}}],"usage', b'},"finishReason":"STOP"}],"usage')
    stream, client = relayed(both)

    assert stream.report.fault is None
    assert client.begun and client.given == both


def test_a_chat_stream_still_needs_its_done() -> None:
    chunk = b'data: {"choices":[{"index":0,"delta":{"content":"hi"},"finish_reason":"stop"}]}\n\n'
    stream, client = relayed(chunk, passthrough=OPENAI_CHAT)

    assert client.given == chunk
    assert stream.report.fault is not None and stream.report.fault.kind == "truncated"
