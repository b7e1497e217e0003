"""OpenAI's `web_search_options` as Anthropic's own web search tool. Its results stay hidden; what they say is cited.

Sources: anthropic types web_search_tool_20260318_param.py; openai types completion_create_params.py (WebSearchOptions).
"""

from __future__ import annotations

from typing import Any

from gateway.types import Notes, Request, Unsupported

TYPE = "web_search_20260318"
NAME = "web_search"
USES = {"low": 1, "medium": 5, "high": 10}  # searches, by how much context the client wants of them
_LOCATION = ("city", "country", "region", "timezone")


def web_search(request: Request, notes: Notes) -> list[dict[str, Any]]:
    """The tool to offer behind the client's own, [] when it wants no search. Raises Unsupported where its name is taken."""
    options = request.extra.get("web_search_options")
    if options is None:
        return []
    if not isinstance(options, dict):
        raise Unsupported("web_search_options", "web_search_options must be an object", "invalid_request")
    if any(_searches(tool.native) for tool in request.tools if tool.native is not None):
        return []
    if any(tool.name == NAME for tool in request.tools):
        raise Unsupported("web_search_options", f"a tool of the name {NAME!r} is offered already", "invalid_request")
    notes.warn("web_search_emulated")
    made: dict[str, Any] = {"type": TYPE, "name": NAME}
    size = options.get("search_context_size")
    if isinstance(size, str) and size in USES:
        made["max_uses"] = USES[size]
    place = _place(options.get("user_location"))
    return [{**made, "user_location": place} if place else made]


def _searches(native: dict[str, Any]) -> bool:
    return str(native.get("type", "")).startswith("web_search_20")


def _place(location: Any) -> dict[str, Any] | None:
    """Where the user roughly is: one level less deep than OpenAI says it."""
    given = location.get("approximate") if isinstance(location, dict) else None
    known = {key: given[key] for key in _LOCATION if isinstance(given.get(key), str)} if isinstance(given, dict) else {}
    return {"type": "approximate", **known} if known else None
