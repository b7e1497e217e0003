"""Compressed request bodies, decoded within a cap: a small body that grows without end is refused before it does.

Source: RFC 9110, section 8.4.1 (gzip, deflate; the latter is met with and without its zlib frame).
"""

from __future__ import annotations

import zlib

from gateway.errors import InvalidRequest, UnsupportedMediaType

_GZIP, _ZLIB, _RAW = 31, 15, -15  # zlib's wbits
_BROKEN = "The body is not what its Content-Encoding says."


class Inflater:
    """Decodes one body. `encoding` is Content-Encoding in lower case; raises UnsupportedMediaType for those we do not know."""

    def __init__(self, encoding: str) -> None:
        if encoding not in ("gzip", "x-gzip", "deflate"):
            raise UnsupportedMediaType(f"Content-Encoding {encoding[:20]!r} is not understood; gzip and deflate are.")
        self._gzip = encoding != "deflate"
        self._stream: zlib._Decompress | None = None

    def feed(self, data: bytes, room: int) -> bytes:
        """What `data` decodes to, at most one byte more than `room`. Raises InvalidRequest."""
        if self._stream is None:
            framed = data[0] & 15 == 8  # the compression method in the frame's first byte
            self._stream = zlib.decompressobj(_GZIP if self._gzip else _ZLIB if framed else _RAW)
        try:
            decoded = self._stream.decompress(data, room + 1)
        except zlib.error:
            raise InvalidRequest(_BROKEN) from None
        if self._stream.unused_data:
            raise InvalidRequest(_BROKEN)
        return decoded

    def end(self) -> None:
        """The body is over. Raises InvalidRequest when it was cut short."""
        if self._stream is not None and not self._stream.eof:
            raise InvalidRequest(_BROKEN)
