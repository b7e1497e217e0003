"""types.Request into a Responses body, by the SDK's own types; what cannot be said is refused or noted."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import structs
from responses_kit import check_request

from gateway.dialects.openai_responses import OPENAI_RESPONSES
from gateway.dialects.openai_undo import Undo, legal_name
from gateway.types import (
    Abilities,
    Audio,
    Document,
    Image,
    Message,
    Notes,
    Opaque,
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

LEVELS = ("none", "low", "medium", "high")
PLAIN = Abilities()
THINKS = Abilities(
    reasoning=True, effort_levels=LEVELS, sampling="reject", sampling_at_effort_none=True, max_output=500
)
USER = Message("user", [Text("hi")])
OWN = {"id": "rs_1", "type": "reasoning", "summary": [], "encrypted_content": "gAAA", "status": "completed"}


def write(
    messages: list[Message] | None = None, abilities: Abilities = PLAIN, repair: bool = False, **fields: Any
) -> tuple[dict[str, Any], Notes, Any]:
    notes = Notes()
    request = Request(model="m", messages=messages or [USER], **fields)
    target = Target("gpt", abilities, Translation(repair_history=repair))
    written = OPENAI_RESPONSES.write_request(request, target, notes)
    return check_request(written.body), notes, written.undo


def items(*messages: Message, **members: Any) -> list[Any]:
    found: list[Any] = write(list(messages), **members)[0]["input"]
    return found


def refused(messages: list[Message] | None = None, **fields: Any) -> str:
    with pytest.raises(Unsupported) as caught:
        write(messages, **fields)
    return caught.value.param


def test_the_gateway_keeps_the_history_and_wants_thoughts_back() -> None:
    body = write(abilities=THINKS, stream=True)[0]

    assert body == {
        "model": "gpt", "input": [{"type": "message", "role": "user", "content": "hi"}], "include": ["reasoning.encrypted_content"],
        "store": False, "stream": True, "stream_options": {"include_obfuscation": False},
    }  # fmt: skip
    assert "include" not in write()[0]


def test_the_first_system_text_instructs_and_later_ones_stay_where_they_are() -> None:
    system = Message("system", [Text("a"), Text("b")])
    body = write([system, Message("developer", [Text("c")]), USER, Message("system", [Text("d")])])[0]

    assert body["instructions"] == "a"
    assert [(item["role"], item["content"]) for item in body["input"]] == [
        ("developer", "b"), ("developer", "c"), ("user", "hi"), ("developer", "d"),
    ]  # fmt: skip
    assert "instructions" not in write([Message("system", [Text("alone")])])[0]


def test_thoughts_words_and_calls_are_items_in_their_order() -> None:
    turn = Message("assistant", [Reasoning("hm", Opaque("openai", "encrypted_content", OWN)), Text("Let "), Text("me"),
                                 ToolCall("c1", "f", ""), Refusal("no"), ToolCall("c2", "p", "raw", custom=True)])  # fmt: skip
    results = [Message("tool", [ToolResult("c2", [Text("ok")])]), Message("tool", [ToolResult("c1", [Text("bad")], is_error=True)])]  # fmt: skip

    assert items(USER, turn, *results)[1:] == [
        {"type": "reasoning", "id": "rs_1", "summary": [], "encrypted_content": "gAAA"},
        {"type": "message", "role": "assistant", "content": "Let me"},
        {"type": "function_call", "call_id": "c1", "name": "f", "arguments": "{}"},
        {"type": "message", "role": "assistant", "content": "no"},
        {"type": "custom_tool_call", "call_id": "c2", "name": "p", "input": "raw"},
        {"type": "custom_tool_call_output", "call_id": "c2", "output": "ok"},
        {"type": "function_call_output", "call_id": "c1", "output": "Error: bad"},
    ]


def test_words_beside_a_result_follow_all_results() -> None:
    calls = Message("assistant", [ToolCall("c1", "f", "{}"), ToolCall("c2", "f", "{}")])
    beside = Message("user", [ToolResult("c1", [Text("1")]), Text("and"), ToolResult("c2", [Image(url="https://a.example/x")])])  # fmt: skip

    assert [item["type"] for item in items(USER, calls, beside)[3:]] == [
        "function_call_output", "function_call_output", "message",
    ]  # fmt: skip
    image = {"type": "input_image", "image_url": "https://a.example/x", "detail": "auto"}
    assert items(USER, calls, beside)[4]["output"] == [image]


def test_pictures_and_files_are_said_as_openai_says_them() -> None:
    parts = [Image("image/png", "aGk=", detail="low"), Document("application/pdf", "aGk=", title="a.pdf"),
             Document(url="https://a.example/x.pdf"), Document(file_id="file-1"), Document(text="t", title="T")]  # fmt: skip

    assert items(Message("user", [*parts], name="Ann"))[0]["content"] == [
        {"type": "input_image", "image_url": "data:image/png;base64,aGk=", "detail": "low"},
        {"type": "input_file", "filename": "a.pdf", "file_data": "data:application/pdf;base64,aGk="},
        {"type": "input_file", "file_url": "https://a.example/x.pdf"},
        {"type": "input_file", "file_id": "file-1"},
        {"type": "input_text", "text": "T\n\nt"},
    ]
    assert items(Message("user", [Text("hi")], name="Ann"))[0]["content"] == "Ann: hi"


def test_what_only_others_read_stays_out_with_a_note() -> None:
    foreign = Opaque("anthropic", "thinking", {})
    turn = Message("assistant", [Reasoning("x"), Reasoning("y", foreign), VendorBlock(foreign), Text("a")])
    body, notes, _ = write([USER, turn])

    assert body["input"][1:] == [{"type": "message", "role": "assistant", "content": "a"}]
    assert notes.warnings == ["reasoning_not_replayed", "vendor_block_not_replayed"]


def test_calls_and_results_belong_together() -> None:
    call = Message("assistant", [ToolCall("c1", "f", "{}")])

    assert refused([USER, call]) == "messages[1]"
    assert refused([USER, call, USER]) == "messages[2]"
    assert refused([USER, Message("tool", [ToolResult("c9", [])])]) == "messages[1].content[0].tool_call_id"
    assert items(USER, call, USER, repair=True)[2] == {
        "type": "function_call_output", "call_id": "c1", "output": "[no result]",
    }  # fmt: skip


def test_ids_and_names_that_openai_refuses_are_others_on_both_sides() -> None:
    long = "toolu_" + "x" * 80
    body, _, undo = write(
        [
            USER,
            Message("assistant", [ToolCall(long, "my.tool", "{}")]),
            Message("tool", [ToolResult(long, [Text("1")])]),
        ],
        tools=[Tool("my.tool"), Tool("fine")],
        tool_choice=ToolChoice("named", ["my.tool"]),
    )

    seen = body["tools"][0]["name"]
    assert (body["input"][1]["name"], body["tool_choice"]["name"]) == (seen, seen)
    assert body["input"][1]["call_id"] == body["input"][2]["call_id"] != long
    assert undo == Undo({seen: "my.tool"})


@given(st.text(max_size=90))
def test_any_name_becomes_a_legal_one_and_always_the_same(name: str) -> None:
    made = legal_name(name)

    assert 1 <= len(made) <= 64 and made.replace("_", "a").replace("-", "a").isalnum() and made.isascii()
    assert legal_name(made) == made


def test_strict_is_always_said() -> None:
    closed = {"type": "object", "properties": {"a": {"type": "string"}}, "required": ["a"], "additionalProperties": False}  # fmt: skip
    tools = [Tool("a", parameters=closed), Tool("b", strict=True, parameters=closed), Tool("c"), Tool("d", parameters={"$defs": {}})]  # fmt: skip
    body = write(tools=tools, format=ResponseFormat("json_schema", closed))[0]

    assert [tool["strict"] for tool in body["tools"]] == [False, True, False, False]
    assert body["tools"][2]["parameters"] == {"type": "object", "properties": {}}
    assert body["tools"][3]["parameters"] == {"type": "object", "properties": {}, "$defs": {}}
    assert (body["text"]["format"]["strict"], body["text"]["format"]["name"]) == (True, "output")
    opened = write(format=ResponseFormat("json_schema", {"type": "object", "properties": {}}, "n"))[0]
    assert opened["text"]["format"]["strict"] is False


def test_tools_of_other_vendors_are_openais_or_left_out_or_refused() -> None:
    search = Tool("web_search", native={"type": "web_search_20260318", "name": "web_search"})
    body, notes, _ = write(tools=[search, Tool("x", native={"type": "memory_1"}, optional=True)])

    assert body["tools"] == [{"type": "web_search"}]
    assert (notes.warnings, notes.dropped) == (["web_search_emulated", "server_tool_unsupported"], ["tools.memory_1"])
    assert write(tools=[Tool("x", native={"type": "web_fetch_1"})])[1].dropped == ["tools.web_fetch_1"]
    assert refused(tools=[Tool("x", native={"type": "memory_1"})], tool_choice=ToolChoice("required")) == "tools[0]"
    options = {"search_context_size": "low", "user_location": {"type": "approximate", "approximate": {"city": "Rome"}}}
    assert write(extra={"cache_control": {"type": "ephemeral"}})[1] == Notes()
    assert write(extra={"web_search_options": options})[0]["tools"] == [
        {"type": "web_search", "search_context_size": "low", "user_location": {"type": "approximate", "city": "Rome"}}
    ]


def test_a_tool_that_another_vendor_defines_and_the_client_runs_is_a_function() -> None:
    shape = {"type": "object", "properties": {"command": {"type": "string"}}}
    bash = Tool("bash", "Run it.", shape, native={"type": "bash_20250124", "name": "bash"})
    body, notes, _ = write(tools=[bash], tool_choice=ToolChoice("named", ["bash"]))

    assert body["tools"] == [
        {"type": "function", "name": "bash", "description": "Run it.", "parameters": shape, "strict": False}
    ]
    assert body["tool_choice"] == {"type": "function", "name": "bash"}
    assert notes.warnings == ["builtin_tool_emulated"]


@pytest.mark.parametrize(
    ("fields", "found"),
    [
        ({"effort": "high"}, {"effort": "high", "summary": "auto"}),
        ({"effort": "none"}, {"effort": "none"}),
        ({"effort": "max"}, {"effort": "high", "summary": "auto"}),
        ({"thinking": {"type": "enabled", "budget_tokens": 3000}}, {"effort": "medium", "summary": "auto"}),
        ({"thinking": {"type": "adaptive"}}, {"summary": "auto"}),
        ({"thinking": {"type": "adaptive", "display": "omitted"}, "effort": "low"}, {"effort": "low"}),
        ({"thinking": {"type": "disabled"}}, {"effort": "none"}),
        ({"show_thoughts": True}, {"summary": "auto"}),
        ({"show_thoughts": False, "effort": "low"}, {"effort": "low"}),
        ({}, None),
    ],
)
def test_how_much_to_think(fields: Any, found: Any) -> None:
    assert write(abilities=THINKS, **fields)[0].get("reasoning") == found


def test_a_model_that_shows_no_thoughts_is_not_asked_for_them() -> None:
    silent = structs.replace(THINKS, reasoning_summaries=False)
    assert write(abilities=silent, effort="high")[0]["reasoning"] == {"effort": "high"}


def test_sampling_goes_where_it_is_taken() -> None:
    given_ = {"temperature": 0.2, "top_p": 0.5, "logprobs": True, "top_logprobs": 2}
    body = write(**given_)[0]
    assert (body["temperature"], body["top_p"], body["top_logprobs"]) == (0.2, 0.5, 2)
    assert body["include"] == ["message.output_text.logprobs"]
    assert write(abilities=THINKS, effort="none", temperature=0.2)[0]["temperature"] == 0.2
    body, notes, _ = write(abilities=THINKS, temperature=0.2, top_p=1, top_k=5, seed=1, presence_penalty=0)
    assert notes.dropped == ["temperature", "top_k", "seed"]
    assert "temperature" not in body and "top_p" not in body
    assert refused(abilities=THINKS, logprobs=True) == "logprobs"


@pytest.mark.parametrize(("wanted", "sent"), [(5, 16), (16, 16), (400, 400), (900, 500), (None, None)])
def test_the_cap_keeps_to_what_the_model_takes(wanted: int | None, sent: int | None) -> None:
    assert write(abilities=THINKS, max_tokens=wanted)[0].get("max_output_tokens") == sent


def test_stop_sequences_are_kept_for_the_answer() -> None:
    body, notes, undo = write(stop=["END", ""])

    assert "stop" not in body
    assert (notes.warnings, undo) == (["stop_emulated"], Undo(stops=("END",)))


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"n": 2}, "n"),
        ({"logit_bias": {"1": 1.0}}, "logit_bias"),
        ({"max_tokens": 0}, "max_tokens"),
        ({"extra": {"modalities": ["text", "audio"]}}, "modalities"),
        ({"extra": {"audio": {}}}, "modalities"),
        ({"messages": [Message("user", [Audio("wav", "aGk=")])]}, "messages[0].content[0]"),
        ({"messages": [Message("assistant", [Image(url="https://x")])]}, "messages[0].content[0]"),
    ],
)
def test_what_must_not_be_lost_is_refused(fields: Any, param: str) -> None:
    assert refused(**fields) == param


def test_the_rest_goes_on_or_is_noted() -> None:
    body, notes, _ = write(
        user="u", safety_identifier="s", metadata={"a": "b"}, service_tier="flex", verbosity="low", parallel_tool_calls=True,
        extra={"prompt_cache_key": "k", "store": True, "prediction": {}, "foo": 1}, format=ResponseFormat("json_object"),
    )  # fmt: skip

    assert (body["user"], body["safety_identifier"], body["metadata"]) == ("u", "s", {"a": "b"})
    assert (body["service_tier"], body["prompt_cache_key"], body["store"]) == ("flex", "k", False)
    assert body["text"] == {"format": {"type": "json_object"}, "verbosity": "low"}
    assert "parallel_tool_calls" not in body
    assert notes.dropped == ["foo"]


def test_a_longer_conversation_begins_with_the_same_items() -> None:
    turns = [USER, Message("assistant", [Text("a"), ToolCall("c", "f", "{}")]), Message("tool", [ToolResult("c", [])])]
    history = [Message("system", [Text("s")]), *turns, *turns]

    assert items(*history)[: len(items(*history[:4]))] == items(*history[:4])
