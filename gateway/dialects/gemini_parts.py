"""One part of a message as Gemini takes it: text, inline bytes, or a file by its address.

Nothing is fetched: an address goes on as `fileData`, and Gemini reads it.
Source: https://ai.google.dev/api/caching#Part, https://ai.google.dev/gemini-api/docs/thought-signatures
"""

from __future__ import annotations

import base64
import re
from typing import Any

from gateway.types import (
    Abilities,
    Audio,
    Document,
    Image,
    Notes,
    Opaque,
    Part,
    Reasoning,
    Refusal,
    Text,
    Unsupported,
    VendorBlock,
)

Wire = dict[str, Any]

GOOGLE = "google"
SIGNATURE = "thought_signature"
SIGNATURE_TEXT = re.compile(r"[A-Za-z0-9+/_-]+={0,2}")
IMAGE_TYPES = frozenset({"image/jpeg", "image/png", "image/webp", "image/heic", "image/heif", "image/gif"})
TYPE_BY_EXTENSION = {
    "jpg": "image/jpeg",
    "jpeg": "image/jpeg",
    "png": "image/png",
    "webp": "image/webp",
    "heic": "image/heic",
    "heif": "image/heif",
    "gif": "image/gif",
    "pdf": "application/pdf",
    "txt": "text/plain",
    "mp4": "video/mp4",
    "mp3": "audio/mp3",
    "wav": "audio/wav",
}
DOCUMENT_TYPES = ("application/pdf", "application/json", "text/", "image/", "audio/", "video/")
RESOLUTIONS = {
    "low": "MEDIA_RESOLUTION_LOW",
    "medium": "MEDIA_RESOLUTION_MEDIUM",
    "high": "MEDIA_RESOLUTION_HIGH",
    "original": "MEDIA_RESOLUTION_ULTRA_HIGH",
}
OWN_FILES = ("gs://", "files/", "https://generativelanguage.googleapis.com/")


def third_generation(abilities: Abilities) -> bool:
    """Whether the model is of Gemini 3 or later: levels instead of budgets came with everything else that differs."""
    return bool(abilities.thinking_levels)


def write_part(part: Part, where: str, abilities: Abilities, notes: Notes) -> Wire | None:
    """`part` on the wire, None when nothing of it is sent. Calls and results are not for here.

    `where` is its place in the client's request. Raises Unsupported for content that the model cannot take.
    """
    match part:
        case Text():
            if part.opaque is None:
                return {"text": part.text} if part.text else None
            return _signed({"text": part.text}, part.opaque, where) if part.text or _is_signature(part.opaque) else None
        case Refusal():
            return {"text": part.text} if part.text else None
        case Reasoning():
            return _reasoning(part, where, notes)
        case Image():
            return _image(part, where, abilities, notes)
        case Document():
            return _document(part, where)
        case Audio():
            return {"inlineData": {"mimeType": f"audio/{part.format}", "data": part.data}}
        case VendorBlock(summary=summary) if summary:
            return {"text": summary}
        case VendorBlock() if part.opaque.vendor == GOOGLE and isinstance(part.opaque.data, dict):
            return dict(part.opaque.data)
        case VendorBlock() if part.opaque.kind == "audio":
            raise Unsupported(where, "an earlier spoken answer cannot be sent to this provider", "unsupported_content")
        case VendorBlock():
            notes.warn("vendor_block_not_replayed")
    return None


def signature(opaque: Opaque | None, where: str) -> Wire:
    """{"thoughtSignature": …} when `opaque` is one of Google's, else {}. Another vendor's counts as none.

    Raises Unsupported for what cannot be base64: the upstream would refuse the whole request without naming the place.
    """
    if opaque is None or not _is_signature(opaque):
        return {}
    if not isinstance(opaque.data, str) or not SIGNATURE_TEXT.fullmatch(opaque.data):
        raise Unsupported(f"{where}.thought_signature", "The thought signature is not base64.", "invalid_request")
    return {"thoughtSignature": opaque.data}


def _is_signature(opaque: Opaque | None) -> bool:
    return opaque is not None and opaque.vendor == GOOGLE and opaque.kind == SIGNATURE


def _signed(wire: Wire, opaque: Opaque | None, where: str) -> Wire:
    return {**wire, **signature(opaque, where)}


def _reasoning(part: Reasoning, where: str, notes: Notes) -> Wire | None:
    """A thought goes back only as Gemini's own. One without text is how a stream hands over the signature of its answer."""
    if not _is_signature(part.opaque):
        if part.opaque is not None:
            notes.warn("reasoning_not_replayed")
        return None
    return _signed({"text": part.text, "thought": True} if part.text else {"text": ""}, part.opaque, where)


def _image(part: Image, where: str, abilities: Abilities, notes: Notes) -> Wire:
    wire = _image_source(part, where, notes)
    level = RESOLUTIONS.get(part.detail)
    if level and third_generation(abilities):
        wire["mediaResolution"] = {"level": level}
    return wire


def _image_source(part: Image, where: str, notes: Notes) -> Wire:
    if part.url:
        return _file(part.url, part.media_type, where, notes)
    media_type = "image/jpeg" if part.media_type == "image/jpg" else part.media_type
    if media_type not in IMAGE_TYPES and media_type != "application/pdf":
        raise _unsupported(where, f"Images of type '{media_type}' are not supported by this model.")
    return {"inlineData": {"mimeType": media_type, "data": part.data}}


def _document(part: Document, where: str) -> Wire:
    if part.file_id or part.url:
        address = part.file_id or part.url
        if part.file_id and not address.startswith(OWN_FILES):
            raise _unsupported(
                where, "This file was uploaded to another provider than the one chosen for this request."
            )
        return _file(address, part.media_type or "application/pdf", where, None)
    if part.text:
        return _inline("text/plain", base64.b64encode(part.text.encode()).decode())
    media_type = part.media_type or "application/pdf"
    if not media_type.startswith(DOCUMENT_TYPES):
        raise _unsupported(where, f"Files of type '{media_type}' are not supported by this model.")
    return _inline(media_type, part.data)


def _inline(media_type: str, data: str) -> Wire:
    return {"inlineData": {"mimeType": media_type, "data": data}}


def _file(address: str, media_type: str, where: str, notes: Notes | None) -> Wire:
    if not address.startswith(("https://", *OWN_FILES)):
        raise _unsupported(where, "Files are taken by https address only.")
    path = address.partition("?")[0].partition("#")[0]
    known = TYPE_BY_EXTENSION.get(path.rpartition(".")[2].lower())
    if not (known or media_type) and notes is not None:
        notes.warn("image_type_guessed")
    return {"fileData": {"mimeType": known or media_type or "image/jpeg", "fileUri": address}}


def _unsupported(where: str, message: str) -> Unsupported:
    return Unsupported(where, message, "unsupported_content")
