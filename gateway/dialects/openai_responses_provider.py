"""A Responses answer, whole or streamed, into `types.Reply` and events.

Rule 1: the same events however the bytes are cut. Rule 2: a stream is over at its terminal event and nowhere else; a failure
inside it is one wherever it comes. Rule 3: calls get dense indexes in the order of their first appearance; output indexes count
messages and thoughts too. Rule 4: what a server leaves out (an item's opening, its deltas) is made up for by what it says later.
Source: openai-python, types/responses/response_*_event.py.
"""

from __future__ import annotations

from typing import Any

import msgspec
from msgspec import Struct

from gateway.core.jsontext import NotJson, decode
from gateway.core.sse import Frame, LineTooLong, Splitter
from gateway.core.stopping import StoppedEvents, stopped
from gateway.dialects.openai_responses_faults import failed_of, response_failed
from gateway.dialects.openai_responses_parts import (
    CALLS,
    finish_of,
    logprobs_of,
    nested_annotations,
    read_call,
    read_parts,
    read_thought,
    texts_of,
    words,
)
from gateway.dialects.openai_responses_usage import usage_of
from gateway.dialects.openai_undo import NOTHING, Undo
from gateway.types import (
    Annotated,
    BadReply,
    Choice,
    Ended,
    Event,
    Failed,
    Finished,
    Reasoning,
    ReasoningDelta,
    ReasoningDone,
    RefusalDelta,
    Reply,
    Start,
    TextDelta,
    ToolCall,
    ToolDelta,
    ToolStart,
    UsageSeen,
)

MAX_DEPTH = 256


def read_reply(body: bytes, undo: Undo | None) -> Reply:
    """A whole answer. Raises BadReply for what is none, a failed response included."""
    try:
        answer = decode(body, MAX_DEPTH)
    except NotJson as error:
        raise BadReply(f"the answer is no JSON: {error}") from None
    if isinstance(answer, dict) and answer.get("error"):
        raise BadReply("the answer holds an error", response_failed(answer).kind)  # type: ignore[arg-type]
    if not isinstance(answer, dict) or not isinstance(answer.get("output"), list):
        raise BadReply("the answer has no output")
    if answer.get("status") not in ("completed", "incomplete", None):
        raise BadReply("the answer is not finished")
    parts = read_parts(answer["output"], undo or NOTHING)
    finish = finish_of(answer, any(isinstance(part, ToolCall) for part in parts))
    choice = Choice(parts, finish, logprobs=_logprobs(answer["output"]))
    return Reply(
        id=words(answer.get("id")),
        model=words(answer.get("model")),
        choices=[stopped(choice, undo.stops) if undo is not None else choice],
        usage=usage_of(answer.get("usage")),
        created=_moment(answer.get("created_at")),
        service_tier=words(answer.get("service_tier")) or None,
    )


def _logprobs(output: list[Any]) -> Any:
    content = [part for item in output if isinstance(item, dict) for part in _list(item.get("content"))]
    found = [entry for part in content if isinstance(part, dict) for entry in _list(part.get("logprobs"))]
    return logprobs_of(found)


def _list(value: object) -> list[Any]:
    return value if isinstance(value, list) else []


def _moment(value: object) -> int:
    return int(value) if type(value) in (int, float) and 0 <= value < 2**53 else 0  # type: ignore[operator,call-overload]


class _Wire(Struct):
    """Any event: the members that any of them has."""

    type: str = ""
    delta: Any = None
    output_index: Any = None
    item_id: Any = None
    summary_index: Any = None
    item: Any = None
    response: Any = None
    logprobs: Any = None
    annotation: Any = None
    arguments: Any = None
    input: Any = None
    name: Any = None
    text: Any = None
    refusal: Any = None
    error: Any = None


_decode_event = msgspec.json.Decoder(_Wire).decode


class _Item(Struct):
    """An output item so far. index: of a call, -1 until its name is known; said: whether deltas came."""

    index: int = -1
    said: bool = False
    done: bool = False
    held: str = ""  # arguments that came before the call's name
    thought: str = ""
    base: int = 0  # characters of text before this item
    annotations: list[Any] = msgspec.field(default_factory=list)


