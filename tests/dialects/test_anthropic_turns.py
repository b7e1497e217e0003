"""Who speaks when, in which order, and what becomes of what Anthropic does not take."""

from __future__ import annotations

from typing import Any

import pytest
from anthropic_models import SONNET, WEATHER, ask, body_of, call, result, say, target, thought, write

from gateway.types import (
    Audio,
    Document,
    Image,
    Message,
    Opaque,
    Reasoning,
    Refusal,
    Text,
    ToolResult,
    Unsupported,
    VendorBlock,
)

MID = "claude-opus-4-8"


def words(value: str) -> dict[str, str]:
    return {"type": "text", "text": value}


def messages_of(*messages: Message, model: str = SONNET, **translation: Any) -> list[Any]:
    return list(body_of(ask(*messages, tools=[WEATHER]), target(model, **translation))["messages"])


def refused(*messages: Message, model: str = SONNET) -> Unsupported:
    with pytest.raises(Unsupported) as caught:
        write(ask(*messages, tools=[WEATHER]), target(model))
    return caught.value


# ---------------------------------------------------------------- system


def test_the_leading_system_messages_become_blocks_of_their_own() -> None:
    body = body_of(ask(say("system", "a"), say("developer", "b"), say("user", "hi")))

    assert body["system"] == [words("a"), words("b")]
    assert body["messages"] == [{"role": "user", "content": [words("hi")]}]


def test_an_empty_system_message_is_no_system() -> None:
    assert "system" not in body_of(ask(say("system", " "), say("user", "hi")))


def test_instructions_alone_are_what_the_user_says() -> None:
    body = body_of(ask(say("system", "be brief")))

    assert "system" not in body
    assert body["messages"] == [{"role": "user", "content": [words("be brief")]}]


def test_a_later_system_message_stays_in_place_where_the_model_takes_it() -> None:
    talk = (
        say("system", "top"),
        say("user", "1"),
        say("assistant", "2"),
        say("user", "3"),
        say("system", "new"),
        say("developer", "er"),
    )
    body = body_of(ask(*talk), target(MID))

    assert body["system"] == [words("top")]
    assert body["messages"][-1] == {"role": "system", "content": [words("new"), words("er")]}


def test_a_later_system_message_is_marked_text_of_the_user_elsewhere() -> None:
    body, _, notes = write(ask(say("user", "1"), say("system", "new rule"), say("user", "2")))

    assert body["messages"][0]["content"] == [
        words("1"),
        words("<system-message>new rule</system-message>"),
        words("2"),
    ]
    assert notes.warnings == ["system_message_inlined"]


def test_a_system_message_after_an_answer_waits_for_no_user() -> None:
    turns = messages_of(say("user", "1"), say("assistant", "2"), say("system", "new"), say("user", "3"), model=MID)

    assert turns[2] == {"role": "user", "content": [words("<system-message>new</system-message>"), words("3")]}


def test_a_system_message_between_results_does_not_part_them() -> None:
    talk = (say("user", "1"), say("assistant", call("a"), call("b")), result("a"), say("system", "new"), result("b"))
    turns = messages_of(*talk, model=MID)

    assert [block["type"] for block in turns[2]["content"]] == ["tool_result", "tool_result", "text"]


def test_a_picture_in_a_system_message_is_refused() -> None:
    assert refused(say("system", Image(url="https://x/a.png"))).code == "unsupported_content"


# ---------------------------------------------------------------- turns


def test_neighbours_of_one_role_are_one_turn() -> None:
    turns = messages_of(
        say("user", "1"), say("user", "2"), say("assistant", "3"), say("assistant", "4"), say("user", "5")
    )

    assert [(turn["role"], len(turn["content"])) for turn in turns] == [("user", 2), ("assistant", 2), ("user", 1)]


def test_results_come_first_and_in_the_order_of_the_calls() -> None:
    talk = (
        say("user", "?"),
        say("assistant", call("a"), call("b")),
        result("b", "B"),
        result("a", "A"),
        say("user", "and?"),
    )
    turns = messages_of(*talk)

    assert turns[2]["content"] == [
        {"type": "tool_result", "tool_use_id": "a", "content": "A"},
        {"type": "tool_result", "tool_use_id": "b", "content": "B"},
        words("and?"),
    ]


def test_results_within_a_user_message_come_before_its_text() -> None:
    mixed = Message("user", [Text("look:"), ToolResult("a", [Text("A")], is_error=True)])
    turns = messages_of(say("user", "?"), say("assistant", call("a")), mixed)

    assert turns[2]["content"] == [
        {"type": "tool_result", "tool_use_id": "a", "content": "A", "is_error": True},
        words("look:"),
    ]


