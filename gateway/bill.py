"""What one call holds of the quotas while it runs, and what it is charged in the end.

Rule 1: a hold is made once, for all accounts of the call, and ends in exactly one settlement. Rule 2: a provider that failed gives
its part back at once, less what it used. Rule 3: whoever stops waiting after the provider was asked pays for the question.
Rule 4: money is held for one attempt at its model's price; the next one, dearer or cheaper, holds its own together with its tokens.
"""

from __future__ import annotations

from gateway.call import LEFT, Call, Result, Trail
from gateway.core.charge import DEFAULT_MAX_OUTPUT, LEAST_CAP, PLENTY, Charge, capped, charge, reservation, uncapped
from gateway.core.ledger_rows import MICROUSD
from gateway.core.tariffs import affordable_tokens, most_microusd, spent_microusd
from gateway.core.tokens import IMAGE_TOKENS, input_bound, is_text
from gateway.core.wallet import Cost, Hold
from gateway.deployment import Deployment
from gateway.recorder import Recorder
from gateway.routes import Choice
from gateway.stores.keeper import Keeper


class Bill:
    """The part of a call (pipeline.Run) that knows tokens and money. `_want` is what is reserved: `_input`, and the output cap.
    `_input` is `_bound`, the most that the input can be; or, where there is no room for that, what such inputs were seen to be."""

    __slots__ = ("_bound", "_call", "_hold", "_input", "_keeper", "_recorder", "_spent", "_trail", "_used", "_want")

    def __init__(self, keeper: Keeper, recorder: Recorder, call: Call) -> None:
        self._keeper = keeper
        self._recorder = recorder
        self._call = call
        self._trail = Trail(stream=call.peek.stream)
        self._hold: Hold | None = None
        self._bound = self._input = self._want = 0
        self._spent = 0  # micro-USD that the present attempt cost
        self._used: dict[str, int] | None = None  # scope -> tokens, once an attempt that failed has used some

    def _take(self, choice: Choice) -> bool:
        """Hold tokens and money for this candidate from what is in hand; False: it may still be had by waiting."""
        if self._hold is not None:
            return self._keeper.add(self._hold, choice.deployment.scopes(self._call.terms.tenant), self._cost(choice))
        scopes = choice.deployment.call_scopes(self._call.terms.tenant)
        self._size(choice, scopes)
        self._hold = self._keeper.try_hold(scopes, self._want, None, self._cost(choice))
        return self._hold is not None

    def _cost(self, choice: Choice) -> Cost | None:
        """The most that this candidate costs for the tokens that are held; None when no budget has to pay, or nobody knows."""
        tariff = choice.tariff
        price = None if tariff is None or self._call.terms.free else tariff.price(self._call.at)
        if tariff is None or price is None:
            return None
        # What was learnt is of one model: another one, to which the call falls back, may make more tokens of the same text.
        is_learnt = self._input < self._bound
        read = self._keeper.ratios.bound(_model(choice), self._bound) if is_learnt else self._bound
        return Cost(most_microusd(price, read, self._want - self._input), tariff.scopes)

    def _size(self, choice: Choice, scopes: tuple[str, ...]) -> None:
        """How many tokens to hold; a cap of our own when the client gave none and room is short."""
        peek = self._call.peek
        self._bound = self._input = input_bound(self._call.body, IMAGE_TOKENS, peek.around, peek.media)
        self._reserve(choice, scopes)

    def _reserve(self, choice: Choice, scopes: tuple[str, ...]) -> None:
        peek, trail = self._call.peek, self._trail
        if peek.max_tokens is not None:
            self._want = capped(self._input, peek.max_tokens, peek.n)
        else:
            whole = uncapped(self._input, peek.n, choice.abilities.max_output)
            room = None if self._keeper.has(scopes, PLENTY * whole) else self._keeper.room(scopes)
            if choice.tariff is not None:
                room = self._affordable(choice, room)
            self._want, trail.clamped = reservation(self._input, peek.n, choice.abilities.max_output, room)

    def _affordable(self, choice: Choice, room: int | None) -> int | None:
        """The room in tokens, the budgets of this candidate looked at as well."""
        tariff = choice.tariff
        price = None if tariff is None else tariff.price(self._call.at)
        if tariff is None or price is None:
            return room
        money = self._keeper.room(tariff.scopes, MICROUSD)
        tokens = None if money is None else affordable_tokens(price, self._input, money)
        return tokens if room is None else room if tokens is None else min(room, tokens)

    def _is_text(self) -> bool:
        return is_text(self._bound, self._call.body)

    def _reserve_as_learnt(self, choice: Choice, scopes: tuple[str, ...]) -> bool:
        """There is no room: reserve for the input what calls to the model were seen to cost. Whether that is less, and fits."""
        if not self._is_text():
            return False
        learnt = self._keeper.ratios.bound(_model(choice), self._bound)
        return learnt < self._bound and self._reserve_for(learnt, choice, scopes)

    def _reserve_for(self, tokens: int, choice: Choice, scopes: tuple[str, ...]) -> bool:
        """Reserve for an input of so many tokens. Whether that fits, as far as is known here."""
        self._input = tokens
        self._reserve(choice, scopes)
        room = self._keeper.room(scopes)
        return room is None or self._want <= room

    def _cap(self, choice: Choice) -> None:
        """Somebody else steps in, whose model may write more than was held: with a quota to keep, no more than that."""
        peek, trail = self._call.peek, self._trail
        held = self._want - self._input
        if peek.max_tokens is not None or (choice.abilities.max_output or DEFAULT_MAX_OUTPUT) * peek.n <= held:
            return
        limited = (self._hold is not None and self._hold.money is not None) or (
            self._keeper.room(choice.deployment.call_scopes(self._call.terms.tenant)) is not None
        )
        if trail.clamped is None and limited:
            trail.clamped = max(LEAST_CAP, held // peek.n)

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
        if choice.tariff is not None:
            self._price(choice, result, (tokens, estimated, suspect), 0 if silent else result.output_bytes)
        return tokens, estimated

    def _price(self, choice: Choice, result: Result, charged: Charge, output_bytes: int) -> None:
        """Add to the bill what these tokens cost at this candidate."""
        tariff = choice.tariff
        assert tariff is not None
        price, spent = tariff.price(self._call.at), None
        if price is not None:
            spent = spent_microusd(
                price,
                result.usage,
                charged,
                input_bound=self._bound,
                output_bytes=output_bytes,
                interrupted=result.fault is not None,
            )
        if spent is None:
            self._recorder.unpriced(self._call.terms.tenant, choice.deployment.name, tariff.label)
            return
        self._spent += spent
        self._trail.cost_microusd += spent

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
        spent, self._spent = self._spent, 0
        self._keeper.drop(self._hold, scopes, used=used, spent=spent, estimated=self._trail.estimated)

    def _pay(self) -> None:
        """End the hold with what was used: one figure for all accounts, unless several providers were paid."""
        trail = self._trail
        if self._hold is not None:
            used = trail.total_tokens if self._used is None else self._used
            self._keeper.settle(self._hold, used, spent=self._spent, estimated=trail.estimated, suspect=trail.suspect)


def _model(choice: Choice) -> str:
    return f"{choice.deployment.name}/{choice.model}"
