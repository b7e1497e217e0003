"""The conformance cases of the translation contract: each has a golden folder, or a test that says why it needs none."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from golden_case import ROOT, cases

TESTS = Path(__file__).parents[1]

CHAT_TO_ANTHROPIC = "A01 A02 A04 A05 A07 A09 A10 A11 A14 A15 A17 A19 A20 A21 A23 A25 A26 A28 A29 A30 A31 A33 A34 A36 A37 A38 A39 A43 A44"
ANTHROPIC_TO_CHAT = "B01 B02 B04 B06 B07 B08 B09 B11 B13 B15 B16"
GEMINI = "C01 C03 C05 C06 C08 C10 C11 C12 C13 C16 C18 C19 C20 C21 C22 C24 C26 C29"
FAILURES = "F01 F02 F04 F05 F07 F12"
ANTHROPIC_CLIENTS = "D01 D02 D04 D07 D08"
RESPONSES = "E01 E03 E05 E06 E07 E08 E10 E11 E12 E13 E14"
GOLDEN = f"{CHAT_TO_ANTHROPIC} {ANTHROPIC_TO_CHAT} {GEMINI} {ANTHROPIC_CLIENTS} {RESPONSES} {FAILURES}".split()

# What no folder can show: it needs content no Chat client can send, a memory, a connection, or is about bytes and vectors.
ELSEWHERE = {
    "A41": "dialects/test_anthropic_turns.py:test_a_document_of_an_answer_moves_to_the_next_user_turn",
    "C27": "e2e/test_vectors.py:test_base64_and_numbers_are_the_same_vectors",
    "C28": "e2e/test_vectors.py:test_fewer_dimensions_are_still_of_length_one",
    "D09": "e2e/test_warming.py:test_another_vendor_is_not_called_to_fill_its_cache",
    "D10": "e2e/test_surface_credentials.py:test_every_spelling_is_understood_and_none_is_passed_on",
    "D11": "e2e/test_surface_errors.py:test_providers_that_fail",
    "D12": "e2e/test_counting_and_lists.py:test_the_provider_counts_or_it_is_estimated",
    "D14": "e2e/test_passthrough_bytes.py:test_the_bytes_arrive_as_they_were_sent",
    "C02": "dialects/test_replay.py:test_a_signature_that_the_client_dropped_comes_back_from_the_stash",
    "F08": "e2e/test_fallback.py:test_when_all_fail_one_error_tells_of_every_attempt",
    "F09": "e2e/test_streams.py:test_a_client_that_hangs_up_ends_the_upstream_and_pays_what_was_made",
}


def ids() -> set[str]:
    """The ids with which the `about` of a case begins."""
    settings = [folder / "case.json" for folder in cases() if (folder / "case.json").exists()]
    abouts = [json.loads(path.read_text()).get("about", "") for path in settings]
    begins = re.compile(r"([A-F]\d\d(?:, [A-F]\d\d)*)(?:: | towards )")
    return {id_ for about in abouts if (found := begins.match(about)) for id_ in found.group(1).split(", ")}


@pytest.mark.parametrize("case", GOLDEN)
def test_each_case_has_its_golden_folder(case: str) -> None:
    assert case in ids(), f"no case.json under {ROOT} has an `about` that begins with '{case}: '"


@pytest.mark.parametrize(("case", "place"), ELSEWHERE.items())
def test_a_case_without_a_folder_has_its_test(case: str, place: str) -> None:
    file, _, name = place.partition(":")
    text = (TESTS / file).read_text()

    assert f"def {name}(" in text, case


def test_no_folder_claims_a_case_that_there_is_not() -> None:
    assert ids() - {*GOLDEN, *ELSEWHERE} == set()
