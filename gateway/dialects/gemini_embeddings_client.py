"""Embeddings as a client of Gemini asks for them: one content, or a batch. Source: https://ai.google.dev/api/embeddings"""

from __future__ import annotations

from typing import Any

import msgspec

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
from gateway.types import BadRequest, EmbeddingReply, EmbeddingRequest, Text, Usage

MAX_INPUTS = 2048
MAX_DIMENSIONS = 65536


def read_single_request(body: bytes) -> EmbeddingRequest:
    """A client's :embedContent. Raises BadRequest, never anything else."""
    return _request(read_object(body), "")


def read_request(body: bytes) -> EmbeddingRequest:
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


def write_single_reply(reply: EmbeddingReply) -> bytes:
    """The answer to :embedContent."""
    return msgspec.json.encode({"embedding": {"values": reply.vectors[0]}, **_usage(reply.usage)})


def write_reply(reply: EmbeddingReply) -> bytes:
    """The answer to :batchEmbedContents."""
    return msgspec.json.encode({"embeddings": [{"values": vector} for vector in reply.vectors], **_usage(reply.usage)})


def _usage(usage: Usage | None) -> dict[str, Any]:
    if usage is None:
        return {}
    return {"usageMetadata": {"promptTokenCount": usage.input, "totalTokenCount": usage.total or usage.input}}