def test_a_result_without_words_has_no_content_and_pictures_stay() -> None:
    shown = Message("tool", [ToolResult("b", [Text("see"), Image("image/png", "aGk=")])])
    turns = messages_of(say("user", "?"), say("assistant", call("a"), call("b")), result("a", ""), shown)

    assert turns[2]["content"][0] == {"type": "tool_result", "tool_use_id": "a"}
    assert [block["type"] for block in turns[2]["content"][1]["content"]] == ["text", "image"]


def test_a_call_without_a_result_is_refused_or_repaired() -> None:
    talk = (say("user", "?"), say("assistant", call("a"), call("b")), result("a"), say("user", "go on"))

    assert "b" in refused(*talk).message
    turns = messages_of(*talk, repair_history=True)
    assert turns[2]["content"][1] == {
        "type": "tool_result",
        "tool_use_id": "b",
        "content": "[no result]",
        "is_error": True,
    }


def test_a_call_at_the_very_end_is_refused_or_repaired() -> None:
    talk = (say("user", "?"), say("assistant", call("a")))

    assert refused(*talk).code == "invalid_request"
    assert messages_of(*talk, repair_history=True)[2]["role"] == "user"


def test_a_result_of_an_unknown_call_is_refused_or_left_out() -> None:
    talk = (say("user", "?"), say("assistant", "no"), result("ghost"))

    assert refused(*talk).param == "messages[2].content[0].tool_call_id"
    body, _, notes = write(ask(*talk), target(repair_history=True))
    assert body["messages"][2]["content"] == [words("(empty)")]
    assert notes.warnings == ["tool_result_dropped"]


def test_a_second_result_of_one_call_is_refused() -> None:
    talk = (say("user", "?"), say("assistant", call("a")), result("a"), result("a"))

    assert refused(*talk).param == "messages[3].content[0].tool_call_id"


def test_an_answer_at_the_beginning_gets_a_user_before_it() -> None:
    turns = messages_of(say("assistant", "hello"), say("user", "hi"))

    assert turns[0] == {"role": "user", "content": [words("(continued)")]}


def test_an_answer_to_be_continued_loses_its_trailing_space_where_the_model_takes_it() -> None:
    assert messages_of(say("user", "hi"), say("assistant", "The answer is \n"), model="claude-haiku-4-5")[-1][
        "content"
    ] == [words("The answer is")]

    error = refused(say("user", "hi"), say("assistant", "The answer is"))
    assert (error.code, error.param) == ("prefill_not_supported", "messages[1]")


# ---------------------------------------------------------------- blocks


def test_blank_texts_go_and_what_is_empty_is_said_to_be() -> None:
    turns = messages_of(
        say("user", " \n"), say("assistant", ""), say("user", ""), say("assistant", "", "x"), say("user", "y")
    )

    assert turns[0] == {"role": "user", "content": [words("(empty)")]}
    assert turns[1] == {"role": "assistant", "content": [words("x")]}


def test_an_answer_without_text_is_only_its_calls() -> None:
    turns = messages_of(say("user", "?"), say("assistant", "", call("a")), result("a"))

    assert [block["type"] for block in turns[1]["content"]] == ["tool_use"]


def test_a_speakers_name_goes_before_the_first_text() -> None:
    turns = messages_of(
        say("user", Image(url="https://x/a.png"), "look", "here", name="Ann"),
        say("assistant", "yes", name="Bot"),
        say("user", "!"),
    )

    assert turns[0]["content"][1:] == [words("Ann: look"), words("here")]
    assert turns[1]["content"] == [words("yes")]


def test_cache_marks_stay_and_the_last_four_win() -> None:
    mark = {"type": "ephemeral"}
    parts = [Text(str(i), cache=mark) for i in range(6)]
    content = messages_of(Message("user", list(parts)))[0]["content"]

    assert ["cache_control" in block for block in content] == [False, False, True, True, True, True]
    assert all(part.cache == mark for part in parts)


def test_cache_marks_inside_results_are_of_the_four() -> None:
    mark = {"type": "ephemeral"}
    answered = ToolResult("c1", [Text("a", cache=mark), Text("b", cache=mark)])
    parts = [Text(str(i), cache=mark) for i in range(3)]
    content = messages_of(say("assistant", call("c1")), Message("tool", [answered]), Message("user", list(parts)))[-1][
        "content"
    ]

    assert ["cache_control" in part for part in content[0]["content"]] == [False, True]
    assert ["cache_control" in block for block in content] == [False, True, True, True]


@pytest.mark.parametrize(
    ("ttl", "sent", "warnings"), [("30m", "1h", []), ("12h", "1h", ["cache_ttl_shortened"]), ("5m", "5m", [])]
)
def test_openais_lifetimes_of_a_cache_become_the_nearest(ttl: str, sent: str, warnings: list[str]) -> None:
    mark = {"type": "ephemeral", "ttl": ttl}
    body, _, notes = write(ask(Message("user", [Text("a", cache=mark)])))

    assert body["messages"][0]["content"][0]["cache_control"]["ttl"] == sent
    assert (notes.warnings, mark["ttl"]) == (warnings, ttl)


