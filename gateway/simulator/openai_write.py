"""Answers as OpenAI writes them: chat.completion, and chat.completion.chunk frames."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import orjson
from msgspec import Struct

from gateway.core.sse import frame
from gateway.simulator.model import Answer, Ask, Call, call_tokens
from gateway.simulator.replies import Frame
from gateway.simulator.tokens import count

FINISH = {"end": "stop", "length": "length", "stop": "stop", "calls": "tool_calls"}
DONE = frame(b"[DONE]")


class Shape(Struct, frozen=True):
    """How the client wants it. `forced`: one named tool was demanded, which OpenAI ends with "stop". `legacy`: it used `functions`."""

    id: str
    created: int
    model: str
    prompt_tokens: int
    include_usage: bool = False
    obfuscate: bool = True
    logprobs: bool = False
    forced: bool = False
    legacy: bool = False
    service_tier: str = "default"

    def finish(self, answer: Answer) -> str:
        if answer.finish == "calls":
            return "function_call" if self.legacy else "stop" if self.forced else "tool_calls"
        return FINISH[answer.finish]


def usage(prompt: int, answers: list[Answer]) -> dict[str, Any]:
    """Token counts of a completion with all its choices."""
    output = sum(answer.output_tokens for answer in answers)
    return {
        "prompt_tokens": prompt,
        "completion_tokens": output,
        "total_tokens": prompt + output,
        "prompt_tokens_details": {"cached_tokens": 0, "audio_tokens": 0},
        "completion_tokens_details": {
            "reasoning_tokens": sum(answer.thinking_tokens for answer in answers),
            "audio_tokens": 0,
            "accepted_prediction_tokens": 0,
            "rejected_prediction_tokens": 0,
        },
    }


def call_id(ask: Ask, choice: int, number: int) -> str:
    return ask.id("call_", 1 + choice * 1000 + number)


def _call(ask: Ask, choice: int, number: int, call: Call) -> dict[str, Any]:
    if call.free:
        inner: dict[str, Any] = {"type": "custom", "custom": {"name": call.name, "input": call.arguments}}
    else:
        inner = {"type": "function", "function": {"name": call.name, "arguments": call.arguments}}
    return {"id": call_id(ask, choice, number), **inner}


def token_logprob(token: str) -> dict[str, Any]:
    """What stands for one token in logprobs."""
    return {"token": token, "logprob": -0.1, "bytes": list(token.encode("utf-8", "surrogatepass")), "top_logprobs": []}


def completion(ask: Ask, shape: Shape, answers: list[Answer]) -> bytes:
    """A whole chat.completion."""
    choices = [
        {
            "index": place,
            "message": _message(ask, shape, place, answer),
            "logprobs": {"content": [token_logprob(piece) for piece in answer.pieces], "refusal": None}
            if shape.logprobs
            else None,
            "finish_reason": shape.finish(answer),
        }
        for place, answer in enumerate(answers)
    ]
    return orjson.dumps(
        {
            "id": shape.id,
            "object": "chat.completion",
            "created": shape.created,
            "model": shape.model,
            "choices": choices,
            "usage": usage(shape.prompt_tokens, answers),
            "service_tier": shape.service_tier,
            "system_fingerprint": None,
        }
    )


def _message(ask: Ask, shape: Shape, place: int, answer: Answer) -> dict[str, Any]:
    message: dict[str, Any] = {
        "role": "assistant",
        "content": None if answer.calls else answer.text,
        "refusal": None,
        "annotations": [],
    }
    if answer.calls and shape.legacy:
        message["function_call"] = {"name": answer.calls[0].name, "arguments": answer.calls[0].arguments}
    elif answer.calls:
        message["tool_calls"] = [_call(ask, place, number, call) for number, call in enumerate(answer.calls)]
    return message


class Chunks:
    """The frames of a streamed completion, in OpenAI's order: role, deltas, finish, usage if asked for, [DONE]."""

    def __init__(self, ask: Ask, shape: Shape, answers: list[Answer]) -> None:
        self.ask, self.shape, self.answers = ask, shape, answers
        self.output_tokens = 0

    def frames(self) -> Iterator[Frame]:
        for place, answer in enumerate(self.answers):
            first = {"role": "assistant", "content": None if answer.calls else "", "refusal": None}
            yield self._frame(place, first)
        for place, answer in enumerate(self.answers):
            yield from self._content(place, answer)
        for place, answer in enumerate(self.answers):
            yield self._frame(place, {}, self.shape.finish(answer), closing=True)
        if self.shape.include_usage:
            tail = {"choices": [], "usage": usage(self.shape.prompt_tokens, self.answers)}
            yield Frame(self._wire(tail), self.output_tokens, closing=True)
        yield Frame(DONE, self.output_tokens, closing=True)

    def _content(self, place: int, answer: Answer) -> Iterator[Frame]:
        before = self.output_tokens + answer.thinking_tokens
        said = 0
        for piece in answer.pieces:
            said += len(piece.encode("utf-8", "surrogatepass"))
            self.output_tokens = before + (said + 3) // 4
            yield self._frame(place, {"content": piece}, content=True, logprob=piece)
        self.output_tokens = before + count(answer.text)
        for number, call in enumerate(answer.calls):
            yield from self._call(place, number, call)

    def _call(self, place: int, number: int, call: Call) -> Iterator[Frame]:
        after = self.output_tokens + call_tokens(call)
        self.output_tokens += count(call.name)
        if self.shape.legacy:
            yield self._frame(place, {"function_call": {"name": call.name, "arguments": ""}}, content=True)
        else:
            head = _call(self.ask, place, number, Call(call.name, "", call.free))
            yield self._frame(place, {"tool_calls": [{"index": number, **head}]}, content=True)
        parts = slices(call.arguments)
        for nth, part in enumerate(parts):
            if nth == len(parts) - 1:
                self.output_tokens = after
            yield self._frame(place, self._arguments(number, call, part), content=True)

    def _arguments(self, number: int, call: Call, part: str) -> dict[str, Any]:
        if self.shape.legacy:
            return {"function_call": {"arguments": part}}
        inner = {"custom": {"input": part}} if call.free else {"function": {"arguments": part}}
        return {"tool_calls": [{"index": number, **inner}]}

    def _frame(
        self,
        place: int,
        delta: dict[str, Any],
        finish: str | None = None,
        content: bool = False,
        closing: bool = False,
        logprob: str | None = None,
    ) -> Frame:
        logprobs = (
            {"content": [token_logprob(logprob)], "refusal": None}
            if self.shape.logprobs and logprob is not None
            else None
        )
        choice = {"index": place, "delta": delta, "logprobs": logprobs, "finish_reason": finish}
        body: dict[str, Any] = {"choices": [choice]}
        if self.shape.include_usage:
            body["usage"] = None
        if self.shape.obfuscate:
            body["obfuscation"] = "simulated"[: 1 + len(delta.get("content") or "") % 9]
        return Frame(self._wire(body), self.output_tokens, content, closing)

    def _wire(self, body: dict[str, Any]) -> bytes:
        head = {
            "id": self.shape.id,
            "object": "chat.completion.chunk",
            "created": self.shape.created,
            "model": self.shape.model,
            "service_tier": self.shape.service_tier,
            "system_fingerprint": None,
        }
        return frame(orjson.dumps({**head, **body}))


def slices(text: str, size: int = 8) -> list[str]:
    """Arguments in parts: they are cut anywhere, also inside words and numbers."""
    return [text[at : at + size] for at in range(0, len(text), size)] or [""]
