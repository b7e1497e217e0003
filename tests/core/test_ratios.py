"""What is learnt of a model's tokens from what its provider reports."""

from __future__ import annotations

import pytest

from gateway.core.ratios import BINS, ENOUGH, FRAME_TOKENS, MARGIN_BINS, MOST, Ratios, decoded, merged


def taught(*samples: tuple[int, int], times: int = ENOUGH) -> Ratios:
    ratios = Ratios()
    for bound, tokens in samples:
        for _ in range(times):
            ratios.learn("m", bound, tokens)
    return ratios


def test_the_bound_lies_above_nearly_all_that_was_seen_and_far_below_the_bytes() -> None:
    ratios = taught((1_000, 250), (1_000, 300))
    assert 300 < ratios.bound("m", 1_000) < 400
    assert 3_000 < ratios.bound("m", 10_000) < 3_700


def test_one_call_in_a_thousand_does_not_decide_but_one_in_a_hundred_does() -> None:
    ratios = taught((1_000, 250), times=2_000)
    usual = ratios.bound("m", 10_000)
    ratios.learn("m", 1_000, 900)
    assert ratios.bound("m", 10_000) == usual
    for _ in range(40):
        ratios.learn("m", 1_000, 900)
    assert ratios.bound("m", 10_000) > 9_000


def test_it_is_never_above_the_bytes() -> None:
    assert taught((1_000, 990), (1_000, 5_000)).bound("m", 700) == 700


@pytest.mark.parametrize("model", ["m", "other"])
def test_few_samples_teach_nothing(model: str) -> None:
    assert taught((1_000, 250), times=ENOUGH - 1).bound(model, 1_000) == 1_000


def test_short_texts_and_senseless_reports_teach_nothing() -> None:
    ratios = taught((150, 20), (1_000, 0), (1_000, -5), (0, 10))
    assert ratios.fresh == {}


def test_what_processes_learnt_is_added_up_and_comes_back() -> None:
    one, other = taught((1_000, 250), times=60), taught((1_000, 250), times=60)
    stored = merged(merged(b"", one.fresh), other.fresh)
    assert sum(decoded(stored)["m"]) == 120
    again = Ratios()
    again.load(stored)
    assert (
        again.bound("m", 10_000) == 10_000 * (1_000 * 250 * BINS // 10**6 + 1 + MARGIN_BINS) // BINS + FRAME_TOKENS + 1
    )
    assert again.fresh == {}


def test_what_could_not_be_stored_stays_fresh() -> None:
    ratios = taught((1_000, 250), times=60)
    fresh, ratios.fresh = ratios.fresh, {}
    ratios.learn("m", 1_000, 250)
    ratios.forgotten(fresh)
    assert sum(ratios.fresh["m"]) == 61


def test_old_samples_fade() -> None:
    stored = merged(b"", taught((1_000, 250), times=MOST + 1).fresh)
    assert sum(decoded(stored)["m"]) == (MOST + 2) // 2


@pytest.mark.parametrize("stored", [b"", b"\xff", b"nonsense", b"\x81\xa1m\x91\x01", b"\xc0"])
def test_a_note_that_cannot_be_read_teaches_nothing(stored: bytes) -> None:
    ratios = Ratios()
    ratios.load(stored)
    assert ratios.bound("m", 1_000) == 1_000
    assert decoded(merged(stored, {})) == {}
