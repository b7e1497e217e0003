"""The text inside {"input": "…"} while its JSON is still on its way.

Models that know no free-form tools call a function with one string; its client wants the string, piece by piece.
Rule 1: an escape or a surrogate pair that is cut waits for its other half. Rule 2: arguments of another shape go on as they
came, whole: better an odd text than none. Source: RFC 8259, section 7.
"""

from __future__ import annotations

import re

_HEAD = re.compile(r'\s*\{\s*"input"\s*:\s*"')
_GRAMMAR = '{"input":"'
_RUN = re.compile(r'[^"\\]+')
_ESCAPE = re.compile(r"\\(?:u([0-9a-fA-F]{4})|([^u]))", re.DOTALL)
_OPEN_ESCAPE = re.compile(r"\\(?:u[0-9a-fA-F]{0,3})?\Z")
_SHORT = {"n": "\n", "t": "\t", "r": "\r", "b": "\b", "f": "\f"}


class InputText:
    """Feed the pieces of the arguments; take the pieces of the text. `end` gives what is left."""

    __slots__ = ("_high", "_rest", "_state")

    def __init__(self) -> None:
        self._state = "head"  # head -> text -> over; or raw
        self._rest = ""  # not understood yet
        self._high = 0  # the first half of a surrogate pair

    def feed(self, piece: str) -> str:
        """The text that is certain after `piece`."""
        if self._state == "raw":
            return piece
        if self._state == "over":
            return ""
        self._rest += piece
        if self._state == "head" and not self._is_open():
            return self._give_up()
        return self._text() if self._state == "text" else ""

    def end(self) -> str:
        """No more comes: a head that was never completed is the answer as it came; a cut escape is nothing."""
        if self._state == "head":
            return self._give_up()
        lone = "\ufffd" if self._high and self._state == "text" else ""
        self._state = "over"
        return lone

    def _is_open(self) -> bool:
        """Whether the head is complete (then on to the text), or may still become so."""
        found = _HEAD.match(self._rest)
        if found is not None:
            self._state, self._rest = "text", self._rest[found.end() :]
            return True
        # White space may stand between the tokens, not inside the key; the key has none.
        return _GRAMMAR.startswith("".join(self._rest.split()))

    def _give_up(self) -> str:
        self._state = "raw"
        rest, self._rest = self._rest, ""
        return rest

    def _text(self) -> str:
        out: list[str] = []
        at, text = 0, self._rest
        while at < len(text):
            run = _RUN.match(text, at)
            if run is not None:
                self._flush(out)
                out.append(run.group())
                at = run.end()
            elif text[at] == '"':
                self._flush(out)
                self._state, at = "over", len(text)
            elif _OPEN_ESCAPE.match(text, at):
                break
            else:
                at = self._escape(text, at, out)
        self._rest = text[at:]
        return "".join(out)

    def _escape(self, text: str, at: int, out: list[str]) -> int:
        found = _ESCAPE.match(text, at)
        if found is None:  # \u without four digits: no JSON, kept as it stands
            self._flush(out)
            out.append(text[at])
            return at + 1
        if found.group(1) is None:
            self._flush(out)
            out.append(_SHORT.get(found.group(2), found.group(2)))
        else:
            self._unit(int(found.group(1), 16), out)
        return found.end()

    def _unit(self, unit: int, out: list[str]) -> None:
        """One UTF-16 unit; two halves make a character, a half alone none."""
        if self._high and 0xDC00 <= unit <= 0xDFFF:
            out.append(chr(0x10000 + ((self._high - 0xD800) << 10) + (unit - 0xDC00)))
            self._high = 0
            return
        self._flush(out)
        if 0xD800 <= unit <= 0xDBFF:
            self._high = unit
        else:
            out.append("\ufffd" if 0xDC00 <= unit <= 0xDFFF else chr(unit))

    def _flush(self, out: list[str]) -> None:
        if self._high:
            out.append("\ufffd")
            self._high = 0
