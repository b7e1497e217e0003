"""The tree of gateway.yaml into the structs of `gateway.settings`, every problem noted, none raised.

The types lead: a node is read as what its field's type says. Rule: a value that is wrong falls back to its field's default and
an entry that cannot be built is left out, so that reading goes on and one run finds everything; whoever calls must look at
the report before using the result.
"""

from __future__ import annotations

from collections.abc import Callable
from collections.abc import Mapping as Environ
from dataclasses import dataclass, field
from difflib import get_close_matches
from typing import Any

from msgspec import inspect

from gateway.config.environment import ExpansionError, expand
from gateway.config.kinds import ROOT, described, members, nullable, unwrapped
from gateway.config.masking import plausible
from gateway.config.problems import WHOLE_FILE, Path, Place, Report
from gateway.config.rules import FIELD_RULES, STRUCT_RULES, check_name
from gateway.config.scalars import Value, Wrong, convert
from gateway.config.source import Entry, Listing, Mapping, Node, Scalar
from gateway.settings import Config

BAD = object()  # what could not be read; the report says why


@dataclass(slots=True)
class Facts:
    """What was written where, for the rules that look at more than one entry. All by path."""

    values: dict[Path, object] = field(default_factory=dict)  # the scalars that could be read
    keys: dict[Path, Place] = field(default_factory=dict)  # where each key stands
    places: dict[Path, Place] = field(default_factory=dict)  # where each value begins
    sources: dict[Path, tuple[str, ...]] = field(default_factory=dict)  # the variables and files of a value
    unset: dict[Path, str] = field(
        default_factory=dict
    )  # provider keys that may be missing: the variable that is not set
    failed: set[Path] = field(default_factory=set)

    def place(self, path: Path) -> Place:
        """Where `path` is written, or the nearest thing around it that is."""
        while path:
            found = self.places.get(path) or self.keys.get(path)
            if found:
                return found
            path = path[:-1]
        return WHOLE_FILE

    def head(self, path: Path) -> Place:
        """Where the entry at `path` begins: its key, or the item of the list."""
        return self.keys.get(path) or self.place(path)


