"""A Chat answer, whole or streamed, into `types.Reply` and events.

Rule 1: the same events however the bytes are cut. Rule 2: a stream is over at `data: [DONE]` and nowhere else.
Rule 3: tool calls get dense indexes in the order of their first appearance, whatever index the server gives. One begins when its
name is known: id and name may come in different chunks.
Source: openai-python, types/chat/chat_completion.py, chat_completion_chunk.py; `reasoning_content` and `reasoning` are what
compatible servers stream their model's thoughts in.
"""

from __future__ import annotations

import hashlib
from typing import Any

import msgspec

from gateway.core.jsontext import NotJson, decode
from gateway.core.sse import Frame, LineTooLong, Splitter
from gateway.core.stopping import StoppedEvents, stopped
from gateway.dialects.openai_faults import failed_of
from gateway.dialects.openai_undo import NOTHING, Undo
from gateway.dialects.openai_usage import usage_of
from gateway.types import (
    Annotated,
    BadReply,
    Choice,
    Ended,
    Event,
    Failed,
    Finished,
    FinishReason,
    Part,
    Reasoning,
    ReasoningDelta,
    Refusal,
    RefusalDelta,
    Reply,
    Start,
    Text,
    TextDelta,
    ToolCall,
    ToolDelta,
    ToolStart,
    UsageSeen,
)

MAX_DEPTH = 256  # an answer may nest deeper than a request: schemas in texts do not count, log probabilities do
_FINISH: dict[str, FinishReason] = {
    "stop": "stop",
    "length": "length",
    "tool_calls": "tool_calls",
    "function_call": "tool_calls",
    "content_filter": "content_filter",
    "max_tokens": "length",
    "tool_use": "tool_calls",
    "end_turn": "stop",
    "safety": "content_filter",
    "sensitive": "content_filter",
    "guardrail_intervened": "content_filter",
}
# Reasons of compatible servers whose own upstream broke: an answer that ends so is cut, and must not look complete.
_BROKEN = ("error", "abort", "aborted")


def read_reply(body: bytes, undo: Undo = NOTHING) -> Reply:
    """A whole answer, cut at the first of the stops in `undo`. Raises BadReply for what is none, an error object with status 200 included."""
    try:
        answer = decode(body, MAX_DEPTH)
    except NotJson as error:
        raise BadReply(f"the answer is no JSON: {error}") from None
    if not isinstance(answer, dict) or answer.get("error") or not isinstance(answer.get("choices"), list):
        raise BadReply("the answer has no choices")
    own_id = _text(answer.get("id"))
    choices = [
        _choice(choice, place, own_id, undo)
        for place, choice in enumerate(answer["choices"])
        if isinstance(choice, dict)
    ]
    if not choices:
        raise BadReply("the answer has no choices")
    return Reply(
        id=own_id,
        model=_text(answer.get("model")),
        choices=[stopped(choice, undo.stops) for choice in choices] if undo.stops else choices,
        usage=usage_of(answer.get("usage")),
        created=_count(answer.get("created")),
        service_tier=_text(answer.get("service_tier")) or None,
    )


def _choice(choice: dict[str, Any], place: int, answer_id: str, undo: Undo) -> Choice:
    message = choice.get("message")
    if choice.get("finish_reason") in _BROKEN:
        raise BadReply("the answer broke off", "server_error")
    parts = _parts(message if isinstance(message, dict) else {}, f"{answer_id}_{place}", undo)
    called = any(isinstance(part, ToolCall) for part in parts)
    finish = _finish(choice.get("finish_reason"), called) if choice.get("finish_reason") else None
    index = choice.get("index")
    return Choice(parts, finish, index if type(index) is int else place, logprobs=choice.get("logprobs"))


def _parts(message: dict[str, Any], turn: str, undo: Undo) -> list[Part]:
    parts: list[Part] = []
    thought = _text(message.get("reasoning_content")) or _text(message.get("reasoning"))
    if thought:
        parts.append(Reasoning(thought))
    text = _said(message.get("content"))
    if text:
        annotations = message.get("annotations")
        parts.append(Text(text, annotations=annotations if isinstance(annotations, list) and annotations else None))
    if _text(message.get("refusal")):
        parts.append(Refusal(_text(message["refusal"])))
    found = message.get("tool_calls")
    calls = [call for call in found if isinstance(call, dict)] if isinstance(found, list) else []
    if isinstance(message.get("function_call"), dict):
        calls.append({"function": message["function_call"]})
    return parts + [_call(call, f"{turn}_{at}", undo) for at, call in enumerate(calls)]


