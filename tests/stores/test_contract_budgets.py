"""What every quota store promises of money as of tokens: a call holds both in one step, and each is exact. Run over each driver."""

from __future__ import annotations

import asyncio
from decimal import Decimal

import msgspec
import pytest
from quota_story import ACME, CALL, burst, flushed, until

from gateway.core.ledger_commands import Arrive, Ask, Open, Orphan, Sync
from gateway.core.ledger_rows import MICROUSD, Key, Process
from gateway.core.ledger_views import AccountView, Refused
from gateway.core.wallet import Cost
from gateway.settings import Alerts, Budget, Quota
from gateway.stores.keeper import Keeper
from gateway.stores.processes import this_process

FIVE = {"tenant:acme": Budget(daily_usd=Decimal("5"), monthly_usd=Decimal("100"))}


def dollars(text: str, *scopes: str) -> Cost:
    return Cost(int(Decimal(text) * 10**6), scopes or ACME)


def money(keeper: Keeper, scope: str = "tenant:acme") -> AccountView:
    """The day's account of a scope in money."""
    return next(view for view in keeper.accounts([scope]) if view.unit == MICROUSD)


# ---------------------------------------------------------------- exactness


@pytest.mark.parametrize(("cost", "fit"), [("0.15", 33), ("5.000001", 0), ("5", 1), ("0.025", 200)])
async def test_a_burst_admits_exactly_what_the_budget_pays(office, cost: str, fit: int) -> None:
    keeper = await office.open({}, budgets=FIVE)
    one = dollars(cost)
    holds, refusals = await burst(keeper, 200, 300, wait_s=0.05, cost=one)
    assert (len(holds), len(refusals)) == (fit, 200 - fit)
    assert keeper.room(ACME, MICROUSD) == 5_000_000 - one.microusd * fit
    assert {refusal.unit for refusal in refusals} <= {MICROUSD}
    for hold in holds:
        keeper.settle(hold, 300, spent=one.microusd)
    assert money(keeper).used == one.microusd * fit
    assert keeper.accounts(ACME)[0].used == 300 * fit


@pytest.mark.parametrize(("tokens", "usd", "short"), [(900, "1", "tokens"), (9_000, "0.2", MICROUSD)])
async def test_a_call_holds_tokens_and_money_or_nothing(office, tokens: int, usd: str, short: str) -> None:
    keeper = await office.open(
        {"tenant:acme": Quota(daily_tokens=tokens)}, budgets={"tenant:acme": Budget(daily_usd=Decimal(usd))}
    )
    holds, refusals = await burst(keeper, 10, 300, wait_s=0.02, cost=dollars("0.1"))
    assert len(holds) == (3 if short == "tokens" else 2)
    assert {refusal.unit for refusal in refusals} == {short}
    for hold in holds:
        keeper.settle(hold, 0)
    assert keeper.room(ACME) == tokens
    assert keeper.room(ACME, MICROUSD) == int(Decimal(usd) * 10**6)


async def test_two_keepers_share_one_budget_to_the_last_micro_dollar(office) -> None:
    budgets = {"tenant:acme": Budget(daily_usd=Decimal("0.600001"))}
    keepers = [await office.open({}, budgets=budgets), await office.open({}, budgets=budgets)]
    cost = dollars("0.03")
    outcomes = await asyncio.gather(*(burst(keeper, 50, 300, wait_s=1.0, cost=cost) for keeper in keepers))
    assert sum(len(holds) for holds, _ in outcomes) == 20
    for keeper, (holds, _) in zip(keepers, outcomes, strict=True):
        for hold in holds:
            keeper.settle(hold, 300, spent=30_000)
        await flushed(keeper)
    keepers[0].settle(await keepers[0].hold(ACME, 1, 0.3, None, dollars("0.000001")), 1, spent=1)
    with pytest.raises(Refused, match=r"0\.600001 USD of 0\.600001 USD are spent"):
        await keepers[0].hold(ACME, 1, 0.3, None, dollars("0.000001"))


