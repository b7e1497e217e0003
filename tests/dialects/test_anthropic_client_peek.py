"""The top level of a Messages request: what admission reads, and what it refuses in Anthropic's words."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.dialects.anthropic_messages import ANTHROPIC
from gateway.types import BadRequest

MESSAGES = b'"messages":[{"role":"user","content":"hi"}]'


def refusal(body: bytes) -> BadRequest:
    with pytest.raises(BadRequest) as found:
        ANTHROPIC.peek(body)
    return found.value


def test_what_admission_needs_is_read() -> None:
    peek = ANTHROPIC.peek(b'{"model":"fast", "stream":true,"max_tokens":7,"temperature":0,' + MESSAGES + b"}")

    assert (peek.model, peek.stream, peek.max_tokens, peek.n, peek.session) == ("fast", True, 7, 1, "")
    assert peek.has_temperature and peek.include_usage, "usage is in every stream of Anthropic's"
    assert not peek.foreign and not peek.old_cap


def test_a_token_count_and_a_warmed_cache_are_peeked_at_too() -> None:
    assert ANTHROPIC.peek(b"{" + MESSAGES + b"}").max_tokens is None
    assert ANTHROPIC.peek(b'{"max_tokens":0,' + MESSAGES + b"}").max_tokens == 0


@pytest.mark.parametrize("spaced", ['{"max_tokens": 7, "model": "m\\u00e9", "messages": [ {"role": "user"} ]}', None])
def test_odd_spellings_are_read_the_slow_way_and_say_the_same(spaced: str | None) -> None:
    body = (spaced or json.dumps({"model": "mé", "max_tokens": 7, "messages": [{}]}, indent=2)).encode()

    peek = ANTHROPIC.peek(body)

    assert (peek.model, peek.max_tokens, peek.stream) == ("mé", 7, False)


@pytest.mark.parametrize(
    ("member", "param", "says"),
    [
        (b'"model":5', "model", "model: Input should be a valid string"),
        (b'"model":"' + b"m" * 257 + b'"', "model", "at most 256 characters"),
        (b'"stream":"yes"', "stream", "valid boolean"),
        (b'"max_tokens":-1', "max_tokens", "greater than or equal to 0"),
        (b'"max_tokens":1e400', "max_tokens", "not valid JSON"),
        (b'"max_tokens":true', "max_tokens", "valid integer"),
        (b'"max_tokens":99999999999999999999999', "max_tokens", "less than or equal to"),
    ],
)
def test_a_wrong_member_is_refused_by_name(member: bytes, param: str, says: str) -> None:
    bad = refusal(b"{" + member + b"," + MESSAGES + b"}")

    assert (bad.param, bad.code) == (param, "invalid_request")
    assert says in bad.message


@pytest.mark.parametrize(("messages", "says"), [(b"[]", "at least one"), (b"{}", "valid array"), (b"5", "valid array")])
def test_messages_must_be_there(messages: bytes, says: str) -> None:
    assert says in refusal(b'{"messages":' + messages + b"}").message
    assert refusal(b"{}").param == "messages"


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"[]",
        b"nonsense",
        b'"x"',
        b'{"messages":[{}],"x":"\xff"}',
        b'{"messages":' + b"[" * 100_000,
        b'{"model":"a","model":"b",' + MESSAGES + b"}",
        b'{"model":"a","mod\\u0065l":"b",' + MESSAGES + b"}",
    ],
)
def test_what_is_no_object_or_can_be_read_in_two_ways_is_no_json(body: bytes) -> None:
    assert refusal(body).code == "invalid_json"


@pytest.mark.parametrize("block", [{"type": "thinking", "thinking": "x", "signature": ""}, {"data": "gw1.abc"}])
def test_thoughts_of_other_vendors_are_noticed(block: dict[str, Any]) -> None:
    for separators in ((",", ":"), (", ", ": ")):
        body = json.dumps({"messages": [{"role": "assistant", "content": [block]}]}, separators=separators)
        assert ANTHROPIC.peek(body.encode()).foreign


@given(st.recursive(st.none() | st.booleans() | st.integers() | st.floats() | st.text(), lambda inner: st.lists(inner) | st.dictionaries(st.sampled_from(["model", "messages", "stream", "max_tokens", "temperature", "x"]), inner)))  # fmt: skip
def test_any_json_is_peeked_at_or_refused(value: Any) -> None:
    try:
        ANTHROPIC.peek(json.dumps(value).encode())
    except BadRequest as bad:
        assert bad.message


def test_a_cap_that_is_given_twice_is_refused() -> None:
    assert "twice" in refusal(b'{"model":"m","max_tokens":50000,"max_tokens":5,' + MESSAGES + b"}").message
