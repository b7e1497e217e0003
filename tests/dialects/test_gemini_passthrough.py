"""Gemini to Gemini: bytes that stay bytes, what is read beside them, and how a stream ends."""

from __future__ import annotations

import json
from typing import Any

import pytest
from golden_case import ROOT
from hypothesis import given
from hypothesis import strategies as st

from gateway.dialects.gemini import GEMINI
from gateway.dialects.gemini_tap import GeminiTap
from gateway.types import BadReply, Change, Ended, Failed, Passthrough, Tap, TextDelta, Usage, UsageSeen

BODY = b'{ "contents" : [{"parts":[{"text":"\\u00e9 1.10"}]}], "x":1e2 }'
STREAMS = sorted(ROOT.glob("gemini/*/stream.sse"))
TEXT = b'data: {"candidates":[{"content":{"parts":[{"text":"h\xc3\xa9"}],"role":"model"},"index":0}],"usageMetadata":{"promptTokenCount":3,"candidatesTokenCount":1,"totalTokenCount":4}}\r\n\r\n'  # fmt: skip
LAST = b'data: {"candidates":[{"content":{"parts":[{"text":""}]},"finishReason":"STOP"}],"usageMetadata":{"promptTokenCount":3,"candidatesTokenCount":2,"totalTokenCount":5}}\n\n'  # fmt: skip
ERROR = b'{"error":{"code":503,"message":"busy","status":"UNAVAILABLE"}}'


def changed(body: bytes, **change: Any) -> bytes:
    return GEMINI.change(body, GEMINI.peek(body), Change(**change))


def tapped(*pieces: bytes) -> tuple[GeminiTap, bytes]:
    tap = GeminiTap()
    out = b"".join([tap.feed(piece) for piece in pieces])
    return tap, out + tap.eof()


# ---------------------------------------------------------------- change


def test_nothing_to_add_gives_the_very_same_object() -> None:
    assert isinstance(GEMINI, Passthrough)
    assert changed(BODY, model="other", include_usage=True) is BODY
    capped = BODY[:-1] + b',"generationConfig":{"maxOutputTokens":5,"temperature":0}}'
    assert changed(capped, max_tokens=9, temperature=0.5) is capped


@pytest.mark.parametrize(
    ("config", "wanted"),
    [
        ("", '"generationConfig":{"maxOutputTokens":9,"temperature":0.5},'),
        (',"generationConfig":null', ',"generationConfig":{"maxOutputTokens":9,"temperature":0.5}'),
        (',"generationConfig" : { }', ',"generationConfig" : {"maxOutputTokens":9,"temperature":0.5 }'),
        (',"generation_config":{"topP":1.0}', ',"generation_config":{"maxOutputTokens":9,"temperature":0.5,"topP":1.0}'),
        (',"generationConfig":{"temperature":null,"max_output_tokens":null}', ',"generationConfig":{"temperature":0.5,"max_output_tokens":9}'),
    ],
)  # fmt: skip
def test_a_cap_and_a_default_are_added_and_all_else_stays(config: str, wanted: str) -> None:
    body = BODY[:-1].decode() + config + "}"
    out = changed(body.encode(), max_tokens=9, temperature=0.5).decode()

    assert out == (body.replace(config, wanted) if config else "{" + wanted + body[1:])
    assert GEMINI.peek(out.encode()).max_tokens == 9 and GEMINI.peek(out.encode()).has_temperature


keys = st.sampled_from(["generationConfig", "generation_config", "maxOutputTokens", "topK", "a\\u00e9", "contents2"])
values = st.recursive(st.sampled_from(["1", "null", '"generationConfig"', '"\\"maxOutputTokens\\":1"']), lambda inner: st.lists(st.tuples(keys, inner), max_size=2, unique_by=lambda pair: pair[0]).map(lambda pairs: "{" + ",".join(f'"{k}":{v}' for k, v in pairs) + "}"), max_leaves=4)  # fmt: skip


@given(st.lists(st.tuples(keys, values), max_size=3, unique_by=lambda member: member[0]))
def test_what_is_added_is_what_is_read_and_nothing_else_changes(members: list[tuple[str, str]]) -> None:
    body = ('{"contents":[{"parts":[]}]' + "".join(f',"{k}":{v}' for k, v in members) + "}").encode()
    try:
        peek = GEMINI.peek(body)
    except Exception as error:
        assert type(error).__name__ == "BadRequest"
        return
    out = GEMINI.change(body, peek, Change(max_tokens=77))
    if peek.max_tokens is None:
        assert GEMINI.peek(out).max_tokens == 77
        before, after = json.loads(body), json.loads(out)
        for made in (before, after):
            for config in ("generationConfig", "generation_config"):
                if isinstance(made.get(config), dict):
                    made[config] = {
                        k: v for k, v in made[config].items() if k not in ("maxOutputTokens", "max_output_tokens")
                    }
                if not made.get(config):
                    made.pop(config, None)
        assert after == before


