"""The brain: what a simulated model answers, the same to the same question.

    "hello"                                  -> [simulated gpt-5.4] You said: hello
    "weather in Paris", tool get_weather     -> get_weather({"city": "Paris"})
    tool results                             -> [simulated gpt-5.4] The tools answered: get_weather -> 21 degrees
    a JSON schema                            -> an instance of it

It knows no vendor: they hand it an `Ask` and write its `Answer` in their own words.
Rule: output tokens are those of the thinking, the text and every call, each counted for itself (tokens.count).
"""

from __future__ import annotations

import hashlib
import re
from typing import Any, Literal

import orjson
from msgspec import Struct, field

from gateway.simulator.instances import Hints, instance
from gateway.simulator.tokens import count, cut

CAPITALISED = re.compile(r"[A-Z][\w'-]*(?:\s+[A-Z][\w'-]*)*")
NUMBER = re.compile(r"-?\d+")
PIECE = re.compile(r"\s*\S{1,24}\s*")
NAME_PART = re.compile(r"[A-Z]?[a-z0-9]+|[A-Z]+(?![a-z])")
# Words of a tool's name that say nothing about its subject: "get_weather" is about weather.
VERBS = frozenset(
    {
        "get",
        "set",
        "fetch",
        "find",
        "lookup",
        "look",
        "up",
        "search",
        "query",
        "do",
        "run",
        "call",
        "make",
        "create",
        "list",
        "read",
        "the",
        "a",
        "of",
        "for",
        "tool",
        "function",
    }
)
# Sentences begin with capitals too; these are nobody's argument.
OPENERS = frozenset(
    {
        "What",
        "Whats",
        "Where",
        "When",
        "Who",
        "Why",
        "How",
        "Is",
        "Are",
        "Do",
        "Does",
        "Can",
        "Could",
        "Please",
        "Tell",
        "Give",
        "Call",
        "Use",
        "Say",
        "The",
        "A",
        "An",
        "I",
        "In",
        "And",
        "Then",
        "Compare",
        "Reply",
        "Return",
    }
)

Choice = Literal["auto", "none", "any"]


class Spec(Struct, frozen=True):
    """A tool on offer. `schema` None: it takes free text."""

    name: str
    schema: Any = None
    free: bool = False


class Result(Struct, frozen=True):
    """What a tool answered, as text."""

    name: str
    text: str
    failed: bool = False


class Ask(Struct, kw_only=True):
    """A question without its vendor's clothes. `named`: the tools that may be called, empty for all; with `choice` "any" one must be.

    `follow`: what the user said along with the results. `seen`: sentences about the media in the last user message. `key`: bytes that stand for the whole conversation;
    ids are made of it, so that they repeat with the request and differ between the steps of a conversation.
    """

    model: str
    prompt: str
    key: bytes
    seen: list[str] = field(default_factory=list)
    results: list[Result] = field(default_factory=list)
    follow: str = ""
    tools: list[Spec] = field(default_factory=list)
    choice: Choice = "auto"
    named: list[str] = field(default_factory=list)
    parallel: bool = True
    schema: Any = None
    json_object: bool = False
    think: bool = False
    max_tokens: int | None = None
    stop: list[str] = field(default_factory=list)
    pieces: int | None = None
    mute: bool = False

    def id(self, prefix: str, place: int = 0, length: int = 24) -> str:
        """An id of `length` hex digits after `prefix`."""
        return prefix + hashlib.blake2b(self.key, digest_size=32, salt=place.to_bytes(8, "big")).hexdigest()[:length]


class Call(Struct):
    """A tool call. `arguments` is JSON text (or free text), cut short when the tokens ran out."""

    name: str
    arguments: str
    free: bool = False


class Answer(Struct):
    """`pieces` are the text's parts for streaming; `finish` says why it ends. `paused_at`: characters said when it paused."""

    thinking: str = ""
    pieces: list[str] = field(default_factory=list)
    calls: list[Call] = field(default_factory=list)
    finish: Literal["end", "length", "stop", "calls", "pause"] = "end"
    stop_sequence: str | None = None
    paused_at: int = 0

    @property
    def text(self) -> str:
        return "".join(self.pieces)

    @property
    def thinking_tokens(self) -> int:
        return count(self.thinking)

    @property
    def output_tokens(self) -> int:
        """The tokens to bill: thinking, text and calls."""
        return self.thinking_tokens + count(self.text) + sum(call_tokens(call) for call in self.calls)


def call_tokens(call: Call) -> int:
    """Tokens of one call: its name and its arguments."""
    return count(call.name) + count(call.arguments)


def pieces(text: str) -> list[str]:
    """Text in parts of one word (long ones in several), white space kept."""
    return PIECE.findall(text)


def answer(ask: Ask, place: int = 0) -> Answer:
    """The answer to `ask`; `place` counts the alternatives when several are wanted."""
    if ask.mute:
        return Answer()
    calls = _calls(ask)
    thinking = f"The user said: {_short(ask.prompt)} This is a simulated thought." if ask.think else ""
    if calls:
        full = Answer(thinking=thinking, calls=calls, finish="calls")
    else:
        full = _stopped(Answer(thinking=thinking, pieces=_worded(ask, _text(ask, place))), ask.stop)
    return full if ask.max_tokens is None else _limited(full, ask.max_tokens)


