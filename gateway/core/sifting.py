"""Long conversations, sifted: what of their messages is not plain text.

Agents send conversations of hundreds of kilobytes again and again, nearly all of it text and the input and output of tools. Searching
all of that for pictures, files and other vendors' thoughts costs several times what it costs to decode it. So it is decoded into the
members that text is made of (the dialects say which, in *_sift), and only what has others is searched.

Rule 1: whatever has a member that is not listed is not plain. Rule 2: of a shape that is not known all is searched, as of every
short body. Rule 3: the last of two members of one name counts, as for the vendors.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import msgspec
from msgspec import Raw, Struct

from gateway.types import Peek

LONG = 4096  # bytes; shorter bodies are searched
NULL = Raw(b"null")
LIST, TEXT = b'["'
HOLLOW = b'"n'  # how the values begin that hold nothing inside: texts and null
UNREADABLE = (ValueError, RecursionError)


class Sifted(NamedTuple):
    """`rest`: the values in which media or files may stand; all else is text. `foreign`: there may be what other vendors left."""

    rest: list[Raw]
    foreign: bool


class Plain(Struct, forbid_unknown_fields=True):
    """The base of what is plain."""


def mark(
    peek: Peek,
    body: bytes,
    around: bytes,
    messages: Raw,
    sift: Callable[[Raw], Sifted | None],
    has_foreign: Callable[[bytes], bool],
) -> Peek:
    """Say in `peek` what is known of a body whose `messages` stand apart from what is `around` them; `body` itself: they do not."""
    sifted = None if around is body else sift(messages)
    if sifted is None:
        peek.foreign = has_foreign(body)
    else:
        peek.around, peek.foreign = around, sifted.foreign
        peek.media = b",".join((around, *sifted.rest))
    return peek


def decoder(kind: type[Struct]) -> Callable[[Raw], list[Any]]:
    """Decodes arrays of `kind`; raises one of UNREADABLE."""
    return msgspec.json.Decoder(list[kind]).decode  # type: ignore[valid-type]


def first_byte(value: Raw) -> int:
    """Tells the kind of a value. Raises IndexError for none."""
    return memoryview(value)[0]


def are(decode: Callable[[Raw], list[Any]], values: Raw) -> bool:
    """Whether `decode` takes them."""
    try:
        decode(values)
    except UNREADABLE:
        return False
    return True
