"""What calls cost those scopes that have a budget: the most before a call, what is charged after it. Pure; in micro-USD.

Rule 1: what is reserved is never below what any use within the reserved tokens costs: every input token counts as the dearest kind
it may turn out to be (fresh, read from or written to a cache, sound), and every output token likewise, in the dearest tier.
Rule 2: a call is priced as of its beginning, before and after: a price that changes at midnight never makes it dearer than it was.
Rule 3: a model without a price costs nothing and reserves nothing. It is served, and counted as unpriced.
"""

from __future__ import annotations

from msgspec import Struct
from msgspec.structs import replace

from gateway.core.charge import Charge
from gateway.core.pricing import MILLION, Price, PriceBook, cost_microusd
from gateway.core.tokens import output_estimate
from gateway.core.wallet import BudgetOf
from gateway.types import Usage

READ = (
    "cache_read",
    "cache_write",
    "cache_write_1h",
    "input_audio",
    "cache_read_audio",
)  # what input may be beside fresh text


class Tariff(Struct, frozen=True):
    """The prices of one model, oldest first, for a call that `scopes` with a budget pay for. No prices: nobody knows them.

    label: the model as a metric label.
    """

    scopes: tuple[str, ...]
    steps: tuple[Price, ...]
    label: str

    def price(self, at: float) -> Price | None:
        """The price at a time (unix seconds)."""
        for step in reversed(self.steps):
            if step.since <= at:
                return step
        return None


class Tariffs:
    """Who pays for what. `budget_of` tells the budget of a scope."""

    def __init__(self, prices: PriceBook, budget_of: BudgetOf) -> None:
        self.prices = prices
        self._budget_of = budget_of

    def tariff(self, family: str, model: str, scopes: tuple[str, ...], label: str) -> Tariff | None:
        """For calls of `model` that touch `scopes`; None when no budget has to pay for them."""
        paying = tuple(scope for scope in scopes if self.pays(scope))
        return Tariff(paying, self.prices.steps(family, model), label) if paying else None

    def pays(self, scope: str) -> bool:
        """Whether a scope has a budget."""
        return self._budget_of(scope).is_limited


def most_microusd(price: Price, input: int, output: int) -> int:
    """The most that a call of at most `input` and `output` tokens costs, rounded up."""
    dearest_input, dearest_output = _dearest(price, input)
    return -(-(input * dearest_input + output * dearest_output) // MILLION)


def affordable_tokens(price: Price, input: int, room_microusd: int) -> int | None:
    """How many tokens, `input` of them read and the others written, have room in a budget; None when writing costs nothing."""
    dearest_input, dearest_output = _dearest(price, input)
    if not dearest_output:
        return None
    return input + max(0, room_microusd * MILLION - input * dearest_input) // dearest_output


def spent_microusd(
    price: Price, usage: Usage | None, charged: Charge, *, input_bound: int, output_bytes: int, interrupted: bool
) -> int | None:
    """What an attempt cost that was charged these tokens (core.charge). None: it used what has no price.

    Where the report is missing or absurd, the tokens that take its place are priced from above.
    """
    tokens, _, suspect = charged
    if usage is None or suspect:
        read = min(tokens, input_bound)
        return most_microusd(price, read, tokens - read)
    if interrupted and output_bytes:
        usage = replace(usage, output=max(usage.output, output_estimate(output_bytes)))
    return cost_microusd(price, usage)


def _dearest(price: Price, input: int) -> tuple[int, int]:
    """The dearest rates, of input and output, of the tiers that a call of at most `input` tokens may fall into."""
    rates = [price.rates, *(tier.rates for tier in price.tiers if input > tier.above)]
    return (
        max(max(each.input, *(getattr(each, kind) or 0 for kind in READ)) for each in rates),
        max(max(each.output or 0, each.output_audio or 0) for each in rates),
    )
