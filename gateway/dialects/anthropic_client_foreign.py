"""Thoughts and citations of other vendors in a conversation that goes on to Anthropic: they were given to the client in blocks of
Anthropic's shape (anthropic_client_reply), and Anthropic refuses signatures and indexes that are not its own.

They are taken out one by one; every other byte of a message stays.
"""

from __future__ import annotations

import msgspec
from msgspec import Raw, Struct

from gateway.dialects.anthropic_client_content import ENVELOPE

_SIGNS = (b'"' + ENVELOPE.encode(), b'"signature":""', b'"signature": ""')
CITED = ENVELOPE + "cited"  # the encrypted_index of a citation that is not Anthropic's
_CITED = b'"' + CITED.encode() + b'"'
_THOUGHTS = ("thinking", "redacted_thinking")


class _Thought(Struct):
    type: str
    signature: str = ""
    data: str = ""

    def foreign(self) -> bool:
        said = self.signature if self.type == "thinking" else self.data
        return self.type in _THOUGHTS and (not said or said.startswith(ENVELOPE))


_decode_messages = msgspec.json.Decoder(list[dict[str, Raw]]).decode
_decode_blocks = msgspec.json.Decoder(list[Raw]).decode
_decode_thought = msgspec.json.Decoder(_Thought).decode


def has_foreign(body: bytes) -> bool:
    """Whether another vendor's thoughts or citations may be in a body. A few searches of its bytes; a text about them counts too."""
    return any(sign in body for sign in _SIGNS)


def without_foreign(messages: Raw) -> bytes | None:
    """The array of messages without them, None when there are none; a message that was nothing else goes as a whole."""
    try:
        found = _decode_messages(messages)
    except (ValueError, RecursionError):
        return None  # the upstream says what is wrong with it
    kept = [message for message in map(_without, found) if message is not None]
    if len(kept) == len(found) and all(new is old for new, old in zip(kept, found, strict=True)):
        return None
    return msgspec.json.encode(kept)


def _without(message: dict[str, Raw]) -> dict[str, Raw] | None:
    content = message.get("content")
    if content is None or bytes(memoryview(content)[:1]) != b"[":
        return message
    blocks = _decode_blocks(content)
    kept = [_uncited(block) for block in blocks if not _is_foreign(block)]
    if len(kept) == len(blocks) and all(new is old for new, old in zip(kept, blocks, strict=True)):
        return message
    return {**message, "content": Raw(msgspec.json.encode(kept))} if kept else None


class _Citation(Struct):
    encrypted_index: str = ""


class _Cited(Struct):
    citations: list[Raw]


_decode_cited = msgspec.json.Decoder(_Cited).decode
_decode_citation = msgspec.json.Decoder(_Citation).decode
_decode_block = msgspec.json.Decoder(dict[str, Raw]).decode


def _uncited(block: Raw) -> Raw:
    """A block without another vendor's citations, itself when it has none."""
    if _CITED not in bytes(block):
        return block
    try:
        cited = _decode_cited(block).citations
        own = [citation for citation in cited if _decode_citation(citation).encrypted_index != CITED]
    except (ValueError, RecursionError):
        return block
    if len(own) == len(cited):
        return block
    fields = {key: value for key, value in _decode_block(block).items() if key != "citations"}
    return Raw(msgspec.json.encode({**fields, "citations": own} if own else fields))


def _is_foreign(block: Raw) -> bool:
    try:
        return _decode_thought(block).foreign()
    except (ValueError, RecursionError):
        return False
