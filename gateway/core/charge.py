"""What a call may cost and what an attempt did cost, in tokens. Pure.

Rule 1: a sane report is charged as it is, even above what was held; where its total is less than its parts, its parts. Rule 2: a missing one is estimated from above: what was
used is never under-counted; an answer that came to its end without one is marked suspect. Rule 3: an absurd one (negative, or
above four times the hold and above all that the model can hold) never reaches an account; the bound takes its place and the
answer is marked suspect.
"""

from __future__ import annotations

from gateway.core.tokens import bounded, output_estimate, suspect
from gateway.types import Abilities, Usage

DEFAULT_MAX_OUTPUT = 32_768  # of a model the catalogue knows nothing about
PLENTY = 4  # with room for this many such calls the model's own cap will do
LEAST_OUTPUT = 1024  # what an answer gets before others' room is thought of
LEAST_CAP = 16  # the smallest that OpenAI's Responses API takes, and what a smaller one becomes there: less is never held, nor sent as ours


def uncapped(input_bound: int, n: int, max_output: int | None) -> int:
    """The tokens to hold for a call without an output cap where there is room: all that the model may write."""
    return input_bound + (max_output or DEFAULT_MAX_OUTPUT) * n


def reservation(input_bound: int, n: int, max_output: int | None, room: int | None) -> tuple[int, int | None]:
    """For a call without an output cap: the tokens to hold, and the cap per answer to send upstream (None: the model's own).

    Far from the limit that is all the model may write. Close to it a call takes a quarter of the room, so that several can run
    side by side; what is held is then enforced upstream, or the quota would only be hoped for. `room` None: no limit.
    """
    whole = uncapped(input_bound, n, max_output)
    if room is None or room >= PLENTY * whole:
        return whole, None
    left = max(1, room - input_bound)
    output = max(min(whole - input_bound, max(left // 4, min(left, LEAST_OUTPUT))), LEAST_CAP * n)
    return input_bound + output, output // n


def capped(input_bound: int, cap: int, n: int) -> int:
    """The tokens to hold for a call whose client limits each of its `n` answers; 0: nothing is generated."""
    return input_bound + (LEAST_CAP if 0 < cap < LEAST_CAP else cap) * n


Charge = tuple[int, bool, bool]  # tokens, whether they are estimated, whether the report was suspect


def sound(usage: Usage, held: int) -> bool:
    """Whether a report is charged without a second look: positive, no less than its parts, and not above four times what was held."""
    input, output = usage.input, usage.output
    return 0 < usage.total <= 4 * held and input >= 0 and output >= 0 and usage.total >= input + output


def charge(
    usage: Usage | None, *, input_bound: int, output_bytes: int, held: int, abilities: Abilities, interrupted: bool
) -> Charge:
    """Tokens to settle for one attempt.

    input_bound: upper bound of the request in tokens. output_bytes: bytes of generated content that were seen.
    held: the reservation. interrupted: the answer did not come to its end, so a report may be a beginning only.
    """
    if usage is not None and not interrupted and sound(usage, held):
        return usage.total, False, False  # nearly always
    seen = input_bound + (output_estimate(output_bytes) if output_bytes else 0)
    if usage is None:  # normal for an answer that was cut, for one that came to its end it is not
        return seen, True, not interrupted
    parts = (usage.input, usage.output, usage.total)
    total = max(usage.total, usage.input + usage.output) if min(parts) >= 0 else 0  # a negative part spoils the rest
    if suspect(total, held, abilities.context, abilities.max_output):
        return bounded(total, seen, held, abilities.context, abilities.max_output), True, True
    if interrupted and output_bytes:
        counted = usage.input + max(usage.output, output_estimate(output_bytes))
        return max(total, counted), counted > total, False
    return total, False, False
