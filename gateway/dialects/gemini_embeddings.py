"""embedContent and batchEmbedContents, as a client and as a provider speaks them.

Towards Google every request is a batch, as its own SDK does it, in chunks of what one call takes. Vectors shorter than the
model's own are not of unit length there; other vendors' are, so they are made so.
Source: https://ai.google.dev/api/embeddings, …/gemini-api/docs/embeddings
"""

from __future__ import annotations

import math
from typing import Any

import msgspec
from msgspec import Raw, Struct, field

from gateway.dialects.gemini_client_contents import read_contents
from gateway.dialects.gemini_client_fields import (
    Fields,
    inside,
    invalid,
    members,
    missing,
    optional_text,
    optional_whole,
    repeated,
)
from gateway.dialects.gemini_client_request import read_object
from gateway.dialects.gemini_wire import read_usage
from gateway.types import BadReply, BadRequest, EmbeddingReply, EmbeddingRequest, Text, Unsupported, Usage

CHUNK = 100  # requests in one batch
MAX_INPUTS = 2048
MAX_DIMENSIONS = 65536


class _Vector(Struct):
    values: list[float]


class _Batch(Struct):
    embeddings: list[_Vector]
    usage_metadata: Raw = field(default=Raw(), name="usageMetadata")


_decode_batch = msgspec.json.Decoder(_Batch).decode


def write_request(request: EmbeddingRequest, model: str) -> list[bytes]:
    """Bodies for :batchEmbedContents, each of up to 100 inputs, to be sent in this order. Raises Unsupported for token arrays."""
    if request.token_inputs is not None:
        raise Unsupported("input", "This provider embeds text only, no arrays of tokens.", "unsupported_content")
    shared: dict[str, Any] = {}
    if request.task_type is not None:
        shared["taskType"] = request.task_type.upper()
    if request.title is not None:
        shared["title"] = request.title
    if request.dimensions is not None:
        shared["outputDimensionality"] = request.dimensions
    name = "models/" + model.removeprefix("models/")
    wire = [{"model": name, "content": {"parts": [{"text": text}]}, **shared} for text in request.inputs]
    return [msgspec.json.encode({"requests": wire[at : at + CHUNK]}) for at in range(0, len(wire), CHUNK)]


def read_reply(bodies: list[bytes], request: EmbeddingRequest) -> EmbeddingReply:
    """The answers to the bodies of `write_request`, in their order. Raises BadReply, also when a vector is missing."""
    vectors: list[list[float]] = []
    usages: list[Usage | None] = []
    for body in bodies:
        try:
            batch = _decode_batch(body)
        except (ValueError, RecursionError) as error:
            raise BadReply(f"no batchEmbedContents answer: {error}") from None
        vectors += [vector.values for vector in batch.embeddings]
        usages.append(read_usage(batch.usage_metadata))
    if len(vectors) != len(request.inputs):
        raise BadReply(f"{len(vectors)} vectors for {len(request.inputs)} inputs")
    if request.dimensions is not None:
        vectors = [_unit(vector) for vector in vectors]
    known = [usage for usage in usages if usage is not None]
    tokens = sum(usage.input for usage in known)
    whole = bool(usages) and len(known) == len(usages)
    return EmbeddingReply(request.model, vectors, Usage(input=tokens, total=tokens) if whole else None)


def _unit(vector: list[float]) -> list[float]:
    length = math.hypot(*vector)
    return [value / length for value in vector] if 0 < length < math.inf else vector


def read_request(body: bytes) -> EmbeddingRequest:
    """A client's :embedContent. Raises BadRequest, never anything else."""
    return _request(read_object(body), "")


def read_batch_request(body: bytes) -> EmbeddingRequest:
    """A client's :batchEmbedContents. All requests of a batch must want the same kind of vector."""
    items = repeated(read_object(body).get("requests"))
    if not 0 < len(items) <= MAX_INPUTS:
        raise invalid("requests", f"expected 1 to {MAX_INPUTS} requests.")
    places = [f"requests[{at}]" for at in range(len(items))]
    found = [_request(members(item, place), place) for item, place in zip(items, places, strict=True)]
    first = found[0]
    for request, place in zip(found, places, strict=True):
        if (request.dimensions, request.task_type) != (first.dimensions, first.task_type):
            raise invalid(place, "outputDimensionality and taskType must be the same for all requests.")
    first.inputs = [text for request in found for text in request.inputs]
    if any(request.title != first.title for request in found):
        first.title = None  # each document has its own: one request has room for one
    return first


def _request(fields: Fields, where: str) -> EmbeddingRequest:
    """One request; its options stand beside the content, or in the newer embedContentConfig."""
    config = fields.get("embedContentConfig")
    if config is not None:
        fields = {**fields, **members(config, inside(where, "embedContentConfig"))}
    return EmbeddingRequest(
        model="",
        inputs=[_text(fields.get("content"), inside(where, "content"))],
        dimensions=optional_whole(
            fields.get("outputDimensionality"), inside(where, "outputDimensionality"), 1, MAX_DIMENSIONS
        ),
        task_type=optional_text(fields.get("taskType"), inside(where, "taskType")) or None,
        title=optional_text(fields.get("title"), inside(where, "title")) or None,
    )


def _text(content: object, where: str) -> str:
    if content is None:
        raise missing(where)
    texts: list[str] = []
    for message in read_contents(content, where):
        for part in message.parts:
            if not isinstance(part, Text):
                raise BadRequest(
                    f"Invalid value at '{where}': only text can be embedded.", where, "unsupported_content"
                )
            texts.append(part.text)
    said = "\n".join(texts)
    if not said:
        raise missing(where)
    return said


def write_reply(reply: EmbeddingReply) -> bytes:
    """The answer to :embedContent."""
    return msgspec.json.encode({"embedding": {"values": reply.vectors[0]}, **_usage(reply.usage)})


def write_batch_reply(reply: EmbeddingReply) -> bytes:
    """The answer to :batchEmbedContents."""
    return msgspec.json.encode({"embeddings": [{"values": vector} for vector in reply.vectors], **_usage(reply.usage)})


def _usage(usage: Usage | None) -> dict[str, Any]:
    if usage is None:
        return {}
    return {"usageMetadata": {"promptTokenCount": usage.input, "totalTokenCount": usage.total or usage.input}}
