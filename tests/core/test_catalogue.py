"""The catalogue of models: which row answers for which name, and what a broken file says."""

from __future__ import annotations

import re
from pathlib import Path
from typing import get_args

import pytest
import yaml

from gateway.core.catalogue import Catalogue, CatalogueError, catalogue_from
from gateway.types import Abilities, Effort

MODELS = Path(__file__).parents[2] / "config" / "models.yaml"


@pytest.fixture(scope="module")
def catalogue() -> Catalogue:
    return catalogue_from(yaml.safe_load(MODELS.read_text()))


def test_a_dated_model_has_the_abilities_of_its_line(catalogue: Catalogue) -> None:
    assert catalogue.abilities("anthropic", "claude-haiku-4-5-20251001").max_output == 64_000
    assert catalogue.abilities("openai", "gpt-4o-2024-08-06").context == 128_000
    assert catalogue.abilities("gemini", "gemini-2.5-flash-001").thinking_budget


def test_the_longest_id_wins(catalogue: Catalogue) -> None:
    assert catalogue.abilities("openai", "gpt-5.4").context == 1_050_000
    assert catalogue.abilities("openai", "gpt-5.4-mini-2026-03-17").context == 400_000


@pytest.mark.parametrize("model", ["claude-opus-5-9", "claude-opus-6", "claude-fable-5-3-20270101", "whatever"])
def test_an_unknown_model_is_taken_for_the_newest_of_its_family(catalogue: Catalogue, model: str) -> None:
    assert catalogue.entry("anthropic", model) is None
    assert catalogue.abilities("anthropic", model) == catalogue.abilities("anthropic", "claude-mythos-5-2")


def test_a_version_is_not_a_variant_of_the_version_before(catalogue: Catalogue) -> None:
    assert catalogue.abilities("anthropic", "claude-opus-5").forced_tool_choice
    assert not catalogue.abilities("anthropic", "claude-opus-5-5").forced_tool_choice
    assert catalogue.abilities("openai", "gpt-5.7") == catalogue.abilities("openai", "gpt-6.2-sol")


def test_a_family_that_is_not_listed_takes_everything(catalogue: Catalogue) -> None:
    # Servers that imitate the Chat API know the output cap under its first name.
    assert catalogue.abilities("openai_compatible", "llama-4") == Abilities(output_cap="max_tokens", custom_tools=False)


def test_the_default_models_of_the_shipped_configuration_are_known(catalogue: Catalogue) -> None:
    for family, model in (("openai", "gpt-5.4"), ("anthropic", "claude-sonnet-4-6"), ("gemini", "gemini-3.8-flash")):
        assert catalogue.entry(family, model) is not None


def test_every_row_of_the_file_has_a_context_and_an_output_limit(catalogue: Catalogue) -> None:
    for family, rows in yaml.safe_load(MODELS.read_text())["families"].items():
        for row in rows:
            abilities = catalogue.abilities(family, row["id"])
            if abilities.embedding_dimensions is None:
                assert abilities.context and abilities.max_output, row["id"]
                assert abilities.max_output <= abilities.context
            else:
                assert abilities.context and abilities.max_output is None, row["id"]


def test_the_abilities_of_a_row_fit_together(catalogue: Catalogue) -> None:
    for family, rows in yaml.safe_load(MODELS.read_text())["families"].items():
        for row in rows:
            abilities = catalogue.abilities(family, row["id"])
            levels = abilities.thinking_levels if family == "gemini" else abilities.effort_levels
            assert abilities.default_effort in (None, *levels), row["id"]
            assert set(levels) <= set(get_args(Effort)), row["id"]
            assert not (abilities.requires_responses and abilities.chat_tools_effort_none), row["id"]
            assert "none" in abilities.effort_levels or not abilities.sampling_at_effort_none, row["id"]
            assert not (abilities.thinking_budget and abilities.thinking_levels), row["id"]
            assert abilities.forced_tool_choice or family == "anthropic", row["id"]


