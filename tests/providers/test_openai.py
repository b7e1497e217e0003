"""What OpenAI's failures mean, and how OpenAI is reached."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.errors import Next
from gateway.providers.openai import OpenAI
from gateway.types import Failed, Vendor

VENDOR: Vendor = OpenAI()
VLLM = "This model's maximum context length is 4096 tokens. However, you requested 5000 tokens in the messages."


def body(
    message: str = "m", kind: str = "invalid_request_error", code: object = None, param: str | None = None
) -> bytes:
    return msgspec.json.encode({"error": {"message": message, "type": kind, "param": param, "code": code}})


@pytest.mark.parametrize(
    ("status", "answer", "kind", "next_"),
    [
        (400, body(code="invalid_value"), "bad_request", Next.STOP),
        (400, body(code="context_length_exceeded"), "context_overflow", Next.OTHER),
        (400, body(VLLM, "BadRequestError", 400), "context_overflow", Next.OTHER),
        (400, body("m", "exceed_context_size_error", 400), "context_overflow", Next.OTHER),
        (400, body(code="content_policy_violation"), "bad_request", Next.STOP),
        (400, body(kind="server_error"), "bad_request", Next.STOP),
        (401, body(code="invalid_api_key"), "auth", Next.OTHER),
        (402, body(), "quota_exhausted", Next.OTHER),
        (403, body(), "auth", Next.OTHER),
        (404, body(code="model_not_found"), "model_missing", Next.OTHER),
        (404, body(), "bad_request", Next.STOP),
        (408, body(), "server_error", Next.SAME),
        (409, body(), "server_error", Next.SAME),
        (413, body(), "bad_request", Next.STOP),
        (422, body(), "bad_request", Next.STOP),
        (429, body(kind="tokens", code="rate_limit_exceeded"), "rate_limited", Next.OTHER),
        (429, body(kind="insufficient_quota", code="insufficient_quota"), "quota_exhausted", Next.OTHER),
        (429, body(kind="insufficient_quota", code="credit_balance_exhausted"), "quota_exhausted", Next.OTHER),
        (429, b"slow down", "rate_limited", Next.OTHER),
        (500, body(kind="server_error"), "server_error", Next.SAME),
        (502, b"<html><h1>502 Bad Gateway</h1>nginx at 10.0.0.7</html>", "server_error", Next.SAME),
        (503, body(), "overloaded", Next.SAME),
        (504, b"", "server_error", Next.OTHER),
        (520, b"", "server_error", Next.SAME),
        (302, b"", "server_error", Next.SAME),
    ],
)
def test_each_answer_has_its_kind_and_its_way_on(status: int, answer: bytes, kind: str, next_: Next) -> None:
    fault = VENDOR.fault(status, {}, answer)

    assert (fault.kind, fault.next, fault.status) == (kind, next_, status)


def test_a_clients_own_mistake_keeps_the_vendors_words() -> None:
    answer = body("Invalid value: 'x'.", code="invalid_value", param="messages[0].role")

    fault = VENDOR.fault(400, {}, answer)

    assert fault.safe_message == "Invalid value: 'x'."
    assert (fault.code, fault.param, fault.body) == ("invalid_value", "messages[0].role", answer)


def test_what_is_the_operators_business_is_not_shown() -> None:
    fault = VENDOR.fault(
        401, {}, body("Incorrect API key provided: sk-abc***wxyz1.", code="invalid_api_key", param="key")
    )

    assert (fault.safe_message, fault.param, fault.body) == ("", None, b"")
    assert fault.log_message == "Incorrect API key provided: [redacted]"


def test_a_rate_limit_says_how_long_to_wait() -> None:
    assert VENDOR.fault(429, {"retry-after-ms": "1200"}, body(code="rate_limit_exceeded")).retry_after_s == 1.2


def test_an_html_answer_to_a_client_error_is_never_relayed() -> None:
    assert VENDOR.fault(400, {}, b"<html>no</html>").body == b""


def test_an_error_inside_a_stream_keeps_its_kind() -> None:
    assert VENDOR.stream_fault(Failed("quota_exhausted", "m")).next is Next.OTHER
    assert VENDOR.stream_fault(Failed("server_error", "m")).safe_message == ""
    assert VENDOR.stream_fault(Failed("what is this")).kind == "error_event"


@pytest.mark.parametrize("model", ["gpt-6.2", "o3", "o4-mini", "chatgpt-4o-latest", "text-embedding-3-small"])
def test_its_models_are_known_by_their_names(model: str) -> None:
    assert VENDOR.family(model)


@pytest.mark.parametrize("model", ["claude-opus-5-5", "gemini-3.8-flash", "opus", "llama", "", "my-gpt-4"])
def test_other_models_are_not(model: str) -> None:
    assert not VENDOR.family(model)


def test_the_model_is_no_part_of_the_address() -> None:
    assert VENDOR.path("../../admin", True, "openai_chat") == "/chat/completions"
    assert ("authorization", "Bearer k") in VENDOR.headers("k")


@given(st.integers(100, 599), st.binary(max_size=200))
def test_no_answer_is_too_strange(status: int, answer: bytes) -> None:
    assert VENDOR.fault(status, {}, answer).safe_message == ""


@given(st.sampled_from([400, 404, 429, 500]), st.recursive(st.none() | st.integers() | st.text(), lambda inner: st.dictionaries(st.sampled_from(["error", "message", "code", "type", "param"]), inner) | st.lists(inner, max_size=2)))  # fmt: skip
def test_no_json_is_too_strange(status: int, answer: object) -> None:
    assert VENDOR.fault(status, {}, msgspec.json.encode(answer)).status == status
