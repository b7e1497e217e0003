"""`types.Message` into Chat messages, for clients of whatever dialect.

Rule 1: one result a tool message, directly behind the calls; what else stood in that turn follows as the user's.
Rule 2: only what Chat takes: thoughts and blocks of other vendors stay out, since OpenAI refuses fields it does not know.
Rule 3: a function of the messages alone, and append-only: a longer history begins with the same bytes.
Rule 4: names and ids that OpenAI refuses have others (openai_undo.py).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from gateway.dialects.openai_cache import Marks
from gateway.dialects.openai_undo import legal_id, legal_name
from gateway.types import (
    Audio,
    Document,
    Image,
    Message,
    Notes,
    Part,
    Reasoning,
    Refusal,
    Text,
    ToolCall,
    ToolResult,
    Unsupported,
    VendorBlock,
)

Wire = dict[str, Any]
Placed = tuple[Part, str]  # a part and its place in the request

MAX_CALL_ID_CHARS = 40
NO_RESULT = "[no result]"


def write_messages(messages: list[Message], repair: bool, notes: Notes, marks: Marks | None = None) -> list[Wire]:
    """The wire messages, with cache marks where there are `marks` to put them down in. Raises Unsupported for content that Chat
    cannot carry and that must not be lost."""
    return _Turns(repair, notes, marks).write(messages)


class _Turns:
    def __init__(self, repair: bool, notes: Notes, marks: Marks | None) -> None:
        self._repair = repair
        self._marks = marks
        self._notes = notes
        self._wire: list[Wire] = []
        self._open: dict[str, str] = {}  # calls without an answer so far: id -> the tool's name
        self._pictures: list[Wire] = []  # what tool results showed; goes behind the last of them

    def write(self, messages: list[Message]) -> list[Wire]:
        for place, message in enumerate(messages):
            self._message(message, f"messages[{place}]")
        self._close_results(f"messages[{max(len(messages) - 1, 0)}]")
        if self._marks is not None:
            self._marks.keep_last()
        return self._wire

    def _message(self, message: Message, param: str) -> None:
        rest: list[Placed] = []
        for place, part in enumerate(message.parts):
            if isinstance(part, ToolResult):
                self._result(part, f"{param}.content[{place}]")
            else:
                rest.append((part, f"{param}.content[{place}]"))
        if message.parts and not rest:
            return
        if message.role in ("user", "assistant"):
            self._close_results(param)
        if message.role == "assistant":
            self._assistant(rest, message.name)
        else:
            role = "user" if message.role == "tool" else message.role
            self._wire.append(_named({"role": role, "content": _content(rest, self._marks)}, message.name))

    def _result(self, result: ToolResult, param: str) -> None:
        tool = self._open.pop(result.call_id, result.name)
        texts = [part.text for part in result.parts if isinstance(part, Text)]
        inside = enumerate(result.parts)
        others = [(part, f"{param}.content[{at}]") for at, part in inside if not isinstance(part, Text)]
        shown = "\n".join(texts)
        if result.is_error and not shown.startswith("Error"):
            shown = f"Error: {shown}"
        content: str | list[Wire] = shown
        if self._marks is not None and result.cache is not None and shown:
            content = [{"type": "text", "text": shown}]
            self._marks.put(content[0], result.cache)
        self._wire.append({"role": "tool", "tool_call_id": _id(result.call_id), "content": content})
        if others:
            self._notes.warn("tool_result_content_moved")
            self._pictures.append({"type": "text", "text": f"[content from tool {tool or result.call_id}]"})
            self._pictures += [_part(part, place) for part, place in others]

    def _close_results(self, param: str) -> None:
        """Before the next turn: answers that are missing, then what the results showed."""
        if self._open and not self._repair:
            raise Unsupported(param, f"tool calls without a result: {', '.join(self._open)[:200]}", "invalid_request")
        for call in self._open:
            self._notes.warn("tool_result_missing")
            self._wire.append({"role": "tool", "tool_call_id": _id(call), "content": NO_RESULT})
        self._open = {}
        if self._pictures:
            self._wire.append({"role": "user", "content": self._pictures})
            self._pictures = []

    def _assistant(self, placed: list[Placed], name: str) -> None:
        parts = [part for part, _ in placed]
        calls = [part for part in parts if isinstance(part, ToolCall)]
        said = [(_told(part), at) for part, at in placed if isinstance(part, Text | Refusal) or _tells(part)]
        audio = [part.opaque.data for part in parts if isinstance(part, VendorBlock) and _is_audio(part)]
        self._refuse_strangers(placed)
        wire: Wire = {
            "role": "assistant",
            "content": _content(said) if said else (None if calls or audio else ""),
        }
        if audio:
            wire["audio"] = audio[-1]
        if calls:
            wire["tool_calls"] = [_call(call) for call in calls]
        self._open = {call.id: call.name for call in calls}
        self._wire.append(_named(wire, name))

    def _refuse_strangers(self, placed: list[Placed]) -> None:
        """Thoughts are nobody else's business; a picture or file of the assistant would be lost without a word."""
        for part, place in placed:
            if isinstance(part, Image | Document | Audio):
                raise Unsupported(place, "an assistant message takes text only", "unsupported_content")
            if isinstance(part, Reasoning) and part.opaque is not None:
                self._notes.warn("reasoning_not_replayed")


