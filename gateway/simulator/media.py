"""Looking at media: is it base64, is it what it says it is, and how large is the picture.

Sources: PNG (RFC 2083, IHDR), GIF89a (logical screen), JPEG (ITU T.81, SOFn), WebP (RFC 9649: VP8, VP8L, VP8X).
"""

from __future__ import annotations

import base64
import binascii
import struct

from msgspec import Struct


class BadMedia(ValueError):
    """`reason`: "base64" when it cannot be decoded, "image" when it is no picture, "mime" when it is another kind of picture."""

    def __init__(self, reason: str, found: str = "") -> None:
        super().__init__(reason)
        self.reason = reason
        self.found = found


class Picture(Struct, frozen=True):
    """`kind` is PNG, JPEG, GIF or WebP; the size in pixels, 0 when the file does not say."""

    kind: str
    width: int
    height: int

    @property
    def mime(self) -> str:
        return f"image/{self.kind.lower()}"

    @property
    def said(self) -> str:
        return f"I see a {self.kind} image of {self.width}x{self.height} pixels."


def decode(data: str, url_safe: bool = False) -> bytes:
    """Base64 to bytes, strictly; with `url_safe` also the other alphabet and missing padding, as protobuf JSON allows."""
    if url_safe:
        data = data.replace("-", "+").replace("_", "/")
        data += "=" * (-len(data) % 4)
    try:
        return base64.b64decode(data, validate=True)
    except (binascii.Error, ValueError):
        raise BadMedia("base64") from None


def look(raw: bytes, declared: str = "") -> Picture:
    """What picture the bytes are. Raises BadMedia when they are none, or not of the `declared` type (if one is given)."""
    picture = _png(raw) or _gif(raw) or _webp(raw) or _jpeg(raw)
    if picture is None:
        raise BadMedia("image")
    if declared and declared.lower().replace("image/jpg", "image/jpeg") != picture.mime:
        raise BadMedia("mime", picture.mime)
    return picture


def _png(raw: bytes) -> Picture | None:
    if not raw.startswith(b"\x89PNG\r\n\x1a\n") or len(raw) < 24:
        return None
    width, height = struct.unpack(">II", raw[16:24])
    return Picture("PNG", width, height)


def _gif(raw: bytes) -> Picture | None:
    if raw[:6] not in (b"GIF87a", b"GIF89a") or len(raw) < 10:
        return None
    width, height = struct.unpack("<HH", raw[6:10])
    return Picture("GIF", width, height)


def _webp(raw: bytes) -> Picture | None:
    if raw[:4] != b"RIFF" or raw[8:12] != b"WEBP" or len(raw) < 30:
        return None
    match raw[12:16]:
        case b"VP8X":
            return Picture("WebP", int.from_bytes(raw[24:27], "little") + 1, int.from_bytes(raw[27:30], "little") + 1)
        case b"VP8L":
            bits = int.from_bytes(raw[21:25], "little")
            return Picture("WebP", (bits & 0x3FFF) + 1, ((bits >> 14) & 0x3FFF) + 1)
        case _:
            width, height = struct.unpack("<HH", raw[26:30])
            return Picture("WebP", width & 0x3FFF, height & 0x3FFF)


def _jpeg(raw: bytes) -> Picture | None:
    if raw[:3] != b"\xff\xd8\xff":
        return None
    at = 2
    while at + 9 < len(raw) and raw[at] == 0xFF:
        marker, size = raw[at + 1], int.from_bytes(raw[at + 2 : at + 4], "big")
        # SOF0..SOF15 carry the size, but for DHT (C4), JPG (C8) and DAC (CC) which share their range.
        if 0xC0 <= marker <= 0xCF and marker not in (0xC4, 0xC8, 0xCC):
            height, width = struct.unpack(">HH", raw[at + 5 : at + 9])
            return Picture("JPEG", width, height)
        at += 2 + size
    return Picture("JPEG", 0, 0)
