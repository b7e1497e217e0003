"""Which messages of the Messages API are plain text, and calls and results of tools made of such (core.sifting)."""

from __future__ import annotations

from msgspec import Raw

from gateway.core.sifting import HOLLOW, LIST, NULL, UNREADABLE, Plain, Sifted, decoder, first_byte
from gateway.dialects.anthropic_client_content import ENVELOPE
from gateway.dialects.anthropic_client_foreign import CITED, has_foreign

_SEALED = b'"' + ENVELOPE.encode()
_CITED = b'"' + CITED.encode() + b'"'


class _Message(Plain):
    role: Raw
    content: Raw = NULL


class _Block(Plain):
    """Text, a thought, a call of a tool, or its result."""

    type: Raw
    text: Raw = NULL
    citations: Raw = Raw()
    thinking: Raw = NULL
    signature: Raw = Raw()
    data: Raw = Raw()
    id: Raw = NULL
    name: Raw = NULL
    input: Raw = NULL
    tool_use_id: Raw = NULL
    content: Raw = NULL
    is_error: Raw = NULL
    cache_control: Raw = NULL


class _PlainMessage(Plain):
    """A message of plain blocks, read in one go."""

    role: Raw
    content: str | list[_Block] | None = None


_messages, _plain_messages, _blocks = decoder(_Message), decoder(_PlainMessage), decoder(_Block)


def sift_anthropic(messages: Raw) -> Sifted | None:
    """`messages` of the Messages API."""
    rest: list[Raw] = []
    foreign = False
    try:
        plain = _plain_messages(messages)
    except UNREADABLE:
        return _sift_messages(messages)
    for message in plain:
        if type(message.content) is list and _sift_blocks(message.content, rest, inner=False):
            foreign = True
    return Sifted(rest, foreign)


def _sift_messages(messages: Raw) -> Sifted | None:
    """The same, where the blocks of some message are not plain."""
    rest: list[Raw] = []
    foreign = False
    try:
        for message in _messages(messages):
            if first_byte(message.content) == LIST and _sift_list(message.content, rest, inner=False):
                foreign = True
    except UNREADABLE:
        return None
    return Sifted(rest, foreign)


def _sift_list(content: Raw, rest: list[Raw], inner: bool) -> bool:
    try:
        blocks = _blocks(content)
    except UNREADABLE:
        rest.append(content)
        return has_foreign(bytes(content))
    return _sift_blocks(blocks, rest, inner)


def _sift_blocks(blocks: list[_Block], rest: list[Raw], inner: bool) -> bool:
    """Add to `rest` what is not plain; whether something is of other vendors. `inner`: these are a result's; results in results
    are none that a client makes, and each level would be decoded again."""
    foreign = False
    for block in blocks:
        if block.signature or block.data or block.citations:
            foreign = foreign or _is_foreign(block)
        if block.content is NULL:
            continue
        first = first_byte(block.content)
        if first == LIST and not inner:
            foreign = _sift_list(block.content, rest, inner=True) or foreign
        elif first not in HOLLOW:
            rest.append(block.content)
            foreign = foreign or has_foreign(bytes(block.content))
    return foreign


def _is_foreign(block: _Block) -> bool:
    sealed = bytes(block.signature) == b'""' or any(
        bytes(raw).startswith(_SEALED) for raw in (block.signature, block.data)
    )
    return sealed or _CITED in bytes(block.citations)
