"""The top level of a Chat request: what admission reads, and what it refuses in OpenAI's words."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.dialects.openai_chat import OPENAI_CHAT
from gateway.types import BadRequest

MESSAGES = b'"messages":[{"role":"user","content":"hi"}]'


def refusal(body: bytes) -> BadRequest:
    with pytest.raises(BadRequest) as found:
        OPENAI_CHAT.peek(body)
    return found.value


def test_what_admission_needs_is_read() -> None:
    peek = OPENAI_CHAT.peek(
        b'{"model":"fast", "stream":true,"stream_options":{"include_usage":true},"n":3,"max_tokens":7,"temperature":0,'
        + MESSAGES + b',"seed":1.10}'
    )  # fmt: skip

    assert (peek.model, peek.stream, peek.include_usage, peek.n, peek.max_tokens) == ("fast", True, True, 3, 7)
    assert peek.has_temperature


def test_what_is_not_said_has_its_default() -> None:
    peek = OPENAI_CHAT.peek(
        b'{"model":null,"stream":null,"n":null,"max_tokens":null,"temperature":null,"stream_options":null,'
        + MESSAGES
        + b"}"
    )

    assert (peek.model, peek.stream, peek.include_usage, peek.n, peek.max_tokens) == ("", False, False, 1, None)
    assert not peek.has_temperature


def test_of_two_output_caps_the_newer_one_wins() -> None:
    assert OPENAI_CHAT.peek(b'{"max_tokens":10,"max_completion_tokens":20,' + MESSAGES + b"}").max_tokens == 20
    assert OPENAI_CHAT.peek(b'{"max_tokens":10,"max_completion_tokens":null,' + MESSAGES + b"}").max_tokens == 10


@pytest.mark.parametrize(
    ("member", "param", "says"),
    [
        (b'"model":5', "model", "expected a string, but got an integer"),
        (b'"stream":"yes"', "stream", "expected a boolean, but got a string"),
        (b'"stream_options":[]', "stream_options", "expected an object, but got an array"),
        (b'"stream_options":{"include_usage":1}', "stream_options.include_usage", "expected a boolean"),
        (b'"n":0', "n", "below minimum value. Expected a value >= 1, but got 0"),
        (b'"n":129', "n", "above maximum value. Expected a value <= 128, but got 129"),
        (b'"n":1.5', "n", "expected an integer, but got a decimal"),
        (b'"max_tokens":0', "max_tokens", "below minimum value"),
        (b'"max_tokens":-5,"max_completion_tokens":5', "max_tokens", "below minimum value"),
        (b'"max_completion_tokens":"many"', "max_completion_tokens", "expected an integer, but got a string"),
        (b'"max_tokens":true', "max_tokens", "expected an integer, but got a boolean"),
        (b'"max_tokens":1e400', "max_tokens", "expected an integer"),
    ],
)
def test_a_wrong_member_is_named(member: bytes, param: str, says: str) -> None:
    error = refusal(b"{" + member + b"," + MESSAGES + b"}")

    assert (error.param, error.code) == (param, "invalid_request")
    assert says in error.message


@pytest.mark.parametrize(
    ("body", "says"),
    [
        (b'{"model":"m"}', "Missing required parameter: 'messages'."),
        (b'{"messages":null}', "expected an array of objects, but got null"),
        (b'{"messages":"hi"}', "expected an array of objects, but got a string"),
        (b'{"messages":[]}', "empty array"),
        (b'{"messages":[ \n ]}', "empty array"),
    ],
)
def test_messages_must_be_there(body: bytes, says: str) -> None:
    error = refusal(body)

    assert error.param == "messages"
    assert says in error.message


@pytest.mark.parametrize(
    "body", [b"", b"[]", b"{", b'"a"', b"\xff\xfe", b"null", b'{"messages":' + b"[" * 200_000, b'{"a":NaN}']
)
def test_what_is_no_json_object_is_said_to_be_none(body: bytes) -> None:
    assert refusal(body).code == "invalid_json"


@pytest.mark.parametrize(
    "body",
    [
        b'{"model":"cheap","model":"dear",' + MESSAGES + b"}",
        b'{"model":"cheap",' + MESSAGES + b',"mod\\u0065l":"dear"}',
        b'{ "model" : "cheap", "model":"cheap",' + MESSAGES + b"}",
    ],
)
def test_a_model_that_could_be_read_in_two_ways_is_refused(body: bytes) -> None:
    assert refusal(body).code == "invalid_json"


def test_the_word_model_elsewhere_is_no_second_model() -> None:
    body = (
        b'{ "tools":[{"model":"x"}],\n"model" : "model" ,"messages":[{"role":"user","content":"\\u00e9 \\"model\\""}] }'
    )

    assert OPENAI_CHAT.peek(body).model == "model"


@given(st.binary(max_size=120))
def test_no_bytes_raise_anything_but_a_refusal(body: bytes) -> None:
    assert refusal(body).message


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=2) | st.dictionaries(st.sampled_from(["include_usage", "role"]), inner, max_size=2)
    ),
    max_leaves=5,
)
KEYS = st.sampled_from(
    ["model", "messages", "stream", "n", "max_tokens", "max_completion_tokens", "temperature", "stream_options"]
)


@given(st.dictionaries(KEYS, JSON))
def test_no_json_raises_anything_but_a_refusal(members: dict[str, Any]) -> None:
    body = json.dumps(members).encode()
    try:
        assert OPENAI_CHAT.peek(body).n >= 1
    except BadRequest as error:
        assert error.message


LONG = b'{"role":"user","content":"%b"}' % (b"word " * 2000)


@pytest.mark.parametrize(
    ("body", "around"),
    [
        (b'{"model":"a","messages":[%b],"n":1}', b'{"model":"a","messages":,"n":1}'),
        (b'{"messages" : [%b] ,"model":"a"}', b'{"messages" :  ,"model":"a"}'),
        (b'{"model":"a","metadata":{"messages":1},"messages":[%b]}', b""),  # another "messages" comes first
        (b'{"user":"messages","model":"a","messages":[%b]}', b""),
        (b'{"model":"a","messages":[],"messages":[%b]}', b""),
    ],
)
def test_of_a_long_body_only_what_stands_around_the_messages_is_searched(body: bytes, around: bytes) -> None:
    peek = OPENAI_CHAT.peek(body % LONG)

    assert (peek.model, peek.around) == ("a", around)


@pytest.mark.parametrize(
    "body",
    [
        b'{"model":"a","messages":[%b],"model":"b"}',
        b'{"messages":[%b],"model":"a","mod\\u0065l":"b"}',
        b'{"messages":[%b],"messages":[{"x":"model"}],"model":"a","model":"b"}',
    ],
)
def test_a_long_body_has_one_model_as_well(body: bytes) -> None:
    assert refusal(body % LONG).code == "invalid_json"


def test_what_the_messages_of_a_long_body_say_is_no_second_model() -> None:
    said = rb'{"model":"a","messages":[%b,{"role":"user","content":"caf\u00e9","model":"b"}]}' % LONG

    assert OPENAI_CHAT.peek(said).model == "a"


@pytest.mark.parametrize("first", [b"", b'"n":1,"max_tokens":9,'])
@pytest.mark.parametrize("twice", [b'"max_completion_tokens":50000,"max_completion_tokens":5', b'"max_tokens":50000,"max_tokens":5', b'"n":100,"n":1'])  # fmt: skip
def test_what_decides_on_the_cost_is_not_given_twice(twice: bytes, first: bytes) -> None:
    """An upstream that takes the first of two would write more than was held."""
    with pytest.raises(BadRequest, match="twice"):
        OPENAI_CHAT.peek(b'{"model":"m",' + first + twice + b"," + MESSAGES + b"}")


def test_the_same_names_deeper_down_are_nobodys_second_reading() -> None:
    inner = b'"tools":[{"max_tokens":1,"n":2,"max_completion_tokens":3}],"thinking":{"budget_tokens":4}'
    found = OPENAI_CHAT.peek(b'{"model":"m","n":2,"max_tokens":10,' + inner + b"," + MESSAGES + b"}")
    assert (found.max_tokens, found.n) == (10, 2)
