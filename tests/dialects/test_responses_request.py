"""A client's Responses request into types.Request: items, tools, settings; and what is refused, whatever the bytes."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from openai.types.responses import ResponseInputParam
from pydantic import TypeAdapter
from responses_kit import read

from gateway.dialects.openai_responses import OPENAI_RESPONSES, OpenAIResponses
from gateway.dialects.openai_responses_asked import Spelled, flat_name
from gateway.types import (
    Audio,
    BadRequest,
    Document,
    Image,
    Message,
    Notes,
    Opaque,
    Reasoning,
    Refusal,
    ResponseFormat,
    Text,
    Tool,
    ToolCall,
    ToolChoice,
    ToolResult,
    Unsupported,
)

ITEMS: TypeAdapter[Any] = TypeAdapter(ResponseInputParam)
FUNCTION = {"type": "function", "name": "f", "parameters": {"type": "object"}, "strict": None}
PDF = base64.b64encode(b"%PDF-1.7").decode()


def messages(*items: Any) -> list[Message]:
    ITEMS.validate_python(list(items))
    return read(input=list(items)).messages


def user(*parts: Any) -> Any:
    return {"role": "user", "content": list(parts)}


def call(call_id: str = "c1", **fields: Any) -> Any:
    return {"type": "function_call", "call_id": call_id, "name": "f", "arguments": "{}", **fields}


def output(call_id: str = "c1", **fields: Any) -> Any:
    return {"type": "function_call_output", "call_id": call_id, "output": "ok", **fields}


def refused(body: Any) -> BadRequest:
    with pytest.raises(BadRequest) as caught:
        OPENAI_RESPONSES.read_request(body if isinstance(body, bytes) else json.dumps(body).encode())
    return caught.value


# ---------------------------------------------------------------- items


def test_a_text_is_one_user_message_and_instructions_lead() -> None:
    assert read(instructions="Be kind").messages == [
        Message("system", [Text("Be kind")]),
        Message("user", [Text("hi")]),
    ]


def test_what_the_model_said_between_others_is_one_turn() -> None:
    thought = {"type": "reasoning", "id": "rs", "summary": [{"type": "summary_text", "text": "hm"}], "encrypted_content": "gw1.x"}  # fmt: skip
    said = {"type": "message", "id": "msg", "role": "assistant", "status": "completed", "content": [{"type": "output_text", "text": "Let me", "annotations": []}, {"type": "refusal", "refusal": "no"}]}  # fmt: skip

    assert messages(
        user({"type": "input_text", "text": "hi"}),
        thought,
        said,
        call(),
        call("c2"),
        output("c2"),
        output("c1"),
        user(),
    ) == [
        Message("user", [Text("hi")]),
        Message(
            "assistant",
            [
                Reasoning("hm", Opaque("gateway", "sealed", "gw1.x")),
                Text("Let me"),
                Refusal("no"),
                ToolCall("c1", "f", "{}"),
                ToolCall("c2", "f", "{}"),
            ],
        ),
        Message("tool", [ToolResult("c2", [Text("ok")])]),
        Message("tool", [ToolResult("c1", [Text("ok")])]),
        Message("user", []),
    ]


def test_a_thought_that_nothing_follows_makes_no_turn() -> None:
    thought = {"type": "reasoning", "id": "rs", "summary": [], "encrypted_content": "gAAA"}

    assert messages(user(), thought, user()) == [Message("user", []), Message("user", [])]
    assert [message.role for message in messages(user(), thought)] == ["user"]


def test_openais_own_thought_is_kept_whole_and_one_without_anything_is_nothing() -> None:
    thought = {"type": "reasoning", "id": "rs", "summary": [], "encrypted_content": "gAAA"}
    empty = {"type": "reasoning", "id": "rs2", "summary": []}

    assert messages(empty, thought, {"role": "assistant", "content": "yes"}) == [
        Message("assistant", [Reasoning("", Opaque("openai", "encrypted_content", thought)), Text("yes")])
    ]


def test_a_sealed_thought_without_words_rides_on_the_call_behind_it() -> None:
    thought = {"type": "reasoning", "id": "rs", "summary": [], "encrypted_content": "gw1.x"}

    assert messages(thought, call(), thought, call("c2"), output(), output("c2"))[0].parts == [
        ToolCall("c1", "f", "{}", opaque=Opaque("gateway", "sealed", "gw1.x")),
        ToolCall("c2", "f", "{}", opaque=Opaque("gateway", "sealed", "gw1.x")),
    ]


def test_every_kind_of_content_finds_its_part() -> None:
    parts = [
        {"type": "input_image", "image_url": "https://a.example/x.png", "detail": "high"},
        {"type": "input_image", "image_url": "data:image/jpg;base64,aGk=", "detail": "auto"},
        {"type": "input_file", "file_data": PDF, "filename": "a.pdf"},
        {"type": "input_file", "file_url": "https://a.example/x.pdf"},
        {"type": "input_file", "file_id": "file-1"},
        {"type": "input_text", "text": "t", "prompt_cache_breakpoint": {"mode": "explicit", "ttl": "30m"}},
    ]
    audio = {"type": "input_audio", "input_audio": {"data": "aGk=", "format": "wav"}}

    assert messages(user(*parts))[0].parts == [
        Image(url="https://a.example/x.png", detail="high"),
        Image("image/jpeg", "aGk="),
        Document("application/pdf", PDF, title="a.pdf"),
        Document(url="https://a.example/x.pdf"),
        Document(file_id="file-1"),
        Text("t", {"type": "ephemeral", "ttl": "30m"}),
    ]
    assert read(input=[user(audio)]).messages[0].parts == [Audio("wav", "aGk=")]


def test_a_result_may_be_parts_and_a_failed_patch_is_an_error() -> None:
    patch = {"type": "apply_patch_call", "call_id": "c2", "status": "completed", "operation": {"type": "delete_file", "path": "a"}}  # fmt: skip
    failed = {"type": "apply_patch_call_output", "call_id": "c2", "status": "failed"}
    shown = output(output=[{"type": "input_text", "text": "see"}])

    found = messages(call(), patch, shown, failed)
    assert found[0].parts[1] == ToolCall("c2", "apply_patch", '{"type":"delete_file","path":"a"}')
    assert found[1].parts == [ToolResult("c1", [Text("see")])]
    assert found[2].parts == [ToolResult("c2", [Text("failed")], is_error=True)]


def test_a_longer_history_begins_with_the_same_messages() -> None:
    items = [user(), call(), output(), {"role": "assistant", "content": "a"}, user(), call("c2"), output("c2")]
    whole = messages(*items)
    for end in (1, 3, 5):
        assert whole[: len(messages(*items[:end]))] == messages(*items[:end])


def test_traces_of_hosted_tools_are_left_out_and_noted() -> None:
    trace = {"type": "web_search_call", "id": "ws", "status": "completed", "action": {"type": "search", "query": "q"}}
    request = read(input=[user(), trace, trace], truncation="auto", reasoning={"mode": "pro"})

    assert request.messages == [Message("user", [])]
    notes = Notes()
    notes.take_over(request)
    assert notes.dropped == ["input.web_search_call", "truncation", "reasoning.mode"]


def test_items_that_change_settings_count_the_last() -> None:
    update = {"type": "configuration_update", "reasoning": {"effort": "low"}}
    more = {"type": "additional_tools", "role": "developer", "tools": [{**FUNCTION, "name": "g"}]}
    request = read(input=[user(), update, more], reasoning={"effort": "high"}, tools=[FUNCTION])

    assert (request.effort, [tool.name for tool in request.tools]) == ("low", ["f", "g"])


# ---------------------------------------------------------------- tools


def test_tools_of_every_kind_become_tools_that_anybody_takes() -> None:
    request = read(
        tools=[
            {**FUNCTION, "description": "d", "strict": True},
            {"type": "custom", "name": "p", "format": {"type": "grammar", "syntax": "lark", "definition": "x"}},
            {"type": "namespace", "name": "ns", "description": "", "tools": [{"type": "function", "name": "f"}]},
            {"type": "shell"},
            {"type": "web_search_preview", "search_context_size": "low"},
            {"type": "web_search"},
            {"type": "mcp", "server_label": "x"},
        ]
    )

    function, custom, spaced, shell, search = request.tools
    assert function == Tool("f", "d", {"type": "object"}, strict=True)
    assert custom == Tool("p", custom=True, grammar={"syntax": "lark", "definition": "x"})
    assert (spaced.name, shell.name) == ("ns__f", "shell")
    assert search.native == {"type": "web_search", "search_context_size": "low"} and search.optional
    assert request.left_out == [("tools.mcp", "server_tool_unsupported")]
    assert request.echo.tools["ns__f"] == Spelled("function", "f", "ns")


@pytest.mark.parametrize(
    ("choice", "found"),
    [
        ("auto", ToolChoice("auto")),
        ("required", ToolChoice("required")),
        ({"type": "function", "name": "f"}, ToolChoice("named", ["f"])),
        ({"type": "function", "name": "g"}, ToolChoice("named", ["ns__g"])),
        ({"type": "shell"}, ToolChoice("named", ["shell"])),
        (
            {"type": "allowed_tools", "mode": "auto", "tools": [{"type": "function", "name": "f"}, {"type": "mcp"}]},
            ToolChoice("allowed_auto", ["f"]),
        ),
        ({"type": "allowed_tools", "mode": "auto", "tools": [{"type": "mcp"}]}, ToolChoice("none")),
        (
            {"type": "allowed_tools", "mode": "required", "tools": [{"type": "shell"}]},
            ToolChoice("allowed_required", ["shell"]),
        ),
    ],
)
def test_a_choice_names_tools_by_their_flat_names(choice: Any, found: ToolChoice) -> None:
    space = {"type": "namespace", "name": "ns", "description": "", "tools": [{"type": "function", "name": "g"}]}

    assert read(tools=[FUNCTION, space, {"type": "shell"}, {"type": "mcp"}], tool_choice=choice).tool_choice == found


def test_a_search_may_be_left_out_unless_it_is_what_the_client_forces() -> None:
    search = {"type": "web_search"}

    def optional(tools: list[Any], choice: Any) -> bool:
        return read(tools=tools, tool_choice=choice).tools[0].optional

    assert optional([search, FUNCTION], "auto") and optional([search, FUNCTION], "required")
    assert not optional([search, FUNCTION], {"type": "web_search_preview"})
    assert not optional([search], "required")


def test_long_names_are_cut_to_what_servers_take_and_stay_apart() -> None:
    one, other = flat_name("n" * 60, "first"), flat_name("n" * 60, "second")

    assert one != other and len(one) == len(other) == 64
    assert flat_name("n" * 60, "first") == one


# ---------------------------------------------------------------- settings


def test_settings_find_their_places() -> None:
    schema = {"type": "object", "properties": {}}
    request = read(
        temperature=0.5, top_p=0.9, max_output_tokens=99, parallel_tool_calls=False, user="u", safety_identifier="s",
        service_tier="flex", reasoning={"effort": "high"}, text={"verbosity": "low", "format": {"type": "json_schema", "name": "n", "schema": schema, "strict": True}},
        include=["message.output_text.logprobs"], top_logprobs=3, metadata={"a": "b"}, store=False, prompt_cache_key="k", stream=True, new_field=1,
    )  # fmt: skip

    assert (request.temperature, request.top_p, request.max_tokens, request.effort) == (0.5, 0.9, 99, "high")
    assert request.format == ResponseFormat("json_schema", schema, "n", strict=True)
    assert (request.logprobs, request.top_logprobs, request.verbosity, request.stream) == (True, 3, "low", True)
    assert request.extra == {"prompt_cache_key": "k", "new_field": 1}
    assert request.echo.fields["metadata"] == {"a": "b"} and request.echo.fields["store"] is False


@pytest.mark.parametrize(
    "field", ["previous_response_id", "conversation", "prompt", "background", "context_management"]
)
def test_what_only_openai_holds_goes_to_nobody_else(field: str) -> None:
    request = read(**{field: True if field == "background" else [{"type": "compaction"}] if field == "context_management" else "x"})  # fmt: skip

    with pytest.raises(Unsupported) as caught:
        Notes().take_over(request)
    assert caught.value.param == field


# ---------------------------------------------------------------- refusals


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"input": None}, "input"),
        ({"input": 5}, "input"),
        ({"input": [5]}, "input[0]"),
        ({"input": [{"type": 5}]}, "input[0].type"),
        ({"input": [{"type": "nonsense"}]}, "input[0]"),
        ({"input": [{"role": "critic", "content": ""}]}, "input[0].role"),
        ({"input": [user({"type": "output_image"})]}, "input[0].content[0].type"),
        ({"input": [user({"type": "input_image", "file_id": "f"})]}, "input[0].content[0].file_id"),
        ({"input": [user({"type": "input_image", "image_url": "ftp://x"})]}, "input[0].content[0].image_url"),
        ({"input": [{"type": "compaction_trigger"}]}, "input[0]"),
        ({"input": [{"id": "msg_1"}]}, "input[0]"),
        ({"input": [output()]}, "input"),
        ({"input": [call()]}, "input"),
        ({"input": [call(), output(), output()]}, "input"),
        ({"input": [call(arguments=None)]}, "input[0].arguments"),
        ({"instructions": 5}, "instructions"),
        ({"tools": [{"type": "odd"}]}, "tools[0].type"),
        ({"tools": [FUNCTION, FUNCTION]}, "tools[1].name"),
        ({"tools": [{"type": "namespace", "name": "n", "tools": [{"type": "mcp"}]}]}, "tools[0].tools[0].type"),
        ({"tools": [FUNCTION], "tool_choice": {"type": "function", "name": "g"}}, "tool_choice"),
        ({"tools": [FUNCTION], "tool_choice": {"type": ["function"]}}, "tool_choice.type"),
        ({"tool_choice": "required"}, "tool_choice"),
        ({"tools": [{"type": "mcp"}], "tool_choice": "required"}, "tool_choice"),
        ({"reasoning": {"effort": "much"}}, "reasoning.effort"),
        ({"reasoning": {"summary": []}}, "reasoning.summary"),
        ({"text": {"format": {"type": "json_schema", "name": "n"}}}, "text.format.schema"),
        ({"truncation": "some"}, "truncation"),
        ({"include": "x"}, "include"),
        ({"metadata": 5}, "metadata"),
        ({"max_output_tokens": 0}, "max_output_tokens"),
        ({"temperature": "hot"}, "temperature"),
        ({"model": 5}, "model"),
    ],
)
def test_a_wrong_place_is_named(fields: Any, param: str) -> None:
    assert refused({"model": "m", "input": "hi", **fields}).param == param


def test_calls_without_answers_are_left_to_repair_when_the_operator_says_so() -> None:
    body = json.dumps({"input": [user(), call()]}).encode()

    assert len(OpenAIResponses(repair_history=True).read_request(body).messages) == 2


@pytest.mark.parametrize("body", [b"", b"[]", b"{", b'"x"', b"\xff", b'{"a":NaN}', b"[" * 100_000])
def test_what_is_no_object_is_refused(body: bytes) -> None:
    assert refused(body).code == "invalid_json"


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=4) | st.sampled_from(["function", "message", "reasoning", "gw1.x", "call_id", "auto"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["type", "role", "content", "name", "tools", "call_id", "output", "summary", "arguments", "text", "format", "mode", "id", "input", "action", "operation"]), inner, max_size=4),
    max_leaves=12,
)  # fmt: skip
FIELDS = ["input", "instructions", "tools", "tool_choice", "reasoning", "text", "include", "metadata", "model", "stream", "truncation", "store", "user", "top_logprobs", "max_output_tokens", "stream_options", "parallel_tool_calls"]  # fmt: skip
KINDS = ["message", "reasoning", "function_call", "custom_tool_call", "function_call_output", "custom_tool_call_output", "local_shell_call", "local_shell_call_output", "shell_call", "shell_call_output", "apply_patch_call", "apply_patch_call_output", "additional_tools", "configuration_update", "item_reference", "compaction"]  # fmt: skip
TOOL_KINDS = ["function", "custom", "namespace", "shell", "web_search", "mcp", "allowed_tools"]
ITEM = st.builds(lambda kind, rest: {**rest, "type": kind}, st.sampled_from(KINDS), st.dictionaries(st.sampled_from(["role", "content", "call_id", "id", "name", "arguments", "input", "output", "summary", "encrypted_content", "action", "operation", "status", "tools", "reasoning", "text"]), VALUES, max_size=6))  # fmt: skip
TOOL = st.builds(lambda kind, rest: {**rest, "type": kind}, st.sampled_from(TOOL_KINDS), st.dictionaries(st.sampled_from(["name", "parameters", "strict", "description", "format", "tools", "mode"]), VALUES, max_size=5))  # fmt: skip


@settings(max_examples=400, deadline=None)
@given(st.dictionaries(st.sampled_from(FIELDS), VALUES), st.lists(ITEM, max_size=4), st.lists(TOOL, max_size=3), TOOL)
def test_no_body_makes_anything_but_a_request_or_a_refusal(fields: Any, items: Any, tools: Any, choice: Any) -> None:
    for body in (fields, {"input": items}, {"input": "hi", "tools": tools, "tool_choice": choice}):
        raw = json.dumps(body).encode()
        try:
            OPENAI_RESPONSES.peek(raw)
            request = OPENAI_RESPONSES.read_request(raw)
        except BadRequest as bad:
            assert bad.message
        else:
            assert request.messages or request.unportable
