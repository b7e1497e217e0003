"""The catalogue of models: which row answers for which name, and what a broken file says."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from gateway.core.catalogue import Catalogue, CatalogueError, catalogue_from
from gateway.types import Abilities

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
    assert catalogue.abilities("openai_compatible", "llama-4") == Abilities(output_cap="max_tokens")


def test_the_default_models_of_the_shipped_configuration_are_known(catalogue: Catalogue) -> None:
    for family, model in (("openai", "gpt-5.4"), ("anthropic", "claude-sonnet-4-6"), ("gemini", "gemini-3.8-flash")):
        assert catalogue.entry(family, model) is not None


def test_every_row_of_the_file_has_a_context_and_an_output_limit(catalogue: Catalogue) -> None:
    for family, rows in yaml.safe_load(MODELS.read_text())["families"].items():
        for row in rows:
            abilities = catalogue.abilities(family, row["id"])
            assert abilities.context and abilities.max_output, row["id"]
            assert abilities.max_output <= abilities.context


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
        ({"families": {"openai": [{"id": "a", "price": {"input": "dear"}}]}}, r"\[0\] \(a\)"),
    ],
)
def test_a_broken_file_names_the_place(mapping: object, place: str) -> None:
    with pytest.raises(CatalogueError, match=place):
        catalogue_from(mapping)
