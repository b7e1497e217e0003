"""What every quota store promises, told through the keeper that the pipeline uses; run over each driver."""

from __future__ import annotations

import asyncio

import msgspec
import pytest

from gateway.core.ledger_views import Alert, Refused
from gateway.core.wallet import Hold
from gateway.settings import Alerts, Quota
from gateway.stores.keeper import DoubleSettle, Keeper

ACME = ("tenant:acme",)
CALL = ("tenant:acme", "provider:openai", "tenant:acme/provider:openai")
FLUSHED_S = 2.0


async def flushed(keeper: Keeper, scope: str = "tenant:acme") -> None:
    """Waits until the store knows everything that was used and nothing is leased any more on the way there."""
    async with asyncio.timeout(FLUSHED_S):
        while keeper._wallet.unsettled or keeper._pump._pending is not None:
            await asyncio.sleep(0.01)


async def burst(keeper: Keeper, calls: int, tokens: int, wait_s: float = 0.3) -> tuple[list[Hold], list[Refused]]:
    async def call() -> Hold | Refused:
        try:
            return await keeper.hold(CALL, tokens, wait_s)
        except Refused as refused:
            return refused

    outcomes = await asyncio.gather(*(call() for _ in range(calls)))
    holds = [outcome for outcome in outcomes if isinstance(outcome, Hold)]
    return holds, [outcome for outcome in outcomes if isinstance(outcome, Refused)]


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


# ---------------------------------------------------------------- what operators see


async def test_accounts_have_the_fields_of_the_api(office) -> None:
    keeper = await office.open({"tenant:acme": Quota(daily_tokens=1_000)})
    keeper.settle(await keeper.hold(ACME, 400), 150)
    held = await keeper.hold(ACME, 50)
    await flushed(keeper)
    day, month = msgspec.to_builtins(keeper.accounts(ACME))
    assert day.pop("leased") >= 50
    assert day == {
        "scope": "tenant:acme",
        "unit": "tokens",
        "window": "daily",
        "period": "2026-11-23",
        "limit": 1_000,
        "used": 150,
        "reserved": 50,
        "remaining": 800,
        "overdraft": 0,
        "resetAt": 1_795_478_400,
    }
    assert (month["period"], month["limit"], month["used"], month["remaining"]) == ("2026-11", None, 150, None)
    keeper.settle(held, 0)


async def test_more_than_reserved_is_charged_in_full_and_shown(office) -> None:
    keeper = await office.open({"tenant:acme": Quota(daily_tokens=1_000)})
    keeper.settle(await keeper.hold(ACME, 400), 1_200)
    await flushed(keeper)
    day = keeper.accounts(ACME)[0]
    assert (day.used, day.remaining, day.overdraft, keeper.room(ACME)) == (1_200, 0, 200, 0)


async def test_a_star_stands_for_all_scopes_that_begin_so(office) -> None:
    keeper = await office.open({"tenant:acme": Quota(daily_tokens=9), "tenant:acme/provider:openai": Quota()})
    keeper.settle(await keeper.hold(("provider:openai", "tenant:b"), 5), 5)
    names = [sorted({view.scope for view in keeper.accounts(pattern)}) for pattern in (("tenant:acme*",), ("*",))]
    assert names == [
        ["tenant:acme", "tenant:acme/provider:openai"],
        ["provider:openai", "tenant:acme", "tenant:acme/provider:openai", "tenant:b"],
    ]


async def test_a_reset_returns_the_accounts_as_they_were_and_makes_room(office) -> None:
    keeper = await office.open({"tenant:acme": Quota(daily_tokens=1_000)})
    keeper.settle(await keeper.hold(ACME, 1_000), 950)
    before = await keeper.reset(ACME, ("daily",), note="operator")
    assert [(view.window, view.used, view.remaining) for view in before] == [("daily", 950, 50)]
    assert [view.used for view in keeper.accounts(ACME)] == [0, 950]
    keeper.settle(await keeper.hold(ACME, 1_000), 0)


async def test_usage_in_flight_during_a_reset_is_counted_after_it(office) -> None:
    keeper = await office.open({"tenant:acme": Quota(daily_tokens=1_000)})
    hold = await keeper.hold(ACME, 400)
    (day, _) = await keeper.reset(ACME)
    assert (day.used, day.reserved) == (0, 400)
    keeper.settle(hold, 300)
    assert keeper.accounts(ACME)[0].used == 300


