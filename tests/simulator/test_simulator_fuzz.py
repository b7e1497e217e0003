"""Whatever is sent, a vendor answers or refuses; it never breaks. Good requests are damaged at random places."""

from __future__ import annotations

import copy
from typing import Any

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from simulator_kit import TIME, WEATHER, png

from gateway.simulator.anthropic import count_tokens, messages
from gateway.simulator.gemini import batch_embed_contents, generate, stream
from gateway.simulator.openai import chat, embeddings
from gateway.simulator.openai_moderations import moderations
from gateway.simulator.openai_responses import create
from gateway.simulator.openai_responses_thoughts import encrypted
from gateway.simulator.replies import Endpoint, Refused, Sent, Stream

CLOSED = {"type": "object", "properties": {"a": {"type": "string"}}, "required": ["a"], "additionalProperties": False}

CHAT = {
    "model": "gpt-5.4",
    "messages": [
        {"role": "system", "content": "json"},
        {
            "role": "user",
            "content": [
                {"type": "text", "text": "time in Rome"},
                {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{png()}"}},
            ],
        },
        {
            "role": "assistant",
            "content": None,
            "tool_calls": [{"id": "c1", "type": "function", "function": {"name": "get_time", "arguments": "{}"}}],
        },
        {"role": "tool", "tool_call_id": "c1", "content": "noon"},
    ],
    "tools": [
        {"type": "function", "function": {"name": "get_time", "parameters": CLOSED, "strict": True}},
        {"type": "function", "function": {"name": "get_weather", "parameters": WEATHER}},
    ],
    "tool_choice": {
        "type": "allowed_tools",
        "allowed_tools": {"mode": "required", "tools": [{"type": "function", "function": {"name": "get_time"}}]},
    },
    "response_format": {"type": "json_schema", "json_schema": {"name": "x", "schema": CLOSED, "strict": True}},
    "stream": True,
    "stream_options": {"include_usage": True},
    "stop": ["x"],
    "max_completion_tokens": 40,
    "metadata": {"a": "b"},
}
RESPONSES = {
    "model": "gpt-5.4",
    "instructions": "json",
    "input": [
        {
            "role": "user",
            "content": [
                {"type": "input_text", "text": "time in Rome"},
                {"type": "input_image", "image_url": f"data:image/png;base64,{png()}", "detail": "auto"},
            ],
        },
        {"type": "reasoning", "summary": [], "encrypted_content": encrypted("rs_1", "gpt-5.4", "hm")},
        {"type": "message", "id": "msg_1", "role": "assistant", "content": [{"type": "output_text", "text": "x"}]},
        {"type": "function_call", "id": "fc_1", "call_id": "c1", "name": "get_time", "arguments": "{}"},
        {"type": "function_call_output", "call_id": "c1", "output": "noon"},
    ],
    "tools": [
        {"type": "function", "name": "get_time", "parameters": CLOSED, "strict": True},
        {"type": "custom", "name": "run", "format": {"type": "text"}},
        {"type": "namespace", "name": "n", "tools": [{"type": "function", "name": "w", "parameters": WEATHER}]},
    ],
    "tool_choice": {"type": "allowed_tools", "mode": "auto", "tools": [{"type": "function", "name": "get_time"}]},
    "text": {"format": {"type": "json_schema", "name": "x", "schema": CLOSED, "strict": True}},
    "reasoning": {"effort": "low", "summary": "auto"},
    "include": ["reasoning.encrypted_content"],
    "stream": True,
    "stream_options": {"include_obfuscation": False},
    "max_output_tokens": 40,
    "metadata": {"a": "b"},
}
MESSAGES = {
    "model": "claude-opus-4-5",
    "max_tokens": 3000,
    "system": [{"type": "text", "text": "be brief", "cache_control": {"type": "ephemeral"}}],
    "messages": [
        {
            "role": "user",
            "content": [
                {"type": "text", "text": "time in Rome"},
                {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": png()}},
                {"type": "document", "source": {"type": "text", "media_type": "text/plain", "data": "x"}},
            ],
        },
        {"role": "assistant", "content": [{"type": "tool_use", "id": "t1", "name": "get_time", "input": {}}]},
        {
            "role": "user",
            "content": [{"type": "tool_result", "tool_use_id": "t1", "content": [{"type": "text", "text": "noon"}]}],
        },
    ],
    "tools": [{"name": "get_time", "input_schema": CLOSED, "strict": True}, {"type": "bash_20250124", "name": "bash"}],
    "tool_choice": {"type": "tool", "name": "get_time"},
    "thinking": {"type": "disabled"},
    "output_config": {"effort": "low", "format": {"type": "json_schema", "schema": CLOSED}},
    "stop_sequences": ["x"],
    "metadata": {"user_id": "u"},
}
GENERATE = {
    "contents": [
        {"role": "user", "parts": [{"text": "time in Rome"}, {"inlineData": {"mimeType": "image/png", "data": png()}}]},
        {"role": "model", "parts": [{"functionCall": {"name": "get_time", "args": {}, "id": "1"}}]},
        {"role": "user", "parts": [{"functionResponse": {"name": "get_time", "id": "1", "response": {"output": 1}}}]},
    ],
    "systemInstruction": {"parts": [{"text": "x"}]},
    "tools": [
        {
            "functionDeclarations": [
                {"name": "get_time", "parameters": TIME},
                {"name": "w", "parametersJsonSchema": WEATHER},
            ]
        }
    ],
    "toolConfig": {"functionCallingConfig": {"mode": "ANY", "allowedFunctionNames": ["get_time"]}},
    "generationConfig": {"stopSequences": ["x"], "maxOutputTokens": 50, "thinkingConfig": {"thinkingBudget": 100}},
}
EMBED = {"input": ["a", "b"], "model": "text-embedding-3-small", "dimensions": 4, "encoding_format": "float"}
BATCH = {
    "requests": [
        {"model": "models/gemini-embedding-001", "content": {"parts": [{"text": "x"}]}, "outputDimensionality": 4}
    ]
}

TARGETS: dict[str, tuple[Endpoint, dict[str, Any], str]] = {
    "chat": (chat, CHAT, ""),
    "embeddings": (embeddings, EMBED, ""),
    "responses": (create, RESPONSES, ""),
    "moderations": (moderations, {"input": [{"type": "text", "text": "x"}], "model": "omni-moderation-latest"}, ""),
    "messages": (messages, MESSAGES, ""),
    "count_tokens": (count_tokens, {name: MESSAGES[name] for name in ("model", "messages", "tools", "system")}, ""),
    "generate": (generate, GENERATE, "gemini-2.5-flash"),
    "stream": (stream, GENERATE, "gemini-2.5-flash"),
    "batch": (batch_embed_contents, BATCH, "gemini-embedding-001"),
}
JUNK = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-9, 9999)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=2)
        | st.dictionaries(st.sampled_from(["type", "text", "role", "name", "x"]), inner, max_size=2)
    ),
    max_leaves=4,
)


