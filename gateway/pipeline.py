"""READ THIS FIRST: one call, from admission to settlement.

    plan      who may answer, best first                          core.routing, Routes.plan
    hold      tokens and money of tenant and provider, one step   stores.keeper
    admit     the tenant's rate limits                            core.limits
    send      one provider, one transfer                          outgoing.py, attempt.py
    judge     what a failure means: breaker, cool-down, next      outcome.py, core.retry
    settle    always: the hold becomes what was really used; metrics and the access line

Rule 1: every surface goes through here, and `settle` runs whatever happens, the client's disappearance included.
Rule 2: another provider is tried before the same one again: it costs no waiting and does not hit what just failed.
Rule 3: a client's own mistake is never tried elsewhere; it would only fail again and cost again.
Rule 4: what need not wait does not wait: a call that finds room and a connection awaits nothing but its answer.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Callable
from functools import partial

from msgspec import Struct

from gateway import warming
from gateway.attempt import Attempt
from gateway.call import Call, Outlet
from gateway.core import retry
from gateway.core.charge import LEAST_CAP
from gateway.core.ledger_rows import MICROUSD
from gateway.core.ledger_views import Refused
from gateway.core.verdict import Skip, SkipKind, nobody_left, refused
from gateway.core.wallet import Cost, Hold
from gateway.counted import Counts
from gateway.deployment import Closed, Deployment
from gateway.errors import (
    Fault,
    GatewayError,
    InternalError,
    InvalidJson,
    InvalidRequest,
    Next,
    RequestTooLarge,
    UnsupportedParameter,
)
from gateway.outcome import Outcome
from gateway.outgoing import picked, prepare
from gateway.recorder import Recorder
from gateway.replay import Replay
from gateway.routes import Choice, Routes
from gateway.stores.keeper import Keeper
from gateway.streaming import Stream
from gateway.types import BadRequest, Continue, Notes, Unsupported
from gateway.upstream.client import Upstream
from gateway.upstream.request import UpstreamRequest, header_lines
from gateway.upstream.transfer import Transfer

DEADLINE = Fault(kind="deadline", next=Next.STOP)
STOPPING = Fault(kind="stopping", next=Next.STOP, safe_message="The gateway is shutting down.", retry_after_s=1.0)
WAIT_S = 0.3  # for room that calls in flight hold


class Pipeline:
    """What all calls share. `routes` is swapped as a whole on reload; a call keeps the one it began with."""

    def __init__(
        self,
        routes: Routes,
        upstream: Upstream,
        keeper: Keeper,
        recorder: Recorder,
        replay: Replay,
        clock: Callable[[], float] = time.monotonic,
        wall: Callable[[], float] = time.time,
    ) -> None:
        self.routes = routes
        self.upstream = upstream
        self.keeper = keeper
        self.recorder = recorder
        self.replay = replay
        self.clock = clock
        self.wall = wall
        self.live: set[Attempt] = set()
        self.counts = Counts(upstream, clock)
        self.stopped = False

    def resend(self, sink: Attempt, deployment: Deployment, head: bytes, again: Continue) -> Transfer:
        """Ask for the rest of an answer that its vendor broke off: same place, same credential."""
        lines = header_lines(again.headers)
        request = UpstreamRequest(deployment.origin, head + lines, again.body, deployment.settings.timeouts)
        return self.upstream.send(request, sink)

    def stop_all(self) -> None:
        """The drain is over: end what still runs with an error the client can see, and begin nothing more."""
        self.stopped = True
        for attempt in list(self.live):
            attempt.stop(STOPPING)


class Begun(Struct, frozen=True):
    """A first attempt that somebody else made as `Run` would have (web.express), and how it ended.

    `hold` of `want` tokens was admitted by the tenant's limits; the plan is that of `routes`, and its first candidate was tried.
    """

    attempt: Attempt
    routes: Routes
    hold: Hold
    bound: int
    want: int
    ticket: int
    at: float  # when it was sent, monotonic seconds
    notes: Notes | None = None  # of the translation


class Run(Outcome):
    """One call on its way. Lives as long as the call."""

    __slots__ = ("_p", "_timer")

    def __init__(self, pipeline: Pipeline, call: Call, outlet: Outlet) -> None:
        super().__init__(
            pipeline.keeper, pipeline.recorder, pipeline.replay, pipeline.clock, pipeline.routes, call, outlet
        )
        self._p = pipeline
        self._timer: asyncio.TimerHandle | None = None  # of the client's own deadline

    async def run(self, begun: Begun | None = None) -> None:
        """Answer the call, from its beginning or from the end of a first attempt."""
        try:
            if begun is not None:
                self._take_over(begun)
            await self._try_all(self._routes.plan(self._call), begun)
        except GatewayError as error:
            self._refuse(error)
        except BadRequest as bad:
            kind = InvalidJson if bad.code == "invalid_json" else InvalidRequest
            self._refuse(kind(bad.message, param=bad.param, code=bad.code))
        except asyncio.CancelledError:
            ended = "client_gone" if self._outlet.gone else "cancelled"
            self._trail.outcome, self._trail.status = self._trail.outcome or ended, self._trail.status or 499
            raise
        except Exception as bug:  # border: a bug of ours must not take the connection down or leave a hold
            self._p.recorder.bug(self._call.id, bug)
            self._refuse(InternalError("The gateway failed on this request. It has been logged; please report the id."))
        finally:
            self._settle()

    # ------------------------------------------------------------ candidates

    def _take_over(self, begun: Begun) -> None:
        self._routes, self._hold, self._admitted = begun.routes, begun.hold, True
        self._want, self._ticket = begun.want, begun.ticket
        self._bound = self._input = begun.bound
        self._trail.notes = begun.notes
        begun.attempt.belongs_to(self._outlet, self._trail)

    async def _try_all(self, plan: list[Choice], begun: Begun | None) -> None:
        fallback, trail = self._routes.fallback, self._trail
        limit = fallback.max_attempts if fallback.enabled else 1
        again: list[tuple[Choice, float]] = []
        for choice in plan if fallback.enabled else plan[:1]:
            if begun is not None:
                fault, begun = self._judge_begun(choice, begun), None
            elif trail.attempts >= limit:
                break
            elif not self._fits(choice):
                continue
            else:
                fault = await self._try(choice)
            while fault is not None and self._has_other_key(choice, fault) and trail.attempts < limit:
                fault = await self._try(choice)
            if self._mending is not None:
                choice, self._mending = self._mending, None
                fault = await self._try(choice)
            if trail.outcome:
                return
            pause_s = retry.pause_s(fault, random.random()) if fault is not None and fallback.enabled else None
            if pause_s is not None:
                again.append((choice, pause_s))
        for choice, pause_s in again:
            if trail.attempts < limit and choice.deployment.budget.allow(self._p.clock()):
                await asyncio.sleep(min(pause_s, self._call.left_s(self._p.clock())))
                await self._try(choice)
                if trail.outcome:
                    return
        raise nobody_left(self._faults, self._skips, self._call.peek.model, self._trail.public())

    def _judge_begun(self, choice: Choice, begun: Begun) -> Fault | None:
        trail = self._trail
        trail.attempts, trail.provider, trail.model = 1, choice.deployment.name, choice.model
        return self._judge(choice, begun.attempt, begun.attempt.report, begun.at)

    def _answer_unasked(self, choice: Choice) -> None:
        """Only another vendor's cache was to be filled (warming.py): a request all the same, for the tenant's limits."""
        self._p.replay.request(self._call)  # a request that is none is refused as anywhere
        self._want = 0
        if not self._admitted:
            self._admit()
        self._trail.provider, self._trail.model = choice.deployment.name, choice.model
        warming.answer(self._outlet, self._trail)

    def _fits(self, choice: Choice) -> bool:
        """After a context overflow only an alias's later entry with a larger context is asked: the operator chose it for that."""
        if self._overflowed is None:
            return True
        fits = choice.alias and (choice.abilities.context or 0) > self._overflowed
        if not fits:
            self._skip(choice, "unsupported", "the request is longer than a model's context", None)
        return fits

    def _has_other_key(self, choice: Choice, fault: Fault) -> bool:
        """Whether it is only about the credential, and the provider has another one."""
        deployment, effect = choice.deployment, retry.EFFECT[fault.kind]
        if effect.other_key:
            # Once: the next provider has to have its attempt as well.
            tried = sum(step.provider == deployment.name for step in self._trail.steps)
            return tried == 1 and len(deployment.credentials) > 1
        return effect.cooldown is not None and deployment.usable_at() <= self._p.clock()

    async def _try(self, choice: Choice) -> Fault | None:
        """Try one candidate unless something speaks against it: its fault, or None. `trail.outcome` says when all is over."""
        deployment = choice.deployment
        if self._call.peek.warms and choice.passthrough is None:
            self._answer_unasked(choice)
            return None
        now = self._p.clock()
        may_be_over = self._trail.steps or self._p.stopped or self._call.terms.timeout_s is not None
        if may_be_over and self._is_over(now):
            return None
        if deployment.breaker.state(now) == "open":
            closed = deployment.closed(now)
            self._skip(choice, closed.kind, closed.reason, closed.wait_s)
            return None
        if not self._take(choice):
            has_room = await self._wait_for_room(choice)
            now = self._p.clock()
            if not has_room or self._is_over(now):
                return None
        if not self._admitted:
            self._admit()
        choice = picked(self._call, choice, self._p.replay)
        sink = self._send(choice, now)
        if sink is None:
            return None
        try:
            result = await sink
        except asyncio.CancelledError:
            result = sink.abandon()
            if not self._outlet.gone:
                deployment.breaker.neutral(self._ticket, self._p.clock())  # we are being stopped: nobody is to blame
                self._charge_failed(choice, result)
                raise
            # The door cancels us when its client leaves: an ending like any other.
        finally:
            self._outlet.on_gone(None)
            self._p.live.discard(sink)
            if self._timer is not None:
                self._timer.cancel()  # or the call would be kept until its deadline
        return self._judge(choice, sink, result, now)

    def _is_over(self, now: float) -> bool:
        """After a pause or a wait: whether the client left meanwhile. Raises when its time is up, or ours."""
        if self._outlet.gone:
            self._trail.outcome, self._trail.status = "client_gone", 499
            return True
        if self._p.stopped:
            raise self._ended_by(STOPPING)
        if self._call.left_s(now) <= 0:
            raise self._ended_by(DEADLINE)
        return False

    def _skip(self, choice: Choice, kind: SkipKind, reason: str, wait_s: float | None) -> None:
        self._skips.append(Skip(kind, wait_s))
        self._left = self._left or (choice.deployment.name, kind)
        self._trail.skip(choice.deployment.name, choice.model, choice.because, reason)

    # ------------------------------------------------------------ room

    async def _wait_for_room(self, choice: Choice) -> bool:
        """As _take, waiting for leases and for calls in flight. False: the provider's own quota has no room; skip it.

        No task stands in between: a hold that came in the moment of a cancellation would be lost in it.
        Raises when the tenant's quota has no room; but a budget that another candidate got by with only passes this one over.
        """
        deployment, tenant = choice.deployment, self._call.terms.tenant
        wait_s = min(WAIT_S, max(0.0, self._call.left_s(self._p.clock())))
        try:
            if self._hold is not None:
                await self._keeper.add_wait(self._hold, deployment.scopes(tenant), wait_s, self._cost(choice))
            else:
                scopes = deployment.call_scopes(tenant)
                less = partial(self._reserve_less, choice, scopes)
                self._hold = await self._keeper.hold(scopes, self._want, wait_s, less, self._cost(choice))
        except Refused as refusal:
            if refusal.reason == "reserved" and self._is_over(self._p.clock()):
                return False
            if refusal.reason == "unavailable" or ("provider:" not in refusal.scope and self._hold is None):
                raise refused(refusal, self._p.wall()) from None
            wait_s = max(0.0, refusal.reset_at - self._p.wall())
            kind: SkipKind = "tenant_quota" if refusal.scope.startswith("tenant:") else "provider_quota"
            what = "budget" if refusal.unit == MICROUSD else "quota"
            self._skip(choice, kind, f"{what} of {refusal.scope} {refusal.reason}", wait_s)
            return False
        return True

    async def _reserve_less(self, choice: Choice, scopes: tuple[str, ...]) -> tuple[int, Cost | None] | None:
        """There is no room for what the input can be at most: what to hold when it is known better, None when that is no less."""
        call, counts = self._call, self._p.counts
        if not self._reserve_as_learnt(choice, scopes):
            least = LEAST_CAP * call.peek.n if call.peek.max_tokens is None else call.peek.max_tokens * call.peek.n
            if counts.decides(call.terms.tenant, self._bound, least, self._keeper.room(scopes)):
                tokens = await counts.ask(choice, call, self._p.replay, self._routes.translation)
                if tokens is not None and tokens < self._input and self._reserve_for(tokens, choice, scopes):
                    counts.helped(call.terms.tenant)
        return (self._want, self._cost(choice)) if self._input < self._bound else None

    def _admit(self) -> None:
        terms = self._call.terms
        refusal = terms.limits.admit(self._p.clock(), self._want)
        if refusal is not None:
            self._p.recorder.limited(self._routes.tenant_label(terms.tenant), refusal.reason)
            raise refusal.error()
        self._admitted = True

    # ------------------------------------------------------------ one attempt

    def _send(self, choice: Choice, now: float) -> Attempt | None:
        """Write the request to the provider. None: the candidate was passed over."""
        p, call, trail, deployment = self._p, self._call, self._trail, choice.deployment
        if trail.steps:
            self._cap(choice)
        try:
            body, extra, sink = prepare(call, choice, self._routes.translation, p.replay, self._outlet, trail, p.clock)
        except Unsupported as unsupported:
            if not self._faults and not self._skips:
                told = call.terms.dialect.retold(unsupported, call.body)
                kind = RequestTooLarge if told.code == RequestTooLarge.code else UnsupportedParameter
                raise kind(told.message, param=told.param, code=told.code) from None
            self._drop(deployment)
            self._skip(choice, "unsupported", f"does not take {unsupported.param}", None)
            return None
        entry = deployment.enter(now)
        if isinstance(entry, Closed):
            self._drop(deployment)
            self._skip(choice, entry.kind, entry.reason, entry.wait_s)
            return None
        self._ticket, self._credential = entry
        if self._left is not None and self._left[0] != deployment.name:
            p.recorder.fallback(*self._left, deployment.name)
        self._left = None
        if isinstance(sink, Stream) and deployment.breaker.state(now) != "closed":
            sink.on_commit = partial(self._probe_passed, deployment, now)
        trail.attempts += 1
        trail.provider, trail.model = deployment.name, choice.model  # what a stream's headers will say
        if not trail.steps or all(step.provider != deployment.name for step in trail.steps):
            deployment.budget.note_call(now)  # its retries are a share of calls, not of calls and retries
        head = deployment.head(self._credential, choice.model, call.peek.stream, choice.dialect.name)
        request = UpstreamRequest(
            deployment.origin, head + extra if extra else head, body, deployment.settings.timeouts
        )
        p.live.add(sink)
        sink.resend = partial(p.resend, sink, deployment, head)
        sink.transfer = p.upstream.send(request, sink)
        self._outlet.on_gone(sink.client_left)
        if call.terms.timeout_s is not None:
            self._timer = asyncio.get_running_loop().call_later(call.left_s(now), sink.stop, DEADLINE)
        return sink

    def _probe_passed(self, deployment: Deployment, now: float) -> None:
        """A probe's stream has begun: the breaker closes, and what becomes of the stream is reported as of any other."""
        deployment.breaker.success(self._ticket, now)
        self._ticket = deployment.breaker.admit(now) or 0
