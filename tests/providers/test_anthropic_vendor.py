"""What Anthropic's refusals mean, and how it is reached."""

from __future__ import annotations

import json
from typing import Any

import pytest

from gateway.core.retry import EFFECT
from gateway.errors import Fault, Next
from gateway.providers.anthropic import AnthropicVendor
from gateway.types import Failed, Vendor

VENDOR: Vendor = AnthropicVendor()


def fault(
    status: int, type_: str = "", message: str = "", headers: dict[str, str] | None = None, **details: Any
) -> Fault:
    body = {
        "type": "error",
        "error": {"type": type_, "message": message, "details": details or None},
        "request_id": "req_1",
    }
    return VENDOR.fault(status, headers or {}, json.dumps(body).encode())


def test_how_it_is_reached() -> None:
    assert VENDOR.base_url + VENDOR.path("../x", True, "anthropic_messages") == "https://api.anthropic.com/v1/messages"
    assert dict(VENDOR.headers("sk-ant-1")) == {"x-api-key": "sk-ant-1", "content-type": "application/json"}
    assert VENDOR.family("claude-opus-9")
    assert not VENDOR.family("gpt-5.4")


@pytest.mark.parametrize(
    ("status", "type_", "message", "kind", "next_"),
    [
        (400, "invalid_request_error", "messages: at least one message is required", "bad_request", Next.STOP),
        (
            400,
            "invalid_request_error",
            "prompt is too long: 210000 tokens > 200000 maximum",
            "context_overflow",
            Next.OTHER,
        ),
        (
            400,
            "invalid_request_error",
            "Your credit balance is too low to access the Anthropic API.",
            "quota_exhausted",
            Next.OTHER,
        ),
        (401, "authentication_error", "invalid x-api-key", "auth", Next.OTHER),
        (402, "billing_error", "", "quota_exhausted", Next.OTHER),
        (403, "permission_error", "", "forbidden", Next.OTHER),
        (404, "not_found_error", "model: claude-9", "model_missing", Next.OTHER),
        (409, "conflict_error", "", "server_error", Next.SAME),
        (413, "request_too_large", "", "context_overflow", Next.OTHER),
        (422, "invalid_request_error", "", "bad_request", Next.STOP),
        (500, "api_error", "", "server_error", Next.SAME),
        (503, "api_error", "", "overloaded", Next.SAME),
        (504, "timeout_error", "", "server_error", Next.OTHER),
        (529, "overloaded_error", "Overloaded", "overloaded", Next.SAME),
    ],
)
def test_a_refusal_by_its_type(status: int, type_: str, message: str, kind: str, next_: Next) -> None:
    found = fault(status, type_, message)

    assert (found.kind, found.next, found.status) == (kind, next_, status)


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (400, "bad_request"),
        (401, "auth"),
        (403, "forbidden"),
        (404, "model_missing"),
        (408, "server_error"),
        (429, "rate_limited"),
        (502, "server_error"),
        (520, "server_error"),
        (529, "overloaded"),
    ],
)
@pytest.mark.parametrize("body", [b"", b"<html>secret host</html>", b"[]", b'{"error":"x"}', b"{" * 10_000])
def test_what_stands_in_front_of_anthropic_is_told_by_the_status(status: int, kind: str, body: bytes) -> None:
    found = VENDOR.fault(status, {}, body)

    assert found.kind == kind
    assert "host" not in found.safe_message + found.log_message


def test_a_rate_limit_says_how_long() -> None:
    limited = fault(429, "rate_limit_error", headers={"retry-after": "1"})
    assert (limited.kind, limited.retry_after_s, limited.next) == ("rate_limited", 1.0, Next.SAME)

    assert fault(429, "rate_limit_error").next is Next.OTHER


def test_a_spend_limit_is_no_rate_limit() -> None:
    spent = fault(429, "rate_limit_error", error_code="enforced_spend_limit_reached")

    assert (spent.kind, spent.next, spent.retry_after_s) == ("quota_exhausted", Next.OTHER, None)
    assert fault(429, "rate_limit_error", error_code="ramp_limit_exceeded").kind == "rate_limited"


def test_only_a_clients_own_mistake_is_told_to_it() -> None:
    told = fault(
        400, "invalid_request_error", "tools.0: bad key sk-ant-api03-abcdef123456", error_code="tool_name_conflict"
    )
    assert told.safe_message.startswith("tools.0: bad key")
    assert "sk-ant" not in told.safe_message
    assert told.code == "tool_name_conflict"
    assert told.body

    for hidden in (
        fault(401, "authentication_error", "organization acme"),
        fault(529, "overloaded_error", "Overloaded"),
    ):
        assert (hidden.safe_message, hidden.body) == ("", b"")


@pytest.mark.parametrize(
    ("kind", "next_"),
    [
        ("overloaded", Next.SAME),
        ("error_event", Next.SAME),
        ("bad_request", Next.STOP),
        ("quota_exhausted", Next.OTHER),
        ("truncated", Next.SAME),
    ],
)
def test_an_error_inside_a_stream(kind: str, next_: Next) -> None:
    found = VENDOR.stream_fault(Failed(kind, "why", 529))

    assert (found.kind, found.next, found.status) == (kind, next_, 529)
    assert found.kind in EFFECT
