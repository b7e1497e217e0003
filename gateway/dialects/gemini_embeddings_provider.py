"""Embeddings as Gemini gives them, and bodies that pass through.

Every request is a batch, as Google's own SDK does it; more inputs than one call takes go out one batch after the other.
Vectors shorter than the model's own are not of unit length there; other vendors' are, so they are made so.
Source: https://ai.google.dev/api/embeddings, …/gemini-api/docs/embeddings
"""

from __future__ import annotations

import math
from typing import Any

import msgspec
from msgspec import Raw, Struct, field

from gateway.dialects.gemini_wire import read_usage
from gateway.types import (
    BadReply,
    Change,
    Continue,
    EmbeddingReply,
    EmbeddingRequest,
    Glance,
    Notes,
    Peek,
    Target,
    Unsupported,
    Usage,
    Written,
)

CHUNK = 100  # requests in one batch
LEAST_LENGTH = 1e-290  # of a vector; below it numbers lose their digits


class Asked(Struct, frozen=True):
    """What the answer to one batch needs: how many vectors it has, whether they are to be of unit length, the batches that
    follow, and what the ones before it gave; `tokens` None once one of them did not say how many it read."""

    inputs: int
    shortened: bool
    waiting: tuple[bytes, ...] = ()
    vectors: tuple[list[float], ...] = ()
    tokens: int | None = 0


class _Vector(Struct):
    values: list[float]


class _Batch(Struct):
    embeddings: list[_Vector]
    usage_metadata: Raw = field(default=Raw(), name="usageMetadata")


class _Sent(Struct):
    requests: list[dict[str, Raw]]


_decode_batch = msgspec.json.Decoder(_Batch).decode
_decode_top = msgspec.json.Decoder(dict[str, Raw]).decode
_decode_sent = msgspec.json.Decoder(_Sent).decode


def write_request(request: EmbeddingRequest, target: Target, notes: Notes) -> Written:
    """The body for :batchEmbedContents; the rest, where there is more, is in `undo`.

    Raises Unsupported for arrays of tokens and for a size that the model cannot give.
    """
    if request.token_inputs is not None:
        raise Unsupported("input", "This provider embeds text only, no arrays of tokens.", "unsupported_content")
    shared = _options(request, target)
    name = _name(target.model)
    wire = [{"model": name, "content": {"parts": [{"text": text}]}, **shared} for text in request.inputs]
    bodies = [msgspec.json.encode({"requests": wire[at : at + CHUNK]}) for at in range(0, len(wire), CHUNK)]
    if not bodies:
        raise Unsupported("input", "There is nothing to embed.", "invalid_request")
    return Written(bodies[0], undo=Asked(len(wire), request.dimensions is not None, tuple(bodies[1:])))


def _options(request: EmbeddingRequest, target: Target) -> dict[str, Any]:
    options: dict[str, Any] = {}
    if request.task_type is not None:
        options["taskType"] = request.task_type.upper()
    if request.title is not None:
        options["title"] = request.title
    full, size = target.abilities.embedding_dimensions, request.dimensions
    if size is not None:
        if full is not None and size > full:
            raise Unsupported("dimensions", f"the model chosen for this request gives vectors of {full} dimensions")
        options["outputDimensionality"] = size
    return options


def read_reply(body: bytes, undo: Asked | None = None) -> EmbeddingReply:
    """The vectors so far, in the order of the inputs. Raises BadReply, also when one is missing."""
    try:
        batch = _decode_batch(body)
    except (ValueError, RecursionError) as error:
        raise BadReply(f"no batchEmbedContents answer: {error}") from None
    vectors = [vector.values for vector in batch.embeddings]
    usage = read_usage(batch.usage_metadata)
    if undo is None:
        return EmbeddingReply("", vectors, usage)
    if undo.shortened:
        vectors = [_unit(vector) for vector in vectors]
    if len(vectors) != min(CHUNK, undo.inputs - len(undo.vectors)):
        raise BadReply(f"{len(vectors)} vectors for {undo.inputs - len(undo.vectors)} inputs")
    known = (*undo.vectors, *vectors)
    tokens = undo.tokens + usage.input if undo.tokens is not None and usage is not None else None
    again = None
    if undo.waiting:
        rest = Asked(undo.inputs, undo.shortened, undo.waiting[1:], known, tokens)
        again = Continue(undo.waiting[0], [], rest)
    return EmbeddingReply("", list(known), None if tokens is None else Usage(input=tokens, total=tokens), again)


def _unit(vector: list[float]) -> list[float]:
    """`vector` at length 1; itself where its length is none that can be divided by: nothing, endless, or of too few digits."""
    length = math.hypot(*vector)
    return [value / length for value in vector] if LEAST_LENGTH < length < math.inf else vector


def change(body: bytes, peek: Peek, change: Change) -> bytes:
    """The model stands in the URL and in every request of the batch; both must be the same. Else the very same object."""
    if change.model is None:
        return body
    name = Raw(msgspec.json.encode(_name(change.model)))
    sent = _decode_sent(body).requests
    if all(bytes(request.get("model", b"")) == bytes(name) for request in sent):
        return body
    renamed = [{**request, "model": name} for request in sent]
    return msgspec.json.encode({**_decode_top(body), "requests": renamed})


def glance(body: bytes) -> Glance:
    """Usage, and whether there are no vectors. Raises BadReply for what is no answer."""
    reply = read_reply(body)
    return Glance(reply.usage, empty=not reply.vectors)


def _name(model: str) -> str:
    return "models/" + model.removeprefix("models/")
