"""Messages to `contents`: turns of `user` and `model`, results right after their calls, signatures where they were.

Rule 1: results stand alone in their content, in the order of the calls; text beside them comes in the next one.
Rule 2: the name of a result is that of its call, never what the message says: Gemini matches by name.
Rule 3: an id is sent on both sides or on neither.
Rule 4: a system message in the middle stays where it is, as marked text; moving it would change the prefix that caches key on.
Source: https://ai.google.dev/gemini-api/docs/function-calling, …/thought-signatures
"""

from __future__ import annotations

import msgspec

from gateway.core import jsontext
from gateway.dialects.gemini_parts import Wire, signature, third_generation, write_part
from gateway.dialects.gemini_tools import Toolbox
from gateway.types import (
    Message,
    Notes,
    Part,
    Request,
    Target,
    Text,
    ToolCall,
    ToolResult,
    Unsupported,
)

SKIP_SIGNATURE = "skip_thought_signature_validator"  # what Google documents for calls that its models did not make
FOREIGN_IDS = ("call_", "toolu_", "fc_")
NO_RESULT = "[no result]"
INSTRUCTING = ("system", "developer")


def split_system(messages: list[Message]) -> tuple[list[Wire], int]:
    """The leading run of system messages as text parts, and the place of the first other message."""
    parts: list[Wire] = []
    for index, message in enumerate(messages):
        if message.role not in INSTRUCTING:
            return parts, index
        parts += [{"text": text} for text in _texts(message)]
    return parts, len(messages)


def write_contents(request: Request, start: int, target: Target, tools: Toolbox, notes: Notes) -> list[Wire]:
    """The messages from `start` on. Raises Unsupported for what the model cannot take and for results without a call."""
    contents = _Contents(target, tools, notes)
    for index in range(start, len(request.messages)):
        contents.add(request.messages[index], index)
    contents.settle_results("messages")
    turns = contents.turns
    if turns and turns[-1]["role"] == "model" and not target.abilities.prefill:
        raise Unsupported(
            "messages",
            "This model does not continue an assistant message; end with a user message.",
            "prefill_not_supported",
        )
    if contents.called and target.abilities.requires_signature:
        _vouch_for_foreign_calls(turns)
    return turns


def plain_contents(messages: list[Message]) -> tuple[list[Wire], list[Wire]] | None:
    """System and contents of people and models who only write to each other, which is most of what is said; None for anything else."""
    system: list[Wire] = []
    turns: list[Wire] = []
    open_ = ""
    for message in messages:
        role, parts = message.role, message.parts
        if len(parts) != 1 or type(parts[0]) is not Text or message.name:
            return None
        said = parts[0]
        if not said.text or said.opaque is not None:
            return None
        part = {"text": said.text}
        if role == open_:
            turns[-1]["parts"].append(part)
        elif role == "user" or role == "assistant":
            turns.append({"role": "user" if role == "user" else "model", "parts": [part]})
            open_ = role
        elif role in INSTRUCTING and not open_:
            system.append(part)
        else:
            return None
    return (system, turns) if open_ == "user" else None


