"""Tools, names, tool_choice and its emulation, response_format: what goes out, and how the answer comes back."""

from __future__ import annotations

import json
from typing import Any

import pytest
from anthropic_models import (
    DIALECT,
    SONNET,
    WEATHER,
    ask,
    block,
    body_of,
    call,
    of,
    read,
    result,
    say,
    started,
    stopped,
    target,
    text,
    tool,
    write,
)

from gateway.types import (
    Finished,
    Notes,
    Request,
    ResponseFormat,
    Text,
    TextDelta,
    Tool,
    ToolCall,
    ToolChoice,
    ToolDelta,
    ToolStart,
    Unsupported,
)

FORCING = SONNET
UNFORCED = "claude-opus-5-5"
NAMED = ToolChoice("named", ["get_weather"])
REQUIRED = ToolChoice("required")
OTHER = Tool(
    "search",
    parameters={"type": "object", "properties": {"q": {"$ref": "#/$defs/Q"}}, "$defs": {"Q": {"type": "string"}}},
)


def schema_of(parameters: Any) -> Any:
    return body_of(ask(tools=[Tool("t", parameters=parameters)]))["tools"][0]["input_schema"]


def refused(**fields: Any) -> Unsupported:
    with pytest.raises(Unsupported) as caught:
        write(ask(**fields))
    return caught.value


def answer(content: list[Any], undo: Any, stop_reason: str = "end_turn") -> Any:
    message = {"id": "msg_1", "type": "message", "content": content, "stop_reason": stop_reason}
    return DIALECT.read_reply(json.dumps(message).encode(), undo).choices[0]


# ---------------------------------------------------------------- definitions


@pytest.mark.parametrize(
    ("parameters", "schema"),
    [
        (None, {"type": "object", "properties": {}}),
        ({}, {"type": "object", "properties": {}}),
        (
            {"properties": {"a": {}}, "$defs": {"A": {}}},
            {"type": "object", "properties": {"a": {}}, "$defs": {"A": {}}},
        ),
        ({"type": ["object", "null"], "properties": {}}, {"type": "object", "properties": {}}),
        (
            {"type": "object", "required": ["a"], "additionalProperties": False},
            {"type": "object", "required": ["a"], "additionalProperties": False},
        ),
        (
            {"type": "array", "items": {}},
            {"type": "object", "properties": {"value": {"type": "array", "items": {}}}, "required": ["value"]},
        ),
        (
            {"anyOf": [{"type": "object"}]},
            {"type": "object", "properties": {"value": {"anyOf": [{"type": "object"}]}}, "required": ["value"]},
        ),
        (
            {"$ref": "#/$defs/A", "$defs": {"A": {"type": "object"}}},
            {"type": "object", "$defs": {"A": {"type": "object"}}},
        ),
        (
            {"$ref": "#/$defs/A", "$defs": {"A": {"type": "string"}}},
            {
                "type": "object",
                "properties": {"value": {"type": "string"}},
                "required": ["value"],
                "$defs": {"A": {"type": "string"}},
            },
        ),
    ],
)
def test_the_input_is_always_an_object(parameters: Any, schema: Any) -> None:
    assert schema_of(parameters) == schema


def test_tools_keep_their_order_and_cache_marks() -> None:
    tools = body_of(ask(tools=[OTHER, Tool("b", "does b", cache={"type": "ephemeral"})]))["tools"]

    assert [made["name"] for made in tools] == ["search", "b"]
    assert tools[1]["cache_control"] == {"type": "ephemeral"}
    assert "description" not in tools[0]


def test_strict_is_sent_with_the_schema_that_it_needs_or_left_out() -> None:
    closed = {"type": "object", "properties": {"n": {"type": "integer", "minimum": 1}}}
    body, _, notes = write(
        ask(tools=[Tool("a", parameters=closed, strict=True), Tool("b", parameters={"type": "object"}, strict=True)])
    )

    assert body["tools"][0]["strict"] is True
    assert body["tools"][0]["input_schema"]["additionalProperties"] is False
    assert "strict" not in body["tools"][1]
    assert (notes.dropped, notes.warnings) == (["tools.strict"], ["strict_unsupported"])


