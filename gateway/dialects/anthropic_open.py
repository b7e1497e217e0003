"""The content blocks of a stream while they are open: text, tool call, thought, and what stays hidden.

A block gives events when it starts, for each of its deltas, and when it stops.
"""

from __future__ import annotations

from typing import Any, Protocol

import msgspec
from msgspec import Struct, field

from gateway.core.unwrapping import InputText
from gateway.dialects.anthropic_text import Plain, TextSink
from gateway.dialects.anthropic_undo import Undo, undress
from gateway.dialects.anthropic_wire import url_citations
from gateway.types import (
    Annotated,
    BlockDone,
    Event,
    Opaque,
    Reasoning,
    ReasoningDelta,
    ReasoningDone,
    ToolDelta,
    ToolStart,
    VendorBlock,
)


class Delta(Struct):
    """Any delta; the ones to come have none of these."""

    text: str = ""
    partial_json: str = ""
    thinking: str = ""
    signature: str = ""
    citation: dict[str, Any] | None = None
    content: Any = None
    encrypted_content: Any = None


class OpenBlock(Protocol):
    def start(self) -> list[Event]: ...

    def delta(self, delta: Delta) -> list[Event]: ...

    def stop(self) -> list[Event]: ...

    def whole(self) -> dict[str, Any]:
        """The block as the vendor's JSON, as a whole answer would hold it; asked for after `stop`."""
        ...


class Answer(Struct):
    """What the blocks of one answer share: how many tools were called, how many characters said, what was cited."""

    undo: Undo
    sink: TextSink
    calls: int = 0
    said: int = 0
    annotations: list[Any] = field(default_factory=list)
    blocks: list[bytes] = field(default_factory=list)  # as they are sent back after a pause


def open_block(block: dict[str, Any], answer: Answer) -> OpenBlock:
    """The block by its type; what is not for the client (server tools and types to come) is hidden."""
    match block.get("type"):
        case "text":
            return TextBlock(block, answer)
        case "tool_use":
            return ToolBlock(block, answer)
        case "thinking":
            return ThinkingBlock(block)
        case "redacted_thinking":
            return RedactedBlock(block)
    return HiddenBlock(block)


def _words(value: Any) -> str:
    return value if isinstance(value, str) else ""


class TextBlock:
    """Text goes through the sink. Its citations are placed when it ends, because then its length is known: and told at
    once, for some clients cannot add to a text that is over."""

    def __init__(self, block: dict[str, Any], answer: Answer) -> None:
        self._block = block
        self._first = _words(block.get("text"))  # some servers put the first piece here
        self._pieces: list[str] = []
        self._answer = answer
        self._begin = answer.said
        self._citations: list[dict[str, Any]] = []

    def start(self) -> list[Event]:
        return self._say(self._first) if self._first else []

    def delta(self, delta: Delta) -> list[Event]:
        if delta.text:
            return self._say(delta.text)
        if delta.citation is not None:
            self._citations.append(delta.citation)
        return []

    def _say(self, text: str) -> list[Event]:
        self._answer.said += len(text)
        self._pieces.append(text)
        return self._answer.sink.feed(text)

    def stop(self) -> list[Event]:
        if not self._citations or self._answer.said == self._begin:
            return []
        cited = url_citations(self._citations, self._begin, self._answer.said)
        done = BlockDone(VendorBlock(Opaque("anthropic", "text", self.whole())))
        if type(self._answer.sink) is not Plain:  # the text may not be out yet
            self._answer.annotations += cited
            return [done]
        return [Annotated(cited), done] if cited else [done]

    def whole(self) -> dict[str, Any]:
        cited = {"citations": self._citations} if self._citations else {}
        return {**self._block, "text": "".join(self._pieces), **cited}


