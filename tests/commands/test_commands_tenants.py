"""A tenant that the configuration does not know: said by every command that is given one, instead of figures that are none."""

from __future__ import annotations

from pathlib import Path

import pytest

from gateway.__main__ import main
from gateway.stores.keeper import Keeper
from gateway.stores.open import open_store

CONFIG = """
auth: {{jwt: [{{algorithm: HS256, secret: "0123456789012345678901234567890123"}}]}}
store: {{url: "sqlite:///{store}"}}
providers: {{local: {{type: openai_compatible, base_url: "http://127.0.0.1:1/v1", default_model: llama}}}}
tenants: {{default: {{allow_unlisted: {unlisted}}}, acme: {{}}}}
"""
COMMANDS = (["token", "--user", "ada"], ["quota", "show"], ["quota", "reset"], ["explain"])
NOBODY = "gateway: there is no tenant 'acmee', and tenants.default.allow_unlisted is off\n"


def written(folder: Path, unlisted: str = "false") -> str:
    path = folder / "gateway.yaml"
    path.write_text(CONFIG.format(store=folder / "gateway.db", unlisted=unlisted))
    return str(path)


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_a_tenant_that_nobody_serves_is_told(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], command: list[str]
) -> None:
    config = ["--config", written(tmp_path)]
    assert main([*command, *config, "--tenant", "acmee"]) == 2
    assert capsys.readouterr() == ("", NOBODY)
    assert main([*command, *config, "--tenant", "acme"]) == 0


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
@pytest.mark.parametrize("name", ["", "a/b"])
def test_what_cannot_be_a_tenants_name_is_told(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], command: list[str], name: str
) -> None:
    config = ["--config", written(tmp_path, unlisted="true")]
    assert main([*command, *config, "--tenant", name]) == 2
    assert capsys.readouterr() == ("", f"gateway: {name!r} cannot be a tenant's name\n")
    assert main([*command, *config, "--tenant", "anybody"]) == 0


@pytest.fixture
async def used(tmp_path: Path) -> Path:
    keeper = Keeper(open_store(f"sqlite:///{tmp_path}/gateway.db"), {}, None, {})
    await keeper.start()
    keeper.settle(await keeper.hold(("tenant:gone",), 100), 70)
    assert await keeper.close()
    return tmp_path


def test_what_a_tenant_used_that_is_no_longer_served_can_still_be_seen_and_reset(
    used: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config = ["--config", written(used), "--tenant", "gone"]
    assert main(["quota", "show", *config]) == 0
    assert " 70 " in capsys.readouterr().out
    assert main(["quota", "reset", *config]) == 0
    assert main(["quota", "show", *config]) == 2


MODELS = """
auth: {jwt: [{algorithm: HS256, secret: "0123456789012345678901234567890123"}]}
providers:
  openai: {type: openai, api_key: k, default_model: gpt-5.4, models: {big: gpt-5.4-pro}}
  anthropic: {type: anthropic, api_key: k, default_model: claude-haiku-4-5}
models: {fast: [openai, anthropic]}
tenants: {acme: {providers: [openai], models: [fast, fst, big, gpt-5.4-pro, gpt-5.4-mini, openai/gpt-9, claude-opus-4-6]}}
"""


def test_check_names_the_models_of_a_tenant_that_nobody_serves(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "gateway.yaml"
    path.write_text(MODELS)
    assert main(["check", "--config", str(path)]) == 0
    assert capsys.readouterr().err.splitlines() == [
        f"{path}: warning: tenants.acme.models: no provider of this tenant serves 'fst'; did you mean 'fast'?",
        f"{path}: warning: tenants.acme.models: no provider of this tenant serves 'claude-opus-4-6'",
    ]
