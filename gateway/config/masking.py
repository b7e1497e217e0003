"""Source lines without their secrets.

A line is shown with a problem so that a person finds the place. It may hold an API key: as a value, under a misspelt key, in a
comment, or anywhere at all when the YAML is broken. Rule: what is not known to be harmless becomes asterisks. Harmless are
the schema's own words, `${NAME`, punctuation, and the spans that the reader has typed as something else than a secret.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace

from gateway.config.kinds import WORDS

TOKEN = re.compile(r"\$\{file:|\$\{[A-Za-z_][A-Za-z0-9_]*|[^\s{}\[\],:\"'#&*|>]+")
COMMENT = re.compile(r"(?:^|\s)#")
PLAUSIBLE = re.compile(r"[A-Za-z_][A-Za-z0-9_-]{0,31}\Z")


@dataclass(frozen=True, slots=True)
class Span:
    """Columns `start` to `end` (from 0, half open) of line `line` (from 1) that may be shown."""

    line: int
    start: int
    end: int

    def moved(self, by: int) -> Span:
        return replace(self, start=self.start + by, end=self.end + by)


def mask(line: str, open_spans: list[Span]) -> str:
    """The line with asterisks over everything that could be a secret; same length, but for a comment, which is cut off."""
    visible = bytearray(len(line))
    for span in open_spans:
        start, end = max(0, span.start), min(len(line), span.end)
        if start < end:
            visible[start:end] = b"\1" * (end - start)
    return TOKEN.sub(lambda token: _masked(token, visible), _without_comment(line, visible))


def _masked(token: re.Match[str], visible: bytearray) -> str:
    text = token[0]
    if text in WORDS or text.startswith("${"):
        return text
    return "".join(char if visible[token.start() + i] else "*" for i, char in enumerate(text))


def _without_comment(line: str, visible: bytearray) -> str:
    for found in COMMENT.finditer(line):
        if not visible[found.end() - 1]:
            return line[: found.start()]
    return line


def plausible(name: str) -> bool:
    """Whether `name` looks like a name that a person typed, and not like a key or token that slipped into its place."""
    return PLAUSIBLE.match(name) is not None
