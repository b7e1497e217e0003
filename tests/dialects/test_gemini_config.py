"""Sampling, limits, formats, thinking and extensions towards Gemini."""

from __future__ import annotations

from typing import Any

import pytest
from gemini_models import GEMINI_2_0, GEMINI_2_5, GEMINI_3, GEMINI_3_8, WEATHER, ask, body
from msgspec import structs

from gateway.types import Abilities, Notes, ResponseFormat, Translation, Unsupported

QUIET = Translation(expose_reasoning=False)
CITY = {"type": "object", "properties": {"city": {"type": "string"}}}


def config(abilities: Abilities = GEMINI_2_5, notes: Notes | None = None, **fields: Any) -> dict[str, Any]:
    """generationConfig with the thinking part left to the tests that are about it."""
    made: dict[str, Any] = body(ask(**fields), abilities, notes, translation=QUIET).get("generationConfig", {})
    return made


def test_every_number_has_its_place() -> None:
    made = config(
        temperature=0.5,
        top_p=0.9,
        top_k=40,
        max_tokens=100,
        n=2,
        stop=["a", ""],
        seed=7,
        presence_penalty=0.5,
        frequency_penalty=0.0,
        logprobs=True,
        top_logprobs=3,
    )

    assert made == {
        "temperature": 0.5,
        "topP": 0.9,
        "topK": 40,
        "maxOutputTokens": 100,
        "candidateCount": 2,
        "stopSequences": ["a"],
        "seed": 7,
        "presencePenalty": 0.5,
        "frequencyPenalty": 0.0,
        "responseLogprobs": True,
        "logprobs": 3,
    }


def test_a_plain_request_says_nothing() -> None:
    assert config() == {}


def test_what_the_model_ignores_or_refuses_is_left_out_aloud() -> None:
    notes = Notes()
    made = config(GEMINI_3_8, notes, temperature=0.2, top_p=1.0, top_k=1, presence_penalty=0.5, frequency_penalty=0.0)

    assert made == {}
    assert notes.dropped == ["temperature", "top_k", "presence_penalty"]
    assert notes.warnings == ["sampling_unsupported", "penalties_unsupported"]


def test_strictness_refuses_what_would_be_left_out() -> None:
    with pytest.raises(Unsupported) as refusal:
        config(GEMINI_3_8, Notes(strict=True), temperature=0.2)
    assert refusal.value.param == "temperature"


def test_a_low_temperature_is_advised_against_where_it_may_loop() -> None:
    notes = Notes()

    assert config(GEMINI_3, notes, temperature=0.2) == {"temperature": 0.2}
    assert notes.warnings == ["low_temperature_may_loop"]


def test_log_probabilities_are_asked_of_models_that_tell_them() -> None:
    notes = Notes()

    silent = structs.replace(GEMINI_3_8, logprobs=False)
    assert config(silent, notes, logprobs=True, top_logprobs=2) == {}
    assert (notes.dropped, notes.warnings) == (["logprobs"], ["logprobs_unsupported"])


def test_more_tokens_than_the_model_makes_are_clamped() -> None:
    notes = Notes()

    assert config(notes=notes, max_tokens=100_000) == {"maxOutputTokens": 65536}
    assert notes.warnings == ["max_tokens_clamped"]


def test_several_answers_are_refused_where_there_is_one() -> None:
    with pytest.raises(Unsupported) as refusal:
        config(GEMINI_3, n=2)
    assert refusal.value.param == "n"


def test_nobody_watches_for_more_than_five_stops_in_several_answers() -> None:
    with pytest.raises(Unsupported) as refusal:
        config(stop=list("abcdef"), n=2)
    assert refusal.value.param == "stop"


@pytest.mark.parametrize(
    ("seed", "sent", "warnings"), [(-5, -5, []), (2**31, 0, ["seed_reduced"]), (-(2**40) + 3, 3, ["seed_reduced"])]
)
def test_a_seed_is_a_signed_number_of_32_bits(seed: int, sent: int, warnings: list[str]) -> None:
    notes = Notes()

    assert config(notes=notes, seed=seed) == {"seed": sent}
    assert notes.warnings == warnings


def test_formats_go_as_json_schema_or_as_the_subset() -> None:
    format = ResponseFormat("json_schema", CITY, "city")

    assert config(format=ResponseFormat("text")) == {}
    assert config(format=ResponseFormat("json_object")) == {"responseMimeType": "application/json"}
    assert config(format=format) == {"responseMimeType": "application/json", "responseJsonSchema": CITY}
    assert config(GEMINI_2_0, format=format)["responseSchema"] == {
        "type": "OBJECT",
        "properties": {"city": {"type": "STRING"}},
        "propertyOrdering": ["city"],
    }


def test_tools_win_over_a_format_where_both_are_too_much() -> None:
    notes = Notes()
    request = ask(tools=[WEATHER], format=ResponseFormat("json_schema", CITY))
    wire = body(request, GEMINI_2_5, notes, translation=QUIET)

    assert "generationConfig" not in wire
    assert wire["systemInstruction"]["parts"][-1]["text"].endswith(
        '{"type":"object","properties":{"city":{"type":"string"}}}'
    )
    assert notes.warnings == ["json_mode_emulated"]
    assert body(request, GEMINI_3)["generationConfig"]["responseJsonSchema"] == CITY


