"""The list of models as Gemini clients read it. Source: https://ai.google.dev/api/models"""

from __future__ import annotations

from typing import Any

import msgspec
from msgspec import Struct

CHAT = ("generateContent", "streamGenerateContent", "countTokens")
EMBEDDINGS = ("embedContent", "batchEmbedContents")


class Listed(Struct, frozen=True):
    """One model: its public name, and in tokens what it reads and writes at most; None where that is not known."""

    id: str
    context: int | None = None
    max_output: int | None = None
    embeds: bool = False


def write_models(models: list[Listed]) -> bytes:
    """The body of GET /v1beta/models: one page holds them all."""
    return msgspec.json.encode({"models": [_model(model) for model in models]})


def write_model(model: Listed) -> bytes:
    """The body of GET /v1beta/models/{id}."""
    return msgspec.json.encode(_model(model))


def _model(model: Listed) -> dict[str, Any]:
    written: dict[str, Any] = {"name": f"models/{model.id}", "version": "", "displayName": model.id}
    if model.context is not None:
        written["inputTokenLimit"] = model.context
    if model.max_output is not None:
        written["outputTokenLimit"] = model.max_output
    return {**written, "supportedGenerationMethods": EMBEDDINGS if model.embeds else CHAT}
