"""JSON Schema in Anthropic's subset."""

from __future__ import annotations

import copy
from typing import Any

import pytest
from anthropic import transform_schema
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.dialects.anthropic_schema import Unrepresentable, transform


def property_of(schema: Any) -> Any:
    return transform({"type": "object", "properties": {"x": schema}})["properties"]["x"]


@pytest.mark.parametrize(
    ("schema", "made"),
    [
        (
            {"type": "integer", "minimum": 1, "maximum": 10, "description": "A number"},
            {"type": "integer", "description": "A number\n\n{minimum: 1, maximum: 10}"},
        ),
        ({"type": "string", "pattern": "^a"}, {"type": "string", "description": "{pattern: ^a}"}),
        ({"type": "string", "format": "email"}, {"type": "string", "format": "email"}),
        ({"type": "string", "format": "phone"}, {"type": "string", "description": "{format: phone}"}),
        ({"type": "string", "enum": ["a", None], "title": "T"}, {"enum": ["a", None], "title": "T"}),
        ({"const": 1}, {"const": 1}),
        ({"oneOf": [{"type": "null"}, {"type": "string"}]}, {"anyOf": [{"type": "null"}, {"type": "string"}]}),
        ({"allOf": [{"type": "string"}]}, {"allOf": [{"type": "string"}]}),
        (
            {"type": ["string", "null"], "description": "d", "maxLength": 3},
            {"anyOf": [{"type": "string"}, {"type": "null"}], "description": "d\n\n{maxLength: 3}"},
        ),
        (
            {"type": "array", "items": {"type": "string"}, "minItems": 1, "maxItems": 3},
            {"type": "array", "items": {"type": "string"}, "minItems": 1, "description": "{maxItems: 3}"},
        ),
        (
            {"items": {"type": "string"}, "minItems": 2},
            {"type": "array", "items": {"type": "string"}, "description": "{minItems: 2}"},
        ),
        (
            {"properties": {}, "additionalProperties": False},
            {"type": "object", "properties": {}, "additionalProperties": False},
        ),
        ({"type": "boolean", "default": True, "$comment": "no"}, {"type": "boolean", "description": "{default: true}"}),
    ],
)
def test_what_the_grammar_cannot_say_moves_into_the_description(schema: Any, made: Any) -> None:
    assert property_of(schema) == made


def test_objects_are_closed_and_keep_what_they_require() -> None:
    assert transform({"type": "object", "properties": {"a": {"type": "null"}}, "required": ["a"]}) == {
        "type": "object",
        "properties": {"a": {"type": "null"}},
        "additionalProperties": False,
        "required": ["a"],
    }


def test_a_property_may_be_named_like_a_keyword() -> None:
    names = {"pattern": {"type": "string"}, "$ref": {"type": "string"}, "type": {"type": "string"}}

    assert transform({"type": "object", "properties": names})["properties"] == names


def test_definitions_are_kept_under_one_name_and_references_lose_their_siblings() -> None:
    made = transform(
        {
            "definitions": {"A": {"type": "string"}},
            "type": "object",
            "properties": {"a": {"$ref": "#/definitions/A", "title": "no"}},
        },
        "t0_",
    )

    assert made["$defs"] == {"t0_A": {"type": "string"}}
    assert made["properties"]["a"] == {"$ref": "#/$defs/t0_A"}


@pytest.mark.parametrize(
    "schema",
    [
        {"type": "object"},
        {"type": "object", "additionalProperties": {"type": "string"}},
        {"type": "object", "properties": {}, "additionalProperties": True},
        {},
        True,
        {"type": "array", "prefixItems": [{"type": "string"}]},
        {"type": "array", "items": [{"type": "string"}]},
        {"type": ["string", "integer"]},
        {"type": "tuple"},
        {"$ref": "https://example.org/schema.json"},
        {"$ref": "#"},
        {"$ref": "#/$defs/Missing"},
    ],
)
def test_what_would_come_out_meaning_something_else_is_refused(schema: Any) -> None:
    with pytest.raises(Unrepresentable):
        property_of(schema)


def test_recursion_and_endless_depth_are_refused() -> None:
    node = {"type": "object", "properties": {"next": {"$ref": "#/$defs/B"}}}
    with pytest.raises(Unrepresentable):
        transform({"$ref": "#/$defs/A", "$defs": {"A": node, "B": {"$ref": "#/$defs/A"}}})

    deep: Any = {"type": "string"}
    for _ in range(1000):
        deep = {"type": "array", "items": deep}
    with pytest.raises(Unrepresentable):
        property_of(deep)


LEAVES = st.fixed_dictionaries(
    {"type": st.sampled_from(["string", "integer", "number", "boolean", "null"])},
    optional={
        "description": st.text(min_size=1, max_size=5),
        "title": st.text(max_size=3),
        "format": st.sampled_from(["uri", "date"]),
        "maximum": st.integers(),
    },
)
SCHEMAS = st.recursive(
    LEAVES,
    lambda inner: st.one_of(
        st.fixed_dictionaries({"type": st.just("array"), "items": inner, "minItems": st.integers(0, 3)}),
        st.fixed_dictionaries(
            {
                "type": st.just("object"),
                "properties": st.dictionaries(st.text(max_size=4), inner, min_size=1, max_size=3),
            }
        ),
        st.fixed_dictionaries({"anyOf": st.lists(inner, min_size=1, max_size=3)}),
        st.fixed_dictionaries({"enum": st.lists(st.text(max_size=3), min_size=1)}),
    ),
    max_leaves=8,
)


@given(SCHEMAS)
@settings(max_examples=100, deadline=None)
def test_it_says_the_same_as_anthropics_own_transformer_and_changes_nothing(schema: Any) -> None:
    before = copy.deepcopy(schema)

    assert transform(schema) == transform_schema(copy.deepcopy(schema))
    assert schema == before


KEYWORDS = st.sampled_from(
    [
        "type",
        "properties",
        "items",
        "anyOf",
        "allOf",
        "enum",
        "const",
        "format",
        "$ref",
        "$defs",
        "required",
        "description",
        "minItems",
        "additionalProperties",
    ]
)
JUNK = st.recursive(
    st.one_of(
        st.none(), st.booleans(), st.integers(), st.sampled_from(["object", "array", "string", "#/$defs/a", "uri"])
    ),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(KEYWORDS, inner, max_size=4)),
    max_leaves=10,
)


@given(st.dictionaries(KEYWORDS, JUNK, max_size=6))
@settings(max_examples=300, deadline=None)
def test_no_schema_makes_it_raise_anything_else(schema: Any) -> None:
    try:
        made = transform(schema)
    except Unrepresentable:
        return
    assert made.keys() & {"type", "anyOf", "allOf", "enum", "const", "$ref"}
