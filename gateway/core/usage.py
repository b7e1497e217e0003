"""Arithmetic on `types.Usage`."""

from __future__ import annotations

from gateway.types import Modalities, Usage


def summed(before: Usage | None, now: Usage | None) -> Usage | None:
    """What two requests of one answer used together; each was reported, and is paid, by itself. None counts as nothing."""
    if before is None or now is None:
        return now or before
    return Usage(
        before.input + now.input,
        before.output + now.output,
        before.cache_read + now.cache_read,
        before.cache_write + now.cache_write,
        before.reasoning + now.reasoning,
        before.total + now.total,
        before.cache_write_1h + now.cache_write_1h,
        _both(before.input_by, now.input_by),
        _both(before.read_by, now.read_by),
        _both(before.output_by, now.output_by),
    )


def _both(before: Modalities | None, now: Modalities | None) -> Modalities | None:
    if before is None or now is None:
        return now or before
    return before.plus(now)
