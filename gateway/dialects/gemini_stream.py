"""Gemini's stream as events. Every frame is a fragment of an answer; nothing marks the end but the end of the bytes.

Rule 1: a finish reason is kept until the end: calls, signatures and usage may still follow, and older models repeat it.
Rule 2: without a finish reason the answer was cut off, however politely the connection closed.
Rule 3: errors come as a frame, as a list of one, or as bare JSON lines that are no frame at all.
Source: https://ai.google.dev/api/generate-content#method:-models.streamgeneratecontent and google-genai's reader.
"""

from __future__ import annotations

from typing import Any

import msgspec
from msgspec import Raw, Struct

from gateway.core.sse import LineTooLong, Splitter
from gateway.core.usage import summed
from gateway.dialects.gemini_annotations import read_logprobs, url_citations, web_searches
from gateway.dialects.gemini_pause import go_on, paused
from gateway.dialects.gemini_tools import Undo
from gateway.dialects.gemini_wire import (
    RESTRICTED,
    UNBLOCKED,
    Answer,
    Candidate,
    FunctionCall,
    Part,
    Rejection,
    block_of,
    broken,
    finish_of,
    kind_of,
    picture,
    read_error,
    read_rejection,
    read_usage,
    signature_of,
    tool_call,
)
from gateway.errors import FaultKind
from gateway.types import (
    Annotated,
    BlockDone,
    Ended,
    Event,
    Failed,
    Finished,
    ImageDone,
    Paused,
    Reasoning,
    ReasoningDelta,
    ReasoningDone,
    RefusalDelta,
    Start,
    TextDelta,
    ToolDelta,
    ToolStart,
    UsageSeen,
)

_FRAGMENT = msgspec.json.Decoder(Answer)


class _Candidate:
    """One choice so far."""

    __slots__ = (
        "annotations",
        "before",
        "calls",
        "citations",
        "finish",
        "grounding",
        "index",
        "message",
        "searches",
        "texts",
        "thoughts",
        "token",
        "usable",
    )

    def __init__(self, index: int) -> None:
        self.index = index
        self.before = 0  # characters said in earlier streams of the same answer
        self.annotations: list[Any] = []
        self.searches: tuple[str, ...] = ()
        self.token = ""
        self.calls = 0
        self.usable = False
        self.texts: list[str] = []
        self.thoughts: list[str] = []
        self.finish = ""
        self.message = ""
        self.grounding = Raw()
        self.citations = Raw()

    def go_on(self) -> None:
        """The rest comes in another stream, whose places and finish are its own."""
        self.before += sum(map(len, self.texts))
        self.texts.clear()
        self.finish = self.message = self.token = ""
        self.grounding = self.citations = Raw()


class _SoFar(Struct):
    """What the next stream of the same answer goes on with."""

    id: str
    candidates: dict[int, _Candidate]


