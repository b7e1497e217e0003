"""Embeddings as a provider gives them, and bodies that pass through. Source: openai-python, types/create_embedding_response.py."""

from __future__ import annotations

from typing import Any

import msgspec
from msgspec import Raw

from gateway.core.splice import set_members
from gateway.dialects.openai_embeddings_vectors import unpack
from gateway.dialects.openai_usage import usage_of
from gateway.types import (
    BadReply,
    Change,
    EmbeddingReply,
    EmbeddingRequest,
    Glance,
    Notes,
    Peek,
    Target,
    Unsupported,
    Written,
)

_decode_top = msgspec.json.Decoder(dict[str, Raw]).decode


def write_request(request: EmbeddingRequest, target: Target, notes: Notes) -> Written:
    """The body for POST /embeddings, always asking for base64: a third of the size, and exact.

    Raises Unsupported for a size that the model cannot give.
    """
    inputs: list[Any] = request.inputs if request.token_inputs is None else request.token_inputs
    wire: dict[str, Any] = {"model": target.model, "input": inputs, "encoding_format": "base64"}
    full, size = target.abilities.embedding_dimensions, request.dimensions
    if size is not None and size != full:
        if not target.abilities.embedding_sizes or (full is not None and size > full):
            raise Unsupported("dimensions", f"the model chosen for this request gives vectors of {full} dimensions")
        wire["dimensions"] = size
    if request.user is not None:
        wire["user"] = request.user
    for name in ("task_type", "title"):
        if getattr(request, name) is not None:
            notes.drop(name)
    return Written(msgspec.json.encode(wire), undo=len(inputs))


def read_reply(body: bytes, expected: int | None = None) -> EmbeddingReply:
    """The vectors in the order of the inputs, of which there were `expected`. Raises BadReply, never anything else."""
    answer = _answer(body)
    rows = [row for row in answer["data"] if isinstance(row, dict)]
    if len(rows) != len(answer["data"]) or sorted(_index(row) for row in rows) != list(range(len(rows))):
        raise BadReply("the embeddings are not numbered from 0 on")
    if expected is not None and len(rows) != expected:
        raise BadReply(f"{len(rows)} embeddings for {expected} inputs")
    vectors = [unpack(row.get("embedding")) for row in sorted(rows, key=_index)]
    model = answer.get("model")
    return EmbeddingReply(model if isinstance(model, str) else "", vectors, usage_of(answer.get("usage")))


def change(body: bytes, peek: Peek, change: Change) -> bytes:
    """`body` with the model's name changed; the very same object when it is the same. Nothing else applies to embeddings."""
    if change.model is None or change.model == peek.model:
        return body
    return set_members(body, _decode_top(body), {"model": msgspec.json.encode(change.model)})


def glance(body: bytes) -> Glance:
    """Usage, and whether there are no vectors. Raises BadReply for what is no answer."""
    answer = _answer(body)
    return Glance(usage_of(answer.get("usage")), empty=not answer["data"])


def _answer(body: bytes) -> dict[str, Any]:
    try:
        answer = msgspec.json.decode(body)
    except (ValueError, RecursionError) as error:
        raise BadReply(f"the answer is no JSON: {error}") from None
    if not isinstance(answer, dict) or answer.get("error") or not isinstance(answer.get("data"), list):
        raise BadReply("the answer has no embeddings")
    return answer


def _index(row: dict[str, Any]) -> int:
    index = row.get("index")
    return index if type(index) is int else -1
