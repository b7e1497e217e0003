"""Whatever a Gemini client sends, each provider's half writes it, or says what it cannot take; and what is lost on the way."""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator
from typing import Any

import pytest
from gemini_models import GEMINI_2_0, GEMINI_2_5, GEMINI_3, GEMINI_3_8
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.dialects.anthropic_messages import AnthropicMessages
from gateway.dialects.gemini import GEMINI
from gateway.dialects.openai_chat import OPENAI_CHAT
from gateway.types import (
    Abilities,
    Audio,
    BadRequest,
    Document,
    Image,
    Message,
    Notes,
    Opaque,
    Request,
    ResponseFormat,
    Target,
    Text,
    Tool,
    ToolCall,
    ToolChoice,
    ToolResult,
    Translation,
    Unsupported,
)

CLAUDE = Abilities(thinking_types=("adaptive",), effort_levels=("low", "medium", "high"), default_thinking=True)
PROVIDERS: list[tuple[Any, Abilities]] = [
    (OPENAI_CHAT, Abilities(reasoning=True)), (AnthropicMessages(), CLAUDE),
    (GEMINI, GEMINI_2_0), (GEMINI, GEMINI_2_5), (GEMINI, GEMINI_3), (GEMINI, GEMINI_3_8),
]  # fmt: skip
REPAIRING = Translation(repair_history=True)
FULL: dict[str, Any] = {
    "systemInstruction": {"parts": [{"text": "be brief"}]},
    "contents": [
        {"role": "user", "parts": [
            {"text": "hi"}, {"inlineData": {"mimeType": "image/png", "data": "aGk="}, "mediaResolution": {"level": "MEDIA_RESOLUTION_LOW"}},
            {"fileData": {"mimeType": "application/pdf", "fileUri": "https://x.test/a.pdf"}},
        ]},
        {"role": "model", "parts": [
            {"text": "hm", "thought": True, "thoughtSignature": "c2ln"}, {"text": "wait"},
            {"functionCall": {"id": "a", "name": "weather", "args": {"city": ["Rome"]}}, "thoughtSignature": "Z3cxLng="},
            {"functionCall": {"name": "weather", "args": {}}},
        ]},
        {"role": "user", "parts": [
            {"functionResponse": {"id": "a", "name": "weather", "response": {"output": "sun"}, "parts": [{"inlineData": {"mimeType": "image/png", "data": "aGk="}}]}},
            {"functionResponse": {"name": "weather", "response": {"error": {"code": 1}}}},
        ]},
    ],
    "tools": [{"functionDeclarations": [{"name": "weather", "description": "d", "parameters": {"type": "OBJECT", "properties": {
        "city": {"type": "ARRAY", "items": {"type": "STRING", "enum": ["a"]}, "minItems": "1"},
        "any": {"anyOf": [{"type": "STRING"}, {"type": "INTEGER"}], "nullable": True}}, "propertyOrdering": ["any"], "required": ["city"]}}]}],
    "toolConfig": {"functionCallingConfig": {"mode": "AUTO", "allowedFunctionNames": ["weather"]}},
    "generationConfig": {
        "temperature": 0.5, "topP": 0.5, "topK": 3, "maxOutputTokens": 5000, "stopSequences": ["a"], "seed": 3, "candidateCount": 1,
        "presencePenalty": 0.1, "frequencyPenalty": 0.1, "responseLogprobs": False,
        "responseMimeType": "application/json", "responseSchema": {"type": "OBJECT", "properties": {"a": {"type": "STRING"}}},
        "thinkingConfig": {"thinkingBudget": 3000, "includeThoughts": True}, "responseModalities": ["TEXT"],
    },
    "safetySettings": [{"category": "HARM_CATEGORY_HARASSMENT", "threshold": "OFF"}], "cachedContent": "", "labels": {"a": "b"},
    "serviceTier": "flex", "store": True,
}  # fmt: skip
ODD: list[Any] = [
    None, True, 0, -1, 1.5, 10**30, 1e308, "", "x", "\ud83d\ude00", "\x00", [], {}, [[]], [{}], {"": 0}, {"a_b": 1, "aB": 2},
    {"type": "OBJECT"}, [None], "gw1.x", "Z3cxLg",
]  # fmt: skip


