"""What each upstream model can do, looked up by its name. The data is config/models.yaml.

Rule 1: the longest matching id wins. An id covers itself and its dated or named variants (claude-haiku-4-5 covers
claude-haiku-4-5-20251001, gpt-5.4 covers gpt-5.4-mini), never another version (claude-opus-5 does not cover claude-opus-5-5).
Rule 2: entries of a family stand oldest first; a model that none covers gets what the last one has. New models take fewer
parameters than old ones, so guessing newest errs towards leaving a parameter out, never towards an upstream's refusal.
What models cost is another file and another lookup (core/pricing.py): prices are never guessed.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

import msgspec
from msgspec import Struct

from gateway.types import Abilities

PLAIN = Abilities(
    output_cap="max_tokens", custom_tools=False
)  # of a family without entries: a compatible server speaks for itself

# What may follow an id: nothing, or a separator and no version number of one or two digits (dates have more).
_VARIANT = re.compile(r"(?:$|[-@:](?!\d{1,2}(?!\d)))")


class CatalogueError(ValueError):
    """The catalogue's file is not what it should be; the message names the place."""


class Entry(Struct, frozen=True, kw_only=True):
    """One model."""

    family: str
    id: str
    abilities: Abilities


class Catalogue:
    """Entries by family, in the order of the file. Immutable."""

    def __init__(self, entries: Iterable[Entry]) -> None:
        self._families: dict[str, list[Entry]] = {}
        for entry in entries:
            self._families.setdefault(entry.family, []).append(entry)

    def entry(self, family: str, model: str) -> Entry | None:
        """The entry that covers `model`, or None when the catalogue does not know it."""
        best: Entry | None = None
        for entry in self._families.get(family, ()):
            if _covers(entry.id, model) and (best is None or len(entry.id) > len(best.id)):
                best = entry
        return best

    def abilities(self, family: str, model: str) -> Abilities:
        """What `model` takes; of an unknown model, what the newest of its family takes; of an unknown family, everything."""
        found = self.entry(family, model)
        if found is not None:
            return found.abilities
        entries = self._families.get(family)
        return entries[-1].abilities if entries else PLAIN


def _covers(id_: str, model: str) -> bool:
    return model.startswith(id_) and _VARIANT.match(model, len(id_)) is not None


def catalogue_from(mapping: Any) -> Catalogue:
    """Build a catalogue of the parsed models.yaml: `{families: {name: [{id, <abilities>}]}, defaults?: {name: {<abilities>}}}`.

    Raises CatalogueError naming the entry and the key at fault.
    """
    families = mapping.get("families") if isinstance(mapping, Mapping) else None
    if not isinstance(families, Mapping):
        raise CatalogueError("models.yaml: 'families' is missing or no mapping")
    defaults = _defaults(mapping.get("defaults"), families)
    entries: list[Entry] = []
    for family, rows in families.items():
        if not isinstance(rows, list):
            raise CatalogueError(f"models.yaml: families.{family}: not a list of models")
        entries.extend(_entries(str(family), rows, defaults.get(family, {})))
    return Catalogue(entries)


def _defaults(given: Any, families: Mapping[str, Any]) -> Mapping[str, Mapping[str, Any]]:
    if given is None:
        return {}
    if not isinstance(given, Mapping):
        raise CatalogueError("models.yaml: defaults: no mapping of families")
    for family, abilities in given.items():
        place = f"models.yaml: defaults.{family}"
        if family not in families or not isinstance(abilities, Mapping):
            raise CatalogueError(f"{place}: no mapping of a family's abilities")
        _abilities(abilities, place)
    return given


def _abilities(given: Mapping[str, Any], place: str) -> Abilities:
    unknown = sorted(set(given) - set(Abilities.__struct_fields__))
    if unknown:
        raise CatalogueError(f"{place}: unknown key {unknown[0]!r}")
    try:
        return msgspec.convert(given, Abilities)
    except msgspec.ValidationError as error:
        raise CatalogueError(f"{place}: {error}") from None


def _entries(family: str, rows: list[Any], defaults: Mapping[str, Any]) -> list[Entry]:
    seen: set[str] = set()
    entries = []
    for position, row in enumerate(rows):
        place = f"models.yaml: families.{family}[{position}]"
        entry = _entry(family, row, defaults, place)
        if entry.id in seen:
            raise CatalogueError(f"{place}.id: {entry.id!r} stands there twice")
        seen.add(entry.id)
        entries.append(entry)
    return entries


def _entry(family: str, row: Any, defaults: Mapping[str, Any], place: str) -> Entry:
    if not isinstance(row, Mapping) or not isinstance(row.get("id"), str) or not row["id"]:
        raise CatalogueError(f"{place}: a model needs an 'id'")
    given = {**defaults, **{key: value for key, value in row.items() if key != "id"}}
    return Entry(family=family, id=row["id"], abilities=_abilities(given, f"{place} ({row['id']})"))
