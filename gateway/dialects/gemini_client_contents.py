"""A Gemini client's `contents` and `systemInstruction` as messages.

Rule 1: results are matched with the calls of the last model turn: by id, else by name in the order of the calls.
Rule 2: model contents in a row are one turn, and unsigned texts in a row within it one text: clients store a stream in pieces.
Our own envelope stands on the first piece of its text (gemini_client_writer), and takes the others in.
Rule 3: ids that are missing are derived from where the call stands, so that the same history gives the same bytes.
Source: https://ai.google.dev/api/caching#Content, google-genai's chats
"""

from __future__ import annotations

import hashlib
from typing import Any

from gateway.core.envelope import is_sealed
from gateway.core.places import Spot, grown
from gateway.dialects.gemini_client_fields import Fields, inside, invalid, members, missing, optional_text, repeated
from gateway.dialects.gemini_client_parts import KINDS, read_call, read_part, read_result
from gateway.types import Message, Part, Reasoning, Text, ToolCall, ToolResult

ROLES = {"": "user", "user": "user", "function": "user", "model": "model"}


def read_system(value: object, where: str) -> list[Message]:
    """systemInstruction: a string, one Content, one part, or a list of parts. [] when it says nothing."""
    if isinstance(value, str | list):
        value = {"parts": value}
    if value is None:
        return []
    content = members(value, where)
    texts: list[Part] = []
    for at, item in enumerate(repeated(content if "text" in content else content.get("parts"))):
        place = f"{where}.parts[{at}]"
        part = Text(item) if isinstance(item, str) else read_part(members(item, place), place)
        if not isinstance(part, Text):
            raise invalid(place, "a system instruction can only hold text.")
        if part.text:
            texts.append(part)
    return [Message("system", texts)] if texts else []


def read_contents(value: object, where: str, spots: list[Spot] | None = None) -> list[Message]:
    """A string, one Content, or a list of them. Raises BadRequest naming the place, also when nothing is said at all.

    With `spots` it is told there what stood where.
    """
    contents = _Contents()
    for at, item in enumerate(repeated(value)):
        contents.add(item, f"{where}[{at}]", at)
        if spots is not None:
            sizes = [len(message.parts) for message in contents.messages]
            grown(spots, sizes, f"{where}[{at}]", _inner(item, f"{where}[{at}]"))
    if not contents.messages:
        raise missing(where)
    return contents.messages


def _inner(item: object, where: str) -> list[str]:
    """The places of a Content's parts in the order of the messages that they become: results first."""
    content = members(item, where) if isinstance(item, dict) else {}
    given = repeated(content.get("parts"))
    parts = [members(part, where) if isinstance(part, dict) else {} for part in given]
    places = [(part.get("functionResponse") is None, f"{where}.parts[{at}]") for at, part in enumerate(parts)]
    return [place for _, place in sorted(places, key=lambda placed: placed[0])]


class _Contents:
    def __init__(self) -> None:
        self.messages: list[Message] = []
        self._waiting: list[ToolCall] = []  # calls of the last model turn without a result

    def add(self, item: object, where: str, position: int) -> None:
        if isinstance(item, str):
            self.messages.append(Message("user", [Text(item)]))
            return
        content = members(item, where)
        role = optional_text(content.get("role"), inside(where, "role"))
        if role not in ROLES:
            raise invalid(inside(where, "role"), f"'{role[:64]}' is no role. Please use a valid role: user, model.")
        parts = self._parts(content, where)
        if ROLES[role] == "model":
            self._model(parts, where, position)
        else:
            self._user(parts, where)

    def _parts(self, content: Fields, where: str) -> list[Fields]:
        if "parts" not in content and any(kind in content for kind in KINDS):
            return [content]
        found: list[Fields] = []
        for at, item in enumerate(repeated(content.get("parts"))):
            found.append({"text": item} if isinstance(item, str) else members(item, f"{where}.parts[{at}]"))
        return found

    def _model(self, given: list[Fields], where: str, position: int) -> None:
        last = self.messages[-1] if self.messages else None
        if last is None or last.role != "assistant":
            self._waiting = []
            last = Message("assistant", [])
        for at, wire in enumerate(given):
            place = f"{where}.parts[{at}]"
            if wire.get("functionResponse") is not None:
                raise invalid(inside(place, "functionResponse"), "a function response belongs to the role user.")
            if wire.get("functionCall") is not None:
                call = read_call(wire, place, _derived_id(position, at))
                if any(call.id == earlier.id for earlier in self._waiting):
                    call.id = _derived_id(position, at)
                self._waiting.append(call)
                last.parts.append(call)
            else:
                _append(last.parts, read_part(wire, place))
        if last.parts and (not self.messages or self.messages[-1] is not last):
            self.messages.append(last)

    def _user(self, given: list[Fields], where: str) -> None:
        results: list[Part] = []
        said: list[Part] = []
        for at, wire in enumerate(given):
            place = f"{where}.parts[{at}]"
            if wire.get("functionCall") is not None:
                raise invalid(inside(place, "functionCall"), "a function call belongs to the role model.")
            if wire.get("functionResponse") is not None:
                results.append(self._result(wire["functionResponse"], inside(place, "functionResponse")))
            else:
                said.append(read_part(wire, place))
        if results:
            self.messages.append(Message("tool", results))
        if said:
            self.messages.append(Message("user", said))

    def _result(self, value: object, place: str) -> ToolResult:
        given = members(value, place)
        wanted = optional_text(given.get("id"), inside(place, "id"))
        called = optional_text(given.get("name"), inside(place, "name"))
        found = [call for call in self._waiting if call.id == wanted] if wanted else []
        found = found or [call for call in self._waiting if call.name == called]
        if not found:
            message = (
                "a function response must come right after the turn with its function call; "
                f"no call of '{called[:64]}' is waiting for one."
            )
            raise invalid(inside(place, "name"), message)
        self._waiting.remove(found[0])
        return read_result(given, place, found[0])


def _append(parts: list[Part], part: Part) -> None:
    """Add to a model's turn. Pieces of one text become one; a signature belongs to its own part."""
    if isinstance(part, Text | Reasoning) and part.opaque is None:
        last: Any = parts[-1] if parts else None
        if type(last) is type(part) and (last.opaque is None or (isinstance(last, Text) and is_sealed(last.opaque))):
            last.text += part.text
            return
        if not part.text:
            return
    parts.append(part)


def _derived_id(position: int, at: int) -> str:
    return "call_" + hashlib.sha256(f"contents[{position}].parts[{at}]".encode()).hexdigest()[:24]
