"""A whole answer as a Gemini client gets it. Source: https://ai.google.dev/api/generate-content"""

from __future__ import annotations

import re
from typing import Any

import msgspec

from gateway.dialects.gemini_client_answer import (
    EMPTY,
    Envelope,
    Wire,
    finish_word,
    logprobs_result,
    usage_metadata,
    write_part,
)
from gateway.dialects.gemini_client_grounding import Placed, grounding_metadata
from gateway.types import Choice, Echo, Refusal, Reply, Text

_PREFIX = re.compile(r"^(?:chatcmpl|msg|resp|gen|cmpl)[-_]")


def write_reply(reply: Reply, echo: Echo) -> bytes:
    """The body of a 200."""
    body: Wire = {"candidates": [_candidate(choice, echo) for choice in reply.choices]}
    if reply.usage is not None:
        body["usageMetadata"] = usage_metadata(reply.usage)
    body["modelVersion"] = echo.model
    body["responseId"] = response_id(reply.id, echo)
    return msgspec.json.encode(body)


def response_id(upstream_id: str, echo: Echo) -> str:
    """The upstream's id without its own prefix, or ours where the upstream gives none."""
    return _PREFIX.sub("", upstream_id) or echo.id


def _candidate(choice: Choice, echo: Echo) -> Wire:
    envelope = Envelope(echo)
    parts: list[Wire] = []
    texts: list[Placed] = []
    notes: list[Any] = []
    for part in choice.parts:
        written = write_part(part, envelope, echo.expose_reasoning)
        if isinstance(part, Text):
            texts.append((len(parts), part.text))
            notes += part.annotations or []
        if written is not None:
            parts.append(written)
    parts += envelope.rest()
    refusal = "".join(part.text for part in choice.parts if isinstance(part, Refusal))
    candidate: Wire = {
        "content": {"parts": parts or [EMPTY], "role": "model"},
        "finishReason": finish_word(choice.finish, refusal),
    }
    if refusal:
        candidate["finishMessage"] = refusal
    candidate["index"] = choice.index
    return {**candidate, **grounding_metadata(notes, texts), **logprobs_result(choice.logprobs)}
