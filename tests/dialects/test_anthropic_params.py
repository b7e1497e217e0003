"""Limits, sampling, effort, identity and what has no place at Anthropic, by model."""

from __future__ import annotations

from typing import Any

import pytest
from anthropic_models import DIALECT, SONNET, WEATHER, ask, body_of, call, result, say, target, thought, write

from gateway.types import Message, Notes, Text, Tool, Unsupported

NEW, OLD = "claude-opus-5-5", "claude-haiku-4-5"


def version(**fields: Any) -> str:
    model = fields.pop("model", SONNET)
    return dict(write(ask(**fields), target(model))[1].headers)["anthropic-version"]


def refused(**fields: Any) -> Unsupported:
    with pytest.raises(Unsupported) as caught:
        write(ask(**fields))
    return caught.value


# ---------------------------------------------------------------- limits


@pytest.mark.parametrize(
    ("fields", "model", "sent", "warnings"),
    [
        ({}, SONNET, 32_000, []),
        ({"stream": True}, SONNET, 64_000, []),
        ({"max_tokens": 20}, SONNET, 20, []),
        ({"max_tokens": 70_000}, SONNET, 64_000, ["max_tokens_clamped"]),
        ({"max_tokens": 70_000}, NEW, 70_000, []),
    ],
)
def test_there_is_always_an_output_limit_and_never_one_the_model_refuses(
    fields: Any, model: str, sent: int, warnings: list[str]
) -> None:
    body, _, notes = write(ask(**fields), target(model))

    assert (body["max_tokens"], notes.warnings) == (sent, warnings)
    assert body.get("stream", False) == fields.get("stream", False)


def test_an_output_limit_of_nothing_is_refused() -> None:
    assert refused(max_tokens=0).param == "max_tokens"


def test_blank_stop_texts_go() -> None:
    body, _, notes = write(ask(stop=["", "\n", "END"]))

    assert (body["stop_sequences"], notes.warnings) == (["END"], ["stop_sequences_cleaned"])
    assert "stop_sequences" not in body_of(ask(stop=["\n"]))


# ---------------------------------------------------------------- sampling


def test_sampling_needs_the_version_that_knows_it() -> None:
    body, written, _ = write(ask(temperature=0.2))

    assert body["temperature"] == 0.2
    assert dict(written.headers) == {"anthropic-version": "2023-06-01"}
    assert version(temperature=1, top_p=1) == "2026-10-21"


@pytest.mark.parametrize("model", ["claude-opus-4-7", "claude-sonnet-5", NEW, "claude-not-known-yet"])
def test_models_without_sampling_get_none(model: str) -> None:
    body, written, notes = write(ask(temperature=0.2, top_p=0.5, top_k=4), target(model))

    assert not body.keys() & {"temperature", "top_p", "top_k"}
    assert dict(written.headers)["anthropic-version"] == "2026-10-21"
    assert (notes.dropped, notes.warnings) == (["temperature", "top_p", "top_k"], ["sampling_unsupported"])


def test_the_defaults_are_left_out_without_a_word() -> None:
    body, _, notes = write(ask(temperature=1, top_p=1.0), target(NEW))

    assert not body.keys() & {"temperature", "top_p"}
    assert notes == Notes()


def test_an_operator_may_do_without_the_old_version() -> None:
    body, _, notes = write(ask(temperature=0.2), target(anthropic_sampling="drop"))

    assert "temperature" not in body
    assert notes.dropped == ["temperature"]


def test_a_temperature_beyond_anthropics_range_is_its_highest() -> None:
    body, _, notes = write(ask(temperature=1.7, top_k=5))

    assert (body.get("temperature"), body["top_k"]) == (None, 5)
    assert notes.warnings == ["temperature_clamped"]


def test_temperature_and_top_p_together_are_one_too_many() -> None:
    body, _, notes = write(ask(temperature=0.5, top_p=0.5))

    assert (body["temperature"], "top_p" in body, notes.dropped) == (0.5, False, ["top_p"])


def test_thinking_takes_no_sampling_but_a_high_top_p() -> None:
    body, _, notes = write(ask(temperature=0.5, top_k=3, effort="low"), target(OLD))
    assert not body.keys() & {"temperature", "top_k"}
    assert notes.dropped == ["temperature", "top_k"]

    assert body_of(ask(top_p=0.97, effort="low"), target(OLD))["top_p"] == 0.97
    assert "top_p" not in body_of(ask(top_p=0.5, effort="low"), target(OLD))


