"""The files in the repository: gateway.yaml, its schema, its reference page."""

from __future__ import annotations

import os
from pathlib import Path

import jsonschema
import pytest
import yaml
from config_cases import ENVIRON, SECRET

from gateway.config import check, load, schema, schema_text
from gateway.config.kinds import ROOT, members
from gateway.config.meanings import MEANINGS
from gateway.config.reference import reference_text

REPOSITORY = Path(__file__).parents[2]
SHIPPED = str(REPOSITORY / "gateway.yaml")
KEYS = {f"AI_{vendor}_API_KEY": f"key-of-{vendor}" for vendor in ("OPENAI", "ANTHROPIC", "GEMINI")}
COMPLETE = {**ENVIRON, **KEYS}


def test_the_shipped_file_is_ok_with_three_keys_and_a_secret() -> None:
    assert check(SHIPPED, COMPLETE) == (0, f"{SHIPPED}: ok (3 providers, 2 tenants, 7 aliases)")
    assert check(SHIPPED, COMPLETE, "json") == (0, "[]")


def test_without_keys_the_check_names_every_variable_to_set() -> None:
    code, text = check(SHIPPED, {})
    assert code == 2
    for variable in ("GATEWAY_JWT_SECRET", *KEYS):
        assert f"the environment variable {variable} is not set" in text


def test_the_demo_needs_nothing_but_a_secret() -> None:
    missing = load(SHIPPED, ENVIRON, allow_missing_provider_keys=True).missing_keys
    assert missing == {
        "openai": "AI_OPENAI_API_KEY",
        "anthropic": "AI_ANTHROPIC_API_KEY",
        "gemini": "AI_GEMINI_API_KEY",
    }


VARIABLES = {
    "AI_OPENAI_MODEL": ("om", lambda c: c.providers["openai"].default_model, "gpt-5.4"),
    "AI_ANTHROPIC_MODEL": ("am", lambda c: c.providers["anthropic"].default_model, "claude-sonnet-4-6"),
    "AI_GEMINI_MODEL": ("gm", lambda c: c.providers["gemini"].default_model, "gemini-3.8-flash"),
    "AI_DEFAULT_TEMPERATURE": ("0.3", lambda c: c.tenants["default"].default_temperature, None),
    "AI_FALLBACK_ENABLED": ("false", lambda c: c.fallback.enabled, True),
    "AI_CIRCUIT_BREAKER_THRESHOLD": ("9", lambda c: c.breaker.failures, 5),
    "AI_TENANT_DAILY_TOKEN_LIMIT": ("1", lambda c: c.tenant("x").quota.daily_tokens, 50_000),
    "AI_TENANT_MONTHLY_TOKEN_LIMIT": ("2", lambda c: c.tenants["acme"].quota.monthly_tokens, 1_000_000),
    "AI_OPENAI_DAILY_LIMIT": ("3", lambda c: c.providers["openai"].quota.daily_tokens, 500_000),
    "AI_ANTHROPIC_DAILY_LIMIT": ("4", lambda c: c.providers["anthropic"].quota.daily_tokens, 300_000),
    "AI_GEMINI_DAILY_LIMIT": ("5", lambda c: c.providers["gemini"].quota.daily_tokens, 200_000),
    "AI_OPENAI_BASE_URL": ("http://h/v1/", lambda c: c.providers["openai"].base_url, "https://api.openai.com/v1"),
    "AI_ANTHROPIC_BASE_URL": ("http://h", lambda c: c.providers["anthropic"].base_url, "https://api.anthropic.com"),
    "AI_GEMINI_BASE_URL": (
        "http://h",
        lambda c: c.providers["gemini"].base_url,
        "https://generativelanguage.googleapis.com",
    ),
    "AI_OPENAI_API_KEY": ("k", lambda c: c.providers["openai"].api_key.reveal(), "key-of-OPENAI"),
    "AI_ANTHROPIC_API_KEY": ("k", lambda c: c.providers["anthropic"].api_key.reveal(), "key-of-ANTHROPIC"),
    "AI_GEMINI_API_KEY": ("k", lambda c: c.providers["gemini"].api_key.reveal(), "key-of-GEMINI"),
    "GATEWAY_JWT_SECRET": (SECRET[::-1], lambda c: c.auth.jwt[0].secret.reveal(), SECRET),
}


