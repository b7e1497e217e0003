"""Faults: each breaks an answer in its own way at every vendor, and what was served is still counted truly."""

from __future__ import annotations

import asyncio
import time
from typing import Any

import aiohttp
import anthropic
import openai
import pytest
from google import genai
from google.genai import errors
from simulator_kit import CREDENTIALS, HELLO, STREAMED_GEMINI, Post

from gateway.simulator.app import Running
from gateway.simulator.faults import BadFault, Fault, FaultBook, load_script, parse
from gateway.simulator.journal import MAX_BYTES, MAX_ENTRIES, Journal
from gateway.simulator.replies import Seen

VENDORS = list(HELLO)
CONTENT = {"openai": b'"content":"', "anthropic": b"text_delta", "gemini": b'"text":"'}
ENDINGS = {"openai": b"[DONE]", "anthropic": b"message_stop", "gemini": b"finishReason"}


def streamed(sim: Running, provider: str) -> tuple[str, dict[str, Any]]:
    path, body = HELLO[provider]
    if provider == "gemini":
        return sim.url_for(provider) + STREAMED_GEMINI + "?alt=sse", body
    return sim.url_for(provider) + path, {**body, "stream": True}


async def drain(http: aiohttp.ClientSession, sim: Running, provider: str, **headers: str) -> tuple[bytes, str]:
    """What came of a streamed answer, and how it ended: "clean" or the error's name."""
    url, body = streamed(sim, provider)
    received = b""
    try:
        async with http.post(url, json=body, headers={**CREDENTIALS[provider], **headers}) as answer:
            assert answer.status == 200
            async for piece in answer.content.iter_any():
                received += piece
    except aiohttp.ClientError as broken:
        return received, type(broken).__name__
    return received, "clean"


def set_fault(sim: Running, provider: str, kind: str, **more: Any) -> None:
    sim.state.faults.faults += parse({"provider": provider, "kind": kind, "times": 1, **more})


@pytest.mark.parametrize("provider", VENDORS)
@pytest.mark.parametrize("status", [400, 401, 402, 403, 404, 408, 409, 413, 429, 500, 502, 503, 504, 529])
async def test_every_status_has_the_vendors_own_body(sim: Running, post: Post, provider: str, status: int) -> None:
    set_fault(sim, provider, "status", status=status)
    got, body = await post(provider, HELLO[provider][1])

    assert got == status
    if provider == "gemini":
        assert body["error"]["code"] == status
    else:
        assert body["error"]["message"] and body["error"]["type"]
    assert (await post(provider, HELLO[provider][1]))[0] == 200


async def test_a_wait_is_told_in_the_vendors_own_place(sim: Running, http: aiohttp.ClientSession) -> None:
    told = {}
    for provider in VENDORS:
        set_fault(sim, provider, "status", status=429, retry_after_s=1.5)
        url = sim.url_for(provider) + HELLO[provider][0]
        async with http.post(url, json=HELLO[provider][1], headers=CREDENTIALS[provider]) as answer:
            told[provider] = (answer.headers.get("retry-after"), await answer.json())

    assert told["openai"][0] == told["anthropic"][0] == "1.5"
    assert "try again in 1.5s" in told["openai"][1]["error"]["message"]
    assert told["gemini"][0] is None
    retry = [detail for detail in told["gemini"][1]["error"]["details"] if detail["@type"].endswith("RetryInfo")]
    assert retry[0]["retryDelay"] == "1.5s"


async def test_a_spent_account_is_told_from_a_rate_limit(sim: Running, post: Post) -> None:
    set_fault(sim, "openai", "status", status=429, code="insufficient_quota")
    set_fault(sim, "anthropic", "status", status=429, code="enforced_spend_limit_reached", retry_after_s=3)
    set_fault(sim, "gemini", "status", status=429, code="PerDay")

    _, body = await post("openai", HELLO["openai"][1])
    assert (body["error"]["type"], body["error"]["code"]) == ("insufficient_quota", "insufficient_quota")
    _, body = await post("anthropic", HELLO["anthropic"][1])
    assert body["error"]["details"]["error_code"] == "enforced_spend_limit_reached"
    _, body = await post("gemini", HELLO["gemini"][1])
    assert "PerDay" in body["error"]["details"][0]["violations"][0]["quotaId"]


@pytest.mark.parametrize("provider", VENDORS)
@pytest.mark.parametrize("after", [0, 2])
async def test_a_cut_stream_stops_after_so_many_events_and_never_looks_complete(
    sim: Running, http: aiohttp.ClientSession, provider: str, after: int
) -> None:
    set_fault(sim, provider, "cut", after_events=after)
    received, ending = await drain(http, sim, provider)

    assert ending == "ClientPayloadError"
    # OpenAI opens with an empty content of its own.
    assert received.count(CONTENT[provider]) - (provider == "openai") == after
    assert ENDINGS[provider] not in received


