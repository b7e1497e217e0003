"""What one vendor gave us to keep, carried by a client of another dialect: sealed, so that nobody reads, forges or moves it.

An envelope is `gw1.<kid>.` and base64url of AES-SIV over the JSON of a list of `Opaque`, with the tenant as associated data.
Rule 1: the same list seals to the same text, always: conversations are compared byte for byte by vendors' caches and checks.
Rule 2: what cannot be opened is nothing: garbage, another tenant's, an old secret's. No input raises.
Sources: RFC 5297 (AES-SIV is deterministic and misuse-resistant), RFC 5869 (HKDF).
"""

from __future__ import annotations

import base64
import binascii
import hashlib
from collections.abc import Callable, Sequence

import msgspec
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESSIV
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from msgspec import structs

from gateway.types import Message, Opaque, Part, Reasoning, Request, Text, ToolCall, VendorBlock

PREFIX = "gw1."
SEALED = ("gateway", "sealed")  # vendor and kind of an Opaque that holds an envelope's text
THOUGHTS = ("thinking", "redacted_thinking", "thought_signature", "encrypted_content")  # kinds that a Reasoning bears
MIN_SECRET_BYTES = 16
MAX_TEXT_CHARS = 16 * 1024 * 1024  # encrypted reasoning and compactions are long, but no longer than a request's line
_KEY_BYTES = 64  # AES-256-SIV takes two keys of 256 bits
_OPAQUES = msgspec.json.Decoder(list[Opaque])
_ENCODER = msgspec.json.Encoder()


class Sealer:
    """Seals with the first secret and opens with all: put a new secret in front, and take the old one away a day later.

    `secrets` are bytes of at least MIN_SECRET_BYTES; raises ValueError for none or too short ones.
    """

    def __init__(self, *secrets: bytes) -> None:
        if not secrets or any(len(secret) < MIN_SECRET_BYTES for secret in secrets):
            raise ValueError(f"a sealing secret has at least {MIN_SECRET_BYTES} bytes")
        self._keys = {_kid(secret): AESSIV(_key(secret)) for secret in reversed(secrets)}
        self._first = _kid(secrets[0])

    def seal(self, tenant: str, opaques: Sequence[Opaque]) -> str:
        """The envelope's text, made of ASCII letters, digits and `._-`."""
        sealed = self._keys[self._first].encrypt(
            _ENCODER.encode(list(opaques)), [tenant.encode("utf-8", "surrogatepass")]
        )
        return f"{PREFIX}{self._first}.{base64.urlsafe_b64encode(sealed).rstrip(b'=').decode()}"

    def open(self, tenant: str, text: str) -> list[Opaque]:
        """What is inside, [] when `text` is no envelope of this tenant and of these secrets."""
        kid, _, sealed = text.removeprefix(PREFIX).partition(".")
        key = self._keys.get(kid)
        if not text.startswith(PREFIX) or key is None or len(text) > MAX_TEXT_CHARS:
            return []
        try:
            plain = key.decrypt(_bytes(sealed), [tenant.encode("utf-8", "surrogatepass")])
            return _OPAQUES.decode(plain)
        except (InvalidTag, ValueError, RecursionError):
            return []


def unsealed(request: Request, unseal: Callable[[str], list[Opaque]]) -> Request:
    """`request` with every envelope replaced by what is inside, on the parts where it stood; never mutates its input.

    `unseal` is `Sealer.open` for the request's tenant.
    The first Opaque goes on the part itself where it fits its kind, the others stand before it as parts of their own. A thought
    whose envelope cannot be opened keeps its text and nothing to replay; a part that was nothing but the envelope goes.
    """
    messages = [_message(message, unseal) for message in request.messages]
    if all(new is old for new, old in zip(messages, request.messages, strict=True)):
        return request
    return structs.replace(request, messages=messages)


def _message(message: Message, unseal: Callable[[str], list[Opaque]]) -> Message:
    if not any(_is_sealed(part) for part in message.parts):
        return message
    parts: list[Part] = []
    for part in message.parts:
        parts += _opened(part, unseal) if _is_sealed(part) else [part]
    return structs.replace(message, parts=parts)


def is_sealed(opaque: Opaque | None) -> bool:
    """Whether `opaque` holds an envelope's text."""
    return opaque is not None and (opaque.vendor, opaque.kind) == SEALED


def _is_sealed(part: Part) -> bool:
    return is_sealed(getattr(part, "opaque", None))


def _opened(part: Part, unseal: Callable[[str], list[Opaque]]) -> list[Part]:
    assert isinstance(part, Text | Reasoning | ToolCall | VendorBlock) and part.opaque is not None
    text = part.opaque.data
    inside = [opaque for opaque in (unseal(text) if isinstance(text, str) else []) if not is_sealed(opaque)]
    match part:
        case Reasoning():
            return _thoughts(part, inside)
        case VendorBlock():
            return [_alone(opaque) for opaque in inside]
    # Only a signature belongs on a call or a text itself; thoughts and blocks of the turn stand before it.
    own = next((opaque for opaque in inside if opaque.kind == "thought_signature"), None)
    before = [_alone(opaque) for opaque in inside if opaque is not own]
    return [*before, structs.replace(part, opaque=own)]


def _thoughts(part: Reasoning, inside: list[Opaque]) -> list[Part]:
    """The text stays with the last opened thought; what a signature alone gives back has no text of its own."""
    if not inside:
        return [Reasoning(part.text)] if part.text else []
    opened = [_alone(opaque) for opaque in inside]
    last = opened[-1]
    if part.text and isinstance(last, Reasoning):
        opened[-1] = Reasoning(part.text, last.opaque)
    elif part.text:
        opened.append(Reasoning(part.text))
    return opened


def _alone(opaque: Opaque) -> Part:
    return Reasoning("", opaque) if opaque.kind in THOUGHTS else VendorBlock(opaque)


def _key(secret: bytes) -> bytes:
    return HKDF(SHA256(), _KEY_BYTES, salt=None, info=b"gateway envelope gw1").derive(secret)


def _kid(secret: bytes) -> str:
    """A name for the key that tells nothing about it."""
    return hashlib.sha256(b"gateway envelope kid" + _key(secret)).hexdigest()[:8]


def _bytes(text: str) -> bytes:
    """The bytes of unpadded base64url. Raises ValueError, also for spellings that `seal` would not have written."""
    data = base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
    if base64.urlsafe_b64encode(data).rstrip(b"=").decode() != text:
        raise binascii.Error("not the canonical spelling")
    return data
