"""Usage as Chat and the legacy completions spell it, both ways. Source: openai-python, types/completion_usage.py."""

from __future__ import annotations

from typing import Any, TypeGuard

from gateway.types import MAX_COUNT, Modalities, Usage


def usage_of(value: object) -> Usage | None:
    """The usage object, or None when it is missing or its counts are no whole numbers."""
    if not isinstance(value, dict):
        return None
    prompt, completion = value.get("prompt_tokens"), value.get("completion_tokens", 0)
    if not (_is_count(prompt) and _is_count(completion)):
        return None
    total = value.get("total_tokens")
    before, after = value.get("prompt_tokens_details"), value.get("completion_tokens_details")
    return Usage(
        input=prompt,
        output=completion,
        cache_read=_count(before, "cached_tokens"),
        cache_write=_count(before, "cache_write_tokens"),
        reasoning=_count(after, "reasoning_tokens"),
        total=total if _is_count(total) else prompt + completion,
        input_by=_by_modality(before),
        output_by=_by_modality(after),
    )


def usage_object(usage: Usage) -> dict[str, Any]:
    """The usage object for a client. A detail that no vendor reported is left out rather than guessed.

    A vendor's own object stands beside OpenAI's fields under the vendor's name, for what these cannot say.
    """
    details: dict[str, int] = {"cached_tokens": usage.cache_read}
    if usage.cache_write:
        details["cache_write_tokens"] = usage.cache_write
    if usage.input_by is not None:
        details |= _named(usage.input_by)
    written: dict[str, Any] = {
        "prompt_tokens": usage.input,
        "completion_tokens": usage.output,
        "total_tokens": usage.total or usage.input + usage.output,
        "prompt_tokens_details": details,
    }
    made = {"reasoning_tokens": usage.reasoning} if usage.reasoning else {}
    if usage.output_by is not None:
        made |= _named(usage.output_by)
    if made:
        written["completion_tokens_details"] = made
    if usage.own is not None:
        written.update(usage.own)
    return written


def _named(by: Modalities) -> dict[str, int]:
    return {f"{name}_tokens": count for name in by.__struct_fields__ if (count := getattr(by, name))}


def _by_modality(details: object) -> Modalities | None:
    """Tokens by what they stand for, None where nothing but text is told of: OpenAI says 0 for the rest."""
    found = Modalities(_count(details, "text_tokens"), _count(details, "image_tokens"), _count(details, "audio_tokens"))
    return found if found.image or found.audio else None


def _count(details: object, field: str) -> int:
    count = details.get(field) if isinstance(details, dict) else None
    return count if _is_count(count) else 0


def _is_count(value: object) -> TypeGuard[int]:
    return type(value) is int and -MAX_COUNT <= value <= MAX_COUNT
