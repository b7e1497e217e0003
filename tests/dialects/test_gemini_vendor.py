"""Where Gemini is, and what its refusals mean."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.errors import Fault, Next
from gateway.providers.gemini import GeminiVendor
from gateway.types import Failed

VENDOR = GeminiVendor()
RPC = "type.googleapis.com/google.rpc."


def fault(
    status: int, word: str = "", message: str = "", details: Any = None, headers: dict[str, str] | None = None
) -> Fault:
    error = {
        "code": status,
        "message": message,
        "status": word,
        **({"details": details} if details is not None else {}),
    }
    return VENDOR.fault(status, headers or {}, json.dumps({"error": error}).encode())


def quota(quota_id: str, delay: str = "34.07s") -> list[dict[str, Any]]:
    return [
        {"@type": RPC + "QuotaFailure", "violations": [{"quotaId": quota_id, "quotaValue": "10"}]},
        {"@type": RPC + "RetryInfo", "retryDelay": delay},
    ]


def test_the_model_stands_in_the_path_and_the_key_in_a_header() -> None:
    assert (
        VENDOR.path("gemini-2.5-flash", stream=False, dialect="gemini")
        == "/v1beta/models/gemini-2.5-flash:generateContent"
    )
    assert (
        VENDOR.path("models/gemini-x", stream=True, dialect="gemini")
        == "/v1beta/models/gemini-x:streamGenerateContent?alt=sse"
    )
    assert ("x-goog-api-key", "k") in VENDOR.headers("k")


@pytest.mark.parametrize(
    "model", ["../../v1/x", "a/b", "a:countTokens?key=x", "a#b", "..", "a%2fb", "a b", "ä", "a\r\nb"]
)
def test_no_name_leaves_its_place_in_the_path(model: str) -> None:
    path = VENDOR.path(model, stream=False, dialect="gemini")
    name = path.removeprefix("/v1beta/models/").removesuffix(":generateContent")

    assert path.count("/") == 3
    assert not any(sign in name for sign in "/:?# \r\n")
    assert ".." not in name
    assert name.isascii()


def test_the_family_goes_by_its_name() -> None:
    assert VENDOR.family("gemini-9-ultra") and VENDOR.family("models/gemini-2.5-pro")
    assert not VENDOR.family("gpt-4o") and not VENDOR.family("my-gemini-x")


@pytest.mark.parametrize(
    ("found", "kind", "next"),
    [
        (fault(400, "INVALID_ARGUMENT", "bad"), "bad_request", Next.STOP),
        (fault(400, "FAILED_PRECONDITION", "region"), "auth", Next.OTHER),
        (
            fault(400, "INVALID_ARGUMENT", "key", [{"@type": RPC + "ErrorInfo", "reason": "API_KEY_INVALID"}]),
            "auth",
            Next.OTHER,
        ),
        (
            fault(400, "INVALID_ARGUMENT", "The input token count (9) exceeds the maximum"),
            "context_overflow",
            Next.OTHER,
        ),
        (fault(401, "UNAUTHENTICATED"), "auth", Next.OTHER),
        (fault(403, "PERMISSION_DENIED"), "auth", Next.OTHER),
        (fault(404, "NOT_FOUND"), "model_missing", Next.OTHER),
        (fault(409, "ABORTED"), "server_error", Next.SAME),
        (fault(422, "INVALID_ARGUMENT"), "bad_request", Next.STOP),
        (fault(429, "RESOURCE_EXHAUSTED"), "rate_limited", Next.SAME),
        (fault(429, "RESOURCE_EXHAUSTED", details=quota("RequestsPerMinutePerProject")), "rate_limited", Next.SAME),
        (
            fault(429, "RESOURCE_EXHAUSTED", details=quota("RequestsPerDayPerProject-FreeTier")),
            "quota_exhausted",
            Next.OTHER,
        ),
        (fault(500, "INTERNAL"), "server_error", Next.SAME),
        (fault(501, "UNIMPLEMENTED"), "server_error", Next.OTHER),
        (fault(503, "UNAVAILABLE"), "overloaded", Next.SAME),
        (fault(504, "DEADLINE_EXCEEDED"), "server_error", Next.OTHER),
        (fault(302), "server_error", Next.SAME),
    ],
)
def test_every_refusal_has_its_kind(found: Fault, kind: str, next: Next) -> None:
    assert (found.kind, found.next) == (kind, next)


def test_an_error_in_a_list_is_read_like_any_other() -> None:
    error = {"error": {"code": 400, "status": "FAILED_PRECONDITION", "message": "User location is not supported"}}

    assert VENDOR.fault(400, {}, json.dumps([error]).encode()).kind == "forbidden"


@pytest.mark.parametrize(
    ("details", "headers", "wait_s"),
    [
        (quota("PerMinute", "34.07s"), {"retry-after": "1"}, 34.07),
        (quota("PerMinute", "0.5s"), {}, 0.5),
        (quota("PerMinute", "9999s"), {}, 300.0),
        (quota("PerMinute", "soon"), {"retry-after": "7"}, 7.0),
        ([], {}, None),
        (quota("PerDay"), {}, None),  # its delay is about the minute; the day is longer
    ],
)
def test_the_wait_is_what_gemini_says(details: Any, headers: dict[str, str], wait_s: float | None) -> None:
    assert fault(429, "RESOURCE_EXHAUSTED", details=details, headers=headers).retry_after_s == wait_s


def test_only_the_clients_own_mistakes_reach_the_client() -> None:
    key = "AIzaSyA1234567890abcdefghijklmnopqrstu"
    mistake = fault(400, "INVALID_ARGUMENT", f"contents is empty at https://x.googleapis.com with {key}")
    ours = fault(403, "PERMISSION_DENIED", f"project of {key} is off")

    assert mistake.safe_message.startswith("contents is empty")
    assert mistake.body
    assert key not in mistake.safe_message + mistake.log_message + ours.log_message
    assert "googleapis" not in mistake.safe_message
    assert (ours.safe_message, ours.body) == ("", b"")
    assert "project of" in ours.log_message


def test_an_error_inside_a_stream_goes_where_its_kind_goes() -> None:
    assert VENDOR.stream_fault(Failed("overloaded", "busy", 503)).next is Next.SAME
    assert VENDOR.stream_fault(Failed("bad_request", "bad", 400)) == Fault(
        kind="bad_request", next=Next.STOP, status=400, safe_message="bad", log_message="bad"
    )
    assert VENDOR.stream_fault(Failed("truncated")).next is Next.SAME


@given(
    st.sampled_from([400, 404, 429, 500, 503]),
    st.binary(max_size=80)
    | st.recursive(
        st.none() | st.integers() | st.text(max_size=5),
        lambda inner: (
            st.lists(inner, max_size=3)
            | st.dictionaries(
                st.sampled_from(
                    ["error", "details", "message", "status", "violations", "quotaId", "reason", "retryDelay"]
                ),
                inner,
                max_size=4,
            )
        ),
        max_leaves=15,
    ).map(lambda value: json.dumps(value).encode()),
)
def test_no_body_raises(status: int, body: bytes) -> None:
    assert VENDOR.fault(status, {}, body).status == status
