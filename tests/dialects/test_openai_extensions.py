"""What our answers have beside OpenAI's own fields goes back to servers that may want it, and not to OpenAI, which refuses it."""

from __future__ import annotations

import json
from typing import Any

import pytest

from gateway.dialects.openai_chat import COMPATIBLE_CHAT, OPENAI_CHAT, OpenAIChat
from gateway.providers import PROVIDERS
from gateway.types import Change

EXTENSIONS: list[dict[str, Any]] = [
    {"reasoning_content": "hm"},
    {"thinking_blocks": [{"type": "thinking", "thinking": "hm", "signature": "s"}]},
    {"extra_content": {"google": {"thought_signature": "s"}}},
    {"images": [{"index": 0, "type": "image_url", "image_url": {"url": "data:image/png;base64,aGk="}}]},
    {"stop_sequence": "END"},
]
CALL = {"id": "c", "type": "function", "function": {"name": "f", "arguments": "{}"}}


def body(*messages: dict[str, Any]) -> bytes:
    return json.dumps({"messages": messages, "model": "gpt", "seed": 1.0}, indent=1).encode()


def sent(given: bytes, dialect: OpenAIChat = OPENAI_CHAT, **change: Any) -> bytes:
    return dialect.change(given, OPENAI_CHAT.peek(given), Change(**change))


@pytest.mark.parametrize("extension", EXTENSIONS, ids=lambda extension: next(iter(extension)))
@pytest.mark.parametrize("length", [1, 9000])
def test_openai_gets_the_message_without_them(extension: dict[str, Any], length: int) -> None:
    asked, said = {"role": "user", "content": "a" * length}, {"role": "assistant", "content": "b"}
    given = body(asked, {**said, **extension})

    assert OPENAI_CHAT.peek(given).foreign
    assert json.loads(sent(given, model="gpt-5.4")) == {"messages": [asked, said], "model": "gpt-5.4", "seed": 1.0}
    assert sent(given, COMPATIBLE_CHAT) is given


def test_a_calls_signature_goes_and_the_call_stays() -> None:
    signed = {**CALL, "extra_content": {"google": {"thought_signature": "s"}}}
    message = {"role": "assistant", "content": None, "tool_calls": [signed, CALL]}
    made = json.loads(sent(body({"role": "user", "content": "a"}, message)))

    assert made["messages"][1]["tool_calls"] == [CALL, CALL]


def test_other_bytes_stay_and_names_in_texts_and_of_users_are_nobodys_business() -> None:
    plain = body({"role": "user", "content": 'a text about "reasoning_content"'})
    users = body({"role": "user", "content": "a", "images": []})
    given = body({"role": "assistant", "content": "b", "images": []}, {"role": "user", "content": "\u00e9"})

    assert not OPENAI_CHAT.peek(plain).foreign
    assert sent(users) is users
    assert sent(given).endswith(b'],\n "model": "gpt",\n "seed": 1.0\n}')


@pytest.mark.parametrize("messages", [b"[1]", b'[{"role":"assistant","tool_calls":{"extra_content":1}}]'])
def test_what_is_no_message_is_left_to_openai(messages: bytes) -> None:
    given = b'{"model":"m","images":1,"messages":' + messages + b"}"
    assert OPENAI_CHAT.change(given, OPENAI_CHAT.peek(b'{"model":"m","images":1,"messages":[{}]}'), Change()) is given


def test_compatible_servers_are_spoken_to_in_their_own_way() -> None:
    assert PROVIDERS["openai"].half("openai_chat") is OPENAI_CHAT
    assert PROVIDERS["openai_compatible"].half("openai_chat") is COMPATIBLE_CHAT
