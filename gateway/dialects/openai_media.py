"""Pictures, files and cache marks as both of OpenAI's dialects spell them.

Images are data: URIs with their type declared, or https: addresses that only the provider fetches; the gateway fetches nothing.
Source: openai-python, types/chat/chat_completion_content_part_*.py, types/responses/response_input_{image,file}_param.py.
"""

from __future__ import annotations

import base64
import binascii
import re
from typing import Any

from gateway.dialects.openai_checks import optional_object
from gateway.types import BadRequest, Document, Image

_DATA_URI = re.compile(r"data:([a-z]+/[a-z0-9.+-]+)?((?:;[^;,]*)*),", re.IGNORECASE)
_SPACE = re.compile(r"\s+")
_PDF_MAGIC = "JVBERi"  # "%PDF-" in base64


def read_cache(carrier: dict[str, Any], param: str) -> dict[str, Any] | None:
    """A mark that the prompt up to here is worth keeping: Anthropic's spelling, or OpenAI's put into it with its own `ttl`."""
    marker = optional_object(carrier.get("cache_control"), f"{param}.cache_control")
    if marker is not None:
        return marker
    breakpoint_ = optional_object(carrier.get("prompt_cache_breakpoint"), f"{param}.prompt_cache_breakpoint")
    if breakpoint_ is None:
        return None
    ttl = breakpoint_.get("ttl")
    return {"type": "ephemeral", "ttl": ttl} if ttl in ("30m", "12h") else {"type": "ephemeral"}


def read_image(url: str, detail: str, cache: dict[str, Any] | None, param: str) -> Image | Document:
    """An https: or data: address. A PDF, which some clients put there, becomes a document."""
    if url[:8].lower() == "https://":
        return Image(url=url, detail=detail, cache=cache)
    media_type, payload = _data_uri(url, param)
    if media_type == "application/pdf":
        return Document(media_type=media_type, data=payload, cache=cache)
    if not media_type.startswith("image/"):
        raise BadRequest(f"Invalid image: '{media_type}' is no image type.", param, "unsupported_content")
    return Image("image/jpeg" if media_type == "image/jpg" else media_type, payload, detail=detail, cache=cache)


def read_document(data: str, title: str, cache: dict[str, Any] | None, param: str) -> Document:
    """A file's bytes: bare base64, or a data: URI; plain text becomes text."""
    found = _DATA_URI.match(data[:256])
    media_type = (found.group(1) or "").lower() if found else ""
    payload = read_base64(data[found.end() :] if found else data, param)
    if not media_type and payload.startswith(_PDF_MAGIC):
        media_type = "application/pdf"
    if media_type.startswith("text/"):
        try:
            return Document(media_type, text=base64.b64decode(payload).decode(), title=title, cache=cache)
        except UnicodeDecodeError:
            raise BadRequest(f"Invalid '{param}': the text is not valid UTF-8.", param) from None
    return Document(media_type, payload, title=title, cache=cache)


def read_base64(payload: str, param: str) -> str:
    """`payload` without white space, proven to be base64 that is not empty."""
    compact = _SPACE.sub("", payload)
    try:
        binascii.a2b_base64(compact.encode("ascii"), strict_mode=True)
    except ValueError:
        raise BadRequest(f"Invalid '{param}': the data is not valid base64.", param) from None
    if not compact:
        raise BadRequest(f"Invalid '{param}': the data is empty.", param)
    return compact


def _data_uri(url: str, param: str) -> tuple[str, str]:
    found = _DATA_URI.match(url[:256])
    if found is None or not found.group(1):
        message = "Invalid image URL: expected an https: URL or a data: URI with a media type and base64 data."
        raise BadRequest(message, param, "unsupported_content")
    if not found.group(2).lower().endswith(";base64"):
        raise BadRequest("Invalid image: the data of a data: URI must be base64.", param)
    return found.group(1).lower(), read_base64(url[found.end() :], param)
