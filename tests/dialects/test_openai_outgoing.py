"""types.Request into a Chat body: reading it again says the same, and what a model does not take is left out and noted."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.dialects.openai_chat import OPENAI_CHAT
from gateway.types import (
    Abilities,
    Audio,
    Document,
    Image,
    Message,
    Notes,
    Opaque,
    Part,
    Reasoning,
    Refusal,
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
    VendorBlock,
)

OPEN = Abilities(reasoning=True)


def write(
    request: Request, abilities: Abilities = OPEN, notes: Notes | None = None, repair: bool = False
) -> dict[str, Any]:
    target = Target("gpt-5.4", abilities, Translation(repair_history=repair))
    body: dict[str, Any] = msgspec.json.decode(OPENAI_CHAT.write_request(request, target, notes or Notes()).body)
    return body


def ask(*messages: Message, **members: Any) -> Request:
    return Request(model="fast", messages=list(messages) or [Message("user", [Text("hi")])], **members)


# ---------------------------------------------------------------- the round trip

TEXTS = st.text(max_size=6)
NAMES = st.text("abcdef_", min_size=1, max_size=5)
SCHEMAS = st.dictionaries(NAMES, st.one_of(st.integers(), TEXTS, st.lists(TEXTS, max_size=2)), max_size=3)
USER_PARTS = st.one_of(
    TEXTS.map(Text),
    st.sampled_from([
        Image("image/png", "iVBORw0K", detail="high"),
        Image(url="https://example.org/a.png"),
        Audio("wav", "UklGRg=="),
        Document("application/pdf", "JVBERi0x", title="a.pdf"),
        Document(file_id="file-1"),
    ]),
)  # fmt: skip
SAID = st.one_of(TEXTS.map(Text), st.text(min_size=1, max_size=4).map(Refusal))


@st.composite
def turns(draw: st.DrawFn) -> list[Message]:
    """A system text, then turns of a user, an assistant that may call tools, and their results in any order."""
    messages = [Message(draw(st.sampled_from(["system", "developer"])), [Text(draw(TEXTS))])]
    for turn in range(draw(st.integers(1, 3))):
        messages.append(
            Message("user", draw(st.lists(USER_PARTS, min_size=1, max_size=3)), draw(st.sampled_from(["", "ada"])))
        )
        calls = [
            ToolCall(f"call_{turn}_{at}", draw(NAMES), draw(TEXTS), draw(st.booleans()))
            for at in range(draw(st.integers(0, 2)))
        ]
        said: list[Part] = draw(st.lists(SAID, max_size=2))
        messages.append(Message("assistant", [*(said or ([] if calls else [Text("")])), *calls]))
        results = [ToolResult(call.id, [Text(draw(TEXTS))]) for call in draw(st.permutations(calls))]
        messages += [Message("tool", [result]) for result in results]
    return messages


TOOLS = st.lists(
    st.one_of(
        st.builds(
            Tool, name=NAMES, description=TEXTS, parameters=st.none() | SCHEMAS, strict=st.none() | st.booleans()
        ),
        st.builds(
            Tool, name=NAMES, custom=st.just(True), grammar=st.none() | st.just({"syntax": "lark", "definition": "x"})
        ),
    ),
    min_size=1,
    max_size=3,
    unique_by=lambda tool: tool.name,
)


@st.composite
def requests(draw: st.DrawFn) -> Request:
    request = Request(model="gpt-5.4", messages=draw(turns()))
    if draw(st.booleans()):
        request.tools = draw(TOOLS)
        first = request.tools[0].name
        choices = [
            ToolChoice("auto"),
            ToolChoice("none"),
            ToolChoice("required"),
            ToolChoice("named", [first]),
            ToolChoice("allowed_required", [first]),
        ]
        request.tool_choice = draw(st.none() | st.sampled_from(choices))
        request.parallel_tool_calls = draw(st.none() | st.booleans())
    request.max_tokens = draw(st.none() | st.integers(1, 9))
    request.temperature = draw(st.none() | st.floats(0, 2))
    request.top_p = draw(st.none() | st.floats(0, 1))
    request.presence_penalty = draw(st.none() | st.floats(-2, 2))
    request.seed = draw(st.none() | st.integers(-9, 9))
    request.n = draw(st.integers(1, 3))
    request.logit_bias = draw(st.none() | st.just({"50256": -100}))
    request.logprobs = draw(st.none() | st.booleans())
    request.format = draw(st.none() | st.just(ResponseFormat("json_object")) | st.builds(ResponseFormat, kind=st.just("json_schema"), schema=SCHEMAS, name=NAMES, description=TEXTS, strict=st.none() | st.booleans()))  # fmt: skip
    request.effort = draw(st.none() | st.sampled_from(["none", "low", "max"]))
    request.verbosity = draw(st.none() | st.just("low"))
    request.user = draw(st.none() | TEXTS)
    request.metadata = draw(st.none() | st.dictionaries(TEXTS, TEXTS, max_size=2))
    request.extra = draw(st.sampled_from([{}, {"store": True, "prompt_cache_key": "k"}]))
    request.stream = request.include_usage = draw(st.booleans())
    return request


@given(requests())
def test_what_is_written_and_read_again_says_the_same(request: Request) -> None:
    notes = Notes(strict=True)
    before = msgspec.json.encode(request)

    body = OPENAI_CHAT.write_request(request, Target("gpt-5.4", OPEN), notes).body

    assert OPENAI_CHAT.read_request(body) == request
    assert (notes.dropped, notes.warnings) == ([], [])
    assert msgspec.json.encode(request) == before, "the request is left as it was"
    assert OPENAI_CHAT.write_request(request, Target("gpt-5.4", OPEN), notes).body == body


@given(turns(), turns())
def test_a_longer_history_begins_with_the_same_messages(first: list[Message], more: list[Message]) -> None:
    short = write(ask(*first))["messages"]

    assert write(ask(*first, *more))["messages"][: len(short)] == short


# ---------------------------------------------------------------- messages of other dialects


def test_results_beside_text_become_tool_messages_before_it() -> None:
    calls = Message("assistant", [ToolCall("a", "f", "{}"), ToolCall("b", "g", "{}")])
    mixed = Message(
        "user", [Text("and?"), ToolResult("b", [Text("2"), Text("3")]), ToolResult("a", [Text("no")], is_error=True)]
    )

    assert write(ask(calls, mixed))["messages"][1:] == [
        {"role": "tool", "tool_call_id": "b", "content": "2\n3"},
        {"role": "tool", "tool_call_id": "a", "content": "Error: no"},
        {"role": "user", "content": "and?"},
    ]


def test_a_picture_in_a_result_follows_as_the_users() -> None:
    notes = Notes()
    calls = Message("assistant", [ToolCall("a", "camera", "{}"), ToolCall("b", "g", "{}")])
    results = Message("tool", [ToolResult("a", [Image("image/png", "iVBORw0K")]), ToolResult("b", [Text("2")])])

    assert write(ask(calls, results), notes=notes)["messages"][1:] == [
        {"role": "tool", "tool_call_id": "a", "content": ""},
        {"role": "tool", "tool_call_id": "b", "content": "2"},
        {"role": "user", "content": [
            {"type": "text", "text": "[content from tool camera]"},
            {"type": "image_url", "image_url": {"url": "data:image/png;base64,iVBORw0K"}},
        ]},
    ]  # fmt: skip
    assert notes.warnings == ["tool_result_content_moved"]


def test_thoughts_and_blocks_of_other_vendors_stay_out() -> None:
    notes = Notes()
    thought = Reasoning("hm", Opaque("anthropic", "thinking", {"type": "thinking"}))
    turn = Message(
        "assistant",
        [
            thought,
            VendorBlock(Opaque("anthropic", "server_block", {})),
            Text("a", opaque=Opaque("google", "thought_signature", "s")),
        ],
    )

    assert write(ask(turn), notes=notes)["messages"] == [{"role": "assistant", "content": "a"}]
    assert notes.warnings == ["reasoning_not_replayed"]
    assert write(ask(Message("assistant", [Reasoning("hm")])))["messages"] == [{"role": "assistant", "content": ""}]


def test_a_call_without_a_result_is_refused_or_repaired() -> None:
    notes = Notes()
    history = [Message("assistant", [ToolCall("a", "f", "{}")]), Message("user", [Text("and?")])]

    with pytest.raises(Unsupported) as refusal:
        write(ask(*history))
    assert refusal.value.code == "invalid_request"
    assert write(ask(*history), notes=notes, repair=True)["messages"][1] == {
        "role": "tool",
        "tool_call_id": "a",
        "content": "[no result]",
    }
    assert notes.warnings == ["tool_result_missing"]


@pytest.mark.parametrize(
    "messages",
    [
        [Message("assistant", [Image("image/png", "iVBORw0K")])],
        [Message("user", [Document("application/pdf", url="https://example.org/a.pdf")])],
        [Message("user", [ToolCall("a", "f", "{}")])],
    ],
)
def test_content_that_would_be_lost_is_refused(messages: list[Message]) -> None:
    with pytest.raises(Unsupported) as refusal:
        write(ask(*messages))

    assert refusal.value.code == "unsupported_content"
    assert refusal.value.param.startswith("messages[0]")


def test_another_vendors_own_tool_is_refused() -> None:
    with pytest.raises(Unsupported):
        write(ask(tools=[Tool("web_search", native={"type": "web_search_20260318"})]))


# ---------------------------------------------------------------- what a model takes

CLOSED = Abilities(sampling="reject", penalties=False, reasoning=True, effort_levels=("low", "high"), max_output=100)


def test_sampling_is_left_out_where_it_is_refused_and_noted_where_it_said_something() -> None:
    notes = Notes()
    wire = write(ask(temperature=0.2, top_p=1, top_k=5, presence_penalty=0, frequency_penalty=1), CLOSED, notes)

    assert wire.keys() == {"model", "messages"}
    assert (notes.dropped, notes.warnings) == (["temperature", "top_k", "frequency_penalty"], ["sampling_unsupported"])


def test_sampling_is_sent_when_reasoning_is_switched_off_and_the_model_then_takes_it() -> None:
    abilities = Abilities(sampling="reject", sampling_at_effort_none=True, reasoning=True)

    assert write(ask(temperature=0.2, effort="none"), abilities)["temperature"] == 0.2
    assert "temperature" not in write(ask(temperature=0.2, effort="low"), abilities)
    assert "temperature" not in write(ask(temperature=0.2), abilities)


def test_a_strict_client_is_refused_instead() -> None:
    with pytest.raises(Unsupported) as refusal:
        write(ask(temperature=0.2), CLOSED, Notes(strict=True))

    assert refusal.value.param == "temperature"


@pytest.mark.parametrize(
    ("effort", "levels", "sent", "warning"),
    [
        ("medium", ("low", "high"), "low", ["reasoning_effort_clamped"]),
        ("max", ("low", "high"), "high", ["reasoning_effort_clamped"]),
        ("minimal", ("low", "high"), "low", ["reasoning_effort_clamped"]),
        ("minimal", ("none", "low"), "low", ["reasoning_effort_clamped"]),
        ("none", ("low", "high"), "low", ["reasoning_cannot_be_disabled"]),
        ("none", ("none", "low"), "none", []),
        ("low", (), "low", []),
        ("low", ("none",), None, ["reasoning_unsupported"]),
    ],
)
def test_an_effort_is_what_the_model_knows(
    effort: str, levels: tuple[str, ...], sent: str | None, warning: list[str]
) -> None:
    notes = Notes()

    wire = write(ask(effort=effort), Abilities(reasoning=True, effort_levels=levels), notes)

    assert (wire.get("reasoning_effort"), notes.warnings) == (sent, warning)


def test_a_model_without_reasoning_gets_no_effort() -> None:
    notes = Notes()

    assert "reasoning_effort" not in write(ask(effort="low"), Abilities(), notes)
    assert notes.dropped == ["reasoning_effort"]


@pytest.mark.parametrize(
    ("thinking", "sent"),
    [
        ({"type": "disabled"}, "none"),
        ({"type": "enabled", "budget_tokens": 1024}, "low"),
        ({"type": "enabled", "budget_tokens": 8192}, "medium"),
        ({"type": "enabled", "budget_tokens": 16384}, "high"),
        ({"type": "enabled", "budget_tokens": 32768}, "xhigh"),
        ({"type": "adaptive"}, None),
    ],
)
def test_a_thinking_budget_becomes_an_effort(thinking: dict[str, Any], sent: str | None) -> None:
    assert write(ask(thinking=thinking)).get("reasoning_effort") == sent


def test_limits_are_kept_within_what_the_model_gives() -> None:
    notes = Notes()

    wire = write(ask(max_tokens=500), CLOSED, notes)

    assert (wire["max_completion_tokens"], notes.warnings) == (100, ["max_tokens_clamped"])


@pytest.mark.parametrize(
    ("stops", "fields", "reasoning", "sent", "watched", "warnings"),
    [
        (["a", ""], {}, False, ["a"], None, []),
        (list("abcde"), {}, False, list("abcd"), tuple("abcde"), ["stop_emulated"]),
        (["a"], {}, True, None, ("a",), ["stop_emulated"]),
        ([""], {}, True, None, None, []),
        (list("abcde"), {"n": 2}, False, list("abcd"), None, ["stop_sequences_cut"]),
        (["a"], {"n": 2}, True, ["a"], None, []),
    ],
)
def test_stops_that_the_model_does_not_take_are_watched_for(
    stops: list[str], fields: Any, reasoning: bool, sent: Any, watched: Any, warnings: list[str]
) -> None:
    notes = Notes()
    written = OPENAI_CHAT.write_request(ask(stop=stops, **fields), Target("m", Abilities(reasoning=reasoning)), notes)

    assert msgspec.json.decode(written.body).get("stop") == sent
    assert (written.undo and written.undo.stops, notes.warnings) == (watched, warnings)


def test_log_probabilities_that_cannot_be_had_are_refused() -> None:
    with pytest.raises(Unsupported):
        write(ask(logprobs=True), CLOSED)
    assert "logprobs" not in write(ask(logprobs=False), CLOSED)


def test_a_stream_always_asks_for_usage() -> None:
    assert write(ask(stream=True))["stream_options"] == {"include_usage": True}
    assert "stream_options" not in write(ask())


def test_fields_of_another_dialect_are_dropped_by_name() -> None:
    notes = Notes()

    assert "context_management" not in write(ask(extra={"context_management": {}, "store": True}), notes=notes)
    assert (notes.dropped, notes.warnings) == (["context_management"], ["unknown_field"])
