"""Which tool the model may or must call: tool_choice, parallel calls, and the emulation of what newer models refuse."""

from __future__ import annotations

from typing import Any

from msgspec import Struct

from gateway.dialects.anthropic_schema import Schema, Unrepresentable
from gateway.dialects.anthropic_tools import Toolbox
from gateway.dialects.anthropic_undo import Called
from gateway.types import Abilities, Notes, Request, Target, ToolChoice, Unsupported


class Choice(Struct, frozen=True):
    """wire: Anthropic's tool_choice or None to leave it out. schema and forced: the output that stands for a forced call.
    forces: whether the choice itself forces a call, which does not go with manual thinking.
    """

    wire: dict[str, Any] | None = None
    schema: Schema | None = None
    forced: dict[str, Called] | None = None
    forces: bool = False


def choose(request: Request, box: Toolbox, target: Target, notes: Notes) -> Choice:
    """Raises Unsupported for a choice of what is not offered, and for one that is neither taken nor to be emulated."""
    choice = request.tool_choice
    if not request.tools:
        if choice is not None and choice.mode not in ("auto", "none"):
            raise Unsupported("tool_choice", "tool_choice is only allowed when tools are specified", "invalid_request")
        return Choice()
    mode = choice.mode if choice is not None else ""
    if choice is None or mode in ("auto", "allowed_auto"):
        return Choice(_auto(choice, request, notes))
    if mode == "none":
        return Choice({"type": "none"})  # takes no parallel flag; the tools stay, the history may hold calls
    return _forced(choice, request, box, target, notes)


def _auto(choice: ToolChoice | None, request: Request, notes: Notes) -> dict[str, Any] | None:
    if choice is not None and choice.mode == "allowed_auto":
        notes.warn("allowed_tools_not_enforced")
    if choice is None and request.parallel_tool_calls is not False:
        return None
    return _flagged({"type": "auto"}, request)


def _flagged(wire: dict[str, Any], request: Request) -> dict[str, Any]:
    return {**wire, "disable_parallel_tool_use": True} if request.parallel_tool_calls is False else wire


def _forced(choice: ToolChoice, request: Request, box: Toolbox, target: Target, notes: Notes) -> Choice:
    names = choice.names[:1] if choice.mode == "named" else choice.names
    for name in names:
        if not box.offers(name):
            raise Unsupported("tool_choice", f"tool {name!r} is not among the tools of this request", "invalid_request")
    if not target.abilities.forced_tool_choice:
        return _refused(names, request, box, target, notes)
    if len(names) == 1:
        return Choice(_flagged({"type": "tool", "name": box.alias(names[0])}, request), forces=True)
    if names:
        notes.warn("allowed_tools_not_enforced")
    return Choice(_flagged({"type": "any"}, request), forces=True)


def _refused(names: list[str], request: Request, box: Toolbox, target: Target, notes: Notes) -> Choice:
    """What becomes of a forced call that the model refuses: the operator's choice."""
    match target.translation.forced_tool:
        case "reject":
            raise Unsupported("tool_choice", "this model cannot be forced to call a tool: use tool_choice auto or none")
        case "auto":
            return _free(request, notes)
    return _emulated(names, request, box, target.abilities, notes)


def _free(request: Request, notes: Notes) -> Choice:
    notes.drop("tool_choice", "forced_tool_downgraded")
    return Choice(_flagged({"type": "auto"}, request))


def _emulated(names: list[str], request: Request, box: Toolbox, abilities: Abilities, notes: Notes) -> Choice:
    tools = box.callable(names)
    try:
        if not abilities.structured_outputs or not tools:
            raise Unrepresentable("no structured outputs")
        schema = box.answer_schema(tools)
    except Unrepresentable:
        return _free(request, notes)
    notes.warn("forced_tool_emulated")
    return Choice({"type": "none"}, schema, tools)
