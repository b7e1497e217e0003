"""Where in a generateContent body the things stand that a provider's dialect names (core/places.py). Runs when something is
refused, only.
"""

from __future__ import annotations

from collections.abc import Mapping

from gateway.core.places import Spelling, Spot, located
from gateway.dialects.gemini_client_contents import read_contents, read_system
from gateway.dialects.gemini_client_request import read_object

_CONFIG = {
    "max_tokens": "maxOutputTokens",
    "temperature": "temperature",
    "top_p": "topP",
    "top_k": "topK",
    "stop": "stopSequences",
    "n": "candidateCount",
    "seed": "seed",
    "presence_penalty": "presencePenalty",
    "frequency_penalty": "frequencyPenalty",
    "logprobs": "responseLogprobs",
    "top_logprobs": "logprobs",
    "response_format": "responseSchema",
    "reasoning_effort": "thinkingConfig",
    "modalities": "responseModalities",
}
# What the client's reader takes out of generationConfig as it is.
_OWN = (
    "responseMimeType", "responseSchema", "responseJsonSchema", "responseModalities", "responseFormat", "mediaResolution",
    "speechConfig", "imageConfig", "audioTimestamp", "audioTranscriptionConfig", "translationConfig", "routingConfig",
    "modelSelectionConfig", "enableAffectiveDialog", "enableEnhancedCivicAnswers",
)  # fmt: skip
WORDS: Mapping[str, str] = {
    **{name: f"generationConfig.{own}" for name, own in _CONFIG.items()},
    **{name: f"generationConfig.{name}" for name in _OWN},
    "messages": "contents",
    "tool_choice": "toolConfig.functionCallingConfig",
    "service_tier": "serviceTier",
}
_TAILS = {".tool_call_id": ".functionResponse.id", ".thought_signature": ".thoughtSignature"}
_SPELLING = Spelling(WORDS, _TAILS, inner=".functionResponse", item="")  # tools lie in lists of lists


def spelled(param: str, body: bytes) -> str:
    """`param` as the client wrote it. `body` is a request that was read."""
    fields = read_object(body)
    system = read_system(fields.get("systemInstruction"), "systemInstruction")
    spots = [Spot("systemInstruction") for _ in system]
    inside: list[Spot] = []
    read_contents(fields.get("contents"), "contents", inside)
    return located(param, spots + inside, _SPELLING)
