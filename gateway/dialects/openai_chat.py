"""OpenAI's Chat Completions API, as a client and as a provider speaks it. Assembles the openai_chat_* files:

client    peek      the top level, on every call        provider   outgoing   types.Request -> body
          request   body -> types.Request                          turns      types.Message -> messages
          messages  one reader a role; their rules                 provider   answer, chunks -> types
          content   the parts of a message              bytes that pass through
          reply     types.Reply -> body                            passthrough  change a body, glance at an answer
          writer    events -> chunks                               tap, frames  beside a stream
both      usage
and what OpenAI's dialects share: openai_checks, openai_media, openai_errors, openai_faults, openai_undo.
"""

from __future__ import annotations

from gateway.core.places import retold
from gateway.dialects import openai_chat_passthrough as passthrough
from gateway.dialects import openai_chat_places
from gateway.dialects.openai_chat_outgoing import write_request
from gateway.dialects.openai_chat_peek import peek
from gateway.dialects.openai_chat_provider import Reader, read_reply
from gateway.dialects.openai_chat_reply import write_reply
from gateway.dialects.openai_chat_request import read_request
from gateway.dialects.openai_chat_tap import ChatTap
from gateway.dialects.openai_chat_writer import Writer
from gateway.dialects.openai_errors import write_error
from gateway.dialects.openai_undo import NOTHING, Undo
from gateway.types import (
    COMMENT,
    SAME,
    ClientError,
    Echo,
    Notes,
    Reply,
    Request,
    StreamReader,
    StreamWriter,
    Tap,
    Target,
    Unsupported,
    Written,
)


class OpenAIChat:
    """types.ClientHalf, ProviderHalf and Passthrough for POST /chat/completions.

    With `repair_history` a client's tool calls may stay without answers: the provider's dialect then makes up for them.
    """

    name = "openai_chat"
    words = SAME
    ping = COMMENT
    # Asked on every call: functions as they are, without a call of their own in between.
    peek = staticmethod(peek)
    change = staticmethod(passthrough.change)
    glance = staticmethod(passthrough.glance)

    def __init__(self, repair_history: bool = False) -> None:
        self._repair_history = repair_history

    def read_request(self, body: bytes) -> Request:
        return read_request(body, self._repair_history)

    def write_reply(self, reply: Reply, echo: Echo) -> bytes:
        return write_reply(reply, echo)

    def writer(self, echo: Echo) -> StreamWriter:
        return Writer(echo)

    def write_error(self, error: ClientError) -> bytes:
        return write_error(error)

    def retold(self, refused: Unsupported, body: bytes) -> Unsupported:
        return retold(refused, openai_chat_places.spelled(refused.param, body))

    def write_request(self, request: Request, target: Target, notes: Notes) -> Written:
        return write_request(request, target, notes)

    def read_reply(self, body: bytes, undo: Undo | None = None) -> Reply:
        return read_reply(body, undo or NOTHING)

    def reader(self, undo: Undo | None = None) -> StreamReader:
        return Reader(undo or NOTHING)

    def tap(self, swallow_usage: bool) -> Tap:
        return ChatTap(swallow_usage)


class CompatibleChat(OpenAIChat):
    """As servers speak it that imitate OpenAI: some know more members of messages, and want them back."""

    change = staticmethod(passthrough.change_freely)


OPENAI_CHAT = OpenAIChat()
COMPATIBLE_CHAT = CompatibleChat()
