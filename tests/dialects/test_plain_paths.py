"""The short ways of plain conversations and answers say the very same as the long ones."""

from __future__ import annotations

from typing import Any

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from gateway.dialects import anthropic_reply, anthropic_request, gemini_request, openai_chat_reply
from gateway.dialects.anthropic_tools import Toolbox
from gateway.dialects.anthropic_turns import converse, plain_talk
from gateway.dialects.anthropic_undo import NOTHING, Undo
from gateway.dialects.gemini_contents import plain_contents, split_system, write_contents
from gateway.dialects.gemini_tools import Toolbox as GeminiToolbox
from gateway.types import (
    Abilities,
    Choice,
    Echo,
    Image,
    Message,
    Notes,
    Opaque,
    Part,
    Request,
    Target,
    Text,
    ToolCall,
    Translation,
    Unsupported,
)

TEXTS = st.sampled_from(["", " ", "\n", "a", "b ", "cache_control", '"cache_control"', "é\u2028", "x" * 300])
CACHE: dict[str, Any] = {"type": "ephemeral"}
ODD: list[Part] = [
    Text("marked", cache=CACHE),
    Text("cited", opaque=Opaque("anthropic", "text", {"type": "text", "text": "cited", "citations": []})),
    Text("signed", opaque=Opaque("google", "thought_signature", "c2ln")),
    Image("image/png", "aGk="),
    ToolCall("call_1", "f", "{}"),
]
PARTS = st.one_of(TEXTS.map(Text), TEXTS.map(Text), st.sampled_from(ODD))
ROLES = st.sampled_from(["system", "developer", "user", "user", "assistant", "assistant"])
PLAIN = st.builds(Message, ROLES, st.lists(TEXTS.map(Text), min_size=1, max_size=1))
MESSAGES = st.one_of(
    PLAIN, PLAIN, PLAIN, st.builds(Message, ROLES, st.lists(PARTS, max_size=3), st.sampled_from(["", "", "ann"]))
)
TALKS = st.lists(MESSAGES, min_size=1, max_size=6)
ABILITIES = st.builds(
    Abilities,
    max_output=st.sampled_from([None, 50, 64_000]),
    mid_system=st.booleans(),
    prefill=st.booleans(),
    default_thinking=st.booleans(),
    preserved_thinking=st.booleans(),
    thinking_levels=st.sampled_from([(), ("low", "high")]),
    thinking_budget=st.booleans(),
    requires_signature=st.booleans(),
)
TRANSLATIONS = st.builds(
    Translation, repair_history=st.booleans(), auto_cache=st.booleans(), expose_reasoning=st.booleans()
)


@given(TALKS, ABILITIES)
def test_a_plain_conversation_reads_the_same_to_anthropic(messages: list[Message], abilities: Abilities) -> None:
    short = plain_talk(messages)
    if short is not None:
        notes = Notes()
        request = Request(model="", messages=messages)
        target = Target("m", abilities)
        long = converse(messages, Toolbox(request, abilities, notes), target, notes, replay=True)
        assert short == long and notes == Notes()


@given(TALKS, ABILITIES)
def test_a_plain_conversation_reads_the_same_to_gemini(messages: list[Message], abilities: Abilities) -> None:
    short = plain_contents(messages)
    if short is not None:
        notes = Notes()
        request = Request(model="", messages=messages)
        system, start = split_system(messages)
        box = GeminiToolbox(request, abilities, notes)
        assert short == (system, write_contents(request, start, Target("m", abilities), box, notes))
        assert notes == Notes()


def test_the_short_ways_are_taken() -> None:
    said = [Message("system", [Text("s")]), Message("user", [Text("a")]), Message("assistant", [Text("b")])]
    said += [Message("user", [Text("c")]), Message("user", [Text("d")])]
    assert plain_talk(said) is not None and plain_contents(said) is not None
    assert Request(model="m", messages=said, max_tokens=1, stream=True, include_usage=True).plain
    for name in Request.__struct_fields__[Request.__struct_fields__.index("tools") :]:
        assert not Request(model="m", messages=said, **{name: "anything but what it is by itself"}).plain, name


@given(TALKS, ABILITIES, TRANSLATIONS, st.sampled_from([None, 10, 100]), st.booleans())
def test_a_plain_request_is_written_as_one_that_is_not(
    messages: list[Message], abilities: Abilities, translation: Translation, cap: int | None, stream: bool
) -> None:
    """`user` is sent to Anthropic as metadata and to Gemini not at all; "" is the same as none, and yet not plain."""
    target = Target("m", abilities, translation)
    for write in (anthropic_request.write_request, gemini_request.write_request):
        made: list[Any] = []
        for user in (None, ""):
            request = Request(model="m", messages=messages, max_tokens=cap, stream=stream, user=user)
            assert request.plain is (user is None)
            notes = Notes()
            try:
                written = write(request, target, notes)
                made.append((written.body, written.headers, written.undo, notes))
            except Unsupported as refusal:
                made.append((str(refusal), refusal.param, notes))
        assert made[0] == made[1]


BLOCKS = st.sampled_from(
    [
        {"type": "text", "text": "hello"},
        {"type": "text", "text": ""},
        {
            "type": "text",
            "text": "it says so",
            "citations": [{"type": "web_search_result_location", "url": "https://a"}],
        },
        {"type": "tool_use", "id": "toolu_1", "name": "f", "input": {"a": 1}},
        {"type": "thinking", "thinking": "hm", "signature": "c2ln"},
        {"type": "server_tool_use", "id": "srvtoolu_1", "name": "web_search", "input": {}},
    ]
)
USAGES = st.sampled_from(
    [
        {"input_tokens": 3, "output_tokens": 4},
        {"input_tokens": "x"},
        None,
        {"cache_read_input_tokens": 2, "speed": "fast"},
    ]
)


@given(
    st.lists(BLOCKS, max_size=2),
    st.sampled_from(["end_turn", "max_tokens", "refusal", "stop_sequence", "tool_use", "new", None]),
    st.sampled_from([None, "STOP"]),
    USAGES,
)
def test_a_plain_answer_of_anthropics_is_read_the_same(
    content: list[Any], reason: str | None, stop: str | None, usage: Any
) -> None:
    message = {"id": "msg_1", "type": "message", "role": "assistant", "model": "m", "content": content}
    message |= {"stop_reason": reason, "stop_sequence": stop, "usage": usage}
    body = msgspec.json.encode(message)
    assert anthropic_reply.read_reply(body, NOTHING) == anthropic_reply.read_reply(body, Undo())


@given(
    st.lists(PARTS, max_size=2),
    st.sampled_from(["stop", "length", "tool_calls", "content_filter", None]),
    st.sampled_from([None, "STOP"]),
    st.booleans(),
)
def test_a_plain_answer_is_written_the_same_to_chat(
    parts: list[Part], finish: Any, stop: str | None, expose: bool
) -> None:
    choice = Choice(parts, finish, stop_sequence=stop)
    echo = Echo("id", "m", 1, expose_reasoning=expose)
    assert openai_chat_reply._message(choice, echo) == openai_chat_reply._rich_message(choice, echo)
