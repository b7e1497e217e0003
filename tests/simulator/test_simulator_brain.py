"""The simulated model: what it answers, which tools it calls, and values for JSON Schemas."""

from __future__ import annotations

from typing import Any

import jsonschema
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.simulator import media
from gateway.simulator.instances import Hints, instance
from gateway.simulator.model import Answer, Ask, Result, Spec, answer
from gateway.simulator.signatures import sign, verify
from gateway.simulator.tokens import count, cut

CITY = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}


def ask(prompt: str, **more: Any) -> Answer:
    return answer(Ask(model="m", prompt=prompt, key=b"key", **more))


def called(prompt: str, *names: str, **more: Any) -> list[tuple[str, str]]:
    tools = [Spec(name, CITY) for name in names]
    return [(call.name, call.arguments) for call in ask(prompt, tools=tools, **more).calls]


def test_a_tool_is_called_by_its_name_or_by_what_it_is_about() -> None:
    assert called("please use get_weather for Oslo", "get_weather") == [("get_weather", '{"city":"Oslo"}')]
    assert called("how is the weather in New York?", "get_weather") == [("get_weather", '{"city":"New York"}')]
    assert called("weather in Paris and time in Rome", "get_time", "get_weather") == [
        ("get_weather", '{"city":"Paris"}'),
        ("get_time", '{"city":"Rome"}'),
    ]
    assert called("get_weather Paris, get_weather Rome", "get_weather") == [
        ("get_weather", '{"city":"Paris"}'),
        ("get_weather", '{"city":"Rome"}'),
    ]
    assert called("tell me a story", "get_weather") == []


def test_the_choice_of_the_client_is_obeyed() -> None:
    both = "weather in Paris and time in Rome"
    assert called(both, "get_weather", "get_time", choice="none") == []
    assert [name for name, _ in called(both, "get_weather", "get_time", parallel=False)] == ["get_weather"]
    assert [name for name, _ in called("hm", "get_weather", "get_time", choice="any")] == ["get_weather"]
    assert [name for name, _ in called(both, "get_weather", "get_time", choice="any", named=["get_time"])] == [
        "get_time"
    ]


def test_after_results_a_free_model_answers_and_a_forced_one_calls_again() -> None:
    results = [Result("get_weather", "21 degrees"), Result("get_time", "no clock", failed=True)]
    tools = [Spec("get_weather", CITY)]

    free = ask("weather in Paris", tools=tools, results=results)
    assert free.text == "[simulated m] The tools answered: get_weather -> 21 degrees; get_time failed -> no clock"
    assert [call.name for call in ask("weather in Paris", tools=tools, results=results, choice="any").calls] == [
        "get_weather"
    ]


def test_output_tokens_are_those_of_all_that_is_put_out() -> None:
    said = ask("hello", think=True)
    assert said.output_tokens == count(said.thinking) + count(said.text)

    calling = ask("weather in Paris", tools=[Spec("get_weather", CITY)])
    assert calling.output_tokens == count("get_weather") + count('{"city":"Paris"}')


@given(st.integers(1, 60), st.text(max_size=60), st.booleans())
def test_no_answer_is_longer_than_its_limit(limit: int, prompt: str, think: bool) -> None:
    full = ask(prompt, think=think)
    short = ask(prompt, think=think, max_tokens=limit)

    assert short.output_tokens <= limit
    assert full.text.startswith(short.text)
    assert (short.finish == "length") == (full.output_tokens > limit)


def test_a_call_that_does_not_fit_is_cut_short() -> None:
    cut_short = ask("weather in Paris", tools=[Spec("get_weather", CITY)], max_tokens=5)

    assert cut_short.finish == "length"
    assert '{"city":"Paris"}'.startswith(cut_short.calls[0].arguments)


def test_the_first_stop_sequence_in_the_text_ends_it() -> None:
    stopped = ask("one two three", stop=["three", "two"])
    assert (stopped.text, stopped.stop_sequence, stopped.finish) == ("[simulated m] You said: one ", "two", "stop")


def test_the_wished_number_of_pieces_is_kept() -> None:
    assert len(ask("hello", pieces=50).pieces) == 50
    assert len(ask("hello", pieces=2).pieces) == 2
    assert ask("hello", pieces=2).text == ask("hello").text


@given(st.text())
def test_a_token_is_at_most_a_byte_and_a_cut_text_is_a_beginning(text: str) -> None:
    size = len(text.encode("utf-8", "surrogatepass"))
    assert count(text) <= size
    assert size <= 4 * count(text)
    assert text.startswith(cut(text, 3)) and count(cut(text, 3)) <= 3


