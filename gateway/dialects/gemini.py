"""Google's generateContent, as a client and as a provider speaks it. Assembles the gemini_* files:

client (gemini_client_*)                                provider   request    types.Request -> body, from contents, parts,
        peek       the top level, on every call                               tools, config, schema
        request    body -> types.Request, from                     reply      answer -> types.Reply
        contents   turns; calls and their results                  stream     fragments -> events
        parts      one part; media: bytes, files                   wire       the shapes of answers; annotations
        tools      functions and the choice            bytes that pass through
        config     generationConfig                                passthrough  change a body, glance at an answer
        schema     OpenAPI's subset -> JSON Schema                 tap          beside a stream
        fields     types, spellings, Google's words                foreign      other vendors' envelopes
                                                                   client_array a stream as a JSON array
        reply      types.Reply -> body, from answer,    both       count        countTokens
        grounding  sources                                         embeddings   embedContent, batchEmbedContents
        writer     events -> fragments                             models       the list of models
        errors     google.rpc's shape

A client's model, and whether it wants a stream, stand in the URL: an object is made for that URL, or the caller puts them in.
Source: https://ai.google.dev/api/generate-content; the same shapes stand behind Vertex AI.
"""

from __future__ import annotations

from typing import Any

from msgspec import structs

from gateway.core.places import retold
from gateway.core.stopping import StoppedReader, stopped_reply
from gateway.dialects import gemini_client_places, gemini_reply, gemini_request
from gateway.dialects import gemini_passthrough as passthrough
from gateway.dialects.gemini_client_array import ArrayForm
from gateway.dialects.gemini_client_errors import write_error
from gateway.dialects.gemini_client_peek import peek
from gateway.dialects.gemini_client_reply import write_reply
from gateway.dialects.gemini_client_request import read_request
from gateway.dialects.gemini_client_writer import Writer
from gateway.dialects.gemini_stream import Reader
from gateway.dialects.gemini_tap import GeminiTap
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


class Gemini:
    """types.ClientHalf, ProviderHalf and Passthrough. What an answer needs travels in `undo` and Echo.

    `model` and `stream` are what the URL of a client's call says; `array`: it said no alt=sse. A provider needs none of them.
    """

    name = "gemini"
    words = gemini_client_places.WORDS
    ping = b"\n\n"  # keeps a silent stream open, in both forms: google-genai takes a comment for JSON that is broken

    def __init__(self, model: str = "", stream: bool = False, array: bool = False) -> None:
        self._model = model
        self._stream = stream
        self._array = array

    def peek(self, body: bytes) -> Peek:
        found = peek(body)
        found.model, found.stream = self._model, self._stream
        return found

    def read_request(self, body: bytes) -> Request:
        request = read_request(body)
        request.model, request.stream = self._model, self._stream
        return request

    def write_reply(self, reply: Reply, echo: Echo) -> bytes:
        return write_reply(reply, echo)

    def writer(self, echo: Echo) -> StreamWriter:
        return Writer(structs.replace(echo, array=True) if self._array else echo)

    def array_form(self) -> ArrayForm:
        """Turns the untouched event stream of an upstream into the array of a client without alt=sse."""
        return ArrayForm()

    def write_error(self, error: ClientError) -> bytes:
        return write_error(error)

    def retold(self, refused: Unsupported, body: bytes) -> Unsupported:
        return retold(refused, gemini_client_places.spelled(refused.param, body))

    def write_request(self, request: Request, target: Target, notes: Notes) -> Written:
        """Raises Unsupported when the target cannot take something that must not be dropped. Never changes `request`."""
        return gemini_request.write_request(request, target, notes)

    def read_reply(self, body: bytes, undo: Any = None) -> Reply:
        """Read a whole answer. Raises BadReply, never anything else."""
        reply = gemini_reply.read_reply(body, undo)
        return reply if undo is None or not undo.stops else stopped_reply(reply, undo.stops)

    def reader(self, undo: Any = None) -> StreamReader:
        """A reader for one stream."""
        return Reader(undo) if undo is None or not undo.stops else StoppedReader(Reader(undo), undo.stops)

    def change(self, body: bytes, peek: Peek, change: Change) -> bytes:
        """Only an output cap or a temperature is ever added, and other vendors' envelopes go: the model stands in the URL."""
        return passthrough.change(body, peek, change)

    def glance(self, body: bytes) -> Glance:
        return passthrough.glance(body)

    def tap(self, swallow_usage: bool) -> Tap:
        """Gemini reports usage unasked, and its clients get it unasked: `swallow_usage` changes nothing."""
        return GeminiTap()


GEMINI = Gemini()
