"""Stop sequences for an upstream that takes none, or not so many: the answer's text ends before the first of them.

Rule 1: a text that may be the beginning of a stop sequence waits until it is known: never more than the longest one less a
character. Rule 2: nothing else is held back, and what is held goes out before anything that is not text, but for what is said beside the answer.
Rule 3: after a match the client gets no more content, but the stream is read to its end, because that is where usage stands.
"""

from __future__ import annotations

from collections.abc import Sequence

from msgspec import structs

from gateway.types import (
    Annotated,
    Choice,
    Ended,
    Event,
    Failed,
    Finished,
    Paused,
    Reply,
    StreamReader,
    Text,
    TextDelta,
    ToolCall,
    ToolStart,
    UsageSeen,
)


class StopMatcher:
    """Looks for the first of `stops` in a text that comes in pieces. `found` is the one that was met."""

    __slots__ = ("_held", "_longest", "_stops", "found")

    def __init__(self, stops: Sequence[str]) -> None:
        self._stops = [stop for stop in stops if stop]
        self._longest = max(map(len, self._stops), default=1)
        self._held = ""
        self.found: str | None = None

    def feed(self, text: str) -> str:
        """What of the text so far can be said; after a match, nothing."""
        if self.found is not None:
            return ""
        text = self._held + text
        at, stop = first_stop(text, self._stops)
        if stop is not None:
            self.found, self._held = stop, ""
            return text[:at]
        keep = self._open_end(text)
        self._held = text[len(text) - keep :]
        return text[: len(text) - keep]

    def end(self) -> str:
        """What was held back, when no more text comes to complete it."""
        held, self._held = self._held, ""
        return held

    def _open_end(self, text: str) -> int:
        """How many of the last characters may begin a stop sequence."""
        for size in range(min(self._longest - 1, len(text)), 0, -1):
            tail = text[-size:]
            if any(stop.startswith(tail) for stop in self._stops):
                return size
        return 0


def first_stop(text: str, stops: Sequence[str]) -> tuple[int, str | None]:
    """Where the first of `stops` begins in `text`, and which; (-1, None) when there is none.

    The first is the one that is complete first: there a model that knows of them would have stopped writing.
    """
    found = [(at + len(stop), at, stop) for stop in stops if stop and (at := text.find(stop)) >= 0]
    return min(found)[1:] if found else (-1, None)


class StoppedEvents:
    """Events of one choice, cut at a stop sequence. Feed every event of the stream, in order."""

    __slots__ = ("_called", "_matcher")

    def __init__(self, stops: Sequence[str]) -> None:
        self._matcher = StopMatcher(stops)
        self._called = False

    def feed(self, events: list[Event]) -> list[Event]:
        """The events to go on, in place of `events`."""
        out: list[Event] = []
        for event in events:
            self._one(event, out)
        return out

    def _one(self, event: Event, out: list[Event]) -> None:
        matcher = self._matcher
        if matcher.found is not None:
            self._after(event, out)
        elif isinstance(event, TextDelta):
            text = matcher.feed(event.text)
            if text:
                out.append(structs.replace(event, text=text))
            if matcher.found is not None:
                out.append(Finished("tool_calls" if self._called else "stop", stop_sequence=matcher.found))
        else:
            self._called = self._called or isinstance(event, ToolStart)
            beside = isinstance(event, UsageSeen) or (isinstance(event, Annotated) and not event.annotations)
            held = "" if beside else matcher.end()
            out += [TextDelta(held), event] if held else [event]

    def _after(self, event: Event, out: list[Event]) -> None:
        """The client has its answer: what breaks now, or would go on elsewhere, only costs us the usage."""
        if isinstance(event, UsageSeen | Ended):
            out.append(event)
        elif isinstance(event, Failed | Paused):
            out.append(Ended())


class StoppedReader:
    """A reader whose events are cut so; see types.StreamReader."""

    __slots__ = ("_reader", "_stopped")

    def __init__(self, reader: StreamReader, stops: Sequence[str]) -> None:
        self._reader = reader
        self._stopped = StoppedEvents(stops)

    def feed(self, data: bytes) -> list[Event]:
        return self._stopped.feed(self._reader.feed(data))

    def eof(self) -> list[Event]:
        return self._stopped.feed(self._reader.eof())


def stopped_reply(reply: Reply, stops: Sequence[str]) -> Reply:
    """A whole answer, cut in each of its choices. One that was to go on is over where a stop is met."""
    choices = [stopped(choice, stops) for choice in reply.choices]
    met = any(choice.stop_sequence is not None for choice in choices)
    return structs.replace(reply, choices=choices, again=None if met else reply.again)


def stopped(choice: Choice, stops: Sequence[str]) -> Choice:
    """A whole choice, cut at the first stop sequence in one of its texts."""
    for place, part in enumerate(choice.parts):
        if not isinstance(part, Text):
            continue
        at, stop = first_stop(part.text, stops)
        if stop is not None:
            kept = choice.parts[:place] + ([structs.replace(part, text=part.text[:at])] if at else [])
            called = any(isinstance(other, ToolCall) for other in kept)
            finish = "tool_calls" if called else "stop"
            return structs.replace(choice, parts=kept, finish=finish, stop_sequence=stop)
    return choice