async def test_who_waits_for_money_gets_what_a_call_in_flight_gives_back(office) -> None:
    keeper = await office.open({}, budgets={"tenant:acme": Budget(daily_usd=Decimal("0.001"))})
    first = await keeper.hold(ACME, 10, 0.3, None, dollars("0.0009"))
    waiting = asyncio.create_task(keeper.hold(ACME, 10, 2.0, None, dollars("0.0005")))
    await asyncio.sleep(0.05)
    assert not waiting.done()
    keeper.settle(first, 10, spent=100)
    second = await waiting
    keeper.settle(second, 10, spent=500)
    assert money(keeper).used == 600


async def test_a_waiter_that_is_cancelled_leaves_no_money_behind(office) -> None:
    keeper = await office.open({}, budgets={"tenant:acme": Budget(daily_usd=Decimal("0.001"))})
    waiting = [asyncio.create_task(keeper.hold(ACME, 10, 0.3, None, dollars("0.0003"))) for _ in range(3)]
    await asyncio.sleep(0)
    for task in waiting:
        task.cancel()
    await asyncio.wait(waiting)
    await flushed(keeper)
    assert money(keeper).reserved == 0
    keeper.settle(await keeper.hold(ACME, 10, 0.3, None, dollars("0.001")), 0)


# ---------------------------------------------------------------- another candidate


async def test_another_candidate_holds_its_own_price_once_the_first_is_paid(office) -> None:
    budgets = {
        **FIVE,
        "provider:openai": Budget(daily_usd=Decimal("1")),
        "provider:gemini": Budget(daily_usd=Decimal("4")),
    }
    keeper = await office.open({}, budgets=budgets)
    hold = await keeper.hold(
        ("tenant:acme", "provider:openai"), 400, 0.3, None, dollars("1", "tenant:acme", "provider:openai")
    )
    keeper.drop(hold, ("provider:openai",), used=7, spent=20_000)
    assert [money(keeper, scope).reserved for scope in ("tenant:acme", "provider:openai")] == [0, 0]
    dearer = dollars("4", "tenant:acme", "provider:gemini")
    assert not keeper.add(hold, ("provider:gemini",), dearer)
    await keeper.add_wait(hold, ("provider:gemini",), 0.3, dearer)
    assert [money(keeper, scope).reserved for scope in ("tenant:acme", "provider:gemini")] == [4_000_000] * 2
    keeper.settle(hold, {"tenant:acme": 107, "provider:gemini": 100}, spent=3_000_000)
    used = [money(keeper, scope).used for scope in ("tenant:acme", "provider:openai", "provider:gemini")]
    assert used == [3_020_000, 20_000, 3_000_000]


async def test_a_candidate_too_dear_is_refused_and_the_hold_stays_as_it_was(office) -> None:
    keeper = await office.open({"tenant:acme": Quota(daily_tokens=1_000)}, budgets=FIVE)
    hold = await keeper.hold(ACME, 400, 0.3, None, dollars("1"))
    keeper.drop(hold, (), spent=0)
    with pytest.raises(Refused, match=r"is 5\.00 USD and this request may cost 6\.00 USD") as refused:
        await keeper.add_wait(hold, ("provider:gemini",), 0.02, dollars("6"))
    assert (refused.value.reason, refused.value.code, refused.value.unit) == ("too_large", "quota_exceeded", MICROUSD)
    assert hold.money is None
    assert hold.scopes == ACME
    keeper.settle(hold, 400)
    await flushed(keeper)
    assert (keeper.accounts(ACME)[0].used, money(keeper).used) == (400, 0)
    assert keeper.alerts() == [], "the call went on to another candidate, and the budget is not spent"


# ---------------------------------------------------------------- figures


async def test_more_than_was_reserved_is_charged_in_full_and_shown(office) -> None:
    keeper = await office.open({}, budgets={"tenant:acme": Budget(daily_usd=Decimal("0.001"))})
    keeper.settle(await keeper.hold(ACME, 10, 0.3, None, dollars("0.0009")), 10, spent=1_200, estimated=True)
    view = money(keeper)
    assert (view.used, view.overdraft, view.remaining, view.limit, view.unit) == (1_200, 200, 0, 1_000, "microusd")
    assert keeper.counts["overdrafts"] == 1
    with pytest.raises(Refused):
        await keeper.hold(ACME, 10, 0.3, None, dollars("0.000001"))


