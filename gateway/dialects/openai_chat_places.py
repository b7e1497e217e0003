"""Where in a Chat body the things stand that a provider's dialect names (core/places.py). Runs when something is refused, only."""

from __future__ import annotations

from typing import Any

from gateway.core.places import Spelling, Spot, located
from gateway.dialects.openai_body import read_object

_TAILS = {".thought_signature": ".extra_content.google.thought_signature"}


def spelled(param: str, body: bytes) -> str:
    """`param` as the client wrote it. `body` is a request that was read."""
    fields = read_object(body)
    names = {"max_tokens": "max_completion_tokens"} if fields.get("max_completion_tokens") is not None else {}
    if fields.get("tools") is None and fields.get("functions") is not None:
        names |= {"tools": "functions", "tool_choice": "function_call"}
    spots = [_spot(item, f"messages[{at}]") for at, item in enumerate(fields["messages"])]
    return located(param, spots, Spelling(names, _TAILS, inner=".content[{at}]", item="[{at}]"))


def _spot(item: dict[str, Any], place: str) -> Spot:
    """Parts stand in the order of the reader: thoughts, server blocks, content, refusal, audio, calls."""
    if item.get("role") in ("tool", "function"):
        return Spot(place, [place])
    spot = Spot(place, _thoughts(item, place) + _ran(item, place))
    content = item.get("content")
    if isinstance(content, list):
        spot.parts += [f"{place}.content[{at}]" for at in range(len(content))]
    elif content is not None:
        spot.parts.append(f"{place}.content")
    spot.parts += [f"{place}.{name}" for name in ("refusal", "audio") if item.get(name)]
    calls = item.get("tool_calls")
    spot.parts += [f"{place}.tool_calls[{at}]" for at in range(len(calls) if isinstance(calls, list) else 0)]
    return spot


def _thoughts(item: dict[str, Any], place: str) -> list[str]:
    blocks, where = item.get("thinking_blocks"), f"{place}.thinking_blocks"
    if not blocks:
        extra = item.get("extra_content")
        own = extra.get("anthropic") if isinstance(extra, dict) else None
        blocks, where = own.get("thinking_blocks") if isinstance(own, dict) else None, f"{place}.extra_content"
    if blocks:
        return [f"{where}[{at}]" for at in range(len(blocks))]
    return [f"{place}.reasoning_content"] if item.get("reasoning_content") else []


def _ran(item: dict[str, Any], place: str) -> list[str]:
    extra = item.get("extra_content")
    owns = [(vendor, extra.get(vendor)) for vendor in ("anthropic", "google")] if isinstance(extra, dict) else []
    lists = [(vendor, own.get("server_blocks")) for vendor, own in owns if isinstance(own, dict)]
    where = f"{place}.extra_content"
    return [f"{where}.{vendor}.server_blocks[{at}]" for vendor, found in lists for at in range(len(found or ()))]
