"""The JSON Schema of gateway.yaml, for editors: `gateway schema > config/gateway.schema.json`."""

from __future__ import annotations

from typing import Any

import msgspec

from gateway.config.meanings import MEANINGS
from gateway.settings import MOST_USD, NAME_PATTERN, Config, Secret

DIALECT = "https://json-schema.org/draft/2020-12/schema"
DOLLARS = {"type": "number", "minimum": 0, "maximum": MOST_USD}
REFERENCE = {"type": "string", "pattern": r"\$\{[^{}]+\}"}  # stands for any scalar


def schema() -> dict[str, Any]:
    """The schema as JSON values. `${…}` is allowed wherever a number, a truth value or one of a few words is wanted."""
    _, parts = msgspec.json.schema_components([Config], schema_hook=_custom)
    for struct, meanings in MEANINGS.items():
        parts[struct.__name__] = _part(parts[struct.__name__], meanings)
    root = parts.pop("Config")
    root["required"] = ["providers"]
    root["properties"]["providers"]["minProperties"] = 1
    for section in ("providers", "tenants"):
        root["properties"][section]["propertyNames"] = {"pattern": NAME_PATTERN}
    return {"$schema": DIALECT, "title": "Passerelle configuration", **root, "$defs": parts}


def schema_text() -> str:
    """What `gateway schema` prints."""
    return msgspec.json.format(msgspec.json.encode(schema())).decode() + "\n"


def _custom(kind: type) -> dict[str, Any]:
    if kind is Secret:
        return {"type": "string", "minLength": 1}
    raise NotImplementedError(kind)


def _part(part: dict[str, Any], meanings: dict[str, str]) -> dict[str, Any]:
    """One section. Its docstring speaks to programmers and stays out; the meanings speak to operators."""
    properties = {name: {"description": meanings[name], **_property(each)} for name, each in part["properties"].items()}
    return {"type": "object", "properties": properties, "required": part["required"], "additionalProperties": False}


def _property(part: dict[str, Any]) -> dict[str, Any]:
    # A section's default is spelt out by its own keys, and a tenant's is inherited.
    default = {"default": part["default"]} if not isinstance(part.get("default", {}), dict) else {}
    return {**_loosened({key: value for key, value in part.items() if key != "default"}), **default}


def _loosened(part: dict[str, Any]) -> dict[str, Any]:
    """The type with references beside it, where they would not fit otherwise."""
    if "items" in part:
        return {**part, "items": _loosened(part["items"])}
    choices = [DOLLARS if each.get("format") == "decimal" else each for each in part.get("anyOf", [part])]
    return {"anyOf": [*choices, REFERENCE]} if any(_is_restricted(each) for each in choices) else part


def _is_restricted(part: dict[str, Any]) -> bool:
    return "enum" in part or "pattern" in part or part.get("type") in ("integer", "number", "boolean")
