"""Gemini's embeddings, as a client and as a provider speaks them. Assembles the gemini_embeddings_* files.

What lies between the halves is types.EmbeddingRequest and types.EmbeddingReply, not the chat shapes. There are no streams.
"""

from __future__ import annotations

from typing import Any

from gateway.dialects import gemini_embeddings_client as client
from gateway.dialects import gemini_embeddings_provider as provider
from gateway.dialects.gemini_client_errors import write_error
from gateway.types import (
    Change,
    ClientError,
    Echo,
    EmbeddingReply,
    EmbeddingRequest,
    Glance,
    NoStreams,
    Notes,
    Peek,
    Target,
    Written,
)


class GeminiEmbeddings(NoStreams):
    """Both halves for :batchEmbedContents, and what passes through between them. `model` is what a client's URL says."""

    name = "gemini_embeddings"

    def __init__(self, model: str = "") -> None:
        self._model = model

    def peek(self, body: bytes) -> Peek:
        """Nothing is generated, so the output cap is 0. A batch is small: it is read whole. Raises BadRequest."""
        self.read_request(body)
        return Peek(self._model, stream=False, max_tokens=0)

    def read_request(self, body: bytes) -> EmbeddingRequest:
        request = client.read_request(body)
        request.model = self._model
        return request

    def write_reply(self, reply: EmbeddingReply, echo: Echo) -> bytes:
        return client.write_reply(reply)

    def write_error(self, error: ClientError) -> bytes:
        return write_error(error)

    def write_request(self, request: EmbeddingRequest, target: Target, notes: Notes) -> Written:
        return provider.write_request(request, target, notes)

    def read_reply(self, body: bytes, undo: Any = None) -> EmbeddingReply:
        return provider.read_reply(body, undo)

    def change(self, body: bytes, peek: Peek, change: Change) -> bytes:
        return provider.change(body, peek, change)

    def glance(self, body: bytes) -> Glance:
        return provider.glance(body)


class GeminiSingleEmbeddings(NoStreams):
    """The client half for :embedContent. Towards Gemini it becomes a batch of one, so nothing passes through."""

    name = "gemini_single_embeddings"

    def __init__(self, model: str = "") -> None:
        self._model = model

    def peek(self, body: bytes) -> Peek:
        """Nothing is generated, so the output cap is 0. Raises BadRequest."""
        self.read_request(body)
        return Peek(self._model, stream=False, max_tokens=0)

    def read_request(self, body: bytes) -> EmbeddingRequest:
        request = client.read_single_request(body)
        request.model = self._model
        return request

    def write_reply(self, reply: EmbeddingReply, echo: Echo) -> bytes:
        return client.write_single_reply(reply)

    def write_error(self, error: ClientError) -> bytes:
        return write_error(error)


GEMINI_EMBEDDINGS = GeminiEmbeddings()
GEMINI_SINGLE_EMBEDDINGS = GeminiSingleEmbeddings()