def places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [path, *(place for key, item in inner for place in places(item, (*path, key)))]


def damage(body: Any, path: tuple[Any, ...], junk: Any, remove: bool) -> Any:
    if not path:
        return junk
    body = copy.deepcopy(body)
    node = body
    for key in path[:-1]:
        node = node[key]
    if remove and isinstance(node, dict):
        del node[path[-1]]
    else:
        node[path[-1]] = junk
    return body


def sent(body: Any, model: str) -> Sent:
    headers = {"anthropic-version": "2023-06-01"}
    return Sent("POST", "/x:streamGenerateContent", {"model": model}, {}, headers, orjson.dumps(body), 0)


@pytest.mark.parametrize("name", TARGETS)
def test_the_undamaged_request_is_answered(name: str) -> None:
    endpoint, body, model = TARGETS[name]
    reply = endpoint(sent(body, model))
    assert not isinstance(reply, Stream) or len(list(reply.frames)) > 2


@pytest.mark.parametrize("name", TARGETS)
@settings(max_examples=250, deadline=None)
@given(data=st.data())
def test_a_damaged_request_is_answered_or_refused(name: str, data: st.DataObject) -> None:
    endpoint, body, model = TARGETS[name]
    path = data.draw(st.sampled_from(places(body)))
    broken = damage(body, path, data.draw(JUNK), data.draw(st.booleans()))
    try:
        reply = endpoint(sent(broken, model))
    except Refused as refused:
        assert 400 <= refused.status < 500
    else:
        assert not isinstance(reply, Stream) or len(list(reply.frames)) > 1
