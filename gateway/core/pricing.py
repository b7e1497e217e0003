"""What a call costs. Pure; the data is config/prices.yaml.

Rule 1: money is whole micro-USD. Prices are micro-USD per million tokens, so that even $0.01875 is exact; what is summed up is
        rounded once, at the end, up.
Rule 2: a model without a price has no cost, which is None and never 0. Nothing is guessed from a neighbour: a price holds for
        its id and that id's dated names alone.
Rule 3: cached tokens are part of the input and cost their own price. Where a vendor lists none they cost what input costs. What
        is kept for an hour, and what is sound, costs its own where one is listed, else what the others of its kind cost.
Rule 4: above a tier's limit ALL tokens of the call cost the tier's price (the vendors' "prompts over 200K"), judged by the input.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, date, datetime
from decimal import Decimal
from itertools import pairwise
from typing import Any

from msgspec import Struct

from gateway.types import Usage

MILLION = 1_000_000

# What may follow an id without making it another model: a date, "latest", a revision of three digits.
_DATED = re.compile(r"(?:[-@](?:latest|\d{8}|\d{4}-\d\d-\d\d|\d\d-\d{4}|\d\d-\d\d|\d{3}))?\Z")
_RATES = (
    "input", "output", "cache_read", "cache_write", "cache_write_1h", "input_audio", "cache_read_audio", "output_audio",
)  # fmt: skip


class PriceError(ValueError):
    """The file of prices is not what it should be; the message names the place."""


class Rates(Struct, frozen=True, kw_only=True):
    """Micro-USD per million tokens, by token type. None: the vendor lists none."""

    input: int
    output: int | None = None
    cache_read: int | None = None
    cache_write: int | None = None
    cache_write_1h: int | None = None
    input_audio: int | None = None
    cache_read_audio: int | None = None
    output_audio: int | None = None


class Tier(Struct, frozen=True):
    """The rates for calls of more than `above` input tokens."""

    above: int
    rates: Rates


class Price(Struct, frozen=True, kw_only=True):
    """What a model costs from `since` on (unix seconds). `tiers` by rising limits."""

    rates: Rates
    tiers: tuple[Tier, ...] = ()
    since: int = 0


class PriceBook:
    """The prices of all models, by family and id. Immutable. `as_of` is the day they were looked up."""

    def __init__(self, as_of: date, families: Mapping[str, Mapping[str, tuple[Price, ...]]]) -> None:
        self.as_of = as_of
        self._families = families

    def price(self, family: str, model: str, at: float) -> Price | None:
        """What `model` costs at a time (unix seconds), None when nobody knows."""
        return next((step for step in reversed(self.steps(family, model)) if step.since <= at), None)

    def steps(self, family: str, model: str) -> tuple[Price, ...]:
        """What `model` costs from when on, oldest first; () when nobody knows."""
        prices = self._families.get(family, {})
        steps = prices.get(model)
        if steps is None:
            dated = [id_ for id_ in prices if model.startswith(id_) and _DATED.match(model, len(id_))]
            steps = prices[max(dated, key=len)] if dated else ()
        return steps

    def ids(self, family: str) -> list[str]:
        """The ids that have a price."""
        return list(self._families.get(family, ()))


def cost_microusd(price: Price | None, usage: Usage) -> int | None:
    """The cost of a call; None when the model, or a kind of token that was used, has no price."""
    if price is None:
        return None
    rates = next((tier.rates for tier in reversed(price.tiers) if usage.input > tier.above), price.rates)
    output, read, write = (max(0, count) for count in (usage.output, usage.cache_read, usage.cache_write))
    if output and rates.output is None:
        return None
    made = rates.output or 0
    fresh = max(0, usage.input - read - write)
    total = fresh * rates.input + read * _or(rates.cache_read, rates.input) + output * made
    total += write * _or(rates.cache_write, rates.input) + _hour_long(usage, write, rates)
    if usage.input_by is not None or usage.output_by is not None:
        total += _spoken(usage, rates, fresh, read, output)
    return -(-total // MILLION)


def _hour_long(usage: Usage, write: int, rates: Rates) -> int:
    """What the tokens kept for an hour cost beyond the others written to the cache."""
    if rates.cache_write_1h is None or usage.cache_write_1h <= 0:
        return 0
    return min(usage.cache_write_1h, write) * (rates.cache_write_1h - _or(rates.cache_write, rates.input))


def _spoken(usage: Usage, rates: Rates, fresh: int, read: int, output: int) -> int:
    """What sound costs beyond text, heard, remembered and spoken."""
    heard, cached, said = (by.audio if by is not None else 0 for by in (usage.input_by, usage.read_by, usage.output_by))
    cached = min(max(0, cached), read)
    heard, said = min(max(0, heard - cached), fresh), min(max(0, said), output)
    kept, made = _or(rates.cache_read, rates.input), rates.output or 0
    return (
        heard * (_or(rates.input_audio, rates.input) - rates.input)
        + cached * (_or(rates.cache_read_audio, kept) - kept)
        + said * (_or(rates.output_audio, made) - made)
    )


def _or(rate: int | None, other: int) -> int:
    return other if rate is None else rate


# ---------------------------------------------------------------- the file


def prices_from(mapping: Any) -> PriceBook:
    """The parsed prices.yaml: `{as_of, families: {name: {id: [{from?, input, output?, …, tiers?}]}}}`. Raises PriceError."""
    families = mapping.get("families") if isinstance(mapping, Mapping) else None
    if not isinstance(families, Mapping):
        raise PriceError("prices.yaml: 'families' is missing or no mapping")
    as_of = mapping.get("as_of")
    if not isinstance(as_of, date):
        raise PriceError("prices.yaml: 'as_of' is missing or no date")
    return PriceBook(
        as_of, {str(name): _family(f"prices.yaml: families.{name}", rows) for name, rows in families.items()}
    )


def _family(place: str, rows: Any) -> dict[str, tuple[Price, ...]]:
    if not isinstance(rows, Mapping):
        raise PriceError(f"{place}: not a mapping of ids")
    return {str(id_): _steps(f"{place}.{id_}", steps) for id_, steps in rows.items()}


def _steps(place: str, rows: Any) -> tuple[Price, ...]:
    if not isinstance(rows, list) or not rows:
        raise PriceError(f"{place}: not a list of prices")
    steps = [_price(f"{place}[{at}]", row) for at, row in enumerate(rows)]
    if any(later.since <= earlier.since for earlier, later in pairwise(steps)):
        raise PriceError(f"{place}: 'from' does not rise")
    return tuple(steps)


def _price(place: str, row: Any) -> Price:
    if not isinstance(row, Mapping):
        raise PriceError(f"{place}: not a mapping")
    unknown = sorted(set(row) - {*_RATES, "from", "tiers"})
    if unknown:
        raise PriceError(f"{place}: unknown key {unknown[0]!r}")
    since = row.get("from", date(1970, 1, 1))
    if not isinstance(since, date):
        raise PriceError(f"{place}.from: no date")
    begins = datetime(since.year, since.month, since.day, tzinfo=UTC)
    listed = row.get("tiers", [])
    if not isinstance(listed, list):
        raise PriceError(f"{place}.tiers: not a list")
    tiers = tuple(_tier(f"{place}.tiers[{at}]", tier) for at, tier in enumerate(listed))
    if any(upper.above <= lower.above for lower, upper in pairwise(tiers)):
        raise PriceError(f"{place}.tiers: 'above' does not rise")
    return Price(rates=_rates(place, row), tiers=tiers, since=int(begins.timestamp()))


def _tier(place: str, row: Any) -> Tier:
    above = row.get("above") if isinstance(row, Mapping) else None
    if type(above) is not int or above <= 0:
        raise PriceError(f"{place}.above: no number of tokens")
    return Tier(above, _rates(place, row))


def _rates(place: str, row: Mapping[str, Any]) -> Rates:
    found = {name: _microusd(f"{place}.{name}", row[name]) for name in _RATES if name in row}
    if "input" not in found:
        raise PriceError(f"{place}: 'input' is missing")
    return Rates(**found)


def _microusd(place: str, dollars: Any) -> int:
    if isinstance(dollars, bool) or not isinstance(dollars, int | float) or not 0 < dollars < MILLION:
        raise PriceError(f"{place}: no price in US dollars")
    exact = Decimal(str(dollars)) * MILLION
    if exact != int(exact):
        raise PriceError(f"{place}: finer than a millionth of a dollar")
    return int(exact)
