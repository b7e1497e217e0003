"""A stderr that several processes can share line by line.

pipe(7): a write of at most PIPE_BUF bytes is not mixed with what others write to the same pipe; a longer one may be. A batch of
lines is therefore written in pieces that end at a line's end; a single line longer than PIPE_BUF is one write all the same.
"""

from __future__ import annotations

import io
import select
import sys


class WholeLines(io.BufferedWriter):
    """Writes at once, in pieces of whole lines."""

    def write(self, data: bytes) -> int:  # type: ignore[override]
        at = 0
        while at < len(data):
            end = data.rfind(b"\n", at, at + select.PIPE_BUF) + 1 or data.find(b"\n", at) + 1 or len(data)
            at += self.raw.write(data[at:end]) or 0
        return len(data)


def stderr_lines() -> WholeLines:
    """This process's stderr; closing it leaves the descriptor open."""
    return WholeLines(io.FileIO(sys.stderr.fileno(), "w", closefd=False))
