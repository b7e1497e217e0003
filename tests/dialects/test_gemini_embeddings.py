"""Embeddings both ways, countTokens, and the list of models."""

from __future__ import annotations

import json
import math
from typing import Any

import pytest
from gemini_clients import client, echo, read
from gemini_models import GEMINI_3
from google.genai import types
from hypothesis import example, given
from hypothesis import strategies as st

from gateway.dialects import gemini_count, gemini_models
from gateway.dialects.gemini_embeddings import GEMINI_EMBEDDINGS, GEMINI_SINGLE_EMBEDDINGS, GeminiEmbeddings
from gateway.providers.gemini import GeminiVendor
from gateway.types import (
    Abilities,
    BadReply,
    BadRequest,
    Change,
    EmbeddingReply,
    EmbeddingRequest,
    Glance,
    Notes,
    Target,
    Unsupported,
    Usage,
    Written,
)


def ask(*inputs: str, **fields: Any) -> EmbeddingRequest:
    return EmbeddingRequest("text-embedding", list(inputs), **fields)


def answer(*vectors: list[float], tokens: int | None = None) -> bytes:
    usage = {} if tokens is None else {"usageMetadata": {"promptTokenCount": tokens}}
    return json.dumps({"embeddings": [{"values": vector} for vector in vectors], **usage}).encode()


def batch(*requests: Any) -> EmbeddingRequest:
    return GEMINI_EMBEDDINGS.read_request(json.dumps({"requests": list(requests)}).encode())


def written(request: EmbeddingRequest, **abilities: Any) -> Written:
    return GEMINI_EMBEDDINGS.write_request(request, Target("m", Abilities(**abilities)), Notes())


def answered(request: EmbeddingRequest, *bodies: bytes) -> EmbeddingReply:
    """The reply that the bodies make, one after the other."""
    undo = written(request).undo
    for body in bodies:
        reply = GEMINI_EMBEDDINGS.read_reply(body, undo)
        undo = reply.again.undo if reply.again else None
    assert undo is None
    return reply


def one(**fields: Any) -> Any:
    return {"content": {"parts": [{"text": "hi"}]}, **fields}


# ---------------------------------------------------------------- as a provider


def test_inputs_go_out_as_batches_of_a_hundred_in_their_order() -> None:
    request = ask(*map(str, range(201)), dimensions=8, task_type="retrieval_query")
    made = written(request)
    bodies, undo = [made.body], made.undo
    for size in (100, 100):
        reply = GEMINI_EMBEDDINGS.read_reply(answer(*[[3.0, 4.0]] * size, tokens=2), undo)
        assert reply.again is not None
        bodies, undo = [*bodies, reply.again.body], reply.again.undo
    last = GEMINI_EMBEDDINGS.read_reply(answer([0.0, 0.5], tokens=2), undo)
    requests = [json.loads(body)["requests"] for body in bodies]

    assert [len(chunk) for chunk in requests] == [100, 100, 1]
    assert requests[2][0] == {
        "model": "models/m",
        "content": {"parts": [{"text": "200"}]},
        "taskType": "RETRIEVAL_QUERY",
        "outputDimensionality": 8,
    }
    assert (last.vectors, last.usage, last.again) == ([[0.6, 0.8]] * 200 + [[0.0, 1.0]], Usage(6, total=6), None)


def test_what_the_model_cannot_embed_is_refused() -> None:
    for request in (ask(token_inputs=[[1, 2]]), ask("a", dimensions=9), ask()):
        with pytest.raises(Unsupported):
            written(request, embedding_dimensions=8)


def test_shortened_vectors_become_unit_vectors_and_others_stay() -> None:
    short = answered(ask("a", "b", dimensions=2), answer([3.0, 4.0], [0.0, 0.0]))
    assert short.vectors == [[0.6, 0.8], [0.0, 0.0]]
    assert answered(ask("a"), answer([3.0, 4.0])).vectors == [[3.0, 4.0]]


@example([5e-324, 5e-324])
@given(st.lists(st.floats(-1e300, 1e300), min_size=1, max_size=4))
def test_a_shortened_vector_is_of_unit_length_or_nothing(vector: list[float]) -> None:
    found = answered(ask("a", dimensions=4), answer(vector)).vectors[0]
    length = math.hypot(*found)
    assert length == pytest.approx(1) or found == vector


def test_usage_is_known_where_every_answer_tells_it() -> None:
    assert answered(ask("a"), answer([1.0], tokens=2)).usage == Usage(2, total=2)
    assert answered(ask("a"), answer([1.0])).usage is None


@pytest.mark.parametrize("body", [b"", b"{}", b'{"embeddings":[{"values":["x"]}]}', b'{"embeddings":[]}', b"[]"])
def test_an_answer_without_its_vectors_is_none(body: bytes) -> None:
    with pytest.raises(BadReply):
        GEMINI_EMBEDDINGS.read_reply(body, written(ask("a")).undo)


def test_a_batch_passes_through_but_for_the_name_of_the_model() -> None:
    body = b'{"requests":[{"model":"models/m", "content":{"parts":[{"text":"a"}]}},{"content":"b"}]}'
    peek = GeminiEmbeddings("m").peek(body)
    assert (peek.model, peek.max_tokens, peek.stream) == ("m", 0, False)
    assert GEMINI_EMBEDDINGS.change(body, peek, Change()) is body
    renamed = json.loads(GEMINI_EMBEDDINGS.change(body, peek, Change(model="up")))["requests"]
    assert [request["model"] for request in renamed] == ["models/up", "models/up"]
    same = body.replace(b'{"content":"b"', b'{"model":"models/m","content":"b"')
    assert GEMINI_EMBEDDINGS.change(same, peek, Change(model="m")) is same
    assert GEMINI_EMBEDDINGS.glance(answer([1.0], tokens=2)) == Glance(Usage(2, total=2), False)
    assert GEMINI_EMBEDDINGS.glance(answer()).empty


def test_the_vendor_has_a_path_for_them() -> None:
    vendor = GeminiVendor()
    assert vendor.half("openai_embeddings") is GEMINI_EMBEDDINGS
    assert vendor.half("gemini_single_embeddings") is GEMINI_EMBEDDINGS
    assert vendor.path("a/b", False, "gemini_embeddings") == "/v1beta/models/a%2Fb:batchEmbedContents"


# ---------------------------------------------------------------- as a client


def test_a_clients_request_is_read() -> None:
    body = json.dumps(one(model="models/x", task_type="RETRIEVAL_DOCUMENT", title="t", output_dimensionality="8"))
    assert GEMINI_SINGLE_EMBEDDINGS.read_request(body.encode()) == EmbeddingRequest(
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

    def vectors(body: bytes) -> bytes:
        assert GEMINI_EMBEDDINGS.read_request(body) == EmbeddingRequest("", ["a", "b"], dimensions=2, task_type="X")
        return GEMINI_EMBEDDINGS.write_reply(reply, echo())

    config = types.EmbedContentConfig(task_type="X", output_dimensionality=2)
    found = client(vectors).models.embed_content(model="m", contents=["a", "b"], config=config)

    assert found.embeddings is not None
    assert [vector.values for vector in found.embeddings] == reply.vectors
    assert json.loads(GEMINI_SINGLE_EMBEDDINGS.write_reply(reply, echo()))["embedding"] == {"values": [0.1, 0.2]}


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