def test_two_tools_of_one_name_are_refused() -> None:
    assert refused(tools=[WEATHER, WEATHER]).param == "tools[1]"


def test_anthropics_own_tools_pass_and_those_of_others_do_not() -> None:
    native = {"type": "web_search_20250305", "name": "web_search"}

    assert body_of(ask(tools=[Tool("web_search", native=native)]))["tools"] == [native]
    for foreign in (
        {"type": "file_search"},
        {"code_execution": {}},
        {"type": "web_search", "external_web_access": False},
    ):
        assert refused(tools=[Tool("x", native=foreign)]).param == "tools[0]"


def test_a_grammar_is_told_in_the_description() -> None:
    grammar = {"type": "grammar", "grammar": {"syntax": "lark", "definition": "start: WORD"}}
    made = body_of(ask(tools=[Tool("patch", "patches", custom=True, grammar=grammar)]))["tools"][0]

    assert made["description"].startswith("patches\n\n")
    assert made["description"].endswith("lark grammar:\nstart: WORD")
    assert made["input_schema"]["required"] == ["input"]


# ---------------------------------------------------------------- names and shapes, out and back


def test_illegal_names_are_made_legal_everywhere_and_undone() -> None:
    tools = [Tool("get.weather"), Tool("get/weather"), Tool("x_y"), Tool("x.y")]
    talk = [say("user", "?"), say("assistant", call("a", name="get.weather")), result("a")]
    body, written, _ = write(ask(*talk, tools=tools, tool_choice=ToolChoice("named", ["x.y"])))

    names = [made["name"] for made in body["tools"]]
    assert names[0] == "get_weather"
    assert names[1].startswith("get_weather_")
    assert names[2] == "x_y"
    assert names[3].startswith("x_y_")
    assert body["messages"][1]["content"][0]["name"] == "get_weather"
    assert body["tool_choice"] == {"type": "tool", "name": names[3]}

    stream = [started(), *(tool(i, f"c{i}", "{}", name=name) for i, name in enumerate(names)), stopped("tool_use")]
    assert [event.name for event in of(read(*stream, undo=written.undo), ToolStart)] == [
        "get.weather",
        "get/weather",
        "x_y",
        "x.y",
    ]
    parts = answer([{"type": "tool_use", "id": "c", "name": names[1], "input": {}}], written.undo, "tool_use").parts
    assert parts == [ToolCall("c", "get/weather", "{}")]


def test_nothing_changed_means_nothing_to_undo() -> None:
    assert write(ask(tools=[WEATHER]))[1].undo is None


def test_a_wrapped_input_is_unwrapped_and_goes_back_wrapped() -> None:
    many = Tool("many", parameters={"type": "array", "items": {"type": "integer"}})
    body, written, _ = write(
        ask(say("user", "?"), say("assistant", call("a", '{"x": 1}', "many")), result("a"), tools=[many])
    )

    assert body["messages"][1]["content"][0]["input"] == {"value": {"x": 1}}
    events = read(
        started(), tool(0, "c", '{"val', 'ue": [1.0, 2]}', name="many"), stopped("tool_use"), undo=written.undo
    )
    assert [event.arguments for event in of(events, ToolDelta)] == ["[1.0, 2]"]
    dressed = {"type": "tool_use", "id": "c", "name": "many", "input": {"value": [1, 2]}}
    assert answer([dressed], written.undo).parts[0].arguments == "[1,2]"


