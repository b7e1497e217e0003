"""YAML text to a small tree whose every node knows its place.

Composed here from the parser's events, not by PyYAML's own composer, because that one recurses, keeps the last of two equal
keys in silence, and lets a kilobyte of aliases stand for gigabytes.
Rule 1: bounded work: depth, and the number of nodes with every alias counted in full, have limits.
Rule 2: what a scalar means is decided later, where its type is known (`gateway.config.scalars`); keys are always texts.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import chain
from typing import Any

import yaml

from gateway.config.masking import Span, plausible
from gateway.config.problems import Path, Place, Report

MAX_DEPTH = 32
MAX_NODES = 200_000
UNQUOTED = re.compile(r"[\s,\[{]\$\{")  # a reference without quotes: its braces and colons are YAML's

# libyaml where PyYAML has it (ten times faster), else the same events from pure Python.
LOADER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)

# What YAML 1.1 allows in a stream (section 5.1). PyYAML refuses the rest too, but without a line.
NOT_TEXT = re.compile("[^\t\n\r\x20-\x7e\x85\xa0-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
SURROGATE = re.compile("[\ud800-\udfff]")  # from "\ud800" in quotes; could not be printed


@dataclass(frozen=True, slots=True)
class Scalar:
    """A leaf as it was written. `plain`: without quotes. `span` is None when it covers several lines."""

    place: Place
    text: str
    plain: bool
    span: Span | None
    size: int = 1


@dataclass(slots=True)
class Listing:
    place: Place
    items: list[Node] = field(default_factory=list)
    size: int = 1


@dataclass(frozen=True, slots=True)
class Entry:
    """One `key: value` of a mapping."""

    key: Scalar
    node: Node


@dataclass(slots=True)
class Mapping:
    place: Place
    entries: dict[str, Entry] = field(default_factory=dict)
    size: int = 1


Node = Scalar | Listing | Mapping


class Broken(Exception):
    """The text is no YAML, or none that is read here."""

    def __init__(self, place: Place, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.place = place
        self.message = message
        self.hint = hint


def parse(text: str, report: Report, loader: Any = LOADER) -> Node | None:
    """The tree of the only document in `text`, or None after a problem that leaves nothing to read.

    An empty document is an empty plain scalar. Duplicate keys are reported and the first of them kept.
    """
    report.lines = text.splitlines()
    try:
        _check_characters(text)
        return _Composer(report).compose(_events(text, loader))
    except Broken as broken:
        report.add(broken.place, (), broken.message, broken.hint)
        return None


def _check_characters(text: str) -> None:
    found = NOT_TEXT.search(text)
    if found:
        lines = (text[: found.start()] + "x").splitlines()
        raise Broken(Place(len(lines), len(lines[-1])), f"the character U+{ord(found[0]):04X} is not allowed in YAML")


def _events(text: str, loader: Any) -> Iterator[Any]:
    try:
        yield from yaml.parse(text, Loader=loader)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        place = _place(mark) if mark else Place(1, 1)
        context = f" {error.context}" if error.context else ""
        raise Broken(place, f"broken YAML{context}: {error.problem}", _hint(text, place, str(error.problem))) from None
    except (yaml.YAMLError, ValueError, OverflowError):  # the last two: "\UFFFFFFFF" in the pure Python scanner
        raise Broken(Place(1, 1), "broken YAML: a character or an escape that does not exist") from None


def _hint(text: str, place: Place, problem: str) -> str:
    lines = text.splitlines()
    line = lines[place.line - 1] if place.line <= len(lines) else ""
    if UNQUOTED.search(line):
        return 'Put "${NAME}" in double quotes'
    if "\t" in line and "token" in problem:
        return "Indent with spaces, not with tabs"
    return ""


def _place(mark: Any) -> Place:
    return Place(mark.line + 1, mark.column + 1)


@dataclass(slots=True)
class _Frame:
    """A collection that is still open; `key` waits for its value."""

    node: Listing | Mapping
    anchor: str | None
    key: Scalar | None = None
    merged: list[Mapping] = field(default_factory=list)  # from `<<`


class _Composer:
    """Events to nodes, without recursion."""

    def __init__(self, report: Report) -> None:
        self._report = report
        self._stack: list[_Frame] = []
        self._anchors: dict[str, Node] = {}
        self._nodes = 0
        self._root: Node | None = None

    def compose(self, events: Iterator[Any]) -> Node:
        for event in events:
            match event:
                case yaml.DocumentStartEvent() if self._root is not None:
                    raise Broken(_place(event.start_mark), "a second document starts here; one is read")
                case yaml.AliasEvent():
                    self._alias(event)
                case yaml.ScalarEvent() | yaml.CollectionStartEvent():
                    self._start(event)
                case yaml.CollectionEndEvent():
                    self._end()
        return self._root if self._root is not None else Scalar(Place(1, 1), "", True, None)

    def _start(self, event: Any) -> None:
        place = _place(event.start_mark)
        if event.tag is not None and event.tag != "!":
            raise Broken(place, "tags like !!str are not read here", "Put the value in quotes if it is a text")
        self._count(place, 1)
        if isinstance(event, yaml.ScalarEvent):
            return self._add(self._scalar(event, place), event.anchor)
        if len(self._stack) >= MAX_DEPTH:
            raise Broken(place, f"nested deeper than {MAX_DEPTH} levels")
        node = Listing(place) if isinstance(event, yaml.SequenceStartEvent) else Mapping(place)
        self._stack.append(_Frame(node, event.anchor))

    def _scalar(self, event: Any, place: Place) -> Scalar:
        if SURROGATE.search(event.value):
            raise Broken(place, "half of a surrogate pair is no character")
        end = _place(event.end_mark)
        span = Span(place.line, place.col - 1, end.col - 1) if end.line == place.line else None
        return Scalar(place, event.value, not event.style, span)

    def _end(self) -> None:
        frame = self._stack.pop()
        if isinstance(frame.node, Mapping):
            # Own keys win, then the mappings in their order; each is flat already, for its end came before.
            for key, entry in chain.from_iterable(merged.entries.items() for merged in frame.merged):
                frame.node.entries.setdefault(key, entry)
        self._add(frame.node, frame.anchor)

    def _alias(self, event: Any) -> None:
        place = _place(event.start_mark)
        node = self._anchors.get(event.anchor)  # an alias inside its own anchor is not there yet: no cycles
        if node is None:
            name = f" *{event.anchor}" if plausible(event.anchor) else ""
            raise Broken(place, f"the alias{name} has no anchor before it", "A value that starts with * needs quotes")
        self._count(place, node.size)
        self._add(node, None)

    def _count(self, place: Place, nodes: int) -> None:
        self._nodes += nodes
        if self._nodes > MAX_NODES:
            raise Broken(place, f"more than {MAX_NODES} values, aliases counted in full")

    def _add(self, node: Node, anchor: str | None) -> None:
        if anchor is not None:
            self._anchors[anchor] = node
        if not self._stack:
            self._root = node
            return
        frame = self._stack[-1]
        frame.node.size += node.size
        if isinstance(frame.node, Listing):
            frame.node.items.append(node)
        elif frame.key is None:
            frame.key = _as_key(node)
        else:
            self._entry(frame, frame.node.entries, frame.key, node)
            frame.key = None

    def _entry(self, frame: _Frame, entries: dict[str, Entry], key: Scalar, node: Node) -> None:
        if key.plain and key.text == "<<":
            frame.merged.extend(_merged(node))
        elif key.text in entries:
            first = entries[key.text].key.place
            self._report.add(key.place, self._path(key), f"this key is already set at line {first.line}")
        else:
            entries[key.text] = Entry(key, node)

    def _path(self, key: Scalar) -> Path:
        steps: list[str | int] = []
        for frame in self._stack[:-1]:
            steps.append(
                frame.key.text if frame.key else len(frame.node.items) if isinstance(frame.node, Listing) else ""
            )
        return tuple(step if isinstance(step, int) or plausible(step) else "…" for step in [*steps, key.text])


def _as_key(node: Node) -> Scalar:
    if not isinstance(node, Scalar):
        hint = 'Put "${NAME}" in double quotes' if isinstance(node, Mapping) else ""
        raise Broken(node.place, "a key must be a text", hint)
    return node


def _merged(node: Node) -> list[Mapping]:
    """The mappings that `<<` brings in, the stronger first."""
    nodes = node.items if isinstance(node, Listing) else [node]
    for each in nodes:
        if not isinstance(each, Mapping):
            raise Broken(each.place, "<< takes a mapping or a list of mappings")
    return [each for each in nodes if isinstance(each, Mapping)]
