"""A whole answer of Anthropic's, read.

Blocks that only Anthropic can read (thoughts with signatures, server tools) keep their own JSON. Tool input keeps the order of
its keys and the spelling of its values. Sources: anthropic types message.py, content_block.py.
"""

from __future__ import annotations

from typing import Any

import msgspec
from msgspec import Struct, field

from gateway.dialects.anthropic_text import Plain, sink_for
from gateway.dialects.anthropic_undo import Undo, undress
from gateway.dialects.anthropic_wire import (
    NO_USAGE,
    StopDetails,
    finish_reason,
    read_usage,
    refusal_text,
    url_citations,
)
from gateway.types import (
    BadReply,
    Choice,
    Opaque,
    Part,
    Reasoning,
    Refusal,
    Reply,
    Text,
    TextDelta,
    ToolCall,
    ToolDelta,
    ToolStart,
    VendorBlock,
)


class _Message(Struct):
    type: str
    id: str
    content: list[msgspec.Raw]
    model: str = ""
    stop_reason: str | None = None
    stop_sequence: str | None = None
    stop_details: StopDetails | None = None
    usage: msgspec.Raw = NO_USAGE


class _Block(Struct):
    type: str
    text: str = ""
    citations: list[dict[str, Any]] | None = None
    thinking: str = ""
    signature: str = ""
    id: str = ""
    name: str = ""
    input: msgspec.Raw = field(default_factory=lambda: msgspec.Raw(b"{}"))


_MESSAGE = msgspec.json.Decoder(_Message)
_BLOCK = msgspec.json.Decoder(_Block)


def read_reply(body: bytes, undo: Undo) -> Reply:
    """Raises BadReply for whatever is no message of Anthropic's."""
    try:
        message = _MESSAGE.decode(body)
        if message.type != "message":
            raise BadReply(f"expected a message, got {message.type!r}")
        parts = _Parts(undo, message.id)
        for raw in message.content:
            parts.add(raw)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise BadReply(f"not an answer of the Messages API: {error}") from None
    return _reply(message, parts.finished(message))


def _reply(message: _Message, parts: list[Part]) -> Reply:
    calls = any(isinstance(part, ToolCall) for part in parts)
    finish = finish_reason(message.stop_reason, calls)
    usage = read_usage(message.usage)
    return Reply(
        id=message.id,
        model=message.model,
        choices=[Choice(parts, finish, stop_sequence=message.stop_sequence)],
        usage=usage.plain() if usage else None,
        service_tier=usage.tier() if usage else None,
    )


class _Parts:
    """Collects the parts of an answer in their order; `_said` counts the characters of its text so far."""

    def __init__(self, undo: Undo, message_id: str) -> None:
        self._undo = undo
        self._sink = sink_for(undo, message_id)
        self._parts: list[Part] = []
        self._said = 0

    def add(self, raw: msgspec.Raw) -> None:
        block = _BLOCK.decode(raw)
        match block.type:
            case "text":
                self._text(block)
            case "tool_use":
                self._parts.append(self._call(block))
            case "thinking" | "redacted_thinking":
                self._parts.append(Reasoning(block.thinking, _kept(block, raw)))
            case _:
                self._parts.append(VendorBlock(Opaque("anthropic", "server_block", msgspec.json.decode(raw))))

    def finished(self, message: _Message) -> list[Part]:
        self._events(self._sink.end())
        refusal = refusal_text(message.stop_reason, message.stop_details)
        if refusal is not None:
            self._parts.append(Refusal(refusal))
        return self._parts

    def _text(self, block: _Block) -> None:
        if not isinstance(self._sink, Plain):
            self._events(self._sink.feed(block.text))
            return
        start, self._said = self._said, self._said + len(block.text)
        cited = url_citations(block.citations or [], start, self._said)
        if block.text:
            self._parts.append(Text(block.text, annotations=cited or None))

    def _events(self, events: list[Any]) -> None:
        for event in events:
            match event:
                case TextDelta(text=text):
                    self._parts.append(Text(text))
                case ToolStart(id=id_, name=name, custom=custom):
                    self._parts.append(ToolCall(id_, name, "", custom))
                case ToolDelta(arguments=arguments):
                    call = self._parts[-1]
                    assert isinstance(call, ToolCall)  # a sink starts a call before it goes on with it
                    call.arguments += arguments

    def _call(self, block: _Block) -> ToolCall:
        called = self._undo.called(block.name)
        # White space between the values is the serialiser's, not the model's; numbers and escapes stay as they are written.
        arguments = undress(called.shape, msgspec.json.format(bytes(block.input), indent=-1).decode())
        return ToolCall(block.id, called.name, arguments, called.shape == "custom")


def _kept(block: _Block, raw: msgspec.Raw) -> Opaque | None:
    """The block to send back as it is; a thought without a signature cannot be sent back."""
    if block.type == "thinking" and not block.signature:
        return None
    return Opaque("anthropic", block.type, msgspec.json.decode(raw))
