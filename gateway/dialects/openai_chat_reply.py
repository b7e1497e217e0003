"""A whole answer as Chat spells it, and the words that whole and streamed answers share.

Source: openai-python, types/chat/chat_completion.py. Extensions inside the message: `reasoning_content` to show,
`thinking_blocks` and `extra_content` to send back with the next turn, `images` for what the model drew.
"""

from __future__ import annotations

import re
from typing import Any

import msgspec

from gateway.dialects.openai_usage import usage_object
from gateway.types import (
    Choice,
    Echo,
    FinishReason,
    Image,
    Opaque,
    Reasoning,
    Refusal,
    Reply,
    Text,
    ToolCall,
    VendorBlock,
)

_ID_PREFIX = re.compile(r"^(?:chatcmpl|msg|resp|gen|cmpl)[-_]")
_encode = msgspec.json.Encoder().encode


def write_reply(reply: Reply, echo: Echo) -> bytes:
    """The body of a 200."""
    body: dict[str, Any] = {
        "id": chat_id(reply.id, echo),
        "object": "chat.completion",
        "created": reply.created or echo.created,
        "model": echo.model,
        "choices": [_choice(choice, echo) for choice in reply.choices],
    }
    if reply.usage is not None:
        body["usage"] = usage_object(reply.usage)
    if reply.service_tier is not None:
        body["service_tier"] = reply.service_tier
    body["system_fingerprint"] = None
    return _encode(body)


def chat_id(upstream_id: str, echo: Echo) -> str:
    """`chatcmpl-` and the upstream's id without its own prefix, or our id where the upstream gives none."""
    known = _ID_PREFIX.match(upstream_id)
    return "chatcmpl-" + ((upstream_id[known.end() :] if known else upstream_id) or echo.id)


def finish_reason(reason: FinishReason | None, echo: Echo) -> str:
    """OpenAI's word: a forced tool ends with "stop", the deprecated shape with "function_call"."""
    if reason == "tool_calls":
        if echo.legacy_functions:
            return "function_call"
        return "stop" if echo.named_tool else "tool_calls"
    return reason or "stop"


def replay_block(thought: Reasoning) -> dict[str, Any] | None:
    """Anthropic's thinking block as it came, to be sent back with the next turn."""
    opaque = thought.opaque
    if opaque is None or opaque.vendor != "anthropic" or not isinstance(opaque.data, dict):
        return None
    return opaque.data


def signature(opaque: Opaque | None) -> dict[str, Any] | None:
    """Google's signature as `extra_content`, where Google's own compatible endpoint has it."""
    if opaque is None or opaque.kind != "thought_signature":
        return None
    return {"google": {"thought_signature": opaque.data}}


def image_object(image: Image, index: int) -> dict[str, Any]:
    """A picture of the model's as clients of several gateways know it: `message.images`, numbered for streams."""
    url = image.url or f"data:{image.media_type};base64,{image.data}"
    return {"index": index, "type": "image_url", "image_url": {"url": url}}


def citations(opaque: Opaque | None) -> list[Any]:
    """What Anthropic cites of documents and search results, in its own words: annotations only know the web."""
    if opaque is None or (opaque.vendor, opaque.kind) != ("anthropic", "text") or not isinstance(opaque.data, dict):
        return []
    found = opaque.data.get("citations")
    known = [citation for citation in found if isinstance(citation, dict)] if isinstance(found, list) else []
    return [citation for citation in known if citation.get("type") != "web_search_result_location"]


def server_block(opaque: Opaque, echo: Echo) -> Any:
    """A block of a tool that its vendor ran, as it came; None when it is not to be shown. Nobody has to carry out what it says."""
    return opaque.data if echo.expose_opaque and opaque.kind == "server_block" else None


def _choice(choice: Choice, echo: Echo) -> dict[str, Any]:
    return {
        "index": choice.index,
        "message": _message(choice, echo),
        "logprobs": choice.logprobs,
        "finish_reason": finish_reason(choice.finish, echo),
    }


def _message(choice: Choice, echo: Echo) -> dict[str, Any]:
    parts = choice.parts
    if len(parts) == 1 and type(parts[0]) is Text and choice.stop_sequence is None:
        said = parts[0]
        if said.text and not said.annotations and said.opaque is None:  # nearly every answer
            return {"role": "assistant", "content": said.text, "refusal": None}
    return _rich_message(choice, echo)


def _rich_message(choice: Choice, echo: Echo) -> dict[str, Any]:
    texts: list[Text] = []
    calls: list[ToolCall] = []
    annotations: list[Any] = []
    content, refusal, others = "", "", False
    for part in choice.parts:
        if isinstance(part, Text):
            texts.append(part)
            content += part.text
            annotations += part.annotations or ()
            others = others or part.opaque is not None
        elif isinstance(part, ToolCall):
            calls.append(part)
        elif isinstance(part, Refusal):
            refusal += part.text
        else:
            others = True
    images = others and any(isinstance(part, Image) for part in choice.parts)
    unsaid = calls or refusal or images or choice.finish in ("length", "content_filter")
    message: dict[str, Any] = {
        "role": "assistant",
        "content": content if content or not unsaid else None,
        "refusal": refusal or None,
    }
    if annotations:
        message["annotations"] = annotations
    if calls and echo.legacy_functions:
        message["function_call"] = {"name": calls[0].name, "arguments": calls[0].arguments}
    elif calls:
        message["tool_calls"] = [_call(call) for call in calls]
    if others:
        message.update(_extensions(choice, texts, echo))
    if choice.stop_sequence is not None:
        message["stop_sequence"] = choice.stop_sequence
    return message


def _call(call: ToolCall) -> dict[str, Any]:
    kind, field = ("custom", "input") if call.custom else ("function", "arguments")
    written: dict[str, Any] = {"id": call.id, "type": kind, kind: {"name": call.name, field: call.arguments}}
    google = signature(call.opaque)
    if google is not None:
        written["extra_content"] = google
    return written


def _extensions(choice: Choice, texts: list[Text], echo: Echo) -> dict[str, Any]:
    thoughts = [part for part in choice.parts if isinstance(part, Reasoning)]
    images = [part for part in choice.parts if isinstance(part, Image)]
    written: dict[str, Any] = {}
    if images:
        written["images"] = [image_object(image, index) for index, image in enumerate(images)]
    if echo.expose_reasoning:
        shown = "".join(thought.text for thought in thoughts)
        blocks = [block for block in map(replay_block, thoughts) if block is not None]
        if shown:
            written["reasoning_content"] = shown
        if blocks:
            written["thinking_blocks"] = blocks
    replays = [part.opaque for part in texts] + [part.opaque for part in thoughts]
    found = [given for given in map(signature, replays) if given is not None]
    extra: dict[str, Any] = found[-1] if found else {}
    cited = [citation for text in texts for citation in citations(text.opaque)]
    if cited:
        extra = {**extra, "anthropic": {"citations": cited}}
    for part in choice.parts if echo.expose_opaque else ():
        if isinstance(part, VendorBlock) and (block := server_block(part.opaque, echo)) is not None:
            of_vendor = extra.get(part.opaque.vendor, {})
            shown_blocks = [*of_vendor.get("server_blocks", ()), block]
            extra = {**extra, part.opaque.vendor: {**of_vendor, "server_blocks": shown_blocks}}
    if extra:
        written["extra_content"] = extra
    return written