class ToolBlock:
    """A call. Arguments go out as they come, unless the input is dressed in a way that can only be undressed whole."""

    def __init__(self, block: dict[str, Any], answer: Answer) -> None:
        self._called = answer.undo.called(_words(block.get("name")))
        self._id = _words(block.get("id"))
        self._block = block
        self._input = block.get("input")
        self._index = answer.calls
        self._pieces: list[str] = []
        self._said = False
        self._text = InputText() if self._called.shape == "custom" else None
        answer.calls += 1

    def start(self) -> list[Event]:
        return [ToolStart(self._index, self._id, self._called.name, custom=self._called.shape == "custom")]

    def delta(self, delta: Delta) -> list[Event]:
        if not delta.partial_json:
            return []
        self._pieces.append(delta.partial_json)
        if self._text is not None:
            self._said = True
            piece = self._text.feed(delta.partial_json)
            return [ToolDelta(self._index, piece)] if piece else []
        if self._called.shape != "plain":
            return []
        self._said = True
        return [ToolDelta(self._index, delta.partial_json)]

    def stop(self) -> list[Event]:
        """Clients parse the arguments: a call without any gets the input it started with, at least {}."""
        if self._said:
            rest = self._text.end() if self._text is not None else ""
            return [ToolDelta(self._index, rest)] if rest else []
        whole = "".join(self._pieces) or msgspec.json.encode(self._input or {}).decode()
        arguments = undress(self._called.shape, whole)
        return [ToolDelta(self._index, arguments)] if arguments else []

    def whole(self) -> dict[str, Any]:
        return {**self._block, "input": _input("".join(self._pieces), self._input)}


class ThinkingBlock:
    """A thought is shown while it comes and kept whole, with its signature, when it is done."""

    def __init__(self, block: dict[str, Any]) -> None:
        self._block = block
        self._text = _words(block.get("thinking"))
        self._signature = _words(block.get("signature"))

    def start(self) -> list[Event]:
        return [ReasoningDelta(self._text)] if self._text else []

    def delta(self, delta: Delta) -> list[Event]:
        self._signature += delta.signature
        if not delta.thinking:
            return []
        self._text += delta.thinking
        return [ReasoningDelta(delta.thinking)]

    def stop(self) -> list[Event]:
        if not self._signature:  # cannot be replayed
            return [ReasoningDone(Reasoning(self._text))] if self._text else []
        return [ReasoningDone(Reasoning(self._text, Opaque("anthropic", "thinking", self.whole())))]

    def whole(self) -> dict[str, Any]:
        return {**self._block, "thinking": self._text, "signature": self._signature}


class RedactedBlock:
    """A thought that only Anthropic can read, complete from the start."""

    def __init__(self, block: dict[str, Any]) -> None:
        self._block = block

    def start(self) -> list[Event]:
        return [ReasoningDone(Reasoning("", Opaque("anthropic", "redacted_thinking", self._block)))]

    def delta(self, delta: Delta) -> list[Event]:
        return []

    def stop(self) -> list[Event]:
        return []

    def whole(self) -> dict[str, Any]:
        return self._block


class HiddenBlock:
    """Server tools, their results and compactions are the vendor's business; a client must not execute them. Kept for replay."""

    def __init__(self, block: dict[str, Any]) -> None:
        self._block = block
        self._pieces: list[str] = []

    def start(self) -> list[Event]:
        return []

    def delta(self, delta: Delta) -> list[Event]:
        if delta.partial_json:
            self._pieces.append(delta.partial_json)
        fields = {
            "content": delta.content,
            "encrypted_content": delta.encrypted_content,
            "signature": delta.signature or None,
        }
        said = {name: value for name, value in fields.items() if value is not None}
        if said:  # a compaction's summary comes in one piece, which replaces what the block began with
            self._block = {**self._block, **said}
        return []

    def stop(self) -> list[Event]:
        return [BlockDone(VendorBlock(Opaque("anthropic", "server_block", self.whole())))]

    def whole(self) -> dict[str, Any]:
        if not self._pieces:
            return self._block
        return {**self._block, "input": _input("".join(self._pieces), self._block.get("input"))}


def _input(text: str, given: Any) -> Any:
    """The input that was streamed, or the one the block began with; what is no JSON (a cut answer) stands as no input."""
    try:
        return msgspec.json.decode(text) if text else given or {}
    except (msgspec.DecodeError, RecursionError):
        return {}
