"""What every quota store promises to operators: figures, limits, midnight, alerts, restarts; run over each driver."""

from __future__ import annotations

import asyncio

import msgspec
import pytest
from quota_story import ACME, CALL, burst, flushed, until

from gateway.core.ledger_views import Alert, Refused
from gateway.settings import Alerts, Quota

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
    assert keeper.counts["overdrafts"] == 1


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
    await until(keeper.alerts)
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
    await until(lambda: not keeper.accounts(ACME)[0].leased)
    assert keeper.room(ACME) == 9_900


async def test_a_keeper_that_closed_refuses(office) -> None:
    keeper = await office.open({"tenant:acme": Quota(daily_tokens=1_000)})
    await office.close(keeper)
    with pytest.raises(Refused) as refused:
        await keeper.hold(ACME, 10)
    assert refused.value.code == "store_unavailable"
