"""OpenAI's embeddings, both halves: what clients may send, what the official SDK accepts, and bytes that pass through."""

from __future__ import annotations

import base64
import json
import struct
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from openai.types import CreateEmbeddingResponse

from gateway.core.tokens import input_bound
from gateway.dialects.openai_embeddings import OPENAI_EMBEDDINGS as DIALECT
from gateway.simulator.openai import embeddings
from gateway.simulator.replies import Sent
from gateway.types import (
    Abilities,
    BadReply,
    BadRequest,
    Change,
    Echo,
    EmbeddingReply,
    EmbeddingRequest,
    Notes,
    Target,
    Unsupported,
    Usage,
)

SMALL = Abilities(embedding_dimensions=1536)
FLOAT32 = st.floats(width=32, allow_nan=False, allow_infinity=False)


def read(**fields: Any) -> EmbeddingRequest:
    return DIALECT.read_request(json.dumps({"model": "m", **fields}).encode())


def answered(*rows: Any, **more: Any) -> EmbeddingReply:
    return DIALECT.read_reply(json.dumps({"object": "list", "data": list(rows), **more}).encode())


def row(index: int, embedding: Any) -> dict[str, Any]:
    return {"object": "embedding", "index": index, "embedding": embedding}


def written(reply: EmbeddingReply, base64: bool = False) -> Any:
    echo = Echo("0" * 24, "asked-for", 1, request=EmbeddingRequest("asked-for", ["x"], base64=base64))
    return json.loads(DIALECT.write_reply(reply, echo))


# ---------------------------------------------------------------- the client half


def test_the_forms_of_an_input_are_read() -> None:
    assert read(input="one").inputs == ["one"]
    assert read(input=["one", "two"]).inputs == ["one", "two"]
    tokens = read(input=[1, 2, 3])
    assert (tokens.inputs, tokens.token_inputs) == ([], [[1, 2, 3]])
    assert read(input=[[1], [2, 3]]).token_inputs == [[1], [2, 3]]


def test_what_else_a_client_may_say_is_read() -> None:
    request = read(input="x", dimensions=256, encoding_format="base64", user="ada", input_type="query", title="t")

    assert (request.dimensions, request.base64, request.user) == (256, True, "ada")
    assert (request.task_type, request.title) == ("RETRIEVAL_QUERY", "t")
    assert read(input="x", task_type="semantic_similarity").task_type == "SEMANTIC_SIMILARITY"
    assert not read(input="x", encoding_format=None).base64 and not read(input="x", encoding_format="float").base64


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({}, "input"),
        ({"input": ""}, "input"),
        ({"input": []}, "input"),
        ({"input": {}}, "input"),
        ({"input": ["a", ""]}, "input[1]"),
        ({"input": ["a", 1]}, "input[1]"),
        ({"input": [1, "a"]}, "input[1]"),
        ({"input": [1, True]}, "input[1]"),
        ({"input": [1, None]}, "input[1]"),
        ({"input": [-1]}, "input[0]"),
        ({"input": [[1], []]}, "input[1]"),
        ({"input": [[1], "a"]}, "input[1]"),
        ({"input": ["a"] * 2049}, "input"),
        ({"input": "a", "dimensions": 0}, "dimensions"),
        ({"input": "a", "dimensions": 10**30}, "dimensions"),
        ({"input": "a", "encoding_format": "hex"}, "encoding_format"),
        ({"input": "a", "user": 1}, "user"),
        ({"input": "a", "foo": 1}, "foo"),
    ],
)
def test_what_is_wrong_is_named(fields: dict[str, Any], param: str) -> None:
    with pytest.raises(BadRequest) as found:
        read(**fields)
    assert found.value.param == param


def test_admission_learns_the_model_and_that_nothing_is_generated() -> None:
    peek = DIALECT.peek(b'{"input": [1,2], "model": "text-embedding-3-small"}')

    assert (peek.model, peek.stream, peek.max_tokens) == ("text-embedding-3-small", False, 0)


