"""Input items into messages: what a model said between two turns of others is one assistant turn.

Rule 1: items keep their order; thoughts, texts and calls that follow each other are parts of one turn, results end it.
Rule 2: a thought that nothing follows makes no turn. Rule 3: traces of hosted tools are history that no other vendor can use:
they are left out and noted; of searches written here all that is wanted back stands in thoughts. Rule 4: what would be lost without a word is refused.
Source: openai-python, types/responses/response_input_item_param.py.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec
from msgspec import Struct, field

from gateway.core.places import Spot, grown
from gateway.dialects.openai_checks import name, object_, objects, one_of, optional_text, text
from gateway.dialects.openai_responses_asked import flat_name
from gateway.dialects.openai_responses_content import (
    RESULT_KINDS,
    SAID_KINDS,
    USER_KINDS,
    read_content,
    read_texts,
)
from gateway.dialects.openai_responses_searches import ours
from gateway.types import BadRequest, Message, Opaque, Part, Reasoning, Role, Text, ToolCall, ToolResult

SEALED = "gw1."  # how the gateway's own envelope begins
_ROLES: dict[str, Role] = {"user": "user", "system": "system", "developer": "developer", "assistant": "assistant"}
_TRACES = (
    "web_search_call", "file_search_call", "code_interpreter_call", "image_generation_call", "mcp_list_tools", "mcp_call",
    "mcp_approval_request", "mcp_approval_response", "program", "program_output", "tool_search_call", "tool_search_output",
)  # fmt: skip


class History(Struct):
    """The input, read. tools: those that items add, with their places. updates: later settings, the last one wins."""

    messages: list[Message] = field(default_factory=list)
    tools: list[tuple[dict[str, Any], str]] = field(default_factory=list)
    updates: list[tuple[dict[str, Any], str]] = field(default_factory=list)
    traces: list[str] = field(default_factory=list)  # types of items that are left out

    def say(self, parts: list[Part]) -> None:
        """More of what the model said in this turn."""
        if self.messages and self.messages[-1].role == "assistant":
            self.messages[-1].parts += parts
        else:
            self.messages.append(Message("assistant", parts))

    def turn(self, message: Message) -> None:
        """Another one's turn: the model's is over."""
        self.close()
        self.messages.append(message)

    def close(self) -> None:
        last = self.messages[-1] if self.messages else None
        if last is not None and last.role == "assistant" and all(isinstance(part, Reasoning) for part in last.parts):
            self.messages.pop()


def read_items(value: object, spots: list[Spot] | None = None) -> History:
    """`input`: a text, or items. Raises BadRequest naming the item. With `spots` it is told there what stood where."""
    history = History()
    if isinstance(value, str):
        history.turn(Message("user", [Text(value)]))
        if spots is not None:
            spots.append(Spot("input", ["input"]))
        return history
    for at, item in enumerate(objects(value, "input")):
        _item(item, f"input[{at}]", history)
        if spots is not None:
            _spot(item, f"input[{at}]", history, spots)
    history.close()
    return history


def _spot(item: dict[str, Any], place: str, history: History, spots: list[Spot]) -> None:
    """Where the last item stood; a message's own parts have places of their own."""
    del spots[len(history.messages) :]  # a thought that nothing followed made no turn
    content = item.get("content")
    inner = [f"{place}.content[{at}]" for at in range(len(content))] if isinstance(content, list) else []
    grown(spots, [len(message.parts) for message in history.messages], place, inner)


def check_calls(messages: list[Message], answers_required: bool) -> None:
    """Every result answers a call before it, once, and every call is answered. Raises BadRequest in OpenAI's words."""
    waiting: dict[str, None] = {}
    for message in messages:
        for part in message.parts:
            if isinstance(part, ToolCall):
                waiting[part.id] = None
            elif isinstance(part, ToolResult):
                if part.call_id not in waiting:
                    raise BadRequest(
                        f"No tool call found for function call output with call_id {part.call_id[:64]}.", "input"
                    )
                del waiting[part.call_id]
    if waiting and answers_required:
        raise BadRequest(f"No tool output found for function call {next(iter(waiting))[:64]}.", "input")


def _item(item: dict[str, Any], param: str, history: History) -> None:
    given = item.get("type")
    if given is None:
        given = "message" if "role" in item else "item_reference" if set(item) == {"id"} else None
    kind = text(given, f"{param}.type")
    reader = _READERS.get(kind)
    if reader is not None:
        reader(item, param, history)
    elif kind in _TRACES:
        if kind not in history.traces and not ours(item):
            history.traces.append(kind)
    elif kind == "item_reference":
        wanted = optional_text(item.get("id"), f"{param}.id") or ""
        raise BadRequest(f"Item with id '{wanted[:80]}' not found.", param, "item_not_found")
    else:
        raise BadRequest(
            f"The input item '{kind[:80]}' is not supported by the provider chosen.", param, "unsupported_content"
        )


