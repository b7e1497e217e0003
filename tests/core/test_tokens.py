"""Bounds and estimates of tokens."""

from __future__ import annotations

import base64
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.core.tokens import (
    IMAGE_TOKENS,
    MAX_RUNS,
    TOOL_PROMPT_TOKENS,
    bounded,
    ceiling,
    input_bound,
    output_estimate,
    suspect,
)

PICTURE = base64.b64encode(b"\x89PNG/" * 20_000).decode()  # 133 KB


def wire(value: object, spaced: bool = False) -> bytes:
    """JSON as the two habits of writing it."""
    return json.dumps(value, separators=None if spaced else (",", ":")).encode()


def user(*parts: object) -> object:
    return {"model": "a/b", "messages": [{"role": "user", "content": list(parts)}]}


def openai_image(url: str) -> object:
    return {"type": "image_url", "image_url": {"url": url, "detail": "high"}}


def anthropic(kind: str, media_type: str, data: str = PICTURE) -> object:
    return {"type": kind, "source": {"type": "base64", "media_type": media_type, "data": data}}


def test_text_costs_at_most_its_bytes():
    body = wire({"messages": [{"role": "user", "content": "héllo 日本"}]})
    assert input_bound(body) == len(body)


def test_tools_bring_a_prompt_that_the_vendor_adds():
    body = wire({"messages": [], "tools": []})
    assert input_bound(body) == len(body) + TOOL_PROMPT_TOKENS


IMAGES = {
    "openai chat": user(openai_image(f"data:image/png;base64,{PICTURE}")),
    "openai responses": user({"type": "input_image", "image_url": f"data:image/jpeg;base64,{PICTURE}"}),
    "anthropic": user(anthropic("image", "image/png")),
    "anthropic, keys the other way": user(
        {"type": "image", "source": {"data": PICTURE, "media_type": "image/png", "type": "base64"}}
    ),
    "gemini": {"contents": [{"parts": [{"inlineData": {"mimeType": "image/png", "data": PICTURE}}]}]},
    "gemini, snake case": {"contents": [{"parts": [{"inline_data": {"mime_type": "image/webp", "data": PICTURE}}]}]},
    "a data url as data": user(anthropic("image", "image/png", f"data:image/png;base64,{PICTURE}")),
}


@pytest.mark.parametrize("spaced", [False, True])
@pytest.mark.parametrize("name", IMAGES)
def test_an_embedded_picture_costs_a_picture_and_not_its_bytes(name, spaced):
    body = wire(IMAGES[name], spaced)
    assert input_bound(body) == len(body) - len(PICTURE) + IMAGE_TOKENS


def test_every_picture_counts():
    body = wire(user(*[openai_image(f"data:image/png;base64,{PICTURE}")] * 7, anthropic("image", "image/gif")))
    assert input_bound(body) == len(body) - 8 * len(PICTURE) + 8 * IMAGE_TOKENS


def test_the_price_of_a_picture_is_the_callers():
    assert input_bound(wire(IMAGES["anthropic"]), image_tokens=5000) - input_bound(wire(IMAGES["anthropic"])) == 2000


@pytest.mark.parametrize(
    "part",
    [
        openai_image("https://example.com/cat.png"),
        {"type": "input_image", "image_url": "https://example.com/cat.png"},
        {"type": "image", "source": {"type": "url", "url": "https://example.com/cat.png"}},
        {"type": "file", "file": {"file_id": "file-abc"}},
        {"type": "input_file", "file_url": "https://example.com/a.pdf"},
        {"fileData": {"mimeType": "application/pdf", "fileUri": "gs://bucket/a.pdf"}},
    ],
)
@pytest.mark.parametrize("spaced", [False, True])
def test_what_is_only_named_counts_as_a_picture(part, spaced):
    body = wire(user(part), spaced)
    assert input_bound(body) == len(body) + IMAGE_TOKENS


def test_a_named_picture_beside_an_embedded_one_still_counts():
    body = wire(user(openai_image(f"data:image/png;base64,{PICTURE}"), openai_image("https://example.com/cat.png")))
    assert input_bound(body) == len(body) - len(PICTURE) + 2 * IMAGE_TOKENS


def test_a_document_costs_by_its_size():
    small, large = (wire(user(anthropic("document", "application/pdf", PICTURE * n))) for n in (1, 4))
    assert len(PICTURE) // 4 < input_bound(small) < len(PICTURE) // 2
    assert 3 * input_bound(small) < input_bound(large) < 4 * input_bound(small)


