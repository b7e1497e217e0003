"""Parts of a message as Anthropic's content blocks, one at a time and without looking left or right.

Rule 1: a block never depends on later messages, so that the same message gives the same bytes on every turn.
Rule 2: what Anthropic cannot take is refused with its place; nothing that the client sent to be read is left out silently.
Sources: anthropic types *_block_param.py, *_source_param.py.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import re
from typing import Any

import msgspec

from gateway.dialects.anthropic_tools import Toolbox
from gateway.types import (
    Audio,
    Document,
    Image,
    Notes,
    Opaque,
    Part,
    Reasoning,
    Refusal,
    Text,
    ToolCall,
    ToolResult,
    Unsupported,
    VendorBlock,
)

Block = dict[str, Any]

IMAGE_TYPES = frozenset({"image/jpeg", "image/png", "image/gif", "image/webp"})
_PDF_MAGIC = "JVBER"  # base64 of "%PDF-"
_ID = re.compile(r"[A-Za-z0-9_-]+")
_VALUE = msgspec.json.Decoder(msgspec.Raw)


def cached(block: Block, cache: dict[str, Any] | None) -> Block:
    """The block with the client's cache_control, if it gave one."""
    if cache is not None:
        block["cache_control"] = cache
    return block


def text_block(text: str, cache: dict[str, Any] | None = None) -> Block | None:
    """A text block, or None: Anthropic refuses empty and blank ones."""
    if not text or text.isspace():
        return None
    return {"type": "text", "text": text} if cache is None else {"type": "text", "text": text, "cache_control": cache}


def content_block(part: Part, place: str) -> Block | None:
    """A text, image or document as a block; None when there is nothing to say. Raises Unsupported naming `place`."""
    if isinstance(part, Text):
        return text_block(part.text, part.cache)
    if isinstance(part, Refusal):
        return text_block(part.text)
    if isinstance(part, Image):
        return image_block(part, place)
    if isinstance(part, Document):
        return document_block(part, place)
    if isinstance(part, Audio):
        raise Unsupported(place, "audio input is not supported by this provider", "unsupported_content")
    return None


def image_block(image: Image, place: str) -> Block:
    if image.url:
        if image.url.partition("?")[0].lower().endswith(".pdf"):
            return cached({"type": "document", "source": _url_source(image.url, place)}, image.cache)
        return cached({"type": "image", "source": _url_source(image.url, place)}, image.cache)
    media_type = "image/jpeg" if image.media_type == "image/jpg" else image.media_type
    if media_type == "application/pdf":
        return document_block(Document(media_type=media_type, data=image.data, cache=image.cache), place)
    if media_type not in IMAGE_TYPES:
        message = f"images of type {media_type!r} are not supported by this provider: use jpeg, png, gif or webp"
        raise Unsupported(place, message, "unsupported_content")
    source = {"type": "base64", "media_type": media_type, "data": image.data}
    return cached({"type": "image", "source": source}, image.cache)


def document_block(document: Document, place: str) -> Block:
    kind = "image" if document.file_id and document.media_type.startswith("image/") else "document"
    block: Block = {"type": kind, "source": _document_source(document, place)}
    if document.title and kind == "document":
        block["title"] = document.title
    return cached(block, document.cache)


def _document_source(document: Document, place: str) -> Block:
    if document.url:
        return _url_source(document.url, place)
    if document.file_id:
        return _file_source(document.file_id, place)
    if document.text:
        return {"type": "text", "media_type": "text/plain", "data": document.text}
    if document.media_type == "application/pdf" or (not document.media_type and document.data.startswith(_PDF_MAGIC)):
        return {"type": "base64", "media_type": "application/pdf", "data": document.data}
    if document.media_type.startswith("text/"):
        return {"type": "text", "media_type": "text/plain", "data": _decoded(document.data, place)}
    message = f"documents of type {document.media_type!r} are not supported by this provider: use PDF or text"
    raise Unsupported(place, message, "unsupported_content")


def _decoded(data: str, place: str) -> str:
    try:
        return base64.b64decode(data, validate=True).decode()
    except (binascii.Error, UnicodeDecodeError, ValueError):
        raise Unsupported(place, "the text document is no base64 of UTF-8", "invalid_request") from None


