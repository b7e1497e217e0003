"""Whole answers and errors as Gemini clients read them, and back again through the provider's half."""

from __future__ import annotations

import json
from typing import Any

import pytest
from gemini_clients import client, echo
from google.ai import generativelanguage as glm
from google.genai import errors, types
from hypothesis import given
from hypothesis import strategies as st

from gateway.dialects.gemini import GEMINI
from gateway.errors import GatewayError, InvalidRequest, NoProviderAvailable, QuotaExceeded, RateLimitExceeded
from gateway.types import (
    Audio,
    Choice,
    Document,
    Image,
    Opaque,
    Part,
    Reasoning,
    Refusal,
    Reply,
    Text,
    ToolCall,
    Usage,
    VendorBlock,
)

THOUGHT = Reasoning("hm", Opaque("anthropic", "thinking", {"signature": "s"}))
NATIVE = Opaque("google", "thought_signature", "c2ln")


def sealed(opaque: list[Opaque]) -> str:
    return "gw1." + "+".join(one.kind for one in opaque)


def written(*parts: Part, finish: Any = "stop", usage: Usage | None = None, **members: Any) -> Any:
    reply = Reply("msg_01", "upstream", [Choice(list(parts), finish)], usage)
    body = GEMINI.write_reply(reply, echo(**members))
    types.GenerateContentResponse.model_validate_json(body)
    glm.GenerateContentResponse.from_json(body.decode(), ignore_unknown_fields=True)
    return json.loads(body)


def parts(*given: Part, **members: Any) -> Any:
    return written(*given, **members)["candidates"][0]["content"]["parts"]


def test_an_answer_has_what_a_client_looks_at() -> None:
    assert written(Text("hi"), usage=Usage(10, 7, 4, 1, 3, 17)) == {
        "candidates": [{"content": {"parts": [{"text": "hi"}], "role": "model"}, "finishReason": "STOP", "index": 0}],
        "usageMetadata": {
            "promptTokenCount": 10,
            "candidatesTokenCount": 4,
            "totalTokenCount": 17,
            "thoughtsTokenCount": 3,
            "cachedContentTokenCount": 4,
        },
        "modelVersion": "fast",
        "responseId": "01",
    }


@pytest.mark.parametrize(
    ("finish", "word"),
    [("stop", "STOP"), (None, "STOP"), ("tool_calls", "STOP"), ("length", "MAX_TOKENS"), ("content_filter", "SAFETY")],
)
def test_every_end_has_googles_word(finish: Any, word: str) -> None:
    assert written(finish=finish)["candidates"][0]["finishReason"] == word


def test_an_answer_without_content_still_has_a_first_part() -> None:
    assert parts(finish="length") == [{"text": ""}]


def test_a_refusal_is_safety_and_says_why() -> None:
    candidate = written(Refusal("No."))["candidates"][0]
    assert (candidate["finishReason"], candidate["finishMessage"]) == ("SAFETY", "No.")


@pytest.mark.parametrize(
    ("arguments", "args"),
    [
        ('{"a":\n 1}', {"a": 1}),
        ("", {}),
        ("[1]", {"value": [1]}),
        ('{"a', {"_raw_arguments": '{"a'}),
    ],
)
def test_arguments_are_an_object_whatever_the_model_wrote(arguments: str, args: Any) -> None:
    assert parts(ToolCall("c1", "f", arguments))[0] == {"functionCall": {"id": "c1", "name": "f", "args": args}}


def test_arguments_keep_their_spelling() -> None:
    body = GEMINI.write_reply(Reply("", "", [Choice([ToolCall("c", "f", '{"n": 1.10, "n": 12345678901234567890123}')], "stop")], None), echo())  # fmt: skip
    assert b'"args":{"n": 1.10, "n": 12345678901234567890123}' in body


def test_the_input_of_a_free_form_tool_is_an_object() -> None:
    assert parts(ToolCall("c", "f", "raw", custom=True))[0]["functionCall"]["args"] == {"input": "raw"}


