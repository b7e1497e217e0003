"""Output items while they are being written: every frame that opens, fills and closes them, in the order clients insist on.

Rule 1: an item is added before anything of it is said, and its content part before its text. Rule 2: `done` frames repeat the
whole. Rule 3: frames are numbered from 0 without gaps, in one sequence for the whole stream.
Source: openai-python, lib/streaming/responses/_responses.py, types/responses/response_*_event.py.
"""

from __future__ import annotations

from typing import Any

import msgspec

from gateway.core.unwrapping import InputText
from gateway.dialects.openai_responses_asked import Spelled
from gateway.dialects.openai_responses_object import Wire, item_id
from gateway.dialects.openai_responses_output import TYPED, call_item, message_item, text_part
from gateway.dialects.openai_responses_searches import PREFIX, Search, search_item
from gateway.types import Echo

_encode = msgspec.json.encode


class Frames:
    """Numbers the frames and writes them."""

    __slots__ = ("_next",)

    def __init__(self) -> None:
        self._next = 0

    def number(self) -> int:
        """The number of the next frame, taken."""
        self._next += 1
        return self._next - 1

    def frame(self, kind: str, members: Wire) -> bytes:
        """One event; `members` without type and number."""
        name = kind.encode()
        head = b'event: %b\ndata: {"type":"%b","sequence_number":%d,' % (name, name, self.number())
        return head + _encode(members)[1:] + b"\n\n"

    def item(self, step: str, index: int, item: Wire) -> bytes:
        """response.output_item.added or .done."""
        return self.frame(f"response.output_item.{step}", {"output_index": index, "item": item})


class OpenMessage:
    """The model's words: text and refusals, each a part of one message."""

    __slots__ = ("_frames", "_head", "_middle", "_pieces", "base", "index", "item", "place", "said")

    def __init__(self, frames: Frames, echo: Echo, index: int, base: int) -> None:
        self._frames = frames
        self.index = index
        self.base = base  # characters of text in messages before this one
        self.said = 0
        self.item: Wire = {"id": item_id(echo, "msg", index), **message_item([], "in_progress")}
        self.place: Wire = {}
        self._pieces: list[str] = []
        self._head = self._middle = b""  # of a delta, around its number

    def start(self) -> bytes:
        return self._frames.item("added", self.index, self.item)

    def text(self, text: str, logprobs: Any) -> bytes:
        """A piece of text: this runs once per token."""
        opening = b"" if self._is_open("output_text") else self._open(text_part(""), "output_text")
        self._pieces.append(text)
        self.said += len(text)
        tail = b',"logprobs":[]}\n\n'
        if logprobs is not None:
            self.item["content"][-1]["logprobs"] += logprobs
            tail = b',"logprobs":' + _encode(logprobs) + b"}\n\n"
        return b"%b%b%d%b%b%b" % (opening, self._head, self._frames.number(), self._middle, _encode(text), tail)

    def refusal(self, text: str) -> bytes:
        opening = b"" if self._is_open("refusal") else self._open({"type": "refusal", "refusal": ""}, "refusal")
        self._pieces.append(text)
        return b"%b%b%d%b%b}\n\n" % (opening, self._head, self._frames.number(), self._middle, _encode(text))

    def annotate(self, annotation: Any) -> bytes:
        """An annotation of the text; told at once while its part is open, else only in the whole answer."""
        texts = [part for part in self.item["content"] if part["type"] == "output_text"]
        if not texts:
            return b""
        texts[-1]["annotations"].append(annotation)
        if not self._is_open("output_text"):
            return b""
        number = len(texts[-1]["annotations"]) - 1
        return self._frames.frame(
            "response.output_text.annotation.added",
            {**self.place, "annotation_index": number, "annotation": annotation},
        )

    def stop(self, status: str) -> bytes:
        closing = self._close()
        self.item["status"] = status
        return closing + self._frames.item("done", self.index, self.item)

    def cut(self) -> Wire:
        """The item as far as it came, for an answer that broke."""
        self._settle()
        return {**self.item, "status": "incomplete"}

    def _is_open(self, kind: str) -> bool:
        return bool(self.place) and self.item["content"][-1]["type"] == kind

    def _open(self, part: Wire, kind: str) -> bytes:
        closing = self._close()
        content = self.item["content"]
        self.place = {"item_id": self.item["id"], "output_index": self.index, "content_index": len(content)}
        content.append(part)
        name = f"response.{kind}.delta".encode()
        self._head = b'event: %b\ndata: {"type":"%b","sequence_number":' % (name, name)
        self._middle = b"," + _encode(self.place)[1:-1] + b',"delta":'
        return closing + self._frames.frame("response.content_part.added", {**self.place, "part": part})

    def _close(self) -> bytes:
        if not self.place:
            return b""
        part = self._settle()
        kind = part["type"]
        done = {**self.place, "text": part["text"], "logprobs": part["logprobs"]} if kind == "output_text" else {}
        done = done or {**self.place, "refusal": part["refusal"]}
        out = self._frames.frame(f"response.{kind}.done", done)
        out += self._frames.frame("response.content_part.done", {**self.place, "part": part})
        self.place = {}
        return out

    def _settle(self) -> Wire:
        """Put the pieces into the part they belong to."""
        part: Wire = self.item["content"][-1] if self.item["content"] else {}
        if self._pieces:
            field = "text" if part["type"] == "output_text" else "refusal"
            part[field] += "".join(self._pieces)
            self._pieces = []
        return part