# ---------------------------------------------------------------- limits and midnight


async def test_a_raised_limit_lets_waiting_requests_in(office) -> None:
    keeper = await office.open({"tenant:acme": Quota(daily_tokens=1_000)})
    keeper.settle(await keeper.hold(ACME, 1_000), 700)
    first = await keeper.hold(ACME, 300)
    waiting = asyncio.create_task(keeper.hold(ACME, 300, wait_s=3.0))
    await asyncio.sleep(0.02)
    keeper.set_limits({"tenant:acme": Quota(daily_tokens=1_500)})
    second = await waiting
    assert (keeper.room(ACME), keeper.accounts(ACME)[0].used) == (200, 700)
    keeper.settle(first, 0)
    keeper.settle(second, 0)


async def test_a_lowered_limit_refuses_at_once_and_loses_no_token(office) -> None:
    keeper = await office.open({"tenant:acme": Quota(daily_tokens=10_000)})
    keeper.settle(await keeper.hold(ACME, 500), 500)
    keeper.set_limits({"tenant:acme": Quota(daily_tokens=600)})
    assert keeper.try_hold(ACME, 200) is None
    with pytest.raises(Refused) as refused:
        await keeper.hold(ACME, 200)
    assert (refused.value.reason, refused.value.used, refused.value.limit) == ("exceeded", 500, 600)
    keeper.settle(await keeper.hold(ACME, 100), 100)


async def test_midnight_begins_a_new_day_and_yesterdays_calls_stay_where_they_began(office, clock) -> None:
    keeper = await office.open({"tenant:acme": Quota(daily_tokens=1_000)})
    clock.now += 12 * 3600 - 0.1
    late = await keeper.hold(ACME, 1_000)
    assert keeper.room(ACME) == 0
    clock.now += 1
    assert keeper.room(ACME) == 1_000
    early = await keeper.hold(ACME, 1_000)
    keeper.settle(late, 800)
    keeper.settle(early, 30)
    day, month = keeper.accounts(ACME)
    assert (day.period, day.used, month.used) == ("2026-11-24", 30, 830)


# ---------------------------------------------------------------- alerts


