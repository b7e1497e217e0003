"""Function declarations, names, the choice among tools, and the way back."""

from __future__ import annotations

import json
from typing import Any

import pytest
from gemini_models import (
    GEMINI_2_0,
    GEMINI_2_5,
    GEMINI_3,
    WEATHER,
    answer,
    ask,
    body,
    call,
    parts,
    result,
    say,
    written,
)

from gateway.dialects.gemini import Gemini
from gateway.types import Notes, Tool, ToolCall, ToolChoice, Unsupported

SCHEMA = {
    "$schema": "http://json-schema.org/x",
    "type": "object",
    "properties": {"a": {"$ref": "#/$defs/A"}},
    "$defs": {"A": {"type": ["string", "null"]}},
}


def declared(*tools: Tool, abilities: Any = GEMINI_3) -> list[Any]:
    return list(body(ask(tools=list(tools)), abilities)["tools"][0]["functionDeclarations"])


def reply(name: str, args: Any) -> bytes:
    call = {"functionCall": {"name": name, "args": args}}
    return json.dumps({"candidates": [{"content": {"parts": [call]}, "finishReason": "STOP"}]}).encode()


def test_all_functions_stand_in_one_entry_with_their_schemas_as_they_came() -> None:
    first, second = declared(Tool("a", "does a", SCHEMA), Tool("b"))

    assert first["parametersJsonSchema"] == {key: SCHEMA[key] for key in ("type", "properties", "$defs")}
    assert first["description"] == "does a"
    assert second == {"name": "b"}


def test_older_models_get_the_subset_of_openapi() -> None:
    (only,) = declared(Tool("a", "", SCHEMA), abilities=GEMINI_2_0)

    assert only["parameters"] == {"type": "OBJECT", "properties": {"a": {"type": "STRING", "nullable": True}}}
    assert "parametersJsonSchema" not in only


def test_a_function_without_properties_has_no_parameters() -> None:
    assert declared(Tool("a", "", {"type": "object", "properties": {}})) == [{"name": "a"}]


def test_illegal_names_get_an_alias_everywhere_and_come_back() -> None:
    tools = [Tool("my tool/ä", "", {"properties": {"x": {}}}), Tool("my_tool__")]
    history = [say("go"), answer(ToolCall("c1", "my tool/ä", "{}")), result("c1")]
    request = ask(*history, tools=tools, tool_choice=ToolChoice("named", ["my tool/ä"]))
    wire = body(request)
    (alias, plain) = (made["name"] for made in wire["tools"][0]["functionDeclarations"])

    assert plain == "my_tool__"
    assert alias.startswith("my_tool___") and alias != plain
    assert wire["toolConfig"]["functionCallingConfig"] == {"mode": "ANY", "allowedFunctionNames": [alias]}
    assert wire["contents"][1]["parts"][0]["functionCall"]["name"] == alias
    assert wire["contents"][2]["parts"][0]["functionResponse"]["name"] == alias

    back = Gemini().read_reply(reply(alias, {"x": 1}), written(request).undo).choices[0].parts[0]
    assert isinstance(back, ToolCall) and back.name == "my tool/ä"


def test_parameters_that_are_no_object_are_wrapped_and_unwrapped() -> None:
    tool = Tool("pick", "", {"anyOf": [{"$ref": "#/$defs/A"}], "$defs": {"A": {"type": "string"}}})
    request = ask(say("go"), answer(call("c", '"x"', "pick")), result("c"), tools=[tool])
    wire = body(request)

    assert wire["tools"][0]["functionDeclarations"][0]["parametersJsonSchema"] == {
        "type": "object",
        "properties": {"value": {"anyOf": [{"$ref": "#/$defs/A"}]}},
        "required": ["value"],
        "$defs": {"A": {"type": "string"}},
    }
    assert wire["contents"][1]["parts"][0]["functionCall"]["args"] == {"value": "x"}
    back = Gemini().read_reply(reply("pick", {"value": "y"}), written(request).undo).choices[0].parts[0]
    assert isinstance(back, ToolCall) and back.arguments == '"y"'


def test_a_root_that_only_refers_is_opened() -> None:
    (only,) = declared(
        Tool("a", "", {"$ref": "#/$defs/A", "$defs": {"A": {"type": "object", "properties": {"x": {}}}}})
    )

    assert only["parametersJsonSchema"]["properties"] == {"x": {}}


def test_a_free_form_tool_is_a_function_of_one_text() -> None:
    tool = Tool(
        "patch", "Edits files.", custom=True, grammar={"type": "grammar", "syntax": "lark", "definition": "start: x"}
    )
    request = ask(say("go"), answer(ToolCall("c", "patch", "+ line", custom=True)), result("c"), tools=[tool])
    wire = body(request)
    (made,) = wire["tools"][0]["functionDeclarations"]

    assert made["parametersJsonSchema"]["required"] == ["input"]
    assert made["description"] == "Edits files.\n\nThe input must match this lark grammar:\nstart: x"
    assert wire["contents"][1]["parts"][0]["functionCall"]["args"] == {"input": "+ line"}
    back = Gemini().read_reply(reply("patch", {"input": "+ ü\n"}), written(request).undo).choices[0].parts[0]
    assert isinstance(back, ToolCall) and (back.custom, back.arguments) == (True, "+ ü\n")


