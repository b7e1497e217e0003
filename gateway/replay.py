"""What vendors gave us to be sent back with the next turn: opened and put back when a request comes, sealed and kept when an
answer goes.

Clients of Anthropic's, Gemini's and the Responses API carry it themselves, ours in an envelope where its maker is another vendor
(core.envelope). Clients of OpenAI's Chat shape drop what they do not know, so it is kept for them (core.stash), by this process.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from functools import partial

from gateway.call import Call
from gateway.core.envelope import PREFIX, Sealer, unsealed
from gateway.core.stash import Observer, Stash, worth_keeping
from gateway.types import Event, Opaque, Part, Request, TextDelta

FORGETFUL = frozenset({"openai_chat", "openai_completions", "native"})
_MARK = PREFIX.encode()


class Replay:
    """See the module. One for a process; `clock` is monotonic seconds. A reload changes the `sealer`."""

    def __init__(self, sealer: Sealer, stash: Stash, clock: Callable[[], float]) -> None:
        self.sealer = sealer
        self._stash = stash
        self._clock = clock

    def request(self, call: Call) -> object:
        """The whole request of a call with all that its clients gave back or lost. The same object each time."""
        if call.replayed:
            return call.parsed
        request = call.request()
        if not isinstance(request, Request):
            return request
        if (call.peek.foreign or not call.peek.media) and _MARK in call.body:
            request = unsealed(request, partial(self.sealer.open, call.terms.tenant))
        if call.terms.dialect.name in FORGETFUL:
            request = self._stash.restored(call.terms.tenant, request, self._clock())
        call.parsed, call.replayed = request, True
        return request

    def seal(self, call: Call) -> Callable[[list[Opaque]], str] | None:
        """For Echo: another vendor's opaque things as one text that this tenant's clients can carry; None where they cannot."""
        return None if call.terms.dialect.name in FORGETFUL else partial(self.sealer.seal, call.terms.tenant)

    def remember(self, call: Call, parts: Sequence[Part]) -> None:
        """Keep an answer's parts for a client that will not send them back."""
        if worth_keeping(parts) and call.terms.dialect.name in FORGETFUL and isinstance(call.parsed, Request):
            self._stash.remember(call.terms.tenant, parts, self._clock(), call.parsed.messages)

    def watch(self, call: Call) -> Watching | None:
        """What to show a stream's events to, None where nothing needs to be kept."""
        return Watching(self, call) if call.terms.dialect.name in FORGETFUL else None


class Watching:
    """Sees a stream go by, and remembers it once it came to its end."""

    __slots__ = ("_call", "_observer", "_replay", "_texts")

    def __init__(self, replay: Replay, call: Call) -> None:
        self._replay = replay
        self._call = call
        self._observer = Observer()
        self._texts = self._observer.texts

    def see(self, events: Iterable[Event]) -> None:
        self._observer.see(events)

    def heard(self, said: TextDelta) -> None:
        """As `see`, for nothing but text."""
        if not said.choice:
            self._texts.append(said.text)

    def ended(self) -> None:
        self._replay.remember(self._call, self._observer.parts())
