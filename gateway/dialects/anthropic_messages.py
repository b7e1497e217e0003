"""Anthropic's Messages API as a provider speaks it. Assembles the anthropic_* files, each of which does one thing:

request   write_request: puts together          wire     usage, stop reasons, errors
turns     who speaks when, order of blocks      reply    a whole answer
blocks    one part -> one block                 stream   SSE -> events
tools     tools, legal names                    open     the blocks of a stream while they are open
choice    tool_choice and its emulation         text     what becomes of an answer's text
schema    JSON Schema -> their subset           undo     what the request changed about the tools
format    response_format                       params   limits, sampling, the rest
thinking  effort -> thinking

Use: `written = AnthropicMessages().write_request(request, target, notes)`, then `read_reply(body, written.undo)` or
`reader(written.undo)`. The object has no state; what an answer needs of its request travels in `undo`.
"""

from __future__ import annotations

from gateway.dialects import anthropic_reply, anthropic_request
from gateway.dialects.anthropic_stream import Reader
from gateway.dialects.anthropic_undo import NOTHING, Undo
from gateway.types import Notes, Reply, Request, StreamReader, Target, Written


class AnthropicMessages:
    """types.ProviderHalf for POST /v1/messages."""

    name = "anthropic_messages"

    def write_request(self, request: Request, target: Target, notes: Notes) -> Written:
        """Headers: anthropic-version, and anthropic-beta where the body needs it."""
        return anthropic_request.write_request(request, target, notes)

    def read_reply(self, body: bytes, undo: Undo | None = None) -> Reply:
        return anthropic_reply.read_reply(body, undo or NOTHING)

    def reader(self, undo: Undo | None = None) -> StreamReader:
        return Reader(undo or NOTHING)