async def test_calls_without_a_price_are_let_in_where_the_money_is_spent(office) -> None:
    keeper = await office.open({}, budgets={"tenant:acme": Budget(daily_usd=Decimal(0))})
    with pytest.raises(Refused):
        await keeper.hold(ACME, 10, 0.3, None, dollars("0.000001"))
    keeper.settle(await keeper.hold(ACME, 10), 10)
    assert (keeper.accounts(ACME)[0].used, money(keeper).used) == (10, 0)


async def test_money_is_counted_where_there_is_a_budget_only(office) -> None:
    keeper = await office.open({}, budgets=FIVE)
    keeper.settle(await keeper.hold(CALL, 10, 0.3, None, dollars("1")), 10, spent=500)
    shown = {(view.scope, view.unit) for view in keeper.accounts()}
    assert shown == {(scope, "tokens") for scope in CALL} | {("tenant:acme", MICROUSD)}


async def test_a_lower_budget_holds_from_the_next_call_on_and_loses_nothing(office) -> None:
    keeper = await office.open({}, budgets=FIVE)
    running = await keeper.hold(ACME, 10, 0.3, None, dollars("1"))
    keeper.settle(await keeper.hold(ACME, 10, 0.3, None, dollars("1")), 10, spent=999_999)
    keeper.set_limits({}, {"tenant:acme": Budget(daily_usd=Decimal("2"))})
    with pytest.raises(Refused) as refused:
        await keeper.hold(ACME, 10, 0.02, None, dollars("0.1"))
    assert (refused.value.reason, refused.value.limit) == ("reserved", 2_000_000)
    keeper.settle(running, 10, spent=900_000)
    keeper.settle(await keeper.hold(ACME, 10, 0.3, None, dollars("0.100001")), 10, spent=100_001)
    assert (money(keeper).used, money(keeper).remaining) == (2_000_000, 0)
    keeper.set_limits({}, FIVE)
    keeper.settle(await keeper.hold(ACME, 10, 0.3, None, dollars("3")), 10, spent=3_000_000)
    assert (money(keeper).used, money(keeper).limit, money(keeper).remaining) == (5_000_000, 5_000_000, 0)


async def test_a_budget_that_is_taken_away_is_counted_to_the_end_of_its_period(office) -> None:
    keeper = await office.open({}, budgets=FIVE)
    running = await keeper.hold(ACME, 10, 0.3, None, dollars("1"))
    keeper.set_limits({}, {})
    keeper.settle(running, 10, spent=700_000)
    await flushed(keeper)
    view = money(keeper)
    assert (view.used, view.limit, view.reserved) == (700_000, None, 0)


async def test_money_survives_a_restart_and_a_new_day_begins_at_zero(office, clock) -> None:
    keeper = await office.open({}, budgets=FIVE)
    keeper.settle(await keeper.hold(ACME, 10, 0.3, None, dollars("1")), 10, spent=123_456)
    await office.close(keeper)
    again = await office.open({}, budgets=FIVE)
    assert (money(again).used, money(again).leased) == (123_456, 0)
    clock.now += 86_400
    day, month = [view for view in again.accounts(ACME) if view.unit == MICROUSD]
    assert (day.used, month.used) == (0, 123_456)


async def test_an_operator_resets_money_tokens_or_both(office) -> None:
    keeper = await office.open({"tenant:acme": Quota(daily_tokens=1_000)}, budgets=FIVE)
    keeper.settle(await keeper.hold(ACME, 10, 0.3, None, dollars("1")), 10, spent=5_000)
    before = await keeper.reset(ACME, ("daily",), "by hand", (MICROUSD,))
    assert [(view.unit, view.window, view.used) for view in before] == [(MICROUSD, "daily", 5_000)]
    assert (keeper.accounts(ACME)[0].used, money(keeper).used) == (10, 0)
    assert {view.unit for view in await keeper.reset(ACME)} == {"tokens", MICROUSD}
    assert {view.used for view in keeper.accounts(ACME)} == {0}