class Reader:
    """See types.StreamReader."""

    __slots__ = (
        "_calls", "_done", "_handlers", "_items", "_said", "_splitter", "_started", "_stopped", "_undo",
    )  # fmt: skip

    def __init__(self, undo: Undo | None) -> None:
        self._undo = undo or NOTHING
        self._splitter = Splitter()
        self._stopped = StoppedEvents(self._undo.stops) if self._undo.stops else None
        self._started = False
        self._done = False
        self._calls = 0
        self._said = 0  # characters of text
        self._items: dict[object, _Item] = {}
        self._handlers = {
            "response.output_text.delta": self._text,
            "response.refusal.delta": self._refusal,
            "response.reasoning_summary_text.delta": self._thought,
            "response.reasoning_text.delta": self._thought,
            "response.reasoning_summary_part.added": self._thought_part,
            "response.function_call_arguments.delta": self._arguments,
            "response.custom_tool_call_input.delta": self._arguments,
            "response.output_text.annotation.added": self._annotation,
            "response.output_item.added": self._added,
            "response.output_item.done": self._item_done,
            "response.completed": self._completed,
            "response.incomplete": self._completed,
            "response.failed": self._failed,
        }

    def feed(self, data: bytes) -> list[Event]:
        if self._done:
            return []
        try:
            events = self._events(self._splitter.feed(data))
        except LineTooLong as error:
            events = self._fail(Failed("bad_reply", str(error)))
        return events if self._stopped is None else self._stopped.feed(events)

    def eof(self) -> list[Event]:
        """What the last bytes say, and Failed("truncated") unless the response's end was among them."""
        if self._done:
            return []
        events = self._events(self._splitter.eof())
        if self._done and isinstance(events[-1], Failed) and events[-1].kind == "bad_reply":
            events.pop()  # half a frame is no bad frame
            self._done = False
        if not self._done:
            events += self._fail(self._stray_error() or Failed("truncated"))
        return events if self._stopped is None else self._stopped.feed(events)

    def _stray_error(self) -> Failed | None:
        """Some servers answer an event stream request with a bare JSON error and status 200."""
        try:
            answer = decode(b"".join(self._splitter.stray))
        except NotJson:
            return None
        return failed_of(answer) if isinstance(answer, dict) and answer.get("error") else None

    def _events(self, frames: list[Frame]) -> list[Event]:
        events: list[Event] = []
        for name, data in frames:
            events += self._frame(name, data)
            if self._done:
                break
        return events

    def _frame(self, name: bytes, data: bytes) -> list[Event]:
        if data.startswith(b"[DONE]"):
            return []  # another dialect's end mark, which some servers append
        try:
            event = _decode_event(data)
        except (ValueError, RecursionError) as error:
            return self._fail(Failed("bad_reply", f"a frame is no event: {error}"))
        handler = self._handlers.get(event.type)
        if handler is not None:
            return handler(event)
        if event.type == "error" or name == b"error" or event.error:
            return self._fail(failed_of(msgspec.json.decode(data)))
        if event.type in ("response.created", "response.in_progress") and not self._started:
            return self._start(event.response)
        return []

    def _fail(self, failed: Failed) -> list[Event]:
        self._done = True
        return [failed]

    def _start(self, response: object) -> list[Event]:
        self._started = True
        known = response if isinstance(response, dict) else {}
        return [Start(words(known.get("id")), words(known.get("model")), _moment(known.get("created_at")))]

    # ------------------------------------------------------------ items

    def _open(self, event: _Wire) -> _Item:
        """The item that an event belongs to, known by its place, else by its id."""
        key: object = event.output_index if type(event.output_index) is int else words(event.item_id)
        item = self._items.get(key)
        if item is None:
            item = self._items[key] = _Item(base=self._said)
        return item

    def _added(self, event: _Wire) -> list[Event]:
        item = self._open(event)
        given = event.item if isinstance(event.item, dict) else {}
        if given.get("type") in CALLS and item.index < 0 and words(given.get("name")):
            return self._call_start(item, given)
        return []

    def _call_start(self, item: _Item, given: dict[str, Any]) -> list[Event]:
        call = read_call(given, self._undo)
        item.index = self._calls
        self._calls += 1
        events: list[Event] = [ToolStart(item.index, call.id, call.name, custom=call.custom)]
        if item.held:
            events.append(ToolDelta(item.index, item.held))
            item.held = ""
        return events

    def _text(self, event: _Wire) -> list[Event]:
        text = words(event.delta)
        if not text:
            return []
        self._open(event).said = True
        self._said += len(text)
        return [TextDelta(text, logprobs=logprobs_of(event.logprobs))]

    def _refusal(self, event: _Wire) -> list[Event]:
        self._open(event).said = True
        return [RefusalDelta(event.delta)] if words(event.delta) else []

    def _thought(self, event: _Wire) -> list[Event]:
        text = words(event.delta)
        item = self._open(event)
        item.thought += text
        return [ReasoningDelta(text)] if text else []

    def _thought_part(self, event: _Wire) -> list[Event]:
        """Between the parts of a summary stands a blank line, as in a whole answer."""
        item = self._open(event)
        if not item.thought:
            return []
        item.thought += "\n\n"
        return [ReasoningDelta("\n\n")]

    def _arguments(self, event: _Wire) -> list[Event]:
        text = words(event.delta)
        item = self._open(event)
        if not text:
            return []
        item.said = True
        if item.index < 0:  # the server left the opening out: the name comes when the item is done
            item.held += text
            return []
        return [ToolDelta(item.index, text)]

    def _annotation(self, event: _Wire) -> list[Event]:
        self._open(event).annotations.append(event.annotation)
        return []

    def _item_done(self, event: _Wire) -> list[Event]:
        item = self._open(event)
        given = event.item if isinstance(event.item, dict) else {}
        if item.done:
            return []
        item.done = True
        kind = given.get("type")
        if kind in CALLS:
            return self._call_done(item, given)
        if kind == "reasoning":
            return self._thought_done(item, given)
        return self._message_done(item, given) if kind == "message" else []

    def _call_done(self, item: _Item, given: dict[str, Any]) -> list[Event]:
        events = self._call_start(item, given) if item.index < 0 else []
        call = read_call(given, self._undo)
        if not item.said and call.arguments:
            events.append(ToolDelta(item.index, call.arguments))
        return events

    def _thought_done(self, item: _Item, given: dict[str, Any]) -> list[Event]:
        thought = read_thought(given)
        if thought is None:
            return [ReasoningDone(Reasoning(item.thought))] if item.thought else []
        if item.thought:
            return [ReasoningDone(Reasoning(item.thought, thought.opaque))]
        shown: list[Event] = [ReasoningDelta(thought.text)] if thought.text else []
        return [*shown, ReasoningDone(thought)]

    def _message_done(self, item: _Item, given: dict[str, Any]) -> list[Event]:
        content = [part for part in _list(given.get("content")) if isinstance(part, dict)]
        events: list[Event] = []
        if not item.said:
            events += [TextDelta(text) for text in texts_of(content)]
            events += [RefusalDelta(part["refusal"]) for part in content if words(part.get("refusal"))]
            self._said += sum(map(len, texts_of(content)))
        found, before = [], item.base
        for part in content:
            found += nested_annotations(part.get("annotations"), before)
            before += len(words(part.get("text")))
        found = found or nested_annotations(item.annotations, item.base)
        return [*events, Annotated(found)] if found else events

    # ------------------------------------------------------------ the end

    def _completed(self, event: _Wire) -> list[Event]:
        response = event.response if isinstance(event.response, dict) else {}
        if response.get("error") or response.get("status") == "failed":
            return self._failed(event)
        events = [] if self._started else self._start(response)
        for known in self._left_over(_list(response.get("output"))):
            events += self._item_done(known)
        if any(item.held for item in self._items.values()):
            return [*events, *self._fail(Failed("bad_reply", "a call whose name never came"))]
        usage = usage_of(response.get("usage"))
        if usage is not None:
            events.append(UsageSeen(usage))
        status = event.type.removeprefix("response.")
        events.append(Finished(finish_of({**response, "status": status}, self._calls > 0)))
        self._done = True
        return [*events, Ended()]

    def _left_over(self, output: list[Any]) -> list[_Wire]:
        """What the whole response says of items that are not done; all of it when the server streamed none."""
        if not self._items:
            return [_Wire(output_index=place, item=item) for place, item in enumerate(output)]
        found: list[_Wire] = []
        for place, item in enumerate(output):
            own_id = words(item.get("id")) if isinstance(item, dict) else ""
            if own_id and own_id in self._items:
                found.append(_Wire(item_id=own_id, item=item))
            elif place in self._items:
                found.append(_Wire(output_index=place, item=item))
        return found

    def _failed(self, event: _Wire) -> list[Event]:
        response = event.response if isinstance(event.response, dict) else {}
        usage = usage_of(response.get("usage"))
        seen: list[Event] = [UsageSeen(usage)] if usage is not None else []
        return [*seen, *self._fail(response_failed(response))]
