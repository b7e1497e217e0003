"""How much OpenAI's model shall reason, from whatever the client asked for, and what depends on it.

Sources: shared/reasoning_effort.py of openai-python; what a model takes is data (config/models.yaml).
"""

from __future__ import annotations

from typing import Any

from gateway.types import Abilities, Notes, Request

EFFORTS = ("none", "minimal", "low", "medium", "high", "xhigh", "max")
# Anthropic's thinking budgets as efforts: below, the word.
_BUDGETS = ((2048, "low"), (12_000, "medium"), (28_000, "high"))


def effort_of(request: Request, abilities: Abilities, notes: Notes) -> str | None:
    """What reasoning effort is sent: the client's, or what its `thinking` object amounts to, as the model takes it."""
    wanted = request.effort if request.thinking is None else _thinking_effort(request.thinking, request.effort)
    if wanted is None:
        return None
    levels = [level for level in EFFORTS if level in (abilities.effort_levels or EFFORTS)]
    if wanted in levels and abilities.reasoning:
        return wanted
    thinking_levels = [level for level in levels if level != "none"]
    if not abilities.reasoning or wanted not in EFFORTS or not thinking_levels:
        notes.drop("reasoning_effort" if request.thinking is None else "thinking", "reasoning_unsupported")
        return None
    notes.warn("reasoning_cannot_be_disabled" if wanted == "none" else "reasoning_effort_clamped")
    below = [level for level in thinking_levels if EFFORTS.index(level) < EFFORTS.index(wanted)]
    return below[-1] if below else thinking_levels[0]


def _thinking_effort(thinking: dict[str, Any], effort: str | None) -> str | None:
    if thinking.get("type") in ("disabled", "between_tools"):
        return "none"
    if effort is not None:
        return effort
    budget = thinking.get("budget_tokens")
    if type(budget) is not int:
        return None
    return next((word for limit, word in _BUDGETS if budget < limit), "xhigh")


def takes_sampling(abilities: Abilities, effort: str | None) -> bool:
    """Whether temperature and its like may be sent together with `effort`."""
    return abilities.sampling in ("ok", "ignored") or (abilities.sampling_at_effort_none and effort == "none")