def _short(text: str) -> str:
    return text if len(text) <= 120 else text[:117] + "..."


# ---------------------------------------------------------------- text


def _text(ask: Ask, place: int) -> str:
    if ask.schema is not None:
        return _json(instance(ask.schema, _hints(ask.prompt)))
    if ask.json_object:
        return _json({"simulated": True, "model": ask.model, "you_said": ask.prompt})
    said = f"[simulated {ask.model}]" + (f" (choice {place + 1})" if place else "")
    if ask.results:
        quoted = f"{said} The tools answered: " + "; ".join(_quoted(result) for result in ask.results)
        return f"{quoted} You said: {ask.follow}" if ask.follow else quoted
    return " ".join([said, f"You said: {ask.prompt}", *ask.seen])


def _quoted(result: Result) -> str:
    return f"{result.name}{' failed' if result.failed else ''} -> {result.text}"


def _json(value: Any) -> str:
    return orjson.dumps(value).decode()


def _worded(ask: Ask, text: str) -> list[str]:
    parts, wanted = pieces(text), ask.pieces
    if wanted is None:
        return parts
    if len(parts) > wanted:
        return [*parts[: wanted - 1], "".join(parts[wanted - 1 :])]
    # Longer answers on request (x-sim-chunks): JSON would no longer be JSON, so that keeps its length.
    if ask.schema is not None or ask.json_object:
        return parts
    return [*parts, *(f" word{number}" for number in range(len(parts), wanted))]


def _stopped(full: Answer, stop: list[str]) -> Answer:
    text = full.text
    found = min(((text.find(mark), mark) for mark in stop if mark and mark in text), default=None)
    if found is None:
        return full
    full.pieces = _kept(full.pieces, text[: found[0]])
    full.finish, full.stop_sequence = "stop", found[1]
    return full


def _kept(parts: list[str], text: str) -> list[str]:
    """The parts as far as they belong to `text`, a beginning of them all."""
    kept, left = [], len(text)
    for part in parts:
        if left <= 0:
            break
        kept.append(part[:left])
        left -= len(part)
    return kept


def _limited(full: Answer, limit: int) -> Answer:
    """The answer within `limit` tokens. Thinking counts, but leaves half for what is said."""
    if full.output_tokens <= limit:
        return full
    thinking = cut(full.thinking, limit // 2)
    left = limit - count(thinking)
    text = cut(full.text, left)
    left -= count(text)
    kept: list[Call] = []
    for call in full.calls:
        left -= count(call.name)
        if left <= 0:
            break
        call.arguments = cut(call.arguments, left)
        left -= count(call.arguments)
        kept.append(call)
    return Answer(thinking=thinking, pieces=_kept(full.pieces, text), calls=kept, finish="length")


# ---------------------------------------------------------------- tools


def _calls(ask: Ask) -> list[Call]:
    if ask.choice == "none" or not ask.tools:
        return []
    offered = [tool for tool in ask.tools if not ask.named or tool.name in ask.named]
    if ask.choice == "any":
        mentions = _mentions(ask.prompt, offered) or [(0, tool) for tool in offered[:1]]
        mentions = mentions if ask.parallel and not ask.named[1:] else mentions[:1]
    else:
        # After results a model that is free to choose says what it learned instead of calling again.
        mentions = [] if ask.results else _mentions(ask.prompt, offered)
        mentions = mentions if ask.parallel else mentions[:1]
    ends = [start for start, _ in mentions[1:]] + [len(ask.prompt)]
    return [_call(tool, ask.prompt, start, end) for (start, tool), end in zip(mentions, ends, strict=False)]


def _mentions(prompt: str, tools: list[Spec]) -> list[tuple[int, Spec]]:
    """Where the prompt speaks of a tool: every place of its name, else the first place of what it is about."""
    found: list[tuple[int, Spec]] = []
    for tool in tools:
        exact = [match.start() for match in re.finditer(rf"(?<![\w-]){re.escape(tool.name)}(?![\w-])", prompt, re.I)]
        about = exact or _about(prompt, tool.name)
        found += [(start, tool) for start in about]
    return sorted(found, key=lambda mention: mention[0])


def _about(prompt: str, name: str) -> list[int]:
    words = [word.lower() for word in NAME_PART.findall(name) if word.lower() not in VERBS]
    places = [re.search(rf"\b{re.escape(word)}\b", prompt, re.I) for word in words]
    starts = [place.start() for place in places if place]
    return [min(starts)] if words and len(starts) == len(words) else []


def _call(tool: Spec, prompt: str, start: int, end: int) -> Call:
    if tool.free:
        return Call(tool.name, prompt, free=True)
    hints = _hints(prompt[start:end], tool.name)
    if not hints.words:
        hints = _hints(prompt, tool.name)
    value = instance(tool.schema or {"type": "object"}, hints)
    return Call(tool.name, _json(value if isinstance(value, dict) else {}))


def _hints(text: str, name: str = "") -> Hints:
    """Capitalised words (neighbours together) but for words that only open a sentence and the tool's own name."""
    words = []
    for match in CAPITALISED.finditer(text):
        kept = [word for word in match.group().split() if word not in OPENERS and word.lower() != name.lower()]
        if kept:
            words.append(" ".join(kept))
    return Hints(words, [int(number) for number in NUMBER.findall(text)])
