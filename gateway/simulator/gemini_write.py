"""Answers as Gemini writes them: a GenerateContentResponse, or several of them as SSE frames or as one JSON array."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import orjson
from msgspec import Struct

from gateway.simulator.model import Answer, Ask, Call, call_tokens
from gateway.simulator.replies import Frame
from gateway.simulator.signatures import sign, verify
from gateway.simulator.tokens import count

FINISH = {"end": "STOP", "length": "MAX_TOKENS", "stop": "STOP", "calls": "STOP", "pause": "CONTINUATION"}
GOES_ON = "continuation"


class Shape(Struct, frozen=True):
    """How the answer is dressed. `signs`: parts carry thought signatures and calls have ids (Gemini 3)."""

    model: str
    prompt_tokens: int
    signs: bool
    shows_thoughts: bool = False
    sse: bool = True


def _usage(shape: Shape, candidates: int, thoughts: int) -> dict[str, Any]:
    counts: dict[str, Any] = {"promptTokenCount": shape.prompt_tokens}
    if candidates:
        counts["candidatesTokenCount"] = candidates
    counts["totalTokenCount"] = shape.prompt_tokens + candidates + thoughts
    counts["promptTokensDetails"] = [{"modality": "TEXT", "tokenCount": shape.prompt_tokens}]
    if thoughts:
        counts["thoughtsTokenCount"] = thoughts
    return counts


def _signature(ask: Ask, answer: Answer) -> str:
    """Thoughts may stay hidden, so the signature carries what it signs."""
    return sign("google", "", ask.key[:8] + count(answer.thinking).to_bytes(4, "big"))


def continuation(ask: Ask, said: int) -> str:
    """The token with which the answer to `ask` goes on after `said` characters."""
    return sign("google", GOES_ON, ask.key[:8] + said.to_bytes(4, "big"))


def continued(ask: Ask, token: str) -> int | None:
    """The characters said before a continuation; None when the token is not of this request."""
    binding = verify("google", GOES_ON, token)
    return int.from_bytes(binding[8:], "big") if binding is not None and binding[:8] == ask.key[:8] else None


def _ending(ask: Ask, answer: Answer) -> dict[str, Any]:
    ending: dict[str, Any] = {"finishReason": FINISH[answer.finish]}
    if answer.finish == "pause":
        ending["continuationToken"] = continuation(ask, answer.paused_at)
    return ending


def _call_part(ask: Ask, shape: Shape, number: int, call: Call, signature: str | None) -> dict[str, Any]:
    function: dict[str, Any] = {"name": call.name, "args": orjson.loads(call.arguments)}
    if shape.signs:
        function["id"] = ask.id("", 1 + number, 8)
    part: dict[str, Any] = {"functionCall": function}
    if signature:
        part["thoughtSignature"] = signature
    return part


def _whole_calls(answer: Answer) -> list[Call]:
    """Calls cut short by the token limit are no calls for Gemini."""
    if answer.finish != "length":
        return answer.calls
    return []


def _parts(ask: Ask, shape: Shape, answer: Answer) -> list[dict[str, Any]]:
    signature = _signature(ask, answer) if shape.signs else None
    parts: list[dict[str, Any]] = []
    if answer.thinking and shape.shows_thoughts:
        parts.append({"text": answer.thinking, "thought": True})
    if answer.pieces:
        parts.append({"text": answer.text, **({"thoughtSignature": signature} if signature else {})})
    for number, call in enumerate(_whole_calls(answer)):
        parts.append(_call_part(ask, shape, number, call, signature if number == 0 else None))
    return parts


def _response(ask: Ask, shape: Shape, candidates: list[dict[str, Any]], usage: dict[str, Any]) -> bytes:
    return orjson.dumps(
        {
            "candidates": candidates,
            "usageMetadata": usage,
            "modelVersion": shape.model,
            "responseId": ask.id("", length=22),
        }
    )


def whole(ask: Ask, shape: Shape, answers: list[Answer]) -> bytes:
    """A whole response."""
    candidates = []
    for place, answer in enumerate(answers):
        content: dict[str, Any] = {"role": "model"}
        parts = _parts(ask, shape, answer)
        if parts:
            content["parts"] = parts
        candidates.append({"content": content, **_ending(ask, answer), "index": place})
    thoughts = sum(answer.thinking_tokens for answer in answers)
    output = sum(answer.output_tokens for answer in answers)
    return _response(ask, shape, candidates, _usage(shape, output - thoughts, thoughts))


class Fragments:
    """The responses of a stream. Usage is cumulative; the signature comes last, with an empty text, or on the first call."""

    def __init__(self, ask: Ask, shape: Shape, answers: list[Answer]) -> None:
        self.ask, self.shape, self.answers = ask, shape, answers
        self.thoughts = 0
        self.candidates = 0
        self._sent = 0

    def frames(self) -> Iterator[Frame]:
        for place, answer in enumerate(self.answers):
            yield from self._content(place, answer)
        for place, answer in enumerate(self.answers):
            last: dict[str, Any] = {"text": ""}
            if self.shape.signs and answer.pieces:
                last["thoughtSignature"] = _signature(self.ask, answer)
            yield self._fragment(place, [last] if answer.output_tokens else [], _ending(self.ask, answer))
        if not self.shape.sse:
            yield Frame(b"]", self.thoughts + self.candidates, closing=True)

    def _content(self, place: int, answer: Answer) -> Iterator[Frame]:
        self.thoughts += answer.thinking_tokens
        if answer.thinking and self.shape.shows_thoughts:
            yield self._fragment(place, [{"text": answer.thinking, "thought": True}])
        before, said = self.candidates, 0
        for piece in answer.pieces:
            said += len(piece.encode("utf-8", "surrogatepass"))
            self.candidates = before + (said + 3) // 4
            yield self._fragment(place, [{"text": piece}])
        for number, call in enumerate(_whole_calls(answer)):
            self.candidates += call_tokens(call)
            signature = _signature(self.ask, answer) if self.shape.signs and number == 0 else None
            yield self._fragment(place, [_call_part(self.ask, self.shape, number, call, signature)])
        self.candidates = before + answer.output_tokens - answer.thinking_tokens

    def _fragment(self, place: int, parts: list[dict[str, Any]], ending: dict[str, Any] | None = None) -> Frame:
        candidate: dict[str, Any] = {"content": {"parts": parts, "role": "model"} if parts else {"role": "model"}}
        candidate |= ending or {}
        candidate["index"] = place
        wire = _response(self.ask, self.shape, [candidate], _usage(self.shape, self.candidates, self.thoughts))
        before, after = (b"data: ", b"\r\n\r\n") if self.shape.sse else (b",\r\n" if self._sent else b"[", b"")
        self._sent += 1
        return Frame(
            before + wire + after, self.thoughts + self.candidates, content=ending is None, closing=ending is not None
        )
