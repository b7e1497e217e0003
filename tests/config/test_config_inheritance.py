"""What is not written."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from config_cases import BASE, SECRET

from gateway.config import ConfigError, Loaded
from gateway.settings import Config, Limits, Quota, Secret

Load = Callable[..., Loaded]
Problems = Callable[..., list[str]]


def test_the_smallest_file_serves_everybody_with_the_default_quota(loaded: Load) -> None:
    config = loaded(BASE).config
    tenant = config.tenant("anybody")
    assert tenant is not None
    assert tenant.quota == Quota(daily_tokens=50_000, monthly_tokens=1_000_000)
    assert config.auth.jwt[0].secret == Secret(SECRET)


def test_every_section_has_the_defaults_of_its_type(loaded: Load) -> None:
    config, plain = loaded(BASE).config, Config()
    for section in (
        "server",
        "admin",
        "store",
        "fallback",
        "breaker",
        "limits",
        "alerts",
        "cache",
        "log",
        "translation",
    ):
        assert getattr(config, section) == getattr(plain, section)


def test_a_tenant_inherits_limits_and_quota_field_by_field_and_null_lifts_them(loaded: Load) -> None:
    config = loaded(
        BASE + "limits: {requests_per_minute: 10, tokens_per_minute: 20}\n"
        "tenants:\n"
        "  default: {quota: {daily_tokens: 1, monthly_tokens: 2}, default_temperature: 0.5, limits: {concurrency: 9}}\n"
        "  acme: {quota: {daily_tokens: 3}, limits: {requests_per_minute: null}}\n"
        "  free: {quota: {monthly_tokens: null}, default_temperature: null}\n"
    ).config
    acme, free = config.tenants["acme"], config.tenants["free"]
    assert acme.quota == Quota(daily_tokens=3, monthly_tokens=2)
    assert acme.limits == Limits(requests_per_minute=None, tokens_per_minute=20, concurrency=100)
    assert acme.default_temperature == 0.5
    assert free.quota == Quota(daily_tokens=1, monthly_tokens=None)
    assert free.default_temperature is None
    assert config.tenants["default"].limits == Limits(requests_per_minute=10, tokens_per_minute=20, concurrency=9)


def test_an_unlisted_tenant_is_served_only_when_default_says_so_and_its_name_is_one(loaded: Load) -> None:
    closed = loaded(BASE + "tenants: {default: {}, acme: {}}").config
    opened = loaded(BASE + "tenants: {default: {allow_unlisted: true}, acme: {}}").config
    assert closed.tenant("acme") is closed.tenants["acme"]
    assert closed.tenant("default") is closed.tenants["default"]
    assert closed.tenant("other") is None
    assert opened.tenant("other") is opened.tenants["default"]
    assert [opened.tenant(name) for name in ("", "a/b", "a:b", "a\n", "x" * 65)] == [None] * 5


def test_api_keys_alone_are_a_way_to_log_in(loaded: Load) -> None:
    text = BASE + f"auth: {{api_keys: [{{sha256: {'0' * 64}, tenant: [a, b], name: ci}}]}}"
    auth = loaded(text, {}).config.auth
    assert (auth.jwt, auth.api_keys[0].roles) == ([], ["user"])


def test_without_any_way_to_log_in_the_problem_says_how_to_make_a_secret(problems: Problems) -> None:
    [problem] = problems(BASE, {})
    assert problem.endswith("Run: export GATEWAY_JWT_SECRET=$(openssl rand -hex 32)")


def test_a_weak_secret_that_no_line_names_is_a_problem_of_the_file(problems: Problems) -> None:
    [problem] = problems(BASE, {"GATEWAY_JWT_SECRET": "weak"})
    assert problem.startswith("auth.jwt[0].secret: the secret is too short: 4 bytes")


KEYED = "providers:\n  p: {type: openai, default_model: m, api_key: %s}\n"


@pytest.mark.parametrize("written", ['"${KEY}"', '"${KEY:?please}"', '"${KEY:-}"'])
def test_a_missing_provider_key_stops_serving_but_not_the_demo(loaded: Load, written: str) -> None:
    environ = {"GATEWAY_JWT_SECRET": SECRET}
    result = loaded(KEYED % written, environ, demo=True)
    assert (result.config.providers["p"].api_key, result.missing_keys) == (None, {"p": "KEY"})
    with pytest.raises(ConfigError, match=r"KEY is (not set|empty)"):
        loaded(KEYED % written, environ)


def test_with_its_key_a_provider_is_not_missing_in_the_demo(loaded: Load) -> None:
    result = loaded(KEYED % '"${KEY}"', {"GATEWAY_JWT_SECRET": SECRET, "KEY": "k"}, demo=True)
    assert (result.config.providers["p"].api_key, result.missing_keys) == (Secret("k"), {})


def test_of_several_keys_those_that_are_set_are_enough_for_the_demo(loaded: Load) -> None:
    text = "providers:\n  p: {type: openai, default_model: m, api_keys: ['${A}', '${B}']}\n"
    some = loaded(text, {"GATEWAY_JWT_SECRET": SECRET, "B": "b"}, demo=True)
    none = loaded(text, {"GATEWAY_JWT_SECRET": SECRET}, demo=True)
    assert (some.config.providers["p"].api_keys, some.missing_keys) == ([Secret("b")], {})
    assert (none.config.providers["p"].api_keys, list(none.missing_keys)) == ([], ["p"])


def test_the_demo_still_refuses_everything_else(loaded: Load) -> None:
    with pytest.raises(ConfigError, match="OTHER is not set"):
        loaded(KEYED % '"${KEY}"' + 'server: {host: "${OTHER}"}', {"GATEWAY_JWT_SECRET": SECRET}, demo=True)