@pytest.mark.parametrize("provider", VENDORS)
async def test_a_reset_breaks_the_connection_before_or_within_the_answer(
    sim: Running, http: aiohttp.ClientSession, provider: str
) -> None:
    set_fault(sim, provider, "reset")
    received, ending = await drain(http, sim, provider)
    assert received == b"" and ending in ("ServerDisconnectedError", "ClientOSError")

    set_fault(sim, provider, "reset", after_events=2)
    _, ending = await drain(http, sim, provider)
    assert ending in ("ClientPayloadError", "ClientOSError")


@pytest.mark.parametrize("provider", VENDORS)
async def test_a_whole_answer_can_be_cut_in_half(sim: Running, post: Post, provider: str) -> None:
    set_fault(sim, provider, "cut")
    with pytest.raises(aiohttp.ClientPayloadError):
        await post(provider, HELLO[provider][1])
    assert sim.state.journal.served[provider].total_tokens == 0


@pytest.mark.parametrize("provider", VENDORS)
async def test_a_stalled_stream_pauses_and_then_goes_on(
    sim: Running, http: aiohttp.ClientSession, provider: str
) -> None:
    set_fault(sim, provider, "stall", delay_s=0.15)
    begun = time.monotonic()
    received, ending = await drain(http, sim, provider)

    assert time.monotonic() - begun >= 0.15
    assert ending == "clean" and ENDINGS[provider] in received


async def test_a_slow_first_byte_delays_the_status_too(sim: Running, http: aiohttp.ClientSession) -> None:
    set_fault(sim, "openai", "slow_first_byte", delay_s=0.15)
    begun = time.monotonic()
    url, body = streamed(sim, "openai")
    async with http.post(url, json=body, headers=CREDENTIALS["openai"]):
        assert time.monotonic() - begun >= 0.15


async def test_an_error_in_the_stream_reaches_the_sdks_as_an_error(
    sim: Running, openai_sdk: openai.AsyncOpenAI, anthropic_sdk: anthropic.AsyncAnthropic, gemini_sdk: genai.Client
) -> None:
    for after in (0, 2):
        for provider in VENDORS:
            set_fault(sim, provider, "error_event", after_events=after)

        with pytest.raises(openai.APIError, match="had an error"):
            async for _ in await openai_sdk.chat.completions.create(**HELLO["openai"][1], stream=True):
                pass
        with pytest.raises(anthropic.APIStatusError, match="overloaded_error"):
            async for _ in await anthropic_sdk.messages.create(**HELLO["anthropic"][1], stream=True):
                pass
        with pytest.raises(errors.APIError, match="overloaded"):
            async for _ in await gemini_sdk.aio.models.generate_content_stream(
                model="gemini-2.5-flash", contents="hello"
            ):
                pass


@pytest.mark.parametrize("provider", VENDORS)
async def test_an_empty_answer_is_well_formed_and_says_nothing(
    sim: Running, http: aiohttp.ClientSession, post: Post, provider: str
) -> None:
    set_fault(sim, provider, "empty")
    status, body = await post(provider, HELLO[provider][1])
    assert status == 200 and "simulated " not in str(body)

    set_fault(sim, provider, "empty")
    received, ending = await drain(http, sim, provider)
    assert ending == "clean" and ENDINGS[provider] in received and b"[simulated" not in received


@pytest.mark.parametrize("provider", VENDORS)
async def test_bad_json_and_html_are_what_they_are(sim: Running, http: aiohttp.ClientSession, provider: str) -> None:
    url = sim.url_for(provider) + HELLO[provider][0]
    for kind, status, kind_of in (("bad_json", 200, "application/json"), ("html", 502, "text/html")):
        set_fault(sim, provider, kind)
        async with http.post(url, json=HELLO[provider][1], headers=CREDENTIALS[provider]) as answer:
            assert (answer.status, answer.content_type) == (status, kind_of)
            with pytest.raises(ValueError):
                await answer.json(content_type=None)

    set_fault(sim, provider, "bad_json", after_events=1)
    received, ending = await drain(http, sim, provider)
    assert ending == "clean" and ENDINGS[provider] not in received


# ---------------------------------------------------------------- counting


@pytest.mark.parametrize("provider", VENDORS)
async def test_what_was_served_is_what_the_answers_say(sim: Running, post: Post, provider: str) -> None:
    for _ in range(2):
        await post(provider, HELLO[provider][1])
    await post(provider, {})
    served = sim.state.journal.served[provider]

    assert (served.requests, served.errors) == (2, 1)
    assert served.input_tokens == 4
    assert served.total_tokens == served.input_tokens + served.output_tokens > 20


@pytest.mark.parametrize("provider", VENDORS)
async def test_a_stream_is_served_like_a_whole_answer(
    sim: Running, http: aiohttp.ClientSession, post: Post, provider: str
) -> None:
    await post(provider, HELLO[provider][1])
    whole = sim.state.journal.served[provider].total_tokens
    await drain(http, sim, provider)

    assert sim.state.journal.served[provider].total_tokens == 2 * whole


