"""Bytes, files and signatures in a Gemini client's parts.

Images stay images, texts become text, everything else with a type of its own a document. A file that lies at Google is known
by its id there and no address that another vendor could read. Source: https://ai.google.dev/api/caching#Part
"""

from __future__ import annotations

import base64

from gateway.dialects.gemini_client_fields import (
    Fields,
    base64_text,
    inside,
    invalid,
    members,
    name,
    optional_text,
)
from gateway.dialects.gemini_parts import GOOGLE, OWN_FILES, RESOLUTIONS, SIGNATURE, SIGNATURE_TEXT, TYPE_BY_EXTENSION
from gateway.types import Audio, BadRequest, Document, Image, Opaque, Part

SEALED = b"gw1."
SEALED_HEAD = ("Z3cxL", "gw1.")  # how base64 of SEALED begins; and the envelope itself, from a client that wrote it so
DETAILS = {level: detail for detail, level in RESOLUTIONS.items()}
AUDIO_FORMATS = {"mpeg": "mp3", "x-mp3": "mp3", "x-wav": "wav", "wave": "wav", "vnd.wave": "wav"}


def read_media(part: Fields, where: str) -> Part | None:
    """The bytes or the file that `part` holds, None when it holds neither. Raises BadRequest."""
    if part.get("inlineData") is not None:
        place = inside(where, "inlineData")
        return _inline(members(part["inlineData"], place), place, _detail(part, where))
    if part.get("fileData") is not None:
        place = inside(where, "fileData")
        return _file(members(part["fileData"], place), place, _detail(part, where))
    return None


def read_signature(part: Fields, where: str) -> Opaque | None:
    """Google's own signature as it came, or what the gateway sealed and gave out in its place."""
    place = inside(where, "thoughtSignature")
    value = optional_text(part.get("thoughtSignature"), place)
    if not value:
        return None
    if value.startswith(SEALED_HEAD) and (sealed := _sealed(value, place)):
        return Opaque("gateway", "sealed", sealed)
    if not SIGNATURE_TEXT.fullmatch(value):
        raise invalid(place, "expected bytes as base64.")
    return Opaque(GOOGLE, SIGNATURE, value)


def write_signature(sealed: str) -> str:
    """The gateway's envelope where a client expects bytes."""
    return base64.b64encode(sealed.encode()).decode()


def _sealed(value: str, where: str) -> str:
    if value.encode(errors="replace").startswith(SEALED):
        return value
    data = base64.b64decode(base64_text(value, where))
    return data.decode() if data.startswith(SEALED) and data.isascii() else ""


def _detail(part: Fields, where: str) -> str:
    if part.get("mediaResolution") is None:
        return ""
    place = inside(where, "mediaResolution")
    given = members(part["mediaResolution"], place)
    level = given.get("level")
    return DETAILS.get(level, "") if isinstance(level, str) else ""


def _inline(blob: Fields, where: str, detail: str) -> Part:
    mime = _mime(name(blob.get("mimeType"), inside(where, "mimeType")))
    data = base64_text(blob.get("data"), inside(where, "data"))
    title = optional_text(blob.get("displayName"), inside(where, "displayName"))
    kind, _, form = mime.partition("/")
    if kind == "image":
        return Image(mime, data, detail=detail)
    if kind == "audio":
        return Audio(AUDIO_FORMATS.get(form, form), data)
    if kind == "text":
        try:
            return Document(mime, text=base64.b64decode(data).decode(), title=title)
        except UnicodeDecodeError:
            raise BadRequest(f"Invalid value at '{where}.data': the text is not UTF-8.", f"{where}.data") from None
    return Document(mime, data, title=title)


def _file(file: Fields, where: str, detail: str) -> Part:
    uri = name(file.get("fileUri"), inside(where, "fileUri"))
    mime = _mime(optional_text(file.get("mimeType"), inside(where, "mimeType")))
    title = optional_text(file.get("displayName"), inside(where, "displayName"))
    if uri.startswith(OWN_FILES):
        return Document(mime, file_id=uri, title=title)
    path = uri.partition("?")[0].partition("#")[0]
    known = mime or TYPE_BY_EXTENSION.get(path.rpartition(".")[2].lower(), "")
    if known.startswith("image/"):
        return Image(mime, url=uri, detail=detail)
    return Document(mime, url=uri, title=title)


def _mime(value: str) -> str:
    return value.partition(";")[0].strip().lower()
