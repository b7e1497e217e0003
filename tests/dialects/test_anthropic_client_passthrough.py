"""Between two ends that speak Anthropic: bodies changed in the named places only, and answers glanced at."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.dialects.anthropic_messages import ANTHROPIC
from gateway.types import BadReply, Change, Glance, Passthrough, Usage

BODY = (
    b'{ "model" : "fast","max_tokens":\t7, "x":1.10, "x":1e400, "big":123456789012345678901234567890,\n'
    b'  "messages":[{"role":"user","content":"say \\"model\\":\\"fast\\" \xc3\xa9"}] ,"temperature":1.0}\n'
)


def changed(body: bytes, **change: Any) -> bytes:
    return ANTHROPIC.change(body, ANTHROPIC.peek(body), Change(**change))


def test_the_dialect_passes_through() -> None:
    assert isinstance(ANTHROPIC, Passthrough)


def test_only_the_model_changes_and_every_other_byte_stays() -> None:
    assert changed(BODY, model="claude-opus-5-5") == BODY.replace(b'"model" : "fast"', b'"model" : "claude-opus-5-5"')


def test_a_body_in_which_nothing_changes_is_the_very_same_object() -> None:
    assert changed(BODY) is BODY
    assert changed(BODY, model="fast", max_tokens=5, temperature=0.7, include_usage=True) is BODY


def test_a_cap_is_added_where_the_client_gave_none_and_a_temperature_never() -> None:
    body = b'{"messages":[{"role":"user","content":"a"}]}'

    assert (
        changed(body, max_tokens=5, temperature=0.7) == b'{"max_tokens":5,"messages":[{"role":"user","content":"a"}]}'
    )
    assert changed(body, model="m") == b'{"model":"m","messages":[{"role":"user","content":"a"}]}'


MEMBERS = st.dictionaries(st.sampled_from(["system", "tools", "metadata", "stream"]), st.none() | st.text(max_size=4))


@given(MEMBERS, st.text(max_size=5), st.sampled_from([None, 2]))
def test_the_body_differs_in_its_model_only(members: dict[str, Any], model: str, indent: int | None) -> None:
    members = {key: value for key, value in members.items() if key != "stream"}
    before = {**members, "model": "fast", "messages": [{"role": "user", "content": "a"}], "max_tokens": 5}

    after = changed(json.dumps(before, indent=indent).encode(), model=model or "x")

    assert json.loads(after) == {**before, "model": model or "x"}
    assert after == json.dumps(before, indent=indent).encode().replace(b'"fast"', json.dumps(model or "x", ensure_ascii=False).encode()) or "\\" in json.dumps(model)  # fmt: skip


# ---------------------------------------------------------------- thoughts of other vendors

OWN = b'{"type":"thinking","thinking":"Hm.","signature":"EqQB", "x":1.10}'
TEXT = b'{"text":"a", "type":"text"}'
FOREIGN = [
    b'{"type":"thinking","thinking":"I","signature":""}',
    b'{"type":"thinking","thinking":"I","signature":"gw1.x"}',
    b'{"type":"redacted_thinking","data":"gw1.x"}',
]


def conversation(*blocks: bytes) -> bytes:
    answer = b'{"content":[' + b",".join(blocks) + b'],"role":"assistant"}'
    return b'{"model":"m","messages":[{"role":"user","content":"?"},' + answer + b"]}"


@pytest.mark.parametrize("foreign", FOREIGN)
def test_thoughts_of_other_vendors_go_and_every_other_byte_of_the_message_stays(foreign: bytes) -> None:
    assert changed(conversation(foreign, OWN, foreign, TEXT)) == conversation(OWN, TEXT)
    assert changed(conversation(OWN, TEXT), model="m") == conversation(OWN, TEXT)


def test_a_message_that_was_nothing_else_goes_as_a_whole() -> None:
    assert json.loads(changed(conversation(*FOREIGN)))["messages"] == [{"role": "user", "content": "?"}]


GIVEN = b'{"type":"web_search_result_location","url":"u","title":null,"cited_text":"","encrypted_index":"gw1.cited"}'
CITED = b'{"type":"web_search_result_location","url":"u","cited_text":"c", "encrypted_index":"e"}'


def test_citations_of_other_vendors_go_and_the_text_and_anthropics_own_stay() -> None:
    text = b'{"type":"text","text":"a \\u00e9","citations":[%b]}'

    assert changed(conversation(OWN, text % GIVEN)) == conversation(OWN, b'{"type":"text","text":"a \\u00e9"}')
    both = text % (GIVEN + b"," + CITED)
    assert changed(conversation(OWN, both)) == conversation(OWN, text % CITED)
    quoted = b'{"type":"text","text":"\\"gw1.cited\\"","citations":[%b]}' % CITED
    assert changed(conversation(OWN, quoted)) == conversation(OWN, quoted)


@pytest.mark.parametrize("odd", [b'{"type":"text","text":"\\"gw1.\\"gw1."}', b'{"data":"gw1.x"}', b'"gw1.x"', b"5"])
def test_a_text_about_envelopes_stays(odd: bytes) -> None:
    body = conversation(odd, b'{"signature":"","type":"other"}')

    assert changed(body) is body


def test_messages_that_are_none_are_left_to_the_upstream() -> None:
    body = b'{"messages":[{"role":"user","content":"gw1."},5, {"signature":""}]}'

    assert changed(body) is body


# ---------------------------------------------------------------- whole answers


def answer(*content: Any, **members: Any) -> bytes:
    usage = {"input_tokens": 3, "output_tokens": 2, "cache_read_input_tokens": 4, "cache_creation_input_tokens": 1}
    message = {"type": "message", "id": "msg_1", "content": list(content), "stop_reason": "end_turn", "usage": usage}
    return json.dumps({**message, **members}).encode()


def test_usage_is_read_with_the_cache_in_its_input() -> None:
    glance = ANTHROPIC.glance(answer({"type": "text", "text": "a"}))

    assert glance == Glance(Usage(8, 2, 4, 1, 0, 10), False, "stop")


@pytest.mark.parametrize(
    ("content", "stop", "empty", "finish"),
    [
        ([], "end_turn", True, "stop"),
        ([], None, True, None),
        ([{"type": "text", "text": ""}], "end_turn", True, "stop"),
        ([{"type": "thinking", "thinking": "", "signature": "x"}], "end_turn", False, "stop"),
        ([{"type": "tool_use", "id": "t"}], "tool_use", False, "tool_calls"),
        ([], "max_tokens", False, "length"),
        ([], "refusal", False, "content_filter"),
        ([{"type": "to_come"}], "a new reason", False, "stop"),
    ],
)
def test_emptiness_and_the_finish_are_seen(content: list[Any], stop: Any, empty: bool, finish: Any) -> None:
    glance = ANTHROPIC.glance(answer(*content, stop_reason=stop))

    assert (glance.empty, glance.finish) == (empty, finish)


def test_usage_gone_wrong_costs_the_usage_only() -> None:
    assert ANTHROPIC.glance(answer({"type": "text", "text": "a"}, usage={"input_tokens": "x"})).usage is None
    assert ANTHROPIC.glance(answer({"type": "text", "text": "a"}, usage=None)).usage is None


@pytest.mark.parametrize("body", [b"", b"<html>", b"[]", b'{"type":"error","error":{"type":"api_error"},"content":[]}',
                                  b'{"type":"message"}', b'{"type":"message","content":5}', b"[" * 100_000, b'"\xff'])  # fmt: skip
def test_what_is_no_message_is_a_bad_reply(body: bytes) -> None:
    with pytest.raises(BadReply):
        ANTHROPIC.glance(body)