async def test_every_threshold_fires_once_in_a_burst_and_never_again(office, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gateway.stores.pump.FLUSH_S", 0.02)
    keeper = await office.open({"tenant:acme": Quota(daily_tokens=1_000)})
    for _ in range(10):
        holds, _ = await burst(keeper, 5, 20)
        for hold in holds:
            keeper.settle(hold, 20)
        await flushed(keeper)
    alerts = [event for event in office.events if isinstance(event, Alert)]
    assert [(alert.threshold_percent, alert.level) for alert in alerts] == [
        (75, "warning"),
        (90, "critical"),
        (100, "exceeded"),
    ]
    assert keeper.alerts() == alerts[::-1]
    assert keeper.alerts(("tenant:acme/*",)) == []
    assert keeper.alerts(("tenant:acme",)) == alerts[::-1]


async def test_an_alert_has_the_fields_of_the_api(office) -> None:
    keeper = await office.open({"tenant:acme": Quota(daily_tokens=1_000)})
    keeper.settle(await keeper.hold(ACME, 800), 800)
    await flushed(keeper)
    assert msgspec.to_builtins(keeper.alerts()) == [
        {
            "id": "tenant:acme|2026-11-23|75|1",
            "level": "warning",
            "thresholdPercent": 75,
            "scope": "tenant:acme",
            "period": "2026-11-23",
            "used": 800,
            "limit": 1_000,
            "at": 1_795_435_200,
        }
    ]


async def test_the_first_refusal_fires_the_hundred_percent_alert(office) -> None:
    keeper = await office.open({"tenant:acme": Quota(daily_tokens=1_000)})
    keeper.settle(await keeper.hold(ACME, 700), 700)
    for _ in range(3):
        with pytest.raises(Refused):
            await keeper.hold(ACME, 400)
    async with asyncio.timeout(FLUSHED_S):
        while not keeper.alerts():
            await asyncio.sleep(0.01)
    assert [alert.threshold_percent for alert in keeper.alerts()] == [100]
    assert keeper.counts["refused_exceeded"] == 3


async def test_alerts_survive_a_restart_and_do_not_fire_again(office) -> None:
    quotas = {"tenant:acme": Quota(daily_tokens=1_000)}
    keeper = await office.open(quotas)
    keeper.settle(await keeper.hold(ACME, 950), 950)
    await office.close(keeper)
    keeper = await office.open(quotas)
    assert [alert.threshold_percent for alert in keeper.alerts()] == [90, 75]
    keeper.settle(await keeper.hold(ACME, 40), 40)
    await flushed(keeper)
    assert len(keeper.alerts()) == 2


async def test_alerts_fire_again_after_a_reset(office) -> None:
    keeper = await office.open({"tenant:acme": Quota(daily_tokens=1_000)})
    for _ in range(2):
        keeper.settle(await keeper.hold(ACME, 800), 800)
        await keeper.reset(ACME)
    assert [alert.id for alert in keeper.alerts()] == ["tenant:acme|2026-11-23|75|2", "tenant:acme|2026-11-23|75|1"]


async def test_webhooks_wait_in_the_outbox_until_they_are_delivered(office) -> None:
    settings = Alerts(thresholds_percent=[50], webhook_url="http://127.0.0.1:9/")
    quotas = {"tenant:acme": Quota(daily_tokens=1_000)}
    keeper = await office.open(quotas, settings)
    keeper.settle(await keeper.hold(ACME, 500), 500)
    await office.close(keeper)
    keeper = await office.open(quotas, settings)
    (alert,) = await keeper.pending_webhooks()
    assert (alert.id, alert.level) == ("tenant:acme|2026-11-23|50|1", "warning")
    await keeper.mark_delivered(alert.id)
    assert await keeper.pending_webhooks() == []


# ---------------------------------------------------------------- restart


async def test_after_a_clean_close_the_figures_are_the_same(office) -> None:
    quotas = {
        "tenant:acme": Quota(daily_tokens=50_000, monthly_tokens=10**6),
        "provider:openai": Quota(daily_tokens=9_999),
    }
    keeper = await office.open(quotas)
    for used in (17, 230, 4):
        keeper.settle(await keeper.hold(CALL, 300), used)
    before = [(view.scope, view.period, view.used, view.remaining) for view in keeper.accounts()]
    await office.close(keeper)
    keeper = await office.open(quotas)
    assert [(view.scope, view.period, view.used, view.remaining) for view in keeper.accounts()] == before
    assert all(view.leased == 0 for view in keeper.accounts())
    assert keeper.room(ACME) == 50_000 - 251


async def test_what_calls_still_hold_when_the_keeper_closes_is_charged(office) -> None:
    quotas = {"tenant:acme": Quota(daily_tokens=1_000)}
    keeper = await office.open(quotas)
    await keeper.hold(ACME, 400)
    await office.close(keeper)
    assert (await office.open(quotas)).accounts(ACME)[0].used == 400


async def test_a_limit_that_changed_while_the_gateway_was_down_holds_after_the_start(office) -> None:
    keeper = await office.open({"tenant:acme": Quota(daily_tokens=1_000)})
    keeper.settle(await keeper.hold(ACME, 600), 600)
    await office.close(keeper)
    keeper = await office.open({"tenant:acme": Quota(daily_tokens=700)})
    assert keeper.room(ACME) == 100
    holds = [await keeper.hold(ACME, 50), await keeper.hold(ACME, 50)]
    with pytest.raises(Refused):
        await keeper.hold(ACME, 1)
    for hold in holds:
        keeper.settle(hold, 50)


async def test_idle_lease_goes_back_by_itself(office, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gateway.stores.pump.SWEEP_S", 0.05)
    keeper = await office.open({"tenant:acme": Quota(daily_tokens=10_000)})
    keeper.settle(await keeper.hold(ACME, 500), 100)
    async with asyncio.timeout(FLUSHED_S):
        while keeper.accounts(ACME)[0].leased:
            await asyncio.sleep(0.02)
    assert keeper.room(ACME) == 9_900


async def test_a_keeper_that_closed_refuses(office) -> None:
    keeper = await office.open({"tenant:acme": Quota(daily_tokens=1_000)})
    await office.close(keeper)
    with pytest.raises(Refused) as refused:
        await keeper.hold(ACME, 10)
    assert refused.value.code == "store_unavailable"
