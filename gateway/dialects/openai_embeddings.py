"""OpenAI's embeddings, as a client and as a provider speaks them. Assembles the openai_embeddings_* files.

What lies between the halves is types.EmbeddingRequest and types.EmbeddingReply, not the chat shapes. There are no streams.
"""

from __future__ import annotations

from typing import Any

from gateway.dialects import openai_embeddings_client as client
from gateway.dialects import openai_embeddings_provider as provider
from gateway.dialects.openai_errors import write_error
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


class OpenAIEmbeddings(NoStreams):
    """Both halves for POST /embeddings, and what passes through between them.

    Tokens for the quota hold: `tokens.input_bound(body)` holds for texts (a byte each) and for token arrays (two bytes each and
    more); `peek` says that nothing is generated (`max_tokens` 0).
    """

    name = "openai_embeddings"

    def peek(self, body: bytes) -> Peek:
        return client.peek(body)

    def read_request(self, body: bytes) -> EmbeddingRequest:
        return client.read_request(body)

    def write_reply(self, reply: EmbeddingReply, echo: Echo) -> bytes:
        return client.write_reply(reply, echo)

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


OPENAI_EMBEDDINGS = OpenAIEmbeddings()
