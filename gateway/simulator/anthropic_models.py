"""Anthropic's models as far as they differ in what they take.

Source: Anthropic's model pages and migration guides up to claude-opus-5-5; an unknown name behaves like the newest.
"""

from __future__ import annotations

from typing import Any

from msgspec import Struct

NEW_VERSION = "2026-10-21"
VERSIONS = ("2023-06-01", NEW_VERSION)
CREATED = "2026-01-01T00:00:00Z"
LISTED = (
    "claude-opus-5-5",
    "claude-sonnet-5-5",
    "claude-haiku-5-5",
    "claude-fable-5-1",
    "claude-opus-4-8",
    "claude-opus-4-6",
    "claude-sonnet-4-6",
    "claude-opus-4-5",
    "claude-sonnet-4-5",
    "claude-haiku-4-5",
)


class Rules(Struct, frozen=True, kw_only=True):
    """`thinks`: thinking is on unless the request says otherwise. `bound`: thinking blocks belong to their conversation.

    `hides`: thinking is shown as an empty text unless `display` asks for more.
    """

    thinking: tuple[str, ...] = ("adaptive",)
    thinks: bool = False
    efforts: tuple[str, ...] = ("low", "medium", "high", "xhigh", "max")
    sampling: bool = False
    forced: bool = True
    prefill: bool = False
    mid_system: bool = False
    bound: bool = False
    hides: bool = True
    structured: bool = True
    max_output: int = 128_000
    context: int = 1_000_000


MANUAL = ("enabled", "disabled")
OLD = Rules(
    thinking=MANUAL,
    efforts=(),
    sampling=True,
    prefill=True,
    hides=False,
    structured=False,
    max_output=64_000,
    context=200_000,
)
V45 = Rules(thinking=MANUAL, efforts=(), sampling=True, prefill=True, hides=False, max_output=64_000, context=200_000)
V46 = Rules(thinking=("adaptive", *MANUAL), efforts=("low", "medium", "high", "max"), sampling=True, hides=False)
NEWEST = Rules(thinks=True, forced=False, mid_system=True, bound=True)
# The first prefix that fits.
RULES: tuple[tuple[str, Rules], ...] = (
    ("claude-3", OLD),
    ("claude-haiku-4-5", V45),
    ("claude-sonnet-4-5", V45),
    (
        "claude-opus-4-5",
        Rules(
            thinking=MANUAL,
            efforts=("low", "medium", "high"),
            sampling=True,
            prefill=True,
            hides=False,
            max_output=64_000,
            context=200_000,
        ),
    ),
    ("claude-opus-4-6", V46),
    ("claude-sonnet-4-6", V46),
    ("claude-opus-4-7", Rules(thinking=("adaptive", "disabled"))),
    ("claude-opus-4-8", Rules(thinking=("adaptive", "disabled"), mid_system=True)),
    ("claude-opus-4", OLD),
    ("claude-sonnet-4", OLD),
    ("claude-mythos-preview", Rules(thinking=("adaptive", "enabled"), thinks=True)),
    (
        "claude-sonnet-5-5",
        Rules(thinking=("adaptive", "between_tools"), thinks=True, forced=False, mid_system=True, bound=True),
    ),
    ("claude-haiku-5-5", Rules(thinking=("adaptive", "disabled"), thinks=True, mid_system=True, bound=True)),
    ("claude-opus-5-5", NEWEST),
    ("claude-fable-5-", NEWEST),
    ("claude-mythos-5-", NEWEST),
    ("claude-fable-5", Rules(thinks=True, mid_system=True)),
    ("claude-mythos-5", Rules(thinks=True, mid_system=True)),
    ("claude-sonnet-5", Rules(thinking=("adaptive", "disabled"))),
    ("claude-opus-5", Rules(thinking=("adaptive", "disabled"), thinks=True, mid_system=True)),
)


def rules(model: str) -> Rules:
    """What `model` takes."""
    return next((found for prefix, found in RULES if model.startswith(prefix)), NEWEST)


def card(model: str) -> dict[str, Any]:
    """An entry of the model list, its capabilities included."""
    limits = rules(model)
    on = {"supported": True}
    off = {"supported": False}
    efforts = {effort: {"supported": effort in limits.efforts} for effort in NEWEST.efforts}
    kinds = ("adaptive", "between_tools", "disabled", "enabled")
    line = next((name for name in ("haiku", "sonnet", "opus", "fable", "mythos") if name in model), None)
    return {
        "type": "model",
        "id": model,
        "display_name": model.replace("claude-", "Claude ").replace("-", " ").title() + " (simulated)",
        "created_at": CREATED,
        "lifecycle": "active",
        "deprecated_at": None,
        "retires_at": None,
        "line": line,
        "max_tokens": limits.max_output,
        "max_input_tokens": limits.context,
        "capabilities": {
            "batch": off,
            "citations": off,
            "code_execution": off,
            "context_management": off,
            "effort": {"supported": bool(limits.efforts), **efforts},
            "image_input": on,
            "pdf_input": on,
            "server_tools": {"supported": False, "code_execution": off, "web_search": off},
            "structured_outputs": on if limits.structured else off,
            "thinking": {"supported": True, "types": {kind: {"supported": kind in limits.thinking} for kind in kinds}},
        },
    }