# What the vendors' documentation said on 2026-11-23, a row a model: wire facts that cost a 400 when they are wrong.
CLAUDE = {
    #                        thinking            default on  efforts                          sampling     forced prefill mid bound
    "claude-haiku-4-5": ("enabled disabled", False, "", "ok", True, True, False, False),
    "claude-sonnet-4-5": ("enabled disabled", False, "", "ok", True, True, False, False),
    "claude-opus-4-5": ("enabled disabled", False, "low medium high", "ok", True, True, False, False),
    "claude-opus-4-6": ("adaptive enabled disabled", False, "low medium high max", "ok", True, False, False, False),
    "claude-sonnet-4-6": ("adaptive enabled disabled", False, "low medium high max", "ok", True, False, False, False),
    "claude-opus-4-7": ("adaptive disabled", False, "low medium high xhigh max", "default_only", True, False, False, False),
    "claude-opus-4-8": ("adaptive disabled", False, "low medium high xhigh max", "default_only", True, False, True, False),
    "claude-mythos-preview": ("adaptive", True, "low medium high max", "reject", False, False, False, False),
    "claude-sonnet-5": ("adaptive disabled", True, "low medium high xhigh max", "reject", True, False, False, False),
    "claude-opus-5": ("adaptive disabled", True, "low medium high xhigh max", "reject", True, False, True, False),
    "claude-fable-5": ("adaptive", True, "low medium high xhigh max", "reject", False, False, True, False),
    "claude-mythos-5": ("adaptive", True, "low medium high xhigh max", "reject", False, False, True, False),
    "claude-fable-5-1": ("adaptive", True, "low medium high xhigh max", "reject", False, False, True, True),
    "claude-mythos-5-1": ("adaptive", True, "low medium high xhigh max", "reject", False, False, True, True),
    "claude-opus-5-5": ("adaptive", True, "low medium high xhigh max", "reject", False, False, True, True),
    "claude-sonnet-5-5": ("adaptive between_tools", True, "low medium high xhigh max", "reject", False, False, True, True),
    "claude-haiku-5-5": ("adaptive disabled", True, "low medium high xhigh max", "reject", False, False, True, True),
    "claude-fable-5-2": ("adaptive", True, "low medium high xhigh max", "reject", False, False, True, True),
    "claude-mythos-5-2": ("adaptive", True, "low medium high xhigh max", "reject", False, False, True, True),
}  # fmt: skip


@pytest.mark.parametrize("model", CLAUDE)
def test_a_claude_is_as_documented(catalogue: Catalogue, model: str) -> None:
    found = catalogue.abilities("anthropic", model)
    assert (
        " ".join(found.thinking_types),
        found.default_thinking,
        " ".join(found.effort_levels),
        found.sampling,
        found.forced_tool_choice,
        found.prefill,
        found.mid_system,
        found.preserved_thinking,
    ) == CLAUDE[model]
    assert found.image_input and found.pdf_input and not found.audio_input


GPT = {
    #                efforts                            default    sampling       at none  responses  chat only at none
    "gpt-5.4": ("none low medium high xhigh max", "none", "reject", True, False, True),
    "gpt-5.5": ("none low medium high xhigh max", "medium", "reject", True, False, True),
    "gpt-5.6-terra": ("none low medium high xhigh max", "medium", "reject", True, False, True),
    "gpt-6-sol": ("none low medium high xhigh max", "medium", "reject", True, False, True),
    "gpt-6-luna": ("none low medium high xhigh max", "medium", "reject", True, False, True),
    "gpt-6-astra": ("low medium high xhigh max", "medium", "reject", False, True, False),
    "gpt-6.1-sol": ("low medium high xhigh max", "medium", "reject", False, True, False),
    "gpt-6.2-sol": ("low medium high xhigh", "medium", "default_only", False, True, False),
}  # fmt: skip


@pytest.mark.parametrize("model", GPT)
def test_a_gpt_is_as_documented(catalogue: Catalogue, model: str) -> None:
    found = catalogue.abilities("openai", model)
    assert (
        " ".join(found.effort_levels),
        found.default_effort,
        found.sampling,
        found.sampling_at_effort_none,
        found.requires_responses,
        found.chat_tools_effort_none,
    ) == GPT[model]
    assert found.mid_system and found.reasoning and not found.penalties


