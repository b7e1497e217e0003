"""What every quota store promises, told through the keeper that the pipeline uses; run over each driver."""

from __future__ import annotations

import asyncio

import pytest
from quota_story import ACME, CALL, burst, flushed, until

from gateway.core.ledger_commands import Arrive, Ask, Open, Orphan, Sync
from gateway.core.ledger_rows import Key, Process
from gateway.core.ledger_views import Alert, Refused
from gateway.settings import Quota
from gateway.stores.keeper import DoubleSettle
from gateway.stores.processes import this_process

# ---------------------------------------------------------------- exactness


@pytest.mark.parametrize(("limit", "fit"), [(10_000, 33), (299, 0), (300, 1), (60_000, 200)])
async def test_a_burst_admits_exactly_what_fits(office, limit: int, fit: int) -> None:
    keeper = await office.open({"tenant:acme": Quota(daily_tokens=limit, monthly_tokens=10**6)})
    holds, refusals = await burst(keeper, 200, 300, wait_s=0.05)
    assert (len(holds), len(refusals)) == (fit, 200 - fit)
    assert keeper.room(ACME) == limit - 300 * fit
    for hold in holds:
        keeper.settle(hold, 300)
    assert keeper.accounts(ACME)[0].used == 300 * fit


async def test_a_burst_of_five_hundred_costs_a_few_transactions(office) -> None:
    keeper = await office.open({"tenant:acme": Quota(daily_tokens=10**7)})
    before = keeper.transactions
    holds, _ = await burst(keeper, 500, 700)
    assert len(holds) == 500
    assert keeper.transactions - before <= 3


async def test_wave_after_wave_the_limit_is_reached_and_never_passed(office) -> None:
    keeper = await office.open({"tenant:acme": Quota(daily_tokens=5_000), "provider:openai": Quota(daily_tokens=9_000)})
    served = 0
    for used in (10, 120, 250, 300, 77, 1, 300, 300, 300, 300):
        holds, _ = await burst(keeper, 8, 300, wait_s=0)
        for hold in holds:
            keeper.settle(hold, used)
            served += used
    assert 5_000 - 300 < served <= 5_000
    assert {view.used for view in keeper.accounts(CALL)} == {served}


async def test_two_keepers_share_one_limit_to_the_last_token(office) -> None:
    quotas = {"tenant:acme": Quota(daily_tokens=6_000)}
    keepers = [await office.open(quotas), await office.open(quotas)]
    outcomes = await asyncio.gather(*(burst(keeper, 50, 300, wait_s=1.0) for keeper in keepers))
    assert sum(len(holds) for holds, _ in outcomes) == 20
    for keeper, (holds, _) in zip(keepers, outcomes, strict=True):
        for hold in holds:
            keeper.settle(hold, 300)
        await flushed(keeper)
    with pytest.raises(Refused, match="does not allow"):
        await keepers[0].hold(ACME, 1)


async def test_a_keeper_that_needs_lease_gets_what_another_does_not_use(office) -> None:
    quotas = {"tenant:acme": Quota(daily_tokens=4_000)}
    rich, poor = await office.open(quotas), await office.open(quotas)
    rich.settle(await rich.hold(ACME, 3_900), 100)
    assert poor.room(ACME) == 4_000  # nobody told it yet
    hold = await poor.hold(ACME, 3_800)
    poor.settle(hold, 3_800)
    await office.close(rich)
    await office.close(poor)
    again = await office.open(quotas)
    assert [(view.used, view.leased) for view in again.accounts(ACME)] == [(3_900, 0), (3_900, 0)]


# ---------------------------------------------------------------- refusals


async def test_a_spent_quota_is_told_from_one_that_is_only_reserved(office) -> None:
    keeper = await office.open({"tenant:acme": Quota(daily_tokens=1_000)})
    hold = await keeper.hold(ACME, 900)
    with pytest.raises(Refused) as reserved:
        await keeper.hold(ACME, 200, wait_s=0.02)
    assert (reserved.value.reason, reserved.value.code, reserved.value.reserved) == ("reserved", "quota_reserved", 900)
    keeper.settle(hold, 900)
    with pytest.raises(Refused) as exceeded:
        await keeper.hold(ACME, 200)
    refused = exceeded.value
    assert (refused.reason, refused.code, refused.scope, refused.window) == (
        "exceeded",
        "quota_exceeded",
        "tenant:acme",
        "daily",
    )
    assert (refused.limit, refused.used, refused.reserved, refused.remaining) == (1_000, 900, 0, 100)
    assert refused.reset_at == 1_795_478_400
    assert "2026-11-24T00:00:00Z" in str(refused)


async def test_a_request_bigger_than_the_limit_is_told_so(office) -> None:
    keeper = await office.open({"tenant:acme": Quota(monthly_tokens=1_000)})
    with pytest.raises(Refused, match="is 1000 tokens and this request may need 1001") as refused:
        await keeper.hold(ACME, 1_001)
    assert (refused.value.reason, refused.value.code, refused.value.window) == (
        "too_large",
        "quota_exceeded",
        "monthly",
    )


async def test_a_limit_of_zero_lets_nothing_in(office) -> None:
    keeper = await office.open({"tenant:acme": Quota(daily_tokens=0)})
    assert keeper.room(ACME) == 0
    with pytest.raises(Refused) as refused:
        await keeper.hold(ACME, 1)
    assert refused.value.code == "quota_exceeded"


