"""Other vendors' web searches as Anthropic's own web search tool. Its results stay hidden; what they say is cited.

OpenAI's Chat has `web_search_options`, its Responses a tool of the type `web_search`, Gemini a tool `google_search`. How often
Anthropic may search is `max_uses` of its tool: what OpenAI says of the context it wants, or as `max_tool_calls`. Sources: anthropic types web_search_tool_20260318_param.py; openai types completion_create_params.py (WebSearchOptions).
"""

from __future__ import annotations

from typing import Any

from gateway.types import Notes, Request, Unsupported

TYPE = "web_search_20260318"
NAME = "web_search"
USES = {"low": 1, "medium": 5, "high": 10}  # searches, by how much context the client wants of them
GOOGLES = {"google_search", "googleSearch"}  # keys of Gemini's own search
COUNTED = ("web_search_20", "web_fetch_20")  # tools that Anthropic runs, and counts
_LOCATION = ("city", "country", "region", "timezone")


def web_search(request: Request, notes: Notes) -> list[dict[str, Any]]:
    """The tool to offer behind the client's own, [] when it wants no search. Raises Unsupported where its name is taken."""
    options = request.extra.get("web_search_options")
    if options is None:
        return []
    if not isinstance(options, dict):
        raise Unsupported("web_search_options", "web_search_options must be an object", "invalid_request")
    if any(_searches(tool.native) or counterpart(tool.native) for tool in request.tools if tool.native is not None):
        return []
    if any(tool.name == NAME for tool in request.tools):
        raise Unsupported("web_search_options", f"a tool of the name {NAME!r} is offered already", "invalid_request")
    notes.warn("web_search_emulated")
    return [_tool(options.get("search_context_size"), options.get("user_location"))]


def _tool(size: Any, location: Any) -> dict[str, Any]:
    made: dict[str, Any] = {"type": TYPE, "name": NAME}
    if isinstance(size, str) and size in USES:
        made["max_uses"] = USES[size]
    place = _place(location)
    return {**made, "user_location": place} if place else made


def counterpart(native: dict[str, Any]) -> dict[str, Any] | None:
    """Another vendor's search as Anthropic's tool; None when `native` is no search, or must not reach the web as it is now."""
    kind = native.get("type")
    if not (isinstance(kind, str) and kind.startswith("web_search")) and not native.keys() & GOOGLES:
        return None
    if native.get("external_web_access") is False:
        return None
    made = _tool(native.get("search_context_size"), native.get("user_location"))
    filters = native.get("filters")
    domains = filters.get("allowed_domains") if isinstance(filters, dict) else None
    return {**made, "allowed_domains": domains} if isinstance(domains, list) and domains else made


def limit_uses(wire: list[dict[str, Any]], request: Request, notes: Notes) -> None:
    """Keep a single tool that Anthropic runs to `max_tool_calls`; for several nobody counts, and the limit is left out."""
    most = request.extra.get("max_tool_calls")
    if most is None:
        return
    ran = [tool for tool in wire if str(tool.get("type", "")).startswith(COUNTED)]
    if type(most) is not int or most < 1 or len(ran) != 1:
        notes.drop("max_tool_calls", "unknown_field")
        return
    given = ran[0].get("max_uses")
    ran[0]["max_uses"] = min(most, given) if type(given) is int else most


def _searches(native: dict[str, Any]) -> bool:
    return str(native.get("type", "")).startswith("web_search_20")


def _place(location: Any) -> dict[str, Any] | None:
    """Where the user roughly is; Chat says it one level deeper than Responses and Anthropic."""
    given = location.get("approximate", location) if isinstance(location, dict) else None
    known = {key: given[key] for key in _LOCATION if isinstance(given.get(key), str)} if isinstance(given, dict) else {}
    return {"type": "approximate", **known} if known else None
