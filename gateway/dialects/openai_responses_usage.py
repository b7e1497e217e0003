"""Usage as the Responses API spells it, both ways. Source: openai-python, types/responses/response_usage.py."""

from __future__ import annotations

from typing import Any

from gateway.types import Usage


def usage_of(value: object) -> Usage | None:
    """The usage object, or None when it is missing or its counts are no whole numbers."""
    if not isinstance(value, dict):
        return None
    before, after = value.get("input_tokens"), value.get("output_tokens", 0)
    if type(before) is not int or type(after) is not int:
        return None
    total = value.get("total_tokens")
    read, made = value.get("input_tokens_details"), value.get("output_tokens_details")
    return Usage(
        input=before,
        output=after,
        cache_read=_count(read, "cached_tokens"),
        cache_write=_count(read, "cache_write_tokens"),
        reasoning=_count(made, "reasoning_tokens"),
        total=total if type(total) is int else before + after,
    )


def usage_object(usage: Usage) -> dict[str, Any]:
    """The usage object for a client. Typed clients refuse one without all of its counts, and take a vendor's own beside them."""
    return {
        "input_tokens": usage.input,
        "input_tokens_details": {"cached_tokens": usage.cache_read, "cache_write_tokens": usage.cache_write},
        "output_tokens": usage.output,
        "output_tokens_details": {"reasoning_tokens": usage.reasoning},
        "total_tokens": usage.total or usage.input + usage.output,
        **(usage.own or {}),
    }


def _count(details: object, field: str) -> int:
    count = details.get(field) if isinstance(details, dict) else None
    return count if type(count) is int else 0
