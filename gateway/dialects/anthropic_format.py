"""response_format for Anthropic: a schema where the grammar can say it, a request in words where it cannot.

Anthropic's structured outputs know closed objects only, so "any JSON object" and open maps are asked for in words at the end
of the system; an answer in a ```json fence is then taken out of it. No prefilled "{" and no forced helper tool: both are
refused by the newer models.
"""

from __future__ import annotations

import json

from msgspec import Struct, field

from gateway.dialects.anthropic_blocks import Block
from gateway.dialects.anthropic_choice import Choice
from gateway.dialects.anthropic_schema import Schema, Unrepresentable, transform
from gateway.types import Abilities, Notes, Request, ResponseFormat

ANY_OBJECT = "Reply with one JSON object and nothing else."
BY_SCHEMA = "Reply with one JSON value that matches this JSON Schema, and nothing else:\n"


class Format(Struct, frozen=True):
    """schema: for output_config.format. system: blocks behind the client's own. fenced: a fence may come and must go."""

    schema: Schema | None = None
    system: list[Block] = field(default_factory=list)
    fenced: bool = False


def output_format(request: Request, choice: Choice, abilities: Abilities, notes: Notes) -> Format:
    """What to ask for. An emulated forced tool needs the schema for itself."""
    wanted = request.format
    if choice.schema is not None:
        if wanted is not None and wanted.kind != "text":
            notes.drop("response_format")
        return Format(choice.schema)
    if wanted is None or wanted.kind == "text":
        return Format()
    if wanted.kind == "json_object" or wanted.schema is None:
        notes.warn("json_mode_emulated")
        return _asked_for(ANY_OBJECT)
    return _by_schema(wanted, wanted.schema, abilities, notes)


def _by_schema(wanted: ResponseFormat, schema: Schema, abilities: Abilities, notes: Notes) -> Format:
    try:
        if not abilities.structured_outputs:
            raise Unrepresentable("the model has no structured outputs")
        made = transform(schema)
    except Unrepresentable:
        notes.warn("json_schema_instructed")
        return _asked_for(BY_SCHEMA + json.dumps(schema, ensure_ascii=False))
    if wanted.description and "description" not in made and "$ref" not in made:
        made["description"] = wanted.description
    return Format(made)


def _asked_for(words: str) -> Format:
    return Format(None, [{"type": "text", "text": words}], fenced=True)
