"""Answers that Gemini breaks off to be asked for the rest (finishReason CONTINUATION with a continuationToken).

The same request is sent again with the token; the token holds what was said, so nothing of the answer goes back.
Source: google-genai's types (Candidate.continuation_token) and _extra_utils.py, which does the same.
"""

from __future__ import annotations

from typing import Any

import msgspec
from msgspec import structs

from gateway.dialects.gemini_tools import SoFar, Undo
from gateway.types import Continue, Usage

PAUSE = "CONTINUATION"
MAX_HOPS = 8


def paused(reason: str, token: str, undo: Undo | None) -> bool:
    """Whether the answer is to be continued. A token that was used already would only bring the same again."""
    if reason != PAUSE or not token or undo is None or not undo.sent:
        return False
    return undo.so_far is None or (undo.so_far.hops < MAX_HOPS and undo.so_far.token != token)


def go_on(undo: Undo | None, token: str, usage: Usage | None, state: Any) -> Continue:
    """The next request; `usage` is that of all answers so far. See `paused` for when."""
    assert undo is not None
    body = undo.sent.removesuffix(b"}") + b',"continuationToken":' + msgspec.json.encode(token) + b"}"
    hops = undo.so_far.hops if undo.so_far is not None else 0
    return Continue(body, [], structs.replace(undo, so_far=SoFar(hops + 1, token, usage, state)))
