"""What a conversation repeats on every turn is sent byte for byte the same: arguments, ids, and everything before the new turn."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from anthropic_models import SONNET, WEATHER, ask, body_of, call, result, say, target, thought, write
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.types import Message


def messages_of(*messages: Message) -> list[Any]:
    return list(body_of(ask(*messages, tools=[WEATHER]))["messages"])


def raw_input(arguments: str, **fields: Any) -> str:
    talk = (say("user", "?"), say("assistant", call("a", arguments, **fields)), result("a"))
    body = write(ask(*talk, tools=[WEATHER]))[1].body.decode()
    return body[body.index('"input":') + 8 : body.index('}]},{"role":"user","content":[{"type":"tool_result"')]


@pytest.mark.parametrize(
    ("arguments", "sent"),
    [
        ("", "{}"),
        ("  \n", "{}"),
        (
            '{"b": 1.10, "a": 1e400, "b": 12345678901234567890123}',
            '{"b": 1.10, "a": 1e400, "b": 12345678901234567890123}',
        ),
        ("[1.0, 2]", '{"value":[1.0, 2]}'),
        ("null", '{"value":null}'),
        ('{"city": "Par', '{"_raw_arguments":"{\\"city\\": \\"Par"}'),
        ('{"a":1}{"b":2}', '{"_raw_arguments":"{\\"a\\":1}{\\"b\\":2}"}'),
        ("[" * 100_000, '{"_raw_arguments":"' + "[" * 100_000 + '"}'),
    ],
)
def test_arguments_keep_their_own_bytes_and_anything_else_is_wrapped(arguments: str, sent: str) -> None:
    assert raw_input(arguments) == sent


def test_the_input_of_a_free_form_tool_is_one_text() -> None:
    assert raw_input("*** Begin Patch", custom=True) == '{"input":"*** Begin Patch"}'


def test_an_illegal_id_gets_the_same_stand_in_everywhere() -> None:
    turns = messages_of(say("user", "?"), say("assistant", call("call/1 ä")), result("call/1 ä"))

    id_ = turns[1]["content"][0]["id"]
    assert id_.startswith("toolu_")
    assert turns[2]["content"][0]["tool_use_id"] == id_


# ---------------------------------------------------------------- every turn is a prefix of the next

TEXTS = st.text("ab é\n{}", max_size=6)


@st.composite
def exchanges(draw: st.DrawFn, number: int) -> list[Message]:
    """A user's turn, and a whole answer to it: text, or calls with their results and then text."""
    spoken = [say("user", draw(TEXTS), name=draw(st.sampled_from(["", "Ann"])))]
    if draw(st.booleans()) and number:
        spoken.append(say("system", draw(TEXTS)))
    ids = [f"call_{number}_{i}" for i in range(draw(st.integers(0, 2)))]
    if ids:
        spoken.append(
            say(
                "assistant",
                thought(),
                draw(TEXTS),
                *(call(id_, draw(st.sampled_from(["", "{}", "[1]", "x"]))) for id_ in ids),
            )
        )
        spoken += [result(id_, draw(TEXTS)) for id_ in draw(st.permutations(ids))]
    return [*spoken, say("assistant", "." + draw(TEXTS))]


def moments(talk: list[Message], turn: list[Message]) -> Iterator[list[Message]]:
    """What the client sends within this turn: the conversation up to each of the model's answers."""
    for place, message in enumerate(turn):
        if message.role == "assistant":
            yield [*talk, *turn[:place]]


@given(st.data())
@settings(max_examples=60, deadline=None)
def test_each_request_of_a_conversation_is_a_prefix_of_the_next_byte_for_byte(data: st.DataObject) -> None:
    talk = [say("system", "top")]
    model = data.draw(st.sampled_from([SONNET, "claude-opus-4-8", "claude-opus-5-5"]))
    before = b""
    for number in range(data.draw(st.integers(2, 4))):
        turn = data.draw(exchanges(number))
        for messages in moments(talk, turn):
            body, written, _ = write(ask(*messages, tools=[WEATHER]), target(model))
            sent = written.body[written.body.index(b'"messages":') : -len(b"]}")]
            assert sent.startswith(before)
            assert body["system"] == [{"type": "text", "text": "top"}]
            assert [offered["name"] for offered in body["tools"]] == ["get_weather"]
            before = sent
        talk = [*talk, *turn]