def _call(call: dict[str, Any], place: str, undo: Undo) -> ToolCall:
    custom = isinstance(call.get("custom"), dict)
    given = call.get("custom" if custom else "function")
    given = given if isinstance(given, dict) else {}
    arguments = _arguments(given.get("input" if custom else "arguments")) or ("" if custom else "{}")
    name = undo.name(_text(given.get("name")))
    return ToolCall(_text(call.get("id")) or _call_id(place), name, arguments, custom)


def _call_id(place: str) -> str:
    """For servers that give none: the same for the same answer, different from those of other answers."""
    return "call_" + hashlib.sha256(place.encode()).hexdigest()[:24]


class Reader:
    """See types.StreamReader."""

    __slots__ = (
        "_calls", "_done", "_finished", "_id", "_nameless", "_splitter", "_started", "_stopped", "_totals", "_undo",
    )  # fmt: skip

    def __init__(self, undo: Undo = NOTHING) -> None:
        self._undo = undo
        self._stopped = StoppedEvents(undo.stops) if undo.stops else None
        self._splitter = Splitter()
        self._started = False
        self._done = False
        self._id = ""
        self._calls: dict[tuple[int, object], tuple[int, str]] = {}  # (choice, the server's index) -> our index, its id
        self._nameless: dict[
            tuple[int, object], tuple[str, str]
        ] = {}  # calls that cannot begin yet: id and arguments so far
        self._totals: dict[int, int] = {}  # choice -> how many calls
        self._finished: set[int] = set()

    def feed(self, data: bytes) -> list[Event]:
        if self._done:
            return []
        try:
            events = self._events(self._splitter.feed(data))
        except LineTooLong as error:
            self._done = True
            events = [Failed("bad_reply", str(error))]
        return events if self._stopped is None else self._stopped.feed(events)

    def eof(self) -> list[Event]:
        """What the last bytes say, and Failed("truncated") unless [DONE] was among them."""
        if self._done:
            return []
        events = self._last_events()
        return events if self._stopped is None else self._stopped.feed(events)

    def _last_events(self) -> list[Event]:
        events = self._events(self._splitter.eof())
        if self._done and not (isinstance(events[-1], Failed) and events[-1].kind == "bad_reply"):
            return events
        events = events[:-1] if self._done else events  # half a frame is no bad frame
        self._done = True
        return [*events, self._stray_error() or Failed("truncated")]

    def _stray_error(self) -> Failed | None:
        """Some servers answer an event stream request with a bare JSON error and status 200."""
        try:
            answer = decode(b"".join(self._splitter.stray))
        except NotJson:
            return None
        return failed_of(answer["error"]) if isinstance(answer, dict) and answer.get("error") else None

    def _events(self, frames: list[Frame]) -> list[Event]:
        events: list[Event] = []
        for name, data in frames:
            events += self._frame(name, data)
            if self._done:
                break
        return events

    def _frame(self, name: bytes, data: bytes) -> list[Event]:
        if data.startswith(b"[DONE]"):
            self._done = True
            return [Failed("bad_reply", "a call whose name never came") if self._nameless else Ended()]
        try:
            chunk = decode(data, MAX_DEPTH)
        except NotJson as error:
            self._done = True
            return [Failed("bad_reply", f"a frame is no JSON: {error}")]
        if not isinstance(chunk, dict):
            return []
        if chunk.get("error") or name == b"error":
            self._done = True
            return [failed_of(chunk.get("error") or chunk)]
        return self._chunk(chunk)

    def _chunk(self, chunk: dict[str, Any]) -> list[Event]:
        events: list[Event] = []
        if not self._started:
            self._started = True
            self._id = _text(chunk.get("id"))
            events.append(Start(self._id, _text(chunk.get("model")), _count(chunk.get("created"))))
        choices = chunk.get("choices")
        for choice in choices if isinstance(choices, list) else []:
            if isinstance(choice, dict) and not self._done:
                events += self._choice(choice)
        if chunk.get("usage") is not None and not self._done:
            usage = usage_of(chunk["usage"])
            if usage is not None:
                events.append(UsageSeen(usage))
        return events

    def _choice(self, choice: dict[str, Any]) -> list[Event]:
        index = _count(choice.get("index"))
        delta = choice.get("delta")
        events = self._delta(delta, index, choice.get("logprobs")) if isinstance(delta, dict) else []
        reason = choice.get("finish_reason")
        if reason in _BROKEN:
            self._done = True
            return [*events, Failed("error_event", "the answer broke off")]
        if isinstance(reason, str) and reason and index not in self._finished:
            self._finished.add(index)
            events.append(Finished(_finish(reason, index in self._totals), index))
        return events

    def _delta(self, delta: dict[str, Any], index: int, logprobs: Any) -> list[Event]:
        events: list[Event] = []
        content = delta.get("content")
        text = content if isinstance(content, str) else _said(content)
        if len(delta) == 1 and text:
            return [TextDelta(text, index, logprobs)]  # nearly all are of one text
        thought = _text(delta.get("reasoning_content")) or _text(delta.get("reasoning"))
        if thought:
            events.append(ReasoningDelta(thought, index))
        if text:
            events.append(TextDelta(text, index, logprobs))
        if _text(delta.get("refusal")):
            events.append(RefusalDelta(delta["refusal"], index))
        calls = delta.get("tool_calls")
        for place, call in enumerate(calls if isinstance(calls, list) else []):
            if isinstance(call, dict):
                events += self._tool(call, call.get("index", place), index)
        if isinstance(delta.get("function_call"), dict):
            events += self._tool({"function": delta["function_call"]}, "function_call", index)
        if isinstance(delta.get("annotations"), list) and delta["annotations"]:
            events.append(Annotated(delta["annotations"], index))
        return events

    def _tool(self, call: dict[str, Any], theirs: object, choice: int) -> list[Event]:
        custom = isinstance(call.get("custom"), dict)
        given = call.get("custom" if custom else "function")
        given = given if isinstance(given, dict) else {}
        key = (choice, theirs if isinstance(theirs, int | str) else 0)
        ours, known_id = self._calls.get(key, (-1, ""))
        call_id, name = _text(call.get("id")), _text(given.get("name"))
        arguments = _arguments(given.get("input" if custom else "arguments"))
        # Some servers number every call 0: their ids tell. An id that comes behind the name of a call without one is its own.
        new = ours < 0 or (call_id != "" and call_id != known_id and (name != "" or known_id != ""))
        if not new:
            return [ToolDelta(ours, arguments, choice)] if arguments else []
        before_id, before = self._nameless.pop(key, ("", ""))
        if not name:
            self._nameless[key] = call_id or before_id, before + arguments
            return []
        ours = self._totals.get(choice, 0)
        self._totals[choice] = ours + 1
        call_id = call_id or before_id
        self._calls[key] = ours, call_id
        own = call_id or _call_id(f"{self._id}_{choice}_{ours}")
        start = ToolStart(ours, own, self._undo.name(name), choice, custom)
        return [start, ToolDelta(ours, before + arguments, choice)] if before + arguments else [start]


def _finish(reason: object, called: bool) -> FinishReason:
    """OpenAI's reasons, and what compatible servers say instead. A turn with calls that just "stops" wants them answered."""
    finish = _FINISH.get(reason.lower(), "stop") if isinstance(reason, str) else "stop"
    return "tool_calls" if called and finish == "stop" else finish


def _said(content: object) -> str:
    """A text, or the texts of an array of parts, as some compatible servers answer."""
    if isinstance(content, list):
        return "".join(_text(part.get("text")) for part in content if isinstance(part, dict))
    return _text(content)


def _arguments(value: object) -> str:
    """A text; some compatible servers give the object that it should spell."""
    return msgspec.json.encode(value).decode() if isinstance(value, dict) else _text(value)


def _text(value: object) -> str:
    return value if isinstance(value, str) else ""


def _count(value: object) -> int:
    return value if type(value) is int and value >= 0 else 0
