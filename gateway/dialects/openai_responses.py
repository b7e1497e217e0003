"""OpenAI's Responses API, as a client and as a provider speaks it. Assembles the openai_responses_* files:

client    peek      the top level, on every call        provider   outgoing   types.Request -> body
          request   body -> types.Request                          turns      types.Message -> input items
          items     input items -> messages                        provider   answer, events -> types
          content   the parts of an item                           parts      output items -> parts
          tools     tools and the choice among them
          asked     what an answer needs of its request  bytes that pass through
          reply     types.Reply -> body                            passthrough  change a body, glance at an answer
          object    what stands around the output                  tap          beside a stream
          output    output items                         both      usage, faults
          writer    events -> stream; open: its items
          searches  what a vendor searched for
          state     what is kept between requests
and what OpenAI's dialects share: openai_checks, openai_media, openai_top, openai_effort, openai_errors, openai_faults,
openai_undo.
"""

from __future__ import annotations

from gateway.core.places import retold
from gateway.dialects import openai_responses_passthrough as passthrough
from gateway.dialects import openai_responses_places
from gateway.dialects.openai_errors import write_error
from gateway.dialects.openai_responses_outgoing import write_request
from gateway.dialects.openai_responses_peek import peek
from gateway.dialects.openai_responses_provider import Reader, read_reply
from gateway.dialects.openai_responses_reply import write_reply
from gateway.dialects.openai_responses_request import read_request
from gateway.dialects.openai_responses_tap import ResponsesTap
from gateway.dialects.openai_responses_writer import Writer
from gateway.dialects.openai_undo import Undo
from gateway.types import (
    COMMENT,
    Change,
    ClientError,
    Echo,
    Glance,
    Notes,
    Peek,
    Reply,
    Request,
    StreamReader,
    Target,
    Unsupported,
    Written,
)


class OpenAIResponses:
    """types.ClientHalf, ProviderHalf and Passthrough for POST /responses.

    With `repair_history` a client's tool calls may stay without answers: the provider's dialect then makes up for them.
    """

    name = "openai_responses"
    words = openai_responses_places.WORDS
    ping = COMMENT

    def __init__(self, repair_history: bool = False) -> None:
        self._repair_history = repair_history

    def peek(self, body: bytes) -> Peek:
        return peek(body)

    def read_request(self, body: bytes) -> Request:
        return read_request(body, self._repair_history)

    def write_reply(self, reply: Reply, echo: Echo) -> bytes:
        return write_reply(reply, echo)

    def writer(self, echo: Echo) -> Writer:
        return Writer(echo)

    def write_error(self, error: ClientError) -> bytes:
        return write_error(error)

    def retold(self, refused: Unsupported, body: bytes) -> Unsupported:
        return retold(refused, openai_responses_places.spelled(refused.param, body))

    def write_request(self, request: Request, target: Target, notes: Notes) -> Written:
        return write_request(request, target, notes)

    def read_reply(self, body: bytes, undo: Undo | None = None) -> Reply:
        return read_reply(body, undo)

    def reader(self, undo: Undo | None = None) -> StreamReader:
        return Reader(undo)

    def change(self, body: bytes, peek: Peek, change: Change) -> bytes:
        return passthrough.change(body, peek, change)

    def glance(self, body: bytes) -> Glance:
        return passthrough.glance(body)

    def tap(self, swallow_usage: bool) -> ResponsesTap:
        return ResponsesTap()


OPENAI_RESPONSES = OpenAIResponses()
