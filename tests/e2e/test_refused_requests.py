"""What one request may not do at a provider costs that request alone: nobody else's calls, no key and no circuit."""

from __future__ import annotations

from typing import Any

import pytest
from e2e_heard import HELLO, breaker, seen
from e2e_stack import Stack, Start

ASK = {"contents": [{"role": "user", "parts": [{"text": "Hello"}]}]}
GENERATE = "/v1beta/models/gemini-3.8-flash:generateContent"
STREAM = "/v1beta/models/gemini-3.8-flash:streamGenerateContent?alt=sse"
TWO_KEYS: dict[str, Any] = {"openai": {"api_key": None, "api_keys": ["key-one", "key-two"]}}


def events(stack: Stack, name: str) -> list[dict[str, Any]]:
    return [line for line in stack.log_lines() if line["event"] == name]


@pytest.mark.parametrize("path", [GENERATE, STREAM], ids=["json", "stream"])
async def test_a_cache_that_one_tenant_may_not_read_disturbs_no_other(stack: Stack, path: str) -> None:
    for _ in range(6):  # more than would open the breaker
        answer = await stack.post(path, {**ASK, "cachedContent": "cachedContents/of-somebody-else"})
        assert answer.status == 502
        assert answer.headers["x-should-retry"] == "false" and "retry-after" not in answer.headers
        assert "CachedContent" not in await answer.text()
        other = await stack.post(GENERATE, ASK, "globex")
        assert (other.status, other.headers["x-gateway-provider"]) == (200, "gemini")
    assert (await breaker(stack, "gemini"))["state"] == "closed"
    rows = (await stack.get("/providers"))["providers"]
    assert [row["status"] for row in rows] == ["available"] * 3
    assert events(stack, "credential_refused") == []
    told = events(stack, "attempt_failed")
    assert {line["kind"] for line in told} == {"forbidden"} and "CachedContent not found" in told[0]["detail"]


@pytest.mark.parametrize("refused", [401, 403])
async def test_a_missing_scope_costs_the_one_attempt(stack: Stack, refused: int) -> None:
    await stack.fault("openai", "status", status=refused, code="missing_scope", times=1)
    first = await stack.chat()
    assert (first.status, first.headers["x-gateway-provider"]) == (200, "anthropic")
    other = await stack.post("/chat/completions", {"model": "gpt-5.4", "messages": HELLO}, "globex")
    assert (other.status, other.headers["x-gateway-provider"]) == (200, "openai")
    assert events(stack, "credential_refused") == []


async def test_what_one_key_may_not_do_another_is_asked_for_once(start_stack: Start) -> None:
    stack = await start_stack({"providers": TWO_KEYS})
    await stack.fault("openai", "status", status=403, code="missing_scope", times=1)
    assert (await stack.chat()).headers["x-gateway-provider"] == "openai"
    await stack.fault("openai", "status", status=403, code="missing_scope")
    answer = await stack.chat()
    assert (answer.headers["x-gateway-provider"], answer.headers["x-gateway-attempts"]) == ("anthropic", "3")
    assert len(seen(stack, "openai")) == 4
