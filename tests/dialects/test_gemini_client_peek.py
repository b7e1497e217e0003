"""The top level of a generateContent request, and schemas in OpenAPI's subset."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.dialects.gemini import GEMINI, Gemini
from gateway.dialects.gemini_client_schema import to_json_schema
from gateway.types import BadRequest, Echo, Ended, TextDelta

CONTENTS = b'"contents":[{"parts":[{"text":"hi"}]}]'


def refusal(body: bytes) -> BadRequest:
    with pytest.raises(BadRequest) as found:
        GEMINI.peek(body)
    return found.value


@pytest.mark.parametrize(
    "config",
    [
        b'"generationConfig":{"maxOutputTokens":7,"candidateCount":2,"temperature":0}',
        b'"generation_config": {"max_output_tokens": "7", "candidate_count": 2.0, "temperature": 0.5}',
        b'"generationConfig":{"max_output_tokens":7,"candidateCount":2,"temperature":"1","stopSequences":["\\u0041"]}',
    ],
)
def test_what_admission_needs_is_read(config: bytes) -> None:
    peek = GEMINI.peek(b"{" + CONTENTS + b"," + config + b"}")

    assert (peek.model, peek.stream, peek.max_tokens, peek.n, peek.has_temperature) == ("", False, 7, 2, True)


@pytest.mark.parametrize("config", [b"", b',"generationConfig":null', b',"generationConfig":{"maxOutputTokens":null}'])
def test_what_is_not_said_has_its_default(config: bytes) -> None:
    peek = GEMINI.peek(b"{" + CONTENTS + config + b"}")

    assert (peek.max_tokens, peek.n, peek.has_temperature) == (None, 1, False)


@pytest.mark.parametrize("contents", [b'"hi"', b'{"parts":[]}', b' [ {"parts":[]}]', b'["hi"]'])
def test_contents_of_any_shape_are_let_through(contents: bytes) -> None:
    assert GEMINI.peek(b'{"contents":' + contents + b"}").n == 1


@pytest.mark.parametrize(
    ("body", "param", "code"),
    [
        (b"{}", "contents", "invalid_request"),
        (b'{"contents":[ ]}', "contents", "invalid_request"),
        (b'{"contents":null}', "contents", "invalid_request"),
        (b'{"contents":5}', "contents", "invalid_request"),
        (b"[]", None, "invalid_json"),
        (b"{", None, "invalid_json"),
        (b'{"contents":"\xff"}', None, "invalid_json"),
        (b'{"contents":' + b"[" * 10_000, None, "invalid_json"),
        (b"{" + CONTENTS + b',"generationConfig":5}', "generationConfig", "invalid_request"),
        (b"{" + CONTENTS + b',"generationConfig":{"maxOutputTokens":0}}', "generationConfig.maxOutputTokens", "invalid_request"),
        (b"{" + CONTENTS + b',"generationConfig":{"maxOutputTokens":' + b"9" * 5000 + b"}}", None, "invalid_json"),
        (b"{" + CONTENTS + b',"generationConfig":{"candidateCount":9}}', "generationConfig.candidateCount", "invalid_request"),
    ],
)  # fmt: skip
def test_what_cannot_be_understood_is_named(body: bytes, param: str | None, code: str) -> None:
    error = refusal(body)
    assert (error.param, error.code) == (param, code)


@pytest.mark.parametrize(
    "config",
    [
        b'"generationConfig":{"maxOutputTokens":1},"generationConfig":{"maxOutputTokens":9}',
        b'"generationConfig":{"maxOutputTokens":1},"generation_config":{"maxOutputTokens":9}',
        b'"generationConfig":{"maxOutputTokens":1,"maxOutputTokens":9}',
        b'"generationConfig":{"maxOutputTokens":9,"max_output_tokens":1}',
        b'"generationConfig":{"maxOutputTokens":9,"max\\u004futputTokens":1}',
        b'"generationConfig":{"candidateCount":1,"candidateCount":8}',
    ],
)
def test_a_body_that_could_be_read_in_two_ways_is_refused(config: bytes) -> None:
    assert isinstance(refusal(b"{" + CONTENTS + b"," + config + b"}"), BadRequest)


def test_names_within_texts_and_arguments_are_no_second_reading() -> None:
    said = {"text": '"generationConfig" "generationConfig"', "more": "\u00e9\u2028"}
    call = {"functionCall": {"name": "f", "args": {"maxOutputTokens": 1, "contents": [], "generationConfig": {}}}}
    body = json.dumps(
        {"contents": [{"parts": [said, call]}], "generationConfig": {"maxOutputTokens": 5}}, ensure_ascii=True
    )
    assert GEMINI.peek(body.encode()).max_tokens == 5


@given(st.binary(max_size=60))
def test_any_bytes_are_read_or_refused(data: bytes) -> None:
    for body in (data, b"{" + data + b"}", b'{"contents":' + data + b"}", b'{"generationConfig":' + data + b"}"):
        for read in (GEMINI.peek, GEMINI.read_request):
            try:
                read(body)
            except BadRequest as error:
                assert error.message


# ---------------------------------------------------------------- schemas


@pytest.mark.parametrize(
    ("given_schema", "wanted"),
    [
        ({"type": "STRING", "nullable": True}, {"type": ["string", "null"]}),
        ({"type": "STRING", "nullable": False, "format": "enum", "enum": ["a"]}, {"type": "string", "enum": ["a"]}),
        ({"type": "STRING", "enum": ["a"], "nullable": True}, {"type": ["string", "null"], "enum": ["a", None]}),
        ({"any_of": [{"type": "STRING"}], "nullable": True}, {"anyOf": [{"type": "string"}, {"type": "null"}]}),
        ({"type": "INTEGER", "minimum": 1, "format": "int32"}, {"type": "integer", "minimum": 1, "format": "int32"}),
        ({"type": "ARRAY", "items": {"type": 3}, "maxItems": "9"}, {"type": "array", "items": {"type": "integer"}, "maxItems": 9}),
        ({"type": ["STRING", "NULL"]}, {"type": ["string", "null"]}),
        ({"type": "TYPE_UNSPECIFIED", "description": "d"}, {"description": "d"}),
        ({"ref": "#/defs/A", "defs": {"A": {"type": "STRING"}}}, {"$ref": "#/$defs/A", "$defs": {"A": {"type": "string"}}}),
        ({"type": "STRING", "example": "x", "title": None}, {"type": "string", "examples": ["x"]}),
        ({"additional_properties": {"type": "NUMBER"}}, {"additionalProperties": {"type": "number"}}),
        ({"additionalProperties": False}, {"additionalProperties": False}),
    ],
)  # fmt: skip
def test_a_schema_of_openapi_becomes_json_schema(given_schema: Any, wanted: Any) -> None:
    assert to_json_schema(given_schema, "x") == wanted


def test_the_order_of_properties_is_the_one_that_was_asked_for() -> None:
    schema = {"properties": {"b": {}, "a": {}, "c": {}}, "propertyOrdering": ["a", "b", "gone"]}

    assert list(to_json_schema(schema, "x")["properties"]) == ["a", "b", "c"]


def test_properties_named_like_keywords_survive() -> None:
    names = ["nullable", "propertyOrdering", "type", "any_of", "example", "properties", "format", "min_items"]
    schema = {"type": "OBJECT", "properties": {name: {"type": "STRING"} for name in names}, "required": names}

    assert to_json_schema(schema, "x") == {
        "type": "object",
        "properties": {name: {"type": "string"} for name in names},
        "required": names,
    }


# ---------------------------------------------------------------- made for a URL


def test_an_object_made_for_a_url_knows_what_it_says() -> None:
    made = Gemini("fast", stream=True, array=True)
    body = b"{" + CONTENTS + b"}"

    assert (made.peek(body).model, made.peek(body).stream) == ("fast", True)
    assert (made.read_request(body).model, made.read_request(body).stream) == ("fast", True)
    assert (GEMINI.read_request(body).model, GEMINI.read_request(body).stream) == ("", False)
    echo = Echo(id="1", model="m", created=0)
    assert made.writer(echo).write([TextDelta("hi"), Ended()]).startswith(b"[{")
    assert GEMINI.writer(echo).write([Ended()]).startswith(b"data: ")
