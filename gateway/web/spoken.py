"""What our clients speak: the dialect of a call by its route, and whose words a refusal takes.

One row a surface. A dialect that says in the URL what others say in the body is made for that URL, once for each head.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from msgspec import Struct

from gateway.dialects.anthropic_messages import ANTHROPIC, AnthropicMessages
from gateway.dialects.native import NATIVE
from gateway.dialects.openai_chat import OPENAI_CHAT, OpenAIChat
from gateway.dialects.openai_completions import OPENAI_COMPLETIONS
from gateway.dialects.openai_embeddings import OPENAI_EMBEDDINGS
from gateway.dialects.openai_moderations import OPENAI_MODERATIONS
from gateway.types import ClientError, ClientHalf
from gateway.web.native import NativeOutlet
from gateway.web.relay import HttpOutlet
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

CALLS: dict[str, Speak] = {
    "chat": lambda match, query, repair: Speaking(
        OpenAIChat(repair) if repair else OPENAI_CHAT, travelling=OPENAI_HEADERS
    ),
    "completions": lambda match, query, repair: Speaking(OPENAI_COMPLETIONS),
    "embeddings": lambda match, query, repair: Speaking(OPENAI_EMBEDDINGS, travelling=OPENAI_HEADERS),
    "moderations": lambda match, query, repair: Speaking(OPENAI_MODERATIONS, travelling=OPENAI_HEADERS, free=True),
    "native_chat": lambda match, query, repair: Speaking(NATIVE, NativeOutlet),
    "messages": lambda match, query, repair: Speaking(
        AnthropicMessages(repair) if repair else ANTHROPIC, travelling=ANTHROPIC_HEADERS
    ),
}
ERRORS: dict[str, ErrorWriter] = {"openai": OPENAI_CHAT, "anthropic": ANTHROPIC}
