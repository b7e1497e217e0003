"""An untouched stream of Gemini's, as the JSON array that a client gets who did not ask for alt=sse.

Rule: the array is closed when the upstream ended cleanly, and only then (gemini_client_writer.py says why).
"""

from __future__ import annotations

import msgspec

from gateway.core.sse import Frame, Splitter
from gateway.dialects.gemini_client_errors import error_object
from gateway.types import ClientError


class ArrayForm:
    """Event-stream bytes in, cut anywhere; the bytes of one JSON array out. Each fragment stays byte for byte."""

    __slots__ = ("_begun", "_over", "_splitter")

    def __init__(self) -> None:
        self._splitter = Splitter()
        self._begun = False
        self._over = False

    def feed(self, data: bytes) -> bytes:
        """The elements that `data` completes. Raises sse.LineTooLong."""
        return b"" if self._over else self._elements(self._splitter.feed(data))

    def end(self) -> bytes:
        """The last element and the closing bracket: the upstream ended cleanly."""
        if self._over:
            return b""
        rest = self._elements(self._splitter.eof())
        self._over = True
        return rest + (b"]" if self._begun else b"[]")

    def error(self, error: ClientError) -> bytes:
        """The error as the last element of an array that stays open. Half a fragment before it is left out."""
        self._over = True
        return self._element(msgspec.json.encode({"error": error_object(error)}))

    def _elements(self, frames: list[Frame]) -> bytes:
        return b"".join([self._element(data) for _, data in frames if data != b"[DONE]"])

    def _element(self, fragment: bytes) -> bytes:
        begun, self._begun = self._begun, True
        return (b",\n" if begun else b"[") + fragment
