"""Tool names and call ids of other vendors that the Chat API refuses: others stand for them, and the client hears its own."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest

from gateway.dialects.openai_chat import OPENAI_CHAT
from gateway.types import (
    Abilities,
    Message,
    Notes,
    Request,
    Target,
    Text,
    Tool,
    ToolCall,
    ToolChoice,
    ToolResult,
    ToolStart,
    Written,
)

LONG = "mcp__plugin_" + "x" * 100  # Anthropic and Gemini take 128 characters, Gemini dots and colons as well
LONG_ID = "toolu_" + "y" * 100
LEGAL = re.compile(r"[a-zA-Z0-9_-]{1,64}")


def written(*names: str, custom: bool = False, **members: Any) -> Written:
    asked = [Message("user", [Text("hi")]), Message("assistant", [ToolCall(LONG_ID, names[0], "{}", custom)])]
    asked.append(Message("tool", [ToolResult(LONG_ID, [Text("done")])]))
    tools = [Tool(name, custom=custom) for name in names]
    request = Request(model="m", messages=asked, tools=tools, **members)
    return OPENAI_CHAT.write_request(request, Target("gpt-4o", Abilities()), Notes())


@pytest.mark.parametrize("custom", [False, True])
@pytest.mark.parametrize("name", [LONG, "ns.tool:x", "täglich"])
def test_a_name_that_is_refused_has_another_everywhere(name: str, custom: bool) -> None:
    kind = "custom" if custom else "function"
    wire = json.loads(written(name, "plain", custom=custom, tool_choice=ToolChoice("named", [name])).body)
    called, _ = wire["messages"][1:]
    sent = wire["tools"][0][kind]["name"]

    assert LEGAL.fullmatch(sent)
    assert wire["tools"][1][kind]["name"] == "plain"
    assert wire["tool_choice"][kind]["name"] == called["tool_calls"][0][kind]["name"] == sent


def test_names_that_begin_alike_stay_apart() -> None:
    wire = json.loads(written(LONG, LONG + "y", "a.b", "a_b").body)

    assert len({tool["function"]["name"] for tool in wire["tools"]}) == 4


def test_an_id_that_is_too_long_has_the_same_other_one_on_both_sides() -> None:
    called, answered = json.loads(written("f").body)["messages"][1:]

    assert len(answered["tool_call_id"]) <= 40
    assert called["tool_calls"][0]["id"] == answered["tool_call_id"]


def test_the_client_hears_its_own_name() -> None:
    sent = written(LONG)
    name = json.loads(sent.body)["tools"][0]["function"]["name"]
    call = {"index": 0, "id": "c", "type": "function", "function": {"name": name, "arguments": "{}"}}
    whole = {"choices": [{"index": 0, "message": {"tool_calls": [call]}, "finish_reason": "tool_calls"}]}
    chunk = {"choices": [{"index": 0, "delta": {"tool_calls": [call]}}]}
    events = OPENAI_CHAT.reader(sent.undo).feed(b"data: " + json.dumps(chunk).encode() + b"\n\n")

    assert OPENAI_CHAT.read_reply(json.dumps(whole).encode(), sent.undo).choices[0].parts == [ToolCall("c", LONG, "{}")]
    assert [event.name for event in events if isinstance(event, ToolStart)] == [LONG]


def test_a_request_whose_names_are_taken_needs_nothing_undone() -> None:
    assert written("get_weather").undo is None
