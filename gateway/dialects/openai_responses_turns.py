"""`types.Message` into input items, for clients of another dialect.

Rule 1: every part is an item of its own in the order in which it was said; thoughts stand before what they led to.
Rule 2: results stand directly behind their calls; what else stood in that turn follows. Rule 3: the first system text is
`instructions`, later ones stay where they are. Rule 4: append-only: a longer history begins with the same items.
"""

from __future__ import annotations

import base64
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

NO_RESULT = "[no result]"
MAX_CALL_ID_CHARS = 64


def write_input(
    messages: list[Message], repair: bool, notes: Notes, marks: Marks | None = None
) -> tuple[str, list[Wire]]:
    """`instructions` ("" for none) and the items, with cache marks where there are `marks` to put them down in. Raises Unsupported for what the API cannot carry and must not be lost."""
    instructions, start = _instructions(messages)
    items = _Items(repair, notes, marks)
    first = _after(messages[0]) if start else []
    for place, message in enumerate(first + messages[start:], start - len(first)):
        items.add(message, f"messages[{place}]")
    items.close(f"messages[{max(len(messages) - 1, 0)}]")
    if marks is not None:
        marks.keep_last()
    return instructions, items.wire


def _instructions(messages: list[Message]) -> tuple[str, int]:
    """The first text of a leading system message, and how many messages it takes."""
    if not messages or messages[0].role not in ("system", "developer") or len(messages) == 1:
        return "", 0
    texts = [part.text for part in messages[0].parts if isinstance(part, Text) and part.text]
    return (texts[0], 1) if texts else ("", 0)


def _after(message: Message) -> list[Message]:
    """What is left of the message whose first text became the instructions."""
    texts = [part for part in message.parts if isinstance(part, Text) and part.text]
    return [Message(message.role, [*texts[1:]], message.name)] if len(texts) > 1 else []


class _Items:
    def __init__(self, repair: bool, notes: Notes, marks: Marks | None) -> None:
        self.wire: list[Wire] = []
        self._marks = marks
        self._repair = repair
        self._notes = notes
        self._open: dict[str, bool] = {}  # calls without a result so far: id -> whether the tool is free-form

    def add(self, message: Message, param: str) -> None:
        rest: list[Placed] = []
        for place, part in enumerate(message.parts):
            if isinstance(part, ToolResult):
                self._result(part, f"{param}.content[{place}]")
            else:
                rest.append((part, f"{param}.content[{place}]"))
        if not rest:
            return
        if message.role in ("user", "assistant"):
            self.close(param)
        if message.role == "assistant":
            self._said(rest)
        else:
            role = "developer" if message.role in ("system", "developer") else "user"
            content = _content(rest, message.name, self._marks)
            if content:
                self.wire.append({"type": "message", "role": role, "content": content})

    def close(self, param: str) -> None:
        """Before the next turn: answers that are missing."""
        if self._open and not self._repair:
            raise Unsupported(param, f"tool calls without a result: {', '.join(self._open)[:200]}", "invalid_request")
        for call, custom in self._open.items():
            self._notes.warn("tool_result_missing")
            self.wire.append(_output(call, custom, NO_RESULT))
        self._open = {}

    def _result(self, result: ToolResult, param: str) -> None:
        if result.call_id not in self._open:
            message = f"no tool call with id '{result.call_id[:64]}' comes before this result"
            raise Unsupported(f"{param}.tool_call_id", message, "invalid_request")
        custom = self._open.pop(result.call_id)
        shown: str | list[Wire]
        if all(isinstance(part, Text) for part in result.parts):
            shown = "\n".join(part.text for part in result.parts if isinstance(part, Text))
            if result.is_error and not shown.startswith("Error"):
                shown = f"Error: {shown}"
        else:
            shown = [_part(part, f"{param}.content[{place}]") for place, part in enumerate(result.parts)]
            if result.is_error:
                shown.insert(0, {"type": "input_text", "text": "Error:"})
        if self._marks is not None and result.cache is not None and shown:
            shown = [{"type": "input_text", "text": shown}] if isinstance(shown, str) else shown
            self._marks.put(shown[-1], result.cache)
        self.wire.append(_output(result.call_id, custom, shown))

    def _said(self, placed: list[Placed]) -> None:
        words: list[str] = []
        for part, place in placed:
            if isinstance(part, Text | Refusal):
                words.append(part.text)
                continue
            if isinstance(part, Image | Document | Audio):
                raise Unsupported(place, "an assistant message takes text only", "unsupported_content")
            item = self._item(part)
            if item is not None:
                self._speak(words)
                self.wire.append(item)
        self._speak(words)

    def _speak(self, words: list[str]) -> None:
        if "".join(words):
            self.wire.append({"type": "message", "role": "assistant", "content": "".join(words)})
        words.clear()

    def _item(self, part: Part) -> Wire | None:
        if isinstance(part, ToolCall):
            self._open[part.id] = part.custom
            return _call(part)
        if isinstance(part, Reasoning):
            return self._thought(part)
        if isinstance(part, VendorBlock):
            self._notes.warn("vendor_block_not_replayed")
        return None

    def _thought(self, part: Reasoning) -> Wire | None:
        """OpenAI's own thought as it came; another vendor's is nobody else's business."""
        opaque = part.opaque
        if opaque is None:
            return None
        if opaque.vendor != "openai" or opaque.kind != "encrypted_content" or not isinstance(opaque.data, dict):
            self._notes.warn("reasoning_not_replayed")
            return None
        own = {key: opaque.data[key] for key in ("id", "summary", "encrypted_content") if key in opaque.data}
        return {"type": "reasoning", "summary": [], **own}


