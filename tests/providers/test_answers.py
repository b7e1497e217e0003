"""How long to wait, and what of a vendor's text may be shown."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.providers.answers import (
    MAX_MESSAGE_CHARS,
    MAX_WAIT_S,
    code_of,
    duration_s,
    error_object,
    redact,
    retry_after_s,
)


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({}, None),
        ({"retry-after": "7"}, 7.0),
        ({"retry-after": "0.25"}, 0.25),
        ({"retry-after": "-3"}, 0.0),
        ({"retry-after": "nan"}, None),
        ({"retry-after": "inf"}, None),
        ({"retry-after": "99999"}, MAX_WAIT_S),
        ({"retry-after": "Wed, 21 Oct 2026 07:28:00 GMT"}, None),
        ({"retry-after-ms": "1500", "retry-after": "9"}, 1.5),
        ({"x-ratelimit-reset-requests": "6m0s", "x-ratelimit-reset-tokens": "20ms"}, MAX_WAIT_S),
        ({"x-ratelimit-reset-requests": "8.64s", "x-ratelimit-remaining-requests": "12",
          "x-ratelimit-reset-tokens": "1s", "x-ratelimit-remaining-tokens": "0"}, 1.0),
    ],
)  # fmt: skip
def test_the_wait_is_read_in_the_order_of_precision(headers: dict[str, str], seconds: float | None) -> None:
    assert retry_after_s(headers) == seconds


def test_durations_are_read_as_vendors_write_them() -> None:
    assert duration_s("1h2m3s") == 3723.0
    assert duration_s("34.074824224s") == pytest.approx(34.0748, abs=1e-3)
    assert duration_s("20ms") == pytest.approx(0.02)
    assert [duration_s(text) for text in ("", "soon", "s", "1e1s")] == [None] * 4


@pytest.mark.parametrize(
    "secret",
    [
        "sk-proj-abcdef0123456789",
        "sk-abc***xyz9",
        "AIzaSyA-1234567890abcdefg",
        "org-Ab12Cd34Ef56",
        "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.c2lnbmF0dXJl",
        "0123456789abcdef0123456789abcdef",
        "10.1.2.3:8443",
        "llm.prod.internal",
        "https://platform.openai.com/account/api-keys",
        "localhost:11434",
    ],
)
def test_keys_accounts_and_hosts_never_leave(secret: str) -> None:
    shown = redact(f"Incorrect value: {secret} was used, see the manual")

    assert secret not in shown
    assert shown.startswith("Incorrect value: [")
    assert shown.endswith(" was used, see the manual")


def test_a_bearer_token_of_any_form_never_leaves() -> None:
    assert redact("got 'Authorization: Bearer abc' instead") == "got 'Authorization: [redacted] instead"


def test_what_the_client_must_know_stays() -> None:
    text = "Invalid type for 'messages[2].content[0].image_url': gpt-5.4 takes tools.0.custom.name in user-provided key-value pairs"

    assert redact(text) == text


def test_a_long_text_is_cut_and_stays_on_one_line() -> None:
    shown = redact("a\r\nb " * 10_000)

    assert len(shown) == MAX_MESSAGE_CHARS
    assert "\n" not in shown


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b'{"error":{"message":"m","code":"c"}}', "m"),
        (b'[{"error":{"message":"m"}}]', "m"),
        (b'{"error":"x","error_description":"m"}', "m"),
        (b'{"error":"m"}', "m"),
        (b'{"object":"error","message":"m"}', "m"),
        (b"<html><body>502 Bad Gateway</body></html>", None),
        (b"[]", None),
        (b'"text"', None),
        (b"\xff\xfe", None),
        (b"[" * 60_000, None),
        (b"", None),
    ],
)
def test_the_error_is_found_in_whatever_form_it_comes(body: bytes, message: str | None) -> None:
    assert error_object(body).get("message") == message


def test_codes_are_texts() -> None:
    assert [code_of({"code": code}) for code in ("x", 429, None, "", True, {})] == ["x", "429", None, None, None, None]


@given(st.binary(max_size=300), st.text(max_size=300))
def test_no_bytes_and_no_text_raise(body: bytes, text: str) -> None:
    assert isinstance(error_object(body), dict)
    assert len(redact(text)) <= MAX_MESSAGE_CHARS
    assert retry_after_s({"retry-after": text, "x-ratelimit-reset-tokens": text}) is None or text.strip()