def places(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    yield path
    pairs = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, inner in pairs:
        yield from places(inner, (*path, key))


PLACES = [path for path in places(FULL) if path]


def put(body: Any, path: tuple[Any, ...], value: Any) -> None:
    for key in path[:-1]:
        body = body[key]
    body[path[-1]] = copy.deepcopy(value)


def written_everywhere(request: Request) -> None:
    before = copy.deepcopy(request)
    for provider, abilities in PROVIDERS:
        try:
            json.loads(provider.write_request(request, Target("m", abilities, REPAIRING), Notes()).body)
        except Unsupported as refused:
            assert refused.param
    assert request == before


def test_a_full_request_is_taken_by_everybody() -> None:
    request = GEMINI.read_request(json.dumps(FULL).encode())
    for provider, abilities in PROVIDERS[1:2] + PROVIDERS[4:5]:
        provider.write_request(request, Target("m", abilities), Notes())
    written_everywhere(request)


@pytest.mark.parametrize("path", PLACES, ids=lambda path: ".".join(map(str, path)))
def test_a_wrong_value_anywhere_is_read_or_refused_by_its_place(path: tuple[Any, ...]) -> None:
    for value in ODD:
        body = copy.deepcopy(FULL)
        put(body, path, value)
        spelled = json.dumps(body).encode()
        try:
            request = GEMINI.read_request(spelled)
        except BadRequest as error:
            assert error.param, error.message
            continue
        GEMINI.peek(spelled)
        written_everywhere(request)


@given(st.lists(st.tuples(st.sampled_from(PLACES), st.sampled_from(ODD)), min_size=2, max_size=3))
@settings(deadline=None)
def test_several_wrong_values_are_read_or_refused(wrong: list[tuple[tuple[Any, ...], Any]]) -> None:
    body = copy.deepcopy(FULL)
    for path, value in wrong:
        try:
            put(body, path, value)
        except (KeyError, IndexError, TypeError):
            continue  # an earlier one took the place away
    try:
        request = GEMINI.read_request(json.dumps(body).encode())
    except BadRequest:
        return
    written_everywhere(request)


@pytest.mark.parametrize(
    "body",
    [
        b'{"contents":"\\ud800"}',
        b'{"contents":[{"parts":[{"text":"' + b"\xed\xa0\x80" + b'"}]}]}',
        b'{"contents":[{"role":"model","parts":[{"functionCall":{"name":"f","args":' + b'{"a":' * 70 + b"1" + b"}" * 70 + b"}}]}]}",
        b'{"contents":' + b"9" * 5000 + b"}",
        b'{"contents":[{"parts":[{"text":NaN}]}]}',
    ],
)  # fmt: skip
def test_broken_json_is_refused(body: bytes) -> None:
    with pytest.raises(BadRequest):
        GEMINI.read_request(body)


# ---------------------------------------------------------------- there and back


words = st.text("abé", min_size=1, max_size=4)
signed = st.sampled_from([None, Opaque("google", "thought_signature", "c2ln")])
said = st.builds(Text, words, opaque=st.none())
seen = st.sampled_from(
    [Image("image/png", "aGk="), Audio("wav", "aGk="), Document("application/pdf", "aGk="), Document("text/plain", text="hi"),
     Image("image/png", url="https://x.test/a.png"), Document("application/pdf", file_id="files/x")]
)  # fmt: skip
objects = st.dictionaries(words, st.integers() | words | st.none() | st.lists(st.booleans(), max_size=2), max_size=2)


@st.composite
def conversations(draw: st.DrawFn) -> list[Message]:
    messages = [Message("system", [draw(said)])] if draw(st.booleans()) else []
    for turn in range(draw(st.integers(1, 3))):
        messages.append(Message("user", draw(st.lists(said | seen, min_size=1, max_size=3))))
        calls = [
            ToolCall(f"t{turn}_{at}", draw(st.sampled_from("fg")), json.dumps(draw(objects), ensure_ascii=False, separators=(",", ":")), opaque=draw(signed))
            for at in range(draw(st.integers(0, 2)))
        ]  # fmt: skip
        text = [Text(draw(words), opaque=draw(signed))] if draw(st.booleans()) or not calls else []
        messages.append(Message("assistant", [*text, *calls]))
        if calls:
            results = [ToolResult(call.id, [Text(draw(words))], call.name, draw(st.booleans())) for call in calls]
            messages.append(Message("tool", results))
    return [*messages, Message("user", [draw(said)])]


TOOLS = [Tool("f", "d", {"type": "object", "properties": {"a": {"type": "string"}}}), Tool("g")]
CHOICES = [None, ToolChoice("auto"), ToolChoice("none"), ToolChoice("required"), ToolChoice("named", ["f"]),
           ToolChoice("allowed_required", ["f", "g"]), ToolChoice("allowed_auto", ["f"])]  # fmt: skip
requests = st.builds(
    lambda messages, choice, tools, **fields: Request(
        model="", messages=messages, tools=TOOLS if tools else [], tool_choice=choice if tools else None, **fields
    ),
    conversations(), st.sampled_from(CHOICES), st.booleans(),
    max_tokens=st.none() | st.integers(1, 60_000), temperature=st.sampled_from([None, 0.5, 1.5]), top_p=st.sampled_from([None, 0.5]),
    top_k=st.sampled_from([None, 40]), stop=st.lists(words, max_size=5), seed=st.none() | st.integers(-(2**31), 2**31 - 1),
    presence_penalty=st.sampled_from([None, 0.5]), frequency_penalty=st.sampled_from([None, -0.5]),
    logprobs=st.sampled_from([None, True]), effort=st.sampled_from([None, "minimal", "low", "medium", "high"]),
    format=st.sampled_from([None, ResponseFormat("json_object"), ResponseFormat("json_schema", {"type": "object", "properties": {"a": {"type": ["string", "null"]}}})]),
    show_thoughts=st.booleans(), service_tier=st.sampled_from([None, "default", "flex", "priority"]),
    extra=st.sampled_from([{}, {"store": False}, {"labels": {"a": "b"}}, {"safetySettings": []}, {"responseModalities": ["TEXT"]}]),
)  # fmt: skip


@given(requests)
@settings(deadline=None)
def test_a_request_that_is_written_and_read_is_the_same(request: Request) -> None:
    abilities = Abilities(thinking_levels=("minimal", "low", "medium", "high"), default_thinking=True)
    written = GEMINI.write_request(request, Target("gemini", abilities), Notes())
    if request.effort is None and not request.show_thoughts:
        assert b"thinkingConfig" not in written.body

    assert GEMINI.read_request(written.body) == request
