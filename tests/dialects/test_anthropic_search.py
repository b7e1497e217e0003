"""Other vendors' web searches as Anthropic's own, and how often it may search."""

from __future__ import annotations

from typing import Any

import pytest
from anthropic_models import WEATHER, ask, write

from gateway.types import Tool

NEAR = {"type": "approximate", "city": "Nice", "country": "FR"}


@pytest.mark.parametrize(
    ("foreign", "more"),
    [
        ({"type": "web_search"}, {}),
        ({"type": "web_search_preview_2025_03_11", "search_context_size": "low"}, {"max_uses": 1}),
        ({"type": "web_search", "user_location": {**NEAR, "region": None}}, {"user_location": NEAR}),
        ({"type": "web_search", "filters": {"allowed_domains": ["a.org"]}}, {"allowed_domains": ["a.org"]}),
        ({"google_search": {}}, {}),
    ],
)
def test_another_vendors_search_becomes_anthropics(foreign: Any, more: Any) -> None:
    body, written, notes = write(ask(tools=[WEATHER, Tool("web_search", native=foreign)]))

    assert body["tools"][1] == {"type": "web_search_20260318", "name": "web_search", **more}
    assert notes.warnings == ["web_search_emulated"]
    assert written.undo.sent is not None  # its answer may pause


def test_a_search_that_cannot_be_offered_is_left_out_where_it_need_not_be_there() -> None:
    cached_only = {"type": "web_search", "external_web_access": False}
    for tools in (
        [WEATHER, Tool("web_search", native=cached_only, optional=True)],
        [Tool("web_search"), Tool("web_search", native={"type": "web_search"}, optional=True)],
    ):
        body, _, notes = write(ask(tools=tools))

        assert len(body["tools"]) == 1
        assert (notes.dropped, notes.warnings) == (["tools.web_search"], ["server_tool_unsupported"])


@pytest.mark.parametrize(
    ("natives", "most", "uses", "dropped"),
    [
        ([{"type": "web_search"}], 3, [3], []),
        ([{"type": "web_search", "search_context_size": "low"}], 3, [1], []),
        ([{"type": "web_fetch_20250910", "name": "web_fetch", "max_uses": 9}], 3, [3], []),
        ([{"type": "web_search"}, {"type": "web_fetch_20250910", "name": "web_fetch"}], 3, [None, None], ["max_tool_calls"]),
        ([], 3, [], ["max_tool_calls"]),
        ([{"type": "web_search"}], "many", [None], ["max_tool_calls"]),
    ],
)  # fmt: skip
def test_calls_of_a_tool_that_anthropic_runs_are_counted_there(
    natives: list[Any], most: Any, uses: list[Any], dropped: list[str]
) -> None:
    tools = [Tool(f"t{at}", native=native) for at, native in enumerate(natives)]
    body, _, notes = write(ask(tools=tools, extra={"max_tool_calls": most}))

    assert [tool.get("max_uses") for tool in body.get("tools", [])] == uses
    assert notes.dropped == dropped
    assert all("max_uses" not in native or native["max_uses"] == 9 for native in natives)
