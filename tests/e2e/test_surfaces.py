"""Every way in, with every provider, whole and streamed: the words, the figures, the headers, the log; and how each breaks."""

from __future__ import annotations

from typing import Any

import pytest
from e2e_heard import used_tokens
from e2e_stack import Stack, Start
from e2e_surfaces import MODELS, PROVIDERS, SURFACES, Answer, Surface, ask, said, served
from e2e_tools import until

CALM = {"breaker": {"failures": 1000}, "limits": {"concurrency": None}}
# What an upstream does in mid-stream, and after how many pieces.
BREAKS: list[tuple[str, dict[str, Any]]] = [
    *(("cut", {"after_events": pieces}) for pieces in (1, 2, 4)),
    *(("reset", {"after_events": pieces}) for pieces in (1, 3)),
    *(("error_event", {"after_events": pieces}) for pieces in (1, 3)),
    ("bad_json", {"after_events": 2}),
    ("stall", {"after_events": 2, "delay_s": 5}),
]
LONG = "Tell me of the seven bridges and of the man who walked them one fine Sunday"
SAME = pytest.mark.parametrize("surface", SURFACES, ids=str)
PAIRS = [pytest.param(surface, name, id=f"{surface} of {name}") for surface in SURFACES for name in PROVIDERS]
ALL = pytest.mark.parametrize(("surface", "provider"), PAIRS)


async def settled(stack: Stack) -> int:
    """What acme was charged, once nothing is held any more."""

    async def quiet() -> bool:
        accounts = (await stack.get("/quotas"))["accounts"]
        return all(row["reserved"] == 0 for row in accounts)

    await until(quiet, what="all holds are settled")
    return await used_tokens(stack)


async def logged(stack: Stack, *answers: Answer) -> Any:
    """The access line of an answer, or the lines of several."""
    ids = [answer.headers["x-request-id"] for answer in answers]

    def found() -> Any:
        lines = {line["request_id"]: line for line in stack.log_lines() if line.get("surface")}
        return [lines[id_] for id_ in ids] if lines.keys() >= set(ids) else None

    lines = await until(found, what="the access lines")
    return lines[0] if len(lines) == 1 else lines


@ALL
async def test_an_answer_is_whole_counted_and_logged(stack: Stack, surface: Surface, provider: str) -> None:
    model = MODELS[provider]
    whole = await ask(stack, surface, model)
    assert whole.status == 200, whole.body
    assert surface.text(whole.value) == said(provider)
    streamed = await ask(stack, surface, model, stream=True)
    heard = surface.stream(streamed.body)
    assert (heard.text, heard.complete, heard.errors) == (said(provider), True, [])
    assert streamed.whole
    for answer in (whole, streamed):
        assert answer.headers["x-gateway-provider"] == provider
        assert answer.headers["x-gateway-model"] == model
        assert answer.headers["x-gateway-attempts"] == "1"
        assert answer.headers["x-request-id"] == answer.headers["request-id"]
    assert await settled(stack) == (await served(stack))[provider] > 0
    lines = await logged(stack, whole, streamed)
    assert [(line["surface"], line["provider"], line["model"], line["status"]) for line in lines] == [
        (surface.label, provider, model, 200)
    ] * 2
    assert sum(line["total_tokens"] for line in lines) == (await served(stack))[provider]
    assert [bool(line.get("stream")) for line in lines] == [False, True]


@ALL
async def test_a_cut_answer_never_looks_complete(start_stack: Start, surface: Surface, provider: str) -> None:
    more = {"providers": {provider: {"timeouts": {"idle_s": 0.1}}}}
    stack = await start_stack({**CALM, **more})
    before = 0
    for kind, figures in BREAKS:
        await stack.fault(provider, kind, times=1, **figures)
        answer = await ask(stack, surface, MODELS[provider], text=LONG, stream=True)
        heard = surface.stream(answer.body)
        case = (kind, figures, answer.body)
        assert answer.headers["x-gateway-provider"] == provider, case
        assert heard.frames and said(provider, LONG).startswith(heard.text), case
        assert not heard.complete, case
        assert len(heard.errors) == 1, case
        assert not answer.whole, case
        line = await logged(stack, answer)
        assert line["outcome"] == "interrupted", line
        used = await settled(stack)
        assert used - before == line["total_tokens"] > 0, case
        before = used


@SAME
@pytest.mark.parametrize("kind", ["status", "empty", "bad_json", "html", "error_event"])
async def test_a_fault_before_the_first_word_is_nothing_to_the_client(
    start_stack: Start, surface: Surface, kind: str
) -> None:
    stack = await start_stack(CALM)
    for stream in (False, True):
        for provider in PROVIDERS:
            await stack.clear_faults()
            await stack.fault(provider, kind, times=1)
            answer = await ask(stack, surface, MODELS[provider], stream=stream)
            assert answer.status == 200, answer.body
            other = answer.headers["x-gateway-provider"]
            assert answer.headers["x-gateway-fallback-from"] == provider
            assert other != provider
            if stream:
                heard = surface.stream(answer.body)
                assert (heard.text, heard.complete, heard.errors) == (said(other), True, [])
            else:
                assert surface.text(answer.value) == said(other)
    assert await settled(stack) >= sum((await served(stack)).values())
