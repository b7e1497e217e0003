"""Where in a Responses body the things stand that a provider's dialect names (core/places.py). Runs when something is refused,
only.
"""

from __future__ import annotations

from collections.abc import Mapping

from gateway.core.places import Spelling, Spot, located
from gateway.dialects.openai_body import read_object
from gateway.dialects.openai_responses_items import read_items

WORDS: Mapping[str, str] = {
    "messages": "input",
    "max_tokens": "max_output_tokens",
    "response_format": "text.format",
    "reasoning_effort": "reasoning.effort",
    "thinking": "reasoning.effort",
    "verbosity": "text.verbosity",
    "logprobs": "top_logprobs",
}
_TAILS = {".tool_call_id": ".call_id", ".thought_signature": ".encrypted_content"}
_SPELLING = Spelling(WORDS, _TAILS, inner=".output[{at}]", item="[{at}]")


def spelled(param: str, body: bytes) -> str:
    """`param` as the client wrote it. `body` is a request that was read."""
    fields = read_object(body)
    spots: list[Spot] = [Spot("instructions", ["instructions"])] if fields.get("instructions") else []
    inside: list[Spot] = []
    if fields.get("input") is not None:
        read_items(fields["input"], inside)
    place = located(param, spots + inside, _SPELLING)
    # Namespaces and hosted tools lie between the list that a provider saw and the client's.
    return "tools" if place.startswith("tools[") and not _are_functions(fields.get("tools")) else place


def _are_functions(tools: object) -> bool:
    kinds = [tool.get("type") for tool in tools if isinstance(tool, dict)] if isinstance(tools, list) else []
    return all(kind in ("function", "custom") for kind in kinds)
