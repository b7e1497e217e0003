"""Anthropic's Messages API, as a client and as a provider speaks it. Assembles the anthropic_* files, each does one thing:

provider  request   write_request: puts together          reply     a whole answer
          turns     who speaks when, order of blocks      stream    SSE -> events
          blocks    one part -> one block                 open      the blocks of a stream while they are open
          tools     tools, legal names                    text      what becomes of an answer's text
          choice    tool_choice and its emulation         undo      what the request changed about the tools
          schema    JSON Schema -> their subset           params    limits, sampling, the rest
          format    response_format                       thinking  effort -> thinking
          search    web_search_options                    pause     answers that go on in another one
client_   peek      the top level, on every call          messages  system, messages; the rules between turns
          request   body -> types.Request                 content   the blocks of a message
          checks    types, and Anthropic's words          tools     tools, tool_choice
          reply     types.Reply, errors -> body           writer    events -> their event stream
          lists     token counts, the list of models     places    where a refused thing stood
bytes     client_passthrough  change, glance              client_tap  beside a stream
both      wire      usage, stop reasons, errors

Use as a provider: `written = ANTHROPIC.write_request(request, target, notes)`, then `read_reply(body, written.undo)` or
`reader(written.undo)`. The object has no state; what an answer needs of its request travels in `undo`.
"""

from __future__ import annotations

from typing import Any

from gateway.core.places import retold
from gateway.dialects import anthropic_client_passthrough as passthrough
from gateway.dialects import anthropic_client_places, anthropic_reply, anthropic_request
from gateway.dialects import anthropic_client_request as incoming
from gateway.dialects.anthropic_client_lists import model_entry, write_count, write_models
from gateway.dialects.anthropic_client_peek import peek
from gateway.dialects.anthropic_client_reply import write_error, write_reply
from gateway.dialects.anthropic_client_tap import MessagesTap
from gateway.dialects.anthropic_client_writer import PING, Writer
from gateway.dialects.anthropic_stream import Reader
from gateway.dialects.anthropic_undo import NOTHING, Undo
from gateway.types import (
    Change,
    ClientError,
    Echo,
    Glance,
    Notes,
    Peek,
    Reply,
    Request,
    StreamReader,
    StreamWriter,
    Tap,
    Target,
    Unsupported,
    Written,
)


class AnthropicMessages:
    """types.ClientHalf, ProviderHalf and Passthrough for POST /v1/messages.

    With `repair_history` a client's tool calls may stay without results: the provider's dialect then makes up for them.
    """

    name = "anthropic_messages"
    words = anthropic_client_places.WORDS
    ping = PING  # what a stream says while nothing is said, after its message_start

    def __init__(self, repair_history: bool = False) -> None:
        self._repair_history = repair_history

    def peek(self, body: bytes) -> Peek:
        """Also for count_tokens. `max_tokens` is 0 when only a cache is to be warmed (Peek.warms)."""
        return peek(body)

    def read_request(self, body: bytes) -> Request:
        return incoming.read_request(body, self._repair_history)

    def write_reply(self, reply: Reply, echo: Echo) -> bytes:
        return write_reply(reply, echo)

    def writer(self, echo: Echo) -> StreamWriter:
        return Writer(echo)

    def write_error(self, error: ClientError) -> bytes:
        return write_error(error)

    def retold(self, refused: Unsupported, body: bytes) -> Unsupported:
        """Anthropic's clients look for the place at the beginning of the message."""
        told = retold(refused, anthropic_client_places.spelled(refused.param, body))
        if told.message.startswith(told.param):
            return told
        return Unsupported(told.param, f"{told.param}: {told.message}", told.code)

    def read_count(self, body: bytes) -> Request:
        """The request of /v1/messages/count_tokens. Raises BadRequest, never anything else."""
        return incoming.read_count(body, self._repair_history)

    def write_count(self, tokens: int) -> bytes:
        return write_count(tokens)

    def model_entry(
        self, id_: str, created: int = 0, context: int | None = None, max_output: int | None = None, name: str = ""
    ) -> dict[str, Any]:
        """One entry of the list of models; see anthropic_client_lists."""
        return model_entry(id_, created, context, max_output, name)

    def write_models(self, entries: list[dict[str, Any]]) -> bytes:
        return write_models(entries)

    def write_request(self, request: Request, target: Target, notes: Notes) -> Written:
        """Headers: anthropic-version, and anthropic-beta where the body needs it."""
        return anthropic_request.write_request(request, target, notes)

    def read_reply(self, body: bytes, undo: Undo | None = None) -> Reply:
        return anthropic_reply.read_reply(body, undo or NOTHING)

    def reader(self, undo: Undo | None = None) -> StreamReader:
        return Reader(undo or NOTHING)

    def change(self, body: bytes, peek: Peek, change: Change) -> bytes:
        return passthrough.change(body, peek, change)

    def glance(self, body: bytes) -> Glance:
        return passthrough.glance(body)

    def tap(self, swallow_usage: bool) -> Tap:
        """Usage is part of every stream's own events: nothing is swallowed."""
        return MessagesTap()


ANTHROPIC = AnthropicMessages()
