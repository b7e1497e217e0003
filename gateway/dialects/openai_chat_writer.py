"""Events into a Chat chunk stream that every known client accepts.

Rule 1: id, created and model never change within a stream; every frame has `choices`; `finish_reason` is null until the one
frame that ends a choice, whose delta is empty. Rule 2: clients add strings up field by field: an id, a name or a signature is
said once. Lists of objects in a delta carry an integer `index`. Rule 3: usage comes once, in a frame of its own with
`choices: []`, and only when asked for; then every other frame says `"usage":null`. Rule 4: a broken stream has no [DONE].
A text frame is a prepared head, the text, and a prepared tail: this runs once per token.
Source: openai-python, lib/streaming/_deltas.py (accumulation) and types/chat/chat_completion_chunk.py.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec

from gateway.dialects.openai_chat_reply import (
    chat_id,
    citations,
    finish_reason,
    image_object,
    replay_block,
    server_block,
    signature,
)
from gateway.dialects.openai_errors import error_object
from gateway.dialects.openai_usage import usage_object
from gateway.types import (
    Annotated,
    BlockDone,
    ClientError,
    Echo,
    Ended,
    Event,
    Failed,
    Finished,
    ImageDone,
    Paused,
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

_encode = msgspec.json.encode


class Writer:
    """See types.StreamWriter."""

    __slots__ = (
        "_blocks",
        "_cited",
        "_custom",
        "_echo",
        "_envelope",
        "_finished",
        "_heads",
        "_images",
        "_notes",
        "_over",
        "_ran",
        "_tail",
        "_usage",
        "_writers",
    )

    def __init__(self, echo: Echo) -> None:
        self._echo = echo
        self._envelope = b""  # up to and including `"choices":[`
        self._tail = b'},"logprobs":null,"finish_reason":null}]' + self._end()
        self._heads: dict[int, bytes] = {}  # by choice, up to its delta; a choice in it has got its role
        self._finished: set[int] = set()
        self._custom: set[tuple[int, int]] = set()  # (choice, index) of calls to free-form tools
        self._blocks: dict[int, int] = {}  # choice -> how many thinking blocks
        self._cited: dict[int, int] = {}  # choice -> how many citations of documents
        self._images: dict[int, int] = {}  # choice -> how many pictures
        self._ran: dict[int, int] = {}  # choice -> how many blocks of tools that the vendor ran
        self._notes: dict[int, list[Any]] = {}  # choice -> its annotations, which are told with its end
        self._usage: Usage | None = None
        self._over = False
        self._writers: dict[type, Callable[[Any], bytes]] = {
            Start: self._start,
            TextDelta: self._text,
            ReasoningDelta: self._thought,
            ReasoningDone: self._thinking_block,
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
        """The frames of `events`; b"" when they say nothing to a client, and after the end."""
        if self._over:
            return b""
        writers = self._writers
        if len(events) == 1:
            return writers[type(events[0])](events[0])
        return b"".join([writers[type(event)](event) for event in events])

    def error(self, error: ClientError) -> bytes:
        """The error frame that replaces the clean ending."""
        self._over = True
        return b"data: " + _encode({"error": error_object(error)}) + b"\n\n"

    def _end(self) -> bytes:
        return b',"usage":null}\n\n' if self._echo.include_usage else b"}\n\n"

    def _start(self, event: Start) -> bytes:
        self._open(event.id, event.created)
        return b""

    def _open(self, upstream_id: str, created: int) -> None:
        known = {
            "id": chat_id(upstream_id, self._echo),
            "object": "chat.completion.chunk",
            "created": created or self._echo.created,
            "model": self._echo.model,
            "system_fingerprint": None,
        }
        self._envelope = b"data: " + _encode(known)[:-1] + b',"choices":['

    def _head(self, choice: int) -> tuple[bytes, bytes]:
        """The frame that gives a choice its role, once, and what its frames begin with."""
        if not self._envelope:
            self._open("", 0)
        head = self._heads[choice] = self._envelope + b'{"index":%d,"delta":{' % choice
        return head + b'"role":"assistant","content":""' + self._tail, head

    def _delta(self, choice: int, members: bytes) -> bytes:
        """A frame whose delta has these members."""
        head = self._heads.get(choice)
        if head is None:
            role, head = self._head(choice)
            return role + head + members + self._tail
        return head + members + self._tail

    def _text(self, event: TextDelta) -> bytes:
        if not event.text:
            return b""
        frame = self._delta(event.choice, b'"content":' + _encode(event.text))
        if event.logprobs is None:
            return frame
        return frame[: -len(self._tail)] + self._tail.replace(
            b'"logprobs":null', b'"logprobs":' + _encode(event.logprobs), 1
        )

    def _thought(self, event: ReasoningDelta) -> bytes:
        if not event.text or not self._echo.expose_reasoning:
            return b""
        return self._delta(event.choice, b'"reasoning_content":' + _encode(event.text))

    def _thinking_block(self, event: ReasoningDone) -> bytes:
        google = signature(event.part.opaque)
        if google is not None:
            return self._delta(event.choice, b'"extra_content":' + _encode(google))
        block = replay_block(event.part) if self._echo.expose_reasoning else None
        if block is None:
            return b""
        index = self._blocks.get(event.choice, 0)
        self._blocks[event.choice] = index + 1
        return self._delta(event.choice, b'"thinking_blocks":' + _encode([{"index": index, **block}]))

    def _refusal(self, event: RefusalDelta) -> bytes:
        return self._delta(event.choice, b'"refusal":' + _encode(event.text)) if event.text else b""

    def _tool_start(self, event: ToolStart) -> bytes:
        if self._echo.legacy_functions:
            return self._legacy(event.index, event.choice, {"name": event.name, "arguments": ""})
        if event.custom:
            self._custom.add((event.choice, event.index))
        kind, field = ("custom", "input") if event.custom else ("function", "arguments")
        call: dict[str, Any] = {
            "index": event.index,
            "id": event.id,
            "type": kind,
            kind: {"name": event.name, field: ""},
        }
        google = signature(event.opaque)
        if google is not None:
            call["extra_content"] = google
        return self._delta(event.choice, b'"tool_calls":' + _encode([call]))

    def _tool_delta(self, event: ToolDelta) -> bytes:
        if not event.arguments:
            return b""
        if self._echo.legacy_functions:
            return self._legacy(event.index, event.choice, {"arguments": event.arguments})
        shape = b'"custom":{"input":' if (event.choice, event.index) in self._custom else b'"function":{"arguments":'
        members = b'"tool_calls":[{"index":%d,' % event.index + shape + _encode(event.arguments) + b"}}]"
        return self._delta(event.choice, members)

    def _legacy(self, index: int, choice: int, call: dict[str, str]) -> bytes:
        """The deprecated shape holds one call; a second one cannot be said in it."""
        return self._delta(choice, b'"function_call":' + _encode(call)) if index == 0 else b""

    def _image(self, event: ImageDone) -> bytes:
        index = self._images.get(event.choice, 0)
        self._images[event.choice] = index + 1
        return self._delta(event.choice, b'"images":' + _encode([image_object(event.image, index)]))

    def _annotated(self, event: Annotated) -> bytes:
        self._notes.setdefault(event.choice, []).extend(note for note in event.annotations if isinstance(note, dict))
        return b""

    def _finish(self, event: Finished) -> bytes:
        if event.choice in self._finished:
            return b""
        self._finished.add(event.choice)
        role = b""
        if self._notes and (notes := self._notes.get(event.choice)):
            numbered = [{**note, "index": place} for place, note in enumerate(notes)]
            role = self._delta(event.choice, b'"annotations":' + _encode(numbered))
        head = self._heads.get(event.choice)
        if head is None:
            role, head = self._head(event.choice)  # nothing was said, and nothing noted
        reason = finish_reason(event.reason, self._echo).encode()
        return role + head + b'},"logprobs":null,"finish_reason":"' + reason + b'"}]' + self._end()

    def _usage_seen(self, event: UsageSeen) -> bytes:
        self._usage = event.usage
        return b""

    def _block(self, event: BlockDone) -> bytes:
        """A vendor's own block is not the client's, but for what it cites, and where the operator shows it."""
        opaque = event.block.opaque
        block = server_block(opaque, self._echo)
        if isinstance(block, dict):
            index = self._ran.get(event.choice, 0)
            self._ran[event.choice] = index + 1
            shown = {opaque.vendor: {"server_blocks": [{"index": index, **block}]}}
            return self._delta(event.choice, b'"extra_content":' + _encode(shown))
        found = citations(opaque)
        if not found:
            return b""
        before = self._cited.get(event.choice, 0)
        self._cited[event.choice] = before + len(found)
        numbered = [{"index": place, **citation} for place, citation in enumerate(found, before)]
        return self._delta(event.choice, b'"extra_content":' + _encode({"anthropic": {"citations": numbered}}))

    def _unsaid(self, event: Paused | Failed) -> bytes:
        """Nothing of the client's: a pause is waited through, and a failure is told through `error`."""
        return b""

    def _ended(self, event: Ended) -> bytes:
        unfinished = [choice for choice in self._heads or {0: b""} if choice not in self._finished]
        out = b"".join([self._finish(Finished("stop", choice)) for choice in unfinished])
        if self._echo.include_usage and self._usage is not None:
            out += self._envelope + b'],"usage":' + _encode(usage_object(self._usage)) + b"}\n\n"
        self._over = True
        return out + b"data: [DONE]\n\n"
