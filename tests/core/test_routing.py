"""Who may answer, best first."""

import pytest

from gateway.core.routing import Candidate, Router, Served, UnknownModel, UnknownProvider


def served(name: str, priority: int, default: str, prefix: str, **models: str) -> Served:
    return Served(name, default, priority, models, lambda model: model.startswith(prefix))


OPENAI = served("openai", 9, "gpt-5.4", "gpt-")
ANTHROPIC = served("anthropic", 8, "claude-sonnet-4-6", "claude-")
GEMINI = served("gemini", 7, "gemini-3.8-flash", "gemini-", flash="gemini-3.8-flash")
ALIASES = {"fast": ["gemini/flash", "openai/gpt-5.4-mini"], "gpt-4": ["openai"]}


def router(*, across_providers: bool = True) -> Router:
    return Router([GEMINI, OPENAI, ANTHROPIC], ALIASES, across_providers=across_providers)


def pairs(candidates: list[Candidate]) -> list[tuple[str, str]]:
    return [(c.provider, c.model) for c in candidates]


def test_without_a_model_the_highest_priority_answers_and_the_others_follow() -> None:
    expected = [("openai", "gpt-5.4"), ("anthropic", "claude-sonnet-4-6"), ("gemini", "gemini-3.8-flash")]
    assert pairs(router().plan("")) == expected
    assert pairs(router().plan("auto")) == expected


def test_a_provider_and_model_comes_first_and_others_bring_their_default() -> None:
    assert pairs(router().plan("gemini/flash")) == [
        ("gemini", "gemini-3.8-flash"),
        ("openai", "gpt-5.4"),
        ("anthropic", "claude-sonnet-4-6"),
    ]


def test_an_alias_is_tried_in_the_order_written_then_by_priority() -> None:
    assert pairs(router().plan("fast")) == [
        ("gemini", "gemini-3.8-flash"),
        ("openai", "gpt-5.4-mini"),
        ("anthropic", "claude-sonnet-4-6"),
    ]


def test_an_alias_to_a_provider_alone_means_its_default_model() -> None:
    assert pairs(router().plan("gpt-4"))[0] == ("openai", "gpt-5.4")


def test_an_unlisted_name_of_a_known_family_passes_as_it_is() -> None:
    assert pairs(router().plan("gpt-9-nano"))[0] == ("openai", "gpt-9-nano")


def test_fallback_across_providers_can_be_switched_off() -> None:
    assert pairs(router(across_providers=False).plan("gpt-5.4")) == [("openai", "gpt-5.4")]


def test_the_preferred_provider_moves_to_the_front() -> None:
    assert pairs(router().plan("gpt-5.4", preferred="anthropic")) == [
        ("anthropic", "claude-sonnet-4-6"),
        ("openai", "gpt-5.4"),
        ("gemini", "gemini-3.8-flash"),
    ]


def test_an_unknown_preferred_provider_is_named_with_those_that_exist() -> None:
    with pytest.raises(UnknownProvider) as caught:
        router().plan("gpt-5.4", preferred="mistral")
    assert caught.value.known == ["openai", "anthropic", "gemini"]


def test_a_tenants_lists_bind_fallbacks_too() -> None:
    assert pairs(router().plan("gpt-5.4", providers=["openai", "gemini"])) == [
        ("openai", "gpt-5.4"),
        ("gemini", "gemini-3.8-flash"),
    ]
    assert pairs(router().plan("gpt-5.4", models=["gpt-5.4", "gemini-3.8-flash"])) == [
        ("openai", "gpt-5.4"),
        ("gemini", "gemini-3.8-flash"),
    ]
    with pytest.raises(UnknownModel):
        router().plan("claude-sonnet-4-6", models=["gpt-5.4"])
    with pytest.raises(UnknownModel):
        router().plan("anthropic/claude-sonnet-4-6", providers=["openai"])


@pytest.mark.parametrize(
    "name",
    [
        "gpt-5.4/../../v1/files",
        "../gpt-5.4",
        "http://evil.example/v1",
        "openai/",
        "openai/../x",
        "gpt-\r\nx",
        "gpt 5",
        "x" * 5000,
        "*",
        "/",
    ],
)
def test_names_that_could_be_paths_or_hosts_are_just_unknown(name: str) -> None:
    if name == "openai/":
        assert pairs(router().plan(name))[0] == ("openai", "gpt-5.4")
        return
    with pytest.raises(UnknownModel):
        router().plan(name)


def test_an_unknown_model_names_near_matches() -> None:
    with pytest.raises(UnknownModel) as caught:
        router().plan("claud-sonnet-4-6")
    assert caught.value.near[0] == "claude-sonnet-4-6"


def test_a_star_lets_any_plain_name_through_but_no_path() -> None:
    local = served("local", 5, "llama", "never", **{"*": "*"})
    only = Router([local], {}, across_providers=True)
    assert pairs(only.plan("qwen3:8b")) == [("local", "qwen3:8b")]
    with pytest.raises(UnknownModel):
        only.plan("../etc")


def test_names_lists_aliases_then_models_each_once() -> None:
    assert router().names() == ["fast", "gpt-4", "gpt-5.4", "claude-sonnet-4-6", "gemini-3.8-flash", "flash"]
    assert router().names(providers=["anthropic"]) == ["claude-sonnet-4-6"]
