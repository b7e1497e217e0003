"""What an attempt is charged, whatever its provider reports."""

from __future__ import annotations

import pytest

from gateway.core.charge import LEAST_CAP, capped, charge, reservation, sound
from gateway.core.tokens import output_estimate
from gateway.types import Abilities, Usage

HELD = 600
BOUND = 100
SEEN = 40  # bytes of output
ESTIMATE = BOUND + output_estimate(SEEN)
MODEL = Abilities(context=8_000, max_output=2_000)


def charged(usage: Usage | None, interrupted: bool = False, seen: int = SEEN) -> tuple[int, bool, bool]:
    return charge(usage, input_bound=BOUND, output_bytes=seen, held=HELD, abilities=MODEL, interrupted=interrupted)


@pytest.mark.parametrize(
    ("usage", "tokens", "estimated", "suspect"),
    [
        (Usage(25, 10, total=35), 35, False, False),
        (Usage(25, 10, total=90), 90, False, False),  # Gemini counts more than its parts
        (Usage(1_000, 900, total=1_900), 1_900, False, False),  # above what was held, and possible
        (Usage(9_000, 900, total=9_900), 9_900, False, False),  # above four times that, and within the model
        (Usage(25, 10, total=1), 35, False, False),  # a total below its parts
        (Usage(25, 10), 35, False, False),  # none at all
        (None, ESTIMATE, True, True),
        (Usage(), ESTIMATE, True, True),
        (Usage(-5, 10, total=5), ESTIMATE, True, True),
        (Usage(5, -900, total=-895), ESTIMATE, True, True),
        (Usage(25, 10, total=-1), ESTIMATE, True, True),
        (Usage(10**30, 1, total=10**30), 10_000, True, True),
        (Usage(25, 10**12, total=35), 10_000, True, True),  # nor by its parts
    ],
)
def test_a_report_is_charged_estimated_or_bounded(
    usage: Usage | None, tokens: int, estimated: bool, suspect: bool
) -> None:
    assert charged(usage) == (tokens, estimated, suspect)


@pytest.mark.parametrize(
    ("usage", "seen", "expected"),
    [
        (None, SEEN, (ESTIMATE, True, False)),  # usual for an answer that was cut
        (None, 0, (BOUND, True, False)),  # gone before the first byte: the question
        (Usage(25, 1, total=26), SEEN, (25 + output_estimate(SEEN), True, False)),  # reported at its beginning
        (Usage(25, 900, total=925), SEEN, (925, False, False)),
        (Usage(-25, 1, total=26), SEEN, (ESTIMATE, True, True)),
    ],
)
def test_an_answer_that_was_cut_pays_for_what_was_seen_of_it(
    usage: Usage | None, seen: int, expected: tuple[int, bool, bool]
) -> None:
    assert charged(usage, interrupted=True, seen=seen) == expected


@pytest.mark.parametrize(
    "usage",
    [Usage(25, 10, total=1), Usage(25, 10), Usage(-1, 5, total=4), Usage(5, -1, total=4), Usage(1, 1, total=2_401)],
)
def test_what_needs_a_second_look_gets_one(usage: Usage) -> None:
    assert not sound(usage, HELD)
    assert sound(Usage(25, 10, total=35), HELD)


# ---------------------------------------------------------------- the smallest answer


@pytest.mark.parametrize("room", [0, 1, 20, 105, 115, 116, 117, 200])
@pytest.mark.parametrize("n", [1, 3])
def test_no_answer_gets_a_cap_that_is_refused_as_too_small(room: int, n: int) -> None:
    want, cap = reservation(100, n, 4096, room)
    assert cap is not None and cap >= LEAST_CAP
    assert want >= 100 + n * cap, "what is sent is held"


def test_a_smaller_cap_of_the_clients_holds_what_it_may_become() -> None:
    assert [capped(100, cap, 2) for cap in (0, 1, 16, 17)] == [100, 132, 132, 134]
