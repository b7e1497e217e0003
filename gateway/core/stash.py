"""What vendors gave us to replay, kept for clients that drop it.

Most clients of OpenAI's shape send a conversation back without the fields they do not know: thinking blocks, signatures, blocks
of server tools. A stash remembers each answered turn by the ids of its tool calls, or by its text where it called nothing, and
puts back what is missing when the turn comes again, and blocks among the texts, where such clients have no place for them. Pure:
`now` is an argument, monotonic seconds.
Rule 1: bounded by bytes, the least recently used goes first; nothing is older than TTL_S.
Rule 2: tenants never meet: the tenant is part of every key. Rule 3: what the client did send is never replaced by less.
"""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from collections.abc import Iterable, Iterator, Sequence
from typing import Literal

import msgspec
from msgspec import Struct, structs

from gateway.types import (
    BlockDone,
    Event,
    Message,
    Opaque,
    Part,
    Reasoning,
    ReasoningDone,
    Request,
    Text,
    TextDelta,
    ToolCall,
    ToolStart,
    VendorBlock,
)

TTL_S = 24 * 3600.0
MAX_BYTES = 64 * 1024 * 1024
MAX_TURN_BYTES = 4 * 1024 * 1024
OVERHEAD_BYTES = 256  # of a key and its entry


class _Item(Struct, array_like=True):
    """One part of a turn. text: `length` characters of the turn's text; call: of `name` its id; thought: `name` is its text."""

    kind: Literal["text", "call", "thought", "block"]
    length: int = 0
    name: str = ""
    opaque: Opaque | None = None


class _Turn(Struct, array_like=True):
    """`digest`: of the whole text."""

    digest: bytes
    items: list[_Item]


_ENCODER = msgspec.json.Encoder()
_TURN = msgspec.json.Decoder(_Turn)


class Stash:
    """See the module. One for a process; not thread-safe, and no call of it waits."""

    def __init__(self, max_bytes: int = MAX_BYTES, ttl_s: float = TTL_S) -> None:
        self.bytes = 0
        self._max_bytes = max_bytes
        self._ttl_s = ttl_s
        self._kept: OrderedDict[str, tuple[float, bytes]] = OrderedDict()

    def __len__(self) -> int:
        return len(self._kept)

    def remember(self, tenant: str, parts: Sequence[Part], now: float, before: Sequence[Message] | None = None) -> None:
        """Keep an answer's `parts` if anything in them is to be replayed.

        before: the messages the answer replies to; with them equal texts of different conversations stay apart.
        """
        if not worth_keeping(parts):
            return
        items = [item for part in parts if (item := _item_of(part)) is not None]
        try:
            turn = _ENCODER.encode(_Turn(_digest(_text(parts)), items))
        except (ValueError, OverflowError, RecursionError, TypeError):
            return  # nothing of ours ever is; a vendor's block that cannot be kept is done without
        if len(turn) > MAX_TURN_BYTES:
            return
        for key in _keys(tenant, parts, "" if before is None else _fingerprint(before)):
            self._put(key, turn, now)

    def restored(self, tenant: str, request: Request, now: float) -> Request:
        """`request` with what its assistant turns lost; the same object when nothing was. Never changes its input."""
        if not self._kept or all(message.role != "assistant" for message in request.messages):
            return request
        messages: list[Message] = []
        running = hashlib.sha256()
        for message in request.messages:
            messages.append(self._restored(tenant, message, running.hexdigest(), now))
            _absorb(running, message)
        if all(new is old for new, old in zip(messages, request.messages, strict=True)):
            return request
        return structs.replace(request, messages=messages)

    def _restored(self, tenant: str, message: Message, before: str, now: float) -> Message:
        if message.role != "assistant":
            return message
        turn = self._turn_of(tenant, message.parts, before, now)
        if turn is None:
            return message
        held = sum(_opaque(part) is not None for part in message.parts)
        placed = not any(isinstance(part, VendorBlock) for part in message.parts)
        if placed and held >= sum(item.opaque is not None for item in turn.items):
            return message
        parts = _woven(turn, message.parts) or ([] if held else _joined(turn, message.parts))
        return structs.replace(message, parts=parts) if parts else message

    def _turn_of(self, tenant: str, parts: list[Part], before: str, now: float) -> _Turn | None:
        for key in (*_keys(tenant, parts, before), *_keys(tenant, parts, "")):
            found = self._get(key, now)
            if found is not None:
                return _TURN.decode(found)
        return None

    def _put(self, key: str, turn: bytes, now: float) -> None:
        self._drop(key)
        self._kept[key] = (now, turn)
        self.bytes += len(turn) + len(key) + OVERHEAD_BYTES
        while self._kept:
            oldest, (at, _) = next(iter(self._kept.items()))
            if self.bytes <= self._max_bytes and now - at <= self._ttl_s:
                break
            self._drop(oldest)

    def _get(self, key: str, now: float) -> bytes | None:
        found = self._kept.get(key)
        if found is None:
            return None
        if now - found[0] > self._ttl_s:
            self._drop(key)
            return None
        self._kept.move_to_end(key)
        return found[1]

    def _drop(self, key: str) -> None:
        dropped = self._kept.pop(key, None)
        if dropped is not None:
            self.bytes -= len(dropped[1]) + len(key) + OVERHEAD_BYTES


def worth_keeping(parts: Sequence[Part]) -> bool:
    """Whether anything in an answer's parts is to be replayed."""
    for part in parts:  # noqa: SIM110 - any() costs as much again as the loop
        if _opaque(part) is not None:
            return True
    return False


