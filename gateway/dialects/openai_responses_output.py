"""Output items: what an answer says, thinks and calls, each as the item that the client's tools ask for.

Rule 1: an item has one id in all its frames. Rule 2: what another vendor wants back rides in a thought's `encrypted_content`,
sealed, where it stood. Rule 3: a call that does not fit its typed item is written as a function call with what the model wrote.
Source: openai-python, types/responses/response_output_item.py and what it lists.
"""

from __future__ import annotations

from typing import Any

from gateway.core.jsontext import NotJson, decode
from gateway.core.unwrapping import InputText
from gateway.dialects.openai_responses_asked import Spelled, asked_of
from gateway.dialects.openai_responses_object import Wire, item_id
from gateway.dialects.openai_responses_searches import (
    PREFIX,
    begun,
    outcomes,
    search_action,
    search_item,
    unblocked,
)
from gateway.types import Echo, Image, Opaque, Part, Reasoning, Refusal, Text, ToolCall, VendorBlock

TYPED = ("local_shell", "shell", "apply_patch")
_PREFIX = {"function": "fc", "custom": "ctc", "local_shell": "lsh", "shell": "sh", "apply_patch": "apc"}


class Output:
    """The items of a whole answer, in its order. `status` is that of what was written last: it may have been cut."""

    def __init__(self, echo: Echo, status: str, searches: list[str]) -> None:
        self.items: list[Wire] = []
        self._echo = echo
        self._status = status
        self._searches = searches  # those without a block: they come before the words
        self._said = 0  # characters of text in finished messages: annotations count them all

    def add(self, parts: list[Part]) -> list[Wire]:
        self._searches = unblocked(self._searches, parts)
        for at, part in enumerate(parts):
            last = at == len(parts) - 1
            if isinstance(part, Text | Refusal):
                self._say(part, last)
            elif isinstance(part, Reasoning):
                self._think(part)
            elif isinstance(part, ToolCall):
                self._call(part, last)
            elif isinstance(part, VendorBlock) and part.opaque.kind != "text":
                self._block(part.opaque, parts, last)
            elif isinstance(part, Image) and part.data:
                self.items.append(self._item("ig", image_item(part.data)))
        self._search()
        return self.items

    def _item(self, prefix: str, item: Wire) -> Wire:
        return {"id": item_id(self._echo, prefix, len(self.items)), **item}

    def _say(self, part: Text | Refusal, last: bool) -> None:
        status = self._status if last else "completed"
        message = self.items[-1] if self.items and self.items[-1]["type"] == "message" else None
        if message is None:
            self._search()
            self._said = said_before(self.items)
            message = self._item("msg", message_item([], status))
            self.items.append(message)
        message["status"] = status
        content = message["content"]
        if isinstance(part, Refusal):
            content.append({"type": "refusal", "refusal": part.text})
        else:
            if not content or content[-1]["type"] != "output_text":
                content.append(text_part(""))
            content[-1]["text"] += part.text
            content[-1]["annotations"] += [flat_annotation(note, self._said) for note in part.annotations or []]
        if isinstance(part, Text) and part.opaque is not None:
            self._think(Reasoning("", part.opaque))

    def _think(self, part: Reasoning) -> None:
        item = reasoning_item(part, self._echo)
        if item is not None:
            self.items.append(self._item("rs", item))

    def _block(self, opaque: Opaque, parts: list[Part], last: bool) -> None:
        """What only its vendor reads rides along, to come back; of a search the client is told."""
        self._think(Reasoning("", opaque))
        search = begun(opaque)
        if search is not None:
            status = outcomes(parts).get(search.key, self._status if last else "completed")
            self.items.append(self._item(PREFIX, search_item(search.action, status)))

    def _search(self) -> None:
        for query in self._searches:
            self.items.append(self._item(PREFIX, search_item(search_action(query), "completed")))
        self._searches = []

    def _call(self, call: ToolCall, last: bool) -> None:
        if call.opaque is not None:
            self._think(Reasoning("", call.opaque))
        spelled = asked_of(self._echo.request).spelled(call.name, call.custom)
        arguments = call.arguments
        if spelled.kind == "custom" and not call.custom:
            text = InputText()
            arguments = text.feed(arguments) + text.end()
        prefix, item = call_item(spelled, call.id, arguments, self._status if last else "completed")
        self.items.append(self._item(prefix, item))


def message_item(content: list[Wire], status: str) -> Wire:
    return {"type": "message", "status": status, "role": "assistant", "content": content}


