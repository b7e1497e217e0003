"""What is changed about a request that a vendor refused because of our translation."""

from __future__ import annotations

import copy
from typing import Any

import pytest

from gateway.core.repair import SKIP_SIGNATURE, learned, repaired
from gateway.errors import Fault, FaultKind, Next
from gateway.types import (
    Abilities,
    Message,
    Opaque,
    Reasoning,
    Request,
    Text,
    Tool,
    ToolCall,
    ToolChoice,
    ToolResult,
)

THOUGHT = Reasoning("hm", Opaque("anthropic", "thinking", {"type": "thinking", "thinking": "hm", "signature": "s"}))


def refusal(kind: FaultKind, param: str | None = None) -> Fault:
    return Fault(kind=kind, next=Next.STOP, status=400, param=param)


def conversation(**fields: Any) -> Request:
    calls = [ToolCall("a", "f", "{}", opaque=Opaque("google", "thought_signature", "AA==")), ToolCall("b", "f", "{}")]
    messages = [
        Message("user", [Text("earlier")]),
        Message("assistant", [THOUGHT, ToolCall("z", "f", "{}")]),
        Message("tool", [ToolResult("z", [Text("ok")])]),
        Message("assistant", [Text("done")]),
        Message("user", [Text("now")]),
        Message("assistant", [THOUGHT, Text("I look."), *calls]),
        Message("tool", [ToolResult("a", [Text("1")]), ToolResult("b", [Text("2")])]),
    ]
    return Request(model="m", messages=messages, tools=[Tool("f")], **fields)


def mended(request: Request, fault: Fault) -> Request:
    before = copy.deepcopy(request)
    made = repaired(request, fault)
    assert request == before, "a request is mended in a copy"
    assert made is not None and made != request
    assert repaired(request, fault) == made
    return made


def test_thoughts_that_belong_elsewhere_are_left_out_and_nothing_else() -> None:
    made = mended(conversation(effort="high"), refusal("replay_mismatch"))

    assert [part for message in made.messages for part in message.parts if isinstance(part, Reasoning)] == []
    assert [part for part in made.messages[5].parts if isinstance(part, ToolCall)] == conversation().messages[5].parts[
        2:
    ]
    assert made.effort == "high"


def test_the_first_call_of_each_step_of_the_current_turn_is_vouched_for() -> None:
    made = mended(conversation(), refusal("signature_missing"))

    old, first, second = (part for m in made.messages for part in m.parts if isinstance(part, ToolCall))
    assert (old.opaque, first.opaque, second.opaque) == (None, SKIP_SIGNATURE, None)


@pytest.mark.parametrize(
    ("param", "given", "left"),
    [
        ("temperature", {"temperature": 0.2, "top_p": 0.9}, {"temperature": None, "top_p": 0.9}),
        ("top_p", {"temperature": 0.2, "top_p": 0.9}, {"temperature": 0.2, "top_p": None}),
        ("top_k", {"top_k": 3}, {"top_k": None}),
        ("frequency_penalty", {"presence_penalty": 1.0}, {"presence_penalty": None, "frequency_penalty": None}),
        ("thinking", {"thinking": {"type": "enabled"}, "effort": "high"}, {"thinking": None, "effort": None}),
        ("reasoning_effort", {"effort": "minimal"}, {"effort": "low"}),
        ("reasoning_effort", {"effort": "xhigh"}, {"effort": None}),
        ("reasoning.effort", {"effort": "none"}, {"effort": "low"}),
        ("verbosity", {"verbosity": "low"}, {"verbosity": None}),
        ("reasoning.summary", {"effort": "high"}, {"effort": "high", "show_thoughts": False}),
        ("tool_choice", {"tool_choice": ToolChoice("required")}, {"tool_choice": ToolChoice("auto")}),
    ],
)
def test_the_named_parameter_goes(param: str, given: dict[str, Any], left: dict[str, Any]) -> None:
    made = mended(conversation(**given), refusal("parameter_refused", param))

    assert {name: getattr(made, name) for name in left} == left


def test_tools_on_the_chat_endpoint_are_called_without_thinking() -> None:
    assert mended(conversation(effort="high"), refusal("wrong_endpoint")).effort == "none"


@pytest.mark.parametrize(
    "fault",
    [
        refusal("parameter_refused", "n"),
        refusal("parameter_refused", "stop"),
        refusal("parameter_refused", "messages"),
        refusal("parameter_refused"),
        refusal("parameter_refused", "temperature"),  # it was not there: the same request would be refused again
        refusal("parameter_refused", "tool_choice"),
        refusal("bad_request"),
        refusal("context_overflow"),
        refusal("overloaded"),
    ],
)
def test_what_is_not_ours_to_mend_stays_refused(fault: Fault) -> None:
    assert repaired(conversation(n=2, stop=["x"]), fault) is None


def test_a_refusal_without_anything_to_take_out_stays_refused() -> None:
    plain = Request(model="m", messages=[Message("user", [Text("hi")])])

    assert [repaired(plain, refusal(kind)) for kind in ("replay_mismatch", "wrong_endpoint")] == [None, None]


@pytest.mark.parametrize(
    ("fault", "field", "value"),
    [
        (refusal("parameter_refused", "temperature"), "sampling", "reject"),
        (refusal("parameter_refused", "presence_penalty"), "penalties", False),
        (refusal("parameter_refused", "tool_choice"), "forced_tool_choice", False),
        (refusal("parameter_refused", "reasoning.summary"), "reasoning_summaries", False),
        (refusal("parameter_refused", "max_tokens"), "output_cap", "max_completion_tokens"),
        (refusal("parameter_refused", "max_completion_tokens"), "output_cap", "max_tokens"),
        (refusal("signature_missing"), "requires_signature", True),
    ],
)
def test_the_model_is_known_better_afterwards(fault: Fault, field: str, value: object) -> None:
    assert getattr(learned(Abilities(output_cap="max_tokens"), fault), field) == value


@pytest.mark.parametrize(
    "fault", [refusal("bad_request"), refusal("parameter_refused", "seed"), refusal("replay_mismatch")]
)
def test_other_refusals_teach_nothing(fault: Fault) -> None:
    abilities = Abilities()

    assert learned(abilities, fault) is abilities
