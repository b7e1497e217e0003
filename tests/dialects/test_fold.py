"""A stream says what the whole answer would have said, for all three vendors and however its bytes are cut."""

from __future__ import annotations

import json
from typing import Any

from folding import folded, read, whole
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.dialects.anthropic_messages import AnthropicMessages
from gateway.dialects.gemini import Gemini
from gateway.dialects.openai_chat import OPENAI_CHAT

TEXTS = st.text(st.sampled_from('ab é\U0001f600\u2028\n"{}`'), max_size=12)
WORDS = st.text("abc", min_size=1, max_size=5)
CUTS = st.lists(st.integers(0, 100_000), max_size=12)
ARGUMENTS = st.dictionaries(WORDS, TEXTS | st.integers() | st.lists(st.booleans(), max_size=2), max_size=3)
SETTINGS = settings(max_examples=150, deadline=None)


def compact(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def frame(value: dict[str, Any], event: str = "") -> str:
    head = f"event: {event}\n" if event else ""
    return f"{head}data: {compact(value)}\n\n"


@st.composite
def pieces(draw: st.DrawFn, text: str) -> list[str]:
    """`text` cut into a few pieces, the empty one sometimes among them."""
    places = sorted(draw(st.lists(st.integers(0, len(text)), max_size=3)))
    return [text[start:end] for start, end in zip([0, *places], [*places, len(text)], strict=True)]


# ---------------------------------------------------------------- Anthropic

CITATION = {
    "type": "web_search_result_location",
    "url": "https://x",
    "title": "X",
    "encrypted_index": "E",
    "cited_text": "c",
}


@st.composite
def anthropic_block(draw: st.DrawFn, number: int) -> tuple[dict[str, Any], list[dict[str, Any]], dict[str, Any]]:
    """How a block begins in a stream, its deltas, and the whole block."""
    kind = draw(st.sampled_from(["text", "thinking", "redacted", "tool", "server", "found"]))
    if kind == "text":
        text = draw(TEXTS)
        cited = draw(st.booleans())
        deltas = [{"type": "text_delta", "text": piece} for piece in draw(pieces(text))]
        begun = {"type": "text", "text": ""} | ({"citations": []} if cited else {})
        cites = [{"type": "citations_delta", "citation": CITATION}] if cited else []
        return begun, cites + deltas, {"type": "text", "text": text} | ({"citations": [CITATION]} if cited else {})
    if kind == "thinking":
        text = draw(TEXTS)
        deltas = [{"type": "thinking_delta", "thinking": piece} for piece in draw(pieces(text))]
        signed = [{"type": "signature_delta", "signature": "Es=="}]
        return (
            {"type": "thinking", "thinking": "", "signature": ""},
            deltas + signed,
            {"type": "thinking", "thinking": text, "signature": "Es=="},
        )
    if kind in ("tool", "server"):
        type_, id_ = ("tool_use", f"toolu_{number}") if kind == "tool" else ("server_tool_use", f"srvtoolu_{number}")
        input_ = draw(ARGUMENTS)
        written = compact(input_)
        begun = {"type": type_, "id": id_, "name": "f", "input": {}}
        return (
            begun,
            [{"type": "input_json_delta", "partial_json": p} for p in draw(pieces(written))],
            {**begun, "input": input_},
        )
    block = (
        {"type": "redacted_thinking", "data": "Ex=="}
        if kind == "redacted"
        else {"type": "web_search_tool_result", "tool_use_id": "s", "content": []}
    )
    return block, [], block


@given(st.data())
@SETTINGS
def test_anthropics_streams_say_what_its_answers_say(data: st.DataObject) -> None:
    stop = data.draw(
        st.sampled_from(["end_turn", "tool_use", "max_tokens", "stop_sequence", "refusal", "pause_turn", "new", None])
    )
    about = {"stop_reason": stop, "stop_sequence": "END" if stop == "stop_sequence" else None}
    head = {"type": "message", "id": "msg_1", "role": "assistant", "model": "claude"}
    usage = {"input_tokens": 7, "cache_read_input_tokens": 3, "output_tokens": 1}
    frames = [frame({"type": "message_start", "message": {**head, "content": [], "usage": usage}}, "message_start")]
    content = []
    for index in range(data.draw(st.integers(0, 4))):
        begun, deltas, block = data.draw(anthropic_block(index))
        content.append(block)
        frames.append(frame({"type": "content_block_start", "index": index, "content_block": begun}))
        frames += [frame({"type": "content_block_delta", "index": index, "delta": delta}) for delta in deltas]
        frames.append(frame({"type": "content_block_stop", "index": index}))
    frames.append(frame({"type": "message_delta", "delta": about, "usage": {"output_tokens": 9}}))
    frames.append(frame({"type": "message_stop"}))
    answer = {**head, **about, "content": content, "usage": {**usage, "output_tokens": 9}}

    events = read(AnthropicMessages().reader(), "".join(frames).encode(), data.draw(CUTS))
    expected = whole(AnthropicMessages().read_reply(compact(answer).encode()))
    assert folded(events) == expected


# ---------------------------------------------------------------- Gemini


@st.composite
def gemini_part(draw: st.DrawFn) -> dict[str, Any]:
    signed = {"thoughtSignature": draw(st.sampled_from(["c2ln", "AA=="]))} if draw(st.booleans()) else {}
    match draw(st.sampled_from(["text", "thought", "call", "image", "code", "signature"])):
        case "text":
            return {"text": draw(TEXTS)}
        case "thought":
            return {"text": draw(TEXTS), "thought": True}
        case "call":
            return {"functionCall": {"name": draw(WORDS), "args": draw(ARGUMENTS)}, **signed}
        case "image":
            return {"inlineData": {"mimeType": "image/png", "data": "aGk="}, **signed}
        case "code":
            return {"executableCode": {"language": "PYTHON", "code": draw(TEXTS)}, **signed}
    return {"text": "", "thoughtSignature": "ZW5k"}


@given(st.data())
@SETTINGS
def test_geminis_streams_say_what_its_answers_say(data: st.DataObject) -> None:
    parts = [data.draw(gemini_part()) for _ in range(data.draw(st.integers(0, 5)))]
    reason = data.draw(st.sampled_from(["STOP", "MAX_TOKENS", "SAFETY", "NEW", "CONTINUATION"]))
    head = {"modelVersion": "g", "responseId": "r"}
    usage = {"usageMetadata": {"promptTokenCount": 5, "candidatesTokenCount": 2, "thoughtsTokenCount": 1}}
    grounding = {
        "groundingMetadata": {
            "groundingChunks": [{"web": {"uri": "https://x", "title": "X"}}],
            "groundingSupports": [{"segment": {"startIndex": 0, "endIndex": 5}, "groundingChunkIndices": [0]}],
        }
    }
    texts = [part for part in parts if "text" in part and "thought" not in part]
    cited = grounding if data.draw(st.booleans()) and len(texts) == 1 == len(parts) else {}
    last = {"finishReason": reason, "finishMessage": "because", **cited}

    def fragment(parts: list[dict[str, Any]], **more: Any) -> dict[str, Any]:
        return {"candidates": [{"content": {"role": "model", "parts": parts}, "index": 0, **more}], **usage, **head}

    frames = [fragment([part]) for part in parts] + [fragment([], **last)]
    stream = "".join(map(frame, frames))

    events = read(Gemini().reader(), stream.encode(), data.draw(CUTS))
    expected = whole(Gemini().read_reply(compact(fragment(parts, **last)).encode()))
    assert folded(events) == expected


# ---------------------------------------------------------------- OpenAI


@given(st.data())
@SETTINGS
def test_openais_streams_say_what_its_answers_say(data: st.DataObject) -> None:
    text, thoughts, refusal = data.draw(TEXTS), data.draw(TEXTS), data.draw(TEXTS)
    calls = [
        (f"call_{n}", data.draw(WORDS), json.dumps(data.draw(ARGUMENTS))) for n in range(data.draw(st.integers(0, 3)))
    ]
    reason = data.draw(st.sampled_from(["stop", "length", "tool_calls", "content_filter"]))
    head = {"id": "chatcmpl-1", "created": 7, "model": "gpt"}
    usage = {"prompt_tokens": 5, "completion_tokens": 3, "total_tokens": 8}
    deltas: list[dict[str, Any]] = [{"role": "assistant", "content": ""}]
    deltas += [{"reasoning_content": piece} for piece in data.draw(pieces(thoughts))]
    deltas += [{"content": piece} for piece in data.draw(pieces(text))]
    deltas += [{"refusal": piece} for piece in data.draw(pieces(refusal))]
    for index, (id_, name, arguments) in enumerate(calls):
        deltas.append(
            {
                "tool_calls": [
                    {"index": index, "id": id_, "type": "function", "function": {"name": name, "arguments": ""}}
                ]
            }
        )
        deltas += [
            {"tool_calls": [{"index": index, "function": {"arguments": p}}]} for p in data.draw(pieces(arguments))
        ]

    def chunk(delta: dict[str, Any], finish: str | None = None) -> dict[str, Any]:
        return {
            **head,
            "object": "chat.completion.chunk",
            "choices": [{"index": 0, "delta": delta, "finish_reason": finish}],
        }

    frames = [*map(chunk, deltas), chunk({}, reason), {**head, "choices": [], "usage": usage}]
    stream = "".join(map(frame, frames)) + "data: [DONE]\n\n"
    tool_calls = [
        {"id": id_, "type": "function", "function": {"name": name, "arguments": arguments}}
        for id_, name, arguments in calls
    ]
    message = {"role": "assistant", "content": text or None, "reasoning_content": thoughts, "refusal": refusal or None}
    answer = {
        **head,
        "choices": [{"index": 0, "message": {**message, "tool_calls": tool_calls}, "finish_reason": reason}],
        "usage": usage,
    }

    events = read(OPENAI_CHAT.reader(), stream.encode(), data.draw(CUTS))
    assert folded(events) == whole(OPENAI_CHAT.read_reply(json.dumps(answer).encode()))