async def test_a_request_waits_for_one_in_flight_to_give_back(office) -> None:
    keeper = await office.open({"tenant:acme": Quota(daily_tokens=1_000)})
    first = await keeper.hold(ACME, 900)
    waiting = asyncio.create_task(keeper.hold(ACME, 500, wait_s=2.0))
    await asyncio.sleep(0.02)
    assert not waiting.done()
    keeper.settle(first, 100)
    second = await waiting
    assert keeper.room(ACME) == 400
    keeper.settle(second, 0)


async def test_a_cancelled_request_leaves_no_reservation(office) -> None:
    keeper = await office.open({"tenant:acme": Quota(daily_tokens=1_000)})
    waiting = [asyncio.create_task(keeper.hold(ACME, 300)) for _ in range(3)]
    await asyncio.sleep(0)
    for task in waiting:
        task.cancel()
    await asyncio.gather(*waiting, return_exceptions=True)
    await flushed(keeper)
    assert keeper.accounts(ACME)[0].reserved == 0
    keeper.settle(await keeper.hold(ACME, 1_000), 0)


async def test_a_request_cancelled_in_the_moment_of_its_answer_gives_it_back(office) -> None:
    keeper = await office.open({"tenant:acme": Quota(daily_tokens=1_000)})
    first = await keeper.hold(ACME, 1_000)
    waiting = asyncio.create_task(keeper.hold(ACME, 400, wait_s=2.0))
    await asyncio.sleep(0.02)
    keeper.settle(first, 0)
    keeper._pump._step(asyncio.get_running_loop().time())  # the answer is there, its task has not run yet
    assert keeper.accounts(ACME)[0].reserved == 400
    waiting.cancel()
    await asyncio.gather(waiting, return_exceptions=True)
    assert keeper.accounts(ACME)[0].reserved == 0


# ---------------------------------------------------------------- fallback


async def test_another_provider_joins_a_hold_and_each_is_charged_its_own(office) -> None:
    limits = {name: Quota(daily_tokens=1_000) for name in ("tenant:acme", "provider:openai", "provider:gemini")}
    keeper = await office.open(limits)
    hold = await keeper.hold(("tenant:acme", "provider:openai"), 400)
    keeper.drop(hold, ("provider:openai",), used=30)
    assert not keeper.add(hold, ("provider:gemini",))
    await keeper.add_wait(hold, ("provider:gemini",))
    keeper.settle(hold, {"tenant:acme": 130, "provider:gemini": 100})
    used = {view.scope: view.used for view in keeper.accounts() if view.window == "daily"}
    assert used == {"tenant:acme": 130, "provider:openai": 30, "provider:gemini": 100}
    assert all(view.reserved == 0 for view in keeper.accounts())


async def test_a_provider_without_room_leaves_the_hold_as_it_was(office) -> None:
    keeper = await office.open({"provider:gemini": Quota(daily_tokens=100)})
    hold = await keeper.hold(ACME, 400)
    with pytest.raises(Refused) as refused:
        await keeper.add_wait(hold, ("provider:gemini",))
    assert refused.value.scope == "provider:gemini"
    assert hold.scopes == ACME
    keeper.settle(hold, 10)


async def test_a_second_settle_is_an_error(office) -> None:
    keeper = await office.open({})
    hold = await keeper.hold(ACME, 10)
    keeper.settle(hold, 5)
    with pytest.raises(DoubleSettle):
        keeper.settle(hold, 5)
    with pytest.raises(DoubleSettle):
        keeper.drop(hold, ACME)
    assert (keeper.counts["double_settles"], keeper.accounts(ACME)[0].used) == (2, 5)


async def test_what_nobody_held_can_be_charged(office) -> None:
    keeper = await office.open({})
    keeper.charge(("tenant:house",), 55, estimated=True)
    await flushed(keeper)
    assert keeper.accounts(("tenant:house",))[0].used == 55


# ---------------------------------------------------------------- several processes


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is looked at every few seconds is looked at twenty times a second."""
    monkeypatch.setattr("gateway.stores.pump.REFRESH_S", 0.05)
    monkeypatch.setattr("gateway.stores.pump.BEAT_S", 0.05)


async def test_an_alert_is_seen_by_every_process_and_reported_by_one(office, impatient: None) -> None:
    quotas = {"tenant:acme": Quota(daily_tokens=1_000)}
    one, other = await office.open(quotas), await office.open(quotas)
    one.settle(await one.hold(ACME, 800), 800)
    await until(lambda: other.alerts())
    assert other.alerts() == one.alerts()
    assert len([event for event in office.events if isinstance(event, Alert)]) == 1


async def test_a_reset_by_another_process_is_seen(office, impatient: None) -> None:
    quotas = {"tenant:acme": Quota(daily_tokens=1_000)}
    one, other = await office.open(quotas), await office.open(quotas)
    one.settle(await one.hold(ACME, 1_000), 1_000)
    await flushed(one)
    await until(lambda: other.room(ACME) == 0)
    await other.reset(ACME)
    await until(lambda: one.room(ACME) == 1_000)


async def test_a_process_that_dies_is_charged_while_others_run_on(office, impatient: None) -> None:
    quotas = {"tenant:acme": Quota(daily_tokens=1_000)}
    keeper = await office.open(quotas)
    me = this_process()
    died = Arrive(Process(me.boot, me.space, me.pid, me.started - 1))
    key = Key("tenant:acme", "tokens", "2026-11-23")
    await keeper._pump.store.run(Sync("died", 1, (died, Open(key, 1_000), Ask(key, 300, 300))), office.clock())
    keeper.settle(await keeper.hold(ACME, 100), 100)
    await until(lambda: keeper.accounts(ACME)[0].used == 400)
    assert [event for event in office.events if isinstance(event, Orphan)] == [Orphan("died", key, 300)]
    assert keeper.counts["orphaned_tokens"] == 300
