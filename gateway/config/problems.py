"""What is wrong with a configuration: one `Problem` a place, all of them at once.

Rule: a problem never carries a secret. Messages quote only what a person typed into a field that is not secret; source lines
are masked (`gateway.config.masking`).
"""

from __future__ import annotations

from dataclasses import dataclass, field

from msgspec import Struct, structs

from gateway.config.masking import Span, mask

MAX_PROBLEMS = 100  # a file with more is of another kind, and nobody reads on
MAX_TEXT = 500  # characters of a message
WINDOW = 110  # characters of a source line that are shown

Path = tuple[str | int, ...]  # ("auth", "jwt", 0, "secret")


@dataclass(frozen=True, slots=True)
class Place:
    """A position in the file, both numbers from 1. `WHOLE_FILE` stands for the file itself."""

    line: int
    col: int


WHOLE_FILE = Place(0, 0)


class Problem(Struct, frozen=True, kw_only=True):
    """One thing to repair. `line` and `col` count from 1 and are 0 when the file itself is meant; `caret` indexes `source_line`."""

    file: str
    line: int
    col: int
    path: str
    message: str
    hint: str = ""
    source_line: str = ""
    caret: int = 0

    def __str__(self) -> str:
        """`file:line:col: path: message. Hint`, one line."""
        where = f"{self.file}:{self.line}:{self.col}" if self.line else self.file
        what = f"{self.path}: {self.message}" if self.path else self.message
        return f"{where}: {what}" + (f". {self.hint}" if self.hint else "")

    def block(self) -> str:
        """The line above, then the source line with a caret below the place."""
        if not self.source_line:
            return str(self)
        gutter = f"{self.line:>5} | "
        # Tabs stay tabs below a tab, or the caret would stand elsewhere than the place.
        padding = "".join("\t" if char == "\t" else " " for char in self.source_line[: self.caret].ljust(self.caret))
        return f"{self}\n{gutter}{self.source_line}\n{' ' * (len(gutter) - 2)}| {padding}^"


class ConfigError(Exception):
    """A configuration that cannot be used. `problems` is never empty and sorted by place."""

    def __init__(self, problems: list[Problem]) -> None:
        super().__init__("\n".join(str(problem) for problem in problems))
        self.problems = problems

    def blocks(self) -> str:
        """For people: each problem with its source line, one empty line between."""
        return "\n\n".join(problem.block() for problem in self.problems)


class TooMany(Exception):
    """MAX_PROBLEMS are found; reading on helps nobody."""


@dataclass(slots=True)
class Report:
    """Collects the problems of one file. `spans` are the parts of the source that may be shown."""

    file: str
    lines: list[str] = field(default_factory=list)
    spans: list[Span] = field(default_factory=list)
    _found: dict[tuple[Place, str, str, str], None] = field(default_factory=dict)  # a set that keeps the order

    def __bool__(self) -> bool:
        return bool(self._found)

    def add(self, place: Place, path: Path, message: str, hint: str = "") -> None:
        """Note a problem. Raises TooMany when enough is enough; what an alias repeats counts once."""
        self._found[place, dotted(path), message, hint] = None
        if len(self._found) >= MAX_PROBLEMS:
            raise TooMany

    def problems(self) -> list[Problem]:
        """All problems in the order of the file."""
        found = sorted(self._found, key=lambda item: (item[0].line, item[0].col))
        shown = {place.line for place, *_ in found}
        spans = [span for span in self.spans if span.line in shown]
        return [self._problem(*item, spans) for item in found]

    def _problem(self, place: Place, path: str, message: str, hint: str, spans: list[Span]) -> Problem:
        source, caret = self._source(place, spans)
        return Problem(
            file=printable(self.file),
            line=place.line,
            col=place.col,
            path=printable(path),
            message=printable(message),
            hint=printable(hint),
            source_line=printable(source),
            caret=caret,
        )

    def _source(self, place: Place, spans: list[Span]) -> tuple[str, int]:
        if not 0 < place.line <= len(self.lines):
            return "", 0
        # Masking is linear in the line; a line of a megabyte is cut around the place first.
        start = max(0, place.col - 1 - WINDOW // 2) if place.col > WINDOW else 0
        line = self.lines[place.line - 1][start : start + WINDOW]
        near = [span for span in spans if span.line == place.line and start < span.end and span.start < start + WINDOW]
        return mask(line, [span.moved(-start) for span in near]), place.col - 1 - start


def printable(text: str) -> str:
    """The text as a terminal may show it: short, one line, without control characters (a quoted "\\e" would be one)."""
    return "".join(char if char.isprintable() or char == "\t" else "\ufffd" for char in text[:MAX_TEXT])


def dotted(path: Path) -> str:
    """`("auth", "jwt", 0)` as people write it: `auth.jwt[0]`."""
    text = ""
    for step in path:
        text += f"[{step}]" if isinstance(step, int) else f".{step}" if text else step
    return text


def as_objects(problems: list[Problem]) -> list[dict[str, object]]:
    """The problems as plain objects, for JSON."""
    return [structs.asdict(problem) for problem in problems]