def _message(item: dict[str, Any], param: str, history: History) -> None:
    role = _ROLES[one_of(item.get("role"), f"{param}.role", _ROLES)]
    if role == "assistant":
        history.say(read_content(item.get("content"), f"{param}.content", SAID_KINDS))
        return
    kinds = USER_KINDS if role == "user" else ("input_text", "text", "output_text")
    history.turn(Message(role, read_content(item.get("content"), f"{param}.content", kinds)))


def _reasoning(item: dict[str, Any], param: str, history: History) -> None:
    shown = read_texts(item.get("summary"), f"{param}.summary") or read_texts(item.get("content"), f"{param}.content")
    kept = optional_text(item.get("encrypted_content"), f"{param}.encrypted_content")
    if kept:
        sealed = kept.startswith(SEALED)
        opaque = Opaque("gateway", "sealed", kept) if sealed else Opaque("openai", "encrypted_content", item)
        history.say([Reasoning(shown, opaque)])
    elif shown:
        history.say([Reasoning(shown)])


def _function_call(item: dict[str, Any], param: str, history: History) -> None:
    _called(_call(item, param, text(item.get("arguments"), f"{param}.arguments")), history)


def _custom_call(item: dict[str, Any], param: str, history: History) -> None:
    _called(_call(item, param, text(item.get("input"), f"{param}.input"), custom=True), history)


def _call(item: dict[str, Any], param: str, arguments: str, custom: bool = False) -> ToolCall:
    namespace = optional_text(item.get("namespace"), f"{param}.namespace") or ""
    called = flat_name(namespace, name(item.get("name"), f"{param}.name"))
    return ToolCall(name(item.get("call_id"), f"{param}.call_id"), called, arguments, custom)


def _called(call: ToolCall, history: History) -> None:
    """A sealed thought without words directly before a call is what rides on it; the envelope's opener puts apart the rest."""
    before = history.messages[-1].parts if history.messages and history.messages[-1].role == "assistant" else []
    last = before[-1] if before else None
    if isinstance(last, Reasoning) and not last.text and last.opaque is not None and last.opaque.vendor == "gateway":
        before.pop()
        call.opaque = last.opaque
    history.say([call])


def _typed_call(tool: str, where: str) -> Callable[[dict[str, Any], str, History], None]:
    def read(item: dict[str, Any], param: str, history: History) -> None:
        action = object_(item.get(where), f"{param}.{where}")
        said = {key: value for key, value in action.items() if value is not None and (key, value) != ("type", "exec")}
        call_id = name(item.get("call_id") or item.get("id"), f"{param}.call_id")
        _called(ToolCall(call_id, tool, msgspec.json.encode(said).decode()), history)

    return read


def _output(item: dict[str, Any], param: str, history: History) -> None:
    call_id = name(item.get("call_id"), f"{param}.call_id")
    parts = read_content(item.get("output"), f"{param}.output", RESULT_KINDS)
    history.turn(Message("tool", [ToolResult(call_id, parts)]))


def _local_shell_output(item: dict[str, Any], param: str, history: History) -> None:
    # Its `id` is that of the call.
    call_id = name(item.get("call_id") or item.get("id"), f"{param}.id")
    history.turn(Message("tool", [ToolResult(call_id, [Text(text(item.get("output"), f"{param}.output"))])]))


def _shell_output(item: dict[str, Any], param: str, history: History) -> None:
    call_id = name(item.get("call_id"), f"{param}.call_id")
    outputs = objects(item.get("output"), f"{param}.output")
    history.turn(Message("tool", [ToolResult(call_id, [Text(msgspec.json.encode(outputs).decode())])]))


def _patch_output(item: dict[str, Any], param: str, history: History) -> None:
    call_id = name(item.get("call_id"), f"{param}.call_id")
    status = one_of(item.get("status"), f"{param}.status", ("completed", "failed"))
    shown = optional_text(item.get("output"), f"{param}.output") or status
    history.turn(Message("tool", [ToolResult(call_id, [Text(shown)], is_error=status == "failed")]))


def _more_tools(item: dict[str, Any], param: str, history: History) -> None:
    for at, tool in enumerate(objects(item.get("tools"), f"{param}.tools")):
        history.tools.append((tool, f"{param}.tools[{at}]"))


def _update(item: dict[str, Any], param: str, history: History) -> None:
    history.updates.append((item, param))


_READERS: dict[str, Callable[[dict[str, Any], str, History], None]] = {
    "message": _message,
    "reasoning": _reasoning,
    "function_call": _function_call,
    "custom_tool_call": _custom_call,
    "function_call_output": _output,
    "custom_tool_call_output": _output,
    "local_shell_call": _typed_call("local_shell", "action"),
    "local_shell_call_output": _local_shell_output,
    "shell_call": _typed_call("shell", "action"),
    "shell_call_output": _shell_output,
    "apply_patch_call": _typed_call("apply_patch", "operation"),
    "apply_patch_call_output": _patch_output,
    "additional_tools": _more_tools,
    "configuration_update": _update,
}