@pytest.mark.parametrize(
    "body",
    [b"", b"[]", b"{", b'{"model":"m"}', b'{"input":"x"}', b'{"input":null}', b'{"input":5}', b'{"input":"x","model":1}', b"\xff",
     b'{"input":"x","model":"a","model":"b"}', b'{"input":"x","model":"a","mod\\u0065l":"b"}'],
)  # fmt: skip
def test_admission_refuses_what_it_cannot_understand(body: bytes) -> None:
    with pytest.raises(BadRequest):
        DIALECT.peek(body)


@pytest.mark.parametrize("body", [b'{"input":"abc /x/ \\u00e9"}', b'{"input":[1,22,333]}', b'{"input":[[1],[2]]}'])
def test_the_size_of_a_body_bounds_its_tokens(body: bytes) -> None:
    value = json.loads(body)["input"]
    most = len(value.encode()) if isinstance(value, str) else len(json.dumps(value).split(","))
    assert input_bound(body) >= most


def test_vectors_are_written_as_numbers_or_as_little_endian_float32() -> None:
    reply = EmbeddingReply("up", [[0.5, -1.0], [0.25, 2.0]], Usage(input=7, total=7))
    plain, packed = written(reply), written(reply, base64=True)

    assert CreateEmbeddingResponse.model_validate(plain).data[1].embedding == [0.25, 2.0]
    assert base64.b64decode(packed["data"][0]["embedding"]) == struct.pack("<2f", 0.5, -1.0) == b"\0\0\0?\0\0\x80\xbf"
    assert plain["usage"] == packed["usage"] == {"prompt_tokens": 7, "total_tokens": 7}
    assert plain["model"] == "asked-for" and [entry["index"] for entry in plain["data"]] == [0, 1]


def test_a_number_too_large_for_float32_becomes_the_largest() -> None:
    packed = written(EmbeddingReply("m", [[1e300, -1e300, 0.5]], None), base64=True)["data"][0]["embedding"]

    largest = struct.unpack("<f", b"\xff\xff\x7f\x7f")[0]
    assert struct.unpack("<3f", base64.b64decode(packed)) == (largest, -largest, 0.5)


# ---------------------------------------------------------------- the provider half


def test_a_request_is_written_with_the_upstreams_model_and_asks_for_base64() -> None:
    request = EmbeddingRequest("fast", ["a", "b"], dimensions=256, user="ada", task_type="CLUSTERING")
    notes = Notes()
    body = json.loads(DIALECT.write_request(request, Target("text-embedding-3-small", SMALL), notes).body)

    assert body == {
        "model": "text-embedding-3-small",
        "input": ["a", "b"],
        "encoding_format": "base64",
        "dimensions": 256,
        "user": "ada",
    }
    assert notes.dropped == ["task_type"]


def test_token_arrays_are_handed_on() -> None:
    request = EmbeddingRequest("m", [], token_inputs=[[1, 2]])
    assert json.loads(DIALECT.write_request(request, Target("m", SMALL), Notes()).body)["input"] == [[1, 2]]


def test_a_size_that_the_model_does_not_give_is_refused() -> None:
    ada = Target("text-embedding-ada-002", Abilities(embedding_dimensions=1536, embedding_sizes=False))
    for target, size in ((ada, 256), (Target("m", SMALL), 1537)):
        with pytest.raises(Unsupported) as found:
            DIALECT.write_request(EmbeddingRequest("m", ["x"], dimensions=size), target, Notes())
        assert found.value.param == "dimensions"
    full = DIALECT.write_request(EmbeddingRequest("m", ["x"], dimensions=1536), ada, Notes())
    assert "dimensions" not in json.loads(full.body)


def test_vectors_are_read_in_either_form_and_in_the_order_of_the_inputs() -> None:
    packed = base64.b64encode(struct.pack("<2f", 0.5, -1.0)).decode()
    reply = answered(row(1, [1, 2.5]), row(0, packed), model="up", usage={"prompt_tokens": 3, "total_tokens": 3})

    assert reply == EmbeddingReply("up", [[0.5, -1.0], [1.0, 2.5]], Usage(input=3, total=3))
    assert answered(row(0, [1.0])).usage is None


