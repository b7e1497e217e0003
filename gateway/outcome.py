"""What came of an attempt: for the breaker, for the client, for the next candidate. The second half of pipeline.Run.

Rule 1: an attempt is judged once, and every judgement ends in one of three: the call is over (`trail.outcome` says how), the fault
is returned and the next candidate has its turn, or an error is raised that the client gets.
"""

from __future__ import annotations

from collections.abc import Callable

from msgspec import structs

from gateway.attempt import Attempt, WholeAnswer
from gateway.bill import Bill
from gateway.call import Call, Outlet, Result, Step
from gateway.core import retry
from gateway.core.repair import learned, repaired
from gateway.core.verdict import Skip, interrupted, nobody_left
from gateway.errors import CLIENTS_OWN, Fault, GatewayError, Next
from gateway.recorder import Recorder
from gateway.replay import Replay
from gateway.routes import Choice, Routes
from gateway.stores.keeper import Keeper
from gateway.types import BadRequest, Notes, Request

# Mended also where the client's own bytes were sent: its model takes tools elsewhere, or another provider of ours, who answered
# before, gave it a history that this one does not take back.
AS_SENT = ("wrong_endpoint", "replay_mismatch", "signature_missing")


class Outcome(Bill):
    """A call with what is known of its attempts so far."""

    __slots__ = (
        "_admitted",
        "_clock",
        "_credential",
        "_faults",
        "_left",
        "_mended",
        "_mending",
        "_outlet",
        "_overflowed",
        "_replay",
        "_routes",
        "_skips",
        "_ticket",
    )

    def __init__(
        self,
        keeper: Keeper,
        recorder: Recorder,
        replay: Replay,
        clock: Callable[[], float],
        routes: Routes,
        call: Call,
        outlet: Outlet,
    ) -> None:
        super().__init__(keeper, recorder, call)
        self._clock = clock
        self._replay = replay
        self._outlet = outlet
        self._routes = routes
        self._admitted = False
        self._faults: list[Fault] = []
        self._skips: list[Skip] = []
        self._left: tuple[str, str] | None = None  # the provider that was passed over last, and why
        self._overflowed: int | None = None  # the context, in tokens, that the request did not fit into
        self._ticket = self._credential = 0
        self._mending: Choice | None = None  # the candidate to try once more, with another request
        self._mended = False

    def _ended_by(self, fault: Fault) -> GatewayError:
        return nobody_left([fault], [], self._call.peek.model, self._trail.public())

    def _judge(self, choice: Choice, sink: Attempt, result: Result, began: float) -> Fault | None:
        deployment, trail, fault = choice.deployment, self._trail, result.fault
        ended = self._clock()
        trail.upstream_s += (trail.first_content_at or ended) - began
        if fault is None:
            trail.steps.append(Step(deployment.name, choice.model, "ok", choice.because, "", sink.status, began, ended))
            deployment.served(self._ticket, self._credential, began, ended)
            self._succeed(choice, sink, result)
            return None
        if fault.body and choice.passthrough is None:
            fault = retry.without_body(fault)  # another dialect's words: the client gets them in its own
        fault = deployment.without_keys(fault)
        reason = fault.safe_message or fault.kind.replace("_", " ")
        status = sink.status or None
        step = Step(deployment.name, choice.model, fault.kind, choice.because, reason, status, began, ended)
        trail.steps.append(step)
        self._recorder.fault(self._call, step, fault)
        if deployment.judge(fault, self._ticket, self._credential, began, ended):
            self._recorder.breaker_opened(deployment.name, fault)
        if fault.kind == "auth":
            credential = deployment.credentials[self._credential]
            self._recorder.credential_refused(deployment.name, fault, credential.refusals, credential.until - ended)
            fault = deployment.dated(fault, ended)
        self._charge_failed(choice, result)
        return self._go_on(choice, fault, result)

    def _go_on(self, choice: Choice, fault: Fault, result: Result) -> Fault | None:
        """After a failure: it is over, or the next candidate's turn. Raises when nobody else may be asked."""
        trail, deployment = self._trail, choice.deployment
        if result.committed:
            self._break_off(fault, result)
            return None
        if fault.kind == "gone":
            trail.outcome, trail.status = "client_gone", 499
            return None
        self._faults.append(fault)
        if fault.kind == "context_overflow":
            self._overflowed = choice.abilities.context or 0
        self._mending = self._mend(choice, fault)
        if fault.next is Next.STOP and self._mending is None:
            raise self._ended_by(fault)
        trail.provider = trail.model = ""
        self._drop(deployment)
        self._left = (deployment.name, fault.kind)
        return fault

    def _mend(self, choice: Choice, fault: Fault) -> Choice | None:
        """The candidate once more, when it refused what our own translation made of the request; once a call."""
        strict = self._call.terms.strict and fault.kind == "parameter_refused"
        ours = choice.passthrough is None or fault.kind in AS_SENT
        if self._mended or strict or not ours or fault.kind not in CLIENTS_OWN:
            return None
        try:
            request = self._replay.request(self._call)
        except BadRequest:
            return None
        if not isinstance(request, Request):
            return None
        if fault.kind == "wrong_endpoint" and (half := choice.deployment.vendor.half("openai_responses")) is not None:
            self._mended = True
            self._recorder.mended(choice.deployment.name, fault.kind)
            return structs.replace(choice, dialect=half, passthrough=None, mended=request)
        abilities = learned(choice.abilities, fault)
        # With what was learnt these two are written otherwise; nothing is left out.
        emulated = abilities != choice.abilities and fault.param in ("tool_choice", "max_tokens")
        mended = request if emulated else repaired(request, fault)
        if mended is None:
            return None
        self._mended = True
        self._recorder.mended(choice.deployment.name, fault.kind)
        return structs.replace(choice, abilities=abilities, passthrough=None, mended=mended)

    def _succeed(self, choice: Choice, sink: Attempt, result: Result) -> None:
        trail = self._trail
        trail.usage, trail.status, trail.outcome = result.usage, 200, "ok"
        self._charge_answer(choice, result)
        if self._call.session:
            self._routes.remember(self._call, choice)
        if isinstance(sink, WholeAnswer):
            self._replay.remember(self._call, sink.parts)
            sink.deliver()
        else:
            self._outlet.end()

    def _break_off(self, fault: Fault, result: Result) -> None:
        """After the first content: the client is told that its answer is cut, unless it left by itself."""
        trail = self._trail
        trail.usage, trail.status = result.usage, 200
        if fault.kind == "gone":
            trail.outcome = "client_gone"
            return
        error = interrupted(fault)
        error.identify(self._call.id)
        trail.outcome, trail.error = "interrupted", error.code or ""
        self._outlet.broken(error)

    def _refuse(self, error: GatewayError) -> None:
        error.identify(self._call.id)
        trail = self._trail
        trail.status, trail.error = error.status, error.code or ""
        trail.outcome = "error" if error.status >= 500 else "refused"
        trail.notes = trail.notes or Notes()
        if trail.first_content_at:
            self._outlet.broken(error)  # the answer has begun, and can only be cut
        else:
            self._outlet.fail(trail, error)

    def _settle(self) -> None:
        self._pay()
        if self._admitted:
            self._call.terms.limits.done(self._want, self._trail.total_tokens)
        self._recorder.call(self._routes, self._call, self._trail)
