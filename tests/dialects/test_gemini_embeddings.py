"""Embeddings both ways, countTokens, and the list of models."""

from __future__ import annotations

import json
import math
from typing import Any

import pytest
from gemini_clients import client, read
from gemini_models import GEMINI_3
from google.genai import types
from hypothesis import given
from hypothesis import strategies as st

from gateway.dialects import gemini_count, gemini_embeddings, gemini_models
from gateway.types import BadReply, BadRequest, EmbeddingReply, EmbeddingRequest, Notes, Target, Unsupported, Usage


def ask(*inputs: str, **fields: Any) -> EmbeddingRequest:
    return EmbeddingRequest("text-embedding", list(inputs), **fields)


def answer(*vectors: list[float], tokens: int | None = None) -> bytes:
    usage = {} if tokens is None else {"usageMetadata": {"promptTokenCount": tokens}}
    return json.dumps({"embeddings": [{"values": vector} for vector in vectors], **usage}).encode()


def batch(*requests: Any) -> EmbeddingRequest:
    return gemini_embeddings.read_batch_request(json.dumps({"requests": list(requests)}).encode())


def one(**fields: Any) -> Any:
    return {"content": {"parts": [{"text": "hi"}]}, **fields}


# ---------------------------------------------------------------- as a provider


def test_inputs_go_out_as_batches_of_a_hundred_in_their_order() -> None:
    bodies = gemini_embeddings.write_request(ask(*map(str, range(201)), dimensions=8, task_type="retrieval_query"), "m")
    requests = [json.loads(body)["requests"] for body in bodies]

    assert [len(chunk) for chunk in requests] == [100, 100, 1]
    assert requests[2][0] == {
        "model": "models/m",
        "content": {"parts": [{"text": "200"}]},
        "taskType": "RETRIEVAL_QUERY",
        "outputDimensionality": 8,
    }


def test_arrays_of_tokens_cannot_be_embedded() -> None:
    with pytest.raises(Unsupported):
        gemini_embeddings.write_request(ask(token_inputs=[[1, 2]]), "m")


def test_shortened_vectors_become_unit_vectors_and_others_stay() -> None:
    short = gemini_embeddings.read_reply([answer([3.0, 4.0]), answer([0.0, 0.0])], ask("a", "b", dimensions=2))
    assert short.vectors == [[0.6, 0.8], [0.0, 0.0]]
    assert gemini_embeddings.read_reply([answer([3.0, 4.0])], ask("a")).vectors == [[3.0, 4.0]]


@given(st.lists(st.floats(-1e300, 1e300), min_size=1, max_size=4))
def test_a_shortened_vector_is_of_unit_length_or_nothing(vector: list[float]) -> None:
    found = gemini_embeddings.read_reply([answer(vector)], ask("a", dimensions=4)).vectors[0]
    length = math.hypot(*found)
    assert length == pytest.approx(1) or found == vector


def test_usage_is_summed_where_every_answer_has_it() -> None:
    request = ask("a", "b")
    assert gemini_embeddings.read_reply([answer([1.0], tokens=2), answer([1.0], tokens=3)], request).usage == Usage(
        5, total=5
    )
    assert gemini_embeddings.read_reply([answer([1.0], tokens=2), answer([1.0])], request).usage is None


@pytest.mark.parametrize("body", [b"", b"{}", b'{"embeddings":[{"values":["x"]}]}', b'{"embeddings":[]}', b"[]"])
def test_an_answer_without_its_vectors_is_none(body: bytes) -> None:
    with pytest.raises(BadReply):
        gemini_embeddings.read_reply([body], ask("a"))


# ---------------------------------------------------------------- as a client


def test_a_clients_request_is_read() -> None:
    body = json.dumps(one(model="models/x", task_type="RETRIEVAL_DOCUMENT", title="t", output_dimensionality="8"))
    assert gemini_embeddings.read_request(body.encode()) == EmbeddingRequest(
        "", ["hi"], dimensions=8, task_type="RETRIEVAL_DOCUMENT", title="t"
    )


def test_a_batch_is_one_request() -> None:
    found = batch(one(taskType="X", title="a"), {"content": "two\nlines", "taskType": "X", "title": "b"})
    assert found == EmbeddingRequest("", ["hi", "two\nlines"], task_type="X")


