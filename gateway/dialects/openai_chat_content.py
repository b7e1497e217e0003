"""The content parts of a client's Chat messages: texts, images, audio, files, and what other vendors' replays ride on.

Images are data: URIs with their type declared, or https: addresses that only the provider fetches; the gateway fetches nothing.
Source: openai-python, types/chat/chat_completion_content_part_*.py; extensions `cache_control` (Anthropic), `thinking_blocks`,
`reasoning_content` and `extra_content` (de-facto carriers for what a model wants back).
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Callable
from typing import Any

from gateway.dialects.openai_chat_checks import (
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
from gateway.types import Audio, BadRequest, Document, Image, Opaque, Part, Reasoning, Refusal, Text

_DATA_URI = re.compile(r"data:([a-z]+/[a-z0-9.+-]+)?((?:;[^;,]*)*),", re.IGNORECASE)
_SPACE = re.compile(r"\s+")
_PDF_MAGIC = "JVBERi"  # "%PDF-" in base64
_BREAKPOINT_TTL = {"30m": "1h", "12h": "1h"}  # at least as long as asked for


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
    """What an assistant turn carries of the model's thinking: replayable blocks win over plain text."""
    extra = optional_object(message.get("extra_content"), f"{param}.extra_content") or {}
    anthropic = extra.get("anthropic")
    blocks = message.get("thinking_blocks") or (
        anthropic.get("thinking_blocks") if isinstance(anthropic, dict) else None
    )
    if blocks:
        place = f"{param}.thinking_blocks"
        return [
            _thinking(object_(block, f"{place}[{at}]"), f"{place}[{at}]")
            for at, block in enumerate(array(blocks, place))
        ]
    shown = optional_text(message.get("reasoning_content"), f"{param}.reasoning_content")
    return [Reasoning(shown)] if shown else []


def signature_of(carrier: dict[str, Any]) -> Opaque | None:
    """Google's signature on a message or tool call, in the place where Google's own compatible endpoint puts it."""
    extra = carrier.get("extra_content")
    google = extra.get("google") if isinstance(extra, dict) else None
    signature = google.get("thought_signature") if isinstance(google, dict) else None
    return Opaque("google", "thought_signature", signature) if isinstance(signature, str) and signature else None


def read_cache(carrier: dict[str, Any], param: str) -> dict[str, Any] | None:
    """A mark that the prompt up to here is worth keeping: Anthropic's spelling, or OpenAI's put into it."""
    marker = optional_object(carrier.get("cache_control"), f"{param}.cache_control")
    if marker is not None:
        return marker
    breakpoint_ = optional_object(carrier.get("prompt_cache_breakpoint"), f"{param}.prompt_cache_breakpoint")
    if breakpoint_ is None:
        return None
    ttl = _BREAKPOINT_TTL.get(str(breakpoint_.get("ttl")))
    return {"type": "ephemeral", "ttl": ttl} if ttl else {"type": "ephemeral"}


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
    cache = read_cache(part, param)
    if url[:8].lower() == "https://":
        return Image(url=url, detail=detail, cache=cache)
    media_type, payload = _data_uri(url, param)
    if media_type == "application/pdf":
        return Document(media_type=media_type, data=payload, cache=cache)
    if not media_type.startswith("image/"):
        raise BadRequest(f"Invalid image: '{media_type}' is no image type.", param, "unsupported_content")
    return Image("image/jpeg" if media_type == "image/jpg" else media_type, payload, detail=detail, cache=cache)


def _data_uri(url: str, param: str) -> tuple[str, str]:
    found = _DATA_URI.match(url[:256])
    if found is None or not found.group(1):
        message = "Invalid image URL: expected an https: URL or a data: URI with a media type and base64 data."
        raise BadRequest(message, param, "unsupported_content")
    if not found.group(2).lower().endswith(";base64"):
        raise BadRequest("Invalid image: the data of a data: URI must be base64.", param)
    return found.group(1).lower(), _base64(url[found.end() :], param)


def _base64(payload: str, param: str) -> str:
    """`payload` without white space, proven to be base64 that is not empty."""
    compact = _SPACE.sub("", payload)
    try:
        binascii.a2b_base64(compact.encode("ascii"), strict_mode=True)
    except ValueError:
        raise BadRequest(f"Invalid '{param}': the data is not valid base64.", param) from None
    if not compact:
        raise BadRequest(f"Invalid '{param}': the data is empty.", param)
    return compact


def _audio(part: dict[str, Any], param: str) -> Part:
    param = f"{param}.input_audio"
    given = object_(part.get("input_audio"), param)
    form = name(given.get("format"), f"{param}.format")
    return Audio(form, _base64(text(given.get("data"), f"{param}.data"), f"{param}.data"))


def _file(part: dict[str, Any], param: str) -> Part:
    param = f"{param}.file"
    given = object_(part.get("file"), param)
    title = optional_text(given.get("filename"), f"{param}.filename") or ""
    cache = read_cache(part, param)
    file_id = optional_text(given.get("file_id"), f"{param}.file_id")
    if file_id:
        return Document(file_id=file_id, title=title, cache=cache)
    data = name(given.get("file_data"), f"{param}.file_data")
    return _document(data, f"{param}.file_data", title, cache)


def _document(data: str, param: str, title: str, cache: dict[str, Any] | None) -> Document:
    """A file as OpenAI takes it: bare base64, or a data: URI; plain text becomes text."""
    found = _DATA_URI.match(data[:256])
    media_type = (found.group(1) or "").lower() if found else ""
    payload = _base64(data[found.end() :] if found else data, param)
    if not media_type and payload.startswith(_PDF_MAGIC):
        media_type = "application/pdf"
    if media_type.startswith("text/"):
        try:
            return Document(media_type, text=base64.b64decode(payload).decode(), title=title, cache=cache)
        except UnicodeDecodeError:
            raise BadRequest(f"Invalid '{param}': the text is not valid UTF-8.", param) from None
    return Document(media_type, payload, title=title, cache=cache)


_READERS: dict[str, Callable[[dict[str, Any], str], Part]] = {
    "text": _text,
    "refusal": _refusal,
    "image_url": _image,
    "input_audio": _audio,
    "file": _file,
}
