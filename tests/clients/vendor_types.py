"""Whether a body is a request by the vendor's own types, those of its official SDK; unknown fields are errors."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from anthropic.types import ContentBlockParam
from anthropic.types.message_create_params import MessageCreateParamsNonStreaming, MessageCreateParamsStreaming
from google.genai import types as genai
from pydantic import ConfigDict, TypeAdapter

# The types are TypedDicts, which take any further key unless told otherwise, and they are told through the union only.
ANTHROPIC: TypeAdapter[Any] = TypeAdapter(
    MessageCreateParamsStreaming | MessageCreateParamsNonStreaming, config=ConfigDict(extra="forbid")
)
# For a block of a message the SDK also takes its own answer objects, which allow anything; on the wire these are all there are.
BLOCK: TypeAdapter[Any] = TypeAdapter(ContentBlockParam, config=ConfigDict(extra="forbid"))
# Gone from the SDK's types since models ignore or refuse them; older models on the wire take them still.
SAMPLING = {"temperature", "top_p", "top_k"}

# Of a Gemini request the SDK's configuration holds these; on the wire they stand beside generationConfig.
BESIDE = {"systemInstruction", "tools", "toolConfig", "safetySettings", "cachedContent", "labels", "store"}


def anthropic(body: dict[str, Any]) -> None:
    """Raises pydantic.ValidationError."""
    _walk(ANTHROPIC.validate_python({name: value for name, value in body.items() if name not in SAMPLING}))
    for message in body["messages"]:
        for block in message["content"] if isinstance(message["content"], list) else []:
            _walk(BLOCK.validate_python(block))


def gemini(body: dict[str, Any]) -> None:
    """Raises pydantic.ValidationError, or AssertionError for a field that stands in the wrong place."""
    assert set(body) <= BESIDE | {"contents", "generationConfig"}, set(body)
    beside = {name: body[name] for name in BESIDE if name in body}
    genai.GenerateContentConfig.model_validate({**body.get("generationConfig", {}), **beside})
    for content in body["contents"]:
        genai.Content.model_validate(content)


CHECKS: dict[str, Callable[[dict[str, Any]], None]] = {"anthropic": anthropic, "gemini": gemini}


def check(provider: str, body: dict[str, Any]) -> None:
    CHECKS[provider](body)


def _walk(value: Any) -> None:
    # pydantic checks an Iterable only while somebody walks it.
    if isinstance(value, dict):
        for child in value.values():
            _walk(child)
    elif hasattr(value, "__iter__") and not isinstance(value, str | bytes):
        for child in value:
            _walk(child)
