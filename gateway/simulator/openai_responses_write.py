"""Answers of the Responses API: the response object, and the events of a streamed one.

response.created  response.in_progress
( response.output_item.added  …what the item is made of…  response.output_item.done )*
response.completed | response.incomplete

Rule: sequence numbers count from 0 without a gap; ids and call ids are the same in every event and in the whole object.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import orjson
from msgspec import Struct

from gateway.core.sse import frame
from gateway.simulator.faults import Fault
from gateway.simulator.model import Answer, Ask, Call, call_tokens, pieces
from gateway.simulator.openai_responses_thoughts import encrypted
from gateway.simulator.openai_write import slices, token_logprob
from gateway.simulator.replies import Frame
from gateway.simulator.tokens import count

ID_LENGTH = 48
Item = dict[str, Any]


class Shape(Struct, frozen=True):
    """How the client wants it. `head`: the response object as it begins, `in_progress` and without output.

    `namespaces`: where tools belong, by name. `summarized`: thoughts are summed up.
    """

    head: dict[str, Any]
    prompt_tokens: int
    namespaces: dict[str, str]
    now: int
    summarized: bool = False
    logprobs: bool = False
    obfuscate: bool = True


def usage(prompt: int, answer: Answer) -> dict[str, Any]:
    """Token counts of a response; both details with all their numbers, which strict clients require."""
    return {
        "input_tokens": prompt,
        "input_tokens_details": {"cached_tokens": 0, "cache_write_tokens": 0},
        "output_tokens": answer.output_tokens,
        "output_tokens_details": {"reasoning_tokens": answer.thinking_tokens},
        "total_tokens": prompt + answer.output_tokens,
    }


def output(ask: Ask, shape: Shape, answer: Answer) -> list[Item]:
    """The items of an answer: a thought, a message, calls. The last one is incomplete when the tokens ran out."""
    items: list[Item] = []
    if answer.thinking:
        id = ask.id("rs_", 1, ID_LENGTH)
        summary = [{"type": "summary_text", "text": answer.thinking}] if shape.summarized else []
        sealed = encrypted(id, ask.model, answer.thinking)
        items.append({"id": id, "type": "reasoning", "summary": summary, "encrypted_content": sealed})
    if answer.pieces:
        text = {
            "type": "output_text",
            "text": answer.text,
            "annotations": [],
            "logprobs": _logprobs(shape, answer.pieces),
        }
        message = {"id": ask.id("msg_", 2, ID_LENGTH), "type": "message", "status": "completed", "role": "assistant"}
        items.append({**message, "content": [text]})
    items += [_call(ask, shape, number, call) for number, call in enumerate(answer.calls)]
    if answer.finish == "length" and items and "status" in items[-1]:
        items[-1]["status"] = "incomplete"
    return items


def _call(ask: Ask, shape: Shape, number: int, call: Call) -> Item:
    inner = {"input": call.arguments} if call.free else {"arguments": call.arguments}
    item = {
        "id": ask.id("ctc_" if call.free else "fc_", 3 + number, ID_LENGTH),
        "type": "custom_tool_call" if call.free else "function_call",
        "status": "completed",
        "call_id": ask.id("call_", 3 + number),
        "name": call.name,
        **inner,
    }
    if call.name in shape.namespaces:
        item["namespace"] = shape.namespaces[call.name]
    return item


def _logprobs(shape: Shape, tokens: list[str]) -> list[dict[str, Any]]:
    return [token_logprob(token) for token in tokens] if shape.logprobs else []


def response(shape: Shape, answer: Answer, items: list[Item]) -> dict[str, Any]:
    """The whole response object."""
    short = answer.finish == "length"
    return {
        **shape.head,
        "status": "incomplete" if short else "completed",
        "completed_at": None if short else shape.now,
        "incomplete_details": {"reason": "max_output_tokens"} if short else None,
        "output": items,
        "usage": usage(shape.prompt_tokens, answer),
    }


class Events:
    """The events of a streamed response."""

    def __init__(self, ask: Ask, shape: Shape, answer: Answer) -> None:
        self.ask, self.shape, self.answer = ask, shape, answer
        self.items = output(ask, shape, answer)
        self.output_tokens = 0
        self._number = 0

    def frames(self) -> Iterator[Frame]:
        yield self._event("response.created", response=self.shape.head)
        yield self._event("response.in_progress", response=self.shape.head)
        calls = iter(self.answer.calls)
        for index, item in enumerate(self.items):
            place = {"item_id": item["id"], "output_index": index}
            match item["type"]:
                case "reasoning":
                    yield from self._reasoning(place, item)
                case "message":
                    yield from self._message(place, item)
                case _:
                    yield from self._call(place, item, next(calls))
            yield self._event("response.output_item.done", output_index=index, item=item)
        self.output_tokens = self.answer.output_tokens
        whole = response(self.shape, self.answer, self.items)
        yield self._event(f"response.{whole['status']}", closing=True, response=whole)

    def failing(self, fault: Fault, begun: bool) -> bytes:
        """How OpenAI breaks off: an `error` event before there is anything, a failed response afterwards."""
        said = "The server had an error while processing your request. Sorry about that! (simulated)"
        code = fault.code or "server_error"
        self._number -= 1  # the frame that was taken last is not sent
        if not begun:
            return self._event("error", code=code, message=said, param=None).wire
        failed = {**self.shape.head, "status": "failed", "error": {"code": code, "message": said}}
        return self._event("response.failed", response=failed).wire

    # ------------------------------------------------------------ items

    def _added(self, place: dict[str, Any], item: Item, content: bool = False) -> Frame:
        return self._event("response.output_item.added", content=content, output_index=place["output_index"], item=item)

    def _reasoning(self, place: dict[str, Any], item: Item) -> Iterator[Frame]:
        # What is known of the encrypted content at the start is not all of it: only output_item.done counts.
        yield self._added(place, {**item, "summary": [], "encrypted_content": item["encrypted_content"][:20]})
        for number, part in enumerate(item["summary"]):
            at = {**place, "summary_index": number}
            empty = {"type": "summary_text", "text": ""}
            yield self._event("response.reasoning_summary_part.added", **at, part=empty)
            for piece in pieces(part["text"]):
                self.output_tokens = min(self.output_tokens + count(piece), self.answer.thinking_tokens)
                yield self._delta("response.reasoning_summary_text.delta", at, piece)
            yield self._event("response.reasoning_summary_text.done", **at, text=part["text"])
            yield self._event("response.reasoning_summary_part.done", **at, part=part)
        self.output_tokens = self.answer.thinking_tokens

    def _message(self, place: dict[str, Any], item: Item) -> Iterator[Frame]:
        part, at = item["content"][0], {**place, "content_index": 0}
        empty = {"type": "output_text", "text": "", "annotations": [], "logprobs": []}
        yield self._added(place, {**item, "status": "in_progress", "content": []})
        yield self._event("response.content_part.added", **at, part=empty)
        before, said = self.output_tokens, 0
        for piece in self.answer.pieces:
            said += len(piece.encode("utf-8", "surrogatepass"))
            self.output_tokens = before + (said + 3) // 4
            yield self._delta("response.output_text.delta", at, piece, logprobs=_logprobs(self.shape, [piece]))
        yield self._event("response.output_text.done", **at, text=part["text"], logprobs=part["logprobs"])
        yield self._event("response.content_part.done", **at, part=part)

    def _call(self, place: dict[str, Any], item: Item, call: Call) -> Iterator[Frame]:
        after = self.output_tokens + call_tokens(call)
        name = "input" if call.free else "arguments"
        kind = "response.custom_tool_call_input" if call.free else "response.function_call_arguments"
        self.output_tokens += count(call.name)
        yield self._added(place, {**item, "status": "in_progress", name: ""}, content=True)
        parts = slices(call.arguments)
        for nth, part in enumerate(parts):
            if nth == len(parts) - 1:
                self.output_tokens = after
            yield self._delta(f"{kind}.delta", place, part)
        whole: dict[str, Any] = {**place, name: call.arguments}
        yield self._event(f"{kind}.done", **whole)

    # ------------------------------------------------------------ frames

    def _delta(self, kind: str, place: dict[str, Any], delta: str, **more: Any) -> Frame:
        if self.shape.obfuscate:
            more["obfuscation"] = "simulated"[: 1 + len(delta) % 9]
        return self._event(kind, content=True, **place, delta=delta, **more)

    def _event(self, kind: str, *, content: bool = False, closing: bool = False, **fields: Any) -> Frame:
        wire = frame(orjson.dumps({"type": kind, "sequence_number": self._number, **fields}), kind.encode())
        self._number += 1
        return Frame(wire, self.output_tokens, content, closing)