GEMINI = {
    #                          levels                     budget  sampling  penalties prefill signature
    "gemini-2.5-pro": ("", True, "ok", True, True, False),
    "gemini-2.5-flash": ("", True, "ok", True, True, False),
    "gemini-3-flash": ("minimal low medium high", False, "ok", True, True, True),
    "gemini-3.1-pro": ("low medium high", False, "ok", True, True, True),
    "gemini-3.5-flash": ("minimal low medium high", False, "ok", True, True, True),
    "gemini-3.5-flash-lite": ("minimal low medium high", False, "ok", True, True, True),
    "gemini-3.6-flash": ("minimal low medium high", False, "ignored", False, False, True),
    "gemini-3.7-flash": ("low medium high", False, "ignored", False, False, True),
    "gemini-3.8-flash": ("low medium high", False, "ignored", False, False, True),
}  # fmt: skip


@pytest.mark.parametrize("model", GEMINI)
def test_a_gemini_is_as_documented(catalogue: Catalogue, model: str) -> None:
    found = catalogue.abilities("gemini", model)
    assert (
        " ".join(found.thinking_levels),
        found.thinking_budget,
        found.sampling,
        found.penalties,
        found.prefill,
        found.requires_signature,
    ) == GEMINI[model]
    assert found.forced_tool_choice and found.image_input and found.audio_input


def test_embedding_models_tell_the_size_of_their_vectors(catalogue: Catalogue) -> None:
    assert catalogue.abilities("openai", "text-embedding-3-large").embedding_dimensions == 3072
    assert not catalogue.abilities("openai", "text-embedding-ada-002").embedding_sizes
    assert catalogue.abilities("gemini", "gemini-embedding-001").embedding_dimensions == 3072
    assert catalogue.abilities("openai", "gpt-5.4").embedding_dimensions is None


def test_every_model_that_is_named_to_users_is_known(catalogue: Catalogue) -> None:
    """In README, gateway.yaml and docs. The names that gateway.yaml keeps from 2024 stand for a provider and need no row."""
    root = MODELS.parents[1]
    aliases = set(yaml.safe_load((root / "gateway.yaml").read_text())["models"])
    families = {"gpt": "openai", "text": "openai", "claude": "anthropic", "gemini": "gemini"}
    name = re.compile(r"\b(gpt|claude|gemini|text)(-(?:embedding-)?[a-z0-9][a-z0-9.-]*[a-z0-9])")
    for path in (root / "README.md", root / "gateway.yaml", *(root / "docs").glob("*.md")):
        for vendor, rest in name.findall(path.read_text()):
            model = vendor + rest
            if any(digit.isdigit() for digit in model) and model not in aliases:
                assert catalogue.entry(families[vendor], model), f"{path.name}: {model}"


@pytest.mark.parametrize(
    ("mapping", "place"),
    [
        (None, "families"),
        ({"families": []}, "families"),
        ({"families": {"openai": {}}}, "families.openai"),
        ({"families": {"openai": ["gpt"]}}, r"families.openai\[0\]: a model needs an 'id'"),
        ({"families": {"openai": [{"id": "a", "contxt": 1}]}}, r"\[0\] \(a\): unknown key 'contxt'"),
        ({"families": {"openai": [{"id": "a"}, {"id": "b", "sampling": "no"}]}}, r"\[1\] \(b\): .*sampling"),
        ({"families": {"openai": [{"id": "a"}, {"id": "a"}]}}, "stands there twice"),
        ({"families": {"openai": [{"id": "a", "price": {"input": 1}}]}}, r"\[0\] \(a\): unknown key 'price'"),
        ({"families": {"openai": []}, "defaults": []}, "defaults"),
        ({"families": {"openai": []}, "defaults": {"opnai": {}}}, "defaults.opnai"),
        ({"families": {"openai": []}, "defaults": {"openai": {"sampling": 1}}}, "defaults.openai: .*sampling"),
    ],
)
def test_a_broken_file_names_the_place(mapping: object, place: str) -> None:
    with pytest.raises(CatalogueError, match=place):
        catalogue_from(mapping)
