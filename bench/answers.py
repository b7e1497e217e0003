"""What the upstream stubs say, and what the load asks: one JSON answer and one stream of frames for each dialect.

Every chunk's text carries a stamp `@NNNNNN.TTTTTTTTTTTTTTTT@`: its number in the stream, and when it was sent (nanoseconds of
the monotonic clock, which is the same for all processes of a machine). It has a fixed width, so that frames have fixed lengths.
"""

from __future__ import annotations

import re
from random import Random
from typing import Literal

from msgspec import Struct, json

Dialect = Literal["openai", "anthropic", "gemini"]

MODELS: dict[Dialect, str] = {"openai": "gpt-5.4", "anthropic": "claude-sonnet-4-6", "gemini": "gemini-3.8-flash"}
STAMP = re.compile(rb"@(\d{6})\.(\d{16})@")
STAMP_FORMAT = b"@%06d.%016d@"
STAMP_WIDTH = len(STAMP_FORMAT % (0, 0))
WANTED = re.compile(rb"Stream (\d+) chunks at (\d+)/s")

_SYSTEM = "You are a helpful assistant."
_QUESTION = "Say hello to the world, please, in one short sentence."
_LETTERS = "eeeeaaaiioottnnssrrllddcumphgfbvyw"
_AFTER_WORDS = (*(" ",) * 12, ", ", ". ", "\n", ' "')
_HELLO = "Hello there, how can I help you today?"

JSON_ANSWERS: dict[Dialect, str] = {
    "openai": (
        '{"id":"chatcmpl-1","object":"chat.completion","created":1795402672,"model":"gpt-5.4","choices":[{"index":0,"message":'
        '{"role":"assistant","content":"' + _HELLO + '","refusal":null},"logprobs":null,"finish_reason":"stop"}],'
        '"usage":{"prompt_tokens":12,"completion_tokens":9,"total_tokens":21}}'
    ),
    "anthropic": (
        '{"id":"msg_1","type":"message","role":"assistant","model":"claude-sonnet-4-6","content":[{"type":"text","text":"'
        + _HELLO
        + '"}],"stop_reason":"end_turn","stop_sequence":null,"usage":{"input_tokens":12,"output_tokens":9}}'
    ),
    "gemini": (
        '{"candidates":[{"content":{"parts":[{"text":"'
        + _HELLO
        + '"}],"role":"model"},"finishReason":"STOP","index":0}],'
        '"usageMetadata":{"promptTokenCount":12,"candidatesTokenCount":9,"totalTokenCount":21},'
        '"modelVersion":"gemini-3.8-flash","responseId":"r1"}'
    ),
}


class Frames(Struct, frozen=True):
    """A stream's events: `first` opens it, `before` + stamp + `after` is a chunk, `last` ends it. Plain bytes of SSE."""

    first: bytes
    before: bytes
    after: bytes
    last: bytes


def _openai(delta: str, finish: str = "null") -> bytes:
    return (
        'data: {"id":"chatcmpl-1","object":"chat.completion.chunk","created":1795402672,"model":"gpt-5.4","service_tier":"default",'
        f'"system_fingerprint":null,"choices":[{{"index":0,"delta":{delta},"logprobs":null,"finish_reason":{finish}}}]}}\n\n'
    ).encode()


def _anthropic(kind: str, rest: str) -> bytes:
    return f'event: {kind}\ndata: {{"type":"{kind}",{rest}}}\n\n'.encode()


def _gemini(text: str, more: str = "") -> bytes:
    return (
        f'data: {{"candidates":[{{"content":{{"parts":[{{"text":"{text}"}}],"role":"model"}}{more},"index":0}}],"usageMetadata":'
        '{"promptTokenCount":12,"candidatesTokenCount":9,"totalTokenCount":21},"modelVersion":"gemini-3.8-flash",'
        '"responseId":"r1"}\r\n\r\n'
    ).encode()


def _around(frame: bytes) -> tuple[bytes, bytes]:
    before, _, after = frame.partition(b"#")
    return before, after


_OPENAI_USAGE = b'data: {"id":"chatcmpl-1","object":"chat.completion.chunk","created":1795402672,"model":"gpt-5.4","choices":[],"usage":{"prompt_tokens":12,"completion_tokens":9,"total_tokens":21}}\n\n'
_ANTHROPIC_START = (
    '"message":{"id":"msg_1","type":"message","role":"assistant","model":"claude-sonnet-4-6","content":[],"stop_reason":null,'
    '"stop_sequence":null,"usage":{"input_tokens":12,"output_tokens":1}}'
)
_ANTHROPIC_TEXT = '"index":0,"content_block":{"type":"text","text":""}'
_ANTHROPIC_END = '"delta":{"stop_reason":"end_turn","stop_sequence":null},"usage":{"output_tokens":9}'

STREAMS: dict[Dialect, Frames] = {
    "openai": Frames(
        _openai('{"role":"assistant","content":"","refusal":null}'),
        *_around(_openai('{"content":" word # "}')),
        _openai("{}", '"stop"') + _OPENAI_USAGE + b"data: [DONE]\n\n",
    ),
    "anthropic": Frames(
        _anthropic("message_start", _ANTHROPIC_START) + _anthropic("content_block_start", _ANTHROPIC_TEXT),
        *_around(_anthropic("content_block_delta", '"index":0,"delta":{"type":"text_delta","text":" word # "}')),
        _anthropic("content_block_stop", '"index":0')
        + _anthropic("message_delta", _ANTHROPIC_END)
        + b'event: message_stop\ndata: {"type":"message_stop"}\n\n',
    ),
    "gemini": Frames(b"", *_around(_gemini(" word # ")), _gemini("", ',"finishReason":"STOP"')),
}


def json_body(dialect: Dialect, padding_bytes: int = 0) -> bytes:
    """A chat completion that ends at a provider of `dialect`, in OpenAI's shape, which all clients here speak."""
    return _body(dialect, _QUESTION + prose(padding_bytes), stream=False)


def prose(length: int) -> str:
    """Always the same text of words and lines: searching what repeats itself is quicker or slower than searching what people write."""
    chosen = Random(7)
    words: list[str] = []
    while length > 0:
        words.append("".join(chosen.choices(_LETTERS, k=chosen.randint(1, 10))) + chosen.choice(_AFTER_WORDS))
        length -= len(words[-1])
    return "".join(words)


def stream_body(dialect: Dialect, chunks: int, per_s: int) -> bytes:
    """The same, as a stream of so many chunks. The stub reads its orders in the message, which every dialect hands on."""
    return _body(dialect, f"Stream {chunks} chunks at {per_s}/s, please.", stream=True)


def _body(dialect: Dialect, question: str, stream: bool) -> bytes:
    messages = [{"role": "system", "content": _SYSTEM}, {"role": "user", "content": question}]
    body = {"model": MODELS[dialect], "messages": messages, "max_tokens": 100}
    return json.encode(body | {"stream": True} if stream else body)


def dialect_of(path: bytes) -> Dialect:
    """Whose API a path belongs to."""
    if b"/chat/completions" in path:
        return "openai"
    return "anthropic" if b"/messages" in path else "gemini"
