"""Starting simulators: paths, credentials, unknown paths, and the process that serves them."""

from __future__ import annotations

import asyncio
import os
import re
import signal
from pathlib import Path
from typing import Any, get_args

import aiohttp
import pytest
from simulator_kit import HELLO

from gateway.simulator.app import Running, serve, start
from gateway.simulator.exchange import MAX_BODY_BYTES
from gateway.simulator.faults import Fault, Kind


async def status_of(http: aiohttp.ClientSession, url: str, body: Any, headers: dict[str, str]) -> tuple[int, Any]:
    async with http.post(url, json=body, headers=headers) as answer:
        return answer.status, await answer.json()


VERSION = {"anthropic-version": "2023-06-01"}
REFUSED: list[tuple[str, dict[str, str], int, str]] = [
    ("openai", {}, 401, "You didn't provide an API key."),
    ("openai", {"x-api-key": "good"}, 401, "You didn't provide an API key."),
    ("openai", {"authorization": "Bearer wrong-key-0123"}, 401, "Incorrect API key provided: wro********0123."),
    ("anthropic", VERSION, 401, "x-api-key header is required"),
    ("anthropic", {**VERSION, "x-api-key": "wrong", "authorization": "Bearer good"}, 401, "invalid x-api-key"),
    ("gemini", {}, 403, "Method doesn't allow unregistered callers"),
    ("gemini", {"authorization": "Bearer good"}, 401, "Expected OAuth 2 access token"),
    ("gemini", {"x-goog-api-key": "wrong"}, 400, "API key not valid."),
]
TAKEN: list[tuple[str, dict[str, str], str]] = [
    ("openai", {"authorization": "Bearer good"}, ""),
    ("anthropic", {**VERSION, "x-api-key": "good"}, ""),
    ("anthropic", {**VERSION, "authorization": "Bearer good"}, ""),
    ("anthropic", {**VERSION, "x-api-key": "", "authorization": "Bearer good"}, ""),
    ("gemini", {"x-goog-api-key": "good"}, ""),
    ("gemini", {}, "?key=good"),
]


@pytest.fixture
async def locked() -> Any:
    running = await start("all", keys={"openai": "good", "anthropic": ["good", "other"], "gemini": "good"})
    yield running
    await running.stop()


@pytest.mark.parametrize(("provider", "headers", "status", "message"), REFUSED)
async def test_a_missing_or_wrong_credential_is_refused_as_the_vendor_does(
    locked: Running, http: aiohttp.ClientSession, provider: str, headers: dict[str, str], status: int, message: str
) -> None:
    got, body = await status_of(http, locked.url_for(provider) + HELLO[provider][0], HELLO[provider][1], headers)
    assert got == status and message in body["error"]["message"]


@pytest.mark.parametrize(("provider", "headers", "query"), TAKEN)
async def test_a_credential_in_the_right_place_is_taken(
    locked: Running, http: aiohttp.ClientSession, provider: str, headers: dict[str, str], query: str
) -> None:
    url = locked.url_for(provider) + HELLO[provider][0] + query
    assert (await status_of(http, url, HELLO[provider][1], headers))[0] == 200


@pytest.mark.parametrize("provider", ["openai", "anthropic", "gemini"])
async def test_one_vendor_alone_is_served_at_the_root(http: aiohttp.ClientSession, provider: str) -> None:
    running = await start(provider)  # type: ignore[arg-type]
    try:
        assert running.url_for(provider) == running.origin + ("/v1" if provider == "openai" else "")
        headers = {**VERSION, "authorization": "Bearer k", "x-goog-api-key": "k"}
        assert (await status_of(http, running.url_for(provider) + HELLO[provider][0], HELLO[provider][1], headers))[
            0
        ] == 200
    finally:
        await running.stop()


@pytest.mark.parametrize("provider", ["openai", "anthropic", "gemini"])
async def test_an_unknown_path_and_bad_json_are_answered_in_the_vendors_shape(
    sim: Running, http: aiohttp.ClientSession, provider: str
) -> None:
    headers = {**VERSION, "authorization": "Bearer k", "x-goog-api-key": "k"}
    status, body = await status_of(http, sim.url_for(provider) + "/nothing", {}, headers)
    assert status == 404 and body["error"]["message"]

    url = sim.url_for(provider) + HELLO[provider][0]
    async with http.post(url, data=b"{nope", headers={**headers, "content-type": "application/json"}) as answer:
        assert answer.status == 400 and (await answer.json())["error"]["message"]


@pytest.mark.parametrize(("provider", "status"), [("openai", 413), ("anthropic", 413), ("gemini", 400)])
async def test_a_body_too_large_is_refused_as_the_vendor_does(
    sim: Running, http: aiohttp.ClientSession, provider: str, status: int
) -> None:
    async with http.post(sim.url_for(provider) + HELLO[provider][0], data=b" " * (MAX_BODY_BYTES + 1)) as answer:
        assert answer.status == status and "error" in await answer.json()


async def test_a_script_is_there_from_the_start(http: aiohttp.ClientSession) -> None:
    running = await start("openai", script=[Fault(kind="status", status=503, times=1)])
    try:
        headers = {"authorization": "Bearer k"}
        answers = [
            await status_of(http, running.url_for("openai") + HELLO["openai"][0], HELLO["openai"][1], headers)
            for _ in "ab"
        ]
        assert [status for status, _ in answers] == [503, 200]
    finally:
        await running.stop()


async def test_serving_announces_every_vendor_and_ends_on_a_signal() -> None:
    announced: list[str] = []
    serving = asyncio.create_task(serve("all", port=0, announce=announced.append))
    while len(announced) < 3:
        await asyncio.sleep(0.01)
    os.kill(os.getpid(), signal.SIGTERM)
    await asyncio.wait_for(serving, 2)

    assert [line.split(":")[0] for line in announced] == ["simulated openai", "simulated anthropic", "simulated gemini"]
    assert announced[0].endswith("/openai/v1")


ROOT = Path(__file__).parents[2]


def test_the_simulators_share_no_translation_with_the_gateway_they_check() -> None:
    sources = [path.read_text() for path in (ROOT / "gateway/simulator").glob("*.py")]
    foreign = {name for text in sources for name in re.findall(r"^(?:from|import) (gateway\.\w+)", text, re.M)}

    assert foreign == {"gateway.simulator", "gateway.core"}


def test_the_manual_names_every_kind_of_fault() -> None:
    manual = (ROOT / "docs/simulators.md").read_text()
    assert [kind for kind in get_args(Kind) if f"| `{kind}` |" not in manual] == []
