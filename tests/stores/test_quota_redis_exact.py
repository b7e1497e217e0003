"""The Redis driver is exact: answers that nobody waited for, numbers too big for Lua, and the order of what it tells."""

from __future__ import annotations

import asyncio

import pytest
from redis_server import RedisLedger, RedisServer
from redis_story import DAY, NOON, day

from gateway.core.ledger import apply
from gateway.core.ledger_commands import (
    Accounts,
    Alerts,
    Ask,
    Audits,
    Delivered,
    Holders,
    Open,
    Outbox,
    Settle,
    Sync,
    Synced,
)
from gateway.core.ledger_rows import MOST, Key
from gateway.core.ratios import ENOUGH
from gateway.stores.keeper import Keeper
from gateway.stores.memory import MemoryBook
from gateway.stores.redis import RedisStore

# ---------------------------------------------------------------- exactness


async def test_a_cancelled_caller_leaves_no_answer_for_the_next_one(redis_server: RedisServer) -> None:
    store = RedisStore(redis_server.url)
    await store.open()
    for seq in range(1, 60):
        impatient = asyncio.create_task(store.run(Sync("a", seq, (Settle(DAY, 1, 0),)), NOON))
        await asyncio.sleep(0.0001 * (seq % 7))
        impatient.cancel()
        await asyncio.gather(impatient, return_exceptions=True)
        rows = await store.run(Holders(), NOON)
        assert [(row.id, row.seq) for row in rows] == [("a", seq)]  # type: ignore[union-attr]
    assert day(redis_server).settled == 59
    await store.close()


@pytest.mark.parametrize("limit", [None, 10**15, 2**60, MOST, 7])
@pytest.mark.parametrize(
    "used", [2**53 - 1, 2**53, 2**53 + 1, 2**62, 10**30, 90_071_992_547_409, 9_007_199_254_740_993]
)
def test_no_number_is_too_big_to_be_counted_exactly(redis_server: RedisServer, limit: int | None, used: int) -> None:
    """Up to MOST all drivers agree to the last token; what would go beyond stays at MOST, and every limit is exceeded."""
    book = MemoryBook()
    stored = None if limit is None else min(limit, MOST)  # a limit above MOST is MOST in Redis
    with RedisLedger(redis_server) as ledger:
        ledger.clear()
        for seq, (ours, theirs) in enumerate(
            (
                ((Open(DAY, stored), Ask(DAY, 5, 2**70)), (Open(DAY, limit), Ask(DAY, 5, 2**70))),
                ((Settle(DAY, used // 2, 3, used // 2),), (Settle(DAY, used // 2, 3, used // 2),)),
                ((Settle(DAY, used - used // 2, 1),), (Settle(DAY, used - used // 2, 1),)),
                (
                    (Settle(DAY, used, 0, 0, used), Ask(DAY, used, used)),
                    (Settle(DAY, used, 0, 0, used), Ask(DAY, used, used)),
                ),
            ),
            1,
        ):
            changes, reply = apply(book, Sync("a", seq, ours, (1, 33, 75, 100)), NOON)
            book.write(changes)
            assert ledger.run(Sync("a", seq, theirs, (1, 33, 75, 100)), NOON) == reply
        row = ledger.run(Accounts(("2026-11-23",)), NOON)[0]  # type: ignore[index]
    assert max(row.settled, row.leased, row.estimated, row.suspect) <= MOST


@pytest.mark.parametrize("limit", [1, 3, 99, 101, 9_999, 10**15 - 1, 10**15, MOST - 1, MOST])
@pytest.mark.parametrize("threshold", [1, 33, 75, 99, 100])
def test_thresholds_are_crossed_at_the_exact_token(redis_server: RedisServer, limit: int, threshold: int) -> None:
    first = -(-threshold * limit // 100)  # in whole numbers of any size
    with RedisLedger(redis_server) as ledger:
        ledger.clear()
        for seq, (used, fires) in enumerate([(first - 1, False), (1, True)], 1):
            reply = ledger.run(Sync("a", seq, (Open(DAY, limit), Settle(DAY, used, 0)), (threshold,)), NOON)
            assert isinstance(reply, Synced) and bool(reply.alerts) == fires


def test_the_driver_tells_alerts_and_webhooks_in_the_order_of_the_others(redis_server: RedisServer) -> None:
    book = MemoryBook()
    with RedisLedger(redis_server) as ledger:
        ledger.clear()
        for seq, scope in enumerate(("tenant:ö", "tenant:a\0b", "tenant:a", "tenant:Z", "tenant:a|b"), 1):
            key = Key(scope, "tokens", "2026-11-23")
            command = Sync("a", seq, (Open(key, 100), Settle(key, 95, 0)), (75, 90, 100), notify=True)
            changes, reply = apply(book, command, NOON + seq // 3)
            book.write(changes)
            assert ledger.run(command, NOON + seq // 3) == reply
        for query in (Alerts("2026-11"), *(Alerts("2026-11", n) for n in range(11)), Outbox(), Outbox(3), Outbox(0)):
            assert ledger.run(query, NOON) == apply(book, query, NOON)[1]
        done = Delivered("tenant:Z|2026-11-23|75|1")
        book.write(apply(book, done, NOON)[0])
        ledger.run(done, NOON)
        for query in (Alerts("2026-11"), Outbox(), Audits(0), Accounts(())):
            assert ledger.run(query, NOON) == apply(book, query, NOON)[1]


# ---------------------------------------------------------------- notes


async def test_a_note_is_changed_in_one_step_however_many_write_it(redis_server: RedisServer) -> None:
    with RedisLedger(redis_server) as ledger:
        ledger.clear()
    stores = [RedisStore(redis_server.url) for _ in range(4)]
    for store in stores:
        await store.open()
    assert await stores[0].note("other", lambda old: old) == b""
    await asyncio.gather(*(store.note("sum", lambda old: b"%d" % (int(old or 0) + 1)) for store in stores * 10))
    assert await stores[1].note("sum", lambda old: old) == b"40"
    assert await stores[1].note("other", lambda old: b"\x00\xff" + old) == b"\x00\xff"
    for store in stores:
        await store.close()


async def test_what_one_machine_learnt_of_a_model_another_knows(redis_server: RedisServer) -> None:
    with RedisLedger(redis_server) as ledger:
        ledger.clear()
    there, here = (Keeper(RedisStore(redis_server.url), {}) for _ in range(2))
    await there.start()
    for _ in range(2 * ENOUGH):
        there.ratios.learn("gpt-5.4", 10_000, 2_500)
    assert await there.close()
    await here.start()
    assert 2_500 <= here.ratios.bound("gpt-5.4", 10_000) < 5_000
    await here.close()
