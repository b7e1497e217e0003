"""Every fault a provider can show, and what the client gets: a whole answer of another, one clear error, or a cut stream."""

from __future__ import annotations

import asyncio
import time
from typing import Any

import pytest
from e2e_heard import COMPLETIONS, HELLO, MODEL, NATIVE, SAID, SURFACES, hear, seen, used_tokens


def impatient(*names: str) -> dict[str, Any]:
    """Settings that give up soon on these providers."""
    return {"providers": {name: {"timeouts": {"first_byte_s": 0.1, "idle_s": 0.1}} for name in names}}


NEXT = {"openai": "anthropic", "anthropic": "openai", "gemini": "openai"}

# What a provider can do before its first content, and the status and code of a call that met it everywhere.
FAULTS: dict[str, tuple[dict[str, Any], int, str]] = {
    "500": ({"kind": "status", "status": 500}, 502, "upstream_error"),
    "503": ({"kind": "status", "status": 503}, 503, "upstream_overloaded"),
    "529": ({"kind": "status", "status": 529}, 503, "upstream_overloaded"),
    "429": ({"kind": "status", "status": 429, "retry_after_s": 7}, 429, "rate_limit_exceeded"),
    "401": ({"kind": "status", "status": 401}, 502, "upstream_auth"),
    "402": ({"kind": "status", "status": 402}, 502, "upstream_auth"),
    "403": ({"kind": "status", "status": 403}, 502, "upstream_auth"),
    "404": ({"kind": "status", "status": 404}, 404, "model_not_found"),
    "slow": ({"kind": "slow_first_byte", "delay_s": 10}, 504, "upstream_timeout"),
    "stall": ({"kind": "stall", "delay_s": 10, "after_events": 0}, 504, "upstream_timeout"),
    "cut": ({"kind": "cut", "after_events": 0}, 502, "upstream_unreachable"),
    "reset": ({"kind": "reset"}, 502, "upstream_unreachable"),
    "empty": ({"kind": "empty"}, 502, "upstream_invalid_response"),
    "bad_json": ({"kind": "bad_json"}, 502, "upstream_invalid_response"),
    "error_event": ({"kind": "error_event", "status": 500}, 502, "upstream_error"),
    "html": ({"kind": "html"}, 502, "upstream_error"),
    "html_200": ({"kind": "html", "status": 200}, 502, "upstream_invalid_response"),
}


async def break_all(stack: Any, fault: dict[str, Any]) -> None:
    for name in MODEL:
        await stack.fault(name, **fault)


# ------------------------------------------------------------ somebody is left


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("provider", MODEL)
async def test_a_whole_answer_comes_from_the_next_provider(start_stack, provider, fault):
    stack = await start_stack(impatient(provider))
    await stack.fault(provider, **FAULTS[fault][0])
    answer = await stack.chat(model=MODEL[provider])
    assert answer.status == 200, await answer.text()
    choice = (await answer.json())["choices"][0]
    assert (choice["message"]["content"], choice["finish_reason"]) == (SAID[NEXT[provider]], "stop")
    assert answer.headers["x-gateway-provider"] == NEXT[provider]
    assert answer.headers["x-gateway-model"] == MODEL[NEXT[provider]]
    assert answer.headers["x-gateway-attempts"] == "2"
    assert answer.headers["x-gateway-fallback-from"] == provider
    assert len(seen(stack, provider)) == 1


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("provider", MODEL)
async def test_a_whole_stream_comes_from_the_next_provider(start_stack, provider, fault):
    stack = await start_stack(impatient(provider))
    await stack.fault(provider, **FAULTS[fault][0])
    heard = await hear(stack, model=MODEL[provider])
    assert (heard.status, heard.whole, heard.errors) == (200, True, [])
    assert heard.text == SAID[NEXT[provider]]
    assert heard.frames[-1].data == "[DONE]"
    assert heard.headers["x-gateway-provider"] == NEXT[provider]
    assert heard.headers["x-gateway-attempts"] == "2"
    assert heard.headers["x-gateway-fallback-from"] == provider
    assert len(seen(stack, provider)) == 1


async def test_a_native_stream_names_only_the_provider_that_answers(stack):
    await stack.fault("openai", "cut", after_events=0)
    heard = await hear(stack, NATIVE)
    starts = [frame.value for frame in heard.frames if frame.event == "chat.start"]
    assert [(s["provider"], s["model"]) for s in starts] == [("anthropic", MODEL["anthropic"])]
    assert heard.frames[-1].event == "chat.complete"
    assert heard.frames[-1].value["response"]["fallbackFrom"] == ["openai"]


async def test_a_provider_nobody_listens_for_is_passed_over(start_stack):
    stack = await start_stack({"providers": {"openai": {"base_url": "http://127.0.0.1:9/v1"}}})
    assert (await stack.chat()).headers["x-gateway-fallback-from"] == "openai"


