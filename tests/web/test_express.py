"""A plain call is served the same by the express as the long way, from whichever side it is looked at."""

from __future__ import annotations

from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
from express_kit import COMPLETIONS, Side, chat, opened, told_both
from express_stub import USAGE, completion, http, says
from msgspec import json

from gateway.dialects.openai_chat import OpenAIChat
from gateway.web.express import LEARN_ONE_IN, MAX_ROADS

TRACE = "traceparent: 00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
HEADS: dict[str, tuple[str, ...]] = {
    "plain": (),
    "an id of the client's": ("x-request-id: mine-1",),
    "an id that is none": ("x-request-id: not a token",),
    "a trace": (TRACE,),
    "a vendor's header": ("openai-beta: assistants=v2", TRACE),
    "a preferred provider": ("x-preferred-provider: second",),
    "strict": ("x-gateway-strict: 1",),
}
LONG_HEADS: dict[str, tuple[str, ...]] = {
    "a session": ("x-session-id: talk",),
    "a deadline": ("x-gateway-timeout-ms: 5000",),
    "an unknown preferred provider": ("x-preferred-provider: nobody",),
    "no JSON": ("content-type: text/plain",),
    "an unknown key": ("authorization: Bearer wrong",),
}
TWO = ("first", "second")


def calls(*lines: str, taken: bool = True, **more: Any) -> Any:
    """A story of four calls on one connection."""

    async def story(side: Side) -> None:
        line = await side.connect()
        for n in range(4):
            await side.ask(line, chat(f"number {n}", **more), *lines)
        assert side.taken == ([False, taken, taken, taken] if side.express else [])

    return story


@pytest.mark.parametrize("head", HEADS)
async def test_everything_to_be_seen_is_the_same(tmp_path: Path, head: str) -> None:
    side = await told_both(tmp_path, calls(*HEADS[head]), names=TWO)
    assert [status for status, _, _ in side.answers] == [200] * 4


async def test_bodies_of_other_lengths_take_the_express_too(tmp_path: Path) -> None:
    async def story(side: Side) -> None:
        line = await side.connect()
        for size in (200, 300, 1_000, 200, 60_000):
            await side.ask(line, chat("of its own length").ljust(size))
        assert side.taken == ([False, True, True, True, True] if side.express else [])

    await told_both(tmp_path, story, names=TWO)


@pytest.mark.parametrize("head", LONG_HEADS)
async def test_a_head_that_asks_for_more_takes_the_long_way(tmp_path: Path, head: str) -> None:
    await told_both(tmp_path, calls(*LONG_HEADS[head], taken=False), names=TWO)


LIMITS: dict[str, Any] = {
    "requests": {"requests_per_minute": 100},
    "tokens": {"tokens_per_minute": 100_000},
    "both": {"requests_per_minute": 1000, "tokens_per_minute": 500_000, "concurrency": 3},
}


@pytest.mark.parametrize(
    "cap", [{}, {"max_tokens": 50}, {"max_tokens": 50, "n": 3}], ids=["no cap", "cap", "cap of many"]
)
@pytest.mark.parametrize("limits", LIMITS)
async def test_rate_limits_are_told_and_charged_alike(tmp_path: Path, limits: str, cap: Any) -> None:
    side = await told_both(tmp_path, calls(**cap), tenants={"acme": {"limits": LIMITS[limits]}})
    assert any(name.startswith("x-ratelimit-remaining") for name, _ in side.answers[-1][1])


async def test_the_caps_of_all_choices_are_charged_while_a_call_runs(tmp_path: Path) -> None:
    side = await told_both(
        tmp_path, calls(max_tokens=50, n=3), tenants={"acme": {"limits": {"tokens_per_minute": 2000}}}
    )
    left = int(dict(side.answers[0][1])["x-ratelimit-remaining-tokens"])
    assert 2000 - len(chat(max_tokens=50, n=3)) - 150 <= left < 2000 - len(chat(max_tokens=50, n=3)) - 100


async def test_quotas_are_charged_alike(tmp_path: Path) -> None:
    more = {"tenants": {"acme": {"quota": {"daily_tokens": 5_000_000, "monthly_tokens": 90_000_000}}}}
    more["providers"] = {"first": {"quota": {"daily_tokens": 4_000_000}}}
    side = await told_both(tmp_path, calls(max_tokens=50), **more)
    assert [row["used"] for row in side.accounts()] == [40] * len(side.accounts())


