"""Both ways: a conversation of an Anthropic client keeps what it says through every provider's dialect."""

from __future__ import annotations

import json
from typing import Any

import pytest
from anthropic.types.message_create_params import MessageCreateParamsNonStreaming
from anthropic_oracle import ask, blocks, check_grammar, listen
from golden_case import ROOT, Case, dialect, sealed
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter

from gateway.dialects.anthropic_messages import ANTHROPIC
from gateway.types import Abilities, Echo, Failed, Message, Notes, Reasoning, Request, Target, ToolCall, ToolResult

TYPES: TypeAdapter[Any] = TypeAdapter(MessageCreateParamsNonStreaming)
ABLE = Abilities(
    thinking_types=("adaptive", "enabled"),
    effort_levels=("low", "medium", "high", "max"),
    mid_system=True,
    reasoning=True,
)
TARGET = Target("up", ABLE)
ECHO = Echo("0" * 24, "m", 0, seal=sealed)
WORDS = st.text(st.characters(codec="utf-8", exclude_categories=["Cc", "Cs"]), min_size=1, max_size=6).filter(str.strip)
JSON = st.recursive(st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | WORDS, lambda inner: st.lists(inner, max_size=2) | st.dictionaries(WORDS, inner, max_size=2), max_leaves=4)  # fmt: skip
CACHE = st.none() | st.just({"type": "ephemeral"})


def block(kind: str, **members: Any) -> dict[str, Any]:
    return {"type": kind, **{key: value for key, value in members.items() if value is not None}}


TEXTS = st.builds(lambda text, cache: block("text", text=text, cache_control=cache), WORDS, CACHE)
IMAGES = st.sampled_from(
    [
        block("image", source={"type": "base64", "media_type": "image/png", "data": "iVBORw0K"}),
        block("image", source={"type": "url", "url": "https://e.org/a.png"}),
    ]
)
DOCUMENTS = st.sampled_from(
    [
        block(
            "document", source={"type": "base64", "media_type": "application/pdf", "data": "JVBERi0xLjc="}, title="a"
        ),
        block("document", source={"type": "text", "media_type": "text/plain", "data": "plain"}),
    ]
)
THOUGHTS = st.sampled_from(
    [block("thinking", thinking="Hm.", signature="EqQB"), block("redacted_thinking", data="Ex==")]
)


@st.composite
def bodies(draw: st.DrawFn) -> dict[str, Any]:
    messages: list[dict[str, Any]] = []
    results: list[dict[str, Any]] = []
    for turn in range(draw(st.integers(1, 3))):
        shown = draw(st.lists(TEXTS | IMAGES | DOCUMENTS, min_size=0 if results else 1, max_size=3))
        messages.append({"role": "user", "content": results + shown})
        said = draw(st.lists(THOUGHTS, max_size=1)) + draw(st.lists(TEXTS, min_size=1, max_size=2))
        calls = [
            block("tool_use", id=f"toolu_{turn}_{at}", name="f", input=draw(st.dictionaries(WORDS, JSON, max_size=2)))
            for at in range(draw(st.integers(0, 2)))
        ]
        messages.append({"role": "assistant", "content": said + calls})
        results = [
            block(
                "tool_result",
                tool_use_id=call["id"],
                content=draw(st.lists(TEXTS | IMAGES, min_size=1, max_size=2)),
                is_error=draw(st.sampled_from([None, True])),
            )
            for call in calls
        ]
    messages.append({"role": "user", "content": [*results, block("text", text="end")]})
    body: dict[str, Any] = {"model": "m", "max_tokens": draw(st.integers(1, 9)), "messages": messages}
    body["tools"] = [{"name": "f", "description": "d", "input_schema": {"type": "object", "properties": {}}}]
    optional = {
        "system": draw(st.none() | st.lists(TEXTS, min_size=1, max_size=2)),
        "tool_choice": draw(st.none() | st.sampled_from([{"type": "auto"}, {"type": "none"}, {"type": "any", "disable_parallel_tool_use": True}, {"type": "tool", "name": "f"}])),
        "stop_sequences": draw(st.none() | st.lists(WORDS, min_size=1, max_size=2)),
        "metadata": draw(st.none() | st.just({"user_id": "u"})),
        "thinking": draw(st.none() | st.just({"type": "adaptive"})),
    }  # fmt: skip
    return body | {key: value for key, value in optional.items() if value is not None}


def written(body: dict[str, Any], provider: str) -> Any:
    request = ANTHROPIC.read_request(json.dumps(body).encode())
    return json.loads(dialect(provider).write_request(request, TARGET, Notes()).body)


@given(bodies())
def test_a_conversation_written_for_anthropic_again_is_the_same(body: dict[str, Any]) -> None:
    again = written(body, "anthropic_messages")

    for before, after in zip(body["messages"], again["messages"], strict=True):
        assert after["role"] == before["role"]
        assert _unmarked(after["content"]) == _unmarked(before["content"])
    for name in ("tools", "stop_sequences", "metadata", "max_tokens", "thinking"):
        if name != "thinking" or body.get("tool_choice", {}).get("type") not in ("any", "tool"):
            assert again.get(name) == body.get(name), name
    assert _unmarked(again.get("system", [])) == _unmarked(body.get("system", []))
    TYPES.validate_python(again)


