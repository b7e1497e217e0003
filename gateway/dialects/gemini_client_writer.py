"""Events into a stream of generateContent fragments: events with alt=sse, one JSON array without.

Rule 1: a call goes out complete, in one part, when its arguments have all come: before a text that follows it, else at the end.
Rule 2: how choices ended and what they cost stands in the last fragment, which is written when the upstream ended cleanly.
A stream that broke has no finishReason anywhere. Rule 3: after an error the array stays open. A client that reads it whole then
fails to parse it, and google-generativeai, which takes an error element for an empty answer, says that it is unfinished;
closed, a cut answer would look complete to both. Rule 4: nothing follows the closing bracket: that client refuses even a line end.
A text fragment is a prepared head, the text, and a prepared tail: this runs once per token.
Source: https://ai.google.dev/api/generate-content#method:-models.streamgeneratecontent; google-api-core, rest_streaming.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec

from gateway.dialects.gemini_client_answer import (
    EMPTY,
    Envelope,
    Wire,
    call_part,
    finish_word,
    is_complete,
    is_native,
    logprobs_result,
    usage_metadata,
    write_part,
)
from gateway.dialects.gemini_client_errors import error_object
from gateway.dialects.gemini_client_grounding import grounding_metadata
from gateway.dialects.gemini_client_reply import response_id
from gateway.types import (
    Annotated,
    BlockDone,
    ClientError,
    Echo,
    Ended,
    Event,
    Failed,
    Finished,
    FinishReason,
    Image,
    ImageDone,
    Paused,
    ReasoningDelta,
    ReasoningDone,
    RefusalDelta,
    Start,
    TextDelta,
    ToolCall,
    ToolDelta,
    ToolStart,
    Usage,
    UsageSeen,
    VendorBlock,
)

_encode = msgspec.json.encode
_ROLE = b'],"role":"model"}'


class _Call:
    """A call of which not all has come. It takes the signatures that wait when it begins: later ones belong to what follows."""

    __slots__ = ("_pieces", "_signature", "_start")

    def __init__(self, start: ToolStart, signature: Wire) -> None:
        self._start = start
        self._signature = signature
        self._pieces: list[str] = []

    def add(self, arguments: str) -> None:
        self._pieces.append(arguments)

    def ready(self) -> bool:
        return self._start.custom or is_complete("".join(self._pieces))

    def part(self) -> Wire:
        start = self._start
        call = ToolCall(start.id, start.name, "".join(self._pieces), start.custom)
        return {**call_part(call), **self._signature}


class _Choice:
    """One candidate so far."""

    __slots__ = ("calls", "envelope", "finish", "head", "index", "notes", "refusal", "tail", "texts")

    def __init__(self, index: int, echo: Echo, tail: bytes) -> None:
        self.index = index
        self.head = b'{"candidates":[{"content":{"parts":['
        self.tail = _ROLE + b',"index":%d}]' % index + tail
        self.envelope = Envelope(echo)
        self.calls: dict[int, _Call] = {}  # begun and not yet written
        self.texts: list[str] = []
        self.notes: list[Any] = []
        self.refusal = ""
        self.finish: FinishReason | None = None

    def ready(self, all_of_them: bool) -> list[Wire]:
        """Calls that can be written now, in their order; with `all_of_them` also one whose arguments are no JSON."""
        parts: list[Wire] = []
        for index, call in sorted(self.calls.items()):
            if not (all_of_them or call.ready()):
                break
            parts.append(call.part())
            del self.calls[index]
        return parts


class Writer:
    """See types.StreamWriter."""

    __slots__ = ("_begun", "_choices", "_echo", "_over", "_tail", "_usage", "_writers")

    def __init__(self, echo: Echo) -> None:
        self._echo = echo
        self._begun = False
        self._over = False
        self._tail = b""  # of every fragment, from behind its candidates on
        self._choices: dict[int, _Choice] = {}
        self._usage: Usage | None = None
        self._writers: dict[type, Callable[[Any], bytes]] = {
            Start: self._start,
            TextDelta: self._text,
            ReasoningDelta: self._thought,
            ReasoningDone: self._thought_done,
            RefusalDelta: self._refusal,
            ToolStart: self._tool_start,
            ToolDelta: self._tool_delta,
            ImageDone: self._image,
            BlockDone: self._block,
            Annotated: self._annotated,
            Finished: self._finish,
            UsageSeen: self._usage_seen,
            Paused: self._unsaid,
            Failed: self._unsaid,
            Ended: self._ended,
        }

    def write(self, events: list[Event]) -> bytes:
        """The fragments of `events`; b"" when they say nothing to a client, and after the end."""
        if self._over:
            return b""
        writers = self._writers
        if len(events) == 1:
            return writers[type(events[0])](events[0])
        return b"".join([writers[type(event)](event) for event in events])

    def error(self, error: ClientError) -> bytes:
        """The error that replaces the clean ending."""
        self._over = True
        return self._frame(_encode({"error": error_object(error)}))

    def _frame(self, fragment: bytes) -> bytes:
        if not self._echo.array:
            return b"data: " + fragment + b"\n\n"
        begun, self._begun = self._begun, True
        return (b",\n" if begun else b"[") + fragment

    def _start(self, event: Start) -> bytes:
        self._open(event.id)
        return b""

    def _open(self, upstream_id: str) -> None:
        known = {"modelVersion": self._echo.model, "responseId": response_id(upstream_id, self._echo)}
        self._tail = b"," + _encode(known)[1:]

    def _choice(self, index: int) -> _Choice:
        if not self._tail:
            self._open("")
        found = self._choices[index] = _Choice(index, self._echo, self._tail)
        return found

    def _parts(self, choice: _Choice, parts: list[Wire]) -> bytes:
        return self._frame(choice.head + _encode(parts)[1:-1] + choice.tail) if parts else b""

    def _text(self, event: TextDelta) -> bytes:
        if not event.text:
            return b""
        choice = self._choices.get(event.choice) or self._choice(event.choice)
        choice.texts.append(event.text)
        before = self._parts(choice, choice.ready(False)) if choice.calls else b""
        if choice.envelope.waiting or event.logprobs is not None:
            return before + self._text_and_more(choice, event)
        return before + self._frame(choice.head + b'{"text":' + _encode(event.text) + b"}" + choice.tail)

    def _text_and_more(self, choice: _Choice, event: TextDelta) -> bytes:
        content = {"parts": [choice.envelope.sign({"text": event.text})], "role": "model"}
        candidate = {"content": content, "index": choice.index, **logprobs_result(event.logprobs)}
        return self._frame(b'{"candidates":' + _encode([candidate]) + self._tail)

    def _thought(self, event: ReasoningDelta) -> bytes:
        if not event.text or not self._echo.expose_reasoning:
            return b""
        choice = self._choices.get(event.choice) or self._choice(event.choice)
        before = self._parts(choice, choice.ready(False)) if choice.calls else b""
        return before + self._frame(choice.head + b'{"text":' + _encode(event.text) + b',"thought":true}' + choice.tail)

    def _thought_done(self, event: ReasoningDone) -> bytes:
        choice = self._choices.get(event.choice) or self._choice(event.choice)
        part = event.part
        before = self._parts(choice, choice.ready(False)) if choice.calls else b""
        if not is_native(part.opaque):
            choice.envelope.add(part.opaque)
            return before
        if part.text and not self._echo.expose_reasoning:
            return before
        signed = choice.envelope.sign({"text": "", "thought": True} if part.text else dict(EMPTY), part.opaque)
        return before + self._parts(choice, [signed])

    def _refusal(self, event: RefusalDelta) -> bytes:
        choice = self._choices.get(event.choice) or self._choice(event.choice)
        choice.refusal += event.text
        return b""

    def _tool_start(self, event: ToolStart) -> bytes:
        choice = self._choices.get(event.choice) or self._choice(event.choice)
        choice.calls[event.index] = _Call(event, choice.envelope.sign({}, event.opaque))
        return b""

    def _tool_delta(self, event: ToolDelta) -> bytes:
        choice = self._choices.get(event.choice)
        if choice is not None and event.index in choice.calls:
            choice.calls[event.index].add(event.arguments)
        return b""

    def _image(self, event: ImageDone) -> bytes:
        return self._whole_part(event.image, event.choice)

    def _block(self, event: BlockDone) -> bytes:
        return self._whole_part(event.block, event.choice)

    def _whole_part(self, part: Image | VendorBlock, index: int) -> bytes:
        """A picture, or a block of Google's own; another vendor's waits for what a client sends back."""
        choice = self._choices.get(index) or self._choice(index)
        before = self._parts(choice, choice.ready(False)) if choice.calls else b""
        written = write_part(part, choice.envelope, show=False)
        return before + (self._parts(choice, [written]) if written is not None else b"")

    def _annotated(self, event: Annotated) -> bytes:
        choice = self._choices.get(event.choice) or self._choice(event.choice)
        choice.notes += event.annotations
        return b""

    def _finish(self, event: Finished) -> bytes:
        choice = self._choices.get(event.choice) or self._choice(event.choice)
        choice.finish = choice.finish or event.reason
        return b""

    def _usage_seen(self, event: UsageSeen) -> bytes:
        self._usage = event.usage
        return b""

    def _unsaid(self, event: Paused | Failed) -> bytes:
        """Says nothing by itself: what comes of it is told by the next stream, or through `error`."""
        return b""

    def _ended(self, event: Ended) -> bytes:
        if not self._choices:
            self._choice(0)
        last = _encode([self._last(choice) for choice in self._choices.values()])
        usage = b',"usageMetadata":' + _encode(usage_metadata(self._usage)) if self._usage is not None else b""
        self._over = True
        return self._frame(b'{"candidates":' + last + usage + self._tail) + (b"]" if self._echo.array else b"")

    def _last(self, choice: _Choice) -> Wire:
        parts = choice.ready(True) + choice.envelope.rest()
        candidate: Wire = {
            "content": {"parts": parts or [EMPTY], "role": "model"},
            "finishReason": finish_word(choice.finish, choice.refusal),
            "index": choice.index,
        }
        if choice.refusal:
            candidate["finishMessage"] = choice.refusal
        return {**candidate, **grounding_metadata(choice.notes, [(0, "".join(choice.texts))])}
