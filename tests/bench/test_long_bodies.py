"""What admission costs of a long conversation, in units of decoding its top level once, in the same run: searching it through for
media, files and other vendors' thoughts, as for short bodies, costs ten to twenty of them."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from typing import Any

import msgspec
import pytest
from msgspec import Raw

from gateway.core.tokens import IMAGE_TOKENS, input_bound
from gateway.dialects.anthropic_client_peek import peek as peek_messages
from gateway.dialects.gemini_client_peek import peek as peek_gemini
from gateway.dialects.openai_chat_peek import peek as peek_chat
from gateway.dialects.openai_responses_peek import peek as peek_responses
from gateway.types import Peek

MOST = 6.0  # measured: 2.8 to 4
TURNS = 60
CODE = (
    "def place(body, fields, key):\n    '''Where \"key\" stands in /src/a.py.'''\n    return body.find(key_of[fields])\n"
    * 50
)
_decode_top = msgspec.json.Decoder(dict[str, Raw]).decode


def chat(turn: int) -> list[dict[str, Any]]:
    call = {"id": f"c{turn}", "type": "function", "function": {"name": "read", "arguments": '{"path":"a.py"}'}}
    said = {"role": "assistant", "content": None, "tool_calls": [call]}
    return [said, {"role": "tool", "tool_call_id": f"c{turn}", "content": CODE}]


def messages(turn: int) -> list[dict[str, Any]]:
    call = {"type": "tool_use", "id": f"t{turn}", "name": "read", "input": {"path": "a.py"}}
    result = {"type": "tool_result", "tool_use_id": f"t{turn}", "content": [{"type": "text", "text": CODE}]}
    return [{"role": "assistant", "content": [call]}, {"role": "user", "content": [result]}]


def gemini(turn: int) -> list[dict[str, Any]]:
    call = {"functionCall": {"name": "read", "args": {"path": "a.py"}}, "thoughtSignature": "EqQB"}
    result = {"functionResponse": {"name": "read", "response": {"output": CODE}}}
    return [{"role": "model", "parts": [call]}, {"role": "user", "parts": [result]}]


def responses(turn: int) -> list[dict[str, Any]]:
    call = {"type": "function_call", "call_id": f"c{turn}", "name": "read", "arguments": '{"path":"a.py"}'}
    return [call, {"type": "function_call_output", "call_id": f"c{turn}", "output": CODE}]


@pytest.mark.parametrize(
    ("peek", "member", "turns"),
    [
        (peek_chat, "messages", chat),
        (peek_messages, "messages", messages),
        (peek_gemini, "contents", gemini),
        (peek_responses, "input", responses),
    ],
)
def test_a_long_conversation_is_not_searched_through(
    peek: Callable[[bytes], Peek], member: str, turns: Callable[[int], list[dict[str, Any]]]
) -> None:
    conversation = [item for turn in range(TURNS) for item in turns(turn)]
    body = json.dumps({"model": "m", member: conversation, "tools": [{"name": "read"}]}).encode()
    assert len(body) > 300_000

    def admitted() -> None:
        seen = peek(body)
        assert len(body) < input_bound(body, IMAGE_TOKENS, seen.around, seen.media) < len(body) + 2_000

    times = cost(admitted) / cost(lambda: _decode_top(body))
    print(f"{times:.1f} times")
    assert times < MOST


def cost(work: Callable[[], object]) -> float:
    """Seconds, the least of many: noise only adds."""
    best = float("inf")
    for _ in range(40):
        began = time.perf_counter()
        work()
        best = min(best, time.perf_counter() - began)
    return best
