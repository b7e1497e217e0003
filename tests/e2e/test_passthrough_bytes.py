"""Same dialect on both sides: the provider gets the client's bytes, but for the model's name, and the vendor's own headers."""

from __future__ import annotations

from typing import Any

import pytest
from e2e_heard import seen
from e2e_stack import Stack
from e2e_surfaces import send

MODELS = {"openai": "openai/gpt-5.4", "anthropic": "anthropic/claude-sonnet-4-6", "gemini": "gemini/gemini-3.8-flash"}
# Odd spacing, order of keys, spelling of numbers, escapes, members that nobody knows.
ODD = rb' "x_unknown" : { "z":1.10 ,"a":[ 123456789012345678901234567890, 1e2,-0.0 ], "\u0061b":"\u00e9\ud83d\ude00" }'
BODIES: dict[str, tuple[str, str, bytes]] = {
    "chat": ("openai", "/chat/completions", b'{ "messages" :[{"content":"Hello \\u00e9","role":"user"}]\t,%b ,\n "model":  "%b" , "metadata":{"b":"1","a":"2"}}\n'),
    "responses": ("openai", "/responses", b'{ "input" :[{"content":"Hello \\u00e9","role":"user"}]\t,%b ,\n "model":  "%b" ,"metadata":{"b":"1","a":"2"} }\n'),
    "messages": ("anthropic", "/v1/messages", b'{ "messages" :[{"content":"Hello \\u00e9","role":"user"}]\t,%b ,\n "model":  "%b" ,"max_tokens":50 }\n'),
    "gemini": ("gemini", "/v1beta/models/%s:generateContent", b'{ "contents" :[{"parts":[{"text":"Hello \\u00e9"}],"role":"user"}]\t,%b ,\n "generationConfig":{"topK":40.0,"seed":7} }\n'),
}  # fmt: skip
HEADERS = {
    "openai": {"openai-beta": "assistants=v2"},
    "anthropic": {"anthropic-version": "2023-06-01", "anthropic-beta": "context-1m-2025-08-07,other-2026"},
    "gemini": {"x-goog-api-client": "genai-js/9", "x-goog-request-params": "a=b"},
}


@pytest.mark.parametrize("name", BODIES)
@pytest.mark.parametrize("plain", [False, True], ids=["another name", "the same name"])
async def test_the_bytes_arrive_as_they_were_sent(stack: Stack, name: str, plain: bool) -> None:
    provider, path, body = BODIES[name]
    asked = MODELS[provider]
    model = asked.partition("/")[2]
    asked = model if plain else asked
    odd = ODD
    given, wanted = ((body % (odd, m.encode()) if body.count(b"%b") == 2 else body % odd) for m in (asked, model))
    headers: dict[str, Any] = {key.replace("-", "_"): value for key, value in HEADERS[provider].items()}
    for _ in range(2):  # the long way, and the express
        await send(stack, path % asked if "%s" in path else path, given, **headers)
    entries = seen(stack, provider)
    assert [entry.body for entry in entries] == [wanted] * 2
    for entry in entries:
        sent = {key.decode().lower(): value.decode() for key, value in entry.raw_headers}
        assert sent.items() >= HEADERS[provider].items()
        assert stack.token() not in sent.values() and not any(key.startswith("x-gateway") for key in sent)


async def test_a_client_that_names_no_version_gets_the_one_of_its_days(stack: Stack) -> None:
    body = {
        "model": "claude-sonnet-4-6",
        "max_tokens": 50,
        "temperature": 0.5,
        "messages": [{"role": "user", "content": "Hi"}],
    }
    assert (await send(stack, "/v1/messages", body)).status == 200
    sent = {key.decode().lower(): value.decode() for key, value in seen(stack, "anthropic")[0].raw_headers}
    assert sent["anthropic-version"] == "2023-06-01" and "anthropic-beta" not in sent


@pytest.mark.parametrize("provider", ["openai", "gemini"])
async def test_headers_of_one_vendor_do_not_reach_another(stack: Stack, provider: str) -> None:
    body = {"model": MODELS[provider], "max_tokens": 50, "messages": [{"role": "user", "content": "Hi"}]}
    for _ in range(2):
        answer = await send(
            stack, "/v1/messages", body, anthropic_version="2023-06-01", anthropic_beta="x", anthropic_workspace_id="w"
        )
        assert answer.status == 200
    for entry in seen(stack, provider):
        assert not any(key.lower().startswith(b"anthropic") for key, _ in entry.raw_headers)
