"""Arithmetic on `types.Usage`."""

from __future__ import annotations

from typing import Any

import msgspec

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
        now.own if before.own is None else _added(before.own, now.own or {}),
    )


def _added(before: Any, now: Any) -> Any:
    """Two JSON values of the same place: counts add up, objects member by member, of anything else the later stays."""
    before, now = (msgspec.json.decode(value) if isinstance(value, msgspec.Raw) else value for value in (before, now))
    if isinstance(before, dict) and isinstance(now, dict):
        shared = {key: _added(before[key], now[key]) for key in before.keys() & now.keys()}
        return {**before, **now, **shared}
    if type(before) is int and type(now) is int:
        return before + now
    return before if now is None else now


def _both(before: Modalities | None, now: Modalities | None) -> Modalities | None:
    if before is None or now is None:
        return now or before
    return before.plus(now)