@pytest.mark.parametrize(
    ("part", "block"),
    [
        (
            Image("image/jpg", "aGk="),
            {"type": "image", "source": {"type": "base64", "media_type": "image/jpeg", "data": "aGk="}},
        ),
        (Image(url="https://x/a.png"), {"type": "image", "source": {"type": "url", "url": "https://x/a.png"}}),
        (Image(url="https://x/a.PDF?b"), {"type": "document", "source": {"type": "url", "url": "https://x/a.PDF?b"}}),
        (
            Image("application/pdf", "JVBERi0="),
            {"type": "document", "source": {"type": "base64", "media_type": "application/pdf", "data": "JVBERi0="}},
        ),
        (
            Document(data="JVBERi0=", title="t"),
            {
                "type": "document",
                "source": {"type": "base64", "media_type": "application/pdf", "data": "JVBERi0="},
                "title": "t",
            },
        ),
        (
            Document("text/csv", "YSxi"),
            {"type": "document", "source": {"type": "text", "media_type": "text/plain", "data": "a,b"}},
        ),
        (
            Document(text="abc"),
            {"type": "document", "source": {"type": "text", "media_type": "text/plain", "data": "abc"}},
        ),
        (Document(url="https://x/a"), {"type": "document", "source": {"type": "url", "url": "https://x/a"}}),
        (Document(file_id="file_01"), {"type": "document", "source": {"type": "file", "file_id": "file_01"}}),
        (Refusal("I cannot"), words("I cannot")),
    ],
)
def test_what_a_user_shows_becomes_a_block(part: Any, block: dict[str, Any]) -> None:
    assert messages_of(say("user", part))[0]["content"] == [block]


@pytest.mark.parametrize(
    "part",
    [
        Image("image/tiff", "aGk="),
        Image(url="http://x/a.png"),
        Image(url="gs://x/a.png"),
        Document("application/zip", "aGk="),
        Document("text/plain", "//79"),
        Document(file_id="file-openai"),
        Audio("wav", "aGk="),
    ],
)
def test_what_anthropic_cannot_read_is_refused_with_its_place(part: Any) -> None:
    error = refused(say("user", "look", part))

    assert error.param == "messages[0].content[1]"
    assert error.code in ("unsupported_content", "invalid_request")


def test_a_document_of_an_answer_moves_to_the_next_user_turn() -> None:
    turns = messages_of(say("user", "?"), say("assistant", "here", Document(text="abc")), say("user", "thanks"))

    assert turns[1]["content"] == [words("here")]
    assert [block["type"] for block in turns[2]["content"]] == ["document", "text"]


def test_a_picture_that_was_all_of_an_answer_stays_behind_the_question() -> None:
    turns = messages_of(say("user", "draw"), say("assistant", Image("image/png", "aGk=")), say("user", "nice"))

    assert [block.get("text", block["type"]) for block in turns[0]["content"]] == ["draw", "image", "nice"]


def test_another_vendors_block_is_left_out_with_a_note() -> None:
    code = VendorBlock(Opaque("google", "server_block", {"executableCode": {"code": "1"}}))
    notes = write(ask(say("user", "?"), say("assistant", code, "1"), say("user", "!")))[2]

    assert notes.warnings == ["vendor_block_not_replayed"]


def test_a_spoken_answer_is_refused() -> None:
    spoken = VendorBlock(Opaque("openai", "audio", {"id": "audio_1"}))

    assert refused(say("user", "?"), say("assistant", spoken), say("user", "!")).code == "unsupported_content"


def test_thoughts_go_back_as_they_came_and_foreign_ones_do_not() -> None:
    foreign = Reasoning("mine", Opaque("google", "thought_signature", "abc"))
    server = VendorBlock(
        Opaque(
            "anthropic",
            "server_block",
            {"type": "server_tool_use", "id": "srvtoolu_1", "name": "web_search", "input": {}},
        )
    )
    body, _, notes = write(
        ask(say("user", "?"), say("assistant", thought("a"), foreign, Reasoning("bare"), server, "b"), say("user", "!"))
    )

    assert body["messages"][1]["content"] == [
        {"type": "thinking", "thinking": "a", "signature": "sig=="},
        {"type": "server_tool_use", "id": "srvtoolu_1", "name": "web_search", "input": {}},
        words("b"),
    ]
    assert notes.warnings == ["reasoning_not_replayed"]


def test_a_lone_surrogate_is_a_mistake_of_the_client_and_no_crash() -> None:
    assert refused(say("user", "\ud800")).code == "invalid_request"
