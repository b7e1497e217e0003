"""A frame that is no JSON goes no further than the gateway, whoever sent it: the client could not have read it either."""

from __future__ import annotations

import pytest

from gateway.dialects.anthropic_messages import ANTHROPIC
from gateway.dialects.openai_chat import OPENAI_CHAT
from gateway.dialects.openai_responses import OPENAI_RESPONSES

BROKEN = [
    pytest.param(OPENAI_CHAT, b'data: {"choices":[{"delta":{"content":"H\n\n', id="chat"),
    pytest.param(ANTHROPIC, b'event: content_block_delta\ndata: {"type":"content_block_delta","ind\n\n', id="messages"),
    pytest.param(
        OPENAI_RESPONSES,
        b'event: response.output_text.delta\ndata: {"type":"response.output_text.delta","delta":"H\n\n',
        id="responses",
    ),
]


@pytest.mark.parametrize(("dialect", "frame"), BROKEN)
def test_a_frame_that_is_no_json_is_a_failure_and_is_not_forwarded(dialect: object, frame: bytes) -> None:
    for pieces in ([frame], [frame[:20], frame[20:]]):
        tap = dialect.tap(False)  # type: ignore[attr-defined]
        assert b"".join(map(tap.feed, pieces)) == b""
        assert tap.failed is not None and tap.failed.kind == "bad_reply"


@pytest.mark.parametrize("frame", [b": a comment\n\n", b"data:\n\n", b"event: thing\n\n", b"retry: 10\n\n"])
@pytest.mark.parametrize("dialect", [OPENAI_CHAT, ANTHROPIC, OPENAI_RESPONSES])
def test_a_frame_without_words_is_no_failure(dialect: object, frame: bytes) -> None:
    tap = dialect.tap(False)  # type: ignore[attr-defined]
    assert tap.feed(frame) == frame and tap.failed is None


def test_a_message_that_opens_leaves_room_for_another_provider() -> None:
    tap = OPENAI_RESPONSES.tap(False)
    opened = b'event: response.output_item.added\ndata: {"type":"response.output_item.added","item":{"type":"%b"}}\n\n'
    tap.feed(opened % b"message")
    assert not tap.content
    tap.feed(opened % b"reasoning")
    assert tap.content
