"""JSON from strangers gives a value or NotJson, and what was read can be written."""

from __future__ import annotations

import json

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.core.jsontext import MAX_DEPTH, NotJson, decode

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner, max_size=4),
    max_leaves=20,
)


@pytest.mark.parametrize(
    "body",
    [b"", b"\xff", b'{"a":"\xff"}', b"NaN", b'"\\ud800"', b"1e999", b"[" * 500_000, b"9" * 5000, b"{'a':1}", b"1 2"],
)
def test_whatever_is_no_json_is_refused_in_one_way(body: bytes) -> None:
    with pytest.raises(NotJson):
        decode(body)


def test_the_depth_is_bounded() -> None:
    assert decode(b"[" * MAX_DEPTH + b"]" * MAX_DEPTH)
    with pytest.raises(NotJson, match="deeper than 64"):
        decode(b"[" * (MAX_DEPTH + 1) + b"]" * (MAX_DEPTH + 1))


@given(JSON)
def test_what_was_read_can_be_written(value: object) -> None:
    text = json.dumps(value).encode()

    assert decode(msgspec.json.encode(decode(text))) == value


@given(st.binary(max_size=200))
def test_no_bytes_raise_anything_else(body: bytes) -> None:
    try:
        msgspec.json.encode(decode(body))
    except NotJson as refusal:
        assert str(refusal)
