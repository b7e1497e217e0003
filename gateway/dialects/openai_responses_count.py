"""POST /responses/input_tokens, as clients ask it. Source: openai-python, resources/responses/input_tokens.py."""

from __future__ import annotations

import msgspec

from gateway.dialects.openai_responses_request import read_request
from gateway.types import Request


def read_count(body: bytes) -> Request:
    """What is to be counted: a request without what only an answer needs. Raises BadRequest, never anything else."""
    return read_request(body)


def write_count_reply(tokens: int) -> bytes:
    return msgspec.json.encode({"object": "response.input_tokens", "input_tokens": tokens})