# ---------------------------------------------------------------- effort

SUMMARIES = {"type": "adaptive", "display": "summarized"}


@pytest.mark.parametrize(
    ("model", "effort", "thinking", "level", "warnings"),
    [
        (SONNET, None, None, None, []),
        (SONNET, "none", {"type": "disabled"}, None, []),
        (SONNET, "minimal", SUMMARIES, "low", []),
        (SONNET, "medium", SUMMARIES, "medium", []),
        (SONNET, "xhigh", SUMMARIES, "high", ["reasoning_effort_clamped"]),
        (SONNET, "max", SUMMARIES, "max", []),
        (NEW, None, SUMMARIES, None, []),
        (NEW, "none", None, "low", ["reasoning_cannot_be_disabled"]),
        (NEW, "xhigh", SUMMARIES, "xhigh", []),
        ("claude-sonnet-5-5", "none", {"type": "between_tools"}, None, []),
        ("claude-opus-5", "none", {"type": "disabled"}, None, []),
        (OLD, None, None, None, []),
        (OLD, "none", None, None, []),
        (OLD, "minimal", {"type": "enabled", "budget_tokens": 1024}, None, []),
        (OLD, "high", {"type": "enabled", "budget_tokens": 16384}, None, []),
        ("claude-opus-4-5", "max", {"type": "enabled", "budget_tokens": 30976}, "high", ["reasoning_effort_clamped"]),
    ],
)
def test_an_effort_is_what_the_model_understands(
    model: str, effort: Any, thinking: Any, level: Any, warnings: list[str]
) -> None:
    body, _, notes = write(ask(effort=effort), target(model))

    assert body.get("thinking") == thinking
    assert body.get("output_config", {}).get("effort") == level
    assert notes.warnings == warnings


def test_hidden_thoughts_need_no_summaries() -> None:
    assert "thinking" not in body_of(ask(), target(NEW, expose_reasoning=False))


def test_a_budget_stays_below_the_clients_limit_or_goes() -> None:
    body, _, notes = write(ask(effort="high", max_tokens=2048), target(OLD))
    assert ("thinking" in body, notes.warnings) == (False, ["thinking_budget_too_small"])

    assert body_of(ask(effort="high", max_tokens=3000), target(OLD))["thinking"]["budget_tokens"] == 1976


def test_anthropics_own_thinking_wins_where_the_model_knows_its_kind() -> None:
    own = {"type": "enabled", "budget_tokens": 5000}

    assert body_of(ask(thinking=own, effort="low"), target(OLD))["thinking"] == own
    body, _, notes = write(ask(thinking=own), target(NEW))
    assert (body["thinking"], body["output_config"]) == (SUMMARIES, {"effort": "medium"})
    assert notes.warnings == ["thinking_adapted"]
    assert body_of(ask(thinking={"type": "adaptive"}), target(OLD))["thinking"]["budget_tokens"] == 8192
    assert body_of(ask(thinking={"type": "disabled"}), target("claude-sonnet-5-5"))["thinking"] == {
        "type": "between_tools"
    }


def test_an_effort_that_does_not_exist_is_dropped() -> None:
    body, _, notes = write(ask(effort="heroic"))

    assert ("output_config" in body, notes.dropped) == (False, ["reasoning_effort"])


def test_replayed_thoughts_ask_a_model_that_checks_them_to_be_lenient() -> None:
    talk = (say("user", "?"), say("assistant", thought(), call("a")), result("a"))
    body, written, _ = write(ask(*talk, tools=[WEATHER]), target(NEW))

    assert body["messages"][1]["content"][0] == {"type": "thinking", "thinking": "hm", "signature": "sig=="}
    assert body["thinking"] == {**SUMMARIES, "block_binding": {"prefix_mismatch_behavior": "drop_block"}}
    assert dict(written.headers)["anthropic-beta"] == "thinking-binding-controls-2026-08-01"
    assert len(write(ask(*talk, tools=[WEATHER]))[1].headers) == 1


def test_a_model_told_not_to_think_gets_no_thoughts_it_would_check() -> None:
    talk = (say("user", "?"), say("assistant", thought(), "x"), say("user", "!"))
    body = body_of(ask(*talk, effort="none"), target("claude-sonnet-5-5"))

    assert [block["type"] for block in body["messages"][1]["content"]] == ["text"]