def _call_id(call_id: str) -> str:
    return legal_id(call_id, MAX_CALL_ID_CHARS)


def _call(call: ToolCall) -> Wire:
    kind, field = ("custom_tool_call", "input") if call.custom else ("function_call", "arguments")
    arguments = call.arguments if call.custom or call.arguments.strip() else "{}"
    return {"type": kind, "call_id": _call_id(call.id), "name": legal_name(call.name), field: arguments}


def _output(call_id: str, custom: bool, output: str | list[Wire]) -> Wire:
    kind = "custom_tool_call_output" if custom else "function_call_output"
    return {"type": kind, "call_id": _call_id(call_id), "output": output}


def _content(placed: list[Placed], name: str, marks: Marks | None) -> str | list[Wire]:
    """One text stays a string, unless it is marked; anything else is an array. The API has no names: who speaks is said in the first text."""
    first, place = placed[0] if placed else (None, "")
    if name and isinstance(first, Text):
        first = Text(f"{name}: {first.text}", first.cache)
        placed = [(first, place), *placed[1:]]
    if len(placed) == 1 and isinstance(first, Text) and (marks is None or first.cache is None):
        return first.text
    wire: list[Wire] = []
    for part, at in placed:
        if not isinstance(part, Reasoning | VendorBlock):
            wire.append(_part(part, at))
            if marks is not None and isinstance(part, Text | Image | Document) and part.cache is not None:
                marks.put(wire[-1], part.cache)
    return wire


def _part(part: Part, param: str) -> Wire:
    match part:
        case Text() | Refusal():
            return {"type": "input_text", "text": part.text}
        case Image():
            url = part.url or f"data:{part.media_type};base64,{part.data}"
            return {"type": "input_image", "image_url": url, "detail": part.detail or "auto"}
        case Document():
            return _document(part)
        case _:
            raise Unsupported(
                param, "this content has no place in a message of the Responses API", "unsupported_content"
            )


def _document(document: Document) -> Wire:
    if document.file_id:
        return {"type": "input_file", "file_id": document.file_id}
    if document.url:
        return {"type": "input_file", "file_url": document.url}
    if document.text and not document.data:
        head = f"{document.title}\n\n" if document.title else ""
        return {"type": "input_text", "text": head + document.text}
    media_type = document.media_type or "application/pdf"
    data = document.data or base64.b64encode(document.text.encode()).decode()
    title = document.title or f"document.{media_type.rpartition('/')[2]}"
    return {"type": "input_file", "filename": title, "file_data": f"data:{media_type};base64,{data}"}
