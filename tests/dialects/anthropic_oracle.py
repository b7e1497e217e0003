"""What Anthropic's own SDK makes of bytes that are written for its clients, and the grammar of an event stream."""

from __future__ import annotations

import json
from typing import Any

import anthropic
import httpx2
from anthropic.types import Message

from gateway.core.sse import Splitter

KINDS = {
    "text": {"text_delta", "citations_delta"},
    "thinking": {"thinking_delta", "signature_delta"},
    "tool_use": {"input_json_delta"},
}


def client(body: bytes, content_type: str, status: int = 200) -> anthropic.Anthropic:
    def answer(request: httpx2.Request) -> httpx2.Response:
        return httpx2.Response(status, content=body, headers={"content-type": content_type, "request-id": "req_1"})

    return anthropic.Anthropic(
        api_key="k", max_retries=0, http_client=httpx2.Client(transport=httpx2.MockTransport(answer))
    )


def ask(body: bytes, status: int = 200) -> Message:
    """A whole answer, checked against the SDK's types."""
    with client(body, "application/json", status) as claude:
        found = claude.messages.create(
            model="m", max_tokens=1, messages=[{"role": "user", "content": "?"}], stream=False
        )
    return Message.model_validate(found.to_dict())


def listen(stream: bytes) -> Message:
    """What the SDK's accumulator makes of a stream. Raises what it raises."""
    with (
        client(stream, "text/event-stream") as claude,
        claude.messages.stream(model="m", max_tokens=1, messages=[{"role": "user", "content": "?"}]) as heard,
    ):
        found = heard.get_final_message()
    return Message.model_validate({**found.to_dict(), "content": [block.to_dict() for block in found.content]})


def frames(stream: bytes) -> list[dict[str, Any]]:
    """The events of a stream; each is named on its `event:` line as in its data."""
    found = []
    for name, data in Splitter().feed(stream):
        event = json.loads(data)
        assert name.decode() == event["type"]
        found.append(event)
    return found


def check_grammar(stream: bytes) -> None:
    """message_start, blocks one after the other with indexes from 0, message_delta, message_stop; each delta of its block."""
    events = [event for event in frames(stream) if event["type"] != "ping"]
    assert [event["type"] for event in events[-2:]] == ["message_delta", "message_stop"]
    assert events[0]["type"] == "message_start"
    kind, index = None, -1
    for event in events[1:-2]:
        match event["type"]:
            case "content_block_start":
                index += 1
                assert kind is None, "one block is open at a time"
                kind = event["content_block"]["type"]
            case "content_block_delta":
                assert event["delta"]["type"] in KINDS.get(str(kind), set()), (kind, event)
            case "content_block_stop":
                assert kind is not None
                kind = None
            case other:
                raise AssertionError(f"{other} between the first and the last events")
        assert event["index"] == index
    assert kind is None


def blocks(message: Message) -> list[dict[str, Any]]:
    """The content, as a client would send it back."""
    return [block.to_dict() for block in message.content]