def test_thoughts_are_marked_and_hidden_where_nobody_asked() -> None:
    assert parts(Reasoning("hm"), Text("hi")) == [{"text": "hm", "thought": True}, {"text": "hi"}]
    assert parts(Reasoning("hm"), Text("hi"), expose_reasoning=False) == [{"text": "hi"}]


def test_what_another_vendor_wants_back_goes_out_sealed_on_the_next_text_or_call() -> None:
    call = ToolCall("c", "f", "{}")
    redacted = Reasoning("", Opaque("anthropic", "redacted_thinking", {}))
    block = VendorBlock(Opaque("anthropic", "server_block", {}))
    found = parts(
        THOUGHT, Text("one"), Text("two"), THOUGHT, redacted, call, block, seal=sealed, expose_reasoning=False
    )

    signatures = [part.get("thoughtSignature") for part in found]
    assert signatures == [
        "Z3cxLnRoaW5raW5n",
        None,
        "Z3cxLnRoaW5raW5nK3JlZGFjdGVkX3RoaW5raW5n",
        "Z3cxLnNlcnZlcl9ibG9jaw==",
    ]
    assert found[3] == {"text": "", "thoughtSignature": "Z3cxLnNlcnZlcl9ibG9jaw=="}


def test_nothing_is_sealed_without_a_seal() -> None:
    assert parts(THOUGHT, Text("one")) == [{"text": "hm", "thought": True}, {"text": "one"}]


def test_what_was_sealed_comes_back_where_it_stood() -> None:
    content = {"role": "model", "parts": parts(THOUGHT, Text("one"), THOUGHT, ToolCall("c", "f", "{}"), seal=sealed)}
    read = GEMINI.read_request(json.dumps({"contents": [content]}).encode()).messages[0].parts
    envelope = Opaque("gateway", "sealed", "gw1.thinking")

    assert read == [
        Reasoning("hm"),
        Text("one", opaque=envelope),
        Reasoning("hm"),
        ToolCall("c", "f", "{}", opaque=envelope),
    ]


def test_googles_own_signatures_go_out_as_they_came() -> None:
    found = parts(Text("a", opaque=NATIVE), Reasoning("", NATIVE), ToolCall("c", "f", "{}", opaque=NATIVE), seal=sealed)
    assert [part["thoughtSignature"] for part in found] == ["c2ln", "c2ln", "c2ln"]


def test_pictures_sound_and_files_are_parts() -> None:
    assert parts(
        Image("image/png", "aGk="), Audio("wav", "aGk="), Document("application/pdf", url="https://x.test")
    ) == [
        {"inlineData": {"mimeType": "image/png", "data": "aGk="}},
        {"inlineData": {"mimeType": "audio/wav", "data": "aGk="}},
        {"fileData": {"fileUri": "https://x.test", "mimeType": "application/pdf"}},
    ]


def test_sources_and_log_probabilities_come_back_as_they_were() -> None:
    note = {
        "type": "url_citation",
        "url_citation": {"start_index": 4, "end_index": 6, "url": "https://x.test", "title": "X"},
    }
    logprobs = {"content": [{"token": "a", "logprob": -1.0, "bytes": None, "top_logprobs": []}], "refusal": None}
    reply = Reply("id", "fast", [Choice([Text("äöü", None), Reasoning("x"), Text("ßé!", annotations=[note])], "stop", logprobs=logprobs)], None)  # fmt: skip
    body = GEMINI.write_reply(reply, echo())
    segment = json.loads(body)["candidates"][0]["groundingMetadata"]["groundingSupports"][0]["segment"]
    back = GEMINI.read_reply(body).choices[0]

    assert segment == {"partIndex": 2, "startIndex": 2, "endIndex": 5, "text": "é!"}
    assert isinstance(back.parts[2], Text) and back.parts[2].annotations == [note]
    assert back.logprobs == logprobs


