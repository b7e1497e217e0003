"""What an answer needs of its request: the fields that the response object repeats, and how each tool's calls are spelled.

Made by the request's reader, carried as `Request.echo`, handed back in `Echo.request`. Rule: tools have one flat name inside;
the spelling of this dialect (namespaces, free-form and typed tools) is put back when a call is written.
"""

from __future__ import annotations

import hashlib
from typing import Any, Literal

from msgspec import Struct, field

MAX_NAME_CHARS = 64  # what every OpenAI-compatible server takes

Kind = Literal["function", "custom", "local_shell", "shell", "apply_patch"]


class Spelled(Struct, frozen=True):
    """How calls of a tool are written: the item's kind, and the name in its namespace ("" for none)."""

    kind: Kind
    name: str
    namespace: str = ""


class Asked(Struct):
    """fields: top-level request fields by wire name, as they came. tools: by their flat name. summary: thoughts are shown."""

    fields: dict[str, Any] = field(default_factory=dict)
    tools: dict[str, Spelled] = field(default_factory=dict)
    summary: bool = True

    def spelled(self, name: str, custom: bool) -> Spelled:
        """The spelling of `name`; a tool that was never declared is what the event says it is."""
        return self.tools.get(name) or Spelled("custom" if custom else "function", name)


def asked_of(request: Any) -> Asked:
    """`Echo.request` when it is of this dialect, else an empty one: an answer can be written for any request."""
    return request if isinstance(request, Asked) else Asked()


def flat_name(namespace: str, name: str) -> str:
    """One name for a tool in a namespace: the same for the same pair, and never longer than servers take."""
    if not namespace:
        return name
    flat = f"{namespace}__{name}"
    if len(flat) <= MAX_NAME_CHARS:
        return flat
    tail = "_" + hashlib.sha256(flat.encode("utf-8", "replace")).hexdigest()[:8]
    return flat[: MAX_NAME_CHARS - len(tail)] + tail
