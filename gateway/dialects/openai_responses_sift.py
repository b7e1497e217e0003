"""Which input of the Responses API is plain text, and calls and results of tools made of such (core.sifting)."""

from __future__ import annotations

from msgspec import Raw

from gateway.core.sifting import HOLLOW, LIST, NULL, TEXT, UNREADABLE, Plain, Sifted, are, decoder, first_byte

SEALED = b'"gw1.'  # how a text begins that holds another vendor's thoughts


class _Item(Plain):
    """A message, a call of a tool, its result, or a thought."""

    type: Raw = NULL
    role: Raw = NULL
    content: Raw = NULL
    id: Raw = NULL
    status: Raw = NULL
    phase: Raw = NULL
    name: Raw = NULL
    namespace: Raw = NULL
    arguments: Raw = NULL
    input: Raw = NULL
    call_id: Raw = NULL
    output: Raw = NULL
    summary: Raw = NULL
    encrypted_content: Raw = Raw()


class _ItemPart(Plain):
    type: Raw
    text: Raw = NULL
    refusal: Raw = NULL
    annotations: Raw = NULL
    logprobs: Raw = NULL
    prompt_cache_breakpoint: Raw = NULL


_items, _item_parts = decoder(_Item), decoder(_ItemPart)


def sift_responses(given: Raw) -> Sifted | None:
    """`input` of the Responses API."""
    if first_byte(given) == TEXT:
        return Sifted([], False)
    rest: list[Raw] = []
    foreign = False
    try:
        for item in _items(given):
            if item.encrypted_content and bytes(item.encrypted_content).startswith(SEALED):
                foreign = True
            for value in (item.content, item.output):
                first = first_byte(value)
                if first in HOLLOW or (first == LIST and are(_item_parts, value)):
                    continue
                rest.append(value)
                foreign = foreign or SEALED in bytes(value)
    except UNREADABLE:
        return None
    return Sifted(rest, foreign)


def has_foreign(body: bytes) -> bool:
    """Whether another vendor's thoughts may be in a body; a text about them counts too."""
    return SEALED in body
