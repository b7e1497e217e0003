"""Chat bodies that pass through: only the named places change; usage and emptiness are read from whole answers."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.dialects import openai_chat_passthrough
from gateway.dialects.openai_chat import COMPATIBLE_CHAT, OPENAI_CHAT
from gateway.dialects.openai_usage import usage_object, usage_of
from gateway.providers.compatible import Compatible
from gateway.types import BadReply, BadRequest, Change, Glance, Modalities, Peek, Usage

BODY = b'{ "temperature" : 1.10,\n "model":"fast" , "messages":[ {"role":"user","content":"a\\/b \xc3\xa9"} ],"seed":12345678901234567890123 }'


def change(body: bytes, **places: Any) -> bytes:
    return OPENAI_CHAT.change(body, OPENAI_CHAT.peek(body), Change(**places))


def test_only_the_models_bytes_change() -> None:
    assert change(BODY, model="gpt-5.4") == BODY.replace(b'"fast"', b'"gpt-5.4"')


def test_when_nothing_changes_it_is_the_very_same_object() -> None:
    assert change(BODY) is BODY
    assert change(BODY, model="fast", temperature=0.5) is BODY


def test_what_is_missing_is_added_behind_the_opening_brace() -> None:
    body = b'{"model":"m","messages":[{}]}'

    assert change(body, max_tokens=9, temperature=0.7, include_usage=True) == (
        b'{"max_completion_tokens":9,"temperature":0.7,"stream_options":{"include_usage":true},"model":"m","messages":[{}]}'
    )


def test_a_null_is_replaced_where_it_stands() -> None:
    body = b'{"model":null,"temperature": null,"stream_options":null,"messages":[{}]}'

    assert change(body, model="m", temperature=0.7, include_usage=True) == (
        b'{"model":"m","temperature": 0.7,"stream_options":{"include_usage":true},"messages":[{}]}'
    )


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        (b"{}", b'{"include_usage":true}'),
        (b'{ "include_obfuscation":false }', b'{"include_usage":true, "include_obfuscation":false }'),
        (b'{"include_usage": false,"x":1}', b'{"include_usage": true,"x":1}'),
        (b'{"include_usage":null}', b'{"include_usage":true}'),
        (b'{"include_usage":true }', b'{"include_usage":true }'),
    ],
)
def test_usage_is_asked_for_inside_the_clients_own_options(options: bytes, expected: bytes) -> None:
    body = b'{"messages":[{}],"stream_options":%s}'

    assert change(body % options, include_usage=True) == body % expected


def test_a_key_that_stands_elsewhere_too_is_changed_only_at_the_top() -> None:
    body = b'{"messages":[{"model":"inner"}],"metadata":{"model":"fast"},"model":"fast","user":"\\u00e9"}'

    assert change(body, model="x") == body[:-31] + b'"model":"x","user":"\\u00e9"}'


def test_a_body_that_spells_keys_twice_is_written_anew() -> None:
    body = b'{"user":"a","model":"fast","user":"\\u00e9","messages":[{"model":1.10}]}'
    peek = OPENAI_CHAT.peek(b'{"messages":[{}]}')

    changed = OPENAI_CHAT.change(body, peek, Change(model="x"))

    assert changed == b'{"user":"\\u00e9","model":"x","messages":[{"model":1.10}]}'


KEYS = st.sampled_from(["temperature", "seed", "stream_options", "n", "tools", "metadata", "é", 'q"', "model"])
VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=8)
    | st.just("model"),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["model", "temperature", "x"]), inner, max_size=3)
    ),
    max_leaves=6,
)


@given(
    members=st.dictionaries(KEYS, VALUES, max_size=6),
    model=st.text(max_size=6),
    escaped=st.booleans(),
    space=st.sampled_from([(",", ":"), (", ", ": "), (" ,\n\t", " :\r\n ")]),
    wanted=st.fixed_dictionaries({}, optional={"model": st.text(min_size=1, max_size=9), "max_tokens": st.integers(1, 99), "temperature": st.floats(0, 2), "include_usage": st.booleans()}),
)  # fmt: skip
def test_the_result_says_what_was_wanted_and_all_other_bytes_are_the_same(
    members: dict[str, Any], model: str, escaped: bool, space: tuple[str, str], wanted: dict[str, Any]
) -> None:
    given_ = {**members, "messages": [{"content": model}], "model": model}
    body = json.dumps(given_, ensure_ascii=escaped, separators=space).encode()
    try:
        peek = OPENAI_CHAT.peek(body)
    except BadRequest:
        return  # a member of a wrong type; what is refused is not changed
    changed = OPENAI_CHAT.change(body, peek, Change(**wanted))

    assert json.loads(changed) == expected_of(given_, wanted)
    for key, raw in msgspec.json.decode(body, type=dict[str, msgspec.Raw]).items():
        if key not in ("model", "temperature", "stream_options"):
            assert bytes(raw) in changed


def expected_of(given_: dict[str, Any], wanted: dict[str, Any]) -> dict[str, Any]:
    expected = dict(given_)
    if wanted.get("model") is not None:
        expected["model"] = wanted["model"]
    if wanted.get("max_tokens") is not None:
        expected["max_completion_tokens"] = wanted["max_tokens"]
    if wanted.get("temperature") is not None and expected.get("temperature") is None:
        expected["temperature"] = wanted["temperature"]
    if wanted.get("include_usage"):
        expected["stream_options"] = {**(expected.get("stream_options") or {}), "include_usage": True}
    return expected


# ---------------------------------------------------------------- the old name of the cap

OLD, NEW = b'"max_tokens"', b'"max_completion_tokens"'
SAYS_IT_TOO = b'{"role":"user","content":[{"max_tokens":1}]},'
LONG_TEXT = b'{"role":"user","content":"' + b"word " * 2000 + b'"}'
TOOL = b',"tools":[{"max_tokens":3}]'


@pytest.mark.parametrize("tools", [b"", TOOL])
@pytest.mark.parametrize("first", [b"", SAYS_IT_TOO, LONG_TEXT + b",", LONG_TEXT + b"," + SAYS_IT_TOO])
@pytest.mark.parametrize("in_front", [True, False])
def test_only_the_caps_own_name_is_respelled(in_front: bool, first: bytes, tools: bytes) -> None:
    cap, messages = OLD + b":7", b'"messages":[' + first + b"{}]"
    body = b'{"model":"m",' + b",".join((cap, messages) if in_front else (messages, cap)) + tools + b"}"
    changed = change(body, output_cap="max_completion_tokens")

    assert json.loads(changed) == {
        NEW.decode()[1:-1] if k == "max_tokens" else k: v for k, v in json.loads(body).items()
    }
    if not tools and SAYS_IT_TOO not in first:
        assert changed == body.replace(OLD, NEW)


# ---------------------------------------------------------------- glance

USAGE = {
    "prompt_tokens": 23,
    "completion_tokens": 10,
    "total_tokens": 33,
    "prompt_tokens_details": {"cached_tokens": 16, "cache_write_tokens": 4, "audio_tokens": 0},
    "completion_tokens_details": {"reasoning_tokens": 6},
}
READ = Usage(input=23, output=10, cache_read=16, cache_write=4, reasoning=6, total=33)


def answer(message: object = None, finish: object = "stop", usage: object = USAGE) -> bytes:
    said = {"role": "assistant", "content": "hi", "refusal": None} if message is None else message
    return msgspec.json.encode(
        {"id": "x", "choices": [{"index": 0, "message": said, "finish_reason": finish}], "usage": usage}
    )


def test_usage_and_finish_are_read_from_an_answer() -> None:
    assert OPENAI_CHAT.glance(answer(finish="length")) == Glance(READ, empty=False, finish="length")


def test_sound_is_counted_apart_whole_and_streamed() -> None:
    spoken = {
        "prompt_tokens": 9, "completion_tokens": 5, "total_tokens": 14,
        "prompt_tokens_details": {"cached_tokens": 0, "audio_tokens": 6}, "completion_tokens_details": {"audio_tokens": 4},
    }  # fmt: skip
    usage = Usage(9, 5, total=14, input_by=Modalities(audio=6), output_by=Modalities(audio=4))

    assert OPENAI_CHAT.glance(answer(usage=spoken)).usage == usage
    assert usage_of(spoken) == usage
    assert usage_object(usage) == spoken


@pytest.mark.parametrize(
    "usage",
    [None, {}, [], "no", {"prompt_tokens": "23"}, {"prompt_tokens": 1.5, "completion_tokens": 1}, {"prompt_tokens": True, "completion_tokens": 1},
     {"prompt_tokens": 10**400, "completion_tokens": 1}, {"prompt_tokens": 1, "completion_tokens": -(10**20)}],
)  # fmt: skip
def test_usage_of_a_wrong_form_is_no_usage(usage: object) -> None:
    assert OPENAI_CHAT.glance(answer(usage=usage)).usage is None


def test_details_of_a_wrong_form_do_not_spoil_the_counts() -> None:
    odd = {
        "prompt_tokens": 5,
        "completion_tokens": 2,
        "prompt_tokens_details": {"cached_tokens": "a"},
        "completion_tokens_details": [],
    }

    assert OPENAI_CHAT.glance(answer(usage=odd)).usage == Usage(input=5, output=2, total=7)
    endless = {**odd, "prompt_tokens_details": {"cached_tokens": 10**400}, "total_tokens": 10**400}
    assert OPENAI_CHAT.glance(answer(usage=endless)).usage == Usage(input=5, output=2, total=7)
    assert OPENAI_CHAT.glance(answer(usage={"prompt_tokens": 5, "completion_tokens": 2})).usage == Usage(5, 2, total=7)


@pytest.mark.parametrize(
    "message",
    [
        {"content": "a"},
        {"content": None, "tool_calls": [{"id": "c"}]},
        {"content": None, "refusal": "no"},
        {"content": None, "audio": {"id": "a"}},
        {"content": "", "reasoning_content": "hm"},
        {"content": None, "function_call": {"name": "f"}},
        {"content": [{"type": "text", "text": "a"}]},
    ],
)
def test_an_answer_that_says_something_is_not_empty(message: object) -> None:
    assert not OPENAI_CHAT.glance(answer(message)).empty


@pytest.mark.parametrize(
    "message", [{}, {"content": ""}, {"content": None, "tool_calls": []}, {"content": [], "refusal": None}]
)
@pytest.mark.parametrize("finish", ["stop", None])
def test_an_answer_without_anything_is_empty(message: object, finish: object) -> None:
    assert OPENAI_CHAT.glance(answer(message, finish)).empty


def test_an_empty_text_that_ran_into_a_limit_tells_something() -> None:
    assert not OPENAI_CHAT.glance(answer({"content": ""}, "length")).empty
    assert not OPENAI_CHAT.glance(answer({"content": []}, "content_filter")).empty


def test_no_choices_are_empty() -> None:
    assert OPENAI_CHAT.glance(b'{"choices":[]}') == Glance(None, empty=True, finish=None)


@pytest.mark.parametrize("body", [b"", b"<html>", b"[]", b"{}", b'{"error":{"message":"m"}}', b'{"choices":{}}', b"[" * 100_000, b'{"choices":[],"error":"x"}'])  # fmt: skip
def test_what_is_no_answer_is_a_bad_reply(body: bytes) -> None:
    with pytest.raises(BadReply):
        OPENAI_CHAT.glance(body)


@given(st.binary(max_size=100))
def test_no_bytes_raise_anything_but_bad_reply(body: bytes) -> None:
    with pytest.raises(BadReply):
        OPENAI_CHAT.glance(body)


def test_an_answer_with_calls_takes_the_fast_way(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(openai_chat_passthrough, "_glance_slowly", None)
    calls = {
        "content": None,
        "tool_calls": [{"id": "c", "type": "function", "function": {"name": "f", "arguments": "{}"}}],
    }

    assert OPENAI_CHAT.glance(answer(calls, "tool_calls")) == Glance(READ, empty=False, finish="tool_calls")
    assert OPENAI_CHAT.glance(answer({"content": None, "tool_calls": []})).empty


# ---------------------------------------------------------------- of other vendors

CALL = '{"id":"c1","type":"function","function":{"name":"f","arguments":"{\\"a\\": 1.10}"}%s}'
ANSWERED = (
    '{"model":"m", "messages":[{"role":"user","content":"hi"},{"content":"b","role":"assistant"%s,"tool_calls":['
    + CALL
    + "]}]}"
)
FOREIGN = ',"thinking_blocks":[{"type":"thinking"}],"reasoning_content":"hm","extra_content":{"google":{}},"images":[]'
SIGNED = ',"extra_content":{"google":{"thought_signature":"c2ln"}}'


def test_what_other_vendors_left_in_a_conversation_is_taken_out_for_openai() -> None:
    body = (ANSWERED % (FOREIGN, SIGNED)).encode()
    own = (ANSWERED % ("", "")).encode()

    assert change(body) == own
    assert change(body, model="gpt-5.4") == own.replace(b'"m"', b'"gpt-5.4"')
    assert change((ANSWERED % ("", SIGNED)).encode()) == own
    assert change(own) is own


def test_a_server_that_may_know_it_gets_it_back() -> None:
    body = (ANSWERED % (FOREIGN, SIGNED)).encode()

    assert COMPATIBLE_CHAT.change(body, COMPATIBLE_CHAT.peek(body), Change()) is body
    assert Compatible().half("openai_chat") is COMPATIBLE_CHAT


def test_a_text_about_it_is_no_reason_to_touch_a_body() -> None:
    said = b'{"role":"assistant","content":"a \\"thinking_blocks\\" and \\"x"}'
    body = b'{"model":"m","messages":[{"role":"user","content":"\\u0022","x":{"images":[]}}, %b]}' % said

    assert change(body) is body


@pytest.mark.parametrize(
    "messages", [b'["assistant","images"]', b'[{"role":"assistant","tool_calls":"\\"extra_content\\""}]']
)
def test_what_is_no_conversation_is_the_upstreams_to_judge(messages: bytes) -> None:
    body = b'{"model":"m","messages":%b}' % messages

    assert OPENAI_CHAT.change(body, Peek("m", False, foreign=True), Change()) is body