class _Contents:
    """The turns so far, and the calls that still wait for their results."""

    def __init__(self, target: Target, tools: Toolbox, notes: Notes) -> None:
        self.turns: list[Wire] = []
        self.called = False  # whether there is a call among them
        self._abilities = target.abilities
        self._repair = target.translation.repair_history
        self._tools = tools
        self._notes = notes
        self._calls: dict[str, ToolCall] = {}
        self._results: dict[str, tuple[ToolResult, str]] = {}

    def add(self, message: Message, index: int) -> None:
        role, where = message.role, f"messages[{index}]"
        if role == "assistant":
            self._add_assistant(message, where)
        elif role in INSTRUCTING:
            self._add_user([{"text": f"<system-message>{text}</system-message>"} for text in _texts(message)], where)
            self._notes.warn("system_message_inlined")
        else:
            self._add_user_message(message, where)

    def _add_assistant(self, message: Message, where: str) -> None:
        if self._results:
            self.settle_results(where)
        parts: list[Wire] = []
        for place, part in enumerate(message.parts):
            if isinstance(part, ToolCall):
                self._calls[part.id] = part
                self.called = True
                parts.append(self._call(part, f"{where}.content[{place}]"))
            else:
                parts += self._parts(part, f"{where}.content[{place}]")
        self._extend("model", parts)

    def _add_user_message(self, message: Message, where: str) -> None:
        parts: list[Wire] = []
        named = f"{message.name}: " if message.name and message.role == "user" else ""
        for place, part in enumerate(message.parts):
            if isinstance(part, ToolResult):
                self._take_result(part, f"{where}.content[{place}]")
            else:
                written = write_part(part, f"{where}.content[{place}]", self._abilities, self._notes)
                if written is None:
                    continue
                if named and "text" in written:
                    written["text"], named = named + written["text"], ""
                parts.append(written)
        if not parts and self._opens_a_turn():
            parts = [{"text": " "}]  # empty texts are refused, and without this one the turn would be the model's
        self._add_user(parts, where)

    def _opens_a_turn(self) -> bool:
        return not self._calls and (not self.turns or self.turns[-1]["role"] == "model")

    def _add_user(self, parts: list[Wire], where: str) -> None:
        if parts:
            if self._calls:
                self.settle_results(where)
            self._extend("user", parts)

    def _extend(self, role: str, parts: list[Wire]) -> None:
        """Another turn, or more of the last one; answers to calls keep theirs to themselves."""
        last = self.turns[-1] if self.turns else None
        if last is not None and last["role"] == role and "functionResponse" not in last["parts"][0]:
            last["parts"] += parts
        elif parts:
            self.turns.append({"role": role, "parts": parts})

    def _parts(self, part: Part, where: str) -> list[Wire]:
        written = write_part(part, where, self._abilities, self._notes)
        return [written] if written is not None else []

    def _call(self, call: ToolCall, where: str) -> Wire:
        made: Wire = {"name": self._tools.alias(call.name), "args": self._tools.arguments(call), **self._id(call)}
        return {"functionCall": made, **signature(call.opaque, where)}

    def _id(self, call: ToolCall) -> Wire:
        sent = call.id and (third_generation(self._abilities) or not call.id.startswith(FOREIGN_IDS))
        return {"id": call.id} if sent else {}

    def _take_result(self, result: ToolResult, where: str) -> None:
        if result.call_id not in self._calls:
            message = f"No tool call with id '{result.call_id}' comes before this result."
            raise Unsupported(f"{where}.tool_call_id", message, "invalid_request")
        self._results[result.call_id] = (result, where)

    def settle_results(self, where: str) -> None:
        """Write the results of the calls so far. `where` is the message that comes after them."""
        if not self._calls:
            return
        missing = [call_id for call_id in self._calls if call_id not in self._results]
        if missing and not self._repair:
            listed = ", ".join(missing)
            message = (
                "An assistant message with 'tool_calls' must be followed by tool messages responding to each 'tool_call_id'. "
                f"The following tool_call_ids did not have response messages: {listed}"
            )
            raise Unsupported(where, message, "invalid_request")
        self._write_results()

    def _write_results(self) -> None:
        parts: list[Wire] = []
        beside: list[Wire] = []
        for call_id, call in self._calls.items():
            if call_id in self._results:
                result, where = self._results[call_id]
                parts.append(self._result(call, result, where, beside))
            else:
                self._notes.warn("tool_result_missing")
                response = {"name": self._tools.alias(call.name), **self._id(call), "response": {"error": NO_RESULT}}
                parts.append({"functionResponse": response})
        self._calls, self._results = {}, {}
        self.turns.append({"role": "user", "parts": parts})
        if beside:
            self.turns.append({"role": "user", "parts": beside})

    def _result(self, call: ToolCall, result: ToolResult, where: str, beside: list[Wire]) -> Wire:
        """One functionResponse. Pictures and files go inside it, or before Gemini 3 into `beside`, the user turn after it."""
        made: Wire = {"name": self._tools.alias(call.name), **self._id(call), "response": _response(result)}
        media: list[Wire] = []
        for place, part in enumerate(result.parts):
            if not isinstance(part, Text):
                media += self._parts(part, f"{where}.content[{place}]")
        if media and third_generation(self._abilities):
            made["parts"] = media
        else:
            beside += media
        return {"functionResponse": made}


def _response(result: ToolResult) -> Wire:
    """The result as the object that Gemini wants: the tool's own JSON object as it is, anything else under a key."""
    text = "\n".join(part.text for part in result.parts if isinstance(part, Text))
    try:
        value = jsontext.decode(text.encode())
    except jsontext.NotJson:
        return {"error" if result.is_error else "output": text}
    raw = msgspec.Raw(text.encode())
    if result.is_error:
        return {"error": raw}
    return raw if isinstance(value, dict) else {"output": raw}  # type: ignore[return-value]  # encodes as an object


def _texts(message: Message) -> list[str]:
    """The texts of a system message that say something, marked with the name of who speaks."""
    texts: list[str] = []
    for part in message.parts:
        if isinstance(part, Text) and part.text:
            texts.append(part.text)
    if texts and message.name:
        texts[0] = f"{message.name}: {texts[0]}"
    return texts


def _vouch_for_foreign_calls(turns: list[Wire]) -> None:
    """Mark the first call of each step, where it lacks a signature.

    Google checks the current turn only; a mark that went when the next one begins would change the prefix that caches key on.
    """
    for turn in turns:
        first = next((part for part in turn["parts"] if "functionCall" in part), None)
        if first is not None and turn["role"] == "model":
            first.setdefault("thoughtSignature", SKIP_SIGNATURE)