def _unmarked(content: Any) -> Any:
    """Without cache marks, of which Anthropic takes four, and with one text in a result as a string."""
    if isinstance(content, list):
        return [_unmarked(one) for one in content]
    if not isinstance(content, dict):
        return content
    made = {key: value for key, value in content.items() if key != "cache_control"}
    if made.get("type") == "tool_result" and isinstance(made["content"], list):
        inner = _unmarked(made["content"])
        made["content"] = inner[0]["text"] if len(inner) == 1 and inner[0]["type"] == "text" else inner
    return made


@given(bodies())
def test_a_conversation_written_for_openai_says_the_same_to_a_reader_of_chat(body: dict[str, Any]) -> None:
    chat = dialect("openai_chat").read_request(json.dumps(written(body, "openai_chat")).encode())

    assert _essence(chat) == _essence(ANTHROPIC.read_request(json.dumps(body).encode()))


def _essence(request: Request) -> list[Any]:
    """Calls, results and words in their order."""
    found: list[Any] = []
    for message in request.messages:
        for part in message.parts:
            if isinstance(part, ToolCall):
                found.append((part.id, part.name, json.loads(part.arguments)))
            elif isinstance(part, ToolResult):
                found.append(part.call_id)
            elif message.role == "assistant" and not isinstance(part, Reasoning):
                found.append(part.text)  # type: ignore[union-attr]
    return found


@given(bodies())
def test_a_conversation_written_for_gemini_keeps_calls_with_their_results(body: dict[str, Any]) -> None:
    wire = written(body, "gemini")
    calls = [part["functionCall"] for turn in wire["contents"] for part in turn["parts"] if "functionCall" in part]
    results = [
        part["functionResponse"] for turn in wire["contents"] for part in turn["parts"] if "functionResponse" in part
    ]
    sent = [one for message in body["messages"] for one in message["content"] if one["type"] == "tool_use"]

    assert [call["args"] for call in calls] == [one["input"] for one in sent]
    assert len(results) == len(calls)


@given(bodies(), st.sampled_from(["anthropic_messages", "openai_chat", "gemini"]))
def test_a_longer_conversation_begins_with_the_same_bytes(body: dict[str, Any], provider: str) -> None:
    key = "contents" if provider == "gemini" else "messages"
    shorter = {**body, "messages": body["messages"][:1]}

    # Of more than four cache marks the last ones stay, so that these do depend on what follows.
    whole, part = (_turns(written(one, provider)[key]) for one in (body, shorter))
    assert whole[: len(part)] == part


def _turns(messages: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [{name: _unmarked(value) for name, value in message.items()} for message in messages]


# ---------------------------------------------------------------- answers of every provider

ANSWERS = sorted(path.parent for path in ROOT.glob("*/*/answer.json") if not (path.parent / "error.json").exists())
STREAMS = sorted(path.parent for path in ROOT.glob("*/*/stream.sse"))


def events_of(case: Case) -> tuple[list[Any], Any]:
    request = case.request()
    undo = case.provider.write_request(request, case.target(request), Notes()).undo
    return case.events((case.folder / "stream.sse").read_bytes(), undo, []), undo


@pytest.mark.parametrize("folder", STREAMS, ids=lambda folder: f"{folder.parent.name}/{folder.name}")
def test_every_recorded_stream_is_accepted_by_the_sdk(folder: Any) -> None:
    case = Case(folder)
    events, _ = events_of(case)
    stream = ANTHROPIC.writer(ECHO).write([event for event in events if not isinstance(event, Failed)])

    if any(isinstance(event, Failed) for event in events):
        assert b"message_stop" not in stream, "a cut answer never looks complete"
    else:
        check_grammar(stream)
        assert listen(stream).stop_reason is not None


@pytest.mark.parametrize("folder", ANSWERS, ids=lambda folder: f"{folder.parent.name}/{folder.name}")
def test_every_recorded_answer_is_accepted_by_the_sdk_and_can_be_sent_back(folder: Any) -> None:
    case = Case(folder)
    request = case.request()
    undo = case.provider.write_request(request, case.target(request), Notes()).undo
    message = ask(ANTHROPIC.write_reply(case.provider.read_reply((folder / "answer.json").read_bytes(), undo), ECHO))
    results = [
        {"type": "tool_result", "tool_use_id": one.id, "content": "x"}
        for one in message.content
        if one.type == "tool_use"
    ]
    turns = [
        {"role": "user", "content": "?"},
        {"role": "assistant", "content": blocks(message)},
        {"role": "user", "content": [*results, {"type": "text", "text": "go on"}]},
    ]

    back = ANTHROPIC.read_request(json.dumps({"model": "m", "max_tokens": 9, "messages": turns}).encode())

    assert isinstance(back.messages[1], Message)
    assert [part.id for part in back.messages[1].parts if isinstance(part, ToolCall)] == [
        one.id for one in message.content if one.type == "tool_use"
    ]
