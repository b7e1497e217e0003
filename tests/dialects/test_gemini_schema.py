"""JSON Schema in the subset of OpenAPI: one test for each way in which others lost data or were refused."""

from __future__ import annotations

import copy
from typing import Any

import pytest
from google.genai import types as genai
from hypothesis import given
from hypothesis import strategies as st

from gateway.dialects.gemini_schema import MAX_RECURSION, object_root, to_openapi
from gateway.types import Notes, Unsupported


def convert(schema: dict[str, Any], notes: Notes | None = None, **options: Any) -> dict[str, Any]:
    """One property's schema in the subset, seen by Google's own type; the client's schema must stay as it was."""
    root = {"type": "object", "properties": {"p": schema}, "$defs": schema.get("$defs", {})}
    before = copy.deepcopy(root)
    made = to_openapi(root, notes or Notes(), param="tools", **options)
    assert root == before
    assert made is not None
    genai.Schema.model_validate(made)
    node: dict[str, Any] = made["properties"]["p"]
    return node


def test_1_a_nullable_type_is_one_type_and_a_flag() -> None:
    assert convert({"type": ["string", "null"]}) == {"type": "STRING", "nullable": True}


def test_2_a_nullable_object_keeps_its_properties() -> None:
    made = convert({"type": ["object", "null"], "properties": {"a": {"type": "integer"}}, "required": ["a"]})

    assert made == {"type": "OBJECT", "properties": {"a": {"type": "INTEGER"}}, "required": ["a"], "nullable": True}


def test_3_several_types_are_branches_that_keep_the_description() -> None:
    made = convert({"type": ["string", "number", "null"], "description": "size"})

    assert made == {
        "anyOf": [
            {"type": "STRING", "description": "size", "nullable": True},
            {"type": "NUMBER", "description": "size", "nullable": True},
        ]
    }


def test_4_a_type_or_null_keeps_what_stood_beside_it() -> None:
    made = convert({"anyOf": [{"type": "string"}, {"type": "null"}], "title": "T", "description": "D", "default": None})

    assert made == {"type": "STRING", "nullable": True, "title": "T", "description": "D", "default": None}


def test_5_nothing_stands_beside_branches() -> None:
    made = convert(
        {"anyOf": [{"type": "string", "description": "own"}, {"type": "integer"}], "type": "string", "description": "D"}
    )

    assert made == {"anyOf": [{"type": "STRING", "description": "own"}, {"type": "INTEGER", "description": "D"}]}


def test_5_branches_that_only_constrain_an_object_go() -> None:
    schema = {"type": "object", "properties": {"a": {}, "b": {}}, "anyOf": [{"required": ["a"]}, {"required": ["b"]}]}

    assert list(convert(schema)["properties"]) == ["a", "b"]


def test_6_one_of_is_any_of_and_all_of_is_merged() -> None:
    notes = Notes()
    merged = {
        "allOf": [
            {"type": "object", "properties": {"a": {"type": "string"}}, "required": ["a"], "minProperties": 1},
            {"properties": {"b": {"type": "integer"}}, "required": ["a", "b"], "minProperties": 2},
        ]
    }

    assert convert({"oneOf": [{"type": "string"}, {"type": "integer"}]}) == {
        "anyOf": [{"type": "STRING"}, {"type": "INTEGER"}]
    }
    assert convert(merged, notes) == {
        "type": "OBJECT",
        "properties": {"a": {"type": "STRING"}, "b": {"type": "INTEGER"}},
        "required": ["a", "b"],
        "minProperties": 1,
    }
    assert notes.warnings == ["schema_conflict"]


def test_7_a_constant_is_an_enum_of_one_or_told_in_words() -> None:
    assert convert({"const": "x"}) == {"type": "STRING", "enum": ["x"]}
    assert convert({"const": 3, "description": "n"}) == {"type": "INTEGER", "description": "n (Must be 3)"}


def test_8_only_strings_are_enumerated_and_none_is_empty() -> None:
    assert convert({"enum": ["a", "", None]}) == {"type": "STRING", "nullable": True, "enum": ["a"]}
    assert convert({"type": "integer", "enum": [1, 2]}) == {"type": "INTEGER", "description": "One of: 1, 2"}
    assert convert({"enum": [True]}) == {"type": "BOOLEAN", "description": "One of: true"}


def test_9_references_are_written_out_with_what_stands_beside_them() -> None:
    schema = {"$ref": "#/$defs/A", "description": "D", "$defs": {"A": {"type": "string", "description": "own"}}}

    assert convert(schema) == {"type": "STRING", "description": "D"}


def test_9_a_recursive_definition_ends() -> None:
    tree = {"type": "object", "properties": {"next": {"$ref": "#/$defs/T"}}}
    made, depth = convert({"$ref": "#/$defs/T", "$defs": {"T": tree}}), 0
    while "properties" in made:
        made, depth = made["properties"]["next"], depth + 1

    assert (made, depth) == ({"type": "OBJECT"}, MAX_RECURSION)


def test_9_a_reference_to_nowhere_is_said() -> None:
    notes = Notes()

    assert convert({"$ref": "#/$defs/gone"}, notes)["type"] == "STRING"
    assert notes.warnings == ["schema_ref_unresolved"]


