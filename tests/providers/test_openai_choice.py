"""Which of OpenAI's APIs a call goes to."""

from __future__ import annotations

from typing import Any

import pytest

from gateway.providers.openai_choice import needs_responses
from gateway.types import Abilities, Document, Message, Opaque, Reasoning, Request, Text, Tool, ToolResult

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


@pytest.mark.parametrize(
    ("abilities", "fields", "wanted"),
    [
        (NONE, {"thinking": {"type": "adaptive"}}, True),
        (NONE, {"thinking": {"type": "disabled"}}, False),
        (NONE, {"thinking": {"type": "adaptive"}, "n": 2}, False),
        (NONE, {"show_thoughts": True}, True),
        (NONE, {"show_thoughts": False, "effort": "high"}, False),
        (Abilities(reasoning=True, default_effort="none"), {"show_thoughts": True}, False),
        (Abilities(), {"thinking": {"type": "adaptive"}}, False),
        (ONLY, {"thinking": {"type": "disabled"}}, False),
    ],
)
def test_thoughts_are_asked_for_where_they_are_shown(abilities: Abilities, fields: Any, wanted: bool) -> None:
    assert needs_responses(ask(**fields), abilities) is wanted


def test_documents_by_address_go_where_they_are_fetched() -> None:
    by_url, inline = Document(url="https://e.org/a.pdf"), Document("application/pdf", "JVBERi0x")
    for part, wanted in ((by_url, True), (inline, False), (ToolResult("c", [by_url]), True)):
        assert needs_responses(Request(model="m", messages=[Message("user", [part])]), Abilities()) is wanted


@pytest.mark.parametrize(("vendor", "wanted"), [("openai", True), ("anthropic", False)])
def test_thoughts_of_openai_go_back_where_they_are_read(vendor: str, wanted: bool) -> None:
    request = ask()
    request.messages.append(Message("assistant", [Reasoning("", Opaque(vendor, "encrypted_content", {}))]))

    assert needs_responses(request, Abilities()) is wanted
