"""A Gemini client's request into types.Request: spellings, contents, tools, settings, and what google's own clients send."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest
from gemini_clients import read, sent
from google.ai import generativelanguage as glm
from google.genai import types
from google.protobuf import json_format

from gateway.dialects.gemini import GEMINI
from gateway.types import (
    Audio,
    BadRequest,
    Document,
    Image,
    Message,
    Opaque,
    Part,
    Reasoning,
    ResponseFormat,
    Text,
    Tool,
    ToolCall,
    ToolChoice,
    ToolResult,
    VendorBlock,
)

WEATHER = {"name": "weather", "parameters": {"type": "OBJECT", "properties": {"city": {"type": "STRING"}}}}
CALL = {"role": "model", "parts": [{"functionCall": {"name": "weather", "args": {"city": "Rome"}}}]}


def parts(*wire: Any, role: str = "user") -> list[Part]:
    return read(contents=[{"role": role, "parts": list(wire)}]).messages[0].parts


def answered(*wire: Any) -> list[Message]:
    """The messages of a history that ends with results for two calls: weather of Rome, weather of Oslo."""
    calls = [
        {"functionCall": {"id": i, "name": "weather", "args": {"city": c}}} for i, c in (("a", "Rome"), ("", "Oslo"))
    ]
    results = [{"functionResponse": result} for result in wire]
    return read(contents=[{"role": "model", "parts": calls}, {"role": "user", "parts": results}]).messages


def refusal(**fields: Any) -> BadRequest:
    with pytest.raises(BadRequest) as found:
        read(**fields)
    return found.value


# ---------------------------------------------------------------- contents


@pytest.mark.parametrize("contents", ["hi", ["hi"], {"parts": "hi"}, {"parts": {"text": "hi"}}, [{"text": "hi"}]])
def test_contents_come_in_many_shapes(contents: Any) -> None:
    assert read(contents=contents).messages == [Message("user", [Text("hi")])]


@pytest.mark.parametrize("system", ["be brief", {"parts": [{"text": "be brief"}]}, {"role": "system", "parts": {"text": "be brief"}}, [{"text": "be brief"}], {"text": "be brief"}])  # fmt: skip
@pytest.mark.parametrize("name", ["systemInstruction", "system_instruction"])
def test_a_system_instruction_comes_in_many_shapes(name: str, system: Any) -> None:
    assert read(**{name: system}).messages[0] == Message("system", [Text("be brief")])


def test_bytes_are_taken_in_both_alphabets_with_and_without_padding() -> None:
    raw = b"\xfb\xff\xfe?"
    for data in (base64.b64encode(raw), base64.urlsafe_b64encode(raw), base64.urlsafe_b64encode(raw).rstrip(b"=")):
        assert parts({"inline_data": {"mime_type": "image/png", "data": data.decode()}}) == [
            Image("image/png", base64.b64encode(raw).decode())
        ]


def test_bytes_become_what_their_type_says() -> None:
    def blob(mime: str) -> Any:
        return {"inlineData": {"mimeType": mime, "data": "aGk="}}

    assert parts(blob("audio/mpeg"), blob("audio/wav"), blob("application/pdf"), blob("text/csv; charset=utf-8")) == [
        Audio("mp3", "aGk="),
        Audio("wav", "aGk="),
        Document("application/pdf", "aGk="),
        Document("text/csv", text="hi"),
    ]


def test_files_at_google_are_ids_and_others_addresses() -> None:
    own = "https://generativelanguage.googleapis.com/v1beta/files/x"
    assert parts(
        {"fileData": {"fileUri": own, "mimeType": "image/png"}},
        {"fileData": {"fileUri": "https://x.test/a.jpg?b"}},
        {"fileData": {"fileUri": "https://x.test/a", "mimeType": "application/pdf"}, "mediaResolution": {"level": "x"}},
    ) == [
        Document("image/png", file_id=own),
        Image(url="https://x.test/a.jpg?b"),
        Document("application/pdf", url="https://x.test/a"),
    ]


def test_results_are_matched_by_id_else_by_name_in_order() -> None:
    by_id = answered({"id": "a", "name": "weather", "response": {"output": "sun"}})
    call = by_id[0].parts[1]
    assert isinstance(call, ToolCall)
    assert by_id[1].parts == [ToolResult("a", [Text("sun")], "weather")]

    by_name = answered(
        {"name": "weather", "response": {"output": [1, 2]}}, {"name": "weather", "response": {"error": "no"}}
    )
    assert by_name[1].parts == [
        ToolResult("a", [Text("[1,2]")], "weather"),
        ToolResult(call.id, [Text("no")], "weather", is_error=True),
    ]
    assert call.id.startswith("call_") and len(call.id) == 29


def test_a_result_keeps_the_object_that_its_tool_gave_and_what_it_shows() -> None:
    media = {"inlineData": {"mimeType": "image/png", "data": "aGk="}}
    found = answered({"name": "weather", "response": {"result": 1, "output": 2}, "parts": [media]})[1].parts

    assert found == [ToolResult("a", [Text('{"result":1,"output":2}'), Image("image/png", "aGk=")], "weather")]


def test_a_result_without_its_call_is_refused_by_name() -> None:
    result = {"functionResponse": {"name": "other", "response": {}}}
    error = refusal(contents=[CALL, {"role": "function", "parts": [result]}])

    assert error.param == "contents[1].parts[0].functionResponse.name"


def test_text_beside_results_follows_them() -> None:
    result = {"functionResponse": {"name": "weather", "response": {"output": "sun"}}}
    messages = read(contents=[CALL, {"role": "user", "parts": [{"text": "so?"}, result]}]).messages

    assert [message.role for message in messages] == ["assistant", "tool", "user"]


def test_a_stream_that_a_client_stored_in_pieces_is_one_turn() -> None:
    pieces = [{"role": "model", "parts": [{"text": text}]} for text in ("Hel", "lo", "")]
    messages = read(contents=["hi", *pieces, CALL]).messages

    assert len(messages) == 2
    assert messages[1].parts[0] == Text("Hello")
    assert isinstance(messages[1].parts[1], ToolCall)


def test_signatures_stay_on_their_parts() -> None:
    envelope = base64.b64encode(b"gw1.secret").decode()
    call = {"functionCall": {"id": "a", "name": "f"}, "thoughtSignature": "c2ln"}
    found = parts(
        {"text": "hm", "thought": True},
        {"text": "one", "thoughtSignature": "c2ln"},
        {"text": "two", "thought_signature": envelope.rstrip("=")},
        call,
        {"text": "", "thoughtSignature": envelope},
        {"thoughtSignature": "skip_thought_signature_validator"},
        role="model",
    )
    native, sealed = Opaque("google", "thought_signature", "c2ln"), Opaque("gateway", "sealed", "gw1.secret")

    assert found == [
        Reasoning("hm"),
        Text("one", opaque=native),
        Text("two", opaque=sealed),
        ToolCall("a", "f", "{}", opaque=native),
        Reasoning("", sealed),
        Reasoning("", Opaque("google", "thought_signature", "skip_thought_signature_validator")),
    ]


def test_code_that_gemini_ran_is_kept_for_gemini() -> None:
    block = {"executable_code": {"language": "PYTHON", "code": "1"}, "thoughtSignature": "c2ln"}
    kept = {"executableCode": {"language": "PYTHON", "code": "1"}, "thoughtSignature": "c2ln"}

    assert parts(block, role="model") == [VendorBlock(Opaque("google", "server_block", kept))]


@pytest.mark.parametrize(
    ("contents", "param"),
    [
        (None, "contents"),
        ([], "contents"),
        ([{"role": "model", "parts": [{"text": ""}]}], "contents"),
        (5, "contents[0]"),
        ([{"role": "system", "parts": []}], "contents[0].role"),
        ([{"parts": [{}]}], "contents[0].parts[0]"),
        ([{"parts": [{"text": 5}]}], "contents[0].parts[0].text"),
        ([{"parts": [{"inlineData": {"mimeType": "image/png", "data": "*"}}]}], "contents[0].parts[0].inlineData.data"),
        ([{"parts": [{"inlineData": {"data": "aGk="}}]}], "contents[0].parts[0].inlineData.mimeType"),
        ([{"parts": [{"fileData": {}}]}], "contents[0].parts[0].fileData.fileUri"),
        ([{"parts": [{"text": "a", "thoughtSignature": "*"}]}], "contents[0].parts[0].thoughtSignature"),
        ([{"parts": [{"functionCall": {"name": "f"}}]}], "contents[0].parts[0].functionCall"),
        ([{"role": "model", "parts": [{"functionCall": {}}]}], "contents[0].parts[0].functionCall.name"),
        ([{"role": "model", "parts": [{"functionCall": {"name": "f", "args": []}}]}], "contents[0].parts[0].functionCall.args"),
        ([{"inlineData": {}, "inline_data": {}}], "contents[0].inlineData"),
    ],
)  # fmt: skip
def test_what_cannot_be_understood_is_named_in_googles_spelling(contents: Any, param: str) -> None:
    assert refusal(contents=contents).param == param


# ---------------------------------------------------------------- tools


def test_functions_come_with_either_kind_of_schema() -> None:
    schema = {"type": "object", "properties": {"a": {"type": ["string", "null"]}}}
    declarations = [WEATHER, {"name": "g", "description": "d", "parametersJsonSchema": schema}, {"name": "h"}]

    assert read(tools=[{"functionDeclarations": declarations}, {"googleSearch": {}}]).tools == [
        Tool("weather", parameters={"type": "object", "properties": {"city": {"type": "string"}}}),
        Tool("g", "d", schema),
        Tool("h"),
        Tool("googleSearch", native={"googleSearch": {}}),
    ]


@pytest.mark.parametrize(
    ("mode", "names", "choice"),
    [
        ("AUTO", [], ToolChoice("auto")),
        (1, [], ToolChoice("auto")),
        ("none", [], ToolChoice("none")),
        ("ANY", [], ToolChoice("required")),
        ("ANY", ["weather"], ToolChoice("named", ["weather"])),
        ("ANY", ["weather", "g"], ToolChoice("allowed_required", ["weather", "g"])),
        ("VALIDATED", [], ToolChoice("auto")),
        ("VALIDATED", ["g"], ToolChoice("allowed_auto", ["g"])),
        ("MODE_UNSPECIFIED", [], None),
    ],
)
def test_the_choice_among_tools_has_its_counterpart(mode: Any, names: list[str], choice: ToolChoice | None) -> None:
    tools = [{"function_declarations": [WEATHER, {"name": "g"}]}]
    config = {"function_calling_config": {"mode": mode, "allowed_function_names": names}}

    assert read(tools=tools, tool_config=config).tool_choice == choice


@pytest.mark.parametrize(
    ("tools", "calling", "param"),
    [
        ([], {"mode": "ANY"}, "toolConfig"),
        ([{"functionDeclarations": [WEATHER]}], {"mode": "SOME"}, "toolConfig.functionCallingConfig.mode"),
        ([{"functionDeclarations": [WEATHER]}], {"mode": 9}, "toolConfig.functionCallingConfig.mode"),
        (
            [{"functionDeclarations": [WEATHER]}],
            {"mode": "ANY", "allowedFunctionNames": ["weather", "x"]},
            "toolConfig.functionCallingConfig.allowedFunctionNames[1]",
        ),
        ([{"functionDeclarations": [WEATHER, WEATHER]}], {}, "tools"),
        ([{"functionDeclarations": [{}]}], {}, "tools[0].functionDeclarations[0].name"),
    ],
)
def test_tools_that_cannot_be_meant_are_refused(tools: Any, calling: Any, param: str) -> None:
    assert refusal(tools=tools, toolConfig={"functionCallingConfig": calling}).param == param


# ---------------------------------------------------------------- generationConfig


def test_settings_are_read_in_both_spellings_and_numbers_as_strings() -> None:
    camel = {"maxOutputTokens": "100", "topP": 0.5, "topK": 40.0, "candidateCount": 2, "stopSequences": ["END"],
             "seed": "7", "presencePenalty": 1, "frequencyPenalty": "0.5", "responseLogprobs": True, "logprobs": 3}  # fmt: skip
    snake = {"max_output_tokens": 100, "top_p": 0.5, "top_k": 40, "candidate_count": "2", "stop_sequences": "END",
             "seed": 7, "presence_penalty": 1.0, "frequency_penalty": 0.5, "response_logprobs": True, "logprobs": 3}  # fmt: skip
    one, other = read(generationConfig=camel), read(generation_config=snake)

    assert one == other
    assert (one.max_tokens, one.top_p, one.top_k, one.n, one.stop, one.seed) == (100, 0.5, 40, 2, ["END"], 7)
    assert (one.presence_penalty, one.frequency_penalty, one.logprobs, one.top_logprobs) == (1, 0.5, True, 3)


@pytest.mark.parametrize(
    ("config", "effort"),
    [
        ({}, None),
        ({"thinkingLevel": "THINKING_LEVEL_UNSPECIFIED"}, None),
        ({"thinkingLevel": "minimal"}, "minimal"),
        ({"thinking_level": "XHIGH", "thinkingBudget": 0}, "xhigh"),
        *(({"thinkingBudget": b}, e) for b, e in (
            (0, "none"), (128, "minimal"), (512, "minimal"), (1024, "low"), (8192, "medium"), (24576, "high"),
            (32768, "xhigh"), (-1, "medium"),
        )),
    ],
)  # fmt: skip
def test_thinking_becomes_an_effort(config: Any, effort: str | None) -> None:
    assert read(generationConfig={"thinkingConfig": config}).effort == effort


def test_thoughts_are_shown_to_those_who_ask() -> None:
    assert read().show_thoughts is False
    assert read(generationConfig={"thinkingConfig": {"include_thoughts": True}}).show_thoughts is True


def test_an_output_format_has_its_counterpart() -> None:
    def wanted(**config: Any) -> ResponseFormat | None:
        return read(generationConfig=config).format

    schema = {"type": "OBJECT", "properties": {"a": {"type": "STRING"}}}
    as_json = ResponseFormat("json_schema", {"type": "object", "properties": {"a": {"type": "string"}}})
    assert wanted(responseMimeType="text/plain") is None
    assert wanted(responseMimeType="application/json") == ResponseFormat("json_object")
    assert wanted(responseMimeType="application/json", responseSchema=schema) == as_json
    assert wanted(response_json_schema=as_json.schema) == as_json


def test_what_has_no_place_is_kept_under_its_own_name() -> None:
    request = read(
        safety_settings=[{"category": 7, "threshold": 4}], cachedContent="cachedContents/x", labels={"a": "b"}, store=False,
        serviceTier="standard", generationConfig={"responseMimeType": "text/x.enum", "responseSchema": {"enum": ["a"]},
        "speech_config": {}},
    )  # fmt: skip

    assert request.extra == {
        "safetySettings": [{"category": 7, "threshold": 4}],
        "cachedContent": "cachedContents/x",
        "labels": {"a": "b"},
        "store": False,
        "responseMimeType": "text/x.enum",
        "responseSchema": {"enum": ["a"]},
        "speechConfig": {},
    }
    assert request.unportable == ["cachedContent"]
    assert request.service_tier == "default"


@pytest.mark.parametrize(
    ("config", "param"),
    [
        ({"temperature": 3}, "temperature"),
        ({"topP": True}, "topP"),
        ({"maxOutputTokens": 0}, "maxOutputTokens"),
        ({"max_output_tokens": 10**40}, "maxOutputTokens"),
        ({"candidateCount": 9}, "candidateCount"),
        ({"logprobs": 3}, "logprobs"),
        ({"stopSequences": [1]}, "stopSequences[0]"),
        ({"thinkingConfig": {"thinkingLevel": "HUGE"}}, "thinkingConfig.thinkingLevel"),
        ({"responseSchema": {"properties": {"a": 1}}}, "responseSchema.properties.a"),
        ({"topK": "ten"}, "topK"),
        ({"seed": 1.5}, "seed"),
    ],
)
def test_a_wrong_setting_is_named(config: Any, param: str) -> None:
    assert refusal(generationConfig=config).param == f"generationConfig.{param}"


# ---------------------------------------------------------------- what Google's own clients send


def test_what_google_genai_sends_is_read() -> None:
    chat = [
        types.Content(role="user", parts=[types.Part(text="hi"), types.Part.from_bytes(data=b"\xff", mime_type="image/png")]),
        types.Content(role="model", parts=[types.Part(function_call=types.FunctionCall(name="f", args={"a": 1}), thought_signature=b"\xfb\xff")]),
        types.Content(role="user", parts=[types.Part.from_function_response(name="f", response={"output": "x"})]),
    ]  # fmt: skip
    function = types.FunctionDeclaration(name="f", parameters=types.Schema(type=types.Type.OBJECT, properties={"a": types.Schema(type=types.Type.INTEGER, nullable=True, max_items=3)}))  # fmt: skip
    body = sent(
        chat, system_instruction="be brief", temperature=0.5, max_output_tokens=9, tools=[types.Tool(function_declarations=[function])],
        thinking_config=types.ThinkingConfig(thinking_budget=0, include_thoughts=True), response_mime_type="application/json",
        response_schema={"type": "OBJECT", "properties": {"x": {"type": "STRING"}}},
    )  # fmt: skip
    request = GEMINI.read_request(body)
    call = request.messages[2].parts[0]

    assert [message.role for message in request.messages] == ["system", "user", "assistant", "tool"]
    assert isinstance(call, ToolCall) and call.opaque == Opaque("google", "thought_signature", "-_8=")
    assert (request.temperature, request.max_tokens, request.effort, request.show_thoughts) == (0.5, 9, "none", True)
    assert request.tools[0].parameters == {
        "type": "object",
        "properties": {"a": {"type": ["integer", "null"], "maxItems": 3}},
    }
    assert request.format is not None and request.format.schema is not None
    assert GEMINI.peek(body).max_tokens == 9


def test_what_google_generativeai_sends_over_rest_is_read() -> None:
    """Protos as JSON: camelCase, enums as numbers, 64-bit numbers as strings."""
    schema = glm.Schema(type_=glm.Type.OBJECT, properties={"type": glm.Schema(type_=glm.Type.ARRAY, items=glm.Schema(type_=glm.Type.STRING), max_items=5)}, required=["type"])  # fmt: skip
    message = glm.GenerateContentRequest(
        contents=[glm.Content(role="user", parts=[glm.Part(text="hi")])],
        system_instruction=glm.Content(parts=[glm.Part(text="be brief")]),
        tools=[glm.Tool(function_declarations=[glm.FunctionDeclaration(name="f", parameters=schema)])],
        tool_config=glm.ToolConfig(function_calling_config=glm.FunctionCallingConfig(mode=glm.FunctionCallingConfig.Mode.ANY)),
        safety_settings=[glm.SafetySetting(category=glm.HarmCategory.HARM_CATEGORY_HARASSMENT, threshold=glm.SafetySetting.HarmBlockThreshold.BLOCK_NONE)],
        generation_config=glm.GenerationConfig(candidate_count=1, max_output_tokens=9, temperature=0.5, response_schema=schema, response_mime_type="application/json"),
    )  # fmt: skip
    body = json_format.MessageToJson(glm.GenerateContentRequest.pb(message), use_integers_for_enums=True).encode()
    request = GEMINI.read_request(body)
    wanted = {"type": "object", "properties": {"type": {"type": "array", "items": {"type": "string"}, "maxItems": 5}}, "required": ["type"]}  # fmt: skip

    assert b'"maxItems": "5"' in body and b'"type": 6' in body
    assert request.tools == [Tool("f", parameters=wanted)]
    assert request.tool_choice == ToolChoice("required")
    assert request.format == ResponseFormat("json_schema", wanted)
    assert (request.max_tokens, request.n, request.temperature) == (9, 1, 0.5)
    assert json.loads(body)["safetySettings"] == request.extra["safetySettings"]
    assert GEMINI.peek(body).max_tokens == 9
