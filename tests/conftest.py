"""Options and servers for all tests."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from hypothesis import settings
from redis_server import RedisServer

# A busy machine is slow, and the first text that Hypothesis draws in a fresh clone takes a second: neither is a fault.
settings.register_profile("patient", deadline=None)
settings.load_profile("patient")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--record", action="store_true", help="rewrite what the golden cases expect; review it as a diff")


@pytest.fixture
def record(request: pytest.FixtureRequest) -> bool:
    """Whether golden files are to be written instead of compared."""
    return bool(request.config.getoption("--record"))


@pytest.fixture(scope="session")
def one_redis(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    """A server for all tests that do not stop it; use `redis_server`."""
    server = RedisServer(tmp_path_factory.mktemp("redis"))
    yield server
    server.stop()


@pytest.fixture
def redis_server(one_redis: RedisServer) -> RedisServer:
    """A server that keeps every write on disk, empty at the start of each test."""
    with one_redis.client() as client:
        client.flushall()
    return one_redis