@pytest.mark.parametrize(
    ("model", "wanted"),
    [
        ("gemini-3-flash", '[{"text":"a","thoughtSignature":"skip_thought_signature_validator"},{"thoughtSignature":"skip_thought_signature_validator","text":"b"},{"thoughtSignature":"skip_thought_signature_validator"}]'),
        ("gemini-2.5-pro", '[{"text":"a"},{"text":"b"},{"text":""}]'),
    ],
)  # fmt: skip
def test_envelopes_of_other_vendors_never_reach_gemini(model: str, wanted: str) -> None:
    parts = '[{"text":"a","thoughtSignature" : "Z3cxLng\\u003d"},{"thought_signature":"gw1.x","text":"b"},{"thoughtSignature":"Z3cxLng="}]'
    kept = '{"contents":[{"parts":%s},{"parts":[{"text":"\\"thoughtSignature\\":\\"Z3cxLng=\\"","thoughtSignature":"c2ln"}]}]}'
    body = (kept % parts).encode()
    peek = GEMINI.peek(body)

    assert peek.foreign
    assert GEMINI.change(body, peek, Change(model=model)).decode() == kept % wanted
    assert not GEMINI.peek(BODY).foreign


# ---------------------------------------------------------------- glance


def glance(**answer: Any) -> Any:
    found = GEMINI.glance(json.dumps(answer).encode())
    return found.empty, found.finish


def content(*parts: Any, finish: str | None = "STOP") -> list[Any]:
    return [{"content": {"parts": list(parts)}, "finishReason": finish}]


def test_a_whole_answer_is_glanced_at() -> None:
    body = {"candidates": content({"text": "hi"}), "usageMetadata": {"promptTokenCount": 3, "thoughtsTokenCount": 2}}
    found = GEMINI.glance(json.dumps(body).encode())
    assert (found.usage, found.empty, found.finish) == (Usage(3, 2, 0, 0, 2, 5), False, "stop")

    assert glance(candidates=content({"functionCall": {"name": "f"}})) == (False, "tool_calls")
    assert glance(candidates=content({"text": ""})) == (True, "stop")
    assert glance(candidates=content(finish="MAX_TOKENS")) == (False, "length")
    assert glance(candidates=content(finish="MALFORMED_FUNCTION_CALL"))[0]
    assert glance(promptFeedback={"blockReason": "SAFETY"}) == (False, "content_filter")


@pytest.mark.parametrize(
    "body",
    [
        b"{}",
        b"[]",
        b"<html>",
        b"\xff",
        ERROR,
        b'{"candidates":[]}',
        b'{"candidates":[{"finishReason":"PUP_LIMITED_DISABLED"}]}',
        b'{"candidates":5}',
    ],
)
def test_what_is_no_answer_is_no_answer(body: bytes) -> None:
    with pytest.raises(BadReply):
        GEMINI.glance(body)


# ---------------------------------------------------------------- tap


def test_a_stream_passes_as_it_is_and_its_end_is_known_at_its_end() -> None:
    tap: Tap = GEMINI.tap(swallow_usage=True)
    assert tap.feed(TEXT) == TEXT
    assert (tap.content, tap.finish, tap.output_bytes) == (True, None, 3)
    assert tap.feed(LAST) is LAST
    assert (tap.ended, tap.finish) == (False, "stop")
    assert tap.eof() == b"" and tap.ended
    assert (tap.usage, tap.failed) == (Usage(3, 2, total=5), None)
    assert tap.feed(TEXT) == b"" and tap.eof() == b""


def test_a_stream_without_a_finish_reason_was_cut() -> None:
    tap, out = tapped(TEXT)
    assert out == TEXT and not tap.ended
    assert tap.failed is not None and tap.failed.kind == "truncated"
    assert tap.usage == Usage(3, 1, total=4)