async def test_a_failure_that_used_tokens_is_charged_beside_the_answer(stack):
    """A stream that is cut before content may have cost something; the answer of the next is charged to the next."""
    await stack.fault("openai", "status", status=500)
    await stack.chat()
    served = await stack.sim("served")
    assert await used_tokens(stack, "tenant:acme/provider:openai") == 0
    assert await used_tokens(stack, "tenant:acme/provider:anthropic") == served["anthropic"]["total_tokens"]
    assert await used_tokens(stack) == served["anthropic"]["total_tokens"]


async def test_without_fallback_only_the_first_is_asked_once(start_stack):
    stack = await start_stack({"fallback": {"enabled": False}})
    await stack.fault("openai", "status", status=500)
    answer = await stack.chat()
    assert (answer.status, answer.headers["x-gateway-attempts"]) == (502, "1")
    assert [row["provider"] for row in await stack.sim("requests")] == ["openai"]


async def test_within_one_provider_a_passing_failure_is_tried_again(start_stack):
    stack = await start_stack({"tenants": {"acme": {"providers": ["openai"]}}})
    await stack.fault("openai", "status", status=500, times=1)
    answer = await stack.chat()
    assert (answer.status, answer.headers["x-gateway-attempts"]) == (200, "2")


# ------------------------------------------------------------ the client's own mistakes


# Anthropic's 413 is not here: another provider may take what is too large for it.
REFUSALS = [(name, status) for name in MODEL for status in (400, 413, 422) if (name, status) != ("anthropic", 413)]


@pytest.mark.parametrize(("provider", "status"), REFUSALS)
@pytest.mark.parametrize("stream", [False, True], ids=["json", "stream"])
async def test_a_clients_mistake_is_told_and_tried_nowhere_else(stack, provider, status, stream):
    await stack.fault(provider, "status", status=status)
    answer = await stack.chat(model=MODEL[provider], stream=stream)
    assert answer.status == status
    assert (await answer.json())["error"]["type"] == "invalid_request_error"
    assert len(await stack.sim("requests")) == 1
    assert await used_tokens(stack) == 0


async def test_a_vendors_own_refusal_of_a_parameter_is_passed_on(stack):
    answer = await stack.chat(temperature=7)
    error = (await answer.json())["error"]
    assert (answer.status, error["type"]) == (400, "invalid_request_error")
    assert "temperature" in f"{error['param']} {error['message']}"
    assert len(await stack.sim("requests")) <= 1


# ------------------------------------------------------------ nobody is left


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("stream", [False, True], ids=["json", "stream"])
async def test_when_all_fail_one_error_tells_of_every_attempt(start_stack, fault, stream):
    stack = await start_stack(impatient(*MODEL))
    body, status, code = FAULTS[fault]
    await break_all(stack, body)
    answer = await stack.chat(stream=stream)
    error = (await answer.json())["error"]
    assert (answer.status, error["code"]) == (status, code)
    assert [row["provider"] for row in error["attempts"]] == ["openai", "anthropic", "gemini"]
    assert all(row["reason"] for row in error["attempts"])
    assert answer.headers["x-gateway-attempts"] == "3"
    assert answer.headers["x-request-id"] in error["message"]
    assert "127.0.0.1" not in await answer.text()
    if body["kind"] == "status":
        assert [row["status"] for row in error["attempts"]] == [body["status"]] * 3
    if status >= 500:  # a key that was refused once is tried again a second later
        refused = fault in ("401", "403")
        assert answer.headers["x-should-retry"] == ("true" if refused else "false")
        assert answer.headers.get("retry-after") == ("1" if refused else None)


async def test_when_all_say_429_the_client_hears_when_to_come_back(stack):
    for name, wait_s in (("openai", 30), ("anthropic", 4), ("gemini", 20)):
        await stack.fault(name, "status", status=429, retry_after_s=wait_s)
    for _ in range(2):  # tried, and then passed over while they cool down
        answer = await stack.chat()
        error = (await answer.json())["error"]
        assert (answer.status, error["code"], error["type"]) == (429, "rate_limit_exceeded", "rate_limit_error")
        assert answer.headers["retry-after"] == "4"
    assert len(await stack.sim("requests")) == 3


async def test_429_and_500_together_are_no_429(stack):
    await stack.fault("openai", "status", status=429)
    await stack.fault("anthropic", "status", status=500)
    await stack.fault("gemini", "status", status=429)
    answer = await stack.chat()
    assert (answer.status, (await answer.json())["error"]["code"]) == (502, "upstream_error")


async def test_an_operators_bad_key_never_looks_like_the_clients(stack):
    await break_all(stack, {"kind": "status", "status": 401})
    answer = await stack.chat()
    text = await answer.text()
    assert answer.status == 502
    assert not any(key in text for key in ("sk-test", "sk-ant", "g-key"))
    again = await stack.chat()  # refused keys rest, so nobody is asked
    assert (again.status, (await again.json())["error"]["code"]) == (502, "upstream_auth")
    assert len(await stack.sim("requests")) == 3


# ------------------------------------------------------------ credentials that rest

