"""One gateway for all client tests, and the OpenAI SDK pointed at it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator

import openai
import pytest
import vendor_types
from clients_house import House, HouseThread
from clients_kit import BASE


@pytest.fixture(scope="session")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    thread = HouseThread(tmp_path_factory.mktemp("clients") / "gateway.yaml")
    thread.start()
    try:
        yield thread.house()
    finally:
        thread.stop()


@pytest.fixture
def house(running: House) -> Iterator[House]:
    """The gateway without faults. Whatever it sent upstream in a test must be a request by the vendors' own types."""
    running.clear()
    yield running
    for provider in vendor_types.CHECKS:
        for row in running.sent(provider):
            if row["method"] == "POST":
                vendor_types.check(provider, row["body"])


@pytest.fixture
def client(house: House) -> Iterator[openai.OpenAI]:
    with house.openai() as client:
        yield client


@pytest.fixture
async def async_client(house: House) -> AsyncIterator[openai.AsyncOpenAI]:
    async with openai.AsyncOpenAI(base_url=house.origin + BASE, api_key=house.token()) as client:
        yield client
