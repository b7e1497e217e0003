"""Answers that Anthropic breaks off to be asked for the rest: a turn of server tools that grew long, or a compaction.

The request is sent again with what was answered as its last message, blocks as they came. The body is the one sent before with
this message spliced into its end, so that all before it stays byte for byte the same.
Sources: docs "Handling stop reasons" (pause_turn), "Compaction"; anthropic types beta_stop_reason.py.
"""

from __future__ import annotations

from typing import Any

import msgspec
from msgspec import structs

from gateway.dialects.anthropic_undo import SoFar, Undo
from gateway.types import Continue, Usage

PAUSES = ("pause_turn", "compaction")
MAX_HOPS = 10


def paused(stop_reason: str | None, undo: Undo, blocks: list[bytes]) -> bool:
    """Whether the answer is to be continued; one with nothing to send back, or too often paused, is over."""
    hops = undo.so_far.hops if undo.so_far is not None else 0
    return stop_reason in PAUSES and undo.sent is not None and hops < MAX_HOPS and bool(blocks)


def go_on(undo: Undo, blocks: list[bytes], usage: Usage | None, state: Any) -> Continue:
    """The next request. `blocks` and `usage` are those of all answers so far; see `paused` for when."""
    assert undo.sent is not None
    hops = undo.so_far.hops if undo.so_far is not None else 0
    message = b',{"role":"assistant","content":[' + b",".join(blocks) + b"]}"
    body = undo.sent.body.removesuffix(b"]}") + message + b"]}"
    return Continue(body, undo.sent.headers, structs.replace(undo, so_far=SoFar(hops + 1, blocks, usage, state)))


def sendable(block: Any) -> bytes | None:
    """A block of an answer as a request takes it. None for an empty text, which no request may hold, and for what is no JSON."""
    if block.get("type") == "text" and not str(block.get("text") or "").strip():
        return None
    try:
        return msgspec.json.encode({key: value for key, value in block.items() if key != "citations" or value})
    except (ValueError, RecursionError):  # half a surrogate, or nested to the very limit of what could be read
        return None
