"""response_format: a schema where Anthropic can take it, words and a fence taken off where it cannot."""

from __future__ import annotations

import json
from typing import Any

import pytest
from anthropic_models import (
    DIALECT,
    ask,
    body_of,
    of,
    read,
    say,
    started,
    stopped,
    text,
    write,
)

from gateway.types import (
    ResponseFormat,
    Text,
    TextDelta,
)


def answer(content: list[Any], undo: Any, stop_reason: str = "end_turn") -> Any:
    message = {"id": "msg_1", "type": "message", "content": content, "stop_reason": stop_reason}
    return DIALECT.read_reply(json.dumps(message).encode(), undo).choices[0]


def test_a_schema_becomes_an_output_format() -> None:
    schema = {"type": "object", "properties": {"n": {"type": "integer"}}}
    wanted = ResponseFormat("json_schema", schema, "numbers", "a number")
    form = body_of(ask(format=wanted))["output_config"]["format"]

    assert form["type"] == "json_schema"
    assert form["schema"] == {**schema, "additionalProperties": False, "description": "a number"}
    assert schema == {"type": "object", "properties": {"n": {"type": "integer"}}}


def test_plain_text_is_what_comes_anyway() -> None:
    assert "output_config" not in body_of(ask(format=ResponseFormat("text")))


def test_any_json_object_is_asked_for_at_the_end_of_the_system_and_taken_out_of_its_fence() -> None:
    body, written, notes = write(ask(say("system", "be brief"), say("user", "?"), format=ResponseFormat("json_object")))

    assert body["system"][0]["text"] == "be brief"
    assert body["system"][1]["text"].startswith("Reply with one JSON object")
    assert notes.warnings == ["json_mode_emulated"]
    events = read(started(), text(0, "``", "`json\n{", '"a": 1}', "\n", "```"), stopped(), undo=written.undo)
    assert "".join(event.text for event in of(events, TextDelta)) == '{"a": 1}'
    assert answer([{"type": "text", "text": '```json\n{"a": 1}\n```'}], written.undo).parts == [Text('{"a": 1}')]


def test_a_schema_beyond_the_grammar_is_asked_for_in_words() -> None:
    body, written, notes = write(
        ask(format=ResponseFormat("json_schema", {"type": "object", "additionalProperties": True}))
    )

    assert "output_config" not in body
    assert '"additionalProperties": true' in body["system"][0]["text"]
    assert notes.warnings == ["json_schema_instructed"]
    assert written.undo.fenced


@pytest.mark.parametrize(
    ("pieces", "said"),
    [
        (["{}"], "{}"),
        (["```\n{}\n```\n"], "{}"),
        (["  ```json \r\n", "{}"], "{}"),
        (["```json\n", "a ``` b", "\n```"], "a ``` b"),
        (["`code`"], "`code`"),
        (["``"], "``"),
        (["```json"], "```json"),
        (["```json\n", "```"], ""),
        (["{}", "\n\n", "text ```"], "{}\n\ntext ```"),
        ([" \n", "x"], " \nx"),
    ],
)
def test_only_a_fence_around_everything_is_taken_off(pieces: list[str], said: str) -> None:
    undo = write(ask(format=ResponseFormat("json_object")))[1].undo
    for cut in (pieces, list("".join(pieces))):
        events = read(started(), text(0, *cut), stopped(), undo=undo)
        assert "".join(event.text for event in of(events, TextDelta)) == said