@pytest.mark.parametrize(
    ("requests", "param"),
    [
        ([], "requests"),
        ([{}], "requests[0].content"),
        ([one(), one(outputDimensionality=5)], "requests[1]"),
        ([one(), one(taskType=5)], "requests[1].taskType"),
        ([one(outputDimensionality=0)], "requests[0].outputDimensionality"),
        ([{"content": {"parts": [{"inlineData": {"mimeType": "image/png", "data": "aGk="}}]}}], "requests[0].content"),
        ([{"content": {"parts": [{"text": ""}]}}], "requests[0].content"),
    ],
)
def test_what_cannot_be_embedded_is_named(requests: Any, param: str) -> None:
    with pytest.raises(BadRequest) as error:
        batch(*requests)
    assert error.value.param == param


def test_google_genai_gets_its_vectors() -> None:
    reply = EmbeddingReply("m", [[0.1, 0.2], [0.3, 0.4]], Usage(5, total=5))

    def answered(body: bytes) -> bytes:
        assert gemini_embeddings.read_batch_request(body) == EmbeddingRequest(
            "", ["a", "b"], dimensions=2, task_type="X"
        )
        return gemini_embeddings.write_batch_reply(reply)

    config = types.EmbedContentConfig(task_type="X", output_dimensionality=2)
    found = client(answered).models.embed_content(model="m", contents=["a", "b"], config=config)

    assert found.embeddings is not None
    assert [vector.values for vector in found.embeddings] == reply.vectors
    assert json.loads(gemini_embeddings.write_reply(reply))["embedding"] == {"values": [0.1, 0.2]}


# ---------------------------------------------------------------- countTokens


def test_a_count_is_read_in_both_forms() -> None:
    bare = gemini_count.read_count_request(b'{"contents":[{"parts":[{"text":"hi"}]}]}')
    whole = gemini_count.read_count_request(
        b'{"generate_content_request":{"model":"models/x","contents":"hi","tools":[{"functionDeclarations":[{"name":"f"}]}]}}'
    )
    assert bare.messages == whole.messages
    assert [tool.name for tool in whole.tools] == ["f"]


@pytest.mark.parametrize("body", [b"{}", b'{"generateContentRequest":5}', b'{"generateContentRequest":{}}', b"x"])
def test_a_count_of_nothing_is_refused(body: bytes) -> None:
    with pytest.raises(BadRequest):
        gemini_count.read_count_request(body)


def test_a_count_is_asked_for_with_all_that_counts() -> None:
    request = read(
        systemInstruction="be brief",
        tools=[{"functionDeclarations": [{"name": "f"}]}],
        generationConfig={"temperature": 1},
    )
    body = json.loads(gemini_count.write_count_request(request, Target("models/g", GEMINI_3), Notes()))

    assert body == {
        "generateContentRequest": {
            "model": "models/g",
            "contents": [{"role": "user", "parts": [{"text": "hi"}]}],
            "systemInstruction": {"parts": [{"text": "be brief"}]},
            "tools": [{"functionDeclarations": [{"name": "f"}]}],
        }
    }


def test_google_genai_gets_its_count() -> None:
    assert (
        client(lambda body: gemini_count.write_count(7)).models.count_tokens(model="m", contents="hi").total_tokens == 7
    )
    assert gemini_count.read_count(gemini_count.write_count(7)) == 7
    with pytest.raises(BadReply):
        gemini_count.read_count(b'{"totalTokens":"x"}')


# ---------------------------------------------------------------- models


def test_google_genai_lists_the_models() -> None:
    listed = [gemini_models.Listed("fast", 1000, 100), gemini_models.Listed("embed", embeds=True)]
    found = list(client(lambda body: gemini_models.write_models(listed)).models.list())

    assert [(model.name, model.input_token_limit, model.output_token_limit) for model in found] == [
        ("models/fast", 1000, 100),
        ("models/embed", None, None),
    ]
    assert found[0].supported_actions == ["generateContent", "streamGenerateContent", "countTokens"]
    assert json.loads(gemini_models.write_model(listed[1]))["supportedGenerationMethods"][0] == "embedContent"
