"""The simulators against config/models.yaml: whatever the catalogue lets through, the simulated vendor takes.

Both were written from the vendors' documentation, apart from each other; where they differ one of them is wrong.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from gateway.core.catalogue import catalogue_from
from gateway.simulator import anthropic_models, gemini_models, openai_models
from gateway.types import Abilities

FILE: dict[str, Any] = yaml.safe_load((Path(__file__).parents[2] / "config" / "models.yaml").read_text())
CATALOGUE = catalogue_from(FILE)


def models(family: str) -> list[str]:
    listed = [row["id"] for row in FILE["families"][family]]
    return [model for model in listed if CATALOGUE.abilities(family, model).embedding_dimensions is None]


@pytest.mark.parametrize("model", models("openai"))
def test_a_simulated_gpt_takes_what_the_catalogue_allows(model: str) -> None:
    found, rules = CATALOGUE.abilities("openai", model), openai_models.rules(model)

    assert set(found.effort_levels) <= set(rules.efforts)
    assert found.default_effort == (rules.default_effort if rules.efforts else None)
    assert found.requires_responses == (rules.chat_tools == "never")
    assert rules.chat_tools == "ok" or found.requires_responses or found.chat_tools_effort_none
    assert found.sampling != "ok" or rules.sampling == "ok"
    assert not found.sampling_at_effort_none or rules.sampling in ("ok", "unless")


@pytest.mark.parametrize("model", models("anthropic"))
def test_a_simulated_claude_takes_what_the_catalogue_allows(model: str) -> None:
    found, rules = CATALOGUE.abilities("anthropic", model), anthropic_models.rules(model)

    assert set(found.thinking_types) <= set(rules.thinking)
    assert set(found.effort_levels) <= set(rules.efforts)
    assert_no_wider(found, rules, {"forced_tool_choice": "forced", "prefill": "prefill", "mid_system": "mid_system"})
    assert found.sampling != "ok" or rules.sampling
    assert found.preserved_thinking or not rules.bound
    assert (found.max_output or 0) <= rules.max_output and (found.context or 0) <= rules.context


@pytest.mark.parametrize("model", models("gemini"))
def test_a_simulated_gemini_takes_what_the_catalogue_allows(model: str) -> None:
    found, rules = CATALOGUE.abilities("gemini", model), gemini_models.rules(model)

    assert {level.upper() for level in found.thinking_levels} <= set(rules.levels)
    assert_no_wider(found, rules, {"penalties": "penalties", "prefill": "prefill"})
    assert found.requires_signature or not rules.signs


def assert_no_wider(found: Abilities, rules: Any, names: dict[str, str]) -> None:
    for ours, theirs in names.items():
        assert not getattr(found, ours) or getattr(rules, theirs), ours