def test_every_candidate_must_have_come_to_its_end() -> None:
    two = b'data: {"candidates":[{"finishReason":"STOP"},{"index":1,"content":{"parts":[{"text":"x"}]}}]}\n\n'
    assert not tapped(two)[0].ended
    assert tapped(two, b'data: {"candidates":[{"index":1,"finishReason":"MAX_TOKENS"}]}\n\n')[0].ended


@pytest.mark.parametrize(
    "error",
    [
        b"data: " + ERROR + b"\n\n",
        b"data: [" + ERROR + b"]\n\n",
        ERROR + b"\n",
        b"[" + ERROR + b"]",
        json.dumps(json.loads(ERROR), indent=2).encode() + b"\n\n",
        json.dumps([json.loads(ERROR)], indent=2).replace("\n", "\r\n").encode(),
    ],
)
def test_an_error_is_known_in_every_form_and_never_forwarded(error: bytes) -> None:
    for cut in range(len(error) + 1):
        tap, out = tapped(TEXT, error[:cut], error[cut:])
        assert out == TEXT
        assert tap.failed == Failed("overloaded", "busy", 503)
        assert not tap.ended


@pytest.mark.parametrize("path", STREAMS, ids=lambda path: path.parent.name)
def test_a_tap_agrees_with_the_reader_wherever_the_stream_is_cut(path: Any) -> None:
    stream = path.read_bytes()
    for cut in range(len(stream) + 1):
        whole, out = tapped(stream[:cut])
        halves, out_of_halves = tapped(stream[: cut // 2], stream[cut // 2 : cut])
        reader = GEMINI.reader()
        events = reader.feed(stream[:cut]) + reader.eof()
        failed = next((event for event in events if isinstance(event, Failed)), None)
        text = "".join(event.text for event in events if isinstance(event, TextDelta))
        usage = [event.usage for event in events if isinstance(event, UsageSeen)]

        assert whole.ended == any(isinstance(event, Ended) for event in events)
        assert (whole.failed is None) == (failed is None)
        assert (out, whole.usage, whole.ended, whole.finish) == (
            out_of_halves,
            halves.usage,
            halves.ended,
            halves.finish,
        )
        assert stream.startswith(out) or whole.failed is not None
        assert whole.usage == (usage[-1] if usage else None)
        assert whole.output_bytes >= len(text.encode())


def test_refusals_and_early_ends_are_content() -> None:
    blocked = b'data: {"promptFeedback":{"blockReason":"SAFETY"}}\n\n'
    tap, out = tapped(blocked)
    assert (tap.content, tap.ended, tap.finish, out) == (True, True, "content_filter", blocked)
    assert tapped(b'data: {"candidates":[{"finishReason":"MAX_TOKENS"}]}\n\n')[0].content


def test_what_is_no_answer_is_found_out_before_it_is_one() -> None:
    for reason, kind in (("MALFORMED_FUNCTION_CALL", "bad_reply"), ("PUP_LIMITED_DISABLED", "forbidden")):
        tap, _ = tapped(b'data: {"candidates":[{"finishReason":"%s"}]}\n\n' % reason.encode())
        assert (tap.content, tap.ended) == (False, False)
        assert tap.failed is not None and tap.failed.kind == kind


def test_comments_pass_and_a_last_frame_needs_no_empty_line() -> None:
    tap, out = tapped(b": ping\n\n", TEXT, LAST.rstrip())
    assert out == b": ping\n\n" + TEXT + LAST.rstrip()
    assert tap.ended


def test_a_frame_without_end_is_given_up() -> None:
    tap = GeminiTap()
    for _ in range(17):
        tap.feed(b"x" * 1024 * 1024)
    assert tap.failed is not None and tap.failed.kind == "bad_reply"


@given(st.lists(st.sampled_from([TEXT, LAST, b"data: {", b"\n", b"\r\n\r\n", b"data: [DONE]\n\n", b"junk\n\n", b'data: {"candidates":5}\n\n', b"\xff\xfe\n\n", b'data: "\\ud800"\n\n', b"data: " + b"[" * 3000 + b"\n\n"]), max_size=6))  # fmt: skip
def test_whatever_comes_a_tap_says_how_it_ended(pieces: list[bytes]) -> None:
    tap, out = tapped(*pieces)
    assert tap.ended != (tap.failed is not None)
    assert b"[[[" not in out

    stream = b"".join(pieces)
    for cut in range(0, len(stream), 7):
        other, same = tapped(stream[:cut], stream[cut:])
        assert same.split() == out.split()  # but for empty lines
        assert (other.ended, other.usage, other.output_bytes) == (tap.ended, tap.usage, tap.output_bytes)
