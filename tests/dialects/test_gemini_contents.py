"""Turns, calls, results, signatures and files towards Gemini."""

from __future__ import annotations

import itertools
from typing import Any

import pytest
from gemini_models import (
    GEMINI_2_5,
    GEMINI_3,
    GEMINI_3_8,
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

from gateway.types import (
    Audio,
    Document,
    Image,
    Message,
    Notes,
    Opaque,
    Part,
    Reasoning,
    Refusal,
    Text,
    ToolResult,
    Translation,
    Unsupported,
    VendorBlock,
)

SENTINEL = "skip_thought_signature_validator"


def test_the_leading_system_messages_become_the_instruction() -> None:
    wire = body(ask(Message("system", [Text("a")]), Message("developer", [Text("b"), Text("")]), say("hi")))

    assert wire["systemInstruction"] == {"parts": [{"text": "a"}, {"text": "b"}]}
    assert wire["contents"] == [{"role": "user", "parts": [{"text": "hi"}]}]


def test_a_later_system_message_stays_in_its_place() -> None:
    notes = Notes()
    wire = body(ask(say("hi"), answer(Text("yes")), Message("system", [Text("new rule")]), say("go")), notes=notes)

    assert "systemInstruction" not in wire
    assert wire["contents"][2]["parts"] == [{"text": "<system-message>new rule</system-message>"}, {"text": "go"}]
    assert notes.warnings == ["system_message_inlined"]


def test_a_request_of_system_messages_alone_still_says_something() -> None:
    wire = body(ask(Message("system", [Text("be kind")])))

    assert wire["contents"] == [{"role": "user", "parts": [{"text": "be kind"}]}]
    assert "systemInstruction" not in wire


def test_a_request_that_says_nothing_has_one_blank_part() -> None:
    assert parts(ask(say(""))) == [{"text": " "}]


def test_neighbours_of_one_role_become_one_turn() -> None:
    wire = body(ask(say("a"), say("b"), answer(Text("c")), answer(Text(""), Refusal("no")), say("d")))

    assert [turn["role"] for turn in wire["contents"]] == ["user", "model", "user"]
    assert wire["contents"][1]["parts"] == [{"text": "c"}, {"text": "no"}]


def test_an_empty_answer_leaves_no_turn() -> None:
    assert [turn["role"] for turn in body(ask(say("a"), answer(Text("")), say("b")))["contents"]] == ["user"]


def test_a_name_is_said_before_the_first_text() -> None:
    assert parts(ask(Message("user", [Text("hi")], name="ann"))) == [{"text": "ann: hi"}]


def test_results_stand_alone_in_the_order_of_their_calls() -> None:
    wire = body(
        ask(
            say("go"),
            answer(Text("ok"), call("a"), call("b", name="time")),
            result("b", "2"),
            result("a", "x"),
            say("and?"),
        )
    )

    answers = wire["contents"][2]["parts"]
    assert [part["functionResponse"]["id"] for part in answers] == ["a", "b"]
    assert [part["functionResponse"]["name"] for part in answers] == ["weather", "time"]
    assert wire["contents"][3] == {"role": "user", "parts": [{"text": "and?"}]}


def test_text_beside_a_result_in_one_message_comes_after_it() -> None:
    mixed = Message("user", [Text("look"), ToolResult("a", [Text("1")])])
    wire = body(ask(say("go"), answer(call("a")), mixed))

    assert "functionResponse" in wire["contents"][2]["parts"][0]
    assert wire["contents"][3]["parts"] == [{"text": "look"}]


def test_a_result_without_its_call_is_refused() -> None:
    with pytest.raises(Unsupported) as refusal:
        body(ask(say("go"), answer(call("a")), result("b")))
    assert (refusal.value.param, refusal.value.code) == ("messages[2].content[0].tool_call_id", "invalid_request")


def test_a_call_without_its_result_is_refused_in_openai_words() -> None:
    with pytest.raises(Unsupported, match="did not have response messages: a, b") as refusal:
        body(ask(say("go"), answer(call("a"), call("b")), say("well?")))
    assert refusal.value.param == "messages[2]"


def test_a_history_is_repaired_where_the_operator_wants_it() -> None:
    notes = Notes()
    request = ask(say("go"), answer(call("a"), call("b")), result("b", "2"), say("well?"))
    wire = body(request, notes=notes, translation=Translation(repair_history=True))

    assert [part["functionResponse"]["response"] for part in wire["contents"][2]["parts"]] == [
        {"error": "[no result]"},
        {"output": 2},
    ]
    assert notes.warnings == ["tool_result_missing"]


@pytest.mark.parametrize(
    ("text", "is_error", "response"),
    [
        ('{"temp":1.10}', False, '{"temp":1.10}'),
        ("[1,2]", False, '{"output":[1,2]}'),
        ("sunny", False, '{"output":"sunny"}'),
        ("", False, '{"output":""}'),
        ("no such city", True, '{"error":"no such city"}'),
        ('{"code":7}', True, '{"error":{"code":7}}'),
    ],
)
def test_a_result_is_an_object_whatever_the_tool_said(text: str, is_error: bool, response: str) -> None:
    request = ask(say("go"), answer(call("a")), result("a", text, is_error))

    assert f'"response":{response}'.encode() in written(request).body


def test_pictures_in_a_result_go_inside_it_or_after_it() -> None:
    shot = Message("tool", [ToolResult("a", [Text("shot"), Image(media_type="image/png", data="iVBO")])])
    request = ask(say("go"), answer(call("a")), shot)
    picture = {"inlineData": {"mimeType": "image/png", "data": "iVBO"}}

    assert body(request, GEMINI_3)["contents"][2]["parts"][0]["functionResponse"]["parts"] == [picture]
    assert body(request, GEMINI_2_5)["contents"][3] == {"role": "user", "parts": [picture]}


@pytest.mark.parametrize(
    ("arguments", "args"),
    [
        ('{"big":12345678901234567890123,"f":1.10}', '{"big":12345678901234567890123,"f":1.10}'),
        ("", "{}"),
        ("7", '{"value":7}'),
        ('{"a":1}{"b":2}', '{"_raw_arguments":"{\\"a\\":1}{\\"b\\":2}"}'),
    ],
)
def test_arguments_go_as_they_were_written(arguments: str, args: str) -> None:
    request = ask(say("go"), answer(call("a", arguments)), result("a"))

    assert f'"args":{args}'.encode() in written(request).body


@pytest.mark.parametrize(
    ("call_id", "abilities", "sent"),
    [
        ("call_1", GEMINI_2_5, False),
        ("toolu_1", GEMINI_2_5, False),
        ("own1", GEMINI_2_5, True),
        ("call_1", GEMINI_3, True),
    ],
)
def test_an_id_is_on_both_sides_or_on_neither(call_id: str, abilities: Any, sent: bool) -> None:
    made = parts(ask(say("go"), answer(call(call_id)), result(call_id)), abilities)

    assert ("id" in made[1]["functionCall"], "id" in made[2]["functionResponse"]) == (sent, sent)


def test_a_signature_goes_back_on_its_own_call_only() -> None:
    made = parts(ask(say("go"), answer(call("a", signature="c2ln"), call("b")), result("a"), result("b")))

    assert made[1]["thoughtSignature"] == "c2ln"
    assert "thoughtSignature" not in made[2]


def test_calls_of_other_models_are_vouched_for_in_every_turn() -> None:
    history = [say("old"), answer(call("a")), result("a"), answer(Text("done")), say("new")]
    steps = [answer(call("b"), call("c")), result("b"), result("c"), answer(Text("and"), call("d")), result("d")]
    made = parts(ask(*history, *steps))
    signed = {part["functionCall"]["id"]: part.get("thoughtSignature") for part in made if "functionCall" in part}

    assert signed == {"a": SENTINEL, "b": SENTINEL, "c": None, "d": SENTINEL}


def test_a_longer_conversation_keeps_the_marks_of_the_shorter_one() -> None:
    history = [say("old"), answer(call("a")), result("a")]
    longer = [*history, answer(Text("done")), say("new")]

    assert body(ask(*longer))["contents"][:3] == body(ask(*history))["contents"]


def test_older_models_get_no_sentinel() -> None:
    assert not any(
        "thoughtSignature" in part for part in parts(ask(say("go"), answer(call("a")), result("a")), GEMINI_2_5)
    )


def test_another_vendors_signature_counts_as_none() -> None:
    foreign = call("a")
    foreign.opaque = Opaque("anthropic", "thinking", {"signature": "x"})
    made = parts(ask(say("go"), answer(Reasoning("hm", Opaque("anthropic", "thinking", {})), foreign), result("a")))

    assert made[1]["thoughtSignature"] == SENTINEL
    assert "hm" not in str(made)


def test_a_signature_that_is_no_base64_is_refused_by_name() -> None:
    with pytest.raises(Unsupported) as refusal:
        body(ask(say("go"), answer(call("a", signature="ä!")), result("a")))
    assert refusal.value.param == "messages[1].content[0].thought_signature"


def test_what_only_others_read_is_noted_and_a_spoken_answer_is_refused() -> None:
    notes = Notes()
    thought = Reasoning("hm", Opaque("anthropic", "thinking", {}))
    block = VendorBlock(Opaque("anthropic", "server_block", {"type": "server_tool_use"}))
    body(ask(say("go"), answer(thought, block, Text("yes")), say("on")), notes=notes)
    spoken = VendorBlock(Opaque("openai", "audio", {"id": "audio_1"}))

    assert notes.warnings == ["reasoning_not_replayed", "vendor_block_not_replayed"]
    with pytest.raises(Unsupported) as refusal:
        body(ask(say("go"), answer(spoken), say("on")))
    assert refusal.value.param == "messages[1].content[0]"


def test_thoughts_and_texts_keep_their_signatures_and_places() -> None:
    def signed(data: str) -> Opaque:
        return Opaque("google", "thought_signature", data)

    said = answer(
        Reasoning("hm", signed("YQ==")),
        Reasoning("unsigned"),
        Text("yes", opaque=signed("Yg==")),
        Reasoning("", signed("Yw==")),
    )
    made = parts(ask(say("go"), said, say("and?")))

    assert made[1:4] == [
        {"text": "hm", "thought": True, "thoughtSignature": "YQ=="},
        {"text": "yes", "thoughtSignature": "Yg=="},
        {"text": "", "thoughtSignature": "Yw=="},
    ]


def test_geminis_own_blocks_are_replayed_and_others_hidden() -> None:
    code = {"executableCode": {"language": "PYTHON", "code": "1"}}
    own, other = (
        VendorBlock(Opaque("google", "server_block", code)),
        VendorBlock(Opaque("anthropic", "server_block", {"a": 1})),
    )

    assert parts(ask(say("go"), answer(other, own), say("x")))[1:2] == [code]


def test_a_last_assistant_message_is_refused_where_it_cannot_be_continued() -> None:
    request = ask(say("go"), answer(Text("I")))

    assert body(request, GEMINI_2_5)["contents"][-1]["role"] == "model"
    with pytest.raises(Unsupported) as refusal:
        body(request, GEMINI_3_8)
    assert refusal.value.code == "prefill_not_supported"


@pytest.mark.parametrize(
    ("part", "wire"),
    [
        (Image(media_type="image/jpg", data="aaaa"), {"inlineData": {"mimeType": "image/jpeg", "data": "aaaa"}}),
        (
            Image(url="https://x.de/a.PNG?x=1"),
            {"fileData": {"mimeType": "image/png", "fileUri": "https://x.de/a.PNG?x=1"}},
        ),
        (Image(url="gs://bucket/clip.mp4"), {"fileData": {"mimeType": "video/mp4", "fileUri": "gs://bucket/clip.mp4"}}),
        (
            Document(media_type="application/pdf", data="JVBE"),
            {"inlineData": {"mimeType": "application/pdf", "data": "JVBE"}},
        ),
        (Document(text="ü"), {"inlineData": {"mimeType": "text/plain", "data": "w7w="}}),
        (Document(file_id="files/abc"), {"fileData": {"mimeType": "application/pdf", "fileUri": "files/abc"}}),
        (Audio("mp3", "bbbb"), {"inlineData": {"mimeType": "audio/mp3", "data": "bbbb"}}),
    ],
)
def test_files_and_pictures_have_their_places(part: Part, wire: dict[str, Any]) -> None:
    assert parts(ask(Message("user", [part]))) == [wire]


def test_the_detail_of_a_picture_is_for_the_third_generation() -> None:
    request = ask(Message("user", [Image(media_type="image/png", data="aaaa", detail="low")]))

    assert parts(request, GEMINI_3)[0]["mediaResolution"] == {"level": "MEDIA_RESOLUTION_LOW"}
    assert "mediaResolution" not in parts(request, GEMINI_2_5)[0]


def test_a_picture_of_unknown_type_is_guessed_aloud() -> None:
    notes = Notes()

    assert (
        parts(ask(Message("user", [Image(url="https://x.de/a")])), notes=notes)[0]["fileData"]["mimeType"]
        == "image/jpeg"
    )
    assert notes.warnings == ["image_type_guessed"]


@pytest.mark.parametrize(
    "part",
    [
        Image(media_type="image/tiff", data="aaaa"),
        Image(url="http://x.de/a.png"),
        Document(file_id="file_of_another"),
        Document(media_type="application/zip", data="aaaa"),
    ],
)
def test_content_that_the_model_cannot_take_is_refused_by_its_place(part: Part) -> None:
    with pytest.raises(Unsupported) as refusal:
        body(ask(say("see"), Message("user", [Text("x"), part])))
    assert (refusal.value.param, refusal.value.code) == ("messages[1].content[1]", "unsupported_content")


def test_more_than_twenty_megabytes_are_refused() -> None:
    with pytest.raises(Unsupported) as refusal:
        written(ask(Message("user", [Image(media_type="image/png", data="a" * 21 * 1024 * 1024)])))
    assert refusal.value.code == "request_too_large"


def test_each_turn_of_a_conversation_begins_with_the_turn_before() -> None:
    messages = [
        Message("system", [Text("s")]),
        say("a"),
        answer(Text("b"), call("x", signature="c2ln")),
        result("x", "1"),
    ]
    messages += [answer(Text("c")), Message("system", [Text("rule")]), say("d"), answer(Text("e")), say("f")]
    ends = [2, 4, 7, 9]
    bodies = [body(ask(*messages[:end], tools=[WEATHER])) for end in ends]

    for earlier, later in itertools.pairwise(bodies):
        assert later["contents"][: len(earlier["contents"])] == earlier["contents"]
        assert later["systemInstruction"] == earlier["systemInstruction"]
        assert later["tools"] == earlier["tools"]
