"""The messages of a client's Chat request, one reader a role, and the rules that hold between them.

Every wire message becomes one `Message`. Parts stand in the order thinking, content, refusal, tool calls.
Source: openai-python, types/chat/chat_completion_*_message_param.py.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from typing import Any

from gateway.dialects.openai_chat_content import read_content, read_reasoning, signature_of
from gateway.dialects.openai_checks import name, not_among, object_, objects, optional_bool, optional_text, text
from gateway.dialects.openai_media import read_cache
from gateway.types import (
    BadRequest,
    Document,
    Image,
    Message,
    Opaque,
    Part,
    Reasoning,
    Refusal,
    Role,
    Text,
    ToolCall,
    ToolResult,
    VendorBlock,
)

_SPEAKERS = ("user", "assistant", "system", "developer")
_USER_KINDS = ("text", "image_url", "input_audio", "file")
_TOOL_KINDS = ("text", "image_url", "file")  # images and files are beyond the specification, and common


def read_messages(value: list[Any], answers_required: bool = True) -> list[Message]:
    """All of them, each checked by itself and then against those before it (`check_conversation`). Raises BadRequest."""
    messages: list[Message] = []
    plain = True
    for place, item in enumerate(value):
        if type(item) is not dict:
            object_(item, f"messages[{place}]")  # says what is wrong
        content = item.get("content")
        if type(content) is str and len(item) == 2 and item.get("role") in _SPEAKERS:
            messages.append(Message(item["role"], [Text(content)]))  # nothing else is said: nearly all messages
            continue
        plain = False
        param = f"messages[{place}]"
        role = text(item.get("role"), f"{param}.role")
        if role not in _READERS:
            raise not_among(f"{param}.role", role, _READERS)
        message = _READERS[role](item, param, messages)
        if role in _SPEAKERS:
            message.name = optional_text(item.get("name"), f"{param}.name") or ""
        messages.append(message)
    if not plain:  # without calls there is nothing to answer
        check_conversation(messages, answers_required)
    return messages


def check_conversation(messages: list[Message], answers_required: bool) -> None:
    """Every tool result answers a call before it, once; and every call is answered before the next turn.

    The second rule is left to the provider's dialect, which may repair, unless `answers_required`. Raises BadRequest in
    OpenAI's words.
    """
    open_calls: list[str] = []
    answered: set[str] = set()
    for place, message in enumerate(messages):
        if message.role == "tool":
            _take_answers(message, place, open_calls, answered)
        elif message.role in ("user", "assistant"):
            if open_calls and answers_required:
                raise _unanswered(open_calls, place)
            open_calls, answered = [], set()
            for part in message.parts:
                if isinstance(part, ToolCall):
                    open_calls.append(part.id)
    if open_calls and answers_required:
        raise _unanswered(open_calls, len(messages) - 1)


def _take_answers(message: Message, place: int, open_calls: list[str], answered: set[str]) -> None:
    param = f"messages[{place}].tool_call_id"
    for part in message.parts:
        if not isinstance(part, ToolResult):
            continue
        if part.call_id in answered:
            raise BadRequest(
                f"Duplicate value for 'tool_call_id' of '{part.call_id[:64]}' in messages[{place}].", param
            )
        if part.call_id not in open_calls:
            rule = "messages with role 'tool' must be a response to a preceding message with 'tool_calls'"
            raise BadRequest(f"Invalid parameter: {rule}.", param)
        open_calls.remove(part.call_id)
        answered.add(part.call_id)


def _unanswered(open_calls: list[str], place: int) -> BadRequest:
    message = (
        "An assistant message with 'tool_calls' must be followed by tool messages responding to each 'tool_call_id'. "
        f"The following tool_call_ids did not have response messages: {', '.join(open_calls)[:200]}"
    )
    return BadRequest(message, f"messages.[{place}].role")


def _instruction(role: Role) -> Callable[[dict[str, Any], str, list[Message]], Message]:
    def read(item: dict[str, Any], param: str, before: list[Message]) -> Message:
        parts = read_content(item.get("content"), f"{param}.content", ("text",))
        return Message(role, _with_cache(parts, item, param))

    return read


def _user(item: dict[str, Any], param: str, before: list[Message]) -> Message:
    return Message("user", _with_cache(read_content(item.get("content"), f"{param}.content", _USER_KINDS), item, param))


def _assistant(item: dict[str, Any], param: str, before: list[Message]) -> Message:
    parts = read_reasoning(item, param)
    parts += read_content(item.get("content"), f"{param}.content", ("text", "refusal"), required=False)
    refusal = optional_text(item.get("refusal"), f"{param}.refusal")
    if refusal:
        parts.append(Refusal(refusal))
    if item.get("audio") is not None:
        parts.append(VendorBlock(Opaque("openai", "audio", object_(item["audio"], f"{param}.audio"))))
    _sign(parts, signature_of(item))
    return Message("assistant", _with_cache(parts, item, param) + _calls(item, param, len(before)))


def _sign(parts: list[Part], signature: Opaque | None) -> None:
    """A signature on the whole message belongs to its last text; without a text it stands alone."""
    if signature is None:
        return
    texts = [part for part in parts if isinstance(part, Text)]
    if texts:
        texts[-1].opaque = signature
    else:
        parts.append(Reasoning("", signature))


def _calls(item: dict[str, Any], param: str, position: int) -> list[Part]:
    calls: list[Part] = []
    if item.get("tool_calls") is not None:
        param_of = f"{param}.tool_calls"
        calls = [_call(call, f"{param_of}[{at}]") for at, call in enumerate(objects(item["tool_calls"], param_of))]
    if item.get("function_call") is not None:
        given = object_(item["function_call"], f"{param}.function_call")
        called = name(given.get("name"), f"{param}.function_call.name")
        arguments = text(given.get("arguments"), f"{param}.function_call.arguments")
        calls.append(ToolCall(_legacy_id(position, called), called, arguments))
    return calls


def _call(call: dict[str, Any], param: str) -> ToolCall:
    call_id = name(call.get("id"), f"{param}.id")
    kind = call.get("type", "function")
    if kind not in ("function", "custom"):
        raise not_among(f"{param}.type", str(kind), ("function", "custom"))
    custom = kind == "custom"
    place, field = f"{param}.{kind}", "input" if custom else "arguments"
    given = object_(call.get(kind), place)
    arguments = text(given.get(field), f"{place}.{field}")
    return ToolCall(call_id, name(given.get("name"), f"{place}.name"), arguments, custom, signature_of(call))


def _tool(item: dict[str, Any], param: str, before: list[Message]) -> Message:
    call_id = name(item.get("tool_call_id"), f"{param}.tool_call_id")
    parts = read_content(item.get("content"), f"{param}.content", _TOOL_KINDS)
    is_error = optional_bool(item.get("is_error"), f"{param}.is_error") or False
    return Message("tool", [ToolResult(call_id, parts, is_error=is_error, cache=read_cache(item, param))])


def _function(item: dict[str, Any], param: str, before: list[Message]) -> Message:
    """The deprecated role: it answers the latest call of that name that has no answer yet."""
    called = name(item.get("name"), f"{param}.name")
    content = optional_text(item.get("content"), f"{param}.content") or ""
    answered = {part.call_id for message in before for part in message.parts if isinstance(part, ToolResult)}
    calls = [part for message in before for part in message.parts if isinstance(part, ToolCall) and part.name == called]
    waiting = [call.id for call in calls if call.id not in answered]
    if not waiting:
        raise BadRequest(
            f"Invalid parameter: no function_call of '{called}' stands before this message.", f"{param}.name"
        )
    return Message("tool", [ToolResult(waiting[-1], [Text(content)], name=called)])


def _legacy_id(position: int, called: str) -> str:
    """Derived from where the call stands, so that the same history gives the same bytes in every turn."""
    return "call_" + hashlib.sha256(f"{position}:{called}".encode()).hexdigest()[:24]


def _with_cache(parts: list[Part], item: dict[str, Any], param: str) -> list[Part]:
    """A cache mark on the message belongs to its last part that can bear one."""
    marker = read_cache(item, param)
    bearers = [part for part in parts if isinstance(part, Text | Image | Document)]
    if marker is not None and bearers:
        bearers[-1].cache = marker
    return parts


_READERS: dict[str, Callable[[dict[str, Any], str, list[Message]], Message]] = {
    "system": _instruction("system"),
    "developer": _instruction("developer"),
    "user": _user,
    "assistant": _assistant,
    "tool": _tool,
    "function": _function,
}
