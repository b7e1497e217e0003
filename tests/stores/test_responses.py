"""Answers that a client may go on from: kept for a day, by tenant, in bounds."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest
from redis_server import RedisServer

from gateway.stores.open import open_responses
from gateway.stores.redis_place import connect, place_of
from gateway.stores.responses import MAX_BYTES, TTL_S, MemoryResponses, Responses, SqliteResponses
from gateway.stores.responses_redis import RedisResponses

NOW = 1_790_000_000.0


@pytest.fixture(params=["memory", "sqlite", "redis"])
async def kept(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Responses]:
    complaints: list[str] = []
    url = {"memory": "memory://", "sqlite": f"sqlite:///{tmp_path}/quota.db"}.get(request.param, "")
    url = url or request.getfixturevalue("redis_server").url
    store = open_responses(url, complaints.append)
    yield store
    await store.close()
    assert complaints == []


async def test_what_was_put_is_found_by_its_tenant_alone(kept: Responses) -> None:
    kept.put("acme", "resp_1", b"one", NOW)
    assert await kept.get("acme", "resp_1", NOW) == b"one"
    assert await kept.get("globex", "resp_1", NOW) is None
    assert await kept.get("acme", "resp_2", NOW) is None
    kept.put("acme", "resp_1", b"again", NOW)
    assert await kept.get("acme", "resp_1", NOW) == b"again"


@pytest.mark.parametrize("kept", ["memory", "sqlite"], indirect=True)  # Redis forgets by its own clock: below
async def test_a_day_later_it_is_gone(kept: Responses) -> None:
    kept.put("acme", "resp_1", b"one", NOW)
    assert await kept.get("acme", "resp_1", NOW + TTL_S) == b"one"
    assert await kept.get("acme", "resp_1", NOW + TTL_S + 1) is None
    assert not await kept.delete("acme", "resp_1", NOW + TTL_S + 1)


async def test_deleting_tells_whether_there_was_one_and_touches_nobody_elses(kept: Responses) -> None:
    kept.put("acme", "resp_1", b"one", NOW)
    kept.put("globex", "resp_1", b"theirs", NOW)
    assert not await kept.delete("acme", "resp_2", NOW)
    assert await kept.delete("acme", "resp_1", NOW)
    assert not await kept.delete("acme", "resp_1", NOW)
    assert await kept.get("acme", "resp_1", NOW) is None
    assert await kept.get("globex", "resp_1", NOW) == b"theirs"


async def test_what_is_too_large_is_not_kept(kept: Responses) -> None:
    kept.put("acme", "resp_1", bytes(MAX_BYTES + 1), NOW)
    assert await kept.get("acme", "resp_1", NOW) is None


async def test_memory_has_its_bounds_and_one_tenant_cannot_take_them_all() -> None:
    small = MemoryResponses(max_bytes=100, of_tenant=3)
    for number in range(5):
        small.put("acme", f"r{number}", b"x" * 10, NOW)
    assert [await small.get("acme", f"r{n}", NOW) is not None for n in range(5)] == [False, False, True, True, True]
    for tenant in range(20):
        small.put(f"t{tenant}", "r", b"y" * 10, NOW)
    assert await small.get("acme", "r4", NOW) is None  # ten of ten bytes fit
    assert [await small.get(f"t{n}", "r", NOW) is not None for n in (9, 10, 19)] == [False, True, True]
    small.put("acme", "later", b"z", NOW + TTL_S + 1)
    assert await small.get("t19", "r", NOW + TTL_S + 1) is None


async def test_another_process_of_the_machine_finds_it(tmp_path: Path) -> None:
    one, other = (SqliteResponses(tmp_path / "responses", report) for report in (_never, _never))
    one.put("acme", "resp_1", b"one", NOW)
    await one.close()  # its write is through
    assert await other.get("acme", "resp_1", NOW) == b"one"
    assert (tmp_path / "responses").stat().st_mode & 0o777 == 0o600
    await other.close()


async def test_a_file_that_cannot_be_used_is_reported_and_costs_no_call(tmp_path: Path) -> None:
    complaints: list[str] = []
    (tmp_path / "responses").write_bytes(b"this is no database, and longer than its header would be" * 20)
    store = SqliteResponses(tmp_path / "responses", complaints.append)
    store.put("acme", "resp_1", b"one", NOW)
    assert await store.get("acme", "resp_1", NOW) == b"one"  # from memory
    assert await store.get("acme", "resp_2", NOW) is None
    await store.close()
    assert complaints and "not a database" in complaints[0]


async def test_redis_forgets_by_itself_and_another_machine_finds_it(redis_server: RedisServer) -> None:
    one, other = (open_responses(redis_server.url, _never) for _ in range(2))
    assert isinstance(one, RedisResponses)
    one.put("acme", "resp_ttl", b"one", NOW)
    await one.close()
    assert await other.get("acme", "resp_ttl", NOW) == b"one"
    client = connect(place_of(redis_server.url), "test")
    assert 0 < await client.ttl("gateway:responses:acme/resp_ttl") <= TTL_S
    await client.aclose()
    await other.close()


async def test_a_server_that_is_away_is_reported_and_costs_no_call() -> None:
    complaints: list[str] = []
    store = open_responses("redis://127.0.0.1:9/0", complaints.append)
    store.put("acme", "resp_1", b"one", NOW)
    assert await store.get("acme", "resp_1", NOW) == b"one"
    assert await store.get("acme", "resp_2", NOW) is None
    await store.close()
    assert complaints


_never: Callable[[str], None] = pytest.fail
