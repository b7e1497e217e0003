"""Requests to write towards Gemini, what its models can do, and a check by Google's own types."""

from __future__ import annotations

import copy
import json
from typing import Any

from google.genai import types as genai

from gateway.dialects.gemini import Gemini
from gateway.types import (
    Abilities,
    Message,
    Notes,
    Opaque,
    Part,
    Request,
    Target,
    Text,
    Tool,
    ToolCall,
    ToolResult,
    Translation,
    Written,
)

GEMINI_2_0 = Abilities(json_schema_fields=False, tools_with_schema=False)
GEMINI_2_5 = Abilities(thinking_budget=True, default_thinking=True, tools_with_schema=False, max_output=65536)
GEMINI_3 = Abilities(
    thinking_levels=("minimal", "low", "medium", "high"),
    default_thinking=True,
    requires_signature=True,
    candidate_count=False,
    max_output=65536,
)
GEMINI_3_8 = Abilities(
    thinking_levels=("low", "medium", "high"),
    default_thinking=True,
    requires_signature=True,
    candidate_count=False,
    sampling="ignored",
    penalties=False,
    prefill=False,
)
NAMES = {
    GEMINI_2_0: "gemini-2.0-flash",
    GEMINI_2_5: "gemini-2.5-flash",
    GEMINI_3: "gemini-3-flash",
    GEMINI_3_8: "gemini-3.8-flash",
}
WEATHER = Tool("weather", parameters={"type": "object", "properties": {"city": {"type": "string"}}})
CONFIG_BESIDE = {
    "systemInstruction",
    "tools",
    "toolConfig",
    "safetySettings",
    "cachedContent",
    "labels",
    "serviceTier",
    "store",
}


def say(text: str) -> Message:
    return Message("user", [Text(text)])


def answer(*parts: Part) -> Message:
    return Message("assistant", list(parts))


def call(call_id: str, arguments: str = "{}", name: str = "weather", signature: str = "") -> ToolCall:
    opaque = Opaque("google", "thought_signature", signature) if signature else None
    return ToolCall(call_id, name, arguments, opaque=opaque)


def result(call_id: str, text: str = "ok", is_error: bool = False) -> Message:
    return Message("tool", [ToolResult(call_id, [Text(text)], is_error=is_error)])


def ask(*messages: Message, **fields: Any) -> Request:
    return Request(model="m", messages=list(messages) or [say("hi")], **fields)


def written(
    request: Request,
    abilities: Abilities = GEMINI_3,
    notes: Notes | None = None,
    model: str = "",
    translation: Translation = Translation(),  # noqa: B008  # frozen
) -> Written:
    target = Target(model or NAMES.get(abilities, "gemini"), abilities, translation)
    before = copy.deepcopy(request)
    made = Gemini().write_request(request, target, notes or Notes())
    assert request == before, "a request is written once for each candidate and must stay as it is"
    return made


def body(request: Request, abilities: Abilities = GEMINI_3, notes: Notes | None = None, **more: Any) -> dict[str, Any]:
    """The body as Google's own types read it: an unknown or misplaced field fails the test that asked."""
    wire: dict[str, Any] = json.loads(written(request, abilities, notes, **more).body)
    config = {**wire.get("generationConfig", {}), **{key: wire[key] for key in CONFIG_BESIDE if key in wire}}
    assert set(wire) <= CONFIG_BESIDE | {"contents", "generationConfig"}
    genai.GenerateContentConfig.model_validate(config)
    for content in wire["contents"]:
        genai.Content.model_validate(content)
    return wire


def parts(request: Request, abilities: Abilities = GEMINI_3, notes: Notes | None = None) -> list[Any]:
    """The parts of every content, in order."""
    return [part for content in body(request, abilities, notes)["contents"] for part in content["parts"]]
