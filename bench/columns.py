"""Columns of the report: each turns the samples of a row into a cell, medians first, ratios against a reference's row."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from math import isfinite
from typing import Generic, TypeVar

from bench.ratios import middle, ratio

Sample = TypeVar("Sample")
Rows = Mapping[str, Sequence[Sample]]
Value = Callable[[Sample], float]


class Column(Generic[Sample]):
    """A heading, and what stands below it in the row of `name`."""

    def __init__(self, head: str, cell: Callable[[str, Rows[Sample]], str]) -> None:
        self.head = head
        self.cell = cell


def figure(head: str, value: Value[Sample], shape: str = "{:,.1f}") -> Column[Sample]:
    """The median."""
    return Column(head, lambda name, rows: shape.format(middle(rows[name], value)))


def times(head: str, value: Value[Sample], reference: str) -> Column[Sample]:
    """How many times the reference's value: more is better."""
    return Column(head, lambda name, rows: f"{ratio(rows[name], rows[reference], value):.2f}")


def cheaper(head: str, cost: Value[Sample], reference: str) -> Column[Sample]:
    """How many times the row's cost the reference costs: more is better. Empty where the row costs nothing."""

    def cell(name: str, rows: Rows[Sample]) -> str:
        found = ratio(rows[reference], rows[name], cost)
        return f"{found:.2f}" if isfinite(found) else ""

    return Column(head, cell)


def added(head: str, value: Value[Sample], reference: str, shape: str = "{:+.2f}") -> Column[Sample]:
    """What comes on top of the reference's median."""
    return Column(head, lambda name, rows: shape.format(middle(rows[name], value) - middle(rows[reference], value)))


def table(rows: Rows[Sample], columns: Sequence[Column[Sample]]) -> str:
    cells = ([name, *(column.cell(name, rows) for column in columns)] for name in rows)
    return markdown(("", *(column.head for column in columns)), cells)


def markdown(heads: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table: words to the left, figures to the right."""
    lines = [heads, ["---", *("--:" for _ in heads[1:])], *rows]
    return "".join(f"| {' | '.join(cells)} |\n" for cells in lines)
