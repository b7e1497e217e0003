"""How many tokens a model really makes of a byte, learnt from what providers report. Pure.

The byte bound of gateway.core.tokens can never be passed, and is three to five times what text costs. Where it does not fit into
what is left of a quota, what was learnt gives a second, smaller bound.

Rule 1: a learnt bound is a guess, if a careful one: it is asked only where the byte bound does not fit, and a call that uses more
is charged in full. Rule 2: it is learnt from text alone; media have bounds of their own. Rule 3: few samples teach nothing.
"""

from __future__ import annotations

from math import ceil

import msgspec

BINS = 64  # a ratio of 1, a token for each byte, in so many steps; the last bin holds all above
ENOUGH = 100  # samples before anything is said of a model
PERMILLE = 995  # of all calls seen were at or below the ratio that is used
MARGIN_BINS = 2
FRAME_TOKENS = 16  # what a vendor's own frame of a chat may cost, however short the text
LEAST_BYTES = 200  # below this the frame outweighs the text
MOST = 20_000  # samples of a model: then all of them count for half, so that what is old fades
MODELS = 1_000  # that are remembered

Counts = dict[str, list[int]]
_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(Counts).decode


class Ratios:
    """Counts of samples by model and ratio. `fresh` are those that were not stored yet. `taught`: models of which enough is known."""

    def __init__(self) -> None:
        self.fresh: Counts = {}
        self.taught: set[str] = set()
        self._known: Counts = {}

    def learn(self, model: str, bound: int, tokens: int) -> None:
        """A call of `bound` bytes of text was reported to have `tokens` of input."""
        if bound >= LEAST_BYTES and tokens > 0 and (model in self._known or len(self._known) < MODELS):
            at = min(BINS, tokens * BINS // bound)
            _bins(self._known, model)[at] += 1
            _bins(self.fresh, model)[at] += 1
            if model not in self.taught:
                self._note(model)

    def bound(self, model: str, bound: int) -> int:
        """The learnt bound for `bound` bytes of text; `bound` itself where too little is known."""
        counts = self._known.get(model)
        if counts is None or model not in self.taught:
            return bound
        seen = sum(counts)
        above = seen * (1000 - PERMILLE) // 1000  # so many may lie above
        at = BINS
        while at > 0 and counts[at] <= above:
            above -= counts[at]
            at -= 1
        edge = at + 1 + MARGIN_BINS
        return min(bound, ceil(bound * edge / BINS) + FRAME_TOKENS)

    def forgotten(self, fresh: Counts) -> None:
        """What was fresh could not be stored and is fresh again."""
        _merge(self.fresh, fresh)

    def load(self, stored: bytes) -> None:
        """Take what all processes have learnt, what is fresh here included."""
        self._known = decoded(stored)
        _merge(self._known, self.fresh)
        self.taught.clear()
        for model in self._known:
            self._note(model)

    def _note(self, model: str) -> None:
        if sum(self._known[model]) >= ENOUGH:
            self.taught.add(model)


def decoded(stored: bytes) -> Counts:
    """What was stored; nothing when that cannot be read."""
    try:
        found = _decode(stored) if stored else {}
    except (msgspec.DecodeError, ValueError):
        return {}
    return {model: counts for model, counts in found.items() if len(counts) == BINS + 1 and min(counts) >= 0}


def merged(stored: bytes, fresh: Counts) -> bytes:
    """What is stored, with fresh samples added and old ones faded."""
    counts = decoded(stored)
    _merge(counts, fresh)
    return _encode({model: _faded(bins) for model, bins in counts.items()})


def _merge(into: Counts, more: Counts) -> None:
    for model, bins in more.items():
        if model in into or len(into) < MODELS:
            into[model] = [a + b for a, b in zip(_bins(into, model), bins, strict=True)]


def _faded(bins: list[int]) -> list[int]:
    return [(count + 1) // 2 for count in bins] if sum(bins) > MOST else bins


def _bins(counts: Counts, model: str) -> list[int]:
    found = counts.get(model)
    if found is None:
        found = counts[model] = [0] * (BINS + 1)
    return found
