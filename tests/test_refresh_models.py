"""scripts/refresh-models against a data set of our own: what it writes, and that it writes it once."""

from __future__ import annotations

import importlib.metadata
import re
import runpy
import sys
from datetime import date
from decimal import Decimal
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest
import yaml

from gateway.core import pricing

SCRIPT = Path(__file__).parents[1] / "scripts" / "refresh-models"
TODAY = date(2026, 11, 28)


def space(**fields: Any) -> SimpleNamespace:
    return SimpleNamespace(**fields)


def model(id: str, prices: Any, match: Any = None, context: int | None = None) -> SimpleNamespace:
    return space(id=id, prices=prices, match=match or space(equals=id), context_window=context)


def dollars(**prices: str) -> SimpleNamespace:
    return space(**{f"{name}_mtok": Decimal(price) for name, price in prices.items()})


TIERED = space(
    input_mtok=space(base=Decimal("2"), tiers=[space(start=200, price=Decimal("4.50"))]), output_mtok=Decimal("10")
)
STEPS = [
    space(constraint=None, prices=dollars(input="9")),
    space(constraint=space(start_date=date(2026, 1, 1)), prices=dollars(input="1.50", cache_read="0.15")),
    space(constraint=space(start_date=date(2027, 1, 1)), prices=dollars(input="3")),
]
ALIASES = space(or_=[space(equals="gpt-5.9-2026-01-01"), space(equals="gpt-5.9-chat"), space(starts_with="gpt-5.9")])
PROVIDERS = [
    space(id="openai", models=[
        model("gpt-5.9", STEPS, ALIASES), model("gpt-5-9", STEPS), model("gpt-5.9-tts", dollars(input="1")),
        model("gpt-4.1", dollars(input="2"), context=5), model("gpt-5.8", space()), model("whisper-2", dollars(input="1")),
    ]),
    space(id="anthropic", models=[model("claude-opus-9", TIERED), model("claude-opus-8", dollars(input="1", cache_write="1.25"))]),
    space(id="google", models=[model("gemini-9-flash", dollars(input="0.010", output="0.5", input_audio="2"))]),
]  # fmt: skip


@pytest.fixture
def script(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> dict[str, Any]:
    """The script's names, with our data in place of the package's and a folder of its own to write to."""
    package, data = ModuleType("genai_prices"), ModuleType("genai_prices.data")
    data.providers = PROVIDERS  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "genai_prices", package)
    monkeypatch.setitem(sys.modules, "genai_prices.data", data)
    monkeypatch.setattr(importlib.metadata, "version", lambda name: "1.2.3")
    names = runpy.run_path(str(SCRIPT), run_name="refresh_models")
    (tmp_path / "models.yaml").write_text((SCRIPT.parents[1] / "config" / "models.yaml").read_text())
    names["main"].__globals__["CONFIG"] = tmp_path
    monkeypatch.setattr(sys, "argv", ["refresh-models", "--as-of", str(TODAY)])
    return names


def test_prices_are_written_by_our_names_with_their_tiers_and_days(script: dict[str, Any], tmp_path: Path) -> None:
    script["main"]()

    written = yaml.safe_load((tmp_path / "prices.yaml").read_text())
    assert (written["as_of"], written["source"].split()[:2]) == (TODAY, ["genai-prices", "1.2.3"])
    steps = [{"input": 1.5, "cache_read": 0.15}, {"from": date(2027, 1, 1), "input": 3}]
    assert written["families"] == {
        "anthropic": {
            "claude-opus-8": [{"input": 1, "cache_write": 1.25, "cache_write_1h": 2}],
            "claude-opus-9": [{"input": 2, "output": 10, "tiers": [{"above": 200, "input": 4.5, "output": 10}]}],
        },
        "openai": {"gpt-4.1": [{"input": 2}], "gpt-5.9": steps, "gpt-5.9-chat": steps},
        "gemini": {"gemini-9-flash": [{"input": 0.01, "output": 0.5, "input_audio": 2}]},
    }
    assert pricing.prices_from(written).price("openai", "gpt-5.9-2026-01-01", 1_795_900_000) is not None


def test_a_newer_day_alone_changes_nothing(
    script: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    script["main"]()
    before = (tmp_path / "prices.yaml").read_text()
    monkeypatch.setattr(sys, "argv", ["refresh-models", "--as-of", "2026-12-05"])
    script["main"]()

    assert (tmp_path / "prices.yaml").read_text() == before
    assert "prices.yaml is as it was on 2026-11-28" in capsys.readouterr().out

    monkeypatch.setattr(sys, "argv", ["refresh-models", "--as-of", "2027-01-02"])
    script["main"]()
    assert "gpt-5.9: [{input: 3}]" in (tmp_path / "prices.yaml").read_text()


def test_contexts_that_differ_are_told_and_left_to_people(
    script: dict[str, Any], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    models = (tmp_path / "models.yaml").read_text()
    script["main"]()

    assert "openai/gpt-4.1: models.yaml says 1047576, the package 5" in capsys.readouterr().out
    assert (tmp_path / "models.yaml").read_text() == models


def test_the_script_and_the_product_agree_on_what_a_dated_name_is() -> None:
    [pattern] = re.findall(r'^DATED = re.compile\(r"(.*)"\)$', SCRIPT.read_text(), re.M)
    assert pattern == pricing._DATED.pattern