texts = st.text(min_size=1, max_size=8)
signed = st.sampled_from([None, NATIVE])
arguments = st.dictionaries(texts, st.integers() | texts | st.none(), max_size=2).map(json.dumps)
calls = st.builds(ToolCall, id=st.uuids().map(str), name=st.just("f"), arguments=arguments, opaque=signed)
blocks = st.lists(calls | st.builds(Image, st.just("image/png"), st.just("aGk=")), max_size=3)
choices = st.builds(
    lambda thought, text, more: [*([Reasoning(thought)] if thought else []), *([Text(text)] if text else []), *more],
    st.none() | texts, st.none() | texts, blocks,
)  # fmt: skip
counts = st.integers(0, 10**9)
usages = st.none() | st.builds(
    lambda i, o, r, c: Usage(i, o + r, c, 0, r, i + o + r + 1), counts, counts, counts, counts
)


@given(choices, st.sampled_from(["stop", "length"]), usages)
def test_an_answer_that_is_written_and_read_is_the_same(
    given_parts: list[Part], finish: Any, usage: Usage | None
) -> None:
    if finish == "stop" and any(isinstance(part, ToolCall) for part in given_parts):
        finish = "tool_calls"
    reply = Reply("id", "fast", [Choice(given_parts, finish), Choice([Text("x")], "stop", 1)], usage)
    body = GEMINI.write_reply(reply, echo())
    types.GenerateContentResponse.model_validate_json(body)

    assert GEMINI.read_reply(body) == reply


# ---------------------------------------------------------------- errors


def error(made: GatewayError) -> Any:
    return json.loads(GEMINI.write_error(made))["error"]


def test_an_error_has_googles_shape_and_names_the_place() -> None:
    found = error(InvalidRequest("wrong", param="contents[0].role"))
    assert (found["code"], found["status"], found["message"]) == (400, "INVALID_ARGUMENT", "wrong")
    assert {"field": "contents[0].role", "description": "wrong"} in found["details"][1]["fieldViolations"]
    assert found["details"][0] == {
        "@type": "type.googleapis.com/google.rpc.ErrorInfo",
        "reason": "INVALID_REQUEST",
        "domain": "gateway",
    }


@pytest.mark.parametrize(
    ("status", "word"),
    [(401, "UNAUTHENTICATED"), (403, "PERMISSION_DENIED"), (404, "NOT_FOUND"), (413, "INVALID_ARGUMENT"),
     (418, "INVALID_ARGUMENT"), (429, "RESOURCE_EXHAUSTED"), (500, "INTERNAL"), (502, "UNAVAILABLE"), (503, "UNAVAILABLE"),
     (504, "DEADLINE_EXCEEDED"), (599, "INTERNAL")],
)  # fmt: skip
def test_every_status_has_googles_word(status: int, word: str) -> None:
    assert error(GatewayError("x", status=status))["status"] == word


def test_when_to_come_back_stands_in_the_details() -> None:
    details = error(RateLimitExceeded("slow down", retry_after_s=1.25))["details"]
    assert details[-1] == {"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": "1.25s"}


def test_a_spent_quota_is_told_from_a_rate_limit() -> None:
    details = error(QuotaExceeded("spent", retry_after_s=3600))["details"]
    assert details[1]["violations"][0]["quotaId"] == "TokensPerDayPerTenant"
    assert details[-1]["retryDelay"] == "3600s"


def test_attempts_are_listed_and_googles_client_raises_the_error() -> None:
    made = NoProviderAvailable("nobody", attempts=[{"provider": "gemini", "status": 503}])
    body = GEMINI.write_error(made)
    with pytest.raises(errors.ServerError) as raised:
        client(lambda sent: body, status=503).models.generate_content(model="m", contents="hi")

    assert json.loads(body)["error"]["attempts"] == [{"provider": "gemini", "status": 503}]
    assert (raised.value.code, raised.value.status, raised.value.message) == (503, "UNAVAILABLE", "nobody")
