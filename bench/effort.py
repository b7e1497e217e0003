"""How much is measured: the whole, or a quick look."""

from __future__ import annotations

from msgspec import Struct


class Effort(Struct, frozen=True):
    """Rounds are interleaved: in each, every contestant has its turn, so that a busy minute of the machine meets them all."""

    name: str
    rounds: int
    seconds: float  # of one contestant's turn
    warm_s: float
    stream_rounds: int
    streams: tuple[int, ...]  # at once
    ramp_s: float
    window_s: float
    starts: int
    connections: tuple[int, ...] = (1, 32, 128)
    open_streams: int = 1000  # for memory
    big_body_bytes: int = 1_000_000


QUICK = Effort("quick", 2, 1, 1, 1, (100, 500), 0.5, 1.0, 3)
FULL = Effort("full", 4, 2, 2, 3, (100, 300, 500), 1.0, 2.0, 7)