# ---------------------------------------------------------------- alerts


async def test_tokens_and_money_of_one_scope_raise_alerts_of_their_own(office) -> None:
    alerts = Alerts(webhook_url="http://127.0.0.1:1/hook")
    keeper = await office.open(
        {"tenant:acme": Quota(daily_tokens=1_000)}, alerts, {"tenant:acme": Budget(daily_usd=Decimal("0.001"))}
    )
    keeper.settle(await keeper.hold(ACME, 800, 0.3, None, dollars("0.0008")), 800, spent=800)
    await until(lambda: len(keeper.alerts()) == 2)
    tokens, micro = sorted(keeper.alerts(), key=lambda alert: len(alert.id))
    assert (tokens.id, micro.id) == ("tenant:acme|2026-11-23|75|1", "tenant:acme|2026-11-23|75|1|microusd")
    assert "unit" not in msgspec.to_builtins(tokens)
    assert msgspec.to_builtins(micro)["unit"] == "microusd"
    assert {alert.id for alert in await keeper.pending_webhooks()} == {tokens.id, micro.id}
    await keeper.mark_delivered(tokens.id)
    assert [alert.id for alert in await keeper.pending_webhooks()] == [micro.id]
    await keeper.mark_delivered(micro.id)
    assert await keeper.pending_webhooks() == []


async def test_the_first_refusal_for_money_fires_its_last_alert(office) -> None:
    keeper = await office.open({}, budgets={"tenant:acme": Budget(daily_usd=Decimal("0.001"))})
    keeper.settle(await keeper.hold(ACME, 1, 0.3, None, dollars("0.0005")), 1, spent=500)
    for _ in range(2):
        with pytest.raises(Refused):
            await keeper.hold(ACME, 1, 0.3, None, dollars("0.0006"))
    await until(lambda: keeper.alerts())
    await flushed(keeper)
    assert [alert.id for alert in keeper.alerts()] == ["tenant:acme|2026-11-23|100|1|microusd"]


@pytest.mark.parametrize("unit", ["tokens", MICROUSD])
async def test_a_request_larger_than_the_whole_limit_fires_the_alert_though_nothing_was_ever_leased(
    office, unit: str
) -> None:
    keeper = await office.open({"tenant:acme": Quota(daily_tokens=1_000)}, budgets=FIVE)
    with pytest.raises(Refused) as refused:
        await keeper.hold(ACME, *((1_001, 0.3, None, None) if unit == "tokens" else (1, 0.3, None, dollars("6"))))
    assert (refused.value.reason, refused.value.unit) == ("too_large", unit)
    await until(lambda: keeper.alerts())
    [alert] = keeper.alerts()
    assert (alert.threshold_percent, alert.used, alert.unit) == (100, 0, unit)


# ---------------------------------------------------------------- crashes


async def test_a_dead_process_is_charged_the_money_that_it_had_leased(office, monkeypatch) -> None:
    monkeypatch.setattr("gateway.stores.pump.BEAT_S", 0.05)
    keeper = await office.open({}, budgets=FIVE)
    me = this_process()
    died = Arrive(Process(me.boot, me.space, me.pid, me.started - 1))
    key = Key("tenant:acme", MICROUSD, "2026-11-23")
    ops = (died, Open(key, 5_000_000), Ask(key, 300_000, 300_000))
    await keeper._pump.store.run(Sync("died", 1, ops), office.clock())
    keeper.settle(await keeper.hold(ACME, 100, 0.3, None, dollars("1")), 100, spent=100_000)
    await until(lambda: money(keeper).used == 400_000)
    assert [event for event in office.events if isinstance(event, Orphan)] == [Orphan("died", key, 300_000)]
    assert keeper.counts["orphaned_microusd"] == 300_000
