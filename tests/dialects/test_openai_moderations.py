"""Moderations pass through: the model is read and changed, nothing else."""

from __future__ import annotations

import pytest

from gateway.dialects.openai_moderations import OPENAI_MODERATIONS as DIALECT
from gateway.types import BadReply, BadRequest, Change


def test_a_model_that_was_named_is_changed_and_none_is_added() -> None:
    named, silent = b'{"input": ["x"], "model":"safe"}', b'{"input": "x"}'
    change = Change(model="omni-moderation-latest")

    assert DIALECT.peek(named).model == "safe"
    assert DIALECT.change(named, DIALECT.peek(named), change) == b'{"input": ["x"], "model":"omni-moderation-latest"}'
    assert DIALECT.change(silent, DIALECT.peek(silent), change) is silent


@pytest.mark.parametrize("body", [b"", b"[]", b'{"model":"m"}', b'{"input":"x","model":[]}', b'{"input":null}'])
def test_what_cannot_be_understood_is_refused(body: bytes) -> None:
    with pytest.raises(BadRequest):
        DIALECT.peek(body)


def test_an_answer_has_results_and_no_usage() -> None:
    assert DIALECT.glance(b'{"id":"modr-1","results":[]}').usage is None
    for body in (b"", b"[]", b'{"error":{}}'):
        with pytest.raises(BadReply):
            DIALECT.glance(body)