def _tells(part: Part) -> bool:
    return isinstance(part, VendorBlock) and part.summary != ""


def _told(part: Part) -> Part:
    """What others are told of a vendor's own block is text."""
    return Text(part.summary) if isinstance(part, VendorBlock) else part


def _is_audio(block: VendorBlock) -> bool:
    return block.opaque.vendor == "openai" and block.opaque.kind == "audio"


def _named(wire: Wire, name: str) -> Wire:
    return {**wire, "name": name} if name else wire


def _call(call: ToolCall) -> Wire:
    kind, field = ("custom", "input") if call.custom else ("function", "arguments")
    return {"id": _id(call.id), "type": kind, kind: {"name": legal_name(call.name), field: call.arguments}}


def _id(call_id: str) -> str:
    return legal_id(call_id, MAX_CALL_ID_CHARS)


def _content(placed: Sequence[Placed], marks: Marks | None = None) -> str | list[Wire]:
    """One text stays a string, unless it is marked; anything else is an array of parts. What only its vendor can read stays out."""
    first = placed[0][0] if len(placed) == 1 else None
    if isinstance(first, Text) and (marks is None or first.cache is None):
        return first.text
    wire: list[Wire] = []
    for part, place in placed:
        if not isinstance(part, Reasoning | VendorBlock):
            wire.append(_part(part, place))
            if marks is not None and isinstance(part, Text | Image | Document) and part.cache is not None:
                marks.put(wire[-1], part.cache)
    return wire or ""


def _part(part: Part, param: str) -> Wire:
    match part:
        case Text():
            return {"type": "text", "text": part.text}
        case Refusal():
            return {"type": "refusal", "refusal": part.text}
        case Image():
            return {"type": "image_url", "image_url": _image(part)}
        case Audio():
            return {"type": "input_audio", "input_audio": {"data": part.data, "format": part.format}}
        case Document(text=text) if text:  # the Chat API takes files of PDF only
            return {"type": "text", "text": f"{part.title}\n{text}" if part.title else text}
        case Document():
            return _document(part, param)
        case _:
            raise Unsupported(param, "this content has no place in a message of the Chat API", "unsupported_content")


def _image(image: Image) -> Wire:
    url = image.url or f"data:{image.media_type};base64,{image.data}"
    return {"url": url, "detail": image.detail} if image.detail else {"url": url}


def _document(document: Document, param: str) -> Wire:
    if document.file_id.startswith("file_"):
        raise Unsupported(param, "this file was uploaded to another provider", "unsupported_content")
    if document.file_id:
        file: Wire = {"file_id": document.file_id}
    elif document.url:
        raise Unsupported(param, "the Chat API takes no documents by URL", "unsupported_content")
    else:
        kind, data = document.media_type, document.data
        file = {"file_data": f"data:{kind};base64,{data}" if kind else data}
    if document.title:
        file["filename"] = document.title
    return {"type": "file", "file": file}
