"""Whole answers, errors and lists, as Anthropic's SDK reads them."""

from __future__ import annotations

import json
from typing import Any

import anthropic
import pytest
from anthropic.types import ErrorResponse, MessageTokensCount, ModelInfo
from anthropic_oracle import ask, blocks, client
from golden_case import sealed

from gateway import errors
from gateway.dialects.anthropic_messages import ANTHROPIC
from gateway.types import (
    Choice,
    Echo,
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

ECHO = Echo("0" * 24, "m", 0, seal=sealed)
GOOGLES = Opaque("google", "thought_signature", "U0lH")


def written(*parts: Part, finish: Any = "stop", echo: Echo = ECHO, **members: Any) -> bytes:
    return ANTHROPIC.write_reply(Reply("resp_1", "up", [Choice(list(parts), finish, **members)], Usage(3, 2)), echo)


def test_the_order_of_parts_stays_and_neighbouring_texts_are_one() -> None:
    message = ask(
        written(
            Reasoning("Hm."), Text("a"), Text(""), Text("b"), ToolCall("t", "f", '{"n":1.10}'), Text("c"), finish="stop"
        )
    )

    assert [block.type for block in message.content] == ["thinking", "text", "tool_use", "text"]
    assert blocks(message)[1:3] == [
        {"type": "text", "text": "ab"},
        {"type": "tool_use", "id": "t", "name": "f", "input": {"n": 1.1}},
    ]
    assert (message.id, message.model, message.stop_reason) == ("msg_1", "m", "tool_use")


def test_arguments_keep_their_spelling() -> None:
    assert b'"input":{"b": 1.10, "a": 1e3}' in written(ToolCall("t", "f", '{"b": 1.10, "a": 1e3}'))


@pytest.mark.parametrize(
    ("arguments", "input_"),
    [("", {}), ("[1]", {"value": [1]}), ('{"a', {"_raw_arguments": '{"a'}), ("{}{}", {"_raw_arguments": "{}{}"})],
)
def test_an_input_is_an_object_whatever_the_model_wrote(arguments: str, input_: Any) -> None:
    assert blocks(ask(written(ToolCall("t", "f", arguments))))[0]["input"] == input_


def test_signatures_are_always_there_and_sealed_where_they_are_anothers() -> None:
    own = {"type": "thinking", "thinking": "I", "signature": "EqQB"}
    seal = sealed([GOOGLES])

    assert blocks(ask(written(
        Reasoning("a"), Reasoning("b", GOOGLES), Reasoning("", GOOGLES), Reasoning("I", Opaque("anthropic", "thinking", own)),
        Text("c", opaque=GOOGLES), ToolCall("t", "f", "{}", opaque=GOOGLES), VendorBlock(GOOGLES), Image("image/png", "x"),
    ))) == [
        {"type": "thinking", "thinking": "a", "signature": ""},
        {"type": "thinking", "thinking": "b", "signature": seal},
        {"type": "redacted_thinking", "data": seal},
        own,
        {"type": "text", "text": "c"},
        {"type": "redacted_thinking", "data": seal},
        {"type": "redacted_thinking", "data": seal},
        {"type": "tool_use", "id": "t", "name": "f", "input": {}},
        {"type": "redacted_thinking", "data": seal},
        {"type": "text", "text": "[image/png: a picture, which answers of this API cannot carry]"},
    ]  # fmt: skip


@pytest.mark.parametrize("parts", [[Text("a", opaque=GOOGLES)], [Text("a"), Reasoning("", GOOGLES)]])
def test_the_last_block_is_what_was_said_and_not_what_is_kept_behind_it(parts: list[Any]) -> None:
    assert blocks(ask(written(*parts))) == [{"type": "text", "text": "a"}]


def test_hidden_thoughts_are_kept_without_their_words() -> None:
    hidden = Echo("0" * 24, "m", 0, expose_reasoning=False, seal=sealed)

    assert blocks(ask(written(Reasoning("a"), Reasoning("b", GOOGLES), Text("c"), echo=hidden))) == [
        {"type": "redacted_thinking", "data": sealed([GOOGLES])},
        {"type": "text", "text": "c"},
    ]


def test_a_servers_block_goes_back_to_anthropics_client_as_it_came() -> None:
    block = {"type": "server_tool_use", "id": "srvtoolu_1", "name": "web_search", "input": {}}

    assert json.loads(written(VendorBlock(Opaque("anthropic", "server_block", block))))["content"] == [block]


@pytest.mark.parametrize(
    ("parts", "finish", "reason"),
    [
        ([Text("a")], "stop", "end_turn"),
        ([Text("a")], None, "end_turn"),
        ([Text("a")], "length", "max_tokens"),
        ([ToolCall("t", "f", "{}")], "length", "max_tokens"),
        ([Refusal("no")], "stop", "refusal"),
        ([], "content_filter", "refusal"),
    ],
)
def test_the_stop_reason_says_what_happened(parts: list[Part], finish: Any, reason: str) -> None:
    message = ask(written(*parts, finish=finish))

    assert message.stop_reason == reason
    assert (message.stop_details.type if message.stop_details else "") == ("refusal" if reason == "refusal" else "")


def test_a_stop_sequence_is_named() -> None:
    message = ask(written(Text("a"), stop_sequence="END"))

    assert (message.stop_reason, message.stop_sequence) == ("stop_sequence", "END")


def test_an_answer_without_choices_or_usage_is_still_a_message() -> None:
    message = ask(ANTHROPIC.write_reply(Reply("", "", [], None, service_tier="priority"), ECHO))

    assert (message.content, message.id) == ([], "msg_" + "0" * 24)
    assert (message.usage.input_tokens, message.usage.output_tokens, message.usage.service_tier) == (0, 0, "priority")


def test_usage_never_falls_below_nothing() -> None:
    odd = Reply("", "", [], Usage(input=5, output=1, cache_read=9))

    assert ask(ANTHROPIC.write_reply(odd, ECHO)).usage.input_tokens == 0


# ---------------------------------------------------------------- errors


@pytest.mark.parametrize(
    ("error", "raised", "kind"),
    [
        (errors.InvalidRequest("x"), anthropic.BadRequestError, "invalid_request_error"),
        (errors.InvalidApiKey("x"), anthropic.AuthenticationError, "authentication_error"),
        (errors.TenantForbidden("x"), anthropic.PermissionDeniedError, "permission_error"),
        (errors.ModelNotFound("x"), anthropic.NotFoundError, "not_found_error"),
        (errors.MethodNotAllowed("x"), anthropic.APIStatusError, "invalid_request_error"),
        (errors.RequestTooLarge("x"), anthropic.RequestTooLargeError, "request_too_large"),
        (errors.QuotaExceeded("x"), anthropic.RateLimitError, "rate_limit_error"),
        (errors.InternalError("x"), anthropic.InternalServerError, "api_error"),
        (errors.UpstreamError("x"), anthropic.InternalServerError, "api_error"),
        (errors.UpstreamOverloaded("x"), anthropic.ServiceUnavailableError, "overloaded_error"),
        (errors.UpstreamTimeout("x"), anthropic.DeadlineExceededError, "timeout_error"),
    ],
)
def test_errors_are_anthropics_by_status(error: errors.GatewayError, raised: type[Exception], kind: str) -> None:
    error.identify("req_1")
    body = ANTHROPIC.write_error(error)

    if kind != "request_too_large":  # documented, but in no type of the SDK
        ErrorResponse.model_validate_json(body)
    assert json.loads(body)["request_id"] == "req_1"
    assert json.loads(body)["error"]["type"] == kind
    with client(body, "application/json", error.status) as claude, pytest.raises(raised) as found:
        claude.messages.create(model="m", max_tokens=1, messages=[{"role": "user", "content": "?"}])
    assert found.value.body["error"]["details"]["error_code"] == error.code  # type: ignore[attr-defined]


def test_every_error_of_ours_has_a_type_of_anthropics() -> None:
    known = {"invalid_request_error", "authentication_error", "billing_error", "permission_error", "not_found_error",
             "conflict_error", "request_too_large", "rate_limit_error", "timeout_error", "api_error", "overloaded_error"}  # fmt: skip
    for kind in errors.ERRORS:
        assert json.loads(ANTHROPIC.write_error(kind("x")))["error"]["type"] in known


def test_a_context_that_is_too_long_is_said_as_claude_code_listens_for_it() -> None:
    body = json.loads(ANTHROPIC.write_error(errors.ContextLengthExceeded("200001 tokens > 200000")))

    assert body["error"]["message"].startswith("prompt is too long: 200001 tokens")
    assert body["request_id"] is None


def test_the_attempts_of_a_failed_call_are_details() -> None:
    tried = [{"provider": "openai", "status": 500, "reason": "x"}]

    body = json.loads(ANTHROPIC.write_error(errors.UpstreamError("x", attempts=tried)))
    assert body["error"]["details"] == {"error_code": "upstream_error", "attempts": tried}


# ---------------------------------------------------------------- lists


def test_a_count_and_a_list_of_models_are_what_the_sdk_reads() -> None:
    assert MessageTokensCount.model_validate_json(ANTHROPIC.write_count(12)).input_tokens == 12
    entries = [ANTHROPIC.model_entry("a", 1_790_000_000, 200_000, 64_000, "A"), ANTHROPIC.model_entry("b", 10**15)]
    with client(ANTHROPIC.write_models(entries), "application/json") as claude:
        page = claude.models.list()

    first, second = (ModelInfo.model_validate(model.to_dict()) for model in page.data)
    assert (first.id, first.display_name, first.max_input_tokens, first.max_tokens) == ("a", "A", 200_000, 64_000)
    assert first.created_at.timestamp() == 1_790_000_000
    assert (second.display_name, second.max_tokens, second.lifecycle) == ("b", None, "active")
    assert (page.first_id, page.last_id, page.has_more) == ("a", "b", False)
    assert json.loads(ANTHROPIC.write_models([]))["first_id"] is None