def test_manual_thinking_cannot_go_on_in_a_tool_loop_without_its_thought() -> None:
    talk = (say("user", "?"), say("assistant", call("a")), result("a"))
    body, _, notes = write(ask(*talk, tools=[WEATHER], effort="low"), target(OLD))

    assert ("thinking" in body, notes.warnings) == (False, ["thinking_dropped_without_history"])
    with_thought = (say("user", "?"), say("assistant", thought(), call("a")), result("a"))
    assert "thinking" in body_of(ask(*with_thought, tools=[WEATHER], effort="low"), target(OLD))


# ---------------------------------------------------------------- everything else


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"n": 2}, "n"),
        ({"logprobs": True}, "logprobs"),
        ({"top_logprobs": 3}, "logprobs"),
        ({"extra": {"modalities": ["text", "audio"]}}, "modalities"),
        ({"extra": {"audio": {"voice": "alloy"}}}, "audio"),
        ({"extra": {"web_search_options": 5}}, "web_search_options"),
        ({"extra": {"web_search_options": {}}, "tools": [Tool("web_search")]}, "web_search_options"),
    ],
)
def test_what_the_result_depends_on_is_refused(fields: Any, param: str) -> None:
    assert refused(**fields).param == param


@pytest.mark.parametrize(
    ("options", "tool"),
    [
        ({}, {}),
        ({"search_context_size": "high"}, {"max_uses": 10}),
        ({"search_context_size": "vast", "user_location": None}, {}),
        (
            {"user_location": {"type": "approximate", "approximate": {"country": "CH", "city": "Bern", "region": 5}}},
            {"user_location": {"type": "approximate", "city": "Bern", "country": "CH"}},
        ),
        ({"user_location": {"approximate": []}}, {}),
    ],
)
def test_a_web_search_is_anthropics_own_tool(options: Any, tool: Any) -> None:
    body, written, notes = write(ask(extra={"web_search_options": options}))

    assert body["tools"] == [{"type": "web_search_20260318", "name": "web_search", **tool}]
    assert (notes.warnings, notes.dropped) == (["web_search_emulated"], [])
    assert written.undo.sent is not None, "a search may pause"


def test_a_search_that_the_client_asked_for_itself_is_not_doubled() -> None:
    native = {"type": "web_search_20250305", "name": "web_search"}

    body = body_of(ask(tools=[Tool("web_search", native=native)], extra={"web_search_options": {}}))
    assert body["tools"] == [native]


@pytest.mark.parametrize(
    ("fields", "name"),
    [
        ({"seed": 7}, "seed"),
        ({"logit_bias": {"1": 5}}, "logit_bias"),
        ({"presence_penalty": 0.5}, "presence_penalty"),
        ({"frequency_penalty": -1}, "frequency_penalty"),
        ({"verbosity": "low"}, "verbosity"),
        ({"service_tier": "flex"}, "service_tier"),
        ({"extra": {"foo": 1}}, "foo"),
    ],
)
def test_what_anthropic_has_no_place_for_is_named_or_refused_on_request(fields: Any, name: str) -> None:
    body, _, notes = write(ask(**fields))
    assert name not in body
    assert notes.dropped == [name]

    with pytest.raises(Unsupported) as caught:
        write(ask(**fields), notes=Notes(strict=True))
    assert caught.value.param == name


def test_what_changes_no_answer_goes_without_a_word() -> None:
    extra = {"store": True, "prediction": {}, "prompt_cache_key": "k", "modalities": ["text"], "foo": None}
    body, _, notes = write(ask(presence_penalty=0, logit_bias={}, extra=extra))

    assert body.keys() == {"model", "max_tokens", "messages"}
    assert notes == Notes()


def test_anthropics_own_fields_pass_and_never_replace_ours() -> None:
    extra = {"cache_control": {"type": "ephemeral"}, "anthropic": {"inference_geo": "us", "model": "x", "stream": True}}
    body = body_of(ask(extra=extra))

    assert body["cache_control"] == {"type": "ephemeral"}
    assert (body["inference_geo"], body["model"], "stream" in body) == ("us", SONNET, False)


def betas(**fields: Any) -> str | None:
    return dict(write(ask(**fields), target(NEW))[1].headers).get("anthropic-beta")


