"""READ THIS FIRST: one call, from admission to settlement.

    plan      who may answer, best first                          core.routing, Routes.plan
    reserve   tokens of the tenant and of the provider, one step  stores.keeper
    admit     the tenant's rate limits                            core.limits
    attempt   one provider, one transfer                          attempt.py
    judge     what a failure means: breaker, cool-down, next      core.retry
    settle    always: the hold becomes what was really used; metrics and the access line

Rule 1: every surface goes through here, and `settle` runs whatever happens, the client's disappearance included.
Rule 2: another provider is tried before the same one again: it costs no waiting and does not hit what just failed.
Rule 3: a client's own mistake is never tried elsewhere; it would only fail again and cost again.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Callable
from functools import partial
from typing import Any

from msgspec import structs

from gateway.attempt import Attempt, RelayedStream, Stream, TranslatedStream, WholeAnswer
from gateway.call import Call, Outlet, Result, Step, Trail
from gateway.core import retry
from gateway.core.charge import charge
from gateway.core.ledger_views import Refused
from gateway.core.limits import TenantLimits
from gateway.core.tokens import input_bound
from gateway.core.verdict import Skip, SkipKind, interrupted, nobody_left, refused
from gateway.core.wallet import Hold
from gateway.deployment import Deployment
from gateway.errors import Fault, GatewayError, InternalError, InvalidJson, InvalidRequest, Next, UnsupportedParameter
from gateway.recorder import Recorder
from gateway.routes import Choice, Routes
from gateway.stores.keeper import Keeper
from gateway.types import BadRequest, Change, Notes, Passthrough, Request, Target, Unsupported
from gateway.upstream.client import Upstream
from gateway.upstream.request import UpstreamRequest

DEADLINE = Fault(kind="deadline", next=Next.STOP)
STOPPING = Fault(kind="reset", next=Next.STOP, safe_message="The gateway is shutting down.")
DEFAULT_MAX_OUTPUT = 32_768  # of a model the catalogue knows nothing about


class Pipeline:
    """What all calls share. `routes` is swapped as a whole on reload; a call keeps the one it began with."""

    def __init__(
        self,
        routes: Routes,
        upstream: Upstream,
        keeper: Keeper,
        recorder: Recorder,
        clock: Callable[[], float] = time.monotonic,
        wall: Callable[[], float] = time.time,
    ) -> None:
        self.routes = routes
        self.upstream = upstream
        self.keeper = keeper
        self.recorder = recorder
        self.clock = clock
        self.wall = wall
        self.live: set[Attempt] = set()

    async def run(self, call: Call, outlet: Outlet) -> None:
        """Answer `call` through `outlet`. Never raises but for cancellation."""
        await _Run(self, call, outlet).run()

    def stop_all(self) -> None:
        """The drain is over: end what still runs with an error the client can see."""
        for attempt in list(self.live):
            attempt.stop(STOPPING)


class _Run:
    """One call on its way. Lives as long as the call."""

    __slots__ = ("_admitted", "_bound", "_call", "_faults", "_hold", "_left", "_outlet", "_p", "_routes", "_skips", "_trail", "_used", "_want")  # fmt: skip

    def __init__(self, pipeline: Pipeline, call: Call, outlet: Outlet) -> None:
        self._p = pipeline
        self._call = call
        self._outlet = outlet
        self._routes = pipeline.routes
        self._trail = Trail(stream=call.peek.stream)
        self._hold: Hold | None = None
        self._admitted: TenantLimits | None = None
        self._bound = 0  # upper bound of the input, in tokens
        self._want = 0  # what is reserved: the bound and the output cap
        self._used: dict[str, int] = {}  # scope -> tokens used by attempts that failed
        self._faults: list[Fault] = []
        self._skips: list[Skip] = []
        self._left: tuple[str, str] | None = None  # the provider that failed last, and how

    async def run(self) -> None:
        trail = self._trail
        try:
            await self._try_all(self._routes.plan(self._call))
        except GatewayError as error:
            self._refuse(error)
        except BadRequest as bad:
            kind = InvalidJson if bad.code == "invalid_json" else InvalidRequest
            self._refuse(kind(bad.message, param=bad.param, code=bad.code))
        except asyncio.CancelledError:
            trail.outcome = trail.outcome or "cancelled"
            raise
        except Exception as bug:  # border: a bug of ours must not take the connection down or leave a hold
            self._p.recorder.bug(self._call.id, bug)
            self._refuse(InternalError("The gateway failed on this request. It has been logged; please report the id."))
        finally:
            self._settle()

    # ------------------------------------------------------------ candidates

    async def _try_all(self, plan: list[Choice]) -> None:
        fallback = self._routes.fallback
        limit = fallback.max_attempts if fallback.enabled else 1
        again: list[Choice] = []
        for choice in plan if fallback.enabled else plan[:1]:
            if self._trail.attempts >= limit:
                break
            fault = await self._with_every_key(choice, limit)
            if fault is _ANSWERED:
                return
            if fault is not None and fault.next is Next.SAME and retry.EFFECT[fault.kind].cooldown is None:
                again.append(choice)
        if fallback.enabled:
            for choice in again:
                if self._trail.attempts >= limit or not choice.deployment.budget.allow(self._p.clock()):
                    continue
                await asyncio.sleep(retry.pause_s(0, random.random()))
                if await self._consider(choice) is _ANSWERED:
                    return
        raise nobody_left(self._faults, self._skips, self._call.peek.model, self._public_attempts())

    async def _with_every_key(self, choice: Choice, limit: int) -> Fault | None:
        """Try one candidate; where only its credential has to rest, go on with its next one at once. As _consider."""
        fault = await self._consider(choice)
        while fault is not None and fault is not _ANSWERED and retry.EFFECT[fault.kind].cooldown is not None:
            if self._trail.attempts >= limit or choice.deployment.usable_at() > self._p.clock():
                break
            fault = await self._consider(choice)
        return fault

    async def _consider(self, choice: Choice) -> Fault | None:
        """Try one candidate unless something speaks against it. _ANSWERED, the fault, or None when it was skipped."""
        deployment, now = choice.deployment, self._p.clock()
        if deployment.breaker.state(now) == "open":
            wait_s = deployment.breaker.retry_at(now)
            self._skip(choice, "breaker", f"circuit breaker open, next probe in {wait_s:.0f} s", wait_s)
            return None
        if not await self._reserve(choice):
            return None
        try:
            request, sink = self._prepare(choice)
        except Unsupported as unsupported:
            if not self._faults and not self._skips:
                raise _unsupported(unsupported) from None
            self._drop(deployment)
            self._skip(choice, "unsupported", f"does not take {unsupported.param}", None)
            return None
        return await self._attempt(choice, request, sink)

    def _skip(self, choice: Choice, kind: SkipKind, reason: str, wait_s: float | None) -> None:
        self._skips.append(Skip(kind, wait_s))
        self._trail.skip(choice.deployment.name, choice.model, choice.because, reason)

    async def _reserve(self, choice: Choice) -> bool:
        """Hold tokens for this candidate. False: its own quota has no room. Raises when the tenant's has none."""
        keeper, deployment, tenant = self._p.keeper, choice.deployment, self._call.tenant
        scopes = deployment.scopes(tenant)
        try:
            if self._hold is not None:
                if not keeper.add(self._hold, scopes):
                    await keeper.add_wait(self._hold, scopes)
                return True
            every = (f"tenant:{tenant}", *scopes)
            self._size(choice, every)
            self._hold = keeper.try_hold(every, self._want) or await keeper.hold(every, self._want)
        except Refused as refusal:
            if "provider:" not in refusal.scope or refusal.reason == "unavailable":
                raise refused(refusal, self._p.wall()) from None
            wait_s = max(0.0, refusal.reset_at - self._p.wall())
            kind: SkipKind = "tenant_quota" if refusal.scope.startswith("tenant:") else "provider_quota"
            self._skip(choice, kind, f"quota of {refusal.scope} {refusal.reason}", wait_s)
            return False
        self._admit()
        return True

    def _size(self, choice: Choice, scopes: tuple[str, ...]) -> None:
        """How many tokens to hold: the input's bound and the output cap; a cap of our own when room is short and none given."""
        peek = self._call.peek
        self._bound = input_bound(self._call.body)
        if peek.max_tokens is not None:
            self._want = self._bound + peek.max_tokens * peek.n
            return
        output = (choice.abilities.max_output or DEFAULT_MAX_OUTPUT) * peek.n
        room = self._p.keeper.room(scopes)
        if room is not None and room < 4 * (self._bound + output):
            left = max(1, room - self._bound)
            output = min(output, max(left // 4, min(left, 1024)))
            self._trail.clamped = max(1, output // peek.n)
        self._want = self._bound + output

    def _admit(self) -> None:
        limits = self._routes.limits_of(self._call.tenant)
        refusal = limits.admit(self._p.clock(), self._want)
        if refusal is not None:
            self._p.recorder.limited(self._routes.tenant_label(self._call.tenant), refusal.reason)
            raise refusal.error()
        self._admitted = limits

    # ------------------------------------------------------------ one attempt

    def _prepare(self, choice: Choice) -> tuple[UpstreamRequest, Attempt]:
        """The request's bytes and the sink of its answer, relayed or translated. Credential and head come later."""
        call, vendor, notes = self._call, choice.deployment.vendor, Notes(strict=self._call.strict)
        self._trail.notes = notes
        cap = self._trail.clamped
        warm = call.settings.default_temperature
        common = (vendor, self._outlet, self._trail, self._p.clock)
        sink: Attempt
        if choice.passthrough is not None:
            body, swallow = self._relayed_body(choice, choice.passthrough, cap, warm)
            extra = call.headers
            if call.peek.stream:
                sink = RelayedStream(*common, choice.passthrough, swallow)
            else:
                sink = WholeAnswer(*common, choice.passthrough, None)
        else:
            request = call.request()
            changes: dict[str, Any] = {}
            if cap is not None and request.max_tokens is None:
                changes["max_tokens"] = cap
            if warm is not None and request.temperature is None:
                changes["temperature"] = warm
            target = Target(choice.model, choice.abilities, self._routes.translation)
            written = vendor.dialect.write_request(_changed(request, changes), target, notes)
            body, extra = written.body, tuple(written.headers)
            sink = (
                TranslatedStream(*common, written.undo)
                if call.peek.stream
                else WholeAnswer(*common, None, written.undo)
            )
        head = (
            b"".join([f"{name}: {value}\r\n".encode("latin-1", "replace") for name, value in extra]) if extra else b""
        )
        if call.traceparent:
            head += b"traceparent: " + call.traceparent.encode("latin-1", "replace") + b"\r\n"
        return UpstreamRequest(choice.deployment.origin, head, body, choice.deployment.settings.timeouts), sink

    def _relayed_body(
        self, choice: Choice, passthrough: Passthrough, cap: int | None, warm: float | None
    ) -> tuple[bytes, bool]:
        peek = self._call.peek
        swallow = peek.stream and not peek.include_usage
        change = Change(
            model=choice.model if peek.model != choice.model else None,
            max_tokens=cap,
            temperature=warm if not peek.has_temperature else None,
            include_usage=swallow,
        )
        return passthrough.change(self._call.body, peek, change), swallow

    async def _attempt(self, choice: Choice, request: UpstreamRequest, sink: Attempt) -> Fault | None:
        p, deployment = self._p, choice.deployment
        began = p.clock()
        ticket = deployment.breaker.admit(began)
        if ticket is None:
            self._drop(deployment)
            self._skip(choice, "breaker", "circuit breaker half open, a probe is under way", 1.0)
            return None
        credential = deployment.credential(began)
        if credential is None:
            deployment.breaker.neutral(ticket, began)
            self._drop(deployment)
            wait_s = max(0.0, deployment.usable_at() - began)
            bad = all(c.bad for c in deployment.credentials)
            reason = "its credential was refused" if bad else "cooling down after a rate limit"
            self._skip(choice, "credential" if bad else "cooldown", f"{reason}, {wait_s:.0f} s left", wait_s)
            return None
        if self._left is not None and self._left[0] != deployment.name:
            p.recorder.fallback(*self._left, deployment.name)
        self._left = None
        if isinstance(sink, Stream) and deployment.breaker.state(began) != "closed":
            sink.on_commit = partial(deployment.breaker.success, ticket, began)
        self._trail.attempts += 1
        self._trail.provider, self._trail.model = deployment.name, choice.model  # what a stream's headers will say
        deployment.budget.note_call(began)
        request.head = deployment.head(credential, choice.model, self._call.peek.stream) + request.head
        try:
            result = await self._transfer(request, sink)
        finally:
            if not sink.done.done() or sink.done.cancelled():
                deployment.breaker.neutral(
                    ticket, p.clock()
                )  # our own task was cancelled: the provider is not to blame
        return self._judge(choice, ticket, credential, sink, result, began)

    async def _transfer(self, request: UpstreamRequest, sink: Attempt) -> Result:
        p, call = self._p, self._call
        timer = None
        if call.deadline_at is not None:
            left = max(0.0, call.deadline_at - p.clock())
            timer = asyncio.get_running_loop().call_later(left, sink.stop, DEADLINE)
        p.live.add(sink)
        try:
            sink.transfer = p.upstream.send(request, sink)
            self._outlet.on_gone(sink.client_left)
            return await sink.done
        except asyncio.CancelledError:
            result = sink.abandon()
            if not self._outlet.gone:
                raise
            return result  # the door cancels us when its client leaves: an ending like any other
        finally:
            self._outlet.on_gone(None)
            p.live.discard(sink)
            if timer is not None:
                timer.cancel()

    # ------------------------------------------------------------ what came of it

    def _judge(
        self, choice: Choice, ticket: int, credential: int, sink: Attempt, result: Result, began: float
    ) -> Fault | None:
        p, deployment, trail = self._p, choice.deployment, self._trail
        ended, fault = p.clock(), result.fault
        if fault is not None and fault.body and choice.passthrough is None:
            fault = structs.replace(fault, body=b"")  # another dialect's words: the client gets them in its own
        trail.upstream_s += (trail.first_content_at or ended) - began
        step = Step(deployment.name, choice.model, fault.kind if fault else "ok", choice.because)
        step.began_at, step.ended_at, step.status = began, ended, sink.status or None
        trail.steps.append(step)
        if fault is None:
            deployment.breaker.success(ticket, ended)
            p.recorder.attempt(deployment.name, "ok")
            self._succeed(choice, sink, result)
            return _ANSWERED
        step.reason = fault.safe_message or fault.kind.replace("_", " ")
        p.recorder.attempt(deployment.name, fault.kind)
        p.recorder.fault(self._call, step, fault)
        if deployment.judge(fault, ticket, credential, ended):
            p.recorder.breaker_opened(deployment.name, fault)
        self._charge_failed(choice, result)
        if result.committed:
            self._break_off(choice, fault, result)
            return _ANSWERED
        if fault.kind == "gone":
            trail.outcome, trail.status = "client_gone", 499
            return _ANSWERED
        self._faults.append(fault)
        if fault.next is Next.STOP:
            raise nobody_left([fault], [], self._call.peek.model, self._public_attempts())
        trail.provider = trail.model = ""
        self._drop(deployment)
        self._left = (deployment.name, fault.kind)
        return fault

    def _succeed(self, choice: Choice, sink: Attempt, result: Result) -> None:
        trail = self._trail
        trail.provider, trail.model, trail.usage = choice.deployment.name, choice.model, result.usage
        trail.status, trail.outcome = 200, "ok"
        total, trail.estimated = self._total(choice, result)
        self._spend(choice, total)
        self._routes.remember(self._call, choice)
        if isinstance(sink, WholeAnswer):
            assert sink.deliver is not None
            sink.deliver()
        else:
            self._outlet.end()

    def _break_off(self, choice: Choice, fault: Fault, result: Result) -> None:
        """After the first content: the client is told that its answer is cut, unless it left by itself."""
        trail = self._trail
        trail.provider, trail.model, trail.usage = choice.deployment.name, choice.model, result.usage
        trail.status, trail.estimated = 200, result.usage is None
        if fault.kind == "gone":
            trail.outcome = "client_gone"
            return
        error = interrupted(fault)
        error.identify(self._call.id)
        trail.outcome, trail.error = "interrupted", error.code or ""
        self._outlet.broken(error)

    def _charge_failed(self, choice: Choice, result: Result) -> None:
        """A provider that failed after it worked is paid: what it reported, or what was seen of it."""
        gone = result.fault is not None and result.fault.kind == "gone" and result.sent
        if result.usage is None and not result.output_bytes and not gone:
            return
        total, self._trail.estimated = self._total(choice, result)
        self._spend(choice, total)

    def _total(self, choice: Choice, result: Result) -> tuple[int, bool]:
        """Tokens used, and whether that is an estimate because the vendor's figure is missing or absurd."""
        figure = charge(
            result.usage,
            input_bound=self._bound,
            output_bytes=result.output_bytes,
            held=self._want,
            abilities=choice.abilities,
            interrupted=result.fault is not None,
        )
        if figure.suspect:
            self._p.recorder.suspect(self._call, choice.deployment.name, result.usage)
        return figure.tokens, figure.estimated

    def _spend(self, choice: Choice, total: int) -> None:
        used = self._used
        for scope in (f"tenant:{self._call.tenant}", *choice.deployment.scopes(self._call.tenant)):
            used[scope] = used.get(scope, 0) + total
        self._trail.total_tokens += total

    def _drop(self, deployment: Deployment) -> None:
        """Give back what is held for a provider that does not answer; what it used stays charged."""
        if self._hold is not None:
            scopes = deployment.scopes(self._call.tenant)
            self._p.keeper.drop(self._hold, scopes, used=self._used.pop(scopes[0], 0))
            self._used.pop(scopes[1], None)

    def _refuse(self, error: GatewayError) -> None:
        error.identify(self._call.id)
        self._trail.status, self._trail.error = error.status, error.code or ""
        self._trail.outcome = "error" if error.status >= 500 else "refused"
        self._outlet.fail(self._trail, error)

    def _settle(self) -> None:
        trail = self._trail
        if self._hold is not None:
            self._p.keeper.settle(self._hold, self._used, estimated=trail.estimated)
        if self._admitted is not None:
            self._admitted.done(self._want, trail.total_tokens)
        self._p.recorder.call(self._routes, self._call, trail)

    def _public_attempts(self) -> list[dict[str, object]]:
        return [step.public() for step in self._trail.steps]


_ANSWERED = Fault(kind="gone", next=Next.STOP, log_message="answered")


def _changed(request: Request, changes: dict[str, Any]) -> Request:
    return structs.replace(request, **changes) if changes else request


def _unsupported(unsupported: Unsupported) -> GatewayError:
    return UnsupportedParameter(unsupported.message, param=unsupported.param, code=unsupported.code)
