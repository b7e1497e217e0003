"""The figures of a proof, and whether all of them are as promised."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from msgspec import Struct, field

from bench.proving.fleet import LIMIT
from bench.proving.rounds import Found, strange
from gateway.core.ledger_rows import Account, AlertRow

THRESHOLDS = (75, 90, 100)
MOST_TRANSACTIONS = 10.0  # a second, by each process


class Figures(Struct):
    """Sums over all rounds. What must be 0 is listed in `faults`."""

    rounds: int = 0
    exact_rounds: int = 0  # of them: where the number admitted is known to the call
    calls: int = 0
    admitted: int = 0
    fitting: int = 0  # what the exact rounds should have admitted
    admitted_exactly: int = 0
    refused: int = 0
    left: int = 0
    kills: int = 0
    broken: int = 0
    slowest_decision_s: float = 0.0
    slowest_write_s: float = 0.0  # of the disk
    disk_waits: int = 0  # calls that got store_unavailable while the disk was slow
    served: dict[str, int] = field(default_factory=dict)  # tokens, by provider
    settled: dict[str, int] = field(default_factory=dict)
    orphaned: int = 0
    estimated: int = 0
    alerts: int = 0
    transactions_per_s: float = 0.0
    elapsed_s: float = 0.0
    # what must be 0
    overshoot_tokens: int = 0
    overadmitted: int = 0
    refused_with_room: int = 0
    lost_tokens: int = 0
    overcharged_tokens: int = 0
    reserved_after_quiet: int = 0
    leased_after_quiet: int = 0
    wrong_alerts: int = 0
    strange: Counter[str] = field(default_factory=Counter)

    def add(self, found: Found) -> None:
        """Take in a round."""
        codes = found.codes
        self.rounds += 1
        self.calls += codes.total()
        self.admitted += codes["ok"]
        self.refused += codes["quota_exceeded"] + codes["quota_reserved"]
        self.left += codes["left"]
        self.broken += codes["broken"]
        self.slowest_decision_s = max(self.slowest_decision_s, found.decided_s)
        self.slowest_write_s = max(self.slowest_write_s, found.disk_s)
        self.strange += strange(found)
        self.disk_waits += codes["store_unavailable"] - strange(found)["store_unavailable"]
        if found.missed is not None and found.over is not None:
            self.exact_rounds += 1
            self.fitting += min(found.plan.fit, codes.total())
            self.admitted_exactly += codes["ok"]
            self.refused_with_room += found.missed
            self.overadmitted += found.over

    def faults(self) -> list[str]:
        """What is not as promised, as lines."""
        names = (
            *("overshoot_tokens", "overadmitted", "refused_with_room", "lost_tokens", "overcharged_tokens"),
            *("reserved_after_quiet", "leased_after_quiet", "wrong_alerts"),
        )
        found = [f"{name} = {getattr(self, name)}" for name in names if getattr(self, name)]
        found += [f"{times} x {code}" for code, times in self.strange.items()]
        if self.transactions_per_s > MOST_TRANSACTIONS:
            found.append(f"{self.transactions_per_s:.1f} transactions a second")
        if not self.exact_rounds:
            found.append("no round was exact: the machine is too slow for the delay")
        return found


def compare(
    figures: Figures, accounts: Mapping[str, Account], served: Mapping[str, int], founds: Sequence[Found]
) -> None:
    """Hold the ledger against what was served; `founds` are all rounds so far."""
    tenants = {scope: row for scope, row in accounts.items() if scope.startswith("tenant:") and "/" not in scope}
    figures.overshoot_tokens = sum(max(0, row.settled - LIMIT) for row in tenants.values())
    figures.orphaned = sum(row.orphaned for row in tenants.values())
    figures.estimated = sum(row.estimated for row in tenants.values())
    figures.served = dict(served)
    figures.settled = {name: _settled(accounts, f"provider:{name}") for name in served}
    settled, known = sum(row.settled for row in tenants.values()), sum(served.values())
    figures.lost_tokens = max(0, known - settled)
    figures.lost_tokens += sum(max(0, tokens - figures.settled[name]) for name, tokens in served.items())
    figures.overcharged_tokens = max(0, settled - figures.orphaned - figures.estimated - known)
    for found in founds:
        row = accounts.get(f"tenant:{found.plan.tenant}")
        used = row.settled if row is not None else 0
        figures.lost_tokens += max(0, found.reported - used)
        if found.codes["quota_exceeded"] and used + found.plan.reserve <= LIMIT:
            figures.refused_with_room += found.codes["quota_exceeded"]


def _settled(accounts: Mapping[str, Account], scope: str) -> int:
    row = accounts.get(scope)
    return row.settled if row is not None else 0


def check_alerts(
    figures: Figures,
    accounts: Mapping[str, Account],
    rows: Sequence[AlertRow],
    told: Sequence[Mapping[str, Any]],
    founds: Sequence[Found],
) -> None:
    """Every crossing once in the ledger, and once in the logs; a process that was killed may have told nobody."""
    by_scope: dict[str, list[int]] = {}
    for row in rows:
        by_scope.setdefault(row.key.scope, []).append(row.threshold)
    tellings = Counter(event["alert"]["id"] for event in told)
    figures.alerts = len(rows)
    wrong = 0
    for found in founds:
        scope = f"tenant:{found.plan.tenant}"
        settled = _settled(accounts, scope)
        due = {threshold for threshold in THRESHOLDS if settled and settled * 100 >= threshold * LIMIT}
        fired = sorted(by_scope.get(scope, []))
        if found.codes["quota_exceeded"] and not (found.plan.kill and 100 not in fired):
            due |= {100}  # unless whoever refused was killed before the store knew
        wrong += fired != sorted(due)
    untold = sum(tellings[row.id] == 0 for row in rows)
    wrong += sum(times > 1 for times in tellings.values()) + max(0, untold - figures.kills)
    figures.wrong_alerts = wrong


def report(figures: Figures) -> str:
    """The verdict, as people read it."""
    lines = [
        f"rounds                      {figures.rounds:,}, {figures.exact_rounds:,} of them exact, in {figures.elapsed_s:,.0f} s",
        f"calls                       {figures.calls:,}: {figures.admitted:,} answered, {figures.refused:,} refused, {figures.left:,} hung up",
        f"admitted, of those that fit {figures.admitted_exactly:,} of {figures.fitting:,} (exact rounds)",
        f"processes killed            {figures.kills:,}, breaking {figures.broken:,} calls",
        f"overshoot, tokens           {figures.overshoot_tokens:,}, and {figures.overadmitted:,} calls too many",
        f"refused with room left      {figures.refused_with_room:,}",
        f"slowest decision            {figures.slowest_decision_s:.2f} s",
        f"slowest write to the disk   {figures.slowest_write_s:.2f} s; store_unavailable meanwhile {figures.disk_waits:,}",
        f"served, tokens              {sum(figures.served.values()):,} {figures.served}",
        f"settled, tokens             {sum(figures.settled.values()):,} {figures.settled} (with what was leased by the dead)",
        f"lost, tokens                {figures.lost_tokens:,}",
        f"tenants: orphaned {figures.orphaned:,}, estimated {figures.estimated:,}, charged beyond both {figures.overcharged_tokens:,}",
        f"reserved after 2 s of quiet {figures.reserved_after_quiet:,}; leased a little later {figures.leased_after_quiet:,}",
        f"alerts                      {figures.alerts:,}, {figures.wrong_alerts:,} wrong",
        f"store transactions          {figures.transactions_per_s:.2f} a second and process",
    ]
    faults = figures.faults()
    verdict = "PROVED" if not faults else "NOT AS PROMISED: " + "; ".join(faults)
    return "\n".join((*lines, "", verdict))
