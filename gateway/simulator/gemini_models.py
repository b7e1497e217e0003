"""Gemini's models as far as they differ in what they take.

Source: Google's model and thinking pages up to gemini-3.8-flash; an unknown name behaves like the newest.
"""

from __future__ import annotations

import re
from typing import Any

from msgspec import Struct

VERSION = re.compile(r"gemini-(\d+)(?:\.(\d+))?-")
EMBEDDING = re.compile(r"(gemini-embedding-|text-embedding-|embedding-)")
EMBEDDING_DIMENSIONS = 3072
LISTED = (
    "gemini-3.8-flash",
    "gemini-3.6-flash",
    "gemini-3.5-flash",
    "gemini-3.5-flash-lite",
    "gemini-3.1-pro-preview",
    "gemini-3-flash-preview",
    "gemini-2.5-pro",
    "gemini-2.5-flash",
    "gemini-2.5-flash-lite",
    "gemini-embedding-001",
)


class Rules(Struct, frozen=True, kw_only=True):
    """`levels`: thinking levels it takes, none for models with a budget. `signs`: it demands its signatures back."""

    levels: tuple[str, ...] = ()
    thinks: bool = True
    always_thinks: bool = False
    signs: bool = False
    penalties: bool = True
    prefill: bool = True
    candidates: int = 1
    json_with_tools: bool = True
    context: int = 1_048_576


def rules(model: str) -> Rules:
    """What `model` takes."""
    found = VERSION.match(model + "-")
    version = (int(found.group(1)), int(found.group(2) or 0)) if found else (9, 9)
    if version < (2, 5):
        return Rules(thinks=False, candidates=8, json_with_tools=False)
    if version < (3, 0):
        return Rules(candidates=8, json_with_tools=False, thinks="lite" not in model, always_thinks="pro" in model)
    newest = version >= (3, 6)
    return Rules(
        levels=_levels(model, version), signs=True, always_thinks=True, penalties=not newest, prefill=not newest
    )


def _levels(model: str, version: tuple[int, int]) -> tuple[str, ...]:
    if "pro" in model or version >= (3, 7):
        return ("LOW", "MEDIUM", "HIGH")
    return ("MINIMAL", "LOW", "MEDIUM", "HIGH")


def known(model: str) -> bool:
    """Whether Google would have a model of this name."""
    return model.startswith("gemini-")


def card(model: str) -> dict[str, Any]:
    """An entry of the model list."""
    embeds = EMBEDDING.match(model) is not None
    methods = ["embedContent", "batchEmbedContents"] if embeds else ["generateContent", "countTokens"]
    card: dict[str, Any] = {
        "name": f"models/{model}",
        "version": "001",
        "displayName": model.replace("-", " ").title() + " (simulated)",
        "description": f"A simulated {model}.",
        "inputTokenLimit": 2048 if embeds else rules(model).context,
        "outputTokenLimit": 1 if embeds else 65536,
        "supportedGenerationMethods": methods,
    }
    if not embeds:
        card |= {"temperature": 1, "topP": 0.95, "topK": 64, "maxTemperature": 2, "thinking": rules(model).thinks}
    return card
