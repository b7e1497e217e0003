"""Which of OpenAI's APIs a call goes to."""

from __future__ import annotations

from typing import Any

import pytest

from gateway.providers.openai_choice import needs_responses
from gateway.types import Abilities, Message, Opaque, Reasoning, Request, Text, Tool

TOOL = Tool("f")
LEVELS = ("none", "low", "medium", "high")
ONLY = Abilities(requires_responses=True, reasoning=True, effort_levels=LEVELS)
NONE = Abilities(chat_tools_effort_none=True, reasoning=True, effort_levels=LEVELS)


def ask(**fields: Any) -> Request:
    return Request(model="m", messages=[Message("user", [Text("hi")])], **fields)


@pytest.mark.parametrize(
    ("abilities", "fields", "wanted"),
    [
        (Abilities(), {"tools": [TOOL], "effort": "high"}, False),
        (ONLY, {}, False),
        (ONLY, {"tools": [TOOL]}, True),
        (ONLY, {"tools": [TOOL], "effort": "none"}, True),
        (NONE, {}, False),
        (NONE, {"effort": "high"}, False),
        (NONE, {"tools": [TOOL]}, True),
        (NONE, {"tools": [TOOL], "effort": "high"}, True),
        (NONE, {"tools": [TOOL], "effort": "none"}, False),
        (NONE, {"tools": [TOOL], "thinking": {"type": "disabled"}}, False),
        (Abilities(chat_tools_effort_none=True, default_effort="none"), {"tools": [TOOL]}, False),
        (NONE, {"tools": [TOOL], "thinking": {"type": "enabled", "budget_tokens": 3000}}, True),
    ],
)
def test_tools_go_where_the_model_takes_them(abilities: Abilities, fields: Any, wanted: bool) -> None:
    assert needs_responses(ask(**fields), abilities) is wanted


@pytest.mark.parametrize(("vendor", "wanted"), [("openai", True), ("anthropic", False)])
def test_thoughts_of_openai_go_back_where_they_are_read(vendor: str, wanted: bool) -> None:
    request = ask()
    request.messages.append(Message("assistant", [Reasoning("", Opaque(vendor, "encrypted_content", {}))]))

    assert needs_responses(request, Abilities()) is wanted
