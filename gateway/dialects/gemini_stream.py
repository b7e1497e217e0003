"""Gemini's stream as events. Every frame is a fragment of an answer; nothing marks the end but the end of the bytes.

Rule 1: a finish reason is kept until the end: calls, signatures and usage may still follow, and older models repeat it.
Rule 2: without a finish reason the answer was cut off, however politely the connection closed.
Rule 3: errors come as a frame, as a list of one, or as bare JSON lines that are no frame at all.
Source: https://ai.google.dev/api/generate-content#method:-models.streamgeneratecontent and google-genai's reader.
"""

from __future__ import annotations

import msgspec
from msgspec import Raw

from gateway.core.sse import LineTooLong, Splitter
from gateway.dialects.gemini_annotations import read_logprobs, url_citations
from gateway.dialects.gemini_tools import Undo
from gateway.dialects.gemini_wire import (
    RESTRICTED,
    UNBLOCKED,
    Answer,
    Candidate,
    FunctionCall,
    Part,
    Rejection,
    finish_of,
    kind_of,
    read_error,
    read_rejection,
    read_usage,
    signature_of,
    tool_call,
)
from gateway.errors import FaultKind
from gateway.types import (
    Annotated,
    Ended,
    Event,
    Failed,
    Finished,
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

    __slots__ = ("calls", "citations", "finish", "grounding", "index", "message", "texts", "thoughts", "usable")

    def __init__(self, index: int) -> None:
        self.index = index
        self.calls = 0
        self.usable = False
        self.texts: list[str] = []
        self.thoughts: list[str] = []
        self.finish = ""
        self.message = ""
        self.grounding = Raw()
        self.citations = Raw()


class Reader:
    """One stream; see types.StreamReader. A picture in a stream has no event and is left out."""

    __slots__ = ("_candidates", "_failed", "_id", "_splitter", "_started", "_undo", "_usage")

    def __init__(self, undo: Undo | None) -> None:
        self._splitter = Splitter()
        self._undo = undo
        self._started = False
        self._failed = False
        self._id = ""
        self._usage = b""
        self._candidates: dict[int, _Candidate] = {}

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
        error = read_rejection(answer.error)
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
        if candidate.content is not None:
            for part in candidate.content.parts or ():
                self._part(part, state, candidate.logprobs_result, events)
        if candidate.finish_reason:
            state.finish = candidate.finish_reason
            state.message = candidate.finish_message or state.message
        if candidate.grounding_metadata:
            state.grounding = candidate.grounding_metadata
        if candidate.citation_metadata:
            state.citations = candidate.citation_metadata

    def _part(self, part: Part, state: _Candidate, logprobs: Raw, events: list[Event]) -> None:
        if part.function_call is not None:
            self._call(part, part.function_call, state, events)
            return
        text = part.text
        if text and part.thought:
            state.thoughts.append(text)
            events.append(ReasoningDelta(text, state.index))
        elif text:
            state.texts.append(text)
            events.append(TextDelta(text, state.index, read_logprobs(logprobs) if logprobs else None))
        if part.thought_signature and (text is not None or part.inline_data is None):
            self._sign(part, state, events)
        state.usable = state.usable or bool(text) or part.inline_data is not None

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
        if counts == self._usage:
            return
        self._usage = counts
        usage = read_usage(raw)
        if usage is not None:
            events.append(UsageSeen(usage))

    def _conclude(self, events: list[Event]) -> None:
        states = list(self._candidates.values())
        if not states or not all(state.finish for state in states):
            self._fail("truncated", "the stream ended without a finish reason", events)
            return
        usable = any(state.usable for state in states)
        for state in states:
            finish = finish_of(state.finish, state.calls > 0, usable)
            if state.finish == RESTRICTED or finish is None:
                kind: FaultKind = "auth" if state.finish == RESTRICTED else "bad_reply"
                self._fail(kind, f"{state.finish}: {state.message}", events)
                return
            self._annotate(state, events)
            if finish == "content_filter" and state.message:
                events.append(RefusalDelta(state.message, state.index))
            events.append(Finished(finish, state.index))
        events.append(Ended())

    def _annotate(self, state: _Candidate, events: list[Event]) -> None:
        if state.texts and (state.grounding or state.citations):
            found = url_citations(state.grounding, state.citations, ["".join(state.texts)])
            if found:
                events.append(Annotated(found, state.index))

    def _reject(self, error: Rejection, events: list[Event]) -> None:
        self._failed = True
        events.append(Failed(kind_of(error), error.message or "", error.code))

    def _fail(self, kind: FaultKind, message: str, events: list[Event]) -> None:
        self._failed = True
        events.append(Failed(kind, message))
