"""Two thousand mutated bodies through the whole gateway: refused or answered, and never an error of ours."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from copy import deepcopy
from typing import Any

import aiohttp
import pytest
from e2e_quota import accounts
from e2e_stack import Stack, Start
from e2e_tools import until
from msgspec import json

CHAT: dict[str, Any] = {
    "model": "gpt-5.4",
    "messages": [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": [{"type": "text", "text": "What is the weather in Paris?"}]},
        {
            "role": "assistant",
            "content": None,
            "tool_calls": [
                {"id": "call_1", "type": "function", "function": {"name": "weather", "arguments": '{"city":"Paris"}'}}
            ],
        },
        {"role": "tool", "tool_call_id": "call_1", "content": "rain"},
        {"role": "user", "content": "And Rome? \u00e9\U0001f600"},
    ],
    "temperature": 0.5,
    "max_completion_tokens": 100,
    "stream": True,
    "stream_options": {"include_usage": True},
    "stop": ["END"],
    "tools": [
        {
            "type": "function",
            "function": {
                "name": "weather",
                "parameters": {"type": "object", "properties": {"city": {"type": "string", "enum": ["Paris", "Rome"]}}},
            },
        }
    ],
    "tool_choice": "auto",
    "response_format": {"type": "json_schema", "json_schema": {"name": "x", "schema": {"type": "object"}}},
    "metadata": {"a": "b"},
}
NATIVE: dict[str, Any] = {
    "messages": [{"role": "user", "content": [{"type": "text", "text": "Hello"}]}, {"role": "user", "content": "Hi"}],
    "temperature": 1,
    "maxTokens": 50,
    "sessionId": "s",
    "model": "claude-sonnet-4-6",
    "stream": False,
    "preferredProvider": "gemini",
}
JUNK: list[Any] = [
    *(
        None,
        True,
        False,
        0,
        -1,
        1,
        2**31,
        2**63,
        2**64,
        10**40,
        -(10**40),
        0.1,
        -0.0,
        1e308,
        5e-324,
        "",
        "x",
        "\x00",
        "\uffff",
    ),
    *(
        "\u202e",
        "a" * 2000,
        "gpt-5.4",
        "user",
        "assistant",
        "tool",
        "function",
        "text",
        "image_url",
        "object",
        "data:;base64,",
    ),
    *([], {}, [[]], [None], {"": None}, {"type": None}, {"$ref": "#"}, [[[[[[[[]]]]]]]], {"type": "text", "text": "x"}),
    {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}},
    {"type": "object", "properties": {"a": {"$ref": "#/properties/a"}}},
]
MODELS = ["gpt-5.4", "claude-sonnet-4-6", "gemini-3.8-flash", "fast", "auto", "openai/gpt-5.4-mini"]


def places(value: Any, at: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Where every value inside `value` stands."""
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [path for key, item in inner for path in [(*at, key), *places(item, (*at, key))]]


def changed(dice: random.Random, body: dict[str, Any]) -> dict[str, Any]:
    """The same body with one or two values replaced, taken out, doubled or moved."""
    body = deepcopy(body)
    for _ in range(dice.randrange(1, 3)):
        spots = places(body)
        if not spots:
            break
        *way, last = dice.choice(spots)
        parent: Any = body
        for key in way:
            parent = parent[key]
        match dice.randrange(5):
            case 0:
                del parent[last]
            case 1 if isinstance(parent, list):
                parent.append(deepcopy(parent[last]))
            case 2 if isinstance(parent, dict):
                parent[dice.choice(["type", "role", "content", "name", "x", "\x00", "model"])] = parent.pop(last)
            case 3:
                parent[last] = [parent[last]] * dice.randrange(3)
            case _:
                parent[last] = deepcopy(dice.choice(JUNK))
    return body


def damaged(dice: random.Random, text: bytes) -> bytes:
    """The same bytes with a few of them changed, cut out or put in."""
    data = bytearray(text)
    for _ in range(dice.randrange(1, 4)):
        at = dice.randrange(len(data))
        match dice.randrange(3):
            case 0:
                data[at] = dice.randrange(256)
            case 1:
                del data[at : at + dice.randrange(1, 12)]
            case _:
                data[at:at] = dice.choice(
                    [b'"', b"{", b"]", b"\\", b"\\ud800", b"\xff", b"\x00", b",", b"9" * 30, b"e9"]
                )
    return bytes(data)


def bodies(seed: int, count: int, seeds: list[dict[str, Any]]) -> list[bytes]:
    dice = random.Random(seed)
    made = []
    for number in range(count):
        body = {**dice.choice(seeds), "model": dice.choice(MODELS), "stream": dice.random() < 0.3}
        if not body["stream"]:
            body.pop("stream_options", None)
        made.append(json.encode(changed(dice, body)) if number % 3 else damaged(dice, json.encode(body)))
    return made


async def answers(stack: Stack, path: str, sent: list[bytes]) -> Counter[int]:
    """The statuses of all of them, a few at a time; what is wrong with one fails with its body."""
    found: Counter[int] = Counter()
    headers = stack.headers() | {"content-type": "application/json"}

    async def one(body: bytes) -> None:
        try:
            async with stack.session.post(stack.base() + path, data=body, headers=headers) as answer:
                text = await answer.read()
        except aiohttp.ClientError as error:
            raise AssertionError(f"{error!r} for {body!r}") from error
        found[answer.status] += 1
        assert answer.status in (200, 400, 404), (answer.status, text, body)
        if answer.status != 200:
            assert json.decode(text)["error"]["message"], body

    for at in range(0, len(sent), 40):
        await asyncio.gather(*(one(body) for body in sent[at : at + 40]))
    return found


@pytest.mark.parametrize(("path", "seeds"), [("/chat/completions", [CHAT]), ("/chat", [NATIVE])])
async def test_mutated_bodies_are_refused_or_answered(
    start_stack: Start, path: str, seeds: list[dict[str, Any]]
) -> None:
    stack = await start_stack({"limits": {"concurrency": None}})
    found = await answers(stack, path, bodies(20261123, 1200 if path != "/chat" else 800, seeds))
    assert found[200] > 100, f"some of them are good: {found}"
    assert found[400] > 200, f"and many are not: {found}"
    lines = stack.log_lines()
    assert [line for line in lines if line["event"] in ("internal_error", "background_task_failed")] == []

    async def settled() -> bool:
        return all(row["reserved"] == 0 for row in await accounts(stack))

    await until(settled)
    used = next(row["used"] for row in await accounts(stack) if row["scope"] == "tenant:acme")
    served = sum(row["total_tokens"] for row in (await stack.sim("served")).values())
    assert used >= served > 0
