"""The content parts of a client's Chat messages: texts, images, audio, files, and what other vendors' replays ride on.

Source: openai-python, types/chat/chat_completion_content_part_*.py; extensions `cache_control` (Anthropic), `thinking_blocks`,
`reasoning_content` and `extra_content` (de-facto carriers for what a model wants back).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from gateway.dialects.openai_checks import (
    array,
    missing,
    name,
    not_among,
    object_,
    optional_object,
    optional_text,
    text,
    wrong_type,
)
from gateway.dialects.openai_media import read_base64, read_cache, read_document, read_image
from gateway.types import Audio, BadRequest, Document, Opaque, Part, Reasoning, Refusal, Text, VendorBlock

_GOOGLES = frozenset({"executableCode", "codeExecutionResult", "toolCall", "toolResponse"})
_ELSEWHERE = ("text", "thinking", "redacted_thinking", "tool_use", "tool_result", "image", "document")


def read_content(value: object, param: str, kinds: tuple[str, ...], required: bool = True) -> list[Part]:
    """A message's `content`: a string, or an array of parts of these kinds."""
    if isinstance(value, str):
        return [Text(value)]
    if value is None:
        if required:
            raise missing(param)
        return []
    if not isinstance(value, list):
        raise wrong_type(param, "one of a string or array of objects", value)
    if required and not value:
        raise BadRequest(f"Invalid '{param}': empty array. Expected an array with minimum length 1.", param)
    return [_part(object_(item, f"{param}[{place}]"), f"{param}[{place}]", kinds) for place, item in enumerate(value)]


def read_reasoning(message: dict[str, Any], param: str) -> list[Part]:
    """What an assistant turn carries of the model's thinking, where replayable blocks win over plain text; and of tools that its
    vendor ran, whose place among the texts no client can tell."""
    extra = optional_object(message.get("extra_content"), f"{param}.extra_content") or {}
    ran = _ran(extra, f"{param}.extra_content") if extra else []
    anthropic = extra.get("anthropic")
    blocks = message.get("thinking_blocks") or (
        anthropic.get("thinking_blocks") if isinstance(anthropic, dict) else None
    )
    if blocks:
        place = f"{param}.thinking_blocks"
        return [
            _thinking(object_(block, f"{place}[{at}]"), f"{place}[{at}]")
            for at, block in enumerate(array(blocks, place))
        ] + ran
    shown = optional_text(message.get("reasoning_content"), f"{param}.reasoning_content")
    return [Reasoning(shown), *ran] if shown else ran


def _ran(extra: dict[str, Any], param: str) -> list[Part]:
    """Blocks of tools that a vendor ran, as we showed them (openai_chat_reply.server_block)."""
    parts: list[Part] = []
    for vendor in ("anthropic", "google"):
        own = extra.get(vendor)
        blocks = own.get("server_blocks") if isinstance(own, dict) else None
        place = f"{param}.{vendor}.server_blocks"
        for at, block in enumerate(array(blocks, place) if blocks is not None else ()):
            given = object_(block, f"{place}[{at}]")
            if not _runs(vendor, given):
                raise BadRequest(f"Invalid value for '{place}[{at}]': not a block of a server tool.", f"{place}[{at}]")
            shown = {key: value for key, value in given.items() if key != "index"}  # ours, for stream accumulators
            parts.append(VendorBlock(Opaque(vendor, "server_block", shown)))
    return parts


def _runs(vendor: str, block: dict[str, Any]) -> bool:
    """Whether nothing but a server tool's block can be meant: what has a place of its own in a message must stand there."""
    if vendor == "google":
        return not _GOOGLES.isdisjoint(block) and block.keys() <= _GOOGLES | {"index", "thoughtSignature"}
    kind = block.get("type")
    return isinstance(kind, str) and kind not in _ELSEWHERE


def signature_of(carrier: dict[str, Any]) -> Opaque | None:
    """Google's signature on a message or tool call, in the place where Google's own compatible endpoint puts it."""
    extra = carrier.get("extra_content")
    google = extra.get("google") if isinstance(extra, dict) else None
    signature = google.get("thought_signature") if isinstance(google, dict) else None
    return Opaque("google", "thought_signature", signature) if isinstance(signature, str) and signature else None


def _thinking(block: dict[str, Any], param: str) -> Part:
    kind = block.get("type")
    if kind not in ("thinking", "redacted_thinking"):
        raise not_among(f"{param}.type", str(kind), ("thinking", "redacted_thinking"))
    own = {key: value for key, value in block.items() if key != "index"}  # ours, for stream accumulators
    shown = optional_text(block.get("thinking"), f"{param}.thinking") or ""
    return Reasoning(shown, Opaque("anthropic", str(kind), own))


def _part(part: dict[str, Any], param: str, kinds: tuple[str, ...]) -> Part:
    kind = text(part.get("type"), f"{param}.type")
    if kind not in kinds:
        raise not_among(f"{param}.type", kind, kinds)
    return _READERS[kind](part, param)


def _text(part: dict[str, Any], param: str) -> Part:
    return Text(text(part.get("text"), f"{param}.text"), read_cache(part, param), opaque=signature_of(part))


def _refusal(part: dict[str, Any], param: str) -> Part:
    return Refusal(text(part.get("refusal"), f"{param}.refusal"))


def _image(part: dict[str, Any], param: str) -> Part:
    param = f"{param}.image_url"
    given = object_(part.get("image_url"), param)
    url = name(given.get("url"), f"{param}.url")
    detail = optional_text(given.get("detail"), f"{param}.detail") or ""
    return read_image(url, detail, read_cache(part, param), param)


def _audio(part: dict[str, Any], param: str) -> Part:
    param = f"{param}.input_audio"
    given = object_(part.get("input_audio"), param)
    form = name(given.get("format"), f"{param}.format")
    return Audio(form, read_base64(text(given.get("data"), f"{param}.data"), f"{param}.data"))


def _file(part: dict[str, Any], param: str) -> Part:
    param = f"{param}.file"
    given = object_(part.get("file"), param)
    title = optional_text(given.get("filename"), f"{param}.filename") or ""
    cache = read_cache(part, param)
    file_id = optional_text(given.get("file_id"), f"{param}.file_id")
    if file_id:
        return Document(file_id=file_id, title=title, cache=cache)
    data = name(given.get("file_data"), f"{param}.file_data")
    return read_document(data, title, cache, f"{param}.file_data")


_READERS: dict[str, Callable[[dict[str, Any], str], Part]] = {
    "text": _text,
    "refusal": _refusal,
    "image_url": _image,
    "input_audio": _audio,
    "file": _file,
}