class Reader:
    """One stream; see types.StreamReader."""

    __slots__ = ("_before", "_candidates", "_counted", "_failed", "_id", "_splitter", "_started", "_undo", "_usage")

    def __init__(self, undo: Undo | None) -> None:
        self._splitter = Splitter()
        self._undo = undo
        self._before = undo.so_far if undo is not None else None
        self._failed = False
        self._counted = b""
        self._usage = self._before.usage if self._before is not None else None
        state = self._before.state if self._before is not None else _SoFar("", {})
        self._started = self._before is not None
        self._id, self._candidates = state.id, state.candidates

    def feed(self, data: bytes) -> list[Event]:
        events: list[Event] = []
        if self._failed:
            return events
        try:
            frames = self._splitter.feed(data)
        except LineTooLong as error:
            self._fail("bad_reply", str(error), events)
            return events
        self._read(frames, events)
        return events

    def eof(self) -> list[Event]:
        events: list[Event] = []
        if self._failed:
            return events
        self._read(self._splitter.eof(), events)
        if not self._failed:
            self._conclude(events)
        return events

    def _read(self, frames: list[tuple[bytes, bytes]], events: list[Event]) -> None:
        for _, data in frames:
            if not self._failed:
                self._fragment(data, events)
        if self._splitter.stray and not self._failed:
            error = read_error(b"\n".join(self._splitter.stray))
            if error is not None:
                self._reject(error, events)

    def _fragment(self, data: bytes, events: list[Event]) -> None:
        try:
            answer = _FRAGMENT.decode(data)
        except (ValueError, RecursionError) as problem:
            self._misfit(data, str(problem), events)
            return
        error = read_rejection(answer.error) if answer.error else None
        if error is not None:
            self._reject(error, events)
            return
        if not self._started:
            self._started = True
            self._id = answer.response_id or ""
            events.append(Start(self._id, answer.model_version or ""))
        for candidate in answer.candidates or ():
            self._candidate(candidate, events)
        if answer.prompt_feedback is not None and not answer.candidates:
            self._block(answer.prompt_feedback.block_reason or "", events)
        if answer.usage_metadata:
            self._count(answer.usage_metadata, events)

    def _misfit(self, data: bytes, problem: str, events: list[Event]) -> None:
        """A frame that is no fragment: an error in a list, the end mark of another dialect, or nonsense."""
        error = read_error(data)
        if error is not None:
            self._reject(error, events)
        elif data != b"[DONE]":
            self._fail("bad_reply", problem, events)

    def _candidate(self, candidate: Candidate, events: list[Event]) -> None:
        index = candidate.index or 0
        state = self._candidates.get(index)
        if state is None:
            state = self._candidates[index] = _Candidate(index)
        if candidate.grounding_metadata:
            self._ground(candidate.grounding_metadata, state, events)
        if candidate.content is not None:
            for part in candidate.content.parts or ():
                self._part(part, state, candidate.logprobs_result, events)
        if candidate.finish_reason:
            state.finish = candidate.finish_reason
            state.message = candidate.finish_message or state.message
        if candidate.continuation_token:
            state.token = candidate.continuation_token
        if candidate.citation_metadata:
            state.citations = candidate.citation_metadata

    def _ground(self, grounding: Raw, state: _Candidate, events: list[Event]) -> None:
        """Where the text is from is told at the end, what was searched for at once, each query once."""
        state.grounding = grounding
        new = tuple(query for query in web_searches(grounding) if query not in state.searches)
        if new:
            state.searches += new
            events.append(Annotated([], state.index, new))

    def _part(self, part: Part, state: _Candidate, logprobs: Raw, events: list[Event]) -> None:
        text = part.text
        if part.function_call is not None:
            self._call(part, part.function_call, state, events)
            return
        if text and not part.thought and not logprobs and not part.thought_signature:  # most of a stream
            state.texts.append(text)
            state.usable = True
            events.append(TextDelta(text, state.index))
            return
        if text and part.thought:
            state.thoughts.append(text)
            events.append(ReasoningDelta(text, state.index))
        elif text:
            state.texts.append(text)
            events.append(TextDelta(text, state.index, read_logprobs(logprobs) if logprobs else None))
        elif self._hidden(part, state, events):
            return
        if part.thought_signature:
            self._sign(part, state, events)
        state.usable = state.usable or bool(text)

    def _hidden(self, part: Part, state: _Candidate, events: list[Event]) -> bool:
        """A picture, or what Gemini ran by itself; the signature of the latter is part of it."""
        image = picture(part)
        block = block_of(part) if image is None and part.inline_data is None else None
        if image is not None:
            events.append(ImageDone(image, state.index))
        if block is not None:
            events.append(BlockDone(block, state.index))
        state.usable = state.usable or image is not None or block is not None
        return block is not None

    def _sign(self, part: Part, state: _Candidate, events: list[Event]) -> None:
        """A signature goes out with the thought it signs; one of a text, or alone, as a thought without text."""
        text = "".join(state.thoughts) if part.thought else ""
        if part.thought:
            state.thoughts.clear()
        events.append(ReasoningDone(Reasoning(text, signature_of(part)), state.index))

    def _call(self, part: Part, given: FunctionCall, state: _Candidate, events: list[Event]) -> None:
        call = tool_call(part, given, state.calls, self._id, state.index, self._undo)
        events.append(ToolStart(state.calls, call.id, call.name, state.index, call.custom, call.opaque))
        events.append(ToolDelta(state.calls, call.arguments, state.index))
        state.calls += 1
        state.usable = True

    def _block(self, reason: str, events: list[Event]) -> None:
        """Gemini refused the prompt: an answer like any other refusal, not an error."""
        if reason not in UNBLOCKED and not self._candidates:
            state = self._candidates[0] = _Candidate(0)
            state.finish = "PROHIBITED_CONTENT"
            state.message = f"Prompt blocked: {reason}"

    def _count(self, raw: Raw, events: list[Event]) -> None:
        """Counts are totals so far and come with every fragment; only new ones are told."""
        counts = bytes(raw)
        if counts == self._counted:
            return
        self._counted = counts
        usage = read_usage(raw)
        if usage is not None:
            self._usage = usage if self._before is None else summed(self._before.usage, usage)
            events.append(UsageSeen(self._usage or usage))

    def _conclude(self, events: list[Event]) -> None:
        states = list(self._candidates.values())
        if not states or not all(state.finish for state in states):
            self._fail("truncated", "the stream ended without a finish reason", events)
            return
        if self._pause(states, events):
            return
        usable = any(state.usable for state in states)
        for state in states:
            finish = finish_of(state.finish, state.calls > 0, usable)
            if state.finish == RESTRICTED or finish is None:
                self._fail(broken(state.finish), f"{state.finish}: {state.message}", events)
                return
            annotations = self._cite(state)
            if annotations:
                events.append(Annotated(annotations, state.index))
            if finish == "content_filter" and state.message:
                events.append(RefusalDelta(state.message, state.index))
            events.append(Finished(finish, state.index))
        events.append(Ended())

    def _pause(self, states: list[_Candidate], events: list[Event]) -> bool:
        """Whether the answer goes on in another stream."""
        state = states[0]
        token = state.token
        if len(states) > 1 or not paused(state.finish, token, self._undo):
            return False
        self._cite(state)
        state.go_on()
        events.append(Paused(go_on(self._undo, token, self._usage, _SoFar(self._id, self._candidates))))
        return True

    def _cite(self, state: _Candidate) -> list[Any]:
        """The annotations of the answer so far."""
        if state.texts and (state.grounding or state.citations):
            state.annotations += url_citations(state.grounding, state.citations, ["".join(state.texts)], state.before)
        return state.annotations

    def _reject(self, error: Rejection, events: list[Event]) -> None:
        self._failed = True
        events.append(Failed(kind_of(error), error.message or "", error.code))

    def _fail(self, kind: FaultKind, message: str, events: list[Event]) -> None:
        self._failed = True
        events.append(Failed(kind, message))
