"""OpenAI's models as far as they differ in what they refuse.

Source: OpenAI's deployment checklist and model pages; an unknown gpt- name behaves like the newest general model.
"""

from __future__ import annotations

import re
from typing import Any, Literal

from msgspec import Struct

KNOWN = re.compile(r"(gpt-|o\d|chatgpt-|text-embedding-)")
EMBEDDING_DIMENSIONS = {"text-embedding-3-large": 3072, "text-embedding-3-small": 1536, "text-embedding-ada-002": 1536}
LISTED = (
    "gpt-6-sol",
    "gpt-6-luna",
    "gpt-5.5",
    "gpt-5.4",
    "gpt-5.4-mini",
    "gpt-5.4-nano",
    "gpt-4.1",
    "gpt-4o",
    "text-embedding-3-small",
    "text-embedding-3-large",
    "text-embedding-ada-002",
)
CREATED = 1_767_225_600


class Rules(Struct, frozen=True):
    """`sampling`: "unless" = only without reasoning; "never". `default_effort`: what counts when none is asked for.

    `legacy_limit`: takes max_tokens. `chat_tools`: "ok", "unless" = not together with reasoning asked for, "none" = only with
    effort none, "never" = only on /v1/responses.
    """

    efforts: tuple[str, ...] = ()
    default_effort: str = "none"
    sampling: Literal["ok", "unless", "never"] = "ok"
    legacy_limit: bool = False
    stop: bool = True
    chat_tools: Literal["ok", "unless", "none", "never"] = "ok"
    context: int = 400_000


ALL_EFFORTS = ("none", "low", "medium", "high", "xhigh", "max")
O_SERIES = Rules(("low", "medium", "high"), "medium", "never", stop=False, context=200_000)
NEWEST = Rules(ALL_EFFORTS, "medium", "unless", chat_tools="none", context=1_000_000)
# The first prefix that fits.
RULES: tuple[tuple[str, Rules], ...] = (
    ("gpt-3.5", Rules(legacy_limit=True, context=16_385)),
    ("gpt-4.1", Rules(legacy_limit=True, context=1_047_576)),
    ("gpt-4", Rules(legacy_limit=True, context=128_000)),
    ("chatgpt-", Rules(legacy_limit=True, context=128_000)),
    ("o", O_SERIES),
    ("gpt-5.1", Rules(ALL_EFFORTS[:5], "none", "unless")),
    ("gpt-5.2", Rules(ALL_EFFORTS[:5], "none", "unless")),
    ("gpt-5.3", Rules(ALL_EFFORTS[:5], "none", "unless")),
    ("gpt-5.4", Rules(ALL_EFFORTS, "none", "unless", chat_tools="unless", context=1_050_000)),
    ("gpt-5.", Rules(ALL_EFFORTS, "medium", "unless", chat_tools="unless", context=1_050_000)),
    ("gpt-5", Rules(("minimal", "low", "medium", "high"), "medium", "never", stop=False)),
    ("gpt-6-astra", Rules(ALL_EFFORTS[1:], "medium", "never", chat_tools="never", context=1_050_000)),
    ("gpt-6.1-", Rules(ALL_EFFORTS[1:], "medium", "never", chat_tools="never", context=1_050_000)),
    ("gpt-6.2", Rules(ALL_EFFORTS[1:5], "medium", "never", chat_tools="never", context=1_050_000)),
)


def rules(model: str) -> Rules:
    """What `model` refuses."""
    return next((found for prefix, found in RULES if model.startswith(prefix)), NEWEST)


def known(model: str) -> bool:
    """Whether OpenAI would have a model of this name."""
    return KNOWN.match(model) is not None


def card(model: str) -> dict[str, Any]:
    """An entry of the model list."""
    return {"id": model, "object": "model", "created": CREATED, "owned_by": "openai"}


def dimensions(model: str) -> int:
    """The full size of an embedding."""
    return EMBEDDING_DIMENSIONS.get(model, 1536)
