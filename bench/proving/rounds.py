"""The rounds of a proof: what a crowd asks at once, and what must come of it.

Rule 1: every round has a tenant of its own, so its account begins at 0 and tells of this round alone.
Rule 2: all calls of a round reserve the same number of tokens, so a limit admits exactly `fit` of them side by side.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Sequence

from msgspec import Struct, json

from bench.proving.crowd import BROKEN, LEFT, Answer, Ask, request
from bench.proving.disk import SLOW_S
from bench.proving.fleet import LIMIT, MODELS
from gateway.core.tokens import input_bound

KINDS = ("held", "flow", "leaving", "lines")
# Tokens of a call: 50, 30, 80, 10, 68, 4 and 1 of them fit. What is left beside them is less than a call's output limit, or it would
# hold one more whose input is counted as such texts were seen to cost.
RESERVES = (600, 1000, 375, 2999, 440, 7001, 29_999)
LEAVE_S = 0.15  # whoever hangs up does so within this time
LEAVERS = 0.4
ON_A_LINE = 5  # calls one after the other on a kept connection
REFUSED = ("quota_exceeded", "quota_reserved")


class Plan(Struct):
    """One round. `held`: the upstream answers nothing before everybody was admitted or refused."""

    number: int
    kind: str
    tenant: str
    reserve: int
    kill: bool = False

    @property
    def fit(self) -> int:
        """How many such calls the limit admits side by side."""
        return LIMIT // self.reserve


class Found(Struct):
    """What a round showed. `missed`, `over`: calls refused though they fitted, admitted though they did not; None: cannot be told."""

    plan: Plan
    codes: Counter[str]
    missed: int | None = None
    over: int | None = None
    reported: int = 0  # tokens, by the answers themselves
    decided_s: float = 0.0  # until the last refusal
    disk_s: float = 0.0  # the longest that the disk took for a write
    told: str = ""  # by the first strange answer


def plan_of(number: int, run: str, kill: bool) -> Plan:
    """The round with this number."""
    kind = KINDS[number % len(KINDS)]
    return Plan(number, kind, f"{run}-{number}", RESERVES[number // len(KINDS) % len(RESERVES)], kill)


def may_kill(rounds: int) -> list[int]:
    """The rounds in which a process may be killed: those whose outcome need not be exact to the call."""
    return [number for number in range(rounds) if KINDS[number % len(KINDS)] != "held"]


def body(model: str, stream: bool, reserve: int, text: str) -> bytes:
    """A chat that reserves exactly so many tokens."""
    asked = {"model": model, "messages": [{"role": "user", "content": text}], "max_completion_tokens": 1000}
    if stream:
        asked |= {"stream": True, "stream_options": {"include_usage": True}}
    for _ in range(2):  # the number's own length is part of the body
        asked["max_completion_tokens"] += reserve - input_bound(json.encode(asked)) - asked["max_completion_tokens"]
    written = json.encode(asked)
    assert input_bound(written) + asked["max_completion_tokens"] == reserve, (reserve, written)
    assert LIMIT % reserve < asked["max_completion_tokens"], (reserve, written)
    return written


def asks(plan: Plan, calls: int, ports: Sequence[int], token: str, dice: random.Random) -> list[list[Ask]]:
    """What each connection sends: JSON and streams, one vendor's dialect passed through and one translated."""
    keep = plan.kind == "lines"
    words = "tell me " * (12 if plan.reserve > 400 else 4)

    def ask(number: int) -> Ask:
        model, stream = MODELS[number // 2 % 2], bool(number % 2) and not keep
        leaves = plan.kind == "leaving" and dice.random() < LEAVERS
        wire = request(ports[0], plan.tenant, token, body(model, stream, plan.reserve, words), keep)
        return Ask(wire, stream, dice.uniform(0.0, LEAVE_S) if leaves else None)

    if keep:
        return [[ask(number)] * ON_A_LINE for number in range(calls // ON_A_LINE)]
    return [[ask(number)] for number in range(calls)]


def judge(plan: Plan, answers: Sequence[Answer], began_at: float, disk_s: float = 0.0) -> Found:
    """What can be said of a round from its answers alone."""
    codes = Counter(answer.code for answer in answers)
    refusals = [answer.ended_at for answer in answers if answer.code in REFUSED]
    found = Found(plan, codes, disk_s=disk_s, reported=sum(answer.tokens for answer in answers))
    found.told = next((answer.told for answer in answers if answer.told), "")
    found.decided_s = max(refusals, default=began_at) - began_at
    if plan.kind != "held" or "store_unavailable" in codes:
        return found
    served = [answer.first_at for answer in answers if answer.code == "ok"]
    if max(refusals, default=0.0) < min(served, default=float("inf")):  # nobody ended before all were decided
        fitting = min(plan.fit, len(answers))
        found.missed = max(0, fitting - len(served))
        found.over = max(0, len(served) - fitting)
    return found


def strange(found: Found) -> Counter[str]:
    """Codes that nobody should have got."""
    fine = {"ok", *REFUSED, LEFT} | ({BROKEN} if found.plan.kill else set())
    if found.plan.kind == "held":
        fine.discard("quota_exceeded")  # nothing was used yet
    if found.disk_s > SLOW_S:
        fine.add("store_unavailable")
    return Counter({code: times for code, times in found.codes.items() if code not in fine})
