"""What a whole answer that is none comes to: the same faults as inside a stream."""

from __future__ import annotations

from typing import Any

import pytest

from gateway.attempt import WholeAnswer
from gateway.call import Trail
from gateway.core.retry import EFFECT, pause_s
from gateway.dialects.gemini import GEMINI
from gateway.errors import Fault, Next
from gateway.providers.gemini import GeminiVendor

RELAYED = pytest.mark.parametrize("passthrough", [GEMINI, None], ids=["relayed", "translated"])
WORDS = b'{"content":{"parts":[{"text":"hi"}]},"finishReason":"STOP"}'
RESTRICTED = b'{"content":{"parts":[{"text":"hi"}]},"finishReason":"PUP_LIMITED_DISABLED"}'


def fault_of(body: bytes, passthrough: Any) -> Fault | None:
    nobody: Any = None
    sink = WholeAnswer(GeminiVendor(), nobody, Trail(), lambda: 0.0, GEMINI, passthrough)
    sink.on_head(200, {})
    sink.on_data(body)
    sink.on_end()
    assert sink.ended
    return sink.report.fault


@RELAYED
@pytest.mark.parametrize("candidates", [RESTRICTED, WORDS + b"," + RESTRICTED])
def test_an_account_that_may_not_use_the_model_is_forbidden_and_not_broken(candidates: bytes, passthrough: Any) -> None:
    fault = fault_of(b'{"candidates":[' + candidates + b"]}", passthrough)

    assert fault is not None
    assert (fault.kind, fault.next, fault.safe_message) == ("forbidden", Next.OTHER, "")
    assert "PUP_LIMITED_DISABLED" in fault.log_message
    assert EFFECT[fault.kind].breaker == "neutral"
    assert pause_s(fault, 0.5) is None, "the same key may not use it the next time either"


@RELAYED
@pytest.mark.parametrize("body", [b"{}", b"<html>", b'{"candidates":5}'])
def test_what_cannot_be_read_is_a_failure(body: bytes, passthrough: Any) -> None:
    fault = fault_of(body, passthrough)

    assert fault is not None
    assert (fault.kind, fault.next) == ("bad_reply", Next.SAME)


@RELAYED
def test_an_answer_is_one(passthrough: Any) -> None:
    assert fault_of(b'{"candidates":[' + WORDS + b"]}", passthrough) is None
