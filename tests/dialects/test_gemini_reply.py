"""Whole answers of Gemini."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.dialects.gemini import Gemini
from gateway.types import (
    BadReply,
    Image,
    Modalities,
    Opaque,
    Reasoning,
    Refusal,
    Reply,
    Text,
    ToolCall,
    Usage,
    VendorBlock,
)


def read(
    *parts: dict[str, Any], finish: str | None = "STOP", more: dict[str, Any] | None = None, **fields: Any
) -> Reply:
    candidate = {"content": {"role": "model", "parts": list(parts)}, "finishReason": finish, **fields}
    answer = {"candidates": [candidate], "modelVersion": "gemini-x", "responseId": "r1", **(more or {})}
    return Gemini().read_reply(json.dumps(answer).encode())


def signed(data: str) -> Opaque:
    return Opaque("google", "thought_signature", data)


def test_parts_come_in_our_words_and_neighbours_become_one() -> None:
    reply = read(
        {"text": "hm", "thought": True},
        {"text": "!", "thought": True},
        {"text": "a"},
        {"text": "b"},
        {"text": "c", "thoughtSignature": "Yw=="},
        {"functionCall": {"name": "f", "args": {"x": 1}, "id": "own"}, "thoughtSignature": "ZA=="},
        {"inlineData": {"mimeType": "image/png", "data": "iVBO"}},
    )

    assert (reply.id, reply.model) == ("r1", "gemini-x")
    assert reply.choices[0].finish == "tool_calls"
    assert reply.choices[0].parts == [
        Reasoning("hm!"),
        Text("ab"),
        Text("c", opaque=signed("Yw==")),
        ToolCall("own", "f", '{"x": 1}', opaque=signed("ZA==")),
        Image(media_type="image/png", data="iVBO"),
    ]


def test_arguments_keep_their_numbers_and_lose_only_line_breaks() -> None:
    body = b'{"candidates":[{"finishReason":"STOP","content":{"parts":[{"functionCall":{"name":"f","args":{\n  "n": 1.10,\n  "big": 12345678901234567890123\n}}}]}}]}'

    call = Gemini().read_reply(body).choices[0].parts[0]
    assert isinstance(call, ToolCall) and call.arguments == '{"n":1.10,"big":12345678901234567890123}'


@pytest.mark.parametrize("args", [{}, {"args": None}])
def test_a_call_without_arguments_has_an_empty_object(args: dict[str, Any]) -> None:
    call = read({"functionCall": {"name": "f", **args}}).choices[0].parts[0]

    assert isinstance(call, ToolCall) and call.arguments == "{}"


def test_calls_without_an_id_get_one_that_is_always_the_same() -> None:
    calls = [read({"functionCall": {"name": "f"}}, {"functionCall": {"name": "f"}}).choices[0].parts for _ in "ab"]
    ids = [part.id for part in calls[0] if isinstance(part, ToolCall)]

    assert calls[0] == calls[1]
    assert len(set(ids)) == 2
    assert all(len(one) == 29 and one.startswith("call_") for one in ids)


@pytest.mark.parametrize(
    ("finish", "expected"),
    [
        ("STOP", "stop"),
        ("MAX_TOKENS", "length"),
        ("CONTINUATION", "length"),
        ("SAFETY", "content_filter"),
        ("RECITATION", "content_filter"),
        ("MODEL_ARMOR", "content_filter"),
        ("MALFORMED_FUNCTION_CALL", "stop"),
        ("SOMETHING_NEW", "stop"),
        (None, None),
    ],
)
def test_every_finish_reason_has_its_word(finish: str | None, expected: str | None) -> None:
    assert read({"text": "x"}, finish=finish).choices[0].finish == expected


@pytest.mark.parametrize(
    ("finish", "expected"), [("STOP", "tool_calls"), ("MAX_TOKENS", "length"), ("SAFETY", "content_filter")]
)
def test_calls_turn_a_stop_into_tool_calls_and_nothing_else(finish: str, expected: str) -> None:
    assert read({"functionCall": {"name": "f"}}, finish=finish).choices[0].finish == expected


@pytest.mark.parametrize("finish", ["MAX_TOKENS", "SAFETY", "STOP"])
@pytest.mark.parametrize("content", [{}, {"content": {}}, {"content": {"role": "model"}}])
def test_a_candidate_without_parts_is_a_choice_without_parts(finish: str, content: dict[str, Any]) -> None:
    body = json.dumps({"candidates": [{**content, "finishReason": finish}]}).encode()
    (choice,) = Gemini().read_reply(body).choices

    assert choice.parts == []
    assert choice.finish is not None


@pytest.mark.parametrize(
    "finish", ["MALFORMED_FUNCTION_CALL", "UNEXPECTED_TOOL_CALL", "OTHER", "MISSING_THOUGHT_SIGNATURE"]
)
def test_a_broken_end_with_nothing_else_is_no_answer(finish: str) -> None:
    with pytest.raises(BadReply, match=finish):
        read(finish=finish)


def test_a_restricted_account_is_no_answer_even_with_text() -> None:
    with pytest.raises(BadReply):
        read({"text": "x"}, finish="PUP_LIMITED_DISABLED")


def test_what_was_stopped_says_why() -> None:
    choice = read({"text": "x"}, finish="PROHIBITED_CONTENT", finishMessage="not this").choices[0]

    assert choice.parts == [Text("x"), Refusal("not this")]


def test_a_blocked_prompt_is_an_answer() -> None:
    body = b'{"promptFeedback":{"blockReason":"SAFETY"},"usageMetadata":{"promptTokenCount":4,"totalTokenCount":4}}'
    reply = Gemini().read_reply(body)

    assert reply.choices[0].parts == [Refusal("Prompt blocked: SAFETY")]
    assert reply.choices[0].finish == "content_filter"
    assert reply.usage == Usage(input=4, total=4)


def test_thoughts_count_as_output_and_tool_prompts_as_input() -> None:
    counts = {
        "promptTokenCount": 10,
        "toolUsePromptTokenCount": 5,
        "cachedContentTokenCount": 8,
        "candidatesTokenCount": 3,
        "thoughtsTokenCount": 7,
    }

    assert read({"text": "x"}, more={"usageMetadata": counts}).usage == Usage(
        15, 10, cache_read=8, reasoning=7, total=25
    )


def test_tokens_are_counted_by_modality_where_gemini_does() -> None:
    counts = {
        "promptTokenCount": 100,
        "cachedContentTokenCount": 40,
        "candidatesTokenCount": 9,
        "promptTokensDetails": [{"modality": "TEXT", "tokenCount": 20}, {"modality": "AUDIO", "tokenCount": 70},
                                {"modality": "VIDEO", "tokenCount": 10}],
        "cacheTokensDetails": [{"modality": "AUDIO", "tokenCount": 40}],
        "candidatesTokensDetails": [{"modality": "IMAGE", "tokenCount": 9}],
    }  # fmt: skip
    usage = read({"text": "x"}, more={"usageMetadata": counts}).usage

    assert usage is not None
    assert (usage.input_by, usage.read_by) == (Modalities(text=20, audio=70), Modalities(audio=40))
    assert usage.output_by == Modalities(image=9)
    odd = read({"text": "x"}, more={"usageMetadata": {**counts, "promptTokensDetails": "odd"}}).usage
    assert odd is not None and (odd.input, odd.input_by) == (100, None)


@pytest.mark.parametrize("counts", [None, "many", {"promptTokenCount": "a"}, {"totalTokenCount": 10**400}, []])
def test_counts_that_cannot_be_read_cost_no_answer(counts: Any) -> None:
    reply = read({"text": "x"}, more={"usageMetadata": counts})

    assert reply.choices[0].parts == [Text("x")]
    assert reply.usage is None or reply.usage == Usage()


def test_a_signature_alone_is_a_thought_without_text() -> None:
    assert read({"text": "a"}, {"text": "", "thoughtSignature": "YQ=="}).choices[0].parts == [
        Text("a"),
        Reasoning("", signed("YQ==")),
    ]


def test_code_that_gemini_ran_is_kept_for_it() -> None:
    code = {"executableCode": {"language": "PYTHON", "code": "1"}}

    assert read({**code, "thoughtSignature": "YQ=="}).choices[0].parts == [
        VendorBlock(Opaque("google", "server_block", {**code, "thoughtSignature": "YQ=="}))
    ]


def test_grounding_counts_bytes_and_we_count_characters() -> None:
    grounding = {
        "groundingChunks": [{"web": {"uri": "https://a.de", "title": "a.de"}}, {"retrievedContext": {}}],
        "groundingSupports": [
            {"segment": {"startIndex": 3, "endIndex": 9}, "groundingChunkIndices": [0, 1, 9]},
            {"segment": {"partIndex": 2, "endIndex": 2}, "groundingChunkIndices": [0]},
        ],
    }
    reply = read({"text": "ä Zürich."}, {"text": "hm", "thought": True}, {"text": "ö!"}, groundingMetadata=grounding)
    (_, _, last) = reply.choices[0].parts

    assert isinstance(last, Text) and last.annotations is not None
    spans = [(one["url_citation"]["start_index"], one["url_citation"]["end_index"]) for one in last.annotations]
    assert ["ä Zürich.ö!"[start:end] for start, end in spans] == ["Züric", "ö"]
    assert last.annotations[0] == {
        "type": "url_citation",
        "url_citation": {"start_index": 2, "end_index": 7, "url": "https://a.de", "title": "a.de"},
    }


def test_citations_with_an_address_are_annotations_too() -> None:
    citations = {"citationSources": [{"startIndex": 0, "endIndex": 2, "uri": "https://b.de"}, {"license": "mit"}]}
    (text,) = read({"text": "üx"}, citationMetadata=citations).choices[0].parts

    assert isinstance(text, Text)
    assert text.annotations == [
        {
            "type": "url_citation",
            "url_citation": {"start_index": 0, "end_index": 1, "url": "https://b.de", "title": "https://b.de"},
        }
    ]


@pytest.mark.parametrize("junk", ["x", {"groundingSupports": [{"segment": 3}]}, {"groundingChunks": None}])
def test_grounding_that_cannot_be_read_costs_no_answer(junk: Any) -> None:
    assert read({"text": "x"}, groundingMetadata=junk).choices[0].parts == [Text("x")]


def test_log_probabilities_come_as_openai_has_them() -> None:
    logprobs = {
        "chosenCandidates": [{"token": "a", "logProbability": -0.5}, {"token": "b"}],
        "topCandidates": [{"candidates": [{"token": "c", "logProbability": -2.0}]}],
    }

    assert read({"text": "ab"}, logprobsResult=logprobs).choices[0].logprobs == {
        "content": [
            {
                "token": "a",
                "logprob": -0.5,
                "bytes": None,
                "top_logprobs": [{"token": "c", "logprob": -2.0, "bytes": None}],
            },
            {"token": "b", "logprob": 0.0, "bytes": None, "top_logprobs": []},
        ],
        "refusal": None,
    }


def test_several_candidates_keep_their_places() -> None:
    candidates = [
        {"index": index, "content": {"parts": [{"text": str(index)}]}, "finishReason": "STOP"} for index in (1, 0)
    ]
    reply = Gemini().read_reply(json.dumps({"candidates": candidates}).encode())

    assert [(choice.index, choice.parts) for choice in reply.choices] == [(1, [Text("1")]), (0, [Text("0")])]


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"<html>",
        b"[]",
        b"null",
        b"{}",
        b'{"candidates":[]}',
        b'{"candidates":{}}',
        b'{"promptFeedback":{"blockReason":"BLOCKED_REASON_UNSPECIFIED"}}',
        b'{"error":{"code":503,"message":"x","status":"UNAVAILABLE"}}',
        b'{"error":"x"}',
        b"[" * 100_000,
        b'{"candidates":[{"content":{"parts":[{"text":"\xff"}]}}]}',
    ],
)
def test_what_is_no_answer_is_a_bad_reply(body: bytes) -> None:
    with pytest.raises(BadReply):
        Gemini().read_reply(body)


@given(st.binary(max_size=60))
def test_no_arguments_raise_anything_but_a_bad_reply(noise: bytes) -> None:
    body = (
        b'{"candidates":[{"finishReason":"STOP","content":{"parts":[{"functionCall":{"name":"f","args":'
        + noise
        + b"}}]}}]}"
    )
    try:
        reply = Gemini().read_reply(body)
    except BadReply:
        return
    assert isinstance(reply.choices[0].parts[0], ToolCall)