def test_a_free_form_tool_answers_with_bare_text() -> None:
    patch = Tool("apply_patch", custom=True)
    undo = write(ask(tools=[patch]))[1].undo
    events = read(
        started(), tool(0, "c", '{"input": "*** ', 'Begin\\n"}', name="apply_patch"), stopped("tool_use"), undo=undo
    )

    assert list(of(events, ToolStart, ToolDelta)) == [
        ToolStart(0, "c", "apply_patch", custom=True),
        ToolDelta(0, "*** "),
        ToolDelta(0, "Begin\n"),
    ]
    dressed = {"type": "tool_use", "id": "c", "name": "apply_patch", "input": {"input": "*** Begin"}}
    assert answer([dressed], undo).parts == [ToolCall("c", "apply_patch", "*** Begin", custom=True)]


def test_a_cut_input_comes_back_as_far_as_it_got() -> None:
    undo = write(ask(tools=[Tool("apply_patch", custom=True)]))[1].undo
    events = read(started(), tool(0, "c", '{"input": "*** Be', name="apply_patch"), stopped("max_tokens"), undo=undo)

    assert [event.arguments for event in of(events, ToolDelta)] == ["*** Be"]
    assert next(of(events, Finished)).reason == "length"


# ---------------------------------------------------------------- tool_choice


@pytest.mark.parametrize(
    ("fields", "wire"),
    [
        ({}, None),
        ({"parallel_tool_calls": True}, None),
        ({"parallel_tool_calls": False}, {"type": "auto", "disable_parallel_tool_use": True}),
        ({"tool_choice": ToolChoice("auto")}, {"type": "auto"}),
        ({"tool_choice": ToolChoice("none"), "parallel_tool_calls": False}, {"type": "none"}),
        ({"tool_choice": REQUIRED}, {"type": "any"}),
        (
            {"tool_choice": NAMED, "parallel_tool_calls": False},
            {"type": "tool", "name": "get_weather", "disable_parallel_tool_use": True},
        ),
        ({"tool_choice": ToolChoice("allowed_auto", ["search"])}, {"type": "auto"}),
        ({"tool_choice": ToolChoice("allowed_required", ["search"])}, {"type": "tool", "name": "search"}),
        ({"tool_choice": ToolChoice("allowed_required", ["search", "get_weather"])}, {"type": "any"}),
    ],
)
def test_a_choice_as_anthropic_says_it(fields: Any, wire: Any) -> None:
    body = body_of(ask(tools=[WEATHER, OTHER], **fields))

    assert body.get("tool_choice") == wire
    assert len(body["tools"]) == 2


def test_without_tools_there_is_nothing_to_choose() -> None:
    assert "tool_choice" not in body_of(ask(parallel_tool_calls=False, tool_choice=ToolChoice("auto")))
    assert refused(tool_choice=REQUIRED).param == "tool_choice"


def test_a_tool_that_is_not_offered_cannot_be_chosen() -> None:
    assert refused(tools=[WEATHER], tool_choice=ToolChoice("named", ["nope"])).param == "tool_choice"


def test_a_forced_choice_wins_over_thinking_that_was_asked_for() -> None:
    body, _, notes = write(ask(tools=[WEATHER], tool_choice=REQUIRED, effort="high"))

    assert "thinking" not in body
    assert body["output_config"] == {"effort": "high"}
    assert notes.warnings == ["thinking_dropped_for_forced_tool"]


# ---------------------------------------------------------------- emulated choice


def forced(choice: ToolChoice, *tools: Tool, **fields: Any) -> tuple[dict[str, Any], Any, Notes]:
    request: Request = ask(tools=list(tools), tool_choice=choice, **fields)
    body, written, notes = write(request, target(UNFORCED))
    return body, written.undo, notes