@pytest.mark.parametrize(
    ("abilities", "effort", "sent", "warnings"),
    [
        (GEMINI_3, "none", {"thinkingLevel": "MINIMAL"}, []),
        (GEMINI_3, "minimal", {"thinkingLevel": "MINIMAL", "includeThoughts": True}, []),
        (GEMINI_3, "max", {"thinkingLevel": "HIGH", "includeThoughts": True}, ["reasoning_effort_clamped"]),
        (GEMINI_3_8, "none", {"thinkingLevel": "LOW"}, ["reasoning_cannot_be_disabled"]),
        (GEMINI_3_8, "minimal", {"thinkingLevel": "LOW", "includeThoughts": True}, ["reasoning_effort_clamped"]),
        (GEMINI_3_8, "medium", {"thinkingLevel": "MEDIUM", "includeThoughts": True}, []),
        (GEMINI_2_5, "none", {"thinkingBudget": 0}, []),
        (GEMINI_2_5, "minimal", {"thinkingBudget": 512, "includeThoughts": True}, []),
        (GEMINI_2_5, "high", {"thinkingBudget": 24576, "includeThoughts": True}, []),
        (GEMINI_2_5, "xhigh", {"thinkingBudget": -1, "includeThoughts": True}, []),
    ],
)
def test_an_effort_is_a_level_or_a_budget(
    abilities: Abilities, effort: str, sent: dict[str, Any], warnings: list[str]
) -> None:
    notes = Notes()

    assert config(abilities, notes, effort=effort) == {"thinkingConfig": sent}
    assert notes.warnings == warnings


def test_the_pro_model_of_2_5_cannot_stop_thinking() -> None:
    notes = Notes()
    wire = body(ask(effort="none"), GEMINI_2_5, notes, model="gemini-2.5-pro")

    assert wire["generationConfig"]["thinkingConfig"] == {"thinkingBudget": 128}
    assert notes.warnings == ["reasoning_cannot_be_disabled"]


def test_a_model_that_does_not_think_is_not_asked_to() -> None:
    notes = Notes()

    assert config(GEMINI_2_0, notes, effort="high") == {}
    assert notes.dropped == ["reasoning_effort"]
    assert body(ask(effort="none"), GEMINI_2_0, Notes(strict=True)).get("generationConfig") is None


def test_an_unknown_effort_is_left_out() -> None:
    notes = Notes()

    assert config(GEMINI_3, notes, effort="enormous") == {}
    assert notes.dropped == ["reasoning_effort"]


def test_thoughts_are_shown_when_the_operator_exposes_them_and_the_model_thinks() -> None:
    assert body(ask(), GEMINI_3)["generationConfig"] == {"thinkingConfig": {"includeThoughts": True}}
    assert "generationConfig" not in body(ask(), GEMINI_2_0)


@pytest.mark.parametrize(
    ("abilities", "thinking", "sent"),
    [
        (GEMINI_2_5, {"type": "enabled", "budget_tokens": 3000}, {"thinkingBudget": 3000, "includeThoughts": True}),
        (GEMINI_2_5, {"type": "enabled", "budget_tokens": 60000}, {"thinkingBudget": 24576, "includeThoughts": True}),
        (GEMINI_3, {"type": "enabled", "budget_tokens": 3000}, {"thinkingLevel": "MEDIUM", "includeThoughts": True}),
        (GEMINI_3, {"type": "adaptive", "display": "omitted"}, {"thinkingLevel": "HIGH"}),
        (GEMINI_3, {"type": "disabled"}, {"thinkingLevel": "MINIMAL"}),
    ],
)
def test_anthropics_thinking_object_wins_over_the_effort(
    abilities: Abilities, thinking: Any, sent: dict[str, Any]
) -> None:
    assert config(abilities, effort="high", thinking=thinking) == {"thinkingConfig": sent}


@pytest.mark.parametrize(
    ("tier", "sent"),
    [
        ("default", "standard"),
        ("flex", "flex"),
        ("fast", "priority"),
        ("priority", "priority"),
        ("auto", None),
        ("scale", None),
    ],
)
def test_a_service_tier_has_its_counterpart_or_goes(tier: str, sent: str | None) -> None:
    notes = Notes()

    assert body(ask(service_tier=tier), notes=notes).get("serviceTier") == sent
    assert notes.dropped == (["service_tier"] if tier == "scale" else [])


def test_googles_own_fields_pass_under_either_spelling() -> None:
    safety = [{"category": "HARM_CATEGORY_HARASSMENT", "threshold": "OFF"}]
    extra = {
        "safety_settings": safety,
        "labels": {"team": "a"},
        "store": False,
        "extra_body": {
            "google": {"cached_content": "cachedContents/x", "thinking_config": {"thinkingBudget": 9}, "contents": []}
        },
    }
    notes = Notes()
    wire = body(ask(extra=extra, effort="high"), GEMINI_2_5, notes)

    assert (wire["safetySettings"], wire["labels"], wire["store"]) == (safety, {"team": "a"}, False)
    assert wire["cachedContent"] == "cachedContents/x"
    assert wire["generationConfig"]["thinkingConfig"] == {"thinkingBudget": 9}
    assert notes.dropped == ["google.contents"]


def test_what_has_no_counterpart_is_dropped_aloud_but_who_the_user_is_in_silence() -> None:
    notes = Notes()
    fields = {"foo": 1, "bar": None, "store": True, "modalities": ["text"]}
    body(
        ask(extra=fields, user="u", safety_identifier="s", metadata={"a": "b"}, logit_bias={"1": 2.0}, verbosity="low"),
        notes=notes,
    )

    assert notes.dropped == ["foo", "logit_bias", "verbosity", "metadata"]


def test_spoken_answers_are_refused_and_pictures_asked_for() -> None:
    assert config(extra={"modalities": ["text", "image"]}) == {"responseModalities": ["TEXT", "IMAGE"]}
    with pytest.raises(Unsupported):
        config(extra={"modalities": ["text", "audio"]})
