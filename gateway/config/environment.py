"""${NAME} and its kin: values from the environment and from files.

    ${NAME}            the variable; an error when it is not set
    ${NAME:-default}   `default` when the variable is not set or empty
    ${NAME:?message}   an error with that message when it is not set or empty
    ${file:/path}      the file's text without its last line end (relative paths start at the folder of the configuration)
    $$                 one dollar sign

As in POSIX shells (XCU 2.6.2), without nesting. Rule: errors name the variable or the path, never a value.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass

TEMPLATE = re.compile(r"\$\$|\$\{([^{}]*)(\}?)")
VARIABLE = re.compile(r"([A-Za-z_][A-Za-z0-9_]*)(?:(:-|:\?)(.*))?\Z", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Expanded:
    """`text` after substitution. `sources`: the variables and files that it is made of, as people call them."""

    text: str
    sources: tuple[str, ...] = ()


class ExpansionError(Exception):
    """A reference that cannot be resolved. `variable` names the variable that is not set, when that is the reason."""

    def __init__(self, message: str, hint: str = "", variable: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint
        self.variable = variable


def expand(text: str, environ: Mapping[str, str], read: Callable[[str], str]) -> Expanded:
    """Replace every reference in `text`. `read` gives a file's text or raises OSError or ValueError."""
    if "$" not in text:
        return Expanded(text)
    sources: list[str] = []

    def replacement(found: re.Match[str]) -> str:
        if found[0] == "$$":
            return "$"
        if not found[2]:
            raise ExpansionError("'${' without its '}'", "References do not nest; write $$ for a dollar sign")
        name, value = _resolve(found[1], environ, read)
        sources.append(name)
        return value

    return Expanded(TEMPLATE.sub(replacement, text), tuple(sources))


def _resolve(inner: str, environ: Mapping[str, str], read: Callable[[str], str]) -> tuple[str, str]:
    if inner.startswith("file:"):
        return f"file {inner[5:]}", _file(inner[5:], read)
    found = VARIABLE.match(inner)
    if found is None:
        forms = "${NAME}, ${NAME:-default}, ${NAME:?message} and ${file:/path}"
        raise ExpansionError("this reference is none of the known forms", f"These are {forms}")
    name, operator, argument = found[1], found[2], found[3]
    value = environ.get(name)
    if operator == ":-":
        return name, value or argument
    if value is None or (operator and not value):
        raise ExpansionError(_unset(name, argument), variable=name)
    return name, value


def _unset(name: str, message: str | None) -> str:
    return f"the environment variable {name} is not set" + (f": {message}" if message else "")


def _file(path: str, read: Callable[[str], str]) -> str:
    try:
        text = read(path)
    except UnicodeDecodeError:
        raise ExpansionError(f"the file {path} is not UTF-8 text") from None
    except OSError as error:
        raise ExpansionError(f"the file {path} cannot be read: {error.strerror or 'unknown reason'}") from None
    except ValueError:
        raise ExpansionError(f"the file {path!r} cannot be read: no such name can exist") from None
    return text.removesuffix("\n").removesuffix("\r")
