"""Budgets on the command line: shown in dollars, reset with the quotas, and what no budget will ever see is named."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path

import pytest

from gateway.__main__ import main
from gateway.core.wallet import Cost
from gateway.settings import Budget
from gateway.stores.keeper import Keeper
from gateway.stores.open import open_store

CONFIG = """
auth: {{jwt: [{{algorithm: HS256, secret: "0123456789012345678901234567890123"}}]}}
store: {{url: "sqlite:///{store}"}}
providers:
  openai: {{type: openai, api_key: k, default_model: gpt-5.4, budget: {{monthly_usd: {month}}}}}
  local: {{type: openai_compatible, base_url: "http://127.0.0.1:1/v1", default_model: llama, models: {{small: mini}}}}
tenants: {{acme: {{budget: {{daily_usd: {day}}}}}, globex: {{}}}}
"""


def written(folder: Path, day: str = "5", month: str = "null") -> str:
    path = folder / "gateway.yaml"
    path.write_text(CONFIG.format(store=folder / "gateway.db", day=day, month=month))
    return str(path)


async def spend(folder: Path, microusd: int) -> None:
    """As a gateway would have spent it before."""
    budgets = {"tenant:acme": Budget(daily_usd=Decimal(5))}
    keeper = Keeper(open_store(f"sqlite:///{folder}/gateway.db"), {}, None, budgets)
    await keeper.start()
    hold = await keeper.hold(("tenant:acme",), 100, cost=Cost(microusd, ("tenant:acme",)))
    keeper.settle(hold, 70, spent=microusd)
    assert await keeper.close()


@pytest.fixture
async def spent(tmp_path: Path) -> Path:
    await spend(tmp_path, 1_250_000)
    return tmp_path


def test_quota_show_and_reset_speak_of_dollars(spent: Path, capsys: pytest.CaptureFixture[str]) -> None:
    config = written(spent)
    assert main(["quota", "show", "--config", config, "--tenant", "acme"]) == 0
    lines = [line.split() for line in capsys.readouterr().out.splitlines()]
    [day] = [line for line in lines if line[:2] == ["tenant:acme", "daily"] and "USD" in line]
    assert day[3:] == ["5.00", "USD", "1.25", "USD", "0.00", "USD", "3.75", "USD"]
    assert main(["quota", "reset", "--config", config, "--tenant", "acme"]) == 0
    assert "1.25 USD" in capsys.readouterr().out, "the figures before"
    assert main(["quota", "show", "--config", config, "--tenant", "acme"]) == 0
    assert "1.25 USD" not in capsys.readouterr().out


def test_quota_show_of_a_tenant_without_a_budget_speaks_of_tokens_alone(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["quota", "show", "--config", written(tmp_path), "--tenant", "globex"]) == 0
    assert "USD" not in capsys.readouterr().out


def test_explain_says_what_a_model_costs_and_who_pays(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    config = written(tmp_path, month="20")
    assert main(["explain", "--config", config, "--tenant", "acme", "--model", "gpt-5.4"]) == 0
    first, second = capsys.readouterr().out.splitlines()
    assert first.endswith("(a million tokens: 2.50 USD in, 15.00 USD out; paid by tenant:acme, provider:openai)")
    assert second.endswith("(nobody knows its price: it costs tenant:acme nothing)")
    assert main(["explain", "--config", config, "--tenant", "globex", "--model", "local/llama"]) == 0
    assert "price" not in capsys.readouterr().out.splitlines()[0], "no budget has to pay"


def test_check_names_every_model_that_a_budget_will_not_see(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    config = written(tmp_path)
    assert main(["check", "--config", config]) == 0
    told = capsys.readouterr()
    assert told.out.endswith(": ok (2 providers, 2 tenants, 0 aliases)\n")
    assert [line.partition("warning: ")[2] for line in told.err.splitlines()] == [
        "nobody knows the price of local/llama: its calls cost no budget",
        "nobody knows the price of local/mini: its calls cost no budget",
    ]
    assert main(["check", "--config", config, "--format", "json"]) == 0
    assert capsys.readouterr().out == "[]\n"


def test_check_has_nothing_to_say_where_no_budget_pays(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check", "--config", written(tmp_path, day="null", month="3")]) == 0
    assert capsys.readouterr().err == ""