SCHEMAS: dict[str, dict[str, Any]] = {
    "constraints": {
        "type": "object",
        "properties": {
            "name": {"type": "string", "minLength": 3, "maxLength": 5},
            "age": {"type": "integer", "exclusiveMinimum": 20, "maximum": 40, "multipleOf": 7},
            "ratio": {"type": "number", "minimum": 0.5, "exclusiveMaximum": 0.75},
            "mail": {"type": "string", "format": "email"},
            "code": {"type": "string", "pattern": "^[A-Z]{3}-[0-9]{3}$"},
            "tags": {"type": "array", "items": {"enum": ["a", "b"]}, "minItems": 3},
            "pair": {
                "type": "array",
                "prefixItems": [{"type": "string"}, {"type": "integer"}],
                "items": False,
                "minItems": 2,
            },
            "kind": {"const": "person"},
            "gone": {"type": "null"},
            "maybe": {"type": ["integer", "null"]},
            "sure": {"type": "boolean"},
        },
        "required": ["name", "age", "ratio", "mail", "code", "tags", "pair", "kind", "gone", "maybe", "sure"],
    },
    "references": {
        "$defs": {"Street": {"type": "object", "properties": {"name": {"type": "string"}}, "required": ["name"]}},
        "type": "object",
        "properties": {
            "home": {"$ref": "#/$defs/Street"},
            "work": {"anyOf": [{"$ref": "#/$defs/Street"}, {"type": "null"}]},
        },
        "required": ["home", "work"],
    },
    "recursion": {
        "$defs": {
            "Node": {
                "type": "object",
                "properties": {
                    "children": {"type": "array", "items": {"$ref": "#/$defs/Node"}},
                    "next": {"anyOf": [{"$ref": "#/$defs/Node"}, {"type": "null"}]},
                },
                "required": ["children", "next"],
            }
        },
        "$ref": "#/$defs/Node",
    },
    "union": {
        "oneOf": [{"type": "object", "properties": {"a": {"type": "string"}}, "required": ["a"]}, {"type": "integer"}]
    },
    "all of": {
        "allOf": [
            {"type": "object", "properties": {"a": {"type": "string"}}, "required": ["a"]},
            {"properties": {"b": {"type": "integer"}}, "required": ["b"]},
        ]
    },
    "required without a schema": {"type": "object", "required": ["x"]},
}


@pytest.mark.parametrize("name", SCHEMAS)
def test_an_instance_is_valid_against_its_schema(name: str) -> None:
    schema = SCHEMAS[name]
    for hints in (Hints([], []), Hints(["Ada Lovelace"], [3, 99])):
        jsonschema.validate(instance(schema, hints), schema, format_checker=jsonschema.FormatChecker())


def test_googles_schema_is_understood_too() -> None:
    schema = {
        "type": "OBJECT",
        "properties": {"n": {"type": "INTEGER"}, "s": {"type": "ARRAY", "items": {"type": "STRING"}}},
        "required": ["n"],
    }
    assert instance(schema, Hints(["Oslo"], [7])) == {"n": 7, "s": ["Oslo"]}


def test_a_signature_belongs_to_its_text_and_its_vendor() -> None:
    signature = sign("anthropic", "a thought", b"where")
    assert verify("anthropic", "a thought", signature) == b"where"
    assert verify("anthropic", "another", signature) is None
    assert verify("google", "a thought", signature) is None
    assert verify("anthropic", "a thought", "not base64!") is None


PICTURES = {
    "GIF": (b"GIF89a\x05\x00\x07\x00\x00\x00\x00", 5, 7),
    "JPEG": (b"\xff\xd8\xff\xe0\x00\x04\x00\x00\xff\xc0\x00\x0b\x08\x00\x07\x00\x05\x01\x01\x11\x00", 5, 7),
    "WebP": (b"RIFF\x1a\x00\x00\x00WEBPVP8X\x0a\x00\x00\x00\x00\x00\x00\x00\x04\x00\x00\x06\x00\x00", 5, 7),
}


@pytest.mark.parametrize("kind", PICTURES)
def test_pictures_are_told_by_their_bytes(kind: str) -> None:
    raw, width, height = PICTURES[kind]
    assert media.look(raw) == media.Picture(kind, width, height)


def test_what_is_no_picture_is_refused() -> None:
    with pytest.raises(media.BadMedia, match="image"):
        media.look(b"%PDF-1.7")
    with pytest.raises(media.BadMedia, match="mime"):
        media.look(PICTURES["GIF"][0], "image/png")
    with pytest.raises(media.BadMedia, match="base64"):
        media.decode("no base64!")