def test_a_file_of_the_openai_surface_is_a_document_too():
    body = wire(
        user({"type": "file", "file": {"filename": "a.pdf", "file_data": f"data:application/pdf;base64,{PICTURE}"}})
    )
    assert len(PICTURE) // 4 < input_bound(body) < len(PICTURE) // 2


def test_sound_costs_by_its_length():
    body = wire(user({"type": "input_audio", "input_audio": {"data": PICTURE, "format": "wav"}}))
    assert len(PICTURE) // 32 < input_bound(body) < len(PICTURE) // 16


@pytest.mark.parametrize(
    "content",
    [
        {"type": "text", "text": f"data:image/png;base64,{PICTURE}"},
        {"type": "text", "text": f"look: data:image/png;base64,{PICTURE}"},
        {"type": "document", "source": {"type": "text", "media_type": "text/plain", "data": PICTURE}},
        {"type": "redacted_thinking", "data": PICTURE},
        {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "plain words " * 9000}},
        {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": 'a\\"b' * 9000}},
        {"type": "x", "source": {"type": "base64", "media_type": "application/octet-stream", "data": PICTURE}},
        openai_image("data:image/png;base64," + "plain words " * 9000),
        {"type": "tool_call", "arguments": json.dumps({"url": f"data:image/png;base64,{PICTURE}"})},
    ],
)
def test_what_a_model_reads_as_text_costs_its_bytes_whatever_it_looks_like(content):
    body = wire(user(content))
    assert input_bound(body) >= len(body)


def test_a_body_of_countless_pictures_costs_bytes_from_some_number_on():
    tiny = "iVBORw0KGgo/" * 12
    body = wire(user(*[anthropic("image", "image/png", tiny)] * (MAX_RUNS + 5)))
    assert input_bound(body) == len(body) + MAX_RUNS * (IMAGE_TOKENS - len(tiny))


@given(st.binary(max_size=400))
def test_any_bytes_have_a_bound(body):
    assert input_bound(body) >= len(body)


PIECES = [
    b'"data"',
    b":",
    b'"',
    b";base64,",
    b"data:image/png",
    b"{",
    b"}",
    b'"url":"',
    b"\\",
    b"image/",
    b"AAAA",
    b" ",
    b'"file_id":',
    b"://",
]


@given(st.lists(st.sampled_from(PIECES), max_size=60))
def test_broken_json_around_media_has_a_bound_too(pieces):
    body = b"".join(pieces)
    assert 0 <= input_bound(body, image_tokens=0) <= len(body) + 64 * len(pieces)


def test_an_aborted_answer_is_estimated_from_above():
    assert output_estimate(0) >= 1
    assert output_estimate(4000) == 1608  # a thousand tokens of English
    assert output_estimate(300) > 100  # a hundred Chinese characters


def test_the_most_a_provider_is_believed():
    assert ceiling(1000, 200_000, 8_000) == 208_000
    assert ceiling(100_000, 200_000, 8_000) == 400_000
    assert ceiling(1000, None, None) == 4000


@pytest.mark.parametrize("total", [None, "12", True, -1, 0, float("nan"), float("inf"), float("-inf"), [], {}])
def test_a_report_that_is_no_number_of_tokens_is_replaced_by_the_estimate(total):
    assert suspect(total, 100, 1000, 100)
    assert bounded(total, 77, 100, 1000, 100) == 77


@pytest.mark.parametrize("total", [1101, 1e300, 10**400])
def test_an_absurd_report_is_replaced_by_the_bound(total):
    assert suspect(total, 100, 1000, 100)
    assert bounded(total, 77, 100, 1000, 100) == 1100


@pytest.mark.parametrize("total", [1, 400, 1100, 12.0])
def test_a_plausible_report_is_taken_as_it_is_even_above_the_reservation(total):
    assert not suspect(total, 100, 1000, 100)
    assert bounded(total, 77, 100, 1000, 100) == total


def test_tools_are_looked_for_around_the_messages_where_that_is_known() -> None:
    around = b'{"messages":,"tools":[]}'
    body = b'{"messages":[{"role":"user","content":"tools"}],"tools":[]}'
    said = body.replace(b',"tools":[]', b"")

    assert input_bound(body, around=around) == input_bound(body) == len(body) + TOOL_PROMPT_TOKENS
    assert input_bound(said) == len(said) + TOOL_PROMPT_TOKENS
    assert input_bound(said, around=b'{"messages":}') == len(said)
