"""A client's Messages request into types.Request: every shape of the API, and what is refused."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.dialects.anthropic_messages import ANTHROPIC, AnthropicMessages
from gateway.types import (
    BadRequest,
    Document,
    Image,
    Message,
    Notes,
    Opaque,
    Reasoning,
    Request,
    ResponseFormat,
    Text,
    Tool,
    ToolCall,
    ToolChoice,
    ToolResult,
    Unsupported,
    VendorBlock,
)

USER = {"role": "user", "content": "hi"}
CACHE = {"type": "ephemeral", "ttl": "1h"}
F = {"name": "f", "input_schema": {"type": "object"}}
CALLED = {"role": "assistant", "content": [{"type": "tool_use", "id": "t1", "name": "f", "input": {}}]}
PDF, PNG = "JVBERi0xLjc=", "iVBORw0K"


def body_of(*messages: Any, **members: Any) -> bytes:
    given_ = {"model": "m", "max_tokens": 9, **members, "messages": list(messages) or [USER]}
    return json.dumps({key: value for key, value in given_.items() if value is not ...}).encode()


def read(*messages: Any, **members: Any) -> Request:
    return ANTHROPIC.read_request(body_of(*messages, **members))


def refusal(*messages: Any, **members: Any) -> BadRequest:
    with pytest.raises(BadRequest) as found:
        read(*messages, **members)
    return found.value


def shown(*blocks: Any) -> list[Any]:
    return read({"role": "user", "content": list(blocks)}).messages[0].parts


def said(*blocks: Any) -> list[Any]:
    return read(USER, {"role": "assistant", "content": list(blocks)}, USER).messages[1].parts


def answered(content: Any, **members: Any) -> ToolResult:
    result = {"type": "tool_result", "tool_use_id": "t1", "content": content, **members}
    (part,) = read(USER, CALLED, {"role": "user", "content": [result]}).messages[2].parts
    assert isinstance(part, ToolResult)
    return part


# ---------------------------------------------------------------- system and messages


def test_the_system_is_the_first_message_block_by_block() -> None:
    assert read(system="a").messages[0] == Message("system", [Text("a")])
    blocks = [{"type": "text", "text": "a", "cache_control": CACHE}, {"type": "text", "text": "b"}]
    assert read(system=blocks).messages[0] == Message("system", [Text("a", CACHE), Text("b")])
    assert read(system=[]).messages == read(system="").messages == read().messages


def test_a_billing_block_that_differs_from_call_to_call_stays_out() -> None:
    blocks = [{"type": "text", "text": "x-anthropic-billing-header: cch=1;"}, {"type": "text", "text": "a"}]

    assert read(system=blocks).messages[0] == Message("system", [Text("a")])


def test_a_system_message_stays_in_its_place() -> None:
    request = read(USER, {"role": "system", "content": "new rule"}, {"role": "user", "content": "go"})

    assert [message.role for message in request.messages] == ["user", "system", "user"]


def test_everything_a_user_can_show_is_read() -> None:
    assert shown(
        {"type": "text", "text": "look", "cache_control": CACHE},
        {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "iVBO\n Rw0K"}},
        {"type": "image", "source": {"type": "url", "url": "https://e.org/a.png"}, "cache_control": CACHE},
        {"type": "image", "source": {"type": "file", "file_id": "file_1"}},
        {"type": "document", "source": {"type": "base64", "media_type": "application/pdf", "data": PDF}, "title": "a"},
        {"type": "document", "source": {"type": "text", "media_type": "text/plain", "data": "words"}},
        {"type": "document", "source": {"type": "url", "url": "https://e.org/a.pdf"}, "title": None},
        {"type": "document", "source": {"type": "file", "file_id": "file_2"}, "context": "read"},
        {"type": "container_upload", "file_id": "file_3"},
    ) == [
        Text("look", CACHE),
        Image("image/png", PNG),
        Image(url="https://e.org/a.png", cache=CACHE),
        Document("image/*", file_id="file_1"),
        Document("application/pdf", PDF, title="a"),
        Document("text/plain", text="words"),
        Document(url="https://e.org/a.pdf"),
        Text("read"),
        Document(file_id="file_2"),
        VendorBlock(Opaque("anthropic", "server_block", {"type": "container_upload", "file_id": "file_3"})),
    ]


def test_a_document_of_parts_becomes_its_parts_and_keeps_its_cache_mark() -> None:
    content = [{"type": "text", "text": "one"}, {"type": "text", "text": "two"}]

    parts = shown({"type": "document", "source": {"type": "content", "content": content}, "title": "T", "cache_control": CACHE})  # fmt: skip

    assert parts == [Text("T"), Text("one"), Text("two", CACHE)]


def test_what_others_cannot_do_is_noted_for_the_writer() -> None:
    source = {"type": "text", "media_type": "text/plain", "data": "x"}
    cited = {"type": "document", "source": source, "citations": {"enabled": True}}
    request = read({"role": "user", "content": [cited]}, output_config={"task_budget": 5})
    notes = Notes()

    notes.take_over(request)

    assert notes.dropped == ["citations", "output_config.task_budget"]
    assert notes.warnings == ["citations_unsupported", "unknown_field"]
    with pytest.raises(Unsupported, match="citations"):
        Notes(strict=True).take_over(request)


@pytest.mark.parametrize("field", ["container", "thread", "mcp_servers"])
def test_state_that_anthropic_holds_goes_to_nobody_else(field: str) -> None:
    request = read(**{field: ["x"]})

    with pytest.raises(Unsupported) as found:
        Notes().take_over(request)
    assert found.value.param == field
    assert read(**{field: None}).unportable == []


# ---------------------------------------------------------------- what an assistant said


def test_a_call_keeps_the_spelling_of_its_numbers_and_the_order_of_its_keys() -> None:
    spelled = '{"b": 1.10, "a": [1e3, 123456789012345678901234567890], "b2": "\\u00e9"}'
    body = body_of(USER, CALLED, {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "t1"}]})

    call = ANTHROPIC.read_request(body.replace(b'"input": {}', b'"input": ' + spelled.encode())).messages[1].parts[0]

    assert isinstance(call, ToolCall)
    assert call.arguments == '{"b":1.10,"a":[1e3,123456789012345678901234567890],"b2":"\\u00e9"}'


def test_thoughts_are_kept_as_they_came_and_envelopes_are_known() -> None:
    own = {"type": "thinking", "thinking": "Hm.", "signature": "EqQB", "extra": 1}
    redacted = {"type": "redacted_thinking", "data": "Ex=="}

    assert said(own, redacted, {"type": "text", "text": "a"}) == [
        Reasoning("Hm.", Opaque("anthropic", "thinking", own)),
        Reasoning("", Opaque("anthropic", "redacted_thinking", redacted)),
        Text("a"),
    ]
    assert said(
        {"type": "thinking", "thinking": "Hm.", "signature": "gw1.x"}, {"type": "thinking", "thinking": "I"}
    ) == [
        Reasoning("Hm.", Opaque("gateway", "sealed", "gw1.x")),
        Reasoning("I"),
    ]


def test_a_sealed_thing_before_a_call_is_the_calls_own() -> None:
    sealed = {"type": "redacted_thinking", "data": "gw1.x"}
    call = CALLED["content"][0]  # type: ignore[index]
    result = {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "t1"}]}

    request = read(USER, {"role": "assistant", "content": [sealed, sealed, call]}, result)

    kept = Opaque("gateway", "sealed", "gw1.x")
    assert request.messages[1].parts == [Reasoning("", kept), ToolCall("t1", "f", "{}", opaque=kept)]


def test_a_servers_work_is_hidden_but_for_what_it_found() -> None:
    page = {"type": "web_search_result", "url": "https://e.org", "title": "E", "encrypted_content": "x"}
    found = {"type": "web_search_tool_result", "tool_use_id": "s", "content": [page, "odd"]}
    compacted = {"type": "compaction", "content": "They met."}
    to_come = {"type": "to_come", "x": 1}

    parts = said({"type": "server_tool_use", "id": "s", "name": "web_search", "input": {}}, found, compacted, to_come)

    assert [part.summary for part in parts] == ["", "[E](https://e.org)", "They met.", ""]
    assert parts[1].opaque == Opaque("anthropic", "server_block", found)


def test_a_result_holds_what_the_tool_showed() -> None:
    png = {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": PNG}}
    reference = {"type": "tool_reference", "tool_name": "g"}

    assert answered("sun", is_error=True, cache_control=CACHE) == ToolResult("t1", [Text("sun")], "", True, CACHE)
    assert answered([{"type": "text", "text": "a"}, png, reference]).parts == [
        Text("a"),
        Image("image/png", PNG),
        Text("g"),
    ]
    assert answered(None).parts == answered("").parts == answered([]).parts == []
    assert answered([{"type": "browser_state", "tabs": []}]).parts == [Text('{"type":"browser_state","tabs":[]}')]


# ---------------------------------------------------------------- tools and the rest


def test_tools_are_read_and_those_that_the_client_runs_are_described() -> None:
    bash = {"type": "bash_20250124", "name": "bash"}
    search = {"type": "web_search_20260318", "name": "web_search", "max_uses": 3}
    request = read(
        tools=[{**F, "description": "d", "strict": True, "cache_control": CACHE, "type": "custom"}, bash, search]
    )

    assert request.tools[0] == Tool("f", "d", {"type": "object"}, True, cache=CACHE)
    assert request.tools[1].native == bash and "command" in (request.tools[1].parameters or {})["properties"]
    assert request.tools[2] == Tool("web_search", native=search)


@pytest.mark.parametrize(
    ("choice", "mode", "parallel"),
    [
        ({"type": "auto"}, ToolChoice("auto"), None),
        ({"type": "any", "disable_parallel_tool_use": True}, ToolChoice("required"), False),
        ({"type": "tool", "name": "f", "disable_parallel_tool_use": False}, ToolChoice("named", ["f"]), None),
        ({"type": "none"}, ToolChoice("none"), None),
    ],
)
def test_the_choice_of_tools_is_read(choice: Any, mode: ToolChoice, parallel: bool | None) -> None:
    request = read(tools=[F], tool_choice=choice)

    assert (request.tool_choice, request.parallel_tool_calls) == (mode, parallel)


def test_the_other_parameters_are_read() -> None:
    request = read(
        stream=True, temperature=0.5, top_p=0.9, top_k=5, stop_sequences=["a"], service_tier="standard_only",
        thinking={"type": "enabled", "budget_tokens": 2048, "display": "omitted"}, metadata={"user_id": "u"},
        output_config={"effort": "max"}, inference_geo="eu", cache_control=CACHE,
    )  # fmt: skip

    assert (request.stream, request.max_tokens, request.stop, request.effort) == (True, 9, ["a"], "max")
    assert (request.temperature, request.top_p, request.top_k, request.service_tier) == (0.5, 0.9, 5, "default")
    assert request.thinking == {"type": "enabled", "budget_tokens": 2048, "display": "omitted"}
    assert request.safety_identifier == "u"
    assert request.extra == {"inference_geo": "eu", "cache_control": CACHE}
    assert read(speed="fast").service_tier == "priority"
    assert read(max_tokens=0).max_tokens == 0


def test_a_long_user_id_becomes_a_hash_that_stays_the_same() -> None:
    name = "user_" + "0" * 200
    first, second = (read(metadata={"user_id": name}).safety_identifier for _ in range(2))

    assert first == second and first is not None and len(first) == 64


@pytest.mark.parametrize("place", ["output_config", "output_format"])
def test_a_schema_is_strict_when_it_is_closed(place: str) -> None:
    def format_of(schema: Any) -> ResponseFormat | None:
        wanted = {"type": "json_schema", "schema": schema}
        return read(**{place: {"format": wanted} if place == "output_config" else wanted}).format

    inner = {"type": "object", "properties": {"b": {}}, "required": ["b"], "additionalProperties": False}
    closed = {**inner, "properties": {"b": {"anyOf": [inner, {"type": "null"}]}}}
    open_ = {**closed, "properties": {"b": {"type": "array", "items": {"type": "object"}}}}

    assert format_of(closed) == ResponseFormat("json_schema", closed, "output", strict=True)
    assert format_of(open_) == ResponseFormat("json_schema", open_, "output", strict=False)


def test_a_token_count_needs_no_max_tokens() -> None:
    body = body_of(max_tokens=..., system="a")

    assert ANTHROPIC.read_count(body).messages[0] == Message("system", [Text("a")])
    with pytest.raises(BadRequest, match="max_tokens: Field required"):
        ANTHROPIC.read_request(body)


# ---------------------------------------------------------------- refusals


@pytest.mark.parametrize(
    ("content", "place"),
    [
        (5, "messages.0.content"),
        (None, "messages.0.content"),
        (["x"], "messages.0.content.0"),
        ([{"type": "text"}], "messages.0.content.0.text"),
        ([{"text": "x"}], "messages.0.content.0.type"),
        ([{"type": "tool_use", "id": "a", "name": "f", "input": {}}], "messages.0.content.0"),
        ([{"type": "text", "text": "a", "cache_control": 1}], "messages.0.content.0.cache_control"),
        ([{"type": "image", "source": {"type": "base64", "media_type": "image/bmp", "data": PNG}}], "messages.0.content.0.source.media_type"),
        ([{"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "?"}}], "messages.0.content.0.source.data"),
        ([{"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": " "}}], "messages.0.content.0.source.data"),
        ([{"type": "document", "source": {"type": "content", "content": [{"type": "x"}]}}], "messages.0.content.0.source.content.0"),
    ],
)  # fmt: skip
def test_wrong_content_is_refused_with_its_place(content: Any, place: str) -> None:
    bad = refusal({"role": "user", "content": content})

    assert bad.param == place
    assert bad.message.startswith(f"{place}: ")


@pytest.mark.parametrize(
    ("members", "place"),
    [
        ({"system": 5}, "system"),
        ({"system": [{"type": "image"}]}, "system.0.type"),
        ({"tools": {}}, "tools"),
        ({"tools": [{"name": "f"}]}, "tools.0.input_schema"),
        ({"tools": [F, F]}, "tools"),
        ({"tool_choice": {"type": "any"}}, "tool_choice"),
        ({"tools": [F], "tool_choice": {"type": "tool", "name": "g"}}, "tool_choice.name"),
        ({"tools": [F], "tool_choice": "auto"}, "tool_choice"),
        ({"max_tokens": "9"}, "max_tokens"),
        ({"temperature": 1.5}, "temperature"),
        ({"top_p": "x"}, "top_p"),
        ({"stop_sequences": [5]}, "stop_sequences.0"),
        ({"stop_sequences": "x"}, "stop_sequences"),
        ({"thinking": {"type": "enabled"}}, "thinking.budget_tokens"),
        ({"thinking": {"type": "enabled", "budget_tokens": 5}}, "thinking.budget_tokens"),
        ({"output_config": {"effort": "huge"}}, "output_config.effort"),
        ({"output_config": {"format": {"type": "json_object"}}}, "output_config.format.type"),
        ({"metadata": {"user_id": 5}}, "metadata.user_id"),
        ({"service_tier": "flex"}, "service_tier"),
        ({"model": 5}, "model"),
    ],
)
def test_wrong_parameters_are_refused_by_name(members: dict[str, Any], place: str) -> None:
    assert refusal(**members).param == place


def test_a_result_answers_a_call_of_the_turn_before_and_only_once() -> None:
    result = {"type": "tool_result", "tool_use_id": "t1", "content": "x"}

    assert refusal({"role": "user", "content": [result]}).param == "messages.0.content.0"
    assert refusal(USER, CALLED, {"role": "user", "content": [result, result]}).param == "messages.2.content.1"
    assert refusal(USER, CALLED, {"role": "user", "content": [result]}, USER, {"role": "assistant", "content": "a"}, {"role": "user", "content": [result]}, system="s").param == "messages.5.content.0"  # fmt: skip


@pytest.mark.parametrize("after", [[USER], [], [USER, {"role": "assistant", "content": "a"}, USER]])
def test_a_call_must_be_answered_unless_the_history_is_repaired(after: list[Any]) -> None:
    bad = refusal(USER, CALLED, *after, system="s")

    assert bad.param == "messages.1" and "`tool_use` ids were found without `tool_result` blocks" in bad.message
    assert AnthropicMessages(repair_history=True).read_request(body_of(USER, CALLED, *after)).messages


def test_neighbours_of_one_role_are_one_turn() -> None:
    results = [{"role": "user", "content": [{"type": "tool_result", "tool_use_id": id_}]} for id_ in ("t1", "t2")]
    second = {"role": "assistant", "content": [{"type": "tool_use", "id": "t2", "name": "f", "input": {}}]}

    assert len(read(USER, CALLED, second, results[0], {"role": "system", "content": "x"}, results[1]).messages) == 6


LEAVES = st.none() | st.booleans() | st.integers(-1, 2**70) | st.text(max_size=3) | st.sampled_from(
    ["user", "assistant", "system", "text", "image", "document", "tool_use", "tool_result", "thinking", "base64", "url"]
)  # fmt: skip
KEYS = st.sampled_from(
    ["role", "content", "type", "text", "source", "data", "media_type", "id", "tool_use_id", "name", "input", "signature",
     "thinking", "title", "cache_control", "citations", "enabled", "x"]
)  # fmt: skip
ANY = st.recursive(LEAVES, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=5))
TOP = st.sampled_from(
    ["system", "tools", "tool_choice", "thinking", "output_config", "metadata", "stop_sequences", "stream", "container"]
)


@given(st.lists(ANY, max_size=3) | ANY, st.dictionaries(TOP, ANY, max_size=3))
def test_any_json_is_read_or_refused(messages: Any, members: dict[str, Any]) -> None:
    body = json.dumps({"max_tokens": 5, **members, "messages": messages}).encode()
    try:
        ANTHROPIC.read_request(body)
    except BadRequest as bad:
        assert bad.message


@pytest.mark.parametrize("body", [b"", b"[]", b"\xff", b"{" * 9, b'{"a":' * 70 + b"1" + b"}" * 70, b'{"a":"\\ud800"}'])
def test_what_is_no_json_is_refused_as_such(body: bytes) -> None:
    with pytest.raises(BadRequest) as found:
        ANTHROPIC.read_request(body)
    assert found.value.code == "invalid_json"