@pytest.mark.parametrize("level", ["info", "warning"])
async def test_a_log_of_text_says_the_same(tmp_path: Path, level: str) -> None:
    texts = []
    for express in (True, False):
        async with opened(tmp_path, express=express, log={"format": "text", "level": level}) as side:
            await calls("x-request-id: mine")(side)
            await side.stop()
            texts.append(side.log_text().splitlines())
    assert texts[0] == texts[1]
    assert len(texts[0]) == (4 if level == "info" else 0)


USAGES: dict[str, Any] = {
    "without output": {"prompt_tokens": 7, "completion_tokens": 0, "total_tokens": 7},
    "without input": {"prompt_tokens": 0, "completion_tokens": 7, "total_tokens": 7},
    "details": {
        **USAGE,
        "prompt_tokens_details": {"cached_tokens": 4, "audio_tokens": 0},
        "completion_tokens_details": {"reasoning_tokens": 2},
    },
    "a total of its own": {**USAGE, "total_tokens": 30},
    "no total": {"prompt_tokens": 7, "completion_tokens": 3},
}


@pytest.mark.parametrize("usage", USAGES)
async def test_whatever_a_report_says_is_counted_alike(tmp_path: Path, usage: str) -> None:
    answer = says(http(200, completion(usage=USAGES[usage], finish="length")))

    async def story(side: Side) -> None:
        side.first.usual = answer
        await calls()(side)

    await told_both(tmp_path, story)


async def test_an_api_key_and_an_unlisted_tenant_are_named_alike(tmp_path: Path) -> None:
    key = {"sha256": sha256(b"a key").hexdigest(), "tenant": "else", "name": "ci", "roles": ["user"]}
    more = {"auth": {"api_keys": [key]}, "tenants": {"default": {"allow_unlisted": True}}}

    async def story(side: Side) -> None:
        side.token = "a key"
        line = await side.connect()
        for _ in range(3):
            answer = await line.ask(side.post(chat(), path=COMPLETIONS.replace("acme", "else")))
            assert answer.status == 200
        side.token = side.admin
        assert side.taken == ([False, True, True] if side.express else [])

    side = await told_both(tmp_path, story, **more)
    assert {line["key"] for line in side.log_lines() if line.get("surface")} == {"ci"}


# ---------------------------------------------------------------- models

MODELS: dict[str, Any] = {
    "the provider's own": ("first-model", {}),
    "by provider and model": ("first/first-model", {}),
    "an alias": ("fast", {"models": {"fast": ["first/small", "second"]}}),
    "a public name": ("public", {"providers": {"first": {"models": {"public": "upstream-name"}}}}),
    "any name": ("whatever-9", {"providers": {"first": {"models": {"*": "*"}}}}),
    "auto": ("auto", {}),
    "none": ("", {}),
    "not of ASCII": ("modèle", {"models": {"modèle": ["first"]}}),
}


@pytest.mark.parametrize(
    "cap", [{}, {"max_tokens": 9}, {"max_completion_tokens": 9, "n": 2}], ids=["no cap", "old cap", "cap"]
)
@pytest.mark.parametrize("model", MODELS)
async def test_a_model_is_asked_for_by_its_upstream_name_alike(tmp_path: Path, model: str, cap: Any) -> None:
    name, more = MODELS[model]
    side = await told_both(tmp_path, calls(model=name, **cap), names=TWO, **more)
    expected = {"fast": "small", "public": "upstream-name", "whatever-9": "whatever-9"}.get(name, "first-model")
    assert {json.decode(body)["model"] for _, body in side.first.heard} == {expected}


async def test_an_old_cap_is_respelled_alike(tmp_path: Path) -> None:
    more = {"providers": {"first": {"type": "openai", "default_model": "gpt-5.1"}}}
    side = await told_both(tmp_path, calls(model="gpt-5.1", max_tokens=77, temperature=1), **more)
    assert b'"max_completion_tokens":77' in side.first.heard[-1][1]


async def test_plain_calls_teach_what_text_costs_too(tmp_path: Path) -> None:
    async with opened(tmp_path) as side:
        line = await side.connect()
        for n in range(3 * LEARN_ONE_IN):
            await side.ask(line, chat(f"{n:02} " + "many words " * 30))
        assert side.taken.count(True) == 3 * LEARN_ONE_IN - 1
        assert sum(map(sum, side.gateway.keeper.ratios.fresh.values())) >= 3


