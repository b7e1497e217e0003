"""OpenAI's legacy completions as clients speak them; any chat provider answers. Assembles the openai_completions_* files."""

from __future__ import annotations

from gateway.dialects.openai_completions_reply import Writer, write_reply
from gateway.dialects.openai_completions_request import peek, read_request
from gateway.dialects.openai_errors import write_error
from gateway.types import COMMENT, ClientError, Echo, Peek, Reply, Request, SameWords, StreamWriter


class OpenAICompletions(SameWords):
    """types.ClientHalf for POST /completions. Of its Echo, `request` must be the Request's `echo`."""

    name = "openai_completions"
    ping = COMMENT

    def peek(self, body: bytes) -> Peek:
        return peek(body)

    def read_request(self, body: bytes) -> Request:
        return read_request(body)

    def write_reply(self, reply: Reply, echo: Echo) -> bytes:
        return write_reply(reply, echo)

    def writer(self, echo: Echo) -> StreamWriter:
        return Writer(echo)

    def write_error(self, error: ClientError) -> bytes:
        return write_error(error)


OPENAI_COMPLETIONS = OpenAICompletions()
