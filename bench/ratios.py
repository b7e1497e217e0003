"""Medians, and ratios taken round by round: what slows the machine for a minute slows both sides of a round."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from statistics import median
from typing import TypeVar

Sample = TypeVar("Sample")


def middle(samples: Sequence[Sample], value: Callable[[Sample], float]) -> float:
    return median(map(value, samples))


def ratio(over: Sequence[Sample], under: Sequence[Sample], value: Callable[[Sample], float]) -> float:
    """The median of value(over) / value(under) of the same rounds. Nothing against nothing is 1."""
    pairs = zip(over, under, strict=True)
    return median(_divided(value(one), value(other)) for one, other in pairs)


def _divided(one: float, other: float) -> float:
    if other:
        return one / other
    return float("inf") if one else 1.0