@dataclass(slots=True)
class Reader:
    """Reads one tree. `read` gives the text of a file that `${file:}` names."""

    report: Report
    environ: Environ[str, str]
    read: Callable[[str], str]
    allow_missing_provider_keys: bool = False
    facts: Facts = field(default_factory=Facts)

    def config(self, root: Node) -> Config:
        """The whole file; what is wrong in it has its default."""
        config = self._any(root, ROOT, ())
        return config if isinstance(config, Config) else Config()

    def _any(self, node: Node, kind: inspect.Type, path: Path) -> Any:
        self.facts.places[path] = node.place
        value = self._of_kind(node, kind, path)
        if value is BAD:
            self.facts.failed.add(path)
        return value

    def _of_kind(self, node: Node, kind: inspect.Type, path: Path) -> Any:
        empty = isinstance(node, Scalar) and Value(node.text, node.plain).is_null
        if empty and nullable(kind):
            return None
        kinds = [unwrapped(each)[0] for each in members(kind)]
        for each in kinds:
            match each:
                case inspect.StructType() if empty or isinstance(node, Mapping):
                    return self._struct(_entries(node), each, path)
                case inspect.DictType() if empty or isinstance(node, Mapping):
                    return self._dict(_entries(node), each, path)
                case inspect.ListType() if (empty and len(kinds) == 1) or isinstance(node, Listing):
                    return self._list(node.items if isinstance(node, Listing) else [], each, path)
        if isinstance(node, Scalar) and not all(isinstance(each, COLLECTIONS) for each in kinds):
            return self._scalar(node, kind, path)
        return self._wrong(
            node.place, path, Wrong(f"expected {described(kind)}, not {_what(node)}", _shape_hint(kinds, node))
        )

    def _struct(self, entries: dict[str, Entry], kind: inspect.StructType, path: Path) -> Any:
        fields = {each.name: each for each in kind.fields}
        for name, entry in entries.items():
            if name in fields:
                self.facts.keys[(*path, name)] = entry.key.place
            else:
                self._unknown(entry.key, kind, path)
        values = {
            name: self._field(entries[name], each, kind.cls, (*path, name))
            for name, each in fields.items()
            if name in entries
        }
        missing = [name for name, each in fields.items() if each.required and name not in entries]
        for name in missing:
            self.report.add(self.facts.head(path), (*path, name), "this key is missing")
        if missing or any(values[name] is BAD for name in values if fields[name].required):
            return BAD
        struct = kind.cls(**{name: value for name, value in values.items() if value is not BAD})
        self._check_struct(struct, frozenset(name for name, value in values.items() if value is BAD), path)
        return struct

    def _field(self, entry: Entry, of: inspect.Field, cls: type, path: Path) -> Any:
        value = self._any(entry.node, of.type, path)
        rule = FIELD_RULES.get((cls, of.name))
        if value is BAD or value is None or rule is None:
            return value
        try:
            return rule(value)
        except Wrong as wrong:
            self.facts.failed.add(path)
            return self._wrong(entry.node.place, path, wrong)

    def _check_struct(self, struct: Any, failed: frozenset[str], path: Path) -> None:
        rule = STRUCT_RULES.get(type(struct))
        for name, wrong in rule(struct, failed) if rule else ():
            at = (*path, name) if name else path
            self._wrong(self.facts.place(at) if at in self.facts.places and name else self.facts.head(path), at, wrong)

    def _unknown(self, key: Scalar, kind: inspect.StructType, path: Path) -> None:
        if not plausible(key.text):
            self.report.add(
                key.place, path, "there is a key here that looks like none (and is not shown)", "Is a ': ' missing?"
            )
            return
        self._show(key)
        self.report.add(key.place, (*path, key.text), "unknown key", _nearest(key.text, kind))

    def _dict(self, entries: dict[str, Entry], kind: inspect.DictType, path: Path) -> dict[str, Any]:
        values: dict[str, Any] = {}
        for name, entry in entries.items():
            try:
                check_name(name, path)
            except Wrong as wrong:
                self._wrong(entry.key.place, path, wrong)
                continue
            self.facts.keys[(*path, name)] = entry.key.place
            self._show(entry.key)
            values[name] = self._any(entry.node, kind.value_type, (*path, name))
        return {name: value for name, value in values.items() if value is not BAD}

    def _list(self, items: list[Node], kind: inspect.ListType, path: Path) -> list[Any]:
        values = [self._any(item, kind.item_type, (*path, i)) for i, item in enumerate(items)]
        return [value for value in values if value is not BAD]

    def _scalar(self, node: Scalar, kind: inspect.Type, path: Path) -> Any:
        private = any(unwrapped(each)[1] for each in members(kind))
        if not private:
            self._show(node)
        try:
            expanded = expand(node.text, self.environ, self.read)
            value = Value(expanded.text, node.plain, expanded.sources)
            if expanded.sources:
                self.facts.sources[path] = expanded.sources
            if value.is_null and nullable(kind):
                return None
            self.facts.values[path] = convert(
                value, [each for each in members(kind) if not _is_collection(each)], private
            )
            return self.facts.values[path]
        except Wrong as wrong:
            return self._wrong(node.place, path, wrong)
        except ExpansionError as error:
            return self._unresolved(node, path, error)

    def _unresolved(self, node: Scalar, path: Path, error: ExpansionError) -> Any:
        if error.variable and is_provider_key(path) and self.allow_missing_provider_keys:
            self.facts.unset[path] = error.variable
            return BAD if isinstance(path[-1], int) else None
        return self._wrong(node.place, path, Wrong(error.message, error.hint or _unset_hint(path, error.variable)))

    def _wrong(self, place: Place, path: Path, wrong: Wrong) -> object:
        self.report.add(place, path, wrong.message, wrong.hint)
        return BAD

    def _show(self, scalar: Scalar) -> None:
        if scalar.span and "${" not in scalar.text:
            self.report.spans.append(scalar.span)


COLLECTIONS = (inspect.StructType, inspect.DictType, inspect.ListType)


def _is_collection(kind: inspect.Type) -> bool:
    return isinstance(unwrapped(kind)[0], COLLECTIONS)


def _entries(node: Node) -> dict[str, Entry]:
    return node.entries if isinstance(node, Mapping) else {}


def _what(node: Node) -> str:
    return "a mapping" if isinstance(node, Mapping) else "a list" if isinstance(node, Listing) else "a single value"


def _shape_hint(kinds: list[inspect.Type], node: Node) -> str:
    if isinstance(node, Scalar) and isinstance(kinds[0], inspect.ListType):
        return "Write it in [brackets]"
    if isinstance(node, Mapping) and all(not isinstance(each, COLLECTIONS) for each in kinds):
        return 'A reference needs quotes: "${NAME}"'
    return ""


def is_provider_key(path: Path) -> bool:
    """Whether `path` is a provider's key, or one of its keys."""
    return path[:1] == ("providers",) and path[2:3] in (("api_key",), ("api_keys",))


def _unset_hint(path: Path, variable: str) -> str:
    if not variable:
        return ""
    if path[0] == "auth":
        return f"Run: export {variable}=$(openssl rand -hex 32)"
    if is_provider_key(path):
        return "Export it, or remove this provider"
    return f"Export it, or write ${{{variable}:-a default}}"


def _nearest(name: str, kind: inspect.StructType) -> str:
    """The key that was meant: one of this section, or of a section in it, or the list of all."""
    for each in kind.fields:
        for inner in members(each.type):
            if isinstance(inner, inspect.StructType) and any(deeper.name == name for deeper in inner.fields):
                return f"Did you mean '{each.name}.{name}'?"
    names = [each.name for each in kind.fields]
    near = get_close_matches(name.lower().replace("-", "_"), names, n=1)
    return f"Did you mean '{near[0]}'?" if near else "The keys here are " + ", ".join(names)
