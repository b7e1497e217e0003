"""Requests to write towards Anthropic, its models from the shipped catalogue, streams, and a check by Anthropic's own types."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml
from anthropic.types.beta.message_create_params import MessageCreateParamsNonStreaming, MessageCreateParamsStreaming
from pydantic import TypeAdapter

from gateway.core.catalogue import catalogue_from
from gateway.dialects.anthropic_messages import AnthropicMessages
from gateway.types import (
    Event,
    Message,
    Notes,
    Opaque,
    Part,
    Reasoning,
    Request,
    Target,
    Text,
    Tool,
    ToolCall,
    ToolResult,
    Translation,
    Written,
)

CATALOGUE = catalogue_from(yaml.safe_load((Path(__file__).parents[2] / "config" / "models.yaml").read_text()))
DIALECT = AnthropicMessages()
SONNET = "claude-sonnet-4-6"
WEATHER = Tool("get_weather", "tells the weather", {"type": "object", "properties": {"city": {"type": "string"}}})

_WHOLE: TypeAdapter[Any] = TypeAdapter(MessageCreateParamsNonStreaming)
_STREAM: TypeAdapter[Any] = TypeAdapter(MessageCreateParamsStreaming)
_FIELDS = MessageCreateParamsNonStreaming.__annotations__.keys() | {"temperature", "top_p", "top_k", "stream"}


def target(model: str = SONNET, **translation: Any) -> Target:
    return Target(model, CATALOGUE.abilities("anthropic", model), Translation(**translation))


def say(role: Any, *parts: Part | str, name: str = "") -> Message:
    return Message(role, [Text(part) if isinstance(part, str) else part for part in parts], name)


def call(id_: str, arguments: str = "{}", name: str = "get_weather", custom: bool = False) -> ToolCall:
    return ToolCall(id_, name, arguments, custom)


def result(id_: str, text: str = "sunny") -> Message:
    return Message("tool", [ToolResult(id_, [Text(text)])])


def thought(text: str = "hm", signature: str = "sig==") -> Reasoning:
    block = {"type": "thinking", "thinking": text, "signature": signature}
    return Reasoning(text, Opaque("anthropic", "thinking", block))


def ask(*messages: Message, **fields: Any) -> Request:
    return Request(model="m", messages=list(messages) or [say("user", "hi")], **fields)


def write(
    request: Request, to: Target | None = None, notes: Notes | None = None
) -> tuple[dict[str, Any], Written, Notes]:
    """The body as a value, proven by Anthropic's types, with what else was written and noted."""
    notes = notes or Notes()
    written = DIALECT.write_request(request, to or target(), notes)
    body = json.loads(written.body)
    check(body)
    return body, written, notes


def body_of(request: Request, to: Target | None = None) -> dict[str, Any]:
    return write(request, to)[0]


def check(body: dict[str, Any]) -> None:
    """Raises what pydantic says when Anthropic's SDK would not call this a request."""
    assert body.keys() <= _FIELDS, body.keys() - _FIELDS
    _exhaust((_STREAM if body.get("stream") else _WHOLE).validate_python(body))


def _exhaust(value: Any) -> None:
    # pydantic checks an Iterable only while somebody walks it.
    if isinstance(value, dict):
        for child in value.values():
            _exhaust(child)
    elif hasattr(value, "__iter__") and not isinstance(value, str | bytes):
        for child in value:
            _exhaust(child)


# ---------------------------------------------------------------- streams


def frame(event: dict[str, Any]) -> bytes:
    return b"event: " + event["type"].encode() + b"\ndata: " + json.dumps(event, ensure_ascii=False).encode() + b"\n\n"


def started(usage: dict[str, Any] | None = None) -> bytes:
    message = {"id": "msg_1", "type": "message", "role": "assistant", "model": "claude", "content": [], "usage": usage}
    return frame(
        {
            "type": "message_start",
            "message": message if usage else {**message, "usage": {"input_tokens": 3, "output_tokens": 1}},
        }
    )


def block(index: int, content_block: dict[str, Any], *deltas: dict[str, Any]) -> bytes:
    pieces = [frame({"type": "content_block_start", "index": index, "content_block": content_block})]
    pieces += [frame({"type": "content_block_delta", "index": index, "delta": delta}) for delta in deltas]
    return b"".join([*pieces, frame({"type": "content_block_stop", "index": index})])


def text(index: int, *texts: str) -> bytes:
    return block(index, {"type": "text", "text": ""}, *({"type": "text_delta", "text": piece} for piece in texts))


def tool(index: int, id_: str, *pieces: str, name: str = "get_weather", input_: Any = None) -> bytes:
    start = {"type": "tool_use", "id": id_, "name": name, "input": input_ or {}}
    return block(index, start, *({"type": "input_json_delta", "partial_json": piece} for piece in pieces))


def stopped(reason: str | None = "end_turn", usage: dict[str, Any] | None = None, **delta: Any) -> bytes:
    event = {"type": "message_delta", "delta": {"stop_reason": reason, "stop_sequence": None, **delta}}
    return frame({**event, "usage": usage or {"output_tokens": 7}}) + frame({"type": "message_stop"})


def read(*pieces: bytes, undo: Any = None) -> list[Event]:
    reader = DIALECT.reader(undo)
    return [event for piece in pieces for event in reader.feed(piece)] + reader.eof()


def of(events: list[Event], *kinds: type) -> Iterator[Any]:
    return (event for event in events if isinstance(event, kinds))