def text_part(text: str) -> Wire:
    return {"type": "output_text", "text": text, "annotations": [], "logprobs": []}


def image_item(data: str) -> Wire:
    """A picture that the model made, base64."""
    return {"type": "image_generation_call", "status": "completed", "result": data}


def reasoning_item(part: Reasoning, echo: Echo) -> Wire | None:
    """A thought as far as it is shown, with what its maker wants back; None when neither is left."""
    kept = kept_text(part.opaque, echo)
    shown = part.text if shows_thoughts(echo) else ""
    if not shown and kept is None:
        return None
    item: Wire = {"type": "reasoning", "summary": [{"type": "summary_text", "text": shown}] if shown else []}
    if kept is not None:
        item["encrypted_content"] = kept
    return item


def shows_thoughts(echo: Echo) -> bool:
    return echo.expose_reasoning and asked_of(echo.request).summary


def kept_text(opaque: Opaque | None, echo: Echo) -> str | None:
    """OpenAI's own encrypted content as it is, anything else sealed."""
    if opaque is None:
        return None
    if opaque.vendor == "openai" and opaque.kind == "encrypted_content":
        kept = opaque.data.get("encrypted_content") if isinstance(opaque.data, dict) else None
        return kept if isinstance(kept, str) and kept else None
    return echo.seal([opaque]) if echo.seal is not None else None


def call_item(spelled: Spelled, call_id: str, arguments: str, status: str) -> tuple[str, Wire]:
    """A call as its tool's item, without its id; and the prefix that the id begins with."""
    if spelled.kind in TYPED:
        typed = _typed(spelled.kind, arguments)
        if typed is not None:
            status = "completed" if status == "incomplete" and spelled.kind == "apply_patch" else status
            item = {"type": f"{spelled.kind}_call", "call_id": call_id, "status": status, **typed}
            return _PREFIX[spelled.kind], item
        spelled = Spelled("function", spelled.name)
    kind, field = ("custom_tool_call", "input") if spelled.kind == "custom" else ("function_call", "arguments")
    item = {"type": kind, "status": status, "call_id": call_id, "name": spelled.name, field: arguments}
    if spelled.namespace:
        item["namespace"] = spelled.namespace
    return _PREFIX[spelled.kind], item


def said_before(items: list[Wire]) -> int:
    """How many characters of text the messages in `items` hold."""
    parts = [part for item in items if item["type"] == "message" for part in item["content"]]
    return sum(len(part["text"]) for part in parts if part["type"] == "output_text")


def flat_annotation(note: Any, before: int) -> Any:
    """Chat's nested annotation as this dialect's flat one; offsets count from its own message, `before` characters in."""
    cited = note.get("url_citation") if isinstance(note, dict) else None
    if not isinstance(cited, dict):
        return note
    start, end = cited.get("start_index"), cited.get("end_index")
    return {
        "type": "url_citation",
        "url": cited.get("url", ""),
        "title": cited.get("title") or "",
        "start_index": max(start - before, 0) if type(start) is int else 0,
        "end_index": max(end - before, 0) if type(end) is int else 0,
    }


def _typed(kind: str, arguments: str) -> Wire | None:
    """What stands in the typed item, or None when the arguments are not what its type says."""
    try:
        given = decode(arguments.encode("utf-8", "replace"))
    except NotJson:
        return None
    if not isinstance(given, dict):
        return None
    if kind == "apply_patch":
        return _operation(given)
    field = "command" if kind == "local_shell" else "commands"
    command = given.get(field)
    if not isinstance(command, list) or not all(isinstance(word, str) for word in command):
        return None
    timeout = given.get("timeout_ms")
    action: Wire = {field: command, "timeout_ms": timeout if type(timeout) is int else None}
    if kind == "shell":
        limit = given.get("max_output_length")
        return {"action": {**action, "max_output_length": limit if type(limit) is int else None}}
    env, folder = given.get("env"), given.get("working_directory")
    texts = isinstance(env, dict) and all(isinstance(value, str) for value in env.values())
    action |= {"env": env if texts else {}, "working_directory": folder if isinstance(folder, str) else None}
    return {"action": {"type": "exec", **action}}


def _operation(given: Wire) -> Wire | None:
    kind, path, diff = given.get("type"), given.get("path"), given.get("diff")
    if not isinstance(path, str) or kind not in ("create_file", "update_file", "delete_file"):
        return None
    if kind == "delete_file":
        return {"operation": {"type": kind, "path": path}}
    return {"operation": {"type": kind, "path": path, "diff": diff}} if isinstance(diff, str) else None
