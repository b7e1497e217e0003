"""Google's generateContent, as a provider speaks it.

    gemini_request.py    a Request's body, from   gemini_contents.py (turns), gemini_parts.py, gemini_tools.py (and their undoing),
                                                  gemini_config.py, gemini_schema.py (JSON Schema for older models)
    gemini_wire.py       the shapes of answers, read by   gemini_reply.py (whole), gemini_stream.py (in pieces),
                                                          gemini_annotations.py (sources, log probabilities)

Source: https://ai.google.dev/api/generate-content; the same shapes stand behind Vertex AI.
"""

from __future__ import annotations

from typing import Any

from gateway.dialects import gemini_reply, gemini_request
from gateway.dialects.gemini_stream import Reader
from gateway.types import Notes, Reply, Request, StreamReader, Target, Written


class Gemini:
    """The provider half of the dialect (types.ProviderHalf). Holds nothing: what an answer needs travels in `undo`."""

    name = "gemini"

    def write_request(self, request: Request, target: Target, notes: Notes) -> Written:
        """Raises Unsupported when the target cannot take something that must not be dropped. Never changes `request`."""
        return gemini_request.write_request(request, target, notes)

    def read_reply(self, body: bytes, undo: Any = None) -> Reply:
        """Read a whole answer. Raises BadReply, never anything else."""
        return gemini_reply.read_reply(body, undo)

    def reader(self, undo: Any = None) -> StreamReader:
        """A reader for one stream."""
        return Reader(undo)


GEMINI = Gemini()
