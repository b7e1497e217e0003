"""Events into a Responses stream that every known client accepts.

Rule 1: the response's id never changes. Rule 2: words and thoughts are written one item at a time; calls may be open beside
each other, because an upstream may go on with any of them, and close when the answer ends. Rule 3: what was added is done
before the answer ends well; a broken answer ends with response.failed and closes nothing, so it never looks complete.
Rule 4: there is no [DONE] here. Source: openai-python, lib/streaming/responses/_responses.py.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from msgspec import structs

from gateway.dialects.openai_responses_asked import asked_of
from gateway.dialects.openai_responses_object import Ending, Wire, ending_of, failed, item_id, response_object
from gateway.dialects.openai_responses_open import Frames, OpenCall, OpenMessage, OpenSearch, OpenThought, Whole
from gateway.dialects.openai_responses_output import flat_annotation, image_item, kept_text, shows_thoughts
from gateway.dialects.openai_responses_searches import Search, begun, ended, search_action
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
    Usage,
    UsageSeen,
)


class Writer:
    """See types.StreamWriter. After Ended, `output` has the items that a store keeps, and `response` is the whole object."""

    __slots__ = (
        "_begun",
        "_calls",
        "_echo",
        "_finish",
        "_frames",
        "_message",
        "_messages",
        "_order",
        "_over",
        "_queries",
        "_searches",
        "_shows",
        "_thought",
        "_usage",
        "_writers",
        "response",
    )

    def __init__(self, echo: Echo) -> None:
        self._echo = echo
        self.response: Wire = {}
        self._shows = shows_thoughts(echo)
        self._frames = Frames()
        self._begun = False
        self._over = False
        self._order: list[OpenMessage | OpenThought | OpenCall | OpenSearch | Whole] = []  # by output_index
        self._message: OpenMessage | None = None  # the one that is open
        self._thought: OpenThought | None = None
        self._calls: dict[int, OpenCall] = {}  # by the event's index, those that are open
        self._searches: dict[str, OpenSearch] = {}  # by the vendor's id, those that run
        self._queries: dict[str, bool] = {}  # all that was searched for, and whether an item says so
        self._messages: list[OpenMessage] = []
        self._finish: FinishReason | None = None
        self._usage: Usage | None = None
        self._writers: dict[type, Callable[[Any], bytes]] = {
            Start: self._start,
            TextDelta: self._text,
            ReasoningDelta: self._think,
            ReasoningDone: self._thought_done,
            RefusalDelta: self._refuse,
            ToolStart: self._tool_start,
            ToolDelta: self._tool_delta,
            ImageDone: self._image,
            BlockDone: self._block,
            Annotated: self._annotated,
            Finished: self._finished,
            UsageSeen: self._usage_seen,
            Paused: self._unsaid,
            Failed: self._unsaid,
            Ended: self._ended,
        }

    @property
    def output(self) -> list[Wire]:
        """The items that are done, in order."""
        return [opened.item for opened in self._order if opened.item is not None]

    def write(self, events: list[Event]) -> bytes:
        """The frames of `events`; b"" when they say nothing to a client, and after the end."""
        if self._over:
            return b""
        if len(events) == 1 and type(events[0]) is TextDelta and not events[0].choice:
            return self._text(events[0])
        writers = self._writers
        return b"".join([writers[type(event)](event) for event in events if not getattr(event, "choice", 0)])

    def error(self, error: ClientError) -> bytes:
        """What replaces the clean ending: response.failed, or a bare error when the client has no response yet."""
        self._over = True
        if not self._begun:
            members = {"code": error.code, "message": error.message, "param": error.param}
            return self._frames.frame("error", members)
        return self._lifecycle("failed", failed(error), self._cut())

    # ------------------------------------------------------------ the response

    def _start(self, event: Start) -> bytes:
        if event.created and not self._begun:
            self._echo = structs.replace(self._echo, created=event.created)
        return self._begin()

    def _begin(self) -> bytes:
        if self._begun:
            return b""
        self._begun = True
        return self._lifecycle("created", Ending(), []) + self._lifecycle("in_progress", Ending(), [])

    def _lifecycle(self, step: str, ending: Ending, output: list[Wire]) -> bytes:
        self.response = whole = response_object(self._echo, ending, output, self._usage)
        return self._frames.frame(f"response.{step}", {"response": whole})

    def _cut(self) -> list[Wire]:
        """What was said until it broke. Calls that were not finished are left out: nobody may carry them out."""
        cut: list[Wire] = []
        for opened in self._order:
            if opened is self._message:
                cut.append(self._message.cut())
            elif opened is not self._thought and opened.item is not None:
                cut.append(opened.item)
        return cut

    # ------------------------------------------------------------ words

    def _text(self, event: TextDelta) -> bytes:
        if not event.text:
            return b""
        logprobs = event.logprobs.get("content") if isinstance(event.logprobs, dict) else None
        opening = b"" if self._message is not None else self._open_message()
        assert self._message is not None
        return opening + self._message.text(event.text, logprobs if isinstance(logprobs, list) else None)

    def _refuse(self, event: RefusalDelta) -> bytes:
        if not event.text:
            return b""
        opening = b"" if self._message is not None else self._open_message()
        assert self._message is not None
        return opening + self._message.refusal(event.text)

    def _open_message(self) -> bytes:
        out = self._begin() + self._close_sequential() + self._search_unblocked()
        said = sum(message.said for message in self._messages)
        self._message = OpenMessage(self._frames, self._echo, len(self._order), said)
        self._messages.append(self._message)
        self._order.append(self._message)
        return out + self._message.start()

    def _annotated(self, event: Annotated) -> bytes:
        out = b""
        for note in event.annotations:
            cited = note.get("url_citation") if isinstance(note, dict) else None
            start = cited.get("start_index") if isinstance(cited, dict) else None
            around = [m for m in self._messages if m.said and (type(start) is not int or m.base <= start)]
            if around:
                out += around[-1].annotate(flat_annotation(note, around[-1].base))
        for query in event.searches:
            self._queries.setdefault(query, False)
        return out

    # ------------------------------------------------------------ thoughts

    def _think(self, event: ReasoningDelta) -> bytes:
        if not event.text or not self._shows:
            return b""
        opening = b"" if self._thought is not None else self._open_thought()
        assert self._thought is not None
        return opening + self._thought.text(event.text)

    def _thought_done(self, event: ReasoningDone) -> bytes:
        return self._keep(event.part)

    def _keep(self, part: Reasoning) -> bytes:
        """Close the open thought with what its maker wants back, or write one that comes whole."""
        kept = kept_text(part.opaque, self._echo)
        if self._thought is not None:
            out, self._thought = self._thought.stop(kept), None
            return out
        shown = part.text if self._shows else ""
        if kept is None and not shown:
            return b""
        out = self._open_thought()
        assert self._thought is not None
        out += self._thought.text(shown) if shown else b""
        out, self._thought = out + self._thought.stop(kept), None
        return out

    def _open_thought(self) -> bytes:
        out = self._begin() + self._close_sequential()
        self._thought = OpenThought(self._frames, self._echo, len(self._order))
        self._order.append(self._thought)
        return out + self._thought.start()

    def _close_sequential(self) -> bytes:
        """Words and thoughts are over when something else begins."""
        out = b""
        if self._message is not None:
            out, self._message = self._message.stop("completed"), None
        if self._thought is not None:
            out, self._thought = out + self._thought.stop(None), None
        return out

    # ------------------------------------------------------------ calls

    def _tool_start(self, event: ToolStart) -> bytes:
        out = self._begin() + self._close_sequential()
        if event.opaque is not None:
            out += self._keep(Reasoning("", event.opaque))
        spelled = asked_of(self._echo.request).spelled(event.name, event.custom)
        wrapped = spelled.kind == "custom" and not event.custom
        call = OpenCall(self._frames, self._echo, len(self._order), spelled, event.id, wrapped=wrapped)
        self._calls[event.index] = call
        self._order.append(call)
        return out + call.start()

    def _tool_delta(self, event: ToolDelta) -> bytes:
        call = self._calls.get(event.index)
        return call.arguments(event.arguments) if call is not None else b""

    # ------------------------------------------------------------ what comes whole

    def _image(self, event: ImageDone) -> bytes:
        if not event.image.data:
            return b""
        out = self._begin() + self._close_sequential()
        index = len(self._order)
        item = {"id": item_id(self._echo, "ig", index), **image_item(event.image.data)}
        self._order.append(Whole(self._frames, index, item))
        return out + self._order[-1].start()

    def _block(self, event: BlockDone) -> bytes:
        """What only its vendor reads rides in a thought, to come back; a text once more would be said twice."""
        opaque = event.block.opaque
        if opaque.kind == "text":
            return b""
        out, end, search = self._close_sequential(), ended(opaque), begun(opaque)
        running = self._searches.pop(end[0], None) if end is not None else None
        if running is not None and end is not None:
            out += running.stop(end[1])
        out += self._keep(Reasoning("", opaque))
        return out + self._search(search) if search is not None else out

    def _search(self, search: Search) -> bytes:
        """A search that runs until its result is there, or the answer over."""
        before = self._searches.pop(search.key, None)
        out = self._begin() + (before.stop("completed") if before is not None else b"")
        opened = self._searches[search.key] = OpenSearch(self._frames, self._echo, len(self._order), search)
        self._order.append(opened)
        self._queries.update(dict.fromkeys(search.action.get("queries", ()), True))
        return out + opened.start()

    def _search_unblocked(self) -> bytes:
        """The searches that no block told of: before the next words, or at the end where there are none."""
        out = b""
        for query in [query for query, told in self._queries.items() if not told]:
            out += self._search(Search(f"query:{query}", search_action(query)))
            out += self._searches.pop(f"query:{query}").stop("completed")
        return out

    # ------------------------------------------------------------ the end

    def _finished(self, event: Finished) -> bytes:
        self._finish = self._finish or event.reason
        return b""

    def _usage_seen(self, event: UsageSeen) -> bytes:
        self._usage = event.usage
        return b""

    def _unsaid(self, event: Paused | Failed) -> bytes:
        """Says nothing by itself: an answer goes on in another stream, or what the client is told comes through `error`."""
        return b""

    def _ended(self, event: Ended) -> bytes:
        out = self._begin() + self._close_all() + self._search_unblocked()
        ending = ending_of(self._finish)
        self._over = True
        return out + self._lifecycle(ending.status, ending, self.output)

    def _close_all(self) -> bytes:
        """In the answer's order. Where it was cut for its length, what came last is not whole."""
        out = b""
        last = self._order[-1] if self._order else None
        unfinished = set(map(id, [*self._calls.values(), *self._searches.values()]))
        for opened in self._order:
            status = "incomplete" if opened is last and self._finish == "length" else "completed"
            if isinstance(opened, Whole):
                continue
            if isinstance(opened, OpenThought):
                out += opened.stop(None) if opened is self._thought else b""
            elif opened is self._message or id(opened) in unfinished:
                out += opened.stop(status)
        self._message, self._thought, self._calls = None, None, {}
        self._searches = {}
        return out
