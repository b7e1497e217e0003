"""What becomes of an answer's text: said as it is, taken out of a fence, or read as an emulated tool call.

A sink takes the text piece by piece, however it is cut, and gives events; `end` gives what was still held back.
"""

from __future__ import annotations

import re
from typing import Protocol

from gateway.dialects.anthropic_undo import Called, Undo, forced_call, forced_id
from gateway.types import Event, TextDelta, ToolDelta, ToolStart

_OPENING = re.compile(r"\s*```[A-Za-z0-9]*[ \t]*\r?\n")
_MAYBE_OPENING = re.compile(r"\s*(?:`{0,2}|```[A-Za-z0-9]*[ \t]*\r?)")
_CLOSING = re.compile(r"\s*(?:`{1,3}\s*)?$")


class TextSink(Protocol):
    calls: bool  # whether the text turned out to be a tool call

    def feed(self, text: str) -> list[Event]: ...

    def end(self) -> list[Event]: ...


def sink_for(undo: Undo, message_id: str) -> TextSink:
    """The sink that the request asks for."""
    if undo.forced:
        if len(undo.forced) == 1:
            (called,) = undo.forced.values()
            if called.shape == "plain":
                return StreamedCall(called, message_id)
        return BufferedCall(undo.forced, message_id)
    return Fenced() if undo.fenced else Plain()


class Plain:
    calls = False

    def feed(self, text: str) -> list[Event]:
        return [TextDelta(text)]

    def end(self) -> list[Event]:
        return []


class Fenced:
    """Takes one code fence off that wraps the whole text. What could be the fence's begin or end waits for more."""

    calls = False

    def __init__(self) -> None:
        self._held = ""
        self._begun = False
        self._inside = False

    def feed(self, text: str) -> list[Event]:
        self._held += text
        if not self._begun and not self._begin():
            return []
        if not self._inside:
            return self._say(len(self._held))
        end = _CLOSING.search(self._held)
        return self._say(end.start() if end else len(self._held))

    def _begin(self) -> bool:
        opening = _OPENING.match(self._held)
        if opening:
            self._held, self._inside = self._held[opening.end() :], True
        elif _MAYBE_OPENING.fullmatch(self._held):
            return False
        self._begun = True
        return True

    def _say(self, length: int) -> list[Event]:
        said, self._held = self._held[:length], self._held[length:]
        return [TextDelta(said)] if said else []

    def end(self) -> list[Event]:
        if self._inside and self._held.strip() == "```":
            self._held = ""
        return self._say(len(self._held))


class StreamedCall:
    """The text is the arguments of the one tool that was asked for."""

    def __init__(self, called: Called, message_id: str) -> None:
        self.calls = False
        self._called = called
        self._id = forced_id(message_id)

    def feed(self, text: str) -> list[Event]:
        if self.calls:
            return [ToolDelta(0, text)]
        self.calls = True
        return [ToolStart(0, self._id, self._called.name), ToolDelta(0, text)]

    def end(self) -> list[Event]:
        return []


class BufferedCall:
    """The text is a call that can only be understood whole; what is none after all stays text."""

    def __init__(self, forced: dict[str, Called], message_id: str) -> None:
        self.calls = False
        self._forced = forced
        self._id = forced_id(message_id)
        self._text = ""

    def feed(self, text: str) -> list[Event]:
        self._text += text
        return []

    def end(self) -> list[Event]:
        text, self._text = self._text, ""
        if not text:
            return []
        found = forced_call(self._forced, text)
        if found is None:
            return [TextDelta(text)]
        called, arguments = found
        self.calls = True
        return [ToolStart(0, self._id, called.name, custom=called.shape == "custom"), ToolDelta(0, arguments)]