class Observer:
    """Collects from a stream what `Stash.remember` wants of its first choice. Cheap: it keeps references, and parses nothing."""

    __slots__ = ("_parts", "texts")

    def __init__(self) -> None:
        self._parts: list[Part] = []
        self.texts: list[str] = []  # of the text that is being said

    def see(self, events: Iterable[Event]) -> None:
        for event in events:
            kind = type(event)
            if kind is TextDelta:
                if not event.choice:  # type: ignore[union-attr]
                    self.texts.append(event.text)  # type: ignore[union-attr]
            elif kind in _KEPT and not event.choice:  # type: ignore[union-attr]
                self._keep(event)

    def _keep(self, event: Event) -> None:
        if isinstance(event, BlockDone) and event.block.opaque.kind == "text":
            self._said(event.block.opaque)
            return
        self._said(None)
        if isinstance(event, ToolStart):
            self._parts.append(ToolCall(event.id, event.name, "", event.custom, event.opaque))
        elif isinstance(event, ReasoningDone):
            self._parts.append(event.part)
        elif isinstance(event, BlockDone):
            self._parts.append(event.block)

    def _said(self, opaque: Opaque | None) -> None:
        if self.texts:
            self._parts.append(Text("".join(self.texts), opaque=opaque))
            self.texts.clear()

    def parts(self) -> list[Part]:
        """The turn so far, for `Stash.remember`; its calls are without arguments."""
        self._said(None)
        return list(self._parts)


_KEPT = frozenset({ToolStart, ReasoningDone, BlockDone})


def _item_of(part: Part) -> _Item | None:
    match part:
        case Text():
            return _Item("text", len(part.text), opaque=part.opaque) if part.text or part.opaque else None
        case ToolCall():
            return _Item("call", name=part.id, opaque=part.opaque)
        case Reasoning():
            return _Item("thought", name=part.text, opaque=part.opaque) if part.opaque else None
        case VendorBlock():
            return _Item("block", opaque=part.opaque)
    return None


def _opaque(part: Part) -> Opaque | None:
    return getattr(part, "opaque", None)


def _text(parts: Iterable[Part]) -> str:
    return "".join(part.text for part in parts if isinstance(part, Text))


def _digest(text: str) -> bytes:
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).digest()


def _keys(tenant: str, parts: Sequence[Part], before: str) -> Iterator[str]:
    """One for each call; for a turn without calls its text behind what came before it ("": wherever it stands)."""
    calls = [part.id for part in parts if isinstance(part, ToolCall)]
    if calls:
        yield from (f"{tenant}\0call\0{call_id}" for call_id in calls)
        return
    text = _text(parts)
    if text:
        yield f"{tenant}\0text\0{_digest(text).hex()}{before}"


def _fingerprint(messages: Sequence[Message]) -> str:
    running = hashlib.sha256()
    for message in messages:
        _absorb(running, message)
    return running.hexdigest()


def _absorb(running: hashlib._Hash, message: Message) -> None:
    """What a client sends back unchanged: texts and the ids of calls; not how a text was cut, and no instructions with dates."""
    if message.role in ("system", "developer"):
        return
    calls = [part.id for part in message.parts if isinstance(part, ToolCall)]
    for piece in (message.role, _text(message.parts), *calls):
        data = piece.encode("utf-8", "surrogatepass")
        running.update(b"%d:" % len(data))
        running.update(data)


def _woven(turn: _Turn, parts: list[Part]) -> list[Part]:
    """The turn as its vendor made it, part for part, [] when the client sent it back with another text or other calls."""
    text = _text(parts)
    calls = {part.id: part for part in parts if isinstance(part, ToolCall)}
    ids = [item.name for item in turn.items if item.kind == "call"]
    if _digest(text) != turn.digest or ids != list(calls):
        return []
    cache = next((part.cache for part in reversed(parts) if isinstance(part, Text) and part.cache), None)
    made: list[Part] = []
    at = 0
    for item in turn.items:
        if item.kind == "text":
            made.append(Text(text[at : at + item.length], opaque=item.opaque))
            at += item.length
        elif item.kind == "call":
            made.append(structs.replace(calls[item.name], opaque=item.opaque))
        else:
            made.append(_hidden(item))
    last = next((part for part in reversed(made) if isinstance(part, Text)), None)
    if last is not None:
        last.cache = cache
    return [part for part in parts if not isinstance(part, Text | ToolCall | Reasoning | VendorBlock)] + made


def _joined(turn: _Turn, parts: list[Part]) -> list[Part]:
    """For a turn that came back changed: its thoughts first, its calls with their signatures, the client's words as they are."""
    signed = {item.name: item.opaque for item in turn.items if item.kind == "call"}
    first = next(iter(signed), None)
    calls = [part for part in parts if isinstance(part, ToolCall)]
    whole = bool(calls) and calls[0].id == first  # the rest of a turn that the client split has no thoughts of its own
    hidden = [_hidden(item) for item in turn.items if item.kind in ("thought", "block")] if whole else []
    kept = [part for part in parts if not isinstance(part, Reasoning)]
    return [
        *hidden,
        *(structs.replace(part, opaque=signed.get(part.id)) if isinstance(part, ToolCall) else part for part in kept),
    ]


def _hidden(item: _Item) -> Part:
    assert item.opaque is not None  # items of these kinds are only made with one
    return Reasoning(item.name, item.opaque) if item.kind == "thought" else VendorBlock(item.opaque)