def _url_source(url: str, place: str) -> Block:
    if url[:8].lower() != "https://":
        raise Unsupported(place, "only https: and data: URLs are supported by this provider", "unsupported_content")
    return {"type": "url", "url": url}


def _file_source(file_id: str, place: str) -> Block:
    # Ids of Anthropic's Files API begin so; OpenAI's begin with "file-". A file of one vendor is unknown to the other.
    if not file_id.startswith("file_"):
        raise Unsupported(place, f"file {file_id!r} is not available on this provider", "unsupported_content")
    return {"type": "file", "file_id": file_id}


def own(opaque: Opaque | None) -> Block | None:
    """The content block that Anthropic gave us to keep; None for what others gave."""
    if opaque is not None and opaque.vendor == "anthropic" and isinstance(opaque.data, dict):
        return dict(opaque.data)
    return None


def assistant_block(part: Part, box: Toolbox, notes: Notes) -> Block | None:
    """What an assistant said, thought or called. Thoughts without Anthropic's signature are left out, never sent as text."""
    if isinstance(part, Text):
        return _said(part)
    if isinstance(part, Refusal):
        return text_block(part.text)
    if isinstance(part, ToolCall):
        return call_block(part, box, notes)
    if isinstance(part, Reasoning):
        return _thought(part, notes)
    block = own(part.opaque) if isinstance(part, VendorBlock) else None
    if block is None and isinstance(part, VendorBlock):
        notes.warn("vendor_block_not_replayed")
    return block


def _said(part: Text) -> Block | None:
    """A text as Anthropic gave it, with its citations, while it still is the same text."""
    block = own(part.opaque)
    if block is None or block.get("type") != "text" or block.get("text") != part.text or not part.text.strip():
        return text_block(part.text, part.cache)
    return cached(block, part.cache)


def _thought(part: Reasoning, notes: Notes) -> Block | None:
    block = own(part.opaque)
    if block is None or (block.get("type") == "thinking" and not block.get("signature")):
        notes.warn("reasoning_not_replayed")
        return None
    return block


def call_block(call: ToolCall, box: Toolbox, notes: Notes) -> Block:
    shape = "custom" if call.custom else box.shape(call.name)
    if shape == "custom":
        input_: Any = {"input": call.arguments}
    elif shape == "value":
        input_ = {"value": _value(call.arguments) or call.arguments}
    else:
        input_ = arguments_object(call.arguments, notes)
    return {"type": "tool_use", "id": legal_id(call.id), "name": box.alias(call.name), "input": input_}


def arguments_object(arguments: str, notes: Notes) -> Any:
    """Arguments as an object, its own bytes spliced in: key order and the spelling of numbers stay.

    Anything but an object is wrapped: a history that OpenAI takes must not become unusable here.
    """
    if not arguments.strip():
        return {}
    value = _value(arguments)
    if value is None:
        notes.warn("tool_arguments_unparsable")
        return {"_raw_arguments": arguments}
    return value if arguments.lstrip().startswith("{") else {"value": value}


def _value(arguments: str) -> msgspec.Raw | None:
    """The arguments' own bytes, once they are proven to be one JSON value; None otherwise."""
    try:
        return _VALUE.decode(arguments)
    except (msgspec.DecodeError, UnicodeError, RecursionError):
        return None


def legal_id(id_: str) -> str:
    """A call's id as it came, or a stand-in that is the same for the same id."""
    if _ID.fullmatch(id_):
        return id_
    return "toolu_" + hashlib.sha256(id_.encode("utf-8", "replace")).hexdigest()[:24]


def result_block(result: ToolResult, place: str) -> Block:
    """What a tool answered: one plain text stays a string, everything else is a list of blocks."""
    block: Block = {"type": "tool_result", "tool_use_id": legal_id(result.call_id)}
    inside = enumerate(result.parts)
    blocks = [made for at, part in inside if (made := content_block(part, f"{place}.content[{at}]")) is not None]
    if len(blocks) == 1 and blocks[0].keys() == {"type", "text"}:
        block["content"] = blocks[0]["text"]
    elif blocks:
        block["content"] = blocks
    if result.is_error:
        block["is_error"] = True
    return cached(block, result.cache)
