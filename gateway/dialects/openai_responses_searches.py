"""Web searches that another vendor ran for the model, as the items by which OpenAI tells of its own.

Anthropic and Gemini 3 say it in blocks, one for the call and one for what came of it, which travel sealed in thoughts beside the
item. What Gemini says beside its answer (`Choice.searches`) has no blocks. An item that comes back in a history is done without.
Source: openai-python, types/responses/response_function_web_search.py, response_web_search_call_*_event.py.
"""

from __future__ import annotations

from typing import Any

from msgspec import Struct

from gateway.types import Opaque, Part, VendorBlock

Wire = dict[str, Any]

PREFIX = "ws_gw"  # of the ids of these items: OpenAI's own begin with "ws_" too


class Search(Struct, frozen=True):
    """A search, or a page that was opened. key: its vendor's id for it, by which its end is known."""

    key: str
    action: Wire


def ours(item: Wire) -> bool:
    """Whether an input item is one that was written here."""
    return str(item.get("id")).startswith(PREFIX + "_")


def begun(opaque: Opaque) -> Search | None:
    """The search that a vendor's block begins; None for other blocks."""
    block = opaque.data if opaque.kind == "server_block" and isinstance(opaque.data, dict) else {}
    if opaque.vendor == "anthropic" and block.get("type") == "server_tool_use":
        given = block.get("input")
        action = _action(block.get("name"), given if isinstance(given, dict) else {})
        return Search(str(block.get("id")), action) if action is not None else None
    call = block.get("toolCall") if opaque.vendor == "google" else None
    if isinstance(call, dict) and call.get("toolType") == "GOOGLE_SEARCH_WEB":
        args = call.get("args")
        return Search(str(call.get("id")), _searched(args if isinstance(args, dict) else {}))
    return None


def ended(opaque: Opaque) -> tuple[str, str] | None:
    """The key of the search that a vendor's block ends, and how it went; None for other blocks."""
    block = opaque.data if opaque.kind == "server_block" and isinstance(opaque.data, dict) else {}
    if opaque.vendor == "anthropic" and block.get("type") in ("web_search_tool_result", "web_fetch_tool_result"):
        content = block.get("content")
        kind = content.get("type") if isinstance(content, dict) else None
        failed = isinstance(kind, str) and kind.endswith("_error")
        return str(block.get("tool_use_id")), "failed" if failed else "completed"
    answer = block.get("toolResponse") if opaque.vendor == "google" else None
    return (str(answer.get("id")), "completed") if isinstance(answer, dict) else None


def outcomes(parts: list[Part]) -> dict[str, str]:
    """How the searches of an answer went, by their keys."""
    found = [ended(part.opaque) for part in parts if isinstance(part, VendorBlock)]
    return dict(end for end in found if end is not None)


def unblocked(queries: list[str], parts: list[Part]) -> list[str]:
    """What was searched for without a block that says so."""
    blocks = [begun(part.opaque) for part in parts if isinstance(part, VendorBlock)] if queries else []
    said = {query for search in blocks if search is not None for query in search.action.get("queries", ())}
    return [query for query in queries if query not in said]


def search_action(query: str) -> Wire:
    return {"type": "search", "query": query, "queries": [query]}


def search_item(action: Wire, status: str) -> Wire:
    """The item without its id."""
    return {"type": "web_search_call", "status": status, "action": action}


def _action(name: Any, given: Wire) -> Wire | None:
    if name == "web_search":
        return _searched(given)
    if name == "web_fetch":
        url = given.get("url")
        return {"type": "open_page", "url": url if isinstance(url, str) else None}
    return None


def _searched(given: Wire) -> Wire:
    several = given.get("queries")
    queries = [query for query in several if isinstance(query, str)] if isinstance(several, list) else []
    query = given.get("query")
    queries = queries or ([query] if isinstance(query, str) else [])
    return {"type": "search", "query": queries[0] if queries else "", "queries": queries}
