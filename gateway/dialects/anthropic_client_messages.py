"""System and messages of a client's Messages request, and the rules that hold between turns.

Every wire message becomes one `Message`; the top-level system becomes the first. A sealed thing directly before a call is the
call's own (that is how anthropic_client_reply writes a signature that Anthropic's tool_use has no place for).
Source: anthropic types message_param.py; the texts of Anthropic's own refusals.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
from msgspec import Raw, Struct

from gateway.dialects.anthropic_client_checks import bad, objects, one_of
from gateway.dialects.anthropic_client_content import Block, Losses, assistant_block, spoken, texts
from gateway.types import BadRequest, Message, Part, Reasoning, Text, ToolCall, ToolResult

BILLING = "x-anthropic-billing-header:"  # Claude Code's first system block: differs from call to call, says nothing to a model
_ROLES = ("user", "assistant", "system")


class _RawBlock(Struct):
    input: Raw = Raw(b"{}")


class _RawMessage(Struct):
    content: Raw = Raw(b'""')


class _RawBody(Struct):
    messages: list[_RawMessage]


_decode_body = msgspec.json.Decoder(_RawBody).decode
_decode_blocks = msgspec.json.Decoder(list[_RawBlock]).decode


def read_system(value: object) -> list[Message]:
    """The top-level system as the first message; none when it says nothing."""
    if value is None:
        return []
    said = [part for part in texts(value, "system") if speaks(part)]
    return [Message("system", list[Part](said))] if said else []


def speaks(part: Text) -> bool:
    """Whether a text of the top-level system says something to a model."""
    return bool(part.text) and not part.text.startswith(BILLING)


def read_messages(value: object, body: bytes, losses: Losses) -> list[Message]:
    """All of them, each checked by itself. `body` is where the values come from: a call's input keeps its own spelling."""
    items = objects(value, "messages")
    if not items:
        raise bad("messages", "at least one message is required")
    spelled: list[_RawMessage] | None = None
    messages: list[Message] = []
    for place, item in enumerate(items):
        param = f"messages.{place}"
        role = one_of(item.get("role"), f"{param}.role", _ROLES)
        content = item.get("content")
        if role == "system":
            messages.append(Message("system", list[Part](texts(content, f"{param}.content"))))
        elif role == "user":
            messages.append(Message("user", spoken(content, f"{param}.content", losses)))
        elif isinstance(content, str):
            messages.append(Message("assistant", [Text(content)]))
        else:
            blocks = objects(content, f"{param}.content")
            inputs = [""] * len(blocks)
            if any(block.get("type") == "tool_use" for block in blocks):
                spelled = spelled or _decode_body(body).messages
                inputs = [_compact(block.input) for block in _decode_blocks(spelled[place].content)]
            messages.append(Message("assistant", _assistant(blocks, inputs, f"{param}.content", losses)))
    return messages


def _compact(raw: Raw) -> str:
    """White space between the values is the serialiser's, not the model's; numbers and key order stay as they are."""
    return msgspec.json.format(bytes(raw), indent=-1).decode()


def _assistant(blocks: list[Block], inputs: list[str], param: str, losses: Losses) -> list[Part]:
    parts: list[Part] = []
    for place, (block, arguments) in enumerate(zip(blocks, inputs, strict=True)):
        found = assistant_block(block, arguments, f"{param}.{place}", losses)
        if merges(parts, found):
            found[0].opaque = parts.pop().opaque  # type: ignore[union-attr]
        parts += found
    return parts


def merges(parts: Sequence[Part], found: Sequence[Part]) -> bool:
    """Whether the last of `parts` is a sealed thing that belongs to the call found behind it."""
    before, first = (parts[-1] if parts else None), (found[0] if found else None)
    sealed = isinstance(before, Reasoning) and _is_sealed(before) and not before.text
    return sealed and isinstance(first, ToolCall)


def _is_sealed(thought: Reasoning) -> bool:
    return thought.opaque is not None and thought.opaque.vendor == "gateway"


def check_conversation(messages: list[Message], first: int) -> None:
    """Every call is answered in the next turn and every result answers a call of the turn before. Raises BadRequest.

    `first` messages of the list stand for the top-level system. Neighbours of one role are one turn.
    """
    calls: dict[str, str] = {}  # open ones, and where they were made
    answered: set[str] = set()
    turn = ""
    for place, message in enumerate(messages[first:]):
        if message.role == "system":
            continue
        if message.role == "assistant":
            if turn == "user":
                _settled(calls)
                calls, answered = {}, set()
            calls.update((part.id, f"messages.{place}") for part in message.parts if isinstance(part, ToolCall))
        else:
            _take_answers(message, f"messages.{place}.content", calls, answered)
        turn = message.role
    _settled(calls)


def _take_answers(message: Message, param: str, calls: dict[str, str], answered: set[str]) -> None:
    for place, part in enumerate(message.parts):
        if not isinstance(part, ToolResult):
            continue
        id_ = part.call_id
        if id_ in answered:
            raise bad(f"{param}.{place}", f"each tool_use must have a single result. Found multiple for id: {id_[:64]}")
        if id_ not in calls:
            raise bad(
                f"{param}.{place}",
                f"unexpected `tool_use_id` found in `tool_result` blocks: {id_[:64]}. Each `tool_result` block must have "
                "a corresponding `tool_use` block in the previous message.",
            )
        del calls[id_]
        answered.add(id_)


def _settled(calls: dict[str, str]) -> None:
    if calls:
        place = next(iter(calls.values()))
        raise BadRequest(
            f"{place}: `tool_use` ids were found without `tool_result` blocks immediately after: "
            f"{', '.join(calls)[:200]}. Each `tool_use` block must have a corresponding `tool_result` block in the next "
            "message.",
            place,
        )