CLEARED = {"edits": [{"type": "clear_tool_uses_20250919"}]}
COMPACTED = {"edits": [{"type": "compact_20260112"}]}


@pytest.mark.parametrize(
    ("own", "needed"),
    [
        ({"inference_geo": "us"}, None),
        ({"context_management": CLEARED}, "context-management-2025-06-27"),
        ({"context_management": COMPACTED}, "context-management-2025-06-27,compact-2026-01-12"),
        ({"context_management": None}, None),
        ({"compaction": {"type": "summarize"}}, "compact-2026-09-04"),
        ({"speed": "fast"}, "fast-mode-2026-02-01"),
        ({"speed": "standard"}, None),
    ],
)
def test_fields_of_a_beta_come_with_its_header(own: Any, needed: str | None) -> None:
    assert betas(extra={"anthropic": own}) == needed


def test_a_compaction_that_was_asked_for_is_not_asked_for_again() -> None:
    extra = {"anthropic": {"compaction": {"type": "summarize"}}}
    block = b'{"type":"compaction","content":"what was said"}'
    answer = b'{"id":"msg_1","type":"message","content":[%b],"stop_reason":"compaction"}' % block
    undo = write(ask(extra=extra), target(NEW))[1].undo

    assert DIALECT.read_reply(answer, undo).again is None


def test_updates_about_thoughts_come_with_the_header_of_their_beta() -> None:
    wanted = {"type": "adaptive", "display": "updates"}

    assert betas(thinking=wanted) == "thinking-display-updates-2026-08-18"
    assert betas(thinking={**wanted, "block_binding": {"prefix_mismatch_behavior": "drop_block"}}) == (
        "thinking-binding-controls-2026-08-01,thinking-display-updates-2026-08-18"
    )


CACHED = {"type": "ephemeral"}
MARKED = Message("user", [Text("hi", cache={"type": "ephemeral", "ttl": "1h"})])


@pytest.mark.parametrize(
    ("message", "extra", "placed"),
    [
        (say("user", "hi"), {}, CACHED),
        (say("user", "hi"), {"prompt_cache_options": {"mode": "implicit"}}, CACHED),
        (say("user", "hi"), {"prompt_cache_options": {"mode": "explicit"}}, None),
        (say("user", "hi"), {"cache_control": {"type": "ephemeral", "ttl": "1h"}}, {"type": "ephemeral", "ttl": "1h"}),
        (MARKED, {}, None),
    ],
)
def test_a_cache_mark_is_placed_for_those_who_place_none(message: Message, extra: Any, placed: Any) -> None:
    request = ask(message, extra=extra)

    assert body_of(request, target(auto_cache=True)).get("cache_control") == placed
    assert body_of(request).get("cache_control") == extra.get("cache_control")


def test_a_mark_at_the_top_is_one_of_the_four_that_anthropic_takes() -> None:
    message = Message("user", [Text(str(i), cache=CACHED) for i in range(6)])
    body = body_of(ask(message, extra={"cache_control": CACHED}))

    assert ["cache_control" in block for block in body["messages"][0]["content"]] == [False] * 3 + [True] * 3


@pytest.mark.parametrize(
    ("fields", "user_id"),
    [
        ({"user": "u-1"}, "u-1"),
        ({"user": "u-1", "safety_identifier": "s-1"}, "s-1"),
        ({"metadata": {"user_id": "m-1"}}, "m-1"),
        ({"user": ""}, None),
        ({"metadata": {"user_id": 7}}, None),
    ],
)
def test_a_user_is_told_by_an_opaque_id(fields: Any, user_id: str | None) -> None:
    assert body_of(ask(**fields)).get("metadata") == ({"user_id": user_id} if user_id else None)


@pytest.mark.parametrize("personal", ["ann@example.org", "+49 30 1234567"])
def test_personal_data_is_hashed(personal: str) -> None:
    sent = body_of(ask(user=personal))["metadata"]["user_id"]

    assert len(sent) == 64
    assert personal not in sent


@pytest.mark.parametrize(
    ("tier", "sent"),
    [(None, None), ("auto", None), ("default", "standard_only"), ("priority", "auto"), ("fast", "auto")],
)
def test_a_service_tier_in_anthropics_words(tier: Any, sent: Any) -> None:
    assert body_of(ask(service_tier=tier)).get("service_tier") == sent
