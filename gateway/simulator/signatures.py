"""Signatures as a vendor gives them with its reasoning, and the check when they come back.

They are keyed hashes that need no memory: a text that was changed, a signature that was invented or one of another vendor
does not verify. The key is no secret; these are stand-ins.
"""

from __future__ import annotations

import base64
import binascii
import hashlib

KEY = b"passerelle-simulator"
TAG_BYTES = 24


def _tag(vendor: str, text: bytes) -> bytes:
    return hashlib.blake2b(text, digest_size=TAG_BYTES, key=KEY, person=vendor.encode()[:16]).digest()


def sign(vendor: str, text: str, binding: bytes = b"") -> str:
    """A signature over `text`, readable by `verify` with the same text. `binding` (any bytes) is carried inside and signed too."""
    tag = _tag(vendor, binding + b"\0" + text.encode("utf-8", "surrogatepass"))
    return base64.b64encode(b"SIM1" + tag + binding).decode()


def verify(vendor: str, text: str, signature: str) -> bytes | None:
    """The binding that was signed with `text`, or None when this vendor never made that signature."""
    plain = signature.replace("-", "+").replace("_", "/")  # protobuf JSON may come back in the other alphabet
    try:
        raw = base64.b64decode(plain + "=" * (-len(plain) % 4), validate=True)
    except (binascii.Error, ValueError):
        return None
    tag, binding = raw[4 : 4 + TAG_BYTES], raw[4 + TAG_BYTES :]
    genuine = raw.startswith(b"SIM1") and tag == _tag(vendor, binding + b"\0" + text.encode("utf-8", "surrogatepass"))
    return binding if genuine else None
