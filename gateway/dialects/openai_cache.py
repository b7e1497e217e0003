"""Cache marks towards OpenAI: `prompt_cache_breakpoint` on the same part, for models that take them. Others cache by themselves.

Lifetimes are minimal ones, so what becomes of another vendor's is no shorter.
Source: openai-python, types/chat/chat_completion_content_part_text_param.py, responses/response_input_text_param.py.
"""

from __future__ import annotations

from typing import Any

Wire = dict[str, Any]

FIELD = "prompt_cache_breakpoint"
MAX_MARKS = 4  # that a request can write; the last ones cover the most
_TTLS = {
    "1h": "12h",
    "12h": "12h",
    "30m": "30m",
}  # what is shorter lives as long as the request says, at least 30 minutes


class Marks:
    """The parts of one request that are marked, in its order."""

    __slots__ = ("_parts",)

    def __init__(self) -> None:
        self._parts: list[Wire] = []

    def put(self, part: Wire, cache: dict[str, Any]) -> None:
        """Mark `part`, which is on the wire; `cache` as in types.Text."""
        ttl = cache.get("ttl")
        kept = _TTLS.get(ttl) if isinstance(ttl, str) else None
        part[FIELD] = {"mode": "explicit", "ttl": kept} if kept else {"mode": "explicit"}
        self._parts.append(part)

    def keep_last(self) -> None:
        """Take off what is too many."""
        for part in self._parts[:-MAX_MARKS]:
            del part[FIELD]
