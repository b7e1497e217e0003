"""Arithmetic on `types.Usage`."""

from __future__ import annotations

from gateway.types import Usage


def summed(before: Usage | None, now: Usage | None) -> Usage | None:
    """What two requests of one answer used together; each was reported, and is paid, by itself. None counts as nothing."""
    if before is None or now is None:
        return now or before
    return Usage(*(getattr(before, name) + getattr(now, name) for name in Usage.__struct_fields__))
