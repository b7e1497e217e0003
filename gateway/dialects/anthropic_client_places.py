"""Where in a Messages body the things stand that a provider's dialect names (core/places.py). Runs when something is refused,
only. Anthropic's spelling is `messages.2.content.0`; its clients look for the place at the beginning of the message.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from gateway.core.places import Spelling, Spot, located
from gateway.dialects.anthropic_client_checks import fields_of
from gateway.dialects.anthropic_client_content import assistant_block, spoken_block, texts
from gateway.dialects.anthropic_client_messages import merges, speaks
from gateway.types import Part

WORDS: Mapping[str, str] = {
    "stop": "stop_sequences",
    "response_format": "output_config.format",
    "reasoning_effort": "output_config.effort",
    "user": "metadata.user_id",
    "safety_identifier": "metadata.user_id",
    "parallel_tool_calls": "tool_choice.disable_parallel_tool_use",
}
_TAILS = {".tool_call_id": ".tool_use_id", ".thought_signature": ".signature"}
_SPELLING = Spelling(WORDS, _TAILS, inner=".content.{at}", item=".{at}")


def spelled(param: str, body: bytes) -> str:
    """`param` as the client wrote it. `body` is a request that was read."""
    fields = fields_of(body)
    spots = _system(fields.get("system"))
    spots += [_spot(item, f"messages.{at}") for at, item in enumerate(fields["messages"])]
    return located(param, spots, _SPELLING)


def _system(value: Any) -> list[Spot]:
    if value is None:
        return []
    whole = isinstance(value, str)
    said = [at for at, part in enumerate(texts(value, "system")) if speaks(part)]
    return [Spot("system", ["system" if whole else f"system.{at}" for at in said])] if said else []


def _spot(item: dict[str, Any], place: str) -> Spot:
    content, spot = item.get("content"), Spot(place)
    if not isinstance(content, list):
        spot.parts = [f"{place}.content"]
        return spot
    parts: list[Part] = []
    for at, block in enumerate(content):
        inside = f"{place}.content.{at}"
        if item.get("role") == "assistant":
            found = assistant_block(block, "{}", inside, [])
            if merges(parts, found):
                parts.pop()
                spot.parts.pop()
        else:
            found = spoken_block(block, inside, [])
        parts += found
        spot.parts += [inside] * len(found)
    return spot
