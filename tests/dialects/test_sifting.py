"""Long conversations are searched where they may hold more than text, and nowhere else; nothing is missed for it."""

from __future__ import annotations

import json
import time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.core.tokens import IMAGE_TOKENS, TOOL_PROMPT_TOKENS, input_bound
from gateway.dialects.anthropic_client_peek import peek as peek_messages
from gateway.dialects.gemini_client_peek import peek as peek_gemini
from gateway.dialects.openai_chat_peek import peek as peek_chat
from gateway.dialects.openai_responses_peek import peek as peek_responses

WORDS = 'He said "file_id": and \\u0041 "model" /a/b. ' * 200
URL = "https://pictures.example/cat.png"
PIXELS = "iVBORw0KGgo" * 400
PEEKS = {"chat": peek_chat, "messages": peek_messages, "gemini": peek_gemini, "responses": peek_responses}


def conversation(dialect: str, odd: object) -> dict[str, Any]:
    """A long one of text and tools, with `odd` among the parts of the user's last turn; None: without."""
    more = [] if odd is None else [odd]
    if dialect == "chat":
        calls = [{"id": "c1", "type": "function", "function": {"name": "read", "arguments": '{"url":"https://a.b"}'}}]
        turns: list[Any] = [
            {"role": "system", "content": "Be brief."},
            {"role": "user", "content": WORDS},
            {"role": "assistant", "content": None, "refusal": None, "annotations": [], "tool_calls": calls},
            {"role": "tool", "tool_call_id": "c1", "content": [{"type": "text", "text": WORDS}]},
            {"role": "user", "name": "me", "content": [{"type": "text", "text": WORDS}, *more]},
        ]
        return {"model": "m", "messages": turns}
    if dialect == "messages":
        result = {"type": "tool_result", "tool_use_id": "t1", "content": [{"type": "text", "text": WORDS}]}
        turns = [
            {"role": "user", "content": WORDS},
            {
                "role": "assistant",
                "content": [
                    {"type": "thinking", "thinking": "Hm.", "signature": "EqQB"},
                    {"type": "tool_use", "id": "t1", "name": "read", "input": {"url": "https://a.b", "data": "x"}},
                ],
            },
            {"role": "user", "content": [result, {"type": "text", "text": WORDS, "cache_control": None}, *more]},
        ]
        return {"model": "m", "max_tokens": 9, "messages": turns}
    if dialect == "gemini":
        call = {"functionCall": {"name": "read", "args": {"url": "https://a.b"}}, "thoughtSignature": "EqQB"}
        parts: list[Any] = [{"functionResponse": {"name": "read", "response": {"data": WORDS}}}, {"text": WORDS}, *more]
        turns = [{"role": "user", "parts": [{"text": WORDS}]}, {"role": "model", "parts": [call]}]
        return {"contents": [*turns, {"role": "user", "parts": parts}]}
    turns = [
        {"role": "user", "content": WORDS},
        {"type": "reasoning", "id": "rs_1", "summary": [], "encrypted_content": "gAAA"},
        {"type": "function_call", "call_id": "c1", "name": "read", "arguments": '{"url":"https://a.b"}'},
        {"type": "function_call_output", "call_id": "c1", "output": WORDS},
        {"type": "message", "role": "user", "content": [{"type": "input_text", "text": WORDS}, *more]},
    ]
    return {"model": "m", "input": turns}


def spelled(dialect: str, odd: object = None, **members: object) -> bytes:
    return json.dumps({**conversation(dialect, odd), **members}).encode()


def bound(dialect: str, body: bytes) -> int:
    peek = PEEKS[dialect](body)
    return input_bound(body, IMAGE_TOKENS, peek.around, peek.media)


@pytest.mark.parametrize("dialect", PEEKS)
def test_text_and_tools_cost_their_bytes_and_are_not_searched(dialect: str) -> None:
    body = spelled(dialect)
    peek = PEEKS[dialect](body)
    assert peek.media == peek.around != b""
    assert len(peek.media) < 100
    assert not peek.foreign
    assert bound(dialect, body) == len(body)


