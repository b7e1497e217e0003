"""Mutated bodies on every surface: refused or answered, never an error of ours, and nothing stays held.

About 3,000 of them in every run; GATEWAY_FUZZ_BODIES=100000 sends that many (some minutes), from the same seed on.
"""

from __future__ import annotations

import asyncio
import os
import random
from collections import Counter
from typing import Any

import aiohttp
import pytest
from e2e_stack import Stack, Start
from e2e_surfaces import MODELS
from msgspec import json
from test_fuzz_bodies import changed, damaged
from test_surfaces import settled

BODIES = int(os.environ.get("GATEWAY_FUZZ_BODIES", "3000"))
SEED = 20261128
AT_ONCE = 40
CITY = {"type": "object", "properties": {"city": {"type": "string", "enum": ["Paris", "Rome"]}}}
NAMES = [*MODELS.values(), "fast", "auto", "gpt-6.1-sol", "claude-opus-5-5", "gemini-2.5-flash", "openai/gpt-5.4-mini"]
VECTORS = ["text-embedding-3-small", "gemini-embedding-001"]
DOT = {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "iVBORw0KGgo="}}

RESPONSES: dict[str, Any] = {
    "model": "",
    "instructions": "Be brief.",
    "input": [
        {"role": "user", "content": [{"type": "input_text", "text": "Weather in Paris? é"}]},
        {"type": "reasoning", "id": "rs_1", "summary": [{"type": "summary_text", "text": "Hm"}], "encrypted_content": "gw1.x.y"},
        {"type": "function_call", "call_id": "call_1", "name": "weather", "arguments": '{"city":"Paris"}'},
        {"type": "function_call_output", "call_id": "call_1", "output": "rain"},
        {"type": "message", "role": "user", "content": "And Rome?"},
    ],
    "tools": [
        {"type": "function", "name": "weather", "parameters": CITY, "strict": False},
        {"type": "custom", "name": "patch"},
        {"type": "web_search"},
    ],
    "tool_choice": "auto",
    "reasoning": {"effort": "low", "summary": "auto"},
    "text": {"format": {"type": "json_schema", "name": "x", "schema": {"type": "object"}}, "verbosity": "low"},
    "include": ["reasoning.encrypted_content"],
    "max_output_tokens": 100,
    "store": True,
    "metadata": {"a": "b"},
    "stream": False,
}  # fmt: skip
MESSAGES: dict[str, Any] = {
    "model": "",
    "max_tokens": 3000,
    "system": [{"type": "text", "text": "Be brief.", "cache_control": {"type": "ephemeral"}}],
    "messages": [
        {"role": "user", "content": [{"type": "text", "text": "Weather in Paris?"}, DOT]},
        {
            "role": "assistant",
            "content": [
                {"type": "thinking", "thinking": "Hm", "signature": "gw1.a.b"},
                {"type": "tool_use", "id": "toolu_1", "name": "weather", "input": {"city": "Paris"}},
            ],
        },
        {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "toolu_1", "content": "rain"}]},
    ],
    "tools": [{"name": "weather", "input_schema": CITY}, {"type": "web_search_20250305", "name": "web_search"}],
    "tool_choice": {"type": "auto", "disable_parallel_tool_use": True},
    "thinking": {"type": "enabled", "budget_tokens": 1024},
    "stop_sequences": ["END"],
    "metadata": {"user_id": "u"},
    "stream": False,
}
GEMINI: dict[str, Any] = {
    "contents": [
        {"role": "user", "parts": [{"text": "Weather in Paris?"}, {"inlineData": {"mimeType": "image/png", "data": "iVBORw0KGgo="}}]},
        {"role": "model", "parts": [{"functionCall": {"name": "weather", "args": {"city": "Paris"}}, "thoughtSignature": "Z3cxLmEuYg=="}]},
        {"role": "user", "parts": [{"functionResponse": {"name": "weather", "response": {"output": "rain"}}}]},
    ],
    "systemInstruction": {"parts": [{"text": "Be brief."}]},
    "tools": [{"functionDeclarations": [{"name": "weather", "parameters": {"type": "OBJECT", "properties": {"city": {"type": "STRING"}}}}]}],
    "toolConfig": {"functionCallingConfig": {"mode": "AUTO"}},
    "generationConfig": {"maxOutputTokens": 100, "stopSequences": ["END"], "temperature": 0.5, "thinkingConfig": {"includeThoughts": True}},
    "safetySettings": [{"category": "HARM_CATEGORY_HARASSMENT", "threshold": "BLOCK_NONE"}],
}  # fmt: skip
COMPLETION: dict[str, Any] = {
    "model": "",
    "prompt": ["Once"],
    "max_tokens": 20,
    "stop": ["x"],
    "n": 1,
    "echo": False,
    "stream": False,
}
EMBEDDING: dict[str, Any] = {
    "model": "",
    "input": ["a", "b"],
    "dimensions": 64,
    "encoding_format": "float",
    "user": "u",
}
# Path ({m}: the model stands there), a good body, and models to ask.
SURFACES: list[tuple[str, dict[str, Any], list[str]]] = [
    ("/responses", RESPONSES, NAMES),
    ("/v1/messages", MESSAGES, NAMES),
    ("/v1beta/models/{m}:generateContent", GEMINI, NAMES),
    ("/v1beta/models/{m}:streamGenerateContent", GEMINI, NAMES),
    ("/v1beta/models/{m}:streamGenerateContent?alt=sse", GEMINI, NAMES),
    ("/completions", COMPLETION, NAMES),
    ("/embeddings", EMBEDDING, VECTORS),
    ("/v1beta/models/{m}:batchEmbedContents", {"requests": [{"model": "", "content": {"parts": [{"text": "a"}]}, "outputDimensionality": 64}]}, VECTORS),
    ("/v1beta/models/{m}:embedContent", {"content": {"parts": [{"text": "a"}]}, "taskType": "RETRIEVAL_QUERY"}, VECTORS),
    ("/moderations", {"model": "", "input": ["a"]}, ["omni-moderation-latest"]),
    ("/v1/messages/count_tokens", {k: v for k, v in MESSAGES.items() if k != "max_tokens"}, NAMES),
    ("/v1beta/models/{m}:countTokens", {"contents": GEMINI["contents"]}, NAMES),
    ("/responses/input_tokens", {k: RESPONSES[k] for k in ("model", "input", "tools")}, NAMES),
]  # fmt: skip