class Whole:
    """An item that comes whole, such as a picture."""

    __slots__ = ("_frames", "index", "item")

    def __init__(self, frames: Frames, index: int, item: Wire) -> None:
        self._frames = frames
        self.index = index
        self.item = item

    def start(self) -> bytes:
        return self._frames.item("added", self.index, self.item) + self._frames.item("done", self.index, self.item)


class OpenSearch:
    """A web search while it runs."""

    __slots__ = ("_action", "_frames", "_id", "index", "item")

    def __init__(self, frames: Frames, echo: Echo, index: int, search: Search) -> None:
        self._frames = frames
        self._action = search.action
        self._id = item_id(echo, PREFIX, index)
        self.index = index
        self.item: Wire | None = None  # once it is done

    def start(self) -> bytes:
        added = self._frames.item("added", self.index, self._made("in_progress"))
        return added + self._step("in_progress") + self._step("searching")

    def stop(self, status: str) -> bytes:
        self.item = self._made(status)
        told = self._step("completed") if status == "completed" else b""
        return told + self._frames.item("done", self.index, self.item)

    def _made(self, status: str) -> Wire:
        return {"id": self._id, **search_item(self._action, status)}

    def _step(self, step: str) -> bytes:
        return self._frames.frame(f"response.web_search_call.{step}", {"item_id": self._id, "output_index": self.index})


class OpenThought:
    """A thought that is shown while it comes."""

    __slots__ = ("_frames", "_part", "_pieces", "index", "item")

    def __init__(self, frames: Frames, echo: Echo, index: int) -> None:
        self._frames = frames
        self._pieces: list[str] = []
        self.index = index
        self.item: Wire = {"id": item_id(echo, "rs", index), "type": "reasoning", "summary": []}
        self._part: Wire = {"item_id": self.item["id"], "output_index": index, "summary_index": 0}

    def start(self) -> bytes:
        return self._frames.item("added", self.index, self.item)

    def text(self, text: str) -> bytes:
        opening = b""
        if not self._pieces:
            part = {"type": "summary_text", "text": ""}
            opening = self._frames.frame("response.reasoning_summary_part.added", {**self._part, "part": part})
        self._pieces.append(text)
        return opening + self._frames.frame("response.reasoning_summary_text.delta", {**self._part, "delta": text})

    def stop(self, kept: str | None) -> bytes:
        out = b""
        if self._pieces:
            part = {"type": "summary_text", "text": "".join(self._pieces)}
            out = self._frames.frame("response.reasoning_summary_text.done", {**self._part, "text": part["text"]})
            out += self._frames.frame("response.reasoning_summary_part.done", {**self._part, "part": part})
            self.item["summary"].append(part)
        if kept is not None:
            self.item["encrypted_content"] = kept
        return out + self._frames.item("done", self.index, self.item)


class OpenCall:
    """A call. A typed one is held until it is whole: its item has no place for half of an action."""

    __slots__ = ("_call_id", "_echo", "_frames", "_id", "_kind", "_pieces", "_spelled", "_unwrap", "index", "item")

    def __init__(
        self, frames: Frames, echo: Echo, index: int, spelled: Spelled, call_id: str, *, wrapped: bool = False
    ) -> None:
        self._frames = frames
        self._echo = echo
        self._spelled = spelled
        self._call_id = call_id
        self._pieces: list[str] = []
        self._unwrap = InputText() if wrapped else None  # a free-form tool's text inside a function's arguments
        self._kind = "custom_tool_call_input" if spelled.kind == "custom" else "function_call_arguments"
        self._id = ""
        self.index = index
        self.item: Wire | None = None  # once it is done

    def start(self) -> bytes:
        return b"" if self._spelled.kind in TYPED else self._added(self._made("", "in_progress"))

    def arguments(self, piece: str) -> bytes:
        if self._unwrap is not None:
            piece = self._unwrap.feed(piece)
        if not piece:
            return b""
        self._pieces.append(piece)
        return self._delta(piece) if self._id else b""

    def stop(self, status: str) -> bytes:
        out = b""
        rest = self._unwrap.end() if self._unwrap is not None else ""
        if not rest and not self._pieces and self._spelled.kind == "function" and status == "completed":
            rest = "{}"  # clients parse the arguments
        if rest:
            self._pieces.append(rest)
            out += self._delta(rest) if self._id else b""
        arguments = "".join(self._pieces)
        item = self._made(arguments, status)
        if not self._id:
            out += self._added({**item, **self._begun(item)})
            out += self._delta(arguments) if "arguments" in item and arguments else b""
        if "arguments" in item or "input" in item:
            field = "input" if "input" in item else "arguments"
            members = {"item_id": item["id"], "output_index": self.index, field: arguments}
            members |= {"name": item["name"]} if field == "arguments" else {}
            out += self._frames.frame(f"response.{self._kind}.done", members)
        self.item = item
        return out + self._frames.item("done", self.index, item)

    def _made(self, arguments: str, status: str) -> Wire:
        prefix, item = call_item(self._spelled, self._call_id, arguments, status)
        return {"id": self._id or item_id(self._echo, prefix, self.index), **item}

    def _begun(self, item: Wire) -> Wire:
        """What a held item looked like when it was added; of a typed one that is all of it."""
        return {"status": "in_progress"} | ({"arguments": ""} if "arguments" in item else {})

    def _added(self, item: Wire) -> bytes:
        self._id = item["id"]
        return self._frames.item("added", self.index, item)

    def _delta(self, piece: str) -> bytes:
        members = {"item_id": self._id, "output_index": self.index, "delta": piece}
        return self._frames.frame(f"response.{self._kind}.delta", members)