def test_10_keywords_without_a_place_go_but_properties_of_their_name_stay() -> None:
    schema = {
        "type": "object",
        "$id": "x",
        "additionalProperties": False,
        "patternProperties": {"x": {}},
        "if": {},
        "not": {"type": "string"},
        "deprecated": True,
        "properties": {"not": {"type": "string"}, "default": {"type": "integer", "multipleOf": 2}},
    }

    assert convert(schema) == {
        "type": "OBJECT",
        "properties": {"not": {"type": "STRING"}, "default": {"type": "INTEGER"}},
    }


def test_10_exclusive_bounds_of_whole_numbers_are_closed() -> None:
    assert convert({"type": "integer", "exclusiveMinimum": 3, "exclusiveMaximum": 9}) == {
        "type": "INTEGER",
        "minimum": 4,
        "maximum": 8,
    }
    assert convert({"type": "integer", "minimum": 3, "exclusiveMinimum": True}) == {"type": "INTEGER", "minimum": 4}
    assert convert({"type": "number", "exclusiveMinimum": 3}) == {"type": "NUMBER"}


def test_11_formats_that_are_not_known_go() -> None:
    assert convert({"type": "string", "format": "date-time"}) == {"type": "STRING", "format": "date-time"}
    assert convert({"type": "string", "format": "uri"}) == {"type": "STRING"}
    assert convert({"type": "integer", "format": "int64"}) == {"type": "INTEGER", "format": "int64"}


def test_12_a_list_says_what_is_in_it() -> None:
    assert convert({"type": "array"}) == {"type": "ARRAY", "items": {"type": "STRING"}}
    tuple_of_two = {"type": "array", "prefixItems": [{"type": "string"}, {"type": "integer"}, {"type": "string"}]}
    assert convert(tuple_of_two)["items"] == {"anyOf": [{"type": "STRING"}, {"type": "INTEGER"}]}
    assert convert({"type": "array", "items": [{"type": "string"}]})["items"] == {"type": "STRING"}


def test_13_an_object_without_properties_is_a_text_or_nothing() -> None:
    assert convert({"type": "object", "description": "D"}) == {
        "type": "STRING",
        "description": "D (JSON object, encoded)",
    }
    assert to_openapi({"type": "object"}, Notes(), param="tools") is None


def test_14_only_properties_are_required_and_defaults_go_where_refused() -> None:
    schema = {"type": "object", "properties": {"a": {"type": "string", "default": "x"}}, "required": ["b", "a", 1]}

    made = convert(schema, defaults=False)
    assert (made["required"], made["properties"]) == (["a"], {"a": {"type": "STRING"}})
    assert convert(schema)["properties"]["a"]["default"] == "x"


def test_15_answers_keep_the_order_of_the_properties() -> None:
    schema = {"type": "object", "properties": {"b": {"type": "null"}, "a": {"type": "boolean"}}}

    assert convert(schema, ordered=True)["propertyOrdering"] == ["b", "a"]
    assert "propertyOrdering" not in convert(schema)


@pytest.mark.parametrize("shape", ["wide", "deep", "deep_all_of"])
def test_16_a_schema_beyond_every_model_is_refused(shape: str) -> None:
    schema: dict[str, Any] = {"$ref": "#/$defs/T"}
    definition: dict[str, Any] = {"type": "object", "properties": {f"p{i}": {"$ref": "#/$defs/T"} for i in range(9)}}
    for _ in range(3000 if shape != "wide" else 0):
        definition = {"allOf": [definition]} if shape == "deep_all_of" else {"type": "array", "items": definition}
    root = {"type": "object", "properties": {"p": schema}, "$defs": {"T": definition}}

    with pytest.raises(Unsupported) as refusal:
        to_openapi(root, Notes(), param="response_format")
    assert refusal.value.param == "response_format"


def test_objects_in_lists_keep_all_their_properties() -> None:
    row = {
        "type": "object",
        "properties": {"name": {"type": "string"}, "tags": {"type": "array", "items": {"type": "string"}}},
    }

    assert convert({"type": "array", "items": row})["items"]["properties"]["tags"]["items"] == {"type": "STRING"}


def test_what_is_anything_is_told_as_encoded_json() -> None:
    assert convert({}) == {"type": "STRING", "description": "JSON value, encoded"}


def test_a_map_is_an_object_even_without_properties() -> None:
    assert object_root({"type": "object", "additionalProperties": {"type": "string"}})[0] is not None
    assert object_root({"description": "nothing"}) == (None, False)


JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-9, 9)
    | st.sampled_from(["object", "array", "string", "null", "#/$defs/A", "#", ""]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                [
                    "type",
                    "properties",
                    "items",
                    "anyOf",
                    "oneOf",
                    "allOf",
                    "enum",
                    "const",
                    "required",
                    "$ref",
                    "$defs",
                    "A",
                    "format",
                    "prefixItems",
                    "exclusiveMinimum",
                    "minimum",
                    "additionalProperties",
                    "description",
                ]
            ),
            inner,
            max_size=4,
        )
    ),
    max_leaves=25,
)


@given(
    st.dictionaries(
        st.sampled_from(["type", "properties", "anyOf", "allOf", "$ref", "$defs", "items"]), JSON, max_size=5
    )
)
def test_no_schema_raises_anything_but_a_refusal(schema: dict[str, Any]) -> None:
    try:
        rooted, _ = object_root(schema)
        made = to_openapi(rooted, Notes(), param="tools") if rooted else None
    except Unsupported:
        return
    assert made is None or "type" in made or "anyOf" in made
