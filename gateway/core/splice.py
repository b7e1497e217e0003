"""Changing a JSON object without touching its other bytes.

`fields` is always the object's own top level, decoded into `msgspec.Raw`. Rule: a byte is only replaced where it is proven
what stands there. Either a key occurs once in all the bytes and nothing is spelled with escapes, or the whole object is the
concatenation of exactly these members; where neither holds the object is written anew from its members.
"""

from __future__ import annotations

import re

import msgspec
from msgspec import Raw

MAX_HEAD = 64 * 1024  # bytes in which `around` looks for a key: instructions may stand before it
LONG = 4096  # bytes in which a search for a key costs more than comparing all members
decode_top = msgspec.json.Decoder(dict[str, Raw]).decode
Edit = tuple[int, int, bytes]  # start, end, what stands there afterwards

_KEY = re.compile(rb'[ \t\n\r]*"([^"\\]*)"[ \t\n\r]*:[ \t\n\r]*')
_COLON = re.compile(rb"[ \t\n\r]*:[ \t\n\r]*")
_COMMA = re.compile(rb"[ \t\n\r]*,")
_CLOSE = re.compile(rb"[ \t\n\r]*\}[ \t\n\r]*")


def set_members(body: bytes, fields: dict[str, Raw], members: dict[str, bytes]) -> bytes:
    """`body` with these top-level members: replaced where they stand, else added after the opening brace."""
    edits: list[Edit] = []
    added = b""
    known = places(body, fields) if len(body) > LONG else None
    for key, value in members.items():
        if key not in fields:
            added += b'"' + key.encode() + b'":' + value + b","
        elif (start := known[key] if known else _place(body, fields, key)) is None:
            return msgspec.json.encode({**fields, **{key: Raw(value) for key, value in members.items()}})
        else:
            edits.append((start, start + len(memoryview(fields[key])), value))
    if added:
        brace = body.index(b"{") + 1
        edits.append((brace, brace, added if fields else added[:-1]))
    return _apply(body, edits)


def places(body: bytes, fields: dict[str, Raw]) -> dict[str, int] | None:
    """Where each value begins, or None unless `body` is exactly these members, each once and in this order."""
    found: dict[str, int] = {}
    at = body.index(b"{") + 1
    for key, raw in fields.items():
        if found:
            comma = _COMMA.match(body, at)
            if comma is None:
                return None
            at = comma.end()
        spelled = _KEY.match(body, at)
        if spelled is None or spelled.group(1) != key.encode():
            return None
        found[key] = at = spelled.end()
        value = bytes(raw)
        if not body.startswith(value, at):
            return None
        at += len(value)
    return found if _CLOSE.fullmatch(body, at) else None


def around(body: bytes, key: str, value: Raw) -> bytes:
    """`body` without the `value` of its top-level member `key`; all of it where it is not proven where that stands.

    For large members: what is searched for at the top level need not be searched for in them. The key is one of the top
    level if the object ends well when it ends there, and from there on a value ends where its own bytes say.
    """
    quoted = b'"' + key.encode() + b'"'
    at = body.find(quoted, 0, MAX_HEAD)
    colon = _COLON.match(body, at + len(quoted)) if at >= 0 else None
    if colon is None:
        return body
    start, taken = colon.end(), bytes(value)
    if not taken or not body.startswith(taken, start):
        return body
    try:
        decode_top(body[:at] + b'"":0}')
    except (ValueError, RecursionError):
        return body
    return body[:start] + body[start + len(taken) :]


def _place(body: bytes, fields: dict[str, Raw], key: str) -> int | None:
    quoted = b'"' + key.encode() + b'"'
    at = body.find(quoted)
    if at >= 0 and body.find(quoted, at + 1) < 0 and (b"\\" not in body or b"\\u" not in body):
        # The key stands in `fields`, so it is spelled somewhere at the top; without escapes it is spelled here.
        colon = _COLON.match(body, at + len(quoted))
        return colon.end() if colon else None
    known = places(body, fields)
    return known[key] if known else None


def _apply(body: bytes, edits: list[Edit]) -> bytes:
    pieces: list[bytes] = []
    at = 0
    for start, end, value in sorted(edits):
        pieces += (body[at:start], value)
        at = end
    return b"".join([*pieces, body[at:]])
