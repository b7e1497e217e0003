"""The text inside {"input": "…"}, taken out while it comes: every cut gives the same text as the whole."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.core.unwrapping import InputText

TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=30) | st.text('"\\\n\t/u0aé😀', max_size=20)


def unwrapped(pieces: list[str]) -> str:
    reader = InputText()
    return "".join([reader.feed(piece) for piece in pieces]) + reader.end()


@given(TEXTS, st.booleans(), st.sampled_from(["", " ", "\n "]), st.data())
def test_any_text_comes_out_however_it_is_escaped_and_cut(
    text: str, ascii_: bool, gap: str, data: st.DataObject
) -> None:
    wire = "{" + gap + '"input"' + gap + ":" + gap + json.dumps(text, ensure_ascii=ascii_) + gap + "}"
    cuts = sorted(data.draw(st.lists(st.integers(0, len(wire)), max_size=6)))
    pieces = [wire[start:end] for start, end in zip([0, *cuts], [*cuts, len(wire)], strict=True)]

    assert unwrapped(pieces) == text
    assert unwrapped(list(wire)) == text


@given(st.text('{}[]":,input\\ u0d8', max_size=30), st.data())
def test_other_arguments_never_raise_and_do_not_depend_on_the_cut(wire: str, data: st.DataObject) -> None:
    cut = data.draw(st.integers(0, len(wire)))

    assert unwrapped([wire[:cut], wire[cut:]]) == unwrapped([wire])


@pytest.mark.parametrize("wire", ["{}", "", '{"patch": "x"}', '"x"', "[1]", '{"input": 5}', '{"other":1,"input":"x"}', '{"in put":"x"}'])  # fmt: skip
def test_arguments_of_another_shape_go_on_as_they_came(wire: str) -> None:
    assert unwrapped([wire]) == wire
    assert unwrapped(list(wire)) == wire


def test_a_text_is_told_as_soon_as_it_is_certain() -> None:
    reader = InputText()

    told = [reader.feed(piece) for piece in ('{"inp', 'ut":"a\\', "n", "\\ud83d", "\\ude00b", '"}')]
    assert told == ["", "a", "\n", "", "😀b", ""]


@pytest.mark.parametrize(
    ("wire", "text"),
    [
        ('{"input":"a\\ud83d"}', "a\ufffd"),
        ('{"input":"\\ude00b"}', "\ufffdb"),
        ('{"input":"\\ud83d\\ud83d\\ude00"}', "\ufffd😀"),
        ('{"input":"a\\ud83d', "a\ufffd"),
        ('{"input":"a\\', "a"),
        ('{"input":"a\\u00', "a"),
        ('{"input":"a\\uzzzz"}', "a\\uzzzz"),
    ],
)
def test_half_characters_and_cut_escapes_leave_no_half_behind(wire: str, text: str) -> None:
    assert unwrapped([wire]) == text
    assert unwrapped(list(wire)) == text