TWO_KEYS = {"api_key": None, "api_keys": ["key-one", "key-two"]}
ALONE = {"acme": {"providers": ["openai"]}}


def keys_used(stack: Any) -> list[str]:
    return [dict(entry.raw_headers)[b"authorization"].decode()[7:] for entry in seen(stack, "openai")]


async def test_keys_take_turns(start_stack):
    stack = await start_stack({"providers": {"openai": TWO_KEYS}})
    for _ in range(4):
        await stack.chat()
    assert sorted(keys_used(stack)) == ["key-one", "key-one", "key-two", "key-two"]


async def test_a_rate_limited_key_rests_and_the_other_one_serves(start_stack):
    stack = await start_stack({"providers": {"openai": TWO_KEYS}, "tenants": ALONE})
    await stack.fault("openai", "status", status=429, retry_after_s=30, times=1)
    first = await stack.chat()
    assert (first.status, first.headers["x-gateway-attempts"]) == (200, "2")
    limited, other = keys_used(stack)
    assert limited != other
    for _ in range(3):
        assert (await stack.chat()).headers["x-gateway-attempts"] == "1"
    assert keys_used(stack)[1:] == [other] * 4


async def test_a_key_comes_back_after_the_time_the_vendor_named(start_stack):
    stack = await start_stack()
    await stack.fault("openai", "status", status=429, retry_after_s=0.4, times=1)
    began = time.monotonic()
    assert (await stack.chat()).headers["x-gateway-provider"] == "anthropic"
    during = await stack.chat()
    assert (during.headers["x-gateway-provider"], during.headers["x-gateway-attempts"]) == ("anthropic", "1")
    assert during.headers["x-gateway-fallback-from"] == "openai"
    await asyncio.sleep(0.45 - (time.monotonic() - began))
    assert (await stack.chat()).headers["x-gateway-provider"] == "openai"
    assert len(seen(stack, "openai")) == 2


async def test_a_refused_key_rests_while_the_other_one_serves(start_stack):
    stack = await start_stack({"providers": {"openai": TWO_KEYS}})
    await stack.fault("openai", "status", status=401, times=1)
    for _ in range(4):
        assert (await stack.chat()).status == 200
    refused = keys_used(stack)[0]
    assert keys_used(stack).count(refused) == 1
    assert any(line["event"] == "credential_refused" for line in stack.log_lines())


# ------------------------------------------------------------ after the first content

BREAKS: dict[str, dict[str, Any]] = {
    "cut": {"kind": "cut"},
    "reset": {"kind": "reset"},
    "error_event": {"kind": "error_event"},
    "stall": {"kind": "stall", "delay_s": 10},
}


@pytest.mark.parametrize("path", SURFACES, ids=["openai_surface", "native_surface"])
@pytest.mark.parametrize("provider", MODEL)
@pytest.mark.parametrize("fault", BREAKS)
async def test_a_stream_that_breaks_after_content_says_so_and_never_looks_whole(start_stack, provider, fault, path):
    stack = await start_stack(impatient(provider))
    await stack.fault(provider, **BREAKS[fault], after_events=2)
    heard = await hear(stack, path, model=MODEL[provider])
    assert heard.status == 200
    assert 0 < len(heard.text) < len(SAID[provider])
    assert SAID[provider].startswith(heard.text)
    assert len(heard.errors) == 1
    assert heard.frames[-1].error, "the error is the last that is heard"
    assert not heard.complete
    assert not heard.whole
    assert [row["provider"] for row in await stack.sim("requests")] == [provider]


@pytest.mark.parametrize("provider", MODEL)
@pytest.mark.parametrize("fault", BREAKS)
async def test_what_a_broken_stream_produced_is_charged(start_stack, provider, fault):
    stack = await start_stack(impatient(provider))
    await stack.fault(provider, **BREAKS[fault], after_events=2)
    await hear(stack, COMPLETIONS, model=MODEL[provider])
    served = (await stack.sim("served"))[provider]["total_tokens"]
    used = await used_tokens(stack)
    assert 0 < served <= used < served + 300
    assert await used_tokens(stack, f"tenant:acme/provider:{provider}") == used
    rows = (await stack.get("/quotas"))["accounts"]
    assert all(row["reserved"] == 0 for row in rows)


async def test_a_broken_stream_is_logged_as_interrupted(stack):
    await stack.fault("openai", "cut", after_events=2)
    await hear(stack)
    line = next(line for line in stack.log_lines() if line["event"] == "request")
    assert line["outcome"] == "interrupted"
    assert line["trail"][0]["outcome"] != "ok"


async def test_a_connection_that_breaks_after_the_vendors_end_harms_nobody(stack):
    """`cut` after more events than there are strikes at the closing frames: the answer has no end and must not look whole."""
    await stack.fault("openai", "cut", after_events=1000)
    heard = await hear(stack, messages=HELLO)
    assert heard.text == SAID["openai"]
    assert not heard.complete
    assert len(heard.errors) == 1
