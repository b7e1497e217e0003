"""Usage of several requests for one answer, added up."""

from __future__ import annotations

from msgspec import Raw

from gateway.core.usage import summed
from gateway.types import Modalities, Usage


def test_what_each_request_used_adds_up() -> None:
    before = Usage(10, 5, 3, 2, 1, 15, 1, Modalities(text=4), None, Modalities(1, 2, 3))
    now = Usage(20, 6, 1, 0, 2, 26, 0, Modalities(audio=5), Modalities(audio=1), None)

    assert summed(before, now) == Usage(
        30, 11, 4, 2, 3, 41, 1, Modalities(text=4, audio=5), Modalities(audio=1), Modalities(1, 2, 3)
    )
    assert summed(None, now) == now and summed(before, None) == before


def test_a_vendors_own_counts_add_up_and_of_its_words_the_later_stays() -> None:
    before = Usage(
        own={"anthropic": Raw(b'{"output_tokens":5,"server_tool_use":{"web_search_requests":1},"speed":"fast"}')}
    )
    now = Usage(
        own={"anthropic": {"output_tokens": 7, "server_tool_use": {"web_search_requests": 2}, "speed": None, "x": 1}}
    )
    both = summed(before, now)

    assert both is not None
    assert both.own == {
        "anthropic": {"output_tokens": 12, "server_tool_use": {"web_search_requests": 3}, "speed": "fast", "x": 1}
    }
    assert summed(Usage(), now) == now