@pytest.mark.parametrize(("given", "status"), [("yes", 200), ("0", 200), ("2", 400), ("strictly", 400)])
async def test_a_switch_that_says_neither_yes_nor_no_is_refused(tmp_path: Path, given: str, status: int) -> None:
    async with opened(tmp_path) as side:
        line = await side.connect()
        await side.ask(line, chat(), f"x-gateway-strict: {given}")
        assert [answered for answered, _, _ in side.answers] == [status]


async def test_a_body_that_goes_the_long_way_is_looked_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    looked: list[bytes] = []
    peek = OpenAIChat.peek
    monkeypatch.setattr(OpenAIChat, "peek", staticmethod(lambda body: looked.append(body) or peek(body)))

    async def story(side: Side) -> None:
        line = await side.connect()
        await side.ask(line, chat())
        looked.clear()
        await side.ask(line, chat(stream=True))
        await side.ask(line, chat())
        assert len(looked) == 2

    await told_both(tmp_path, story)


async def test_many_models_on_one_connection(tmp_path: Path) -> None:
    names = [f"model-{n % 40:02}" for n in range(90)]

    async def story(side: Side) -> None:
        line = await side.connect()
        for name in names:
            await side.ask(line, chat(model=name))
        assert side.taken == ([False] + [True] * 89 if side.express else [])
        (connection,) = side.gateway._lane.connections  # type: ignore[union-attr]
        assert len(connection.kept.roads) <= MAX_ROADS  # type: ignore[union-attr]

    side = await told_both(tmp_path, story, providers={"first": {"models": {"*": "*"}}})
    assert [json.decode(body)["model"] for _, body in side.first.heard] == names


# ---------------------------------------------------------------- other surfaces and other vendors

EMBEDDING = {"object": "list", "data": [{"object": "embedding", "index": 0, "embedding": [0.5, -0.5]}], "model": "m", "usage": {"prompt_tokens": 7, "total_tokens": 7}}  # fmt: skip
CLAUDE = {"id": "msg_1", "type": "message", "role": "assistant", "model": "m", "content": [{"type": "text", "text": "Hi"}], "stop_reason": "end_turn", "stop_sequence": None, "usage": {"input_tokens": 7, "output_tokens": 3}}  # fmt: skip
GEMINI = {"candidates": [{"content": {"role": "model", "parts": [{"text": "Hi"}]}, "finishReason": "STOP", "index": 0}], "usageMetadata": {"promptTokenCount": 7, "candidatesTokenCount": 3, "totalTokenCount": 10}, "modelVersion": "m", "responseId": "r1"}  # fmt: skip
OTHERS: dict[str, tuple[str, str, Any, Any]] = {
    "Messages from Chat": ("/messages", "openai_compatible", None, chat(max_tokens=50)),
    "Messages relayed": ("/messages", "anthropic", CLAUDE, chat(max_tokens=50)),
    "Messages from Gemini": ("/messages", "gemini", GEMINI, chat(max_tokens=50)),
    "Chat from Anthropic": ("/chat/completions", "anthropic", CLAUDE, chat(max_tokens=50)),
    "Chat from Gemini": ("/chat/completions", "gemini", GEMINI, chat(max_tokens=50)),
    "Completions": ("/completions", "openai_compatible", None, json.encode({"model": "first-model", "prompt": "Hi"})),
    "Embeddings": ("/embeddings", "openai_compatible", EMBEDDING, json.encode({"model": "first-model", "input": "Hi"})),
}


@pytest.mark.parametrize("lines", [(), ("x-request-id: mine", TRACE, "anthropic-beta: b", "x-gateway-strict: 1")], ids=["plain", "headers"])  # fmt: skip
@pytest.mark.parametrize("other", OTHERS)
async def test_other_surfaces_and_vendors_are_served_alike(tmp_path: Path, other: str, lines: tuple[str, ...]) -> None:
    path, kind, answer, body = OTHERS[other]

    async def story(side: Side) -> None:
        if answer is not None:
            side.first.usual = says(http(200, json.encode(answer)))
        line = await side.connect()
        for _ in range(4):
            await side.ask(line, body, *lines)

    more = {"providers": {"first": {"type": kind}}}
    side = await told_both(tmp_path, story, path=f"/api/v1/acme/ai{path}", **more)
    assert [status for status, _, _ in side.answers] == [200] * 4, side.answers[0]
    assert side.taken == [False, True, True, True]
