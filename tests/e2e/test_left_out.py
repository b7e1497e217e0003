"""What a provider does not take is named to each client in the words of its own API."""

from __future__ import annotations

from typing import Any

import pytest
from e2e_stack import Stack

CONFIG = {"seed": 1, "mediaResolution": "MEDIA_RESOLUTION_LOW"}


@pytest.mark.parametrize(
    ("path", "body", "names"),
    [
        (
            "/v1beta/models/claude-sonnet-4-6:generateContent",
            {"contents": [{"parts": [{"text": "Hello"}]}], "generationConfig": CONFIG},
            "generationConfig.seed, generationConfig.mediaResolution",
        ),
        (
            "/responses",
            {"model": "claude-sonnet-4-6", "input": "Hello", "text": {"verbosity": "low"}},
            "text.verbosity",
        ),
    ],
)
async def test_what_is_left_out_has_the_clients_names(
    stack: Stack, path: str, body: dict[str, Any], names: str
) -> None:
    answer = await stack.post(path, body)

    assert (answer.status, answer.headers["x-gateway-provider"]) == (200, "anthropic")
    assert answer.headers["x-gateway-dropped"] == names


async def test_a_conversation_goes_on_at_openai_with_what_others_left_in_it(stack: Stack) -> None:
    thought = {"type": "thinking", "thinking": "hm", "signature": "s"}
    answer = {"role": "assistant", "content": "Hi", "reasoning_content": "hm", "thinking_blocks": [thought]}
    messages = [{"role": "user", "content": "Hello"}, answer, {"role": "user", "content": "And now?"}]
    got = await stack.post("/chat/completions", {"model": "gpt-5.4", "messages": messages})

    assert (got.status, got.headers["x-gateway-provider"]) == (200, "openai")
    assert (await stack.calls_to("openai"))[0]["body"]["messages"][1] == {"role": "assistant", "content": "Hi"}
