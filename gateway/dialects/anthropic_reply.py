"""A whole answer of Anthropic's, read.

Blocks that only Anthropic can read (thoughts with signatures, server tools) keep their own JSON. Tool input keeps the order of
its keys and the spelling of its values. Sources: anthropic types message.py, content_block.py.
"""

from __future__ import annotations

from typing import Any

import msgspec
from msgspec import Struct

from gateway.core.usage import summed
from gateway.dialects.anthropic_pause import go_on, paused
from gateway.dialects.anthropic_text import Plain, sink_for
from gateway.dialects.anthropic_undo import NOTHING, Undo, undress
from gateway.dialects.anthropic_wire import (
    NO_USAGE,
    StopDetails,
    finish_reason,
    read_usage,
    refusal_text,
    url_citations,
    whole_usage,
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

NO_INPUT = msgspec.Raw(b"{}")


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
    input: msgspec.Raw = NO_INPUT


_MESSAGE = msgspec.json.Decoder(_Message)
_BLOCK = msgspec.json.Decoder(_Block)


def read_reply(body: bytes, undo: Undo) -> Reply:
    """Raises BadReply for whatever is no message of Anthropic's."""
    try:
        message = _MESSAGE.decode(body)
        if message.type != "message":
            raise BadReply(f"expected a message, got {message.type!r}")
        if undo is NOTHING and len(message.content) == 1:
            block = _BLOCK.decode(message.content[0])
            if block.type == "text" and block.text and not block.citations and message.stop_reason != "refusal":
                return _plain(message, block.text)
        parts = _Parts(undo, message) if undo.so_far is None else undo.so_far.state
        for raw in message.content:
            parts.add(raw)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise BadReply(f"not an answer of the Messages API: {error}") from None
    return _reply(message, parts, undo)


def _plain(message: _Message, text: str) -> Reply:
    """What `_reply` makes of nothing but text, which is most answers."""
    reported = read_usage(message.usage)
    return Reply(
        message.id,
        message.model,
        [Choice([Text(text)], finish_reason(message.stop_reason, False), 0, message.stop_sequence)],
        reported.plain(whole_usage(message.usage)) if reported else None,
        0,
        reported.tier() if reported else None,
    )


def _reply(message: _Message, parts: _Parts, undo: Undo) -> Reply:
    reported = read_usage(message.usage)
    usage = reported.plain(whole_usage(message.usage)) if reported else None
    if undo.so_far is not None:
        usage = summed(undo.so_far.usage, usage)
    again = None
    if undo.sent is not None and paused(message.stop_reason, undo, parts.blocks):
        again = go_on(undo, parts.blocks, usage, parts)
    found = list(parts.parts) if again is not None else parts.finished(message)
    finish = finish_reason(message.stop_reason, parts.calls)
    return Reply(
        id=parts.id,
        model=parts.model,
        choices=[Choice(found, finish, stop_sequence=message.stop_sequence)],
        usage=usage,
        service_tier=reported.tier() if reported else None,
        again=again,
    )


class _Parts:
    """Collects the parts of an answer in their order, paused as often as it may be; `_said` counts the characters of its text.

    blocks: what came, as it is sent back after a pause; only kept where there may be one.
    """

    def __init__(self, undo: Undo, message: _Message) -> None:
        self.id, self.model = message.id, message.model
        self.parts: list[Part] = []
        self.calls = False  # whether there is a tool call among them
        self.blocks: list[bytes] = []
        self._undo = undo
        self._sink = sink_for(undo, message.id)
        self._plain = isinstance(self._sink, Plain)
        self._said = 0

    def add(self, raw: msgspec.Raw) -> None:
        block = _BLOCK.decode(raw)
        kind = block.type
        if kind == "text":
            self._text(block, raw)
        elif kind == "tool_use":
            self.parts.append(self._call(block))
            self.calls = True
        elif kind == "thinking" or kind == "redacted_thinking":
            self.parts.append(Reasoning(block.thinking, _kept(block, raw)))
        else:
            self.parts.append(VendorBlock(Opaque("anthropic", "server_block", msgspec.json.decode(raw))))
        if self._undo.sent is not None and (block.type != "text" or block.text.strip()):
            self.blocks.append(bytes(raw))

    def finished(self, message: _Message) -> list[Part]:
        if not self._plain:
            self._events(self._sink.end())
        refusal = refusal_text(message.stop_reason, message.stop_details)
        if refusal is not None:
            self.parts.append(Refusal(refusal))
        return self.parts

    def _text(self, block: _Block, raw: msgspec.Raw) -> None:
        if not self._plain:
            self._events(self._sink.feed(block.text))
            return
        start, self._said = self._said, self._said + len(block.text)
        if not block.text:
            return
        if block.citations:
            cited = url_citations(block.citations, start, self._said)
            opaque = Opaque("anthropic", "text", msgspec.json.decode(raw))
            self.parts.append(Text(block.text, annotations=cited or None, opaque=opaque))
        else:
            self.parts.append(Text(block.text))

    def _events(self, events: list[Any]) -> None:
        for event in events:
            match event:
                case TextDelta(text=text):
                    self.parts.append(Text(text))
                case ToolStart(id=id_, name=name, custom=custom):
                    self.parts.append(ToolCall(id_, name, "", custom))
                    self.calls = True
                case ToolDelta(arguments=arguments):
                    call = self.parts[-1]
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
