"""What our clients speak: the dialect of a call by its route, and whose words a refusal takes.

One row a surface. A dialect that says in the URL what others say in the body is made for that URL, once for each head.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol
from urllib.parse import parse_qsl

from msgspec import Struct

from gateway.dialects.anthropic_messages import ANTHROPIC, AnthropicMessages
from gateway.dialects.gemini import GEMINI, Gemini
from gateway.dialects.gemini_embeddings import GeminiEmbeddings, GeminiSingleEmbeddings
from gateway.dialects.native import NATIVE
from gateway.dialects.openai_chat import OPENAI_CHAT, OpenAIChat
from gateway.dialects.openai_completions import OPENAI_COMPLETIONS
from gateway.dialects.openai_embeddings import OPENAI_EMBEDDINGS
from gateway.dialects.openai_moderations import OPENAI_MODERATIONS
from gateway.dialects.openai_responses import OPENAI_RESPONSES, OpenAIResponses
from gateway.types import ClientError, ClientHalf
from gateway.web.arrays import ArrayOutlet
from gateway.web.native import NativeOutlet
from gateway.web.relay import HttpOutlet
from gateway.web.responses import ResponsesOutlet
from gateway.web.surfaces import Match


class Speaking(Struct, frozen=True):
    """How to talk to the client of one call: its dialect, and who writes the answer.

    `travelling`: request headers that go on to a provider of the same dialect, with what is sent where the client says nothing.
    Credentials, and headers that choose whose account pays, never do.
    """

    dialect: ClientHalf
    outlet: type[HttpOutlet] = HttpOutlet
    travelling: tuple[tuple[str, str], ...] = ()
    free: bool = False  # the vendor bills no tokens


class ErrorWriter(Protocol):
    def write_error(self, error: ClientError) -> bytes: ...


Speak = Callable[[Match, str, bool], Speaking]  # the match, the raw query, translation.repair_history

OPENAI_HEADERS = (("openai-beta", ""),)
# A client that names no version is a script of the days when there was one (wire format of 2023-06-01).
ANTHROPIC_HEADERS = (("anthropic-version", "2023-06-01"), ("anthropic-beta", ""))

GEMINI_HEADERS = (("x-goog-api-client", ""), ("x-goog-request-params", ""))


def _gemini(match: Match, query: str, stream: bool) -> Speaking:
    array = stream and ("alt", "sse") not in parse_qsl(query)
    outlet = ArrayOutlet if array else HttpOutlet
    return Speaking(Gemini(match.id, stream, array), outlet, travelling=GEMINI_HEADERS)


CALLS: dict[str, Speak] = {
    "chat": lambda match, query, repair: Speaking(
        OpenAIChat(repair) if repair else OPENAI_CHAT, travelling=OPENAI_HEADERS
    ),
    "completions": lambda match, query, repair: Speaking(OPENAI_COMPLETIONS),
    "embeddings": lambda match, query, repair: Speaking(OPENAI_EMBEDDINGS, travelling=OPENAI_HEADERS),
    "moderations": lambda match, query, repair: Speaking(OPENAI_MODERATIONS, travelling=OPENAI_HEADERS, free=True),
    "responses": lambda match, query, repair: Speaking(
        OpenAIResponses(repair) if repair else OPENAI_RESPONSES, ResponsesOutlet, travelling=OPENAI_HEADERS
    ),
    "generate_content": lambda match, query, repair: _gemini(match, query, False),
    "stream_content": lambda match, query, repair: _gemini(match, query, True),
    "embed_content": lambda match, query, repair: Speaking(GeminiSingleEmbeddings(match.id)),
    "embed_contents": lambda match, query, repair: Speaking(GeminiEmbeddings(match.id), travelling=GEMINI_HEADERS),
    "native_chat": lambda match, query, repair: Speaking(NATIVE, NativeOutlet),
    "messages": lambda match, query, repair: Speaking(
        AnthropicMessages(repair) if repair else ANTHROPIC, travelling=ANTHROPIC_HEADERS
    ),
}
ERRORS: dict[str, ErrorWriter] = {"openai": OPENAI_CHAT, "anthropic": ANTHROPIC, "gemini": GEMINI}
