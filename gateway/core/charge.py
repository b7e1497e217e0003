"""What one attempt costs in tokens, whatever the vendor reported. Pure.

Rule 1: a sane report is charged as it is, even above what was held. Rule 2: a missing one is estimated from above: what was
used is never under-counted; an answer that came to its end without one is marked suspect. Rule 3: an absurd one (negative, or
above four times the hold and above all that the model can hold) never reaches an account; the bound takes its place and the
answer is marked suspect.
"""

from __future__ import annotations

from typing import NamedTuple

from gateway.core.tokens import bounded, output_estimate, suspect
from gateway.types import Abilities, Usage


class Charge(NamedTuple):
    tokens: int
    estimated: bool = False
    suspect: bool = False


def charge(
    usage: Usage | None, *, input_bound: int, output_bytes: int, held: int, abilities: Abilities, interrupted: bool
) -> Charge:
    """Tokens to settle for one attempt.

    input_bound: upper bound of the request in tokens. output_bytes: bytes of generated content that were seen.
    held: the reservation. interrupted: the answer did not come to its end, so a report may be a beginning only.
    """
    if usage is not None and not interrupted and 0 < usage.total <= 4 * held and usage.input >= 0 and usage.output >= 0:
        return Charge(usage.total)  # nearly always
    seen = input_bound + (output_estimate(output_bytes) if output_bytes else 0)
    if usage is None:  # normal for an answer that was cut, for one that came to its end it is not
        return Charge(seen, estimated=True, suspect=not interrupted)
    total = usage.total or usage.input + usage.output
    if (
        total <= 0
        or min(usage.input, usage.output) < 0
        or suspect(total, held, abilities.context, abilities.max_output)
    ):
        return Charge(bounded(total, seen, held, abilities.context, abilities.max_output), estimated=True, suspect=True)
    if interrupted and output_bytes:
        counted = usage.input + max(usage.output, output_estimate(output_bytes))
        return Charge(max(total, counted), estimated=counted > total)
    return Charge(total)
