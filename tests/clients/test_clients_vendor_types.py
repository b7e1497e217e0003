"""What the gateway sends to Anthropic and Gemini is a request by the vendors' own types; the check itself is checked too.

Every test that uses the `house` ends with this check. Here are the conversations that reach the corners of the translation.
"""

from __future__ import annotations

from typing import Any

import pytest
import vendor_types
from clients_house import House
from clients_kit import MODELS, QUESTION, TOOLS, Person, png, user
from openai.lib._pydantic import to_strict_json_schema
from pydantic import ValidationError

PICTURE = {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{png(2, 2)}", "detail": "low"}}
SCHEMA = {"name": "person", "strict": True, "schema": to_strict_json_schema(Person)}
ASSISTANT_CALLS = {
    "role": "assistant",
    "content": "I look.",
    "tool_calls": [{"id": "call_1", "type": "function", "function": {"name": "get_time", "arguments": '{"city":"X"}'}}],
}
CONVERSATIONS: dict[str, dict[str, Any]] = {
    "plain": {},
    "streamed": {"stream": True},
    "instructions": {
        "messages": [{"role": "system", "content": "A"}, {"role": "developer", "content": "B"}, *user("hi")]
    },
    "instructions in between": {"messages": [*user("hi"), {"role": "system", "content": "A"}, *user("ho")]},
    "two turns of the same role": {"messages": user("hi") * 2},
    "parts and names": {"messages": [{**user([{"type": "text", "text": "hi"}])[0], "name": "ada"}]},
    "limits": {"max_tokens": 50, "stop": ["END", "STOP"], "temperature": 0.3, "top_p": 0.9},
    "penalties, seed and biases": {
        "frequency_penalty": 0.5,
        "presence_penalty": 0.5,
        "seed": 7,
        "logit_bias": {"5": 1},
    },
    "user and metadata": {"user": "u-1", "metadata": {"a": "b"}, "store": False, "service_tier": "auto"},
    "tools": {"messages": user(QUESTION), "tools": TOOLS},
    "a forced tool": {"tools": TOOLS, "tool_choice": "required", "parallel_tool_calls": False},
    "a history of calls and results": {
        "messages": [
            *user("time?"),
            ASSISTANT_CALLS,
            {"role": "tool", "tool_call_id": "call_1", "content": [{"type": "text", "text": "noon"}]},
            *user("thanks"),
        ],
        "tools": TOOLS,
    },
    "a schema": {"response_format": {"type": "json_schema", "json_schema": SCHEMA}},
    "some JSON": {"messages": user("answer in JSON"), "response_format": {"type": "json_object"}},
    "a picture": {"messages": user([PICTURE, {"type": "text", "text": "what?"}])},
    **{f"effort {effort}": {"reasoning_effort": effort} for effort in ("none", "low", "medium", "high")},
}


@pytest.mark.parametrize("name", CONVERSATIONS)
@pytest.mark.parametrize("provider", vendor_types.CHECKS)
def test_every_conversation_is_one_valid_request(house: House, provider: str, name: str) -> None:
    request = {"messages": user("hi"), **CONVERSATIONS[name]}
    with house.openai() as client:
        answer = client.chat.completions.create(model=MODELS[provider], **request)
        if request.get("stream"):
            assert list(answer)[-1].choices[0].finish_reason == "stop"

    (row,) = house.sent(provider)
    vendor_types.check(provider, row["body"])
    assert row["status"] == 200


def anthropic_body(**more: Any) -> dict[str, Any]:
    return {"model": "claude-sonnet-4-6", "max_tokens": 5, "messages": user("hi"), **more}


@pytest.mark.parametrize(
    ("provider", "body"),
    [
        ("anthropic", anthropic_body(max_completion_tokens=5)),
        ("anthropic", anthropic_body(messages=[{"role": "tool", "content": "x"}])),
        ("anthropic", anthropic_body(messages=user([{"type": "text", "text": "x", "detail": "low"}]))),
        ("anthropic", anthropic_body(messages=user([PICTURE]))),
        ("anthropic", anthropic_body(tools=[{"name": "x", "input_schema": {"type": "object"}, "parameters": {}}])),
        ("anthropic", anthropic_body(thinking={"type": "adaptive", "effort": "low"})),
        ("gemini", {"contents": [{"role": "user", "parts": [{"text": "x", "detail": "low"}]}]}),
        ("gemini", {"contents": [], "generationConfig": {"max_tokens": 5}}),
        ("gemini", {"contents": [], "tools": [{"functionDeclarations": [{"name": "x", "arguments": {}}]}]}),
    ],
)
def test_the_check_finds_what_a_vendor_does_not_know(provider: str, body: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        vendor_types.check(provider, body)