@pytest.mark.parametrize("provider", VENDORS)
async def test_a_client_that_leaves_is_noticed_and_billed_for_what_it_got(
    sim: Running, http: aiohttp.ClientSession, provider: str
) -> None:
    url, body = streamed(sim, provider)
    headers = {**CREDENTIALS[provider], "x-sim-chunks": "1000", "x-sim-chunk-delay-ms": "10"}
    async with http.post(url, json=body, headers=headers) as answer:
        await answer.content.readany()
        await asyncio.sleep(0.1)
        answer.close()
    served = sim.state.journal.served[provider]
    for _ in range(100):
        if served.aborted_streams:
            break
        await asyncio.sleep(0.01)

    assert sim.state.journal.entries[-1].aborted
    assert served.aborted_streams == 1
    assert 2 <= served.output_tokens < 200


async def test_the_number_and_the_pace_of_pieces_can_be_wished(sim: Running, http: aiohttp.ClientSession) -> None:
    begun = time.monotonic()
    received, _ = await drain(http, sim, "openai", **{"x-sim-chunks": "12", "x-sim-chunk-delay-ms": "10"})

    assert received.count(b'"content":"') == 13
    assert time.monotonic() - begun >= 0.11


# ---------------------------------------------------------------- control


async def test_requests_are_listed_with_headers_and_bodies_and_forgotten(
    sim: Running, http: aiohttp.ClientSession, post: Post
) -> None:
    await post("anthropic", HELLO["anthropic"][1], headers={"X-Custom": "1"})
    async with http.get(sim.origin + "/_sim/requests") as answer:
        [entry] = await answer.json()

    assert (entry["provider"], entry["method"], entry["path"]) == ("anthropic", "POST", "/anthropic/v1/messages")
    assert (entry["headers"]["x-custom"], entry["status"], entry["aborted"]) == ("1", 200, False)
    assert entry["body"] == HELLO["anthropic"][1]
    async with http.delete(sim.origin + "/_sim/requests") as answer:
        assert answer.status == 204
    async with http.get(sim.origin + "/_sim/requests") as answer:
        assert await answer.json() == []


def test_the_journal_forgets_the_oldest_when_there_are_too_many_or_too_large_ones() -> None:
    journal = Journal()
    for number in range(MAX_ENTRIES + 5):
        journal.add(Seen("openai", "POST", f"/{number}", (), 0.0, body=b"x"))
    assert (len(journal.entries), journal.entries[0].path) == (MAX_ENTRIES, "/5")

    for number in range(3):
        journal.add(Seen("openai", "POST", f"/large{number}", (), 0.0, body=bytes(MAX_BYTES // 2)))
    assert [seen.path for seen in journal.entries] == ["/large1", "/large2"]


async def test_faults_are_set_shown_used_up_and_cleared_over_http(
    sim: Running, http: aiohttp.ClientSession, post: Post
) -> None:
    url = sim.origin + "/_sim/faults"
    once = {"provider": "openai", "kind": "status", "status": 503, "times": 1}
    async with http.post(url, json=[once, {"kind": "html"}]) as answer:
        assert answer.status == 201
    assert (await post("openai", HELLO["openai"][1]))[0] == 503
    async with http.get(url) as answer:
        assert await answer.json() == [{"kind": "html"}]
    async with http.post(url, json={"kind": "explode"}) as answer:
        assert answer.status == 400 and "explode" in (await answer.json())["error"]["message"]
    async with http.delete(url) as answer:
        assert answer.status == 204
    assert (await post("openai", HELLO["openai"][1]))[0] == 200


async def test_served_tokens_are_shown_and_reset_over_http(
    sim: Running, http: aiohttp.ClientSession, post: Post
) -> None:
    await post("openai", HELLO["openai"][1])
    async with http.get(sim.origin + "/_sim/served") as answer:
        served = await answer.json()
    assert served["openai"]["requests"] == 1 and served["gemini"]["total_tokens"] == 0
    async with http.delete(sim.origin + "/_sim/served") as answer:
        assert answer.status == 204


def test_faults_are_taken_in_order_each_by_its_own_vendor() -> None:
    book = FaultBook(
        [Fault(kind="cut", provider="gemini"), Fault(kind="status", times=2), Fault(kind="html", provider="openai")]
    )

    assert [book.take("openai").kind for _ in range(4)] == ["status", "status", "html", "html"]
    assert book.take("gemini").kind == "cut"
    assert book.take("anthropic") is None


def test_a_script_is_a_yaml_list_of_faults() -> None:
    script = load_script("- {provider: openai, kind: status, status: 429, retry_after_s: 2, times: 3}\n- kind: stall\n")
    assert [(fault.kind, fault.answer_status, fault.pause_s) for fault in script] == [
        ("status", 429, 0.0),
        ("stall", 200, 60.0),
    ]
    assert load_script("") == []


@pytest.mark.parametrize(
    "text",
    [
        "- {kind: status, stauts: 500}",
        "- {kind: nope}",
        "- {kind: cut, times: 0}",
        "- {kind: status, status: 99}",
        "[",
        "- {provider: cohere, kind: cut}",
    ],
)
def test_a_script_with_a_mistake_is_refused(text: str) -> None:
    with pytest.raises(BadFault):
        load_script(text)
