"""pause_turn: the model stops within its turn, in the middle of a search, and goes on when its own words are sent back to it.

The paused turn ends with a `server_tool_use` whose id says what it belongs to; what comes next begins with its result.
Rule: a paused turn may end a conversation also where the model takes no prefill, but only if this vendor made it.
"""

from __future__ import annotations

import hashlib
from typing import Any

import orjson

SEARCH = "server_tool_use"


def pause_id(model: str, messages: list[Any], number: int) -> str:
    """The id of the search at which a turn pauses for the `number`th time."""
    digest = hashlib.blake2b(orjson.dumps([model, messages, number]), digest_size=11).hexdigest()
    return f"srvtoolu_01{digest}"


def paused(body: dict[str, Any]) -> list[dict[str, Any]]:
    """The blocks of the turn that the conversation ends with, if it is one that paused; else nothing."""
    *before, last = body["messages"]
    content = last.get("content") if isinstance(last, dict) and last.get("role") == "assistant" else None
    if not isinstance(content, list) or not content or not isinstance(content[-1], dict):
        return []
    expected = pause_id(body["model"], before, searches(content))
    return content if content[-1].get("type") == SEARCH and content[-1].get("id") == expected else []


def searches(content: list[Any]) -> int:
    """How many searches there are in a turn."""
    return sum(isinstance(block, dict) and block.get("type") == SEARCH for block in content)


def said(content: list[Any]) -> int:
    """Characters of text in a turn so far."""
    return sum(len(block["text"]) for block in content if block.get("type") == "text")


def search(id: str, prompt: str) -> dict[str, Any]:
    """The block that a paused turn ends with."""
    return {"type": SEARCH, "id": id, "name": "web_search", "input": {"query": prompt[:80]}}


def found(id: str) -> dict[str, Any]:
    """The block that the next part of the turn begins with."""
    return {"type": "web_search_tool_result", "tool_use_id": id, "content": []}