@pytest.mark.parametrize(
    "rows",
    [
        [row(0, "?")], [row(0, "AAA=")], [row(0, [])], [row(0, "")], [row(0, ["x"])], [row(0, [True])], [row(0, None)],
        [row(0, [10**400])], [row(1, [1.0])], [row(0, [1.0]), row(0, [1.0])], [{"embedding": [1.0]}], ["x"], [None],
        [row(0, base64.b64encode(struct.pack("<f", float("nan"))).decode())],
    ],
)  # fmt: skip
def test_what_is_no_vector_is_no_answer(rows: list[Any]) -> None:
    with pytest.raises(BadReply):
        answered(*rows)


@pytest.mark.parametrize(
    "body", [b"", b"[]", b"{}", b'{"data":{}}', b'{"error":{"message":"x"},"data":[]}', b"[" * 9999]
)
def test_what_is_no_answer_is_told(body: bytes) -> None:
    with pytest.raises(BadReply):
        DIALECT.read_reply(body)
    with pytest.raises(BadReply):
        DIALECT.glance(body)


def test_an_answer_with_too_few_vectors_is_none() -> None:
    undo = DIALECT.write_request(EmbeddingRequest("m", ["a", "b"]), Target("m", SMALL), Notes()).undo
    with pytest.raises(BadReply, match="1 embeddings for 2 inputs"):
        DIALECT.read_reply(json.dumps({"data": [row(0, [1.0])]}).encode(), undo)


@given(vectors=st.lists(st.lists(FLOAT32, min_size=1, max_size=5), min_size=1, max_size=4))
def test_what_was_packed_is_unpacked_the_same(vectors: list[list[float]]) -> None:
    body = json.dumps(written(EmbeddingReply("m", vectors, None), base64=True)).encode()
    assert DIALECT.read_reply(body).vectors == vectors


@pytest.mark.parametrize("inputs", [{"inputs": ["one", "two"]}, {"inputs": [], "token_inputs": [[1, 2], [3]]}])
def test_the_simulated_vendor_takes_what_is_written_and_its_answer_is_read(inputs: dict[str, Any]) -> None:
    request = EmbeddingRequest("fast", dimensions=8, user="ada", **inputs)
    sent = DIALECT.write_request(request, Target("text-embedding-3-small", SMALL), Notes())
    answer = embeddings(Sent("POST", "/v1/embeddings", {}, {}, {}, sent.body, 0))
    reply = DIALECT.read_reply(answer.body, sent.undo)

    assert [len(vector) for vector in reply.vectors] == [8, 8]
    assert sum(number * number for number in reply.vectors[0]) == pytest.approx(1, abs=1e-5)
    assert reply.usage is not None and reply.usage.input == answer.input_tokens > 0


# ---------------------------------------------------------------- bytes that pass through


def test_only_the_models_name_is_changed() -> None:
    body = b'{ "input": [ 1,  2 ],\n"model" : "fast", "dimensions": 2.56e2 }'
    peek = DIALECT.peek(body)

    changed = DIALECT.change(body, peek, Change(model="text-embedding-3-small"))
    assert changed == body.replace(b'"fast"', b'"text-embedding-3-small"')
    assert DIALECT.change(body, peek, Change(model="fast")) is body
    assert DIALECT.change(body, peek, Change(max_tokens=5, temperature=1.0, include_usage=True)) is body


def test_a_glance_reads_usage_and_emptiness() -> None:
    glance = DIALECT.glance(b'{"data":[{"index":0,"embedding":"AAAA"}],"usage":{"prompt_tokens":4,"total_tokens":4}}')
    assert glance.usage == Usage(input=4, total=4) and not glance.empty
    assert DIALECT.glance(b'{"data":[]}').empty


# ---------------------------------------------------------------- anything

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=4),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["input", "model", "data", "index", "embedding", "usage"]), inner, max_size=4)
    ),
    max_leaves=12,
)


@given(value=JSON)
def test_any_body_is_read_or_refused(value: Any) -> None:
    body = json.dumps(value).encode()
    for half, refusal in (
        (DIALECT.peek, BadRequest),
        (DIALECT.read_request, BadRequest),
        (DIALECT.read_reply, BadReply),
        (DIALECT.glance, BadReply),
    ):
        with suppress(refusal):
            half(body)
