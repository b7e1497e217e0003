"""Reasoning effort as Anthropic's `thinking` and `output_config.effort`.

Rule 1: no effort asked for, none sent: the model's own default stands. Rule 2: the client's max_tokens is never raised; a
budget that does not fit under it shrinks or goes. Rule 3: a model that thinks by itself is asked for summaries wherever
thoughts are shown, because the newest ones put the text between tool calls into their thoughts and hide those by default.
Sources: anthropic types thinking_config_*_param.py, output_config_param.py; platform.claude.com: extended and adaptive
thinking, preserved thinking (block_binding), what's new in Opus 5.5.
"""

from __future__ import annotations

from typing import Any

from msgspec import Struct

from gateway.types import Abilities, Notes, Request, Target

ORDER = ("none", "minimal", "low", "medium", "high", "xhigh", "max")
BUDGETS = {"minimal": 1024, "low": 2048, "medium": 8192, "high": 16384, "xhigh": 32768, "max": 63999}
MIN_BUDGET = 1024
BINDING_BETA = "thinking-binding-controls-2026-08-01"
UPDATES_BETA = "thinking-display-updates-2026-08-18"
_ON = ("adaptive", "enabled")


class Thinking(Struct, frozen=True):
    """wire: the `thinking` object, None to leave it out. effort: for output_config, None to leave it out."""

    wire: dict[str, Any] | None = None
    effort: str | None = None

    @property
    def on(self) -> bool:
        """Whether the request itself switches thinking on."""
        return self.wire is not None and self.wire.get("type") in _ON

    @property
    def manual(self) -> bool:
        return self.wire is not None and self.wire.get("type") == "enabled"

    @property
    def off(self) -> bool:
        """Whether thoughts of earlier answers cannot be sent back under controls."""
        return self.wire is not None and self.wire.get("type") not in _ON


def think(request: Request, target: Target, max_tokens: int, notes: Notes) -> Thinking:
    """What to ask for. Anthropic's own `thinking` object wins over an effort, where the model takes its kind."""
    abilities = target.abilities
    given = request.thinking
    if given is not None and given.get("type") in abilities.thinking_types:
        return Thinking(given, _level(request.effort, abilities, notes))
    effort = request.effort if given is None else _effort_of(given, notes)
    if effort is None:
        return Thinking(_summaries() if abilities.default_thinking and target.translation.expose_reasoning else None)
    if effort not in ORDER or not (abilities.thinking_types or abilities.effort_levels):
        notes.drop("reasoning_effort" if given is None else "thinking")
        return Thinking()
    if effort == "none":
        return _none(abilities, notes)
    level = _level(effort, abilities, notes)
    if "adaptive" in abilities.thinking_types:
        return Thinking(_summaries(), level)
    return Thinking(_budget(effort, max_tokens, abilities, notes), level)


def _summaries() -> dict[str, Any]:
    return {"type": "adaptive", "display": "summarized"}


def _effort_of(given: dict[str, Any], notes: Notes) -> str:
    """The nearest effort to a `thinking` object of a kind that this model does not know."""
    notes.warn("thinking_adapted")
    budget = given.get("budget_tokens")
    if given.get("type") in ("disabled", "between_tools"):
        return "none"
    if not isinstance(budget, int):
        return "medium"
    return next((effort for effort, tokens in BUDGETS.items() if budget <= tokens), "max")


def _none(abilities: Abilities, notes: Notes) -> Thinking:
    for kind in ("disabled", "between_tools"):
        if kind in abilities.thinking_types and "adaptive" in abilities.thinking_types:
            return Thinking({"type": kind})
    if abilities.default_thinking:
        notes.warn("reasoning_cannot_be_disabled")
        return Thinking(None, "low" if "low" in abilities.effort_levels else None)
    return Thinking()


def _level(effort: str | None, abilities: Abilities, notes: Notes) -> str | None:
    """The highest level the model has up to `effort`, else its lowest."""
    if effort is None or effort == "none" or effort not in ORDER or not abilities.effort_levels:
        return None
    reachable = ORDER[: ORDER.index(effort) + 1]
    level = next(
        (known for known in reversed(abilities.effort_levels) if known in reachable), abilities.effort_levels[0]
    )
    if level != effort and effort != "minimal":
        notes.warn("reasoning_effort_clamped")
    return level


def _budget(effort: str, max_tokens: int, abilities: Abilities, notes: Notes) -> dict[str, Any] | None:
    if "enabled" not in abilities.thinking_types:
        return None
    if max_tokens <= 2 * MIN_BUDGET:
        notes.warn("thinking_budget_too_small")
        return None
    return {"type": "enabled", "budget_tokens": min(BUDGETS[effort], max_tokens - MIN_BUDGET)}


def without_thinking(thinking: Thinking, notes: Notes, code: str) -> Thinking:
    """Leave thinking out of this one request; the effort may stay."""
    notes.warn(code)
    return Thinking(None, thinking.effort)


def bound(thinking: Thinking) -> Thinking:
    """Thoughts are replayed to a model that checks them: one that does not fit is dropped instead of failing the request."""
    wire = {**(thinking.wire or _summaries())}
    wire.setdefault("block_binding", {"prefix_mismatch_behavior": "drop_block"})
    return Thinking(wire, thinking.effort)