def test_nothing_is_undone_where_nothing_was_changed() -> None:
    undo = written(ask(tools=[WEATHER])).undo

    assert (undo.names, undo.custom, undo.wrapped) == ({}, frozenset(), frozenset())


@pytest.mark.parametrize(
    ("choice", "config"),
    [
        (ToolChoice("auto"), {"mode": "AUTO"}),
        (ToolChoice("none"), {"mode": "NONE"}),
        (ToolChoice("required"), {"mode": "ANY"}),
        (ToolChoice("named", ["weather"]), {"mode": "ANY", "allowedFunctionNames": ["weather"]}),
        (ToolChoice("allowed_auto", ["weather"]), {"mode": "VALIDATED", "allowedFunctionNames": ["weather"]}),
        (ToolChoice("allowed_required", ["weather"]), {"mode": "ANY", "allowedFunctionNames": ["weather"]}),
    ],
)
def test_every_choice_has_its_mode(choice: ToolChoice, config: dict[str, Any]) -> None:
    wire = body(ask(tools=[WEATHER], tool_choice=choice))

    assert wire["toolConfig"] == {"functionCallingConfig": config}


def test_a_strict_tool_is_validated_where_the_model_can() -> None:
    strict = Tool("a", "", WEATHER.parameters, strict=True)

    assert body(ask(tools=[strict]))["toolConfig"] == {"functionCallingConfig": {"mode": "VALIDATED"}}
    assert "toolConfig" not in body(ask(tools=[strict]), GEMINI_2_0)


@pytest.mark.parametrize(
    "request_fields",
    [
        {"tools": [WEATHER], "tool_choice": ToolChoice("named", ["other"])},
        {"tool_choice": ToolChoice("required")},
        {"tools": [WEATHER, WEATHER]},
        {"tools": [Tool("", native={"type": "computer_use_preview"})]},
    ],
)
def test_choices_and_tools_without_meaning_are_refused(request_fields: dict[str, Any]) -> None:
    with pytest.raises(Unsupported) as refusal:
        body(ask(**request_fields))
    assert refusal.value.param.startswith("tool")


def test_a_choice_of_nothing_without_tools_is_nothing() -> None:
    assert "toolConfig" not in body(ask(tool_choice=ToolChoice("none")))


def test_one_call_at_a_time_cannot_be_asked_for() -> None:
    notes = Notes()
    body(ask(tools=[WEATHER], parallel_tool_calls=False), notes=notes)

    assert (notes.dropped, notes.warnings) == (["parallel_tool_calls"], ["parallel_tool_calls_ignored"])
    with pytest.raises(Unsupported):
        body(ask(tools=[WEATHER], parallel_tool_calls=False), notes=Notes(strict=True))


def test_googles_own_tools_go_as_they_are_and_a_search_of_others_becomes_its_own() -> None:
    notes = Notes()
    own = [Tool("", native={"url_context": {}}), Tool("", native={"type": "web_search_20260209", "name": "web_search"})]

    assert body(ask(tools=own), notes=notes)["tools"] == [{"urlContext": {}}, {"googleSearch": {}}]
    assert notes.warnings == ["web_search_emulated"]
    assert body(ask(extra={"web_search_options": {}}))["tools"] == [{"googleSearch": {}}]


def test_own_tools_beside_functions_need_the_third_generation() -> None:
    request = ask(tools=[WEATHER, Tool("", native={"google_search": {}})])

    assert body(request, GEMINI_3)["toolConfig"] == {"includeServerSideToolInvocations": True}
    with pytest.raises(Unsupported):
        body(request, GEMINI_2_5)


def test_a_search_that_need_not_be_there_never_stands_in_the_way() -> None:
    live, cached = {"type": "web_search"}, {"type": "web_search", "external_web_access": False}
    for native, abilities in ((live, GEMINI_2_5), (cached, GEMINI_3)):
        notes = Notes()
        request = ask(tools=[WEATHER, Tool("web_search", native=native, optional=True)])

        assert len(body(request, abilities, notes)["tools"]) == 1
        assert (notes.dropped, notes.warnings) == (["tools.web_search"], ["server_tool_unsupported"])
    assert body(ask(tools=[Tool("web_search", native=live, optional=True)]), GEMINI_2_5)["tools"] == [
        {"googleSearch": {}}
    ]


def test_a_free_form_answer_without_its_text_is_empty() -> None:
    undo = written(ask(tools=[Tool("patch", custom=True)])).undo

    back = Gemini().read_reply(reply("patch", [1]), undo).choices[0].parts[0]
    assert isinstance(back, ToolCall) and back.arguments == ""


def test_the_parts_of_a_history_call_use_the_declared_shape() -> None:
    assert parts(ask(say("go"), answer(call("c", '{"city":"Rom"}')), result("c"), tools=[WEATHER]))[1][
        "functionCall"
    ] == {
        "name": "weather",
        "args": {"city": "Rom"},
        "id": "c",
    }