@pytest.mark.parametrize("variable", VARIABLES)
def test_the_shipped_file_honours_each_variable(variable: str) -> None:
    text, read, default = VARIABLES[variable]
    changed = read(load(SHIPPED, {**COMPLETE, variable: text}).config)
    assert read(load(SHIPPED, COMPLETE).config) == default
    assert changed != default
    assert str(changed).lower() == text.rstrip("/").lower()


def test_the_retired_names_of_2024_still_mean_a_provider() -> None:
    models = load(SHIPPED, COMPLETE).config.models
    assert models["gpt-4"] == models["gpt-3.5-turbo"] == ["openai"]
    assert models["claude-3-sonnet"] == models["claude-3-haiku"] == ["anthropic"]
    assert models["gemini-1.5-pro"] == models["gemini-1.0-pro"] == ["gemini"]
    assert models["fast"] == ["openai/gpt-5.4-mini", "anthropic/claude-haiku-4-5", "gemini/gemini-3.8-flash"]


def test_the_shipped_schema_is_the_generated_one() -> None:
    assert (REPOSITORY / "config/gateway.schema.json").read_text() == schema_text()


def test_the_reference_page_is_the_generated_one() -> None:
    assert (REPOSITORY / "docs/configuration.md").read_text() == reference_text()


def test_every_key_has_its_line_of_meaning() -> None:
    sections, seen = [ROOT], {}
    while sections:
        section = sections.pop()
        if hasattr(section, "cls") and hasattr(section, "fields"):
            seen[section.cls] = {field.name for field in section.fields}
            sections += [kind for field in section.fields for kind in members(field.type)]
        sections += [
            inner for inner in (getattr(section, "item_type", None), getattr(section, "value_type", None)) if inner
        ]
    assert {cls: set(lines) for cls, lines in MEANINGS.items()} == seen


def test_the_schema_is_one_and_takes_the_shipped_file() -> None:
    jsonschema.Draft202012Validator.check_schema(schema())
    jsonschema.validate(yaml.safe_load(Path(SHIPPED).read_text()), schema(), cls=jsonschema.Draft202012Validator)


BASE = {"type": "openai", "default_model": "m"}


@pytest.mark.parametrize(
    "content",
    [
        {},
        {"providers": {}},
        {"providers": {"a/b": BASE}},
        {"providers": {"p": {"type": "openai"}}},
        {"providers": {"p": {**BASE, "type": "openia"}}},
        {"providers": {"p": {**BASE, "prority": 1}}},
        {"providers": {"p": {**BASE, "priority": "high"}}},
        {"providers": {"p": BASE}, "server": {"port": 70000}},
        {"providers": {"p": BASE}, "server": {"port": "80"}},
        {"providers": {"p": BASE}, "fallback": {"enabled": "yes"}},
    ],
)
def test_the_schema_refuses_what_the_check_refuses(content: dict[str, object], tmp_path: Path) -> None:
    path = tmp_path / "gateway.yaml"
    path.write_text(yaml.safe_dump(content))
    assert not jsonschema.Draft202012Validator(schema()).is_valid(content)
    assert check(str(path), ENVIRON)[0] == 2


def test_the_schema_takes_references_for_any_scalar() -> None:
    content = {
        "providers": {"p": {**BASE, "type": "${T}", "priority": "${P:-1}", "timeouts": {"idle_s": "${S}"}}},
        "fallback": {"enabled": "${E}"},
        "limits": {"concurrency": "${C}"},
        "alerts": {"thresholds_percent": ["${A}"]},
    }
    jsonschema.validate(content, schema(), cls=jsonschema.Draft202012Validator)


def test_the_check_as_json_has_the_places(tmp_path: Path) -> None:
    path = tmp_path / "gateway.yaml"
    path.write_text("providers: {p: {type: openia, default_model: m}}")
    code, text = check(str(path), ENVIRON, "json")
    [problem] = yaml.safe_load(text)
    assert code == 2
    assert (problem["line"], problem["col"], problem["path"]) == (1, 23, "providers.p.type")
    assert (problem["file"], problem["hint"]) == (os.fspath(path), "Did you mean 'openai'?")
