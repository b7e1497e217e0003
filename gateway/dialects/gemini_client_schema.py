"""Gemini's subset of OpenAPI's schema, as clients send it, to JSON Schema, which every provider takes.

Rule 1: keywords are looked at in schema positions only; a property named `nullable` or `any_of` survives as it is.
Rule 2: `propertyOrdering` becomes the order of the properties, which is what models follow elsewhere.
Rule 3: keywords of JSON Schema proper, which Gemini takes there too, stay. The client's own object is not changed.
Source: https://ai.google.dev/api/caching#Schema; google-generativeai sends types as numbers and limits as strings.
"""

from __future__ import annotations

from typing import Any

from gateway.dialects.gemini_client_fields import Fields, inside, members, object_, optional_whole, repeated, word

TYPES = {
    1: "STRING",
    2: "NUMBER",
    3: "INTEGER",
    4: "BOOLEAN",
    5: "ARRAY",
    6: "OBJECT",
    7: "NULL",
    0: "TYPE_UNSPECIFIED",
}
UNSAID = ("", "TYPE_UNSPECIFIED")
LIMITS = ("minItems", "maxItems", "minLength", "maxLength", "minProperties", "maxProperties")
LARGEST = 2**63 - 1
LISTS = ("anyOf", "oneOf", "allOf", "prefixItems")
MAPS = ("properties", "$defs", "definitions", "patternProperties")
RENAMED = {"defs": "$defs", "ref": "$ref", "additional_properties": "additionalProperties"}
DROPPED = ("propertyOrdering", "nullable", "example")


def to_json_schema(schema: object, where: str) -> Fields:
    """`schema`, at `where` of the client's request, as JSON Schema. Raises BadRequest for what is no schema."""
    given = _keywords(object_(schema, where), where)
    made: Fields = {}
    for key, value in given.items():
        if key not in DROPPED and value is not None:
            _convert(made, key, value, inside(where, key))
    _order(made, given.get("propertyOrdering"))
    if given.get("nullable") is True:
        _allow_null(made)
    if "example" in given and "examples" not in made:
        made["examples"] = [given["example"]]
    return made


def _keywords(schema: Fields, where: str) -> Fields:
    """The keywords under their own names; `$ref` and the like begin with a sign and have no other spelling."""
    renamed = {RENAMED.get(key, key): value for key, value in schema.items()}
    return members(renamed, where) if any("_" in key for key in renamed) else renamed


def _convert(made: Fields, key: str, value: Any, where: str) -> None:
    match key:
        case "type":
            _type(made, value, where)
        case "format" if value == "enum":
            pass  # says only that there is an enum
        case "items" if isinstance(value, list):
            made["prefixItems"] = [to_json_schema(item, f"{where}[{at}]") for at, item in enumerate(value)]
        case "items":
            made[key] = to_json_schema(value, where)
        case "additionalProperties" if isinstance(value, dict):
            made[key] = to_json_schema(value, where)
        case _ if key in LISTS:
            made[key] = [to_json_schema(item, f"{where}[{at}]") for at, item in enumerate(repeated(value))]
        case _ if key in MAPS:
            inner = object_(value, where)
            made[key] = {name: to_json_schema(item, inside(where, name)) for name, item in inner.items()}
        case _ if key in LIMITS:
            made[key] = optional_whole(value, where, 0, LARGEST)
        case "$ref" if isinstance(value, str):
            made[key] = value.replace("#/defs/", "#/$defs/", 1)
        case _:
            made[key] = value


def _type(made: Fields, value: Any, where: str) -> None:
    words = [word(item, where, TYPES) for item in repeated(value)]
    said = [kind.lower() for kind in words if kind not in UNSAID]
    if said:
        made["type"] = said if isinstance(value, list) else said[0]


def _order(made: Fields, ordering: Any) -> None:
    properties = made.get("properties")
    if properties and isinstance(ordering, list):
        first = [name for name in ordering if isinstance(name, str) and name in properties]
        made["properties"] = {name: properties[name] for name in dict.fromkeys([*first, *properties])}


def _allow_null(made: Fields) -> None:
    """`nullable` is no keyword of JSON Schema: null becomes one of the types, values or branches."""
    if "enum" in made and isinstance(made["enum"], list) and None not in made["enum"]:
        made["enum"] = [*made["enum"], None]
    kind = made.get("type")
    if isinstance(kind, str):
        made["type"] = [kind, "null"] if kind != "null" else kind
    elif isinstance(kind, list):
        made["type"] = kind if "null" in kind else [*kind, "null"]
    elif "anyOf" in made:
        made["anyOf"] = [*made["anyOf"], {"type": "null"}]
