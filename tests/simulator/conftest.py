"""Simulators on a free loopback port, and the official SDKs pointed at them."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import anthropic
import openai
import pytest
from google import genai
from simulator_kit import CREDENTIALS, HELLO, Post

from gateway.simulator.app import Running, start


@pytest.fixture
async def sim() -> AsyncIterator[Running]:
    running = await start("all")
    yield running
    await running.stop()


@pytest.fixture
async def http() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession() as session:
        yield session


@pytest.fixture
async def openai_sdk(sim: Running) -> AsyncIterator[openai.AsyncOpenAI]:
    async with openai.AsyncOpenAI(base_url=sim.url_for("openai"), api_key="sk-test", max_retries=0) as client:
        yield client


@pytest.fixture
async def anthropic_sdk(sim: Running) -> AsyncIterator[anthropic.AsyncAnthropic]:
    async with anthropic.AsyncAnthropic(
        base_url=sim.url_for("anthropic"), api_key="sk-ant-test", max_retries=0
    ) as client:
        yield client


@pytest.fixture
def gemini_sdk(sim: Running) -> genai.Client:
    return genai.Client(api_key="AIza-test", http_options={"base_url": sim.url_for("gemini")})


@pytest.fixture
def post(sim: Running, http: aiohttp.ClientSession) -> Post:
    """Sends a body to a vendor with its credential and gives back status and JSON."""

    async def send(
        provider: str, body: Any, path: str | None = None, headers: dict[str, str] | None = None
    ) -> tuple[int, Any]:
        url = sim.url_for(provider) + (path or HELLO[provider][0])
        async with http.post(url, json=body, headers={**CREDENTIALS[provider], **(headers or {})}) as answer:
            return answer.status, await answer.json()

    return send