@pytest.mark.parametrize("choice", [NAMED, REQUIRED])
def test_a_forced_tool_becomes_structured_output_that_reads_as_a_call(choice: ToolChoice) -> None:
    body, undo, notes = forced(choice, WEATHER)

    assert body["tool_choice"] == {"type": "none"}
    assert body["tools"][0]["name"] == "get_weather"
    assert body["output_config"]["format"]["schema"]["properties"] == {"city": {"type": "string"}}
    assert notes.warnings == ["forced_tool_emulated"]

    events = read(started(), text(0, '{"city":', ' "Paris"}'), stopped(), undo=undo)
    start, *deltas = of(events, ToolStart, ToolDelta)
    assert (start.index, start.name, start.id[:5]) == (0, "get_weather", "call_")
    assert "".join(delta.arguments for delta in deltas) == '{"city": "Paris"}'
    assert next(of(events, Finished)).reason == "tool_calls"
    assert not list(of(events, TextDelta))

    choice_ = answer([{"type": "text", "text": '{"city": "Paris"}'}], undo)
    assert choice_.parts == [ToolCall(start.id, "get_weather", '{"city": "Paris"}')]
    assert choice_.finish == "tool_calls"


def test_one_of_many_is_a_choice_in_the_schema() -> None:
    body, undo, _ = forced(REQUIRED, WEATHER, OTHER)

    schema = body["output_config"]["format"]["schema"]
    variants = schema["properties"]["call"]["anyOf"]
    assert [variant["properties"]["tool"] for variant in variants] == [{"const": "get_weather"}, {"const": "search"}]
    assert variants[1]["properties"]["arguments"]["properties"]["q"] == {"$ref": "#/$defs/t1_Q"}
    assert schema["$defs"] == {"t1_Q": {"type": "string"}}

    said = '{"call": {"tool": "search", "arguments": {"q": 1.0}}}'
    assert list(of(read(started(), text(0, said[:9], said[9:]), stopped(), undo=undo), ToolDelta)) == [
        ToolDelta(0, '{"q": 1.0}')
    ]
    assert answer([{"type": "text", "text": said}], undo).parts[0].name == "search"


def test_a_cut_choice_of_many_stays_text() -> None:
    undo = forced(REQUIRED, WEATHER, OTHER)[1]
    events = read(started(), text(0, '{"call": {"to'), stopped("max_tokens"), undo=undo)

    assert list(of(events, TextDelta, ToolStart)) == [TextDelta('{"call": {"to')]
    assert answer([{"type": "text", "text": '{"call'}], undo, "max_tokens").parts == [Text('{"call')]


def test_a_forced_free_form_tool_answers_with_its_bare_text() -> None:
    undo = forced(ToolChoice("named", ["patch"]), Tool("patch", custom=True))[1]
    events = read(started(), text(0, '{"inp', 'ut": "abc"}'), stopped(), undo=undo)

    assert [event.arguments for event in of(events, ToolDelta)] == ["abc"]
    assert next(of(events, ToolStart)).custom


def test_what_no_schema_can_say_is_left_to_the_model() -> None:
    body, undo, notes = forced(
        NAMED, Tool("get_weather", parameters={"type": "object", "additionalProperties": {"type": "string"}})
    )

    assert body["tool_choice"] == {"type": "auto"}
    assert (undo, notes.dropped, notes.warnings) == (None, ["tool_choice"], ["forced_tool_downgraded"])


def test_too_many_tools_for_one_schema_are_left_to_the_model() -> None:
    tools = [Tool(f"t{i}", parameters={"type": "object", "properties": {}}) for i in range(21)]

    assert forced(REQUIRED, *tools)[0]["tool_choice"] == {"type": "auto"}


def test_an_emulated_tool_needs_the_schema_for_itself() -> None:
    wanted = ResponseFormat("json_schema", {"type": "object", "properties": {}})
    _, _, notes = forced(NAMED, WEATHER, format=wanted)

    assert notes.dropped == ["response_format"]


def test_text_beside_a_thought_is_still_the_forced_call() -> None:
    undo = forced(NAMED, WEATHER)[1]
    thinking = block(
        0, {"type": "thinking", "thinking": "", "signature": ""}, {"type": "signature_delta", "signature": "s"}
    )
    events = read(started(), thinking, text(1, "{}"), stopped(), undo=undo)

    assert [event.arguments for event in of(events, ToolDelta)] == ["{}"]
