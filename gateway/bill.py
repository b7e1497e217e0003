"""What one call holds of the quotas while it runs, and what it is charged in the end.

Rule 1: a hold is made once, for all accounts of the call, and ends in exactly one settlement. Rule 2: a provider that failed gives
its part back at once, less what it used. Rule 3: whoever stops waiting after the provider was asked pays for the question.
"""

from __future__ import annotations

from gateway.call import LEFT, Call, Result, Trail
from gateway.core.charge import DEFAULT_MAX_OUTPUT, charge, reservation
from gateway.core.tokens import TOOL_PROMPT_TOKENS, input_bound
from gateway.core.wallet import Hold
from gateway.deployment import Deployment
from gateway.recorder import Recorder
from gateway.routes import Choice
from gateway.stores.keeper import Keeper


class Bill:
    """The part of a call (pipeline.Run) that knows tokens. `_want` is what is reserved: `_input`, and the output cap. `_input` is
    `_bound`, the most that the input can be; or, where there is no room for that, what such inputs were seen to be."""

    __slots__ = ("_bound", "_call", "_hold", "_input", "_keeper", "_recorder", "_trail", "_used", "_want")

    def __init__(self, keeper: Keeper, recorder: Recorder, call: Call) -> None:
        self._keeper = keeper
        self._recorder = recorder
        self._call = call
        self._trail = Trail(stream=call.peek.stream)
        self._hold: Hold | None = None
        self._bound = self._input = self._want = 0
        self._used: dict[str, int] | None = None  # scope -> tokens, once an attempt that failed has used some

    def _take(self, choice: Choice) -> bool:
        """Hold tokens for this candidate from what is in hand; False: it may still be had by waiting."""
        if self._hold is not None:
            return self._keeper.add(self._hold, choice.deployment.scopes(self._call.terms.tenant))
        scopes = choice.deployment.call_scopes(self._call.terms.tenant)
        self._size(choice, scopes)
        self._hold = self._keeper.try_hold(scopes, self._want)
        return self._hold is not None

    def _size(self, choice: Choice, scopes: tuple[str, ...]) -> None:
        """How many tokens to hold; a cap of our own when the client gave none and room is short."""
        self._bound = self._input = input_bound(self._call.body, around=self._call.peek.around)
        self._reserve(choice, scopes)

    def _reserve(self, choice: Choice, scopes: tuple[str, ...]) -> None:
        peek, trail = self._call.peek, self._trail
        if peek.max_tokens is not None:
            self._want = self._input + peek.max_tokens * peek.n
        else:
            room = self._keeper.room(scopes)
            self._want, trail.clamped = reservation(self._input, peek.n, choice.abilities.max_output, room)

    def _is_text(self) -> bool:
        """Whether the input is text alone, so that its bytes tell about its tokens; tools are text too."""
        return 0 <= self._bound - len(self._call.body) <= TOOL_PROMPT_TOKENS

    def _reserve_less(self, choice: Choice, scopes: tuple[str, ...]) -> int | None:
        """There is no room: what to hold when the input counts as calls to the model were seen to, None when that is no less."""
        if not self._is_text():
            return None
        self._input = self._keeper.ratios.bound(_model(choice), self._bound)
        if self._input >= self._bound:
            return None
        self._reserve(choice, scopes)
        return self._want

    def _cap(self, choice: Choice) -> None:
        """Somebody else steps in, whose model may write more than was held: with a quota to keep, no more than that."""
        peek, trail = self._call.peek, self._trail
        held = self._want - self._input
        if peek.max_tokens is not None or (choice.abilities.max_output or DEFAULT_MAX_OUTPUT) * peek.n <= held:
            return
        if (
            trail.clamped is None
            and self._keeper.room(choice.deployment.call_scopes(self._call.terms.tenant)) is not None
        ):
            trail.clamped = max(1, held // peek.n)

    def _charge_answer(self, choice: Choice, result: Result) -> None:
        """The call was answered by this candidate."""
        trail = self._trail
        total, estimated = self._total(choice, result)
        trail.estimated = trail.estimated or estimated
        trail.total_tokens += total
        if result.usage is not None and not estimated and self._is_text():
            self._keeper.ratios.learn(_model(choice), self._bound, result.usage.input)
        if self._used is not None:
            self._spend(choice.deployment, total)

    def _charge_failed(self, choice: Choice, result: Result) -> None:
        """A provider that failed after it worked is paid: what it reported, or what was seen of it."""
        left = result.fault is not None and result.fault.kind in LEFT and result.sent
        if result.usage is None and not (result.output_bytes or result.committed or left):
            return
        if self._used is None:
            self._used = {}
        total, estimated = self._total(choice, result)
        self._trail.estimated = self._trail.estimated or estimated
        self._trail.total_tokens += total
        self._spend(choice.deployment, total)

    def _total(self, choice: Choice, result: Result) -> tuple[int, bool]:
        """Tokens used, and whether that is an estimate because the vendor's figure is missing or absurd."""
        if self._call.terms.free:
            return 0, False
        silent = self._call.peek.max_tokens == 0  # vectors: nothing is generated, and not all vendors report usage
        tokens, estimated, suspect = charge(
            result.usage,
            input_bound=self._bound,
            output_bytes=0 if silent else result.output_bytes,
            held=self._want,
            abilities=choice.abilities,
            interrupted=result.fault is not None,
        )
        if suspect and not (silent and result.usage is None):
            self._trail.suspect = True
            self._recorder.suspect(self._call, choice.deployment.name, result.usage)
        return tokens, estimated

    def _spend(self, deployment: Deployment, total: int) -> None:
        assert self._used is not None
        for scope in deployment.call_scopes(self._call.terms.tenant):
            self._used[scope] = self._used.get(scope, 0) + total

    def _drop(self, deployment: Deployment) -> None:
        """Give back what is held for a provider that does not answer; what it used stays charged."""
        if self._hold is None:
            return
        scopes, used = deployment.scopes(self._call.terms.tenant), 0
        if self._used is None:
            self._used = {}
        for scope in scopes:
            used = self._used.pop(scope, 0)
        self._keeper.drop(self._hold, scopes, used=used)

    def _pay(self) -> None:
        """End the hold with what was used: one figure for all accounts, unless several providers were paid."""
        trail = self._trail
        if self._hold is not None:
            used = trail.total_tokens if self._used is None else self._used
            self._keeper.settle(self._hold, used, estimated=trail.estimated, suspect=trail.suspect)


def _model(choice: Choice) -> str:
    return f"{choice.deployment.name}/{choice.model}"
