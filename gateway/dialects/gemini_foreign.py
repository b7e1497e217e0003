"""Envelopes of other vendors' thoughts in a conversation that goes on to Gemini as it is.

They were given to the client as signatures (gemini_client_answer), and Gemini refuses signatures that are not its own. Gemini 3
wants one on a call, and takes the word that Google documents for calls of others; older models want none.
"""

from __future__ import annotations

import re

from gateway.dialects.gemini_contents import SKIP_SIGNATURE

_SEALED = rb'"thought_?[sS]ignature"[ \t\n\r]*:[ \t\n\r]*"(?:Z3cxL|gw1\.)(?:[^"\\]|\\.)*"'
_ALONE = re.compile(rb"\{[ \t\n\r]*" + _SEALED + rb"[ \t\n\r]*\}")
_MEMBER = re.compile(rb",[ \t\n\r]*" + _SEALED + rb"|" + _SEALED + rb"[ \t\n\r]*,")
_VALUE = re.compile(_SEALED)
_SIGNS = (b'"Z3cxL', b'"gw1.')
_OLDER = ("gemini-1", "gemini-2")
_SKIP = b'"thoughtSignature":"' + SKIP_SIGNATURE.encode() + b'"'
_NOTHING = b'{"text":""}'


def has_foreign(body: bytes) -> bool:
    """Whether an envelope may be in a body; a text about one counts too."""
    return any(sign in body for sign in _SIGNS)


def without_foreign(body: bytes, model: str) -> bytes:
    """`body` without them; the very same object when there are none. What looks so inside a string has escaped quotes."""
    if not has_foreign(body):
        return body
    if not model.removeprefix("models/").startswith(_OLDER):
        return _VALUE.sub(_SKIP, body)
    return _MEMBER.sub(b"", _ALONE.sub(_NOTHING, body))
