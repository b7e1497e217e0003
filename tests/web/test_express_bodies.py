"""Bodies that are not plain, on a connection whose heads are; and what a reload or the time changes between two of its requests."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest
from express_kit import COMPLETIONS, Side, chat, opened, told_both, until
from express_stub import http
from msgspec import json

from gateway.web.auth import Authenticator, mint

SIZE = 400
HI = [{"role": "user", "content": "Hi"}]
PIXEL = "data:image/png;base64,iVBORw0KGgo="
BODIES: dict[str, bytes] = {
    "a stream": chat(stream=True),
    "a stream with usage": chat(stream=True, stream_options={"include_usage": True}),
    "no JSON": b"{",
    "a list": b"[]",
    "empty": b"",
    "no UTF-8": chat("\xe9").replace(b"\xc3\xa9", b"\xe9"),
    "half of a surrogate pair": chat("?").replace(b'"?"', b'"\\ud800"'),
    "no messages": json.encode({"model": "first-model"}),
    "empty messages": json.encode({"model": "first-model", "messages": []}),
    "a cap of nothing": chat(max_tokens=0),
    "a cap of text": chat(max_tokens="9"),
    "a cap beyond all": chat(max_tokens=2**31),
    "a large cap": chat(max_tokens=2**31 - 1),
    "both caps": chat(max_tokens=5, max_completion_tokens=6),
    "many choices": chat(n=3),
    "too many choices": chat(n=129),
    "an unknown model": chat(model="nobody-9"),
    "a model of another's": chat(model="second-model"),
    "a provider's model": chat(model="second/second-model"),
    "a model that is none": chat(model=7),
    "a path for a model": chat(model="../../v1/models"),
    "a model given twice": b'{"model":"first-model","model":"second-model","messages":[{"role":"user","content":"Hi"}]}',
    "a model in escapes": b'{"mod\\u0065l":"second-model","messages":[{"role":"user","content":"Hi"}]}',
    "a model spoken of": chat('the "model" of this and its "max_tokens"', max_tokens=7),
    "the cap spoken of": chat('{"max_tokens": 3}', model="", max_tokens=7),
    "escapes": chat("tab \t quote \" and \\u0041"),
    "a picture": chat(model="", messages=[{"role": "user", "content": [{"type": "image_url", "image_url": {"url": PIXEL}}]}]),
    "tools": chat(tools=[{"type": "function", "function": {"name": "f", "parameters": {}}}], tool_choice="auto"),
    "deep": b'{"model":"first-model","messages":' + b"[" * 300,
    "a user and more": chat(user="u", store=False, seed=3, temperature=0, unheard_of={"a": [1, None]}),
}  # fmt: skip


@pytest.mark.parametrize("body", BODIES)
async def test_a_body_that_is_not_plain_is_answered_alike(tmp_path: Path, body: str) -> None:
    odd, plain = BODIES[body].ljust(SIZE), chat("What is plain").ljust(SIZE)

    async def story(side: Side) -> None:
        line = await side.connect()
        for sent in (plain, odd, plain, odd, odd, plain):
            await side.ask(line, sent)

    side = await told_both(tmp_path, story, names=("first", "second"))
    assert [side.answers[n][0] for n in (0, 2, 5)] == [200] * 3
    assert (side.taken[0], side.taken[2], side.taken[5]) == (False, True, True)


async def test_a_tenants_temperature_keeps_its_calls_from_the_express(tmp_path: Path) -> None:
    async def story(side: Side) -> None:
        line = await side.connect()
        for more in ({}, {"temperature": 1}, {}):
            await side.ask(line, chat(**more))

    side = await told_both(tmp_path, story, tenants={"acme": {"default_temperature": 0.2}})
    assert not any(side.taken)
    assert [json.decode(body)["temperature"] for _, body in side.first.heard] == [0.2, 1, 0.2]


async def test_the_native_api_takes_the_long_way(tmp_path: Path) -> None:
    async def story(side: Side) -> None:
        line = await side.connect()
        for _ in range(3):
            answer = await line.ask(side.post(chat(), path="/api/v1/acme/ai/chat"))
            assert (answer.status, answer.json["provider"]) == (200, "first")  # type: ignore[index]

    side = await told_both(tmp_path, story)
    assert not any(side.taken)


# ---------------------------------------------------------------- how requests arrive


async def test_a_request_cut_at_any_byte_is_served(tmp_path: Path) -> None:
    async with opened(tmp_path) as side:
        line = await side.connect()
        whole = side.post(chat("warm"))
        await line.ask(whole)
        at_body = whole.index(b"\r\n\r\n") + 4
        for cut in range(1, len(whole)):
            side.clock.now = 1000.0
            request = side.post(chat(f"cut {cut}"))
            line.send(request[:cut])
            await asyncio.sleep(0)
            await asyncio.sleep(0)
            line.send(request[cut:])
            answer = await line.answer()
            assert answer.status == 200 and b'"cut %d"' % cut in answer.body
        assert len(side.taken) == len(whole)
        assert side.taken[1:at_body].count(True) == at_body - 1, "a head in two pieces is the same head"
        await side.settled()
        side.is_at_rest()


@pytest.mark.parametrize("many", [2, 3, 40])
async def test_requests_sent_ahead_are_answered_in_order(tmp_path: Path, many: int) -> None:
    async def story(side: Side) -> None:
        line = await side.connect()
        await side.ask(line, chat())
        line.send(b"".join(side.post(chat(f"ahead {n}")) for n in range(many)))
        for n in range(many):
            answer = await line.answer()
            assert b'"ahead %d"' % n in answer.body

    side = await told_both(tmp_path, story)
    assert side.taken == [False] + [True] * many


async def test_what_is_refused_streamed_or_plain_keeps_its_place_in_the_order(tmp_path: Path) -> None:
    kinds = ["a plain one", "no JSON", "a stream", "a plain one", "an unknown model", "no JSON", "a plain one"]
    bodies = {**BODIES, "a plain one": chat("plain")}

    async def story(side: Side) -> None:
        line = await side.connect()
        await side.ask(line, chat().ljust(SIZE))
        line.send(b"".join(side.post(bodies[kind].ljust(SIZE)) for kind in kinds))
        answers = [await line.answer() for _ in kinds]
        side.answers += [(answer.status, answer.code if answer.status >= 400 else answer.body) for answer in answers]

    side = await told_both(tmp_path, story)
    assert [answer[0] for answer in side.answers[1:]] == [200, 400, 200, 200, 404, 400, 200]


@pytest.mark.parametrize("change", [-5, 5, 500])
async def test_a_body_of_another_length_than_its_head_says(tmp_path: Path, change: int) -> None:
    async def story(side: Side) -> None:
        line = await side.connect()
        await side.ask(line, chat())
        request = side.post(chat())
        line.send(request[:change] if change < 0 else request + b"x" * change)
        await asyncio.sleep(0.02)
        if change < 0:
            line.send(request[change:])
        answer = await line.answer()
        assert answer.status == 200
        if change > 0:
            refused = await line.answer()
            assert refused.status == 400

    await told_both(tmp_path, story)


@pytest.mark.parametrize("size", [900, 1001, 5000])
async def test_a_body_above_the_limit_is_refused_however_it_arrives(tmp_path: Path, size: int) -> None:
    async def story(side: Side) -> None:
        body = chat().ljust(size)
        for _ in range(2):
            line = await side.connect()
            answer = await side.ask(line, body)
            assert answer.status == (200 if size <= 1000 else 413)

    await told_both(tmp_path, story, server={"max_body_mb": 0.001})


# ---------------------------------------------------------------- heads


async def test_a_head_that_differs_by_one_byte_is_another(tmp_path: Path) -> None:
    async def story(side: Side) -> None:
        tokens = {
            name: mint(side.gateway.config.auth, name, "u", ["user"], 600, side.clock.wall()) for name in ("ab", "cd")
        }
        line = await side.connect()
        for name in ("ab", "ab", "cd", "ab", "cd", "cd", "cd"):
            side.token = tokens[name]
            path = COMPLETIONS.replace("acme", name)
            answer = await line.ask(side.post(chat(), path=path))
            assert answer.status == 200
        side.token = tokens["cd"]
        refused = await line.ask(side.post(chat(), path=COMPLETIONS.replace("acme", "ab")))
        assert (refused.status, refused.code) == (403, "tenant_forbidden")
        side.token = side.admin

    side = await told_both(tmp_path, story, tenants={"ab": {}, "cd": {}})
    assert side.taken == [False, True, False, False, False, True, True, False]
    assert (side.used("tenant:ab"), side.used("tenant:cd")) == (30, 40)


# ---------------------------------------------------------------- a reload between two requests

RELOADS: dict[str, tuple[dict[str, Any], int, str]] = {
    "other secret": ({"auth": {"jwt": [{"algorithm": "HS256", "secret": "quite another secret of more than 32 bytes"}]}}, 401, ""),
    "tenant gone": ({"tenants": {"acme": None, "else": {}}}, 403, ""),
    "other model": ({"providers": {"first": {"default_model": "newer-model", "models": {"first-model": "newer-model"}}}}, 200, "newer-model"),
    "other provider": ({"models": {"first-model": ["second"]}}, 200, "second-model"),
    "provider forbidden": ({"tenants": {"acme": {"providers": ["second"]}}, "models": {"first-model": ["second"]}}, 200, "second-model"),
    "other limits": ({"tenants": {"acme": {"limits": {"requests_per_minute": 1}}}}, 200, "first-model"),
    "other quota": ({"tenants": {"acme": {"quota": {"daily_tokens": 5}}}}, 429, ""),
    "other key": ({"providers": {"first": {"api_key": "sk-newer-key"}}}, 200, "first-model"),
    "no fallback": ({"fallback": {"enabled": False}}, 200, "first-model"),
    "a temperature": ({"tenants": {"acme": {"default_temperature": 0.5}}}, 200, "first-model"),
}  # fmt: skip


@pytest.mark.parametrize("reload", RELOADS)
async def test_a_reload_holds_from_the_next_request_on(
    tmp_path: Path, reload: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gateway.pipeline.WAIT_S", 0.01)
    more, status, model = RELOADS[reload]

    async def story(side: Side) -> None:
        line = await side.connect()
        for _ in range(3):
            await side.ask(line, chat())
        await side.gateway.reload(side.config(more))
        for _ in range(3):
            await side.ask(line, chat())

    side = await told_both(tmp_path, story, names=("first", "second"))
    assert side.taken[:3] == [False, True, True]
    assert side.answers[3][0] == status
    if status == 200:
        assert dict(side.answers[3][1])["x-gateway-model"] == model
        assert json.decode((side.first.heard + side.stubs["second"].heard)[-1][1])["model"] == model


async def test_keys_that_change_alone_are_asked_at_once(tmp_path: Path) -> None:
    async with opened(tmp_path) as side:
        line = await side.connect()
        await side.ask(line, chat())
        side.gateway.handlers.authenticator = Authenticator(side.gateway.config.auth)
        for _ in range(2):
            await side.ask(line, chat())
        assert side.taken == [False, False, True]


async def test_a_reload_while_a_call_flies_leaves_it_under_its_own_rules(tmp_path: Path) -> None:
    async def story(side: Side) -> None:
        line = await side.connect()
        await side.ask(line, chat())
        for answer in (b"", http(500, b"{}")):
            side.first.script = [side.first.hold]
            line.send(side.post(chat()))
            await until(lambda: len(side.first.held) == 1)
            more = {
                "models": {"first-model": ["second"]},
                "tenants": {"acme": {"limits": {"tokens_per_minute": 50_000}}},
            }
            await side.gateway.reload(side.config(more))
            side.first.release(answer)
            assert (await line.answer()).status == 200
            await side.settled()
            await side.gateway.reload(side.config({}))
            await side.ask(line, chat())

    side = await told_both(tmp_path, story, names=("first", "second"))
    assert side.taken == [False, True, False, True, False]
    assert len(side.stubs["second"].heard) == 1


async def test_a_log_that_changes_its_form_does_so_for_the_express(tmp_path: Path) -> None:
    async with opened(tmp_path) as side:
        line = await side.connect()
        for form in ("json", "text", "json"):
            await side.gateway.reload(side.config({"log": {"format": form}}))
            await side.ask(line, chat())
            await side.ask(line, chat())
        await side.stop()
        assert [text.startswith("{") for text in side.log_text().splitlines()] == [True, True, False, False, True, True]
        assert side.taken == [False, True] * 3


# ---------------------------------------------------------------- time


@pytest.mark.parametrize("life_s", [30, 600])
async def test_a_credential_is_good_until_its_end_and_a_head_for_a_minute(tmp_path: Path, life_s: int) -> None:
    async def story(side: Side) -> None:
        side.token = mint(side.gateway.config.auth, "acme", "u", ["user"], life_s, side.clock.wall())
        line = await side.connect()
        for pause_s in (0, 20, 20, 21, 0, 0):
            side.clock.now += pause_s
            await side.ask(line, chat())
        side.token = side.admin

    side = await told_both(tmp_path, story)
    assert [answer[0] for answer in side.answers] == [200] * 3 + ([401] * 3 if life_s == 30 else [200] * 3)
    assert side.taken == [False, True, True, False, *([False] * 2 if life_s == 30 else [True] * 2)]
