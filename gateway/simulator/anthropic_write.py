"""Answers as Anthropic writes them: a message, and the events of a streamed one.

message_start  ping  ( content_block_start  content_block_delta*  content_block_stop )*  message_delta  message_stop
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import orjson
from msgspec import Struct

from gateway.core.sse import frame
from gateway.simulator.model import Answer, Ask, Call, call_tokens, pieces
from gateway.simulator.replies import Frame
from gateway.simulator.tokens import count

STOP_REASONS = {
    "end": "end_turn",
    "length": "max_tokens",
    "stop": "stop_sequence",
    "calls": "tool_use",
    "pause": "pause_turn",
}
ONLY_AT_START = frozenset({"cache_creation", "service_tier"})  # message_delta repeats the counts alone


class Shape(Struct, frozen=True):
    """How the answer is dressed. `shown`: the thinking text the client may see; `signature` "" when there was no thinking.

    `found`: the result that a resumed turn begins with; `search`: the call that a paused one ends with.
    """

    model: str
    input_tokens: int
    shown: str = ""
    signature: str = ""
    found: dict[str, Any] | None = None
    search: dict[str, Any] | None = None


def usage(shape: Shape, output_tokens: int, thinking_tokens: int) -> dict[str, Any]:
    """Token counts so far."""
    counts: dict[str, Any] = {
        "input_tokens": shape.input_tokens,
        "cache_creation_input_tokens": 0,
        "cache_read_input_tokens": 0,
        "cache_creation": {"ephemeral_5m_input_tokens": 0, "ephemeral_1h_input_tokens": 0},
        "output_tokens": output_tokens,
        "service_tier": "standard",
    }
    if shape.signature:
        counts["output_tokens_details"] = {"thinking_tokens": thinking_tokens}
    return counts


def _head(ask: Ask, shape: Shape) -> dict[str, Any]:
    return {"id": ask.id("msg_01", length=22), "type": "message", "role": "assistant", "model": shape.model}


def _input(call: Call) -> Any:
    """Arguments cut short by max_tokens are no JSON any more; a whole answer then carries none."""
    try:
        return orjson.loads(call.arguments)
    except orjson.JSONDecodeError:
        return {}


def message(ask: Ask, shape: Shape, answer: Answer) -> bytes:
    """A whole message."""
    content: list[dict[str, Any]] = [shape.found] if shape.found else []
    if shape.signature:
        content.append({"type": "thinking", "thinking": shape.shown, "signature": shape.signature})
    if answer.pieces:
        content.append({"type": "text", "text": answer.text})
    for number, call in enumerate(answer.calls):
        content.append(
            {"type": "tool_use", "id": ask.id("toolu_01", 1 + number, 22), "name": call.name, "input": _input(call)}
        )
    if shape.search:
        content.append(shape.search)
    return orjson.dumps(
        {
            **_head(ask, shape),
            "content": content,
            "stop_reason": STOP_REASONS[answer.finish],
            "stop_sequence": answer.stop_sequence,
            "stop_details": None,
            "usage": usage(shape, answer.output_tokens, answer.thinking_tokens),
        }
    )


class Events:
    """The events of a streamed message."""

    def __init__(self, ask: Ask, shape: Shape, answer: Answer) -> None:
        self.ask, self.shape, self.answer = ask, shape, answer
        self.output_tokens = 0
        self._index = 0

    def frames(self) -> Iterator[Frame]:
        yield self._start()
        yield self._event("ping")
        if self.shape.found:
            yield self._event("content_block_start", index=self._index, content_block=self.shape.found)
            yield self._stop()
        if self.shape.signature:
            yield from self._thinking()
        if self.answer.pieces:
            yield from self._text()
        for number, call in enumerate(self.answer.calls):
            yield from self._call(number, call)
        if self.shape.search:
            yield from self._search(self.shape.search)
        self.output_tokens = self.answer.output_tokens
        delta = {
            "stop_reason": STOP_REASONS[self.answer.finish],
            "stop_sequence": self.answer.stop_sequence,
            "stop_details": None,
        }
        counts = usage(self.shape, self.answer.output_tokens, self.answer.thinking_tokens)
        counts = {name: value for name, value in counts.items() if name not in ONLY_AT_START}
        yield self._event("message_delta", closing=True, delta=delta, usage=counts)
        yield self._event("message_stop", closing=True)

    def _start(self) -> Frame:
        begun = {
            **_head(self.ask, self.shape),
            "content": [],
            "stop_reason": None,
            "stop_sequence": None,
            "stop_details": None,
            "usage": usage(self.shape, 1, 0),
        }
        return self._event("message_start", message=begun)

    def _thinking(self) -> Iterator[Frame]:
        shown = self.shape.shown
        yield self._event(
            "content_block_start",
            index=self._index,
            content_block={"type": "thinking", "thinking": "", "signature": ""},
        )
        for piece in pieces(shown):
            yield self._delta({"type": "thinking_delta", "thinking": piece}, count(piece))
        self.output_tokens = self.answer.thinking_tokens
        yield self._delta({"type": "signature_delta", "signature": self.shape.signature}, 0)
        yield self._stop()

    def _text(self) -> Iterator[Frame]:
        before, said = self.output_tokens, 0
        yield self._event("content_block_start", index=self._index, content_block={"type": "text", "text": ""})
        for piece in self.answer.pieces:
            said += len(piece.encode("utf-8", "surrogatepass"))
            yield self._delta({"type": "text_delta", "text": piece}, before + (said + 3) // 4 - self.output_tokens)
        yield self._stop()

    def _call(self, number: int, call: Call) -> Iterator[Frame]:
        after = self.output_tokens + call_tokens(call)
        block = {"type": "tool_use", "id": self.ask.id("toolu_01", 1 + number, 22), "name": call.name, "input": {}}
        self.output_tokens += count(call.name)
        yield self._event("content_block_start", content=True, index=self._index, content_block=block)
        # The first part is empty, as Anthropic sends it.
        for part in ["", *(call.arguments[at : at + 8] for at in range(0, len(call.arguments), 8))]:
            yield self._delta({"type": "input_json_delta", "partial_json": part}, min(2, after - self.output_tokens))
        self.output_tokens = after
        yield self._stop()

    def _search(self, block: dict[str, Any]) -> Iterator[Frame]:
        yield self._event("content_block_start", index=self._index, content_block={**block, "input": {}})
        yield self._delta({"type": "input_json_delta", "partial_json": orjson.dumps(block["input"]).decode()}, 0)
        yield self._stop()

    def _delta(self, delta: dict[str, Any], tokens: int) -> Frame:
        self.output_tokens += tokens
        return self._event("content_block_delta", content=True, index=self._index, delta=delta)

    def _stop(self) -> Frame:
        stop = self._event("content_block_stop", index=self._index)
        self._index += 1
        return stop

    def _event(self, kind: str, *, content: bool = False, closing: bool = False, **fields: Any) -> Frame:
        wire = frame(orjson.dumps({"type": kind, **fields}), kind.encode())
        return Frame(wire, self.output_tokens, content, closing)