def requests(seed: int, count: int) -> list[tuple[str, bytes]]:
    dice, made = random.Random(seed), []
    for number in range(count):
        path, good, models = dice.choice(SURFACES)
        model = dice.choice(models)
        body = {**good, "model": model} if "model" in good else dict(good)
        if "stream" in good:
            body["stream"] = dice.random() < 0.3
        encoded = json.encode(changed(dice, body)) if number % 3 else damaged(dice, json.encode(body))
        made.append((path.replace("{m}", model), encoded))
    return made


async def outcomes(stack: Stack, sent: list[tuple[str, bytes]]) -> Counter[int]:
    found: Counter[int] = Counter()
    headers = stack.headers() | {"content-type": "application/json"}

    async def one(path: str, body: bytes) -> None:
        try:
            async with stack.session.post(stack.base() + path, data=body, headers=headers) as answer:
                text = await answer.read()
        except aiohttp.ClientError as error:
            raise AssertionError(f"{error!r} for {path} {body!r}") from error
        found[answer.status] += 1
        assert answer.status in (200, 400, 404), (answer.status, text, path, body)
        if answer.status != 200:
            assert json.decode(text)["error"]["message"], (path, body)

    for at in range(0, len(sent), AT_ONCE):
        await asyncio.gather(*(one(path, body) for path, body in sent[at : at + AT_ONCE]))
    return found


@pytest.mark.slow
async def test_mutated_bodies_on_every_surface_are_refused_or_answered(start_stack: Start) -> None:
    stack = await start_stack({"limits": {"concurrency": None}, "breaker": {"failures": 10**6}})
    found: Counter[int] = Counter()
    for batch, at in enumerate(range(0, BODIES, 3000)):
        found += await outcomes(stack, requests(SEED + batch, min(3000, BODIES - at)))
    assert found[200] > BODIES // 10, f"some of them are good: {found}"
    assert found[400] > BODIES // 10, f"and many are not: {found}"
    wrong = [line for line in stack.log_lines() if line["event"] in ("internal_error", "background_task_failed")]
    assert wrong == []
    assert await settled(stack) > 0
    assert stack.gateway.pipeline.recorder.in_flight.value == 0