@pytest.mark.parametrize("dialect", PEEKS)
def test_tools_are_seen_around_the_conversation(dialect: str) -> None:
    body = spelled(dialect, tools=[{"name": "read"}])
    assert bound(dialect, body) == len(body) + TOOL_PROMPT_TOKENS


MEDIA: dict[str, list[object]] = {
    "chat": [
        {"type": "image_url", "image_url": {"url": URL}},
        {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{PIXELS}"}},
        {"type": "file", "file": {"file_id": "file-1"}},
        {"type": "input_audio", "input_audio": {"data": PIXELS, "format": "wav"}},
    ],
    "messages": [
        {"type": "image", "source": {"type": "url", "url": URL}},
        {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": PIXELS}},
        {"type": "document", "source": {"type": "file", "file_id": "file-1"}},
        {"type": "container_upload", "file_id": "file-1"},
        {
            "type": "tool_result",
            "tool_use_id": "t2",
            "content": [{"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": PIXELS}}],
        },
        {
            "type": "tool_result",
            "tool_use_id": "t2",
            "content": {"type": "image", "source": {"type": "url", "url": URL}},
        },
    ],
    "gemini": [
        {"inlineData": {"mimeType": "image/png", "data": PIXELS}},
        {"fileData": {"mimeType": "image/png", "fileUri": URL}},
        {
            "functionResponse": {
                "name": "f",
                "response": {},
                "parts": [{"inlineData": {"mimeType": "image/png", "data": PIXELS}}],
            }
        },
    ],
    "responses": [
        {"type": "input_image", "image_url": URL},
        {"type": "input_image", "image_url": f"data:image/png;base64,{PIXELS}"},
        {"type": "input_file", "file_id": "file-1"},
        {"type": "input_image", "file_id": "file-1"},
    ],
}


@pytest.mark.parametrize(("dialect", "odd"), [(dialect, odd) for dialect, odds in MEDIA.items() for odd in odds])
def test_media_of_a_long_conversation_cost_what_they_cost_in_a_short_one(dialect: str, odd: object) -> None:
    body = spelled(dialect, odd)
    peek = PEEKS[dialect](body)
    assert peek.media != peek.around
    alone = json.dumps(["/", odd]).encode()  # without a slash nothing is looked for
    assert bound(dialect, body) == len(body) - len(alone) + input_bound(alone)
    assert bound(dialect, body) != len(body)


@pytest.mark.parametrize(
    ("dialect", "odd"),
    [
        ("messages", {"type": "thinking", "thinking": "Hm.", "signature": ""}),
        ("messages", {"type": "thinking", "thinking": "Hm.", "signature": "gw1.abc"}),
        ("messages", {"type": "redacted_thinking", "data": "gw1.abc"}),
        ("messages", {"type": "text", "text": "x", "citations": [{"encrypted_index": "gw1.cited"}]}),
        ("messages", {"type": "new", "unknown": 1, "signature": "gw1.abc"}),
        ("messages", {"type": "tool_result", "content": [{"type": "thinking", "thinking": "", "signature": ""}]}),
        (
            "messages",
            {
                "type": "tool_result",
                "content": [{"type": "tool_result", "content": [{"type": "thinking", "signature": "gw1.a"}]}],
            },
        ),
        ("messages", {"type": "tool_result", "content": {"type": "thinking", "signature": "gw1.a"}}),
        ("gemini", {"text": "x", "thoughtSignature": "gw1.abc"}),
        ("gemini", {"text": "x", "thought_signature": "Z3cxLmFiYw=="}),
        ("gemini", {"text": "x", "thoughtSignature": None, "thought_signature": "Z3cxLmFiYw=="}),
        ("gemini", {"text": "x", "unknown": 1, "thoughtSignature": "gw1.abc"}),
        ("responses", {"type": "input_text", "text": "gw1.abc"}),
    ],
)
def test_what_other_vendors_left_is_seen(dialect: str, odd: object) -> None:
    peek = PEEKS[dialect](spelled(dialect, odd))
    assert peek.foreign is (dialect != "responses"), "a text may begin as it likes"


@pytest.mark.parametrize(
    "odd",
    [
        {"role": "assistant", "content": "x", "reasoning_content": "Hm."},
        {"role": "assistant", "content": "x", "reasoning_content": None},
        {"role": "assistant", "content": "x", "thinking_blocks": []},
        {"role": "assistant", "tool_calls": [{"id": "c", "function": {}, "extra_content": {"google": {}}}]},
    ],
)
def test_what_other_vendors_left_in_chat_is_seen(odd: object) -> None:
    body = conversation("chat", None)
    body["messages"].insert(2, odd)
    assert peek_chat(json.dumps(body).encode()).foreign


def test_what_other_vendors_left_in_responses_is_seen() -> None:
    body = conversation("responses", None)
    body["input"].insert(2, {"type": "reasoning", "summary": [], "encrypted_content": "gw1.abc"})
    assert peek_responses(json.dumps(body).encode()).foreign


@pytest.mark.parametrize("dialect", PEEKS)
def test_a_shape_that_nobody_knows_is_searched_as_a_whole(dialect: str) -> None:
    body = conversation(dialect, None)
    turns = body[{"gemini": "contents", "responses": "input"}.get(dialect, "messages")]
    turns[0]["new"] = {"type": "input_image", "file_id": "file-1"}
    raw = json.dumps(body).encode()
    assert PEEKS[dialect](raw).media == b""
    assert bound(dialect, raw) == input_bound(raw) == len(raw) + IMAGE_TOKENS


def test_tools_within_the_input_of_responses_are_seen() -> None:
    body = conversation("responses", None)
    body["input"].insert(0, {"type": "mcp_list_tools", "server_label": "s", "tools": [{"name": "read"}]})
    raw = json.dumps(body).encode()
    assert bound("responses", raw) == input_bound(raw) == len(raw) + TOOL_PROMPT_TOKENS


def test_results_in_results_are_not_decoded_again_and_again() -> None:
    def took(depth: int) -> float:
        content = json.dumps("x" * 500_000)
        for _ in range(depth):
            content = f'[{{"type":"tool_result","tool_use_id":"a","content":{content}}}]'
        body = f'{{"model":"m","messages":[{{"role":"user","content":{content}}}]}}'.encode()
        best = float("inf")
        for _ in range(3):
            began = time.perf_counter()
            peek_messages(body)
            best = min(best, time.perf_counter() - began)
        return best

    assert took(400) < 20 * took(1)


def test_the_input_of_responses_may_be_one_text() -> None:
    body = json.dumps({"model": "m", "input": WORDS}).encode()
    assert peek_responses(body).media == b'{"model": "m", "input": }'


NAMES = ("type", "text", "source", "content", "file_id", "image_url", "url", "data", "media_type", "signature", "id")
LEAVES = st.sampled_from(["text", "image/png", "url", URL, f"data:image/png;base64,{PIXELS}", PIXELS, "", None, 7])
SHAPES = st.recursive(
    LEAVES,
    lambda inner: st.one_of(
        st.lists(inner, max_size=3), st.dictionaries(st.sampled_from(NAMES), inner, min_size=1, max_size=3)
    ),
    max_leaves=8,
)


@given(st.sampled_from(("chat", "messages")), SHAPES.filter(lambda odd: odd is not None))
def test_whatever_stands_in_a_part_it_costs_what_a_search_of_it_finds(dialect: str, odd: object) -> None:
    body = spelled(dialect, odd)
    peek = PEEKS[dialect](body)
    if peek.media == peek.around:  # a text, a thought or the like, whatever its values are
        assert isinstance(odd, dict)
        assert {"type"} <= odd.keys() <= {"type", "text", "id", "content", "data", "signature"}
        return
    alone = json.dumps(odd).encode()
    slash = b"/" if b"/" in peek.media else b""  # without one nothing is looked for
    assert bound(dialect, body) == len(body) - len(alone) + input_bound(alone + slash) - len(slash)
