"""What a request to Anthropic changed about its tools, so that the answer comes back in the client's terms.

A pure value made by the request's writer and handed to the answer's readers (types.Written.undo).
"""

from __future__ import annotations

import hashlib
from typing import Any, Literal

import msgspec
from msgspec import Struct, field

from gateway.types import Usage

# plain: input is the arguments.  custom: {"input": text} stands for a free-form tool's text.
# value: {"value": …} stands for arguments whose schema is no object.
Shape = Literal["plain", "custom", "value"]


class Called(Struct, frozen=True):
    """A tool by the client's name, and how its input is dressed upstream."""

    name: str
    shape: Shape = "plain"


class Sent(Struct, frozen=True):
    """A request whose answer may be paused: its body, which ends with the messages, and its headers."""

    body: bytes
    headers: list[tuple[str, str]]


class SoFar(Struct, frozen=True):
    """An answer that was paused: how often, its blocks as they are sent back, and what they used.

    state: what the reader of whole answers, or of streams, goes on with; it is used once.
    """

    hops: int
    blocks: list[bytes]
    usage: Usage | None
    state: Any


class Undo(Struct, frozen=True, kw_only=True):
    """tools: by the upstream's name, only those that differ. forced: the answer's text is a call, emulated because the model
    refuses a forced tool; one entry means text = input, several mean text = {"call": {"tool", "arguments"}}.
    fenced: the answer's text may stand in a ```json fence that nobody asked for.
    sent: the request, where its answer may pause. so_far: what the answer is the rest of.
    """

    tools: dict[str, Called] = field(default_factory=dict)
    forced: dict[str, Called] | None = None
    fenced: bool = False
    sent: Sent | None = None
    so_far: SoFar | None = None

    def called(self, name: str) -> Called:
        return self.tools.get(name) or Called(name)

    def changes(self) -> bool:
        """Whether there is anything to undo."""
        return bool(self.tools or self.forced or self.fenced or self.sent)


NOTHING = Undo()


class _Input(Struct):
    input: str


class _Value(Struct):
    value: msgspec.Raw


class _Call(Struct):
    tool: str
    arguments: msgspec.Raw


class _Calls(Struct):
    call: _Call


_INPUT = msgspec.json.Decoder(_Input)
_VALUE = msgspec.json.Decoder(_Value)
_CALLS = msgspec.json.Decoder(_Calls)


def undress(shape: Shape, text: str) -> str:
    """The client's arguments inside an upstream input; `text` itself when it is not dressed as expected (a cut answer)."""
    try:
        if shape == "custom":
            return _INPUT.decode(text).input
        if shape == "value":
            return bytes(_VALUE.decode(text).value).decode()
    except msgspec.DecodeError:
        pass
    return text


def forced_call(forced: dict[str, Called], text: str) -> tuple[Called, str] | None:
    """The call that an emulated forced tool wrote as text, with its arguments; None when the text is no such call."""
    if len(forced) == 1:
        (called,) = forced.values()
        return called, undress(called.shape, text)
    try:
        call = _CALLS.decode(text).call
    except msgspec.DecodeError:
        return None
    called = forced.get(call.tool) or Called(call.tool)
    return called, undress(called.shape, bytes(call.arguments).decode())


def forced_id(message_id: str) -> str:
    """The id of an emulated call: the same for the same answer, so that a repeated read says the same."""
    return "call_" + hashlib.sha256(message_id.encode()).hexdigest()[:24]
